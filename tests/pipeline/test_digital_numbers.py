"""The numbers that the model gets: what a scene's own say is brought to what the model was trained on, or refused."""

import io
import json
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray
from tests.pipeline import scenes
from tests.pipeline.harness import Pipeline

from clayline.model.wire import Request
from clayline.scene.doubt import OnImplausible
from clayline.steps.planning import Planned
from clayline.steps.tiling import TileJob

NAMES = ("red", "green", "blue")
SENTINEL = {"sensor": "sentinel-2-l2a", "gsd": 10.0}
# From a multiple of 640 m: chips of 64 px begin where the scene does.
GRID = {"crs": "EPSG:32632", "transform": scenes.utm_grid(origin=(400_000.0, 4_999_680.0))}
REPROCESSED = "S2A_MSIL2A_20190416T100031_N0500_R122_T33TUL_20230612T101112"
OF_2019 = REPROCESSED.replace("_N0500_", "_N0211_")


def sent(pipeline: Pipeline, key: str) -> dict[int, NDArray[Any]]:
    """Plan and tile a landed scene; give what the endpoint gets of each chip, by its index."""
    assert pipeline.plan(key).kind is Planned.ENQUEUED
    while pipeline.deliver("tile", lambda body: pipeline.tiling.tile(TileJob.model_validate_json(body))):
        pass
    requests = [Request.from_bytes(pipeline.objects.get(uri)) for uri, _ in pipeline.endpoint.taken]
    return {
        index: chip
        for request in requests
        for index, chip in zip(request.index.tolist(), request.inputs["pixels"][:], strict=True)
    }


@pytest.mark.parametrize(("name", "offset"), [(REPROCESSED, -1000), (OF_2019, 0)])
def test_a_scene_of_2019_processed_anew_carries_the_offset_that_its_name_says(
    make_pipeline: Callable[..., Pipeline], name: str, offset: int
) -> None:
    pipeline = make_pipeline(model=SENTINEL)
    pixels = scenes.noise(bands=3, height=64, width=64)
    pixels[:, 3, 5] = 0
    pipeline.put(f"cog/{name}.tif", scenes.geotiff(pixels, **GRID, nodata=0, names=NAMES))
    [chip] = sent(pipeline, f"cog/{name}.tif").values()
    expected = [[[max(int(value) + offset, 1) if value else 0 for value in row] for row in band] for band in pixels]
    assert np.array_equal(chip, expected)


def cog(pixels: NDArray[Any], *, gsd: float = 10.0, nodata: float | None = 0, **said: Any) -> bytes:
    """Write the bands as a file, which says ``scales``, ``offsets`` and ``units``."""
    # From a multiple of 640 m and of 1920 m.
    grid = {"crs": GRID["crs"], "transform": scenes.utm_grid(origin=(401_280.0, 4_999_680.0), gsd=gsd)}
    return scenes.geotiff(pixels, **grid, nodata=nodata, names=NAMES, **said)


def land_item(pipeline: Pipeline, body: bytes, *, collection: str, **said: Any) -> None:
    """Land one file of three bands with an Item that says these of each."""
    item = {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": OF_2019 if collection.startswith("sentinel-2") else "LC08_L2SP_001002_20190416_02_T1",
        "collection": collection,
        "geometry": None,
        "properties": {"datetime": "2019-04-16T10:00:31Z"},
        "assets": {
            "all": {
                "href": "./all.tif",
                "type": "image/tiff; application=geotiff",
                "eo:bands": [{"name": name} for name in NAMES],
                "raster:bands": [said] * 3,
            }
        },
    }
    pipeline.put("scene/all.tif", body)
    pipeline.put("scene/item.json", json.dumps(item).encode())


def reflectances(pixels: NDArray[Any], scale: str, offset: str) -> list[list[list[Fraction | None]]]:
    """Say what each pixel means, exactly; None for nodata 0."""
    return [
        [[Fraction(value) * Fraction(scale) + Fraction(offset) if value else None for value in row] for row in band]
        for band in pixels.tolist()
    ]


def as_numbers(meant: list[list[list[Fraction | None]]], scale: str, offset: str) -> list[list[list[int]]]:
    """Write reflectances as the model's numbers, nodata as 0."""
    return [
        [
            [
                0 if value is None else min(max(round((value - Fraction(offset)) / Fraction(scale)), 1), 65535)
                for value in row
            ]
            for row in band
        ]
        for band in meant
    ]


@pytest.mark.parametrize(
    ("dtype", "scale", "offset"),
    [("uint16", "0.00005", "0"), ("uint8", "0.004", "0"), ("uint8", "0.0039", "0.01"), ("int16", "0.0001", "0")],
)
@pytest.mark.parametrize("by", ["file", "item"])
def test_whole_numbers_of_another_scale_become_the_models_exactly(
    make_pipeline: Callable[..., Pipeline], by: str, dtype: str, scale: str, offset: str
) -> None:
    pipeline = make_pipeline(model=SENTINEL)
    pixels = np.random.default_rng(3).integers(0, 250 if dtype == "uint8" else 30_000, (3, 64, 64)).astype(dtype)
    said = {"scale": float(scale), "offset": float(offset)}
    key = f"cog/{OF_2019}.tif"
    if by == "file":
        pipeline.put(key, cog(pixels, scales=said["scale"], offsets=said["offset"]))
    else:
        key = "scene/item.json"
        land_item(pipeline, cog(pixels), collection="sentinel-2-l2a", **said)
    [chip] = sent(pipeline, key).values()
    expected = as_numbers(reflectances(pixels, scale, offset), "0.0001", "0")
    # A pixel is valid where every band has a value there.
    lost = (pixels == 0).any(axis=0)
    assert chip.dtype == np.uint16
    assert np.array_equal(chip, np.where(lost, 0, expected))


def test_reflectances_of_hls_become_the_numbers_of_usgs(make_pipeline: Callable[..., Pipeline]) -> None:
    """Landed as ``landsat-c2-l2``: int16 at 0.0001, nodata -9999, some below zero."""
    pipeline = make_pipeline(model={"sensor": "landsat-c2l2-sr", "gsd": 30.0})
    pixels = np.random.default_rng(4).integers(-300, 9_000, (3, 64, 64)).astype(np.int16)
    pixels[pixels == 0] = 1
    pixels[:, 2, 3] = -9999
    land_item(pipeline, cog(pixels, gsd=30.0, nodata=-9999), collection="landsat-c2-l2", scale=0.0001, offset=0)
    chips = sent(pipeline, "scene/item.json")
    meant = reflectances(np.where(pixels == -9999, 0, pixels), "0.0001", "0")
    expected = as_numbers(meant, "0.0000275", "-0.2")
    assert any(np.array_equal(chip[:, :64, :64], expected) for chip in chips.values())


@pytest.mark.parametrize("by", ["file", "item"])
def test_floats_are_reflectances_where_that_is_said(make_pipeline: Callable[..., Pipeline], by: str) -> None:
    pipeline = make_pipeline(model=SENTINEL)
    whole = scenes.noise(bands=3, height=64, width=64)
    pixels = (whole / 10_000).astype(np.float32)
    pixels[:, 1, 1] = np.nan
    key = f"cog/{OF_2019}.tif"
    if by == "file":
        pipeline.put(key, cog(pixels, nodata=None, units="reflectance"))
    else:
        key = "scene/item.json"
        land_item(pipeline, cog(pixels, nodata=None), collection="sentinel-2-l2a", scale=1, offset=0)
    [chip] = sent(pipeline, key).values()
    expected = np.where(np.isnan(pixels), 0, whole)
    assert np.array_equal(chip, expected)


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (cog(np.full((3, 64, 64), 100, np.uint8)), "holds uint8, and its product uint16"),
        (cog(np.full((3, 64, 64), 0.2, np.float32), nodata=None), "neither the file nor the Item says their scale"),
    ],
)
def test_numbers_of_which_nothing_is_known_are_refused(
    make_pipeline: Callable[..., Pipeline], body: bytes, named: str
) -> None:
    pipeline = make_pipeline(model=SENTINEL)
    pipeline.put(f"cog/{OF_2019}.tif", body)
    assert pipeline.plan(f"cog/{OF_2019}.tif").kind is Planned.FAILED
    receipt = pipeline.receipt()
    assert receipt["reason"] == "unknown-units"
    assert named in receipt["message"]


def test_file_and_item_that_contradict_are_refused(make_pipeline: Callable[..., Pipeline]) -> None:
    pipeline = make_pipeline(model=SENTINEL)
    body = cog(scenes.noise(bands=3, height=64, width=64), scales=0.00005)
    land_item(pipeline, body, collection="sentinel-2-l2a", scale=0.0001)
    assert pipeline.plan("scene/item.json").kind is Planned.FAILED
    assert pipeline.receipt()["reason"] == "unknown-units"
    assert "exclude each other" in pipeline.receipt()["message"]


def test_what_was_done_stands_in_the_provenance(make_pipeline: Callable[..., Pipeline]) -> None:
    pipeline = make_pipeline(model=SENTINEL)
    pipeline.put(f"cog/{OF_2019}.tif", cog(scenes.noise(bands=3, height=64, width=64), scales=0.00005))
    pipeline.run(f"cog/{OF_2019}.tif")
    [metadata] = [json.loads(body) for key, body in pipeline.outputs().items() if key.endswith("_metadata.json")]
    assert [asset["conversion"] for asset in metadata["clayline"]["source"]["assets"]] == [
        {
            "rule": "1/2 * number + 0, rounded half to even, at least 1, at most 65535",
            "why": "the file's scale 5e-05; the model takes 0.0001 x number + 0",
        }
    ] * 3


@pytest.mark.parametrize(("on", "ends"), [(OnImplausible.WARN, "SceneEmbedded"), (OnImplausible.FAIL, "SceneFailed")])
def test_numbers_that_are_not_the_sensors_are_warned_of_or_refused(
    make_pipeline: Callable[..., Pipeline], on: OnImplausible, ends: str
) -> None:
    """Bytes in uint16, as a stretch to 255 makes them: nothing in the file says so."""
    pipeline = make_pipeline(model=SENTINEL, implausible_units=on)
    pixels = np.random.default_rng(3).integers(1, 256, (3, 64, 64)).astype(np.uint16)
    key = f"cog/{OF_2019}.tif"
    pipeline.put(key, cog(pixels))
    pipeline.run(key)
    receipt, [event] = pipeline.receipt(), pipeline.announced()
    assert (receipt["status"], event["type"]) == (ends, ends)
    if on is OnImplausible.FAIL:
        assert (receipt["reason"], pipeline.endpoint.taken) == ("implausible-units", [])
        assert "far too small" in receipt["message"]
    else:
        assert [warning["reason"] for warning in receipt["warnings"]] == ["implausible-units"]
        assert event["warnings"] == receipt["warnings"]
        assert "the sensor's mean 1552" in receipt["warnings"][0]["message"]


def test_refusing_implausible_numbers_is_part_of_the_run(make_pipeline: Callable[..., Pipeline]) -> None:
    runs = set()
    for on in OnImplausible:
        pipeline = make_pipeline(model=SENTINEL, implausible_units=on)
        pipeline.put(f"cog/{OF_2019}.tif", cog(scenes.noise(bands=3, height=64, width=64)))
        pipeline.run(f"cog/{OF_2019}.tif")
        receipt = pipeline.receipt()
        assert receipt["warnings"] == []
        runs.add(receipt["run"])
    assert len(runs) == len(OnImplausible)


def float_cog(fill: float, *, units: str = "reflectance") -> tuple[bytes, NDArray[Any], NDArray[np.bool_]]:
    """Write reflectances with untagged fill in the upper half of a part; give them and where they are values."""
    whole = scenes.noise(bands=3, height=64, width=64)
    pixels = (whole / 10_000).astype(np.float32)
    valid = np.ones((64, 64), np.bool_)
    valid[:20, 10:] = False
    pixels[:, ~valid] = fill
    return cog(pixels, nodata=None, units=units), whole, valid


@pytest.mark.parametrize("fill", [-9999.0, -32768.0, 65535.0, 9999.0, 1e20, -1.7e38])
def test_numbers_that_no_reflectance_can_be_are_no_values(make_pipeline: Callable[..., Pipeline], fill: float) -> None:
    """Untagged fill: it was clipped into the range, and counted as valid."""
    pipeline = make_pipeline(model=SENTINEL)
    body, whole, valid = float_cog(fill)
    key = f"cog/{OF_2019}.tif"
    pipeline.put(key, body)
    [chip] = sent(pipeline, key).values()
    assert np.array_equal(chip, np.where(valid, whole, 0))
    pipeline.drain()
    receipt, [event] = pipeline.receipt(), pipeline.announced()
    assert receipt["pixels"] == event["pixels"] == {"impossible": int((~valid).sum()), "clamped": 0}
    [warning] = receipt["warnings"]
    assert warning["reason"] == "undeclared-nodata"
    assert f"{(~valid).sum()} pixels of its chips hold numbers that are none by their unit" in warning["message"]
    assert "(possible are -0.25 to 7)" in warning["message"]
    [metadata] = [json.loads(body) for key, body in pipeline.outputs().items() if key.endswith("_metadata.json")]
    assert [asset["possible"] for asset in metadata["clayline"]["source"]["assets"]] == [[-0.25, 7]] * 3
    [table] = [body for key, body in pipeline.outputs().items() if key.endswith(".parquet")]
    assert pq.read_table(io.BytesIO(table))["valid_fraction"].to_pylist() == pytest.approx([valid.mean()])


@pytest.mark.parametrize(("fill", "possible"), [(-9999, False), (-32768, False), (-300, True)])
def test_int16_of_the_products_scale_with_fill_that_nobody_declared(
    make_pipeline: Callable[..., Pipeline], fill: int, *, possible: bool
) -> None:
    """-300 is a reflectance of -0.03: it becomes the least number, and is counted."""
    pipeline = make_pipeline(model=SENTINEL)
    pixels = scenes.noise(bands=3, height=64, width=64).astype(np.int16)
    pixels[0, :8] = fill
    key = f"cog/{OF_2019}.tif"
    pipeline.put(key, cog(pixels, nodata=None))
    [chip] = sent(pipeline, key).values()
    expected = np.maximum(pixels, 1)
    expected[:, :8] = expected[:, :8] if possible else 0
    assert np.array_equal(chip, expected)
    pipeline.drain()
    assert pipeline.receipt()["pixels"] == {"impossible": 0 if possible else 512, "clamped": 512 if possible else 0}


def test_a_unit_by_which_most_numbers_are_impossible_is_refused(make_pipeline: Callable[..., Pipeline]) -> None:
    """Numbers of Sentinel-2 as floats, called reflectances: all of them would have no value."""
    pipeline = make_pipeline(model=SENTINEL)
    pixels = scenes.noise(bands=3, height=64, width=64).astype(np.float32)
    key = f"cog/{OF_2019}.tif"
    pipeline.put(key, cog(pixels, nodata=None, units="reflectance"))
    assert pipeline.plan(key).kind is Planned.FAILED
    receipt = pipeline.receipt()
    assert receipt["reason"] == "unknown-units"
    assert "100% of its numbers that were looked at are none by their unit" in receipt["message"]
    assert "Correct scale, offset or unit" in receipt["message"]


def test_a_scene_of_fill_alone_has_no_data(make_pipeline: Callable[..., Pipeline]) -> None:
    pipeline = make_pipeline(model=SENTINEL)
    key = f"cog/{OF_2019}.tif"
    pipeline.put(key, cog(np.full((3, 64, 64), -9999, np.float32), nodata=None, units="reflectance"))
    pipeline.run(key)
    receipt = pipeline.receipt()
    assert (receipt["reason"], [warning["reason"] for warning in receipt["warnings"]]) == (
        "all-nodata",
        ["undeclared-nodata"],
    )


def test_pixels_below_the_offset_are_counted(make_pipeline: Callable[..., Pipeline]) -> None:
    pipeline = make_pipeline(model=SENTINEL)
    pixels = scenes.noise(bands=3, height=64, width=64)
    pixels[:] = np.maximum(pixels, 1001)
    pixels[1, 4] = 900
    key = f"cog/{REPROCESSED}.tif"
    pipeline.put(key, cog(pixels))
    pipeline.run(key)
    assert pipeline.receipt()["pixels"] == {"impossible": 0, "clamped": 64}
