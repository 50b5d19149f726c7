"""Refusals that need the whole chain to be seen: each ends in a receipt with its reason, of the scene or of a chip."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import rasterio
from tests.pipeline import scenes
from tests.pipeline.harness import WORK, Pipeline

from clayline.run.plan import Thresholds
from clayline.steps.planning import Planned

NAMES = ("red", "green", "blue")
COG = "cog/LC08_L1TP_001002_20200518_x.tif"
OTHER_ZONE = "EPSG:32622"


def _cog(*, transform: Any, dtype: str = "uint16") -> bytes:
    pixels = scenes.noise(bands=3, height=64, width=192).astype(dtype)
    return scenes.geotiff(pixels, crs="EPSG:32621", transform=transform, nodata=0, names=NAMES)


@pytest.mark.parametrize(
    ("reason", "body", "options"),
    [
        ("wrong-gsd", _cog(transform=scenes.utm_grid(gsd=20.0)), {}),
        ("unknown-units", _cog(transform=scenes.utm_grid(gsd=30.0), dtype="float32"), {}),
        # Four tenths of a millimetre: an identifier counts the GSD in whole ones.
        ("no-identifier", _cog(transform=scenes.utm_grid(gsd=0.0004)), {"any_gsd": True}),
        ("not-square", _cog(transform=rasterio.Affine(29.6, 0, 399_960, 0, -30, 5_000_040)), {}),
        # 30 m by area, but 64 pixels are 6.4 m wide: two centres in one cell of 10 m.
        (
            "duplicate-identifiers",
            _cog(transform=rasterio.Affine(0.1, 0, 399_960, 0, -9000, 5_000_040)),
            {"any_pixel_shape": True},
        ),
    ],
)
def test_a_cog_is_refused(
    make_pipeline: Callable[..., Pipeline], reason: str, body: bytes, options: dict[str, Any]
) -> None:
    pipeline = make_pipeline(**options)
    pipeline.put(COG, body)
    assert pipeline.plan(COG).kind is Planned.FAILED
    assert (pipeline.receipt()["status"], pipeline.receipt()["reason"]) == ("SceneFailed", reason)
    assert [event["reason"] for event in pipeline.announced()] == [reason]


def test_bands_in_two_systems_are_refused(make_pipeline: Callable[..., Pipeline], sample: Path) -> None:
    pipeline, files = make_pipeline(), scenes.landsat(sample)
    with rasterio.MemoryFile(files["scene/B4.tif"]) as memory, memory.open() as band:
        files["scene/B4.tif"] = scenes.geotiff(
            band.read(), crs=OTHER_ZONE, transform=band.transform, nodata=band.nodata
        )
    _land(pipeline, files)
    assert pipeline.plan("scene/item.json").kind is Planned.FAILED
    assert pipeline.receipt()["reason"] == "mixed-crs"


@pytest.mark.parametrize("photometric", ["MINISWHITE", "PALETTE"])
def test_bands_of_colours_are_refused(make_pipeline: Callable[..., Pipeline], sample: Path, photometric: str) -> None:
    pipeline, files = make_pipeline(), scenes.landsat(sample)
    with rasterio.MemoryFile(files["scene/B4.tif"]) as memory, memory.open() as band, rasterio.MemoryFile() as made:
        profile = {**band.profile, "dtype": "uint8", "nodata": None, "photometric": photometric}
        with made.open(**profile) as dataset:
            dataset.write((band.read() >> 8).astype(np.uint8))
        files["scene/B4.tif"] = bytes(made.read())
    _land(pipeline, files)
    assert pipeline.plan("scene/item.json").kind is Planned.FAILED
    assert pipeline.receipt()["reason"] == "not-numbers"


def _shifted(files: dict[str, bytes], name: str, metres: float) -> None:
    """Move one band so far east."""
    with rasterio.MemoryFile(files[name]) as memory, memory.open() as band:
        moved = rasterio.Affine.translation(metres, 0) * band.transform
        files[name] = scenes.geotiff(band.read(), crs=band.crs, transform=moved, nodata=band.nodata)


def test_bands_of_two_places_are_refused_by_name(make_pipeline: Callable[..., Pipeline], sample: Path) -> None:
    pipeline, files = make_pipeline(), scenes.landsat(sample)
    _shifted(files, "scene/B3.tif", 200 * 30)
    _land(pipeline, files)
    assert pipeline.plan("scene/item.json").kind is Planned.FAILED
    receipt = pipeline.receipt()
    assert receipt["reason"] == "no-overlap"
    assert "band green" in receipt["message"]
    assert "band red" in receipt["message"] or "band blue" in receipt["message"]


def test_bands_that_overlap_in_part_are_valid_where_all_of_them_are(
    make_pipeline: Callable[..., Pipeline], sample: Path
) -> None:
    """The first 64 columns have no green, and neither has a chip of them."""
    pipeline, files = make_pipeline(), scenes.landsat(sample, row=600, col=400, height=128, width=200)
    _shifted(files, "scene/B3.tif", 199 * 30)
    _land(pipeline, files)
    pipeline.run("scene/item.json")
    receipt = pipeline.receipt()
    assert receipt["status"] == "SceneEmbedded"
    counts = receipt["counts"]
    assert set(counts["skipped"]) == {"nodata"}
    [parquet] = [body for key, body in pipeline.outputs().items() if key.endswith(".parquet")]
    fractions = pq.read_table(io.BytesIO(parquet), columns=["valid_fraction"])["valid_fraction"].to_numpy()
    # One column of 128 pixels has all three bands: of 64 x 64, a 64th where a chip has it from top to bottom.
    assert fractions.sum() * 64 * 64 == pytest.approx(128)


def test_a_south_up_scene_is_embedded_as_if_it_were_north_up(
    make_pipeline: Callable[..., Pipeline], sample: Path
) -> None:
    outcomes = []
    for turned in (False, True):
        pipeline, files = make_pipeline(), scenes.landsat(sample, row=600, col=400, height=150, width=140)
        for name in [name for name in files if name.endswith(".tif")]:
            with rasterio.MemoryFile(files[name]) as memory, memory.open() as band:
                a, b, c, d, e, f = tuple(band.transform)[:6]
                if turned:
                    transform = rasterio.Affine(a, b, c, d, -e, f + e * band.height)
                    files[name] = scenes.geotiff(
                        band.read()[:, ::-1], crs=band.crs, transform=transform, nodata=band.nodata
                    )
        _land(pipeline, files)
        pipeline.run("scene/item.json")
        [parquet] = [body for key, body in pipeline.outputs().items() if key.endswith(".parquet")]
        table = pq.read_table(io.BytesIO(parquet))
        outcomes.append(table.select(["uci", "index", "cell", "geometry", "embeddings", "valid_fraction"]))
    assert outcomes[0].num_rows > 4
    assert outcomes[0].equals(outcomes[1])


def test_a_band_number_that_the_file_does_not_have_is_refused(
    make_pipeline: Callable[..., Pipeline], sample: Path
) -> None:
    pipeline, files = make_pipeline(), scenes.landsat(sample)
    item = json.loads(files["scene/item.json"])
    del item["assets"]["red"], item["assets"]["green"], item["assets"]["blue"]
    item["assets"]["all"] = {
        "href": "./B4.tif",
        "type": "image/tiff; application=geotiff",
        "bands": [{"name": name} for name in NAMES],
    }
    _land(pipeline, {**files, "scene/item.json": json.dumps(item).encode()})
    assert pipeline.plan("scene/item.json").kind is Planned.FAILED
    receipt = pipeline.receipt()
    assert receipt["reason"] == "missing-band"
    assert "has 1 band(s)" in receipt["message"]


@pytest.mark.parametrize(
    ("limit", "skipped"), [(1.0, {}), (0.5, {"cloud-above-threshold": 1}), (0.2, {"cloud-above-threshold": 2})]
)
def test_chips_under_more_cloud_than_allowed_are_skipped(
    make_pipeline: Callable[..., Pipeline], limit: float, skipped: dict[str, int]
) -> None:
    """Three chips, under no cloud, a quarter and three quarters."""
    pipeline = make_pipeline(
        model={"sensor": "sentinel-2-l2a", "gsd": 10.0}, thresholds=Thresholds(max_cloud_fraction=limit)
    )
    # From a multiple of 640 m: chips of 64 px begin where the scene does, however they are laid.
    grid = {"crs": "EPSG:32632", "transform": scenes.utm_grid(origin=(400_000.0, 4_999_680.0)), "nodata": 0}
    pixels = scenes.noise(bands=3, height=64, width=192)
    classes = np.full((1, 64, 192), 4, np.uint8)
    classes[0, :16, 64:128] = classes[0, :48, 128:] = 9
    item = {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": "S2A_x",
        "collection": "sentinel-2-l2a",
        "geometry": None,
        "properties": {"datetime": "2020-02-19T11:06:00Z"},
        "assets": {
            name: {"href": f"./{name}.tif", "type": "image/tiff; application=geotiff"} for name in (*NAMES, "scl")
        },
    }
    files = {f"scene/{name}.tif": scenes.geotiff(pixels[[at]], **grid) for at, name in enumerate(NAMES)}
    files |= {"scene/scl.tif": scenes.geotiff(classes, **grid), "scene/item.json": json.dumps(item).encode()}
    _land(pipeline, files)
    pipeline.run("scene/item.json")
    counts = pipeline.receipt()["counts"]
    assert counts == {"planned": 3, "written": 3 - sum(skipped.values()), "skipped": skipped, "failed": {}}


def _delete(pipeline: Pipeline, keys: list[str]) -> None:
    pipeline.s3.delete_object(Bucket=WORK, Key=keys[0])


def _spoil(pipeline: Pipeline, keys: list[str]) -> None:
    pipeline.s3.put_object(Bucket=WORK, Key=keys[0], Body=b"no response")


def _inflate(pipeline: Pipeline, keys: list[str]) -> None:
    """Let the first answer be good, and larger than an answer can be."""
    body = pipeline.s3.get_object(Bucket=WORK, Key=keys[0])["Body"].read()
    pipeline.s3.put_object(Bucket=WORK, Key=keys[0], Body=body + bytes(200_000))


def _mistake(pipeline: Pipeline, keys: list[str]) -> None:
    """Let the first batch's place hold the second's answer."""
    body = pipeline.s3.get_object(Bucket=WORK, Key=keys[1])["Body"].read()
    pipeline.s3.put_object(Bucket=WORK, Key=keys[0], Body=body)


@pytest.mark.parametrize(
    ("reason", "damage"),
    [
        ("response-missing", _delete),
        ("response-unreadable", _spoil),
        ("response-mismatch", _mistake),
        ("response-too-large", _inflate),
    ],
)
def test_a_response_that_cannot_be_used_fails_its_batchs_chips(
    make_pipeline: Callable[..., Pipeline], sample: Path, reason: str, damage: Callable[[Pipeline, list[str]], None]
) -> None:
    pipeline = make_pipeline()
    _land(pipeline, scenes.landsat(sample))

    def change(messages: list[Any]) -> list[Any]:
        uris = [message["responseParameters"]["outputLocation"] for message in messages]
        damage(pipeline, [uri.removeprefix(f"s3://{WORK}/") for uri in uris])
        return messages

    pipeline.run("scene/item.json", change=change)
    receipt = pipeline.receipt()
    assert receipt["status"] == "ScenePartial"
    assert set(receipt["counts"]["failed"]) == {reason}
    assert 0 < receipt["counts"]["failed"][reason] <= 5, "more than one batch's chips"
    assert receipt["counts"]["written"]


def test_a_response_elsewhere_fails_its_batchs_chips(make_pipeline: Callable[..., Pipeline], sample: Path) -> None:
    """It would be read by collect, which has no other place to look at."""
    pipeline = make_pipeline()
    _land(pipeline, scenes.landsat(sample))

    def change(messages: list[Any]) -> list[Any]:
        messages[0]["responseParameters"]["outputLocation"] = "https://example.com/response.out"
        return messages

    pipeline.run("scene/item.json", change=change)
    assert pipeline.receipt()["status"] == "ScenePartial"
    assert set(pipeline.receipt()["counts"]["failed"]) == {"response-elsewhere"}


def _land(pipeline: Pipeline, files: dict[str, bytes]) -> None:
    for key, body in files.items():
        pipeline.put(key, body)
