"""The sensor registry equals Clay's own metadata, and each product's names lead to bands that its sensor has."""

import re
from pathlib import Path

import pytest
import yaml
from tests.conftest import ROOT

from clayline.scene import recognition
from clayline.scene.recognition import Evidence, recognise
from clayline.scene.sensor import Product
from clayline.scene.sensor_file import read_sensor


def test_the_registry_is_clays_metadata(shared_data: Path) -> None:
    published = yaml.safe_load((shared_data / "clay_sensor_metadata.yaml").read_text())
    found = {
        name: {
            "gsd": entry.gsd,
            "band_order": [band.name for band in entry.bands],
            "mean": {band.name: band.mean for band in entry.bands},
            "std": {band.name: band.std for band in entry.bands},
            "wavelength": {band.name: band.wavelength for band in entry.bands},
        }
        for name, entry in recognition.sensors().items()
    }
    assert found == {
        name: {
            "gsd": entry["gsd"],
            "band_order": entry["band_order"],
            **{kind: entry["bands"][kind] for kind in ("mean", "std", "wavelength")},
        }
        for name, entry in published.items()
    }
    assert all(entry.name == name for name, entry in recognition.sensors().items())


@pytest.mark.parametrize("product", recognition.products(), ids=lambda product: product.name)
def test_every_name_leads_to_a_band_and_back(product: Product) -> None:
    assert set(product.aliases.values()) <= product.band_names
    assert all(product.band(alias) == name for alias, name in product.aliases.items())
    assert all(product.band(alias.lower()) == name for alias, name in product.aliases.items())
    assert all(product.band(name) == name for name in product.band_names)
    assert not {other.upper() for other in product.others} & (product.aliases.keys() | set(product.band_names))
    for band in product.bands:  # a common name of the standard does not lead to two bands unless wavelengths tell them
        assert all(product.band(common) in {None, band.name} for common in band.common_names)


def test_no_product_is_described_twice() -> None:
    names = [product.name for product in recognition.products()]
    assert len(set(names)) == len(names)
    for product in recognition.products():
        assert recognition.of_sensor(product.name) is product
        found = recognition.of_sensor(product.sensor)
        assert found is not None
        assert found.sensor == product.sensor
        assert all(collection in recognition.known() for collection in product.collections)


@pytest.mark.parametrize("sensor", sorted(recognition.sensors()))
def test_every_sensor_can_be_named_outright(sensor: str) -> None:
    """All of Clay's, so that the command's list in its help promises nothing."""
    found = recognise(Evidence(scene="x", sensor=sensor, name="x.tif"))
    assert (found.sensor, found.platform("x").trained) == (sensor, True)


def product_of(name: str) -> Product:
    found = recognition.of_sensor(name)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("name", "label", "band"),
    [
        ("sentinel-2-l2a", "B8A", "nir08"),
        ("sentinel-2-l2a", "b8a.tif", "nir08"),
        ("sentinel-2-l2a", "B08.TIFF", "nir"),
        ("sentinel-2-l2a", "RED", "red"),
        ("sentinel-2-l2a", "B01", None),
        ("sentinel-2-l2a", "B8", None),
        ("sentinel-2-l2a", "SR_B4", None),
        ("sentinel-2-l2a", "", None),
        ("sentinel-2-l2a", ".tif", None),
        ("landsat-c2l2-sr", "SR_B5.TIF", "nir08"),
        ("landsat-c2l2-sr", "B5", "nir08"),
        ("landsat-c2l2-sr", "nir", None),
        ("landsat-c2l2-sr", "SR_B1.TIF", None),
        ("landsat-c2l2-sr", "ST_B10", None),
        ("landsat-c2l2-sr", "QA_PIXEL", None),
        ("landsat-c2l1", "B10", None),
        ("landsat-c2l1", "B2", "blue"),
        ("landsat-c2l1", "B02", "blue"),
        ("landsat-c2l1", "B8", None),
        ("landsat-etm-c2l2", "SR_B3.TIF", "red"),
        ("landsat-etm-c2l2", "SR_B4", "nir08"),
        ("landsat-tm-l1", "B1", "blue"),
        ("landsat-tm-l1", "B7", "swir22"),
        ("landsat-tm-l1", "B6", None),
        ("hls-l30", "B05", "nir08"),
        ("hls-s30", "B05", "rededge1"),
        ("sentinel-2-l2a", "B02_10m", "blue"),
        ("sentinel-2-l2a", "B02_10m.tif", "blue"),
        ("sentinel-2-l2a", "B02_m", None),
    ],
)
def test_what_a_label_means(name: str, label: str, band: str | None) -> None:
    """Landsat's B5 is the near infrared that Clay calls nir08; Sentinel-2's B05 is the first red edge."""
    assert product_of(name).band(label) == band


@pytest.mark.parametrize(
    ("file_name", "found"),
    [
        ("S2A_MSIL2A_20200219T112111_N0214_R037_T29RKH_20200219T123947.tif", "sentinel-2-l2a"),
        ("S2B_29RKH_20200219_0_L2A.tif", "sentinel-2-l2a"),
        ("S2C_32UQD_20250601_0_L2A", "sentinel-2-l2a"),
        ("LC08_L2SP_008059_20191201_20200825_02_T1.TIF", "landsat-c2l2-sr"),
        ("LC09_L2SR_008059_20221201_20220825_02_T1.TIF", "landsat-c2l2-sr"),
        ("LC08_L1TP_224078_20200518_20200518_01_RT_B4.TIF", "landsat-c2l1"),
        ("LC08_L1GT_224078_20200518.tif", "landsat-c2l1"),
        ("S2A_MSIL1C_20200219T112111_N0214.tif", None),
        ("LE07_L2SP_008059_20191201.tif", "landsat-c2l2-sr"),
        ("LT05_L2SP_008059_19901201.tif", "landsat-c2l2-sr"),
        ("LM05_L1TP_008059_19901201.tif", None),
        ("HLS.S30.T32UQD.2024153T103031.v2.0.tif", "sentinel-2-l2a"),
        ("m_4709963_se_14_1_20200831.tif", "naip"),
        ("BQ31_10000_0403.tiff", "linz"),
        ("S1A_IW_GRDH_1SDV_20240419T045904_20240419T045916_053498_067DF2_rtc.tif", "sentinel-1-rtc"),
        ("MOD09A1.A2024153.h18v04.061.2024162033535.tif", "modis"),
        ("20240601_103031_12_2414_3B_AnalyticMS_SR_8b_harmonized.tif", "planetscope-sr"),
        ("20240601_103031_12_2414_3B_AnalyticMS.tif", None),
        ("my_LE07_L2SP_008059_20191201.tif", "landsat-c2l2-sr"),
        ("my_m_4709963_se_14_1_20200831.tif", "naip"),
        ("my_HLS.S30.T32UQD.2024153T103031.v2.0.tif", "sentinel-2-l2a"),
        ("my_S1A_IW_GRDH_1SDV_20240419T045904_rtc_vv.tif", "sentinel-1-rtc"),
        ("scene.tif", None),
    ],
)
def test_what_a_file_name_declares(file_name: str, found: str | None) -> None:
    product = recognition.of_file_name(file_name)
    assert (product.sensor if product else None) == found


@pytest.mark.parametrize(
    ("name", "platform", "token"),
    [
        ("sentinel-2-l2a", "sentinel-2a", "s2a-msi-l2a"),
        ("sentinel-2-l2a", "Sentinel-2C", "s2c-msi-l2a"),
        ("sentinel-2-l2a", "S2B_32UQD_20240601_0_L2A", "s2b-msi-l2a"),
        ("sentinel-2-l2a", "sentinel2d", "s2d-msi-l2a"),
        ("sentinel-2-l2a", "crop_of_S2A_MSIL2A_20240601T103031", "s2a-msi-l2a"),
        ("sentinel-2-l2a", "T32TUL_20240601_S2A.tif", "s2a-msi-l2a"),
        ("sentinel-2-l2a", "MS2A_20240601", "s2-msi-l2a"),
        ("sentinel-2-l2a", "", "s2-msi-l2a"),
        ("sentinel-2-l2a", "a mosaic", "s2-msi-l2a"),
        ("landsat-c2l2-sr", "LANDSAT_8", "landsat8-oli-c2l2"),
        ("landsat-c2l2-sr", "landsat-9", "landsat9-oli-c2l2"),
        ("landsat-c2l1", "LC08_L1TP_224078_20200518_20200518_01_RT", "landsat8-oli-l1"),
        ("landsat-c2l1", "crop_LC09_L1TP_1", "landsat9-oli-l1"),
        ("landsat-c2l2-sr", "landsat8_2020.tif", "landsat8-oli-c2l2"),
        ("modis", "my_MYD09A1_1", "aqua-modis-09a1"),
        ("landsat-c2l1", "unknown", "landsat-oli-l1"),
        ("landsat-etm-c2l2", "landsat-7", "landsat7-etm-c2l2"),
        ("landsat-tm-c2l2", "LANDSAT_5", "landsat5-tm-c2l2"),
        ("landsat-tm-l1", "LT04_L1TP_1", "landsat4-tm-l1"),
        ("hls-l30", "landsat-9", "landsat9-oli-hls"),
        ("hls-s30", "sentinel-2b", "s2b-msi-hls"),
        ("naip", "m_4709963_se_14_1_20200831.tif", "naip-rgbn"),
        ("linz", "BQ31_10000_0403.tiff", "linz-rgb"),
        ("sentinel-1-rtc", "SENTINEL-1A", "s1a-sar-rtc"),
        ("modis", "MYD09A1.A2024153", "aqua-modis-09a1"),
        ("planetscope-sr", "2414", "planetscope-sr"),
    ],
)
def test_the_instrument_token(name: str, platform: str, token: str) -> None:
    assert product_of(name).instrument_token(platform) == token


def test_only_sentinel_2_and_hls_are_cut_to_mgrs_and_only_the_first_has_the_offset() -> None:
    tiled = {product.name for product in recognition.products() if product.mgrs_tiled}
    assert tiled == {"sentinel-2-l2a", "hls-s30", "hls-l30"}
    assert {product.name for product in recognition.products() if product.boa} == {"sentinel-2-l2a"}


def test_what_clay_was_not_trained_on_is_marked() -> None:
    untrained = {p.name for p in recognition.products() if not all(platform.trained for platform in p.platforms)}
    assert untrained == {
        "landsat-etm-l1", "landsat-etm-c2l2", "landsat-tm-l1", "landsat-tm-c2l2", "hls-l30", "hls-s30",
    }  # fmt: skip


def test_nothing_is_found_for_nothing() -> None:
    assert recognition.of_sensor("") is None
    assert recognition.of_file_name("") is None


def test_the_example_of_how_to_add_a_product_is_naips() -> None:
    page = (ROOT / "docs" / "how-to" / "add-a-sensor.md").read_text(encoding="utf-8")
    [block, *_] = re.findall(r"^```yaml\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert read_sensor(block.encode(), source="example.yaml") == recognition.sensors()["naip"]
