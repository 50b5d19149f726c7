"""The nine real Items at hand through ``clayline explain``: untouched, and with small files in place of their assets.

The files lie in one folder under the names of the Item's hrefs, in the CRS, of the type and with the pixel size that
the Item declares. What is expected is the table of docs/inputs.md, "Real imagery and Items".
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws
from tests.cli.explained import explained, file_of, model_of, read, warned
from tests.scene.stac import NEW_NAMES

from clayline.scene.sensor_file import built_in

pytestmark = pytest.mark.usefixtures("nothing_starts")

SIDE = 128
"""Pixels of a band of the finest size."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """An Item and what is to come of it."""

    untouched: str
    """Reason of the refusal as it comes."""
    untouched_says: str
    options: tuple[str, ...] = ()
    sensor: str
    dtype: str = "uint16"
    means: float | None = None
    """Of all bands' numbers, where the sensor's statistics are in other units."""
    model_gsd: float | None = None
    gsd: float
    product: str
    instrument: str
    bands: dict[str, str] = field(default_factory=dict)
    """File's ending by Clay's name."""
    mask: tuple[str, str] | None = None
    """Its name and its file's ending."""
    boa: tuple[str, int] | None = None
    tile: str | None = None
    warnings: tuple[str, ...] = ("item-disagrees",)
    """The files are smaller than the Item says."""


TEN = {"B02", "B03", "B04", "B08"}
"""Sentinel-2's bands of 10 m."""
TEN_AND_TWENTY = {name: f"_{theirs}_{10 if theirs in TEN else 20}m.tif" for name, theirs in NEW_NAMES.items()}
S2: dict[str, Any] = {"sensor": "sentinel-2-l2a", "gsd": 10.0, "product": "sentinel-2-l2a"}
OLI: dict[str, Any] = {
    "sensor": "landsat-c2l2-sr", "gsd": 30.0, "product": "landsat-oli-c2l2",
    "bands": {"blue": "SR_B2.TIF", "green": "SR_B3.TIF", "red": "SR_B4.TIF", "nir08": "SR_B5.TIF",
              "swir16": "SR_B6.TIF", "swir22": "SR_B7.TIF"},
    "mask": ("qa_pixel", "QA_PIXEL.TIF"),
}  # fmt: skip
CASES = {
    "pc-sentinel-2-l2a": Case(
        untouched="forbidden-href", untouched_says="on the host 'sentinel2l2a01.blob.core.windows.net', not in S3",
        instrument="s2b-msi-l2a", bands=TEN_AND_TWENTY,
        mask=("scl", "SCL_20m.tif"), boa=("s2:processing_baseline", -1000), tile="47XML", **S2,
    ),
    "earth-search-v1-sentinel-2-l2a": Case(
        untouched="forbidden-href", untouched_says="is not in an allowed bucket", instrument="s2b-msi-l2a",
        bands={name: f"{theirs}.tif" for name, theirs in NEW_NAMES.items()},
        mask=("scl", "SCL.tif"), boa=("earthsearch:boa_offset_applied", 0), tile="17SNB", **S2,
    ),
    "earth-search-v0-sentinel-s2-l2a-cogs": Case(
        untouched="forbidden-href", untouched_says="is not in an allowed bucket", instrument="s2a-msi-l2a",
        bands={name: f"{theirs}.tif" for name, theirs in NEW_NAMES.items()}, mask=("scl", "SCL.tif"),
        boa=("sentinel:product_id", 0), tile="28QCH", **S2,
    ),
    "pc-landsat-c2-l2-LC09": Case(
        untouched="asset-missing", untouched_says="--assets DIR", instrument="landsat9-oli-c2l2", **OLI,
    ),
    "usgs-landsat-c2l2-sr-LC08": Case(
        untouched="forbidden-href", untouched_says="its alternate 's3', 's3://usgs-landsat/",
        instrument="landsat8-oli-c2l2", **OLI,
    ),
    "pc-landsat-c2-l2-LE07": Case(
        untouched="untrained-sensor", untouched_says="landsat7-etm-c2l2", options=("--untrained-sensors",),
        sensor="landsat-c2l2-sr", gsd=30, product="landsat-etm-c2l2", instrument="landsat7-etm-c2l2",
        bands={"blue": "SR_B1.TIF", "green": "SR_B2.TIF", "red": "SR_B3.TIF", "nir08": "SR_B4.TIF",
               "swir16": "SR_B5.TIF", "swir22": "SR_B7.TIF"},
        mask=("qa_pixel", "QA_PIXEL.TIF"), warnings=("untrained-sensor", "item-disagrees"),
    ),
    "pc-naip": Case(
        untouched="forbidden-href", untouched_says="on the host 'naipeuwest.blob.core.windows.net', not in S3",
        sensor="naip", dtype="uint8", gsd=0.3, model_gsd=0.3, product="naip", instrument="naip-rgbn",
        bands=dict.fromkeys(("red", "green", "blue", "nir"), "20230329.tif"),
    ),
    "pc-sentinel-1-rtc": Case(
        untouched="forbidden-href", untouched_says="on the host 'sentinel1euwestrtc.blob.core.windows.net', not in S3",
        sensor="sentinel-1-rtc", dtype="float32", means=0.05, gsd=10, product="sentinel-1-rtc",
        instrument="s1a-sar-rtc", bands={"vv": "iw-vv.rtc.tiff", "vh": "iw-vh.rtc.tiff"},
    ),
}  # fmt: skip


def _item(name: str, shared_data: Path) -> tuple[Path, dict[str, Any]]:
    path = shared_data / "items" / f"{name}.json"
    return path, json.loads(path.read_bytes())


def _file_name(asset: Mapping[str, Any]) -> str:
    return str(asset["href"]).partition("?")[0].rpartition("/")[2]


def _fill(folder: Path, item: Mapping[str, Any], case: Case) -> None:
    """Write a file for every GeoTIFF of the Item, the masks with classes that are clear and nothing else."""
    properties = item["properties"]
    known = {band.name: band for band in built_in()[case.sensor].bands}
    mean = case.means or next(iter(known.values())).mean
    for key, asset in item["assets"].items():
        if "tif" not in str(asset.get("type")) or _is_shown(asset, key):
            continue
        transform = asset.get("proj:transform") or properties["proj:transform"]
        declared = (asset.get("raster:bands") or [{}])[0]
        is_mask = key.lower() in {"scl", "qa_pixel"}
        dtype = declared.get("data_type") or ("uint8" if key.lower() == "scl" else case.dtype)
        (folder / _file_name(asset)).write_bytes(
            file_of(
                crs=f"EPSG:{properties['proj:epsg']}",
                origin=(transform[2], transform[5]),
                gsd=transform[0],
                side=round(SIDE * case.gsd / transform[0]),
                dtype=dtype,
                means=(5.0,) if is_mask else (mean,) * max(1, len(asset.get("eo:bands") or ())),
            )
        )


def _is_shown(asset: Mapping[str, Any], key: str) -> bool:
    return key in {"visual", "preview", "overview"} or "thumbnail" in (asset.get("roles") or ())


@pytest.mark.parametrize("name", CASES)
def test_an_item_as_it_comes_is_refused_by_name(
    name: str, shared_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, item = _item(name, shared_data)
    [told] = explained(capsys, path)
    assert (told["status"], told["reason"]) == ("WouldRefuse", CASES[name].untouched)
    assert CASES[name].untouched_says in told["message"]
    assert item["id"] in told["message"]


@pytest.mark.parametrize("name", CASES)
def test_with_its_files_an_item_is_read_as_its_publisher_means_it(
    name: str, shared_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    case = CASES[name]
    path, item = _item(name, shared_data)
    folder = tmp_path / "files"
    folder.mkdir()
    _fill(folder, item, case)
    model = model_of(tmp_path, case.sensor, dtype=case.dtype, gsd=case.model_gsd)
    [told] = explained(capsys, path, "--assets", folder, "--model", model, *case.options)
    assert told["status"] == "WouldEmbed", told["message"]
    plan, scene = told["plan"], told["plan"]["scene"]
    assert (scene["product"], told["taken_for"]["instrument"]) == (case.product, case.instrument)
    files = read(told)
    assert list(files) == [band.name for band in built_in()[case.sensor].bands]
    assert {band: files[band][0].endswith(end) for band, end in case.bands.items()} == dict.fromkeys(files, True)
    assert [number for _, number in files.values()] == (
        list(range(1, len(files) + 1)) if len({file for file, _ in files.values()}) == 1 else [1] * len(files)
    )
    assert {band["header"]["dtype"] for band in plan["bands"]} == {case.dtype}
    assert {str(band["conversion"]) for band in plan["bands"]} == {"None"}, "the product's own numbers"
    decided, offset = case.boa or (None, 0)
    assert (scene["boa_decided_by"], {band["offset"] for band in plan["bands"]}) == (decided, {offset})
    if case.mask:
        assert plan["mask"]["name"] == case.mask[0]
        assert plan["mask"]["uri"].endswith(case.mask[1])
    else:
        assert plan["mask"] is None
    assert (told["taken_for"]["tile"], scene["location"]) == (case.tile, "window" if case.tile else "point")
    assert scene["gsd"] == pytest.approx(case.gsd, rel=1e-9)
    assert tuple(warned(told)) == case.warnings


@pytest.mark.parametrize(
    ("name", "bucket", "options"),
    [
        ("earth-search-v1-sentinel-2-l2a", "sentinel-cogs", ()),
        ("usgs-landsat-c2l2-sr-LC08", "usgs-landsat", ("--request-payer",)),
    ],
)
def test_an_item_as_it_comes_is_read_where_its_bucket_is_allowed(
    name: str,
    bucket: str,
    options: tuple[str, ...],
    shared_data: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """By its own hrefs, or by the alternates that USGS gives; JPEG 2000 in another bucket is not asked for."""
    case = CASES[name]
    path, item = _item(name, shared_data)
    _fill(tmp_path, item, case)
    model = model_of(tmp_path / "model", case.sensor)
    with mock_aws():
        s3 = boto3.client("s3", region_name="us-west-2")
        s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
        for asset in item["assets"].values():
            file = tmp_path / _file_name(asset)
            if file.is_file():
                href = asset.get("alternate", {}).get("s3", asset)["href"]
                s3.put_object(Bucket=bucket, Key=href.partition(bucket)[2].partition("/")[2], Body=file.read_bytes())
        [told] = explained(capsys, path, "--allow-bucket", bucket, *options, "--model", model)
    assert told["status"] == "WouldEmbed", told["message"]
    assert {band: file.endswith(case.bands[band]) for band, (file, _) in read(told).items()} == dict.fromkeys(
        case.bands, True
    )


def test_naip_of_0_3_m_is_not_what_the_starter_knows(
    shared_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, item = _item("pc-naip", shared_data)
    _fill(tmp_path, item, CASES["pc-naip"])
    [told] = explained(capsys, path, "--assets", tmp_path)
    assert (told["reason"], "its GSD is 0.300 m" in told["message"]) == ("wrong-gsd", True)


@pytest.mark.parametrize("has_files", [False, True])
def test_planets_old_item_is_refused_and_said_why(
    shared_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], *, has_files: bool
) -> None:
    """Its asset is of radiances (``3B_AnalyticMS``, no ``SR``), which are not what PlanetScope's models know."""
    path, item = _item("planet-psscene-v1.0-beta", shared_data)
    if has_files:
        body = file_of(crs="EPSG:32615", origin=(205503, 3280320), gsd=3, side=64, dtype="uint16", means=(2000.0,) * 4)
        (tmp_path / _file_name(item["assets"]["analytic"])).write_bytes(body)
    [told] = explained(capsys, path, "--assets", tmp_path)
    assert (told["status"], told["reason"]) == ("WouldRefuse", "unknown-product")
    assert "collection 'planet-disaster-data' is not known" in told["message"]
    assert "planetscope-sr: PSScene" in told["message"]
