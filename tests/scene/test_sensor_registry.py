"""The sensor registry equals Clay's own metadata, and each product's names lead to bands that its sensor has."""

import re
from pathlib import Path

import pytest
import yaml
from tests.conftest import ROOT

from clayline.scene import recognition
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


@pytest.mark.parametrize("product", recognition.products(), ids=lambda product: product.sensor)
def test_aliases_lead_to_bands_of_the_sensor(product: Product) -> None:
    assert set(product.aliases.values()) == product.band_names
    assert all(alias == alias.upper() for alias in product.aliases), "aliases are looked up in upper case"
    assert all(product.band(alias) == name for alias, name in product.aliases.items())
    assert all(product.band(name) == name for name in product.band_names)


def test_no_collection_and_no_sensor_is_claimed_twice() -> None:
    collections = [collection for product in recognition.products() for collection in product.collections]
    assert len(set(collections)) == len(collections)
    assert len({product.sensor for product in recognition.products()}) == len(recognition.products())
    for product in recognition.products():
        assert all(recognition.of_collection(collection) is product for collection in product.collections)
        assert recognition.of_sensor(product.sensor) is product
        assert product.sensor in recognition.known()


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
        ("LE07_L2SP_008059_20191201.tif", None),
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
        ("sentinel-2-l2a", "", "s2-msi-l2a"),
        ("sentinel-2-l2a", "a mosaic", "s2-msi-l2a"),
        ("landsat-c2l2-sr", "LANDSAT_8", "landsat8-oli-c2l2"),
        ("landsat-c2l2-sr", "landsat-9", "landsat9-oli-c2l2"),
        ("landsat-c2l1", "LC08_L1TP_224078_20200518_20200518_01_RT", "landsat8-oli-l1"),
        ("landsat-c2l1", "unknown", "landsat-oli-l1"),
    ],
)
def test_the_instrument_token(name: str, platform: str, token: str) -> None:
    assert product_of(name).instrument_token(platform) == token


def test_only_sentinel_2_is_cut_to_mgrs_and_has_the_offset() -> None:
    assert {product.sensor for product in recognition.products() if product.mgrs_tiled} == {"sentinel-2-l2a"}
    assert {product.sensor for product in recognition.products() if product.boa} == {"sentinel-2-l2a"}


def test_nothing_is_found_for_nothing() -> None:
    assert recognition.of_collection(None) is None
    assert recognition.of_collection("") is None
    assert recognition.of_sensor("") is None


def test_the_example_of_how_to_add_a_product_is_one() -> None:
    page = (ROOT / "docs" / "how-to" / "add-a-sensor.md").read_text(encoding="utf-8")
    [block] = re.findall(r"^```yaml\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    [product] = read_sensor(block.encode(), source="example.yaml").products
    assert set(product.aliases.values()) == product.band_names == {"red", "green", "blue", "nir"}
    assert any(pattern.search("m_4709963_se_14_1_20200831.tif") for pattern in product.file_names)
    assert product not in recognition.products(), "it is known by now: the page needs another example"
