"""Bad input: a receipt that says what was wrong, one SceneFailed event, no retry, and nothing else disturbed."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from rasterio.io import MemoryFile
from tests.pipeline import scenes
from tests.pipeline.harness import Pipeline
from tests.test_place import FOREIGN

from clayline.place import Place
from clayline.scene.intake import Landing, Mode
from clayline.steps.planning import Planned

VRT = b'<VRTDataset rasterXSize="64" rasterYSize="64"><VRTRasterBand dataType="Byte" band="1"/></VRTDataset>'


def _land(pipeline: Pipeline, files: dict[str, bytes]) -> None:
    for key, body in files.items():
        pipeline.put(key, body)


def _item(files: dict[str, bytes], change: Callable[[dict[str, Any]], None]) -> dict[str, bytes]:
    item = json.loads(files["scene/item.json"])
    change(item)
    return {**files, "scene/item.json": json.dumps(item).encode()}


def _href(href: str) -> Callable[[dict[str, Any]], None]:
    return lambda item: item["assets"]["red"].update(href=href)


CASES: dict[str, tuple[str, Callable[[dict[str, bytes]], dict[str, bytes]]]] = {
    "text for a TIFF": ("not-a-geotiff", lambda files: {**files, "scene/B4.tif": b"this is no TIFF" * 50}),
    "VRT named tif": ("not-a-geotiff", lambda files: {**files, "scene/B4.tif": VRT}),
    "zero-byte band": ("empty-object", lambda files: {**files, "scene/B4.tif": b""}),
    "truncated band": (
        "truncated",
        lambda files: {**files, "scene/B4.tif": files["scene/B4.tif"][: len(files["scene/B4.tif"]) // 2]},
    ),
    "missing band": (
        "asset-missing",
        lambda files: {key: body for key, body in files.items() if key != "scene/B4.tif"},
    ),
    "band not declared": ("no-model-entry", lambda files: _item(files, lambda item: item["assets"].pop("red"))),
    "foreign bucket": ("forbidden-href", lambda files: _item(files, _href("s3://somebody-elses/B4.tif"))),
    "foreign host": ("forbidden-href", lambda files: _item(files, _href("https://example.com/B4.tif"))),
    "GDAL's own path": ("forbidden-href", lambda files: _item(files, _href("/vsicurl/http://127.0.0.1/B4.tif"))),
    "up and out": ("forbidden-href", lambda files: _item(files, _href("../../../etc/passwd.tif"))),
    "no such asset": ("asset-missing", lambda files: _item(files, _href("./B99.tif"))),
    "invalid JSON": ("invalid-json", lambda files: {**files, "scene/item.json": b'{"type": "Feature", '}),
    "50 MB of JSON": ("item-too-large", lambda files: {**files, "scene/item.json": b" " * 50_000_000}),
    "zero-byte Item": ("empty-object", lambda files: {**files, "scene/item.json": b""}),
    "unknown collection": ("unknown-product", lambda files: _item(files, lambda item: item.update(collection="cats"))),
    "no time": (
        "no-acquisition-time",
        lambda files: _item(files, lambda item: item["properties"].update(start_datetime=None)),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_it_fails_with_a_reason_once(make_pipeline: Callable[..., Pipeline], sample: Path, name: str) -> None:
    reason, spoil = CASES[name]
    pipeline = make_pipeline()
    _land(pipeline, spoil(scenes.landsat(sample)))
    outcome = pipeline.plan("scene/item.json")
    assert outcome.kind is Planned.FAILED, outcome.message
    receipt = pipeline.receipt()
    assert (receipt["status"], receipt["reason"]) == ("SceneFailed", reason)
    assert "scene" in receipt["message"]
    assert not FOREIGN[Place.AWS].search(receipt["message"])
    assert receipt["source_uri"] == "s3://scenes/scene/item.json"
    assert pipeline.plan("scene/item.json").kind is Planned.DUPLICATE
    events = pipeline.announced()
    assert [(event["type"], event["reason"]) for event in events] == [("SceneFailed", reason)]
    # the next scene is not disturbed
    _land(pipeline, scenes.landsat(sample, folder="next"))
    pipeline.run("next/item.json")
    assert [event["type"] for event in pipeline.announced()] == ["SceneEmbedded"]


def test_no_crs(make_pipeline: Callable[..., Pipeline]) -> None:
    pipeline = make_pipeline()
    body = scenes.geotiff(
        scenes.noise(bands=3, height=80, width=80),
        crs=None,
        transform=scenes.utm_grid(),
        nodata=0,
        names=("red", "green", "blue"),
    )
    pipeline.put("cog/LC08_L1TP_001002_20200518_x.tif", body)
    assert pipeline.plan("cog/LC08_L1TP_001002_20200518_x.tif").kind is Planned.FAILED
    assert pipeline.receipt()["reason"] == "no-crs"


def test_all_nodata(make_pipeline: Callable[..., Pipeline], sample: Path) -> None:
    pipeline = make_pipeline()
    _land(pipeline, scenes.landsat(sample, row=0, col=1500))
    pipeline.run("scene/item.json")
    receipt = pipeline.receipt()
    assert (receipt["status"], receipt["reason"]) == ("SceneFailed", "all-nodata")
    assert receipt["counts"] == {"planned": 12, "written": 0, "skipped": {"nodata": 12}, "failed": {}}
    assert [event["type"] for event in pipeline.announced()] == ["SceneFailed"]
    assert list(pipeline.outputs()) == [receipt["outputs"]["receipt"].removeprefix("s3://embeddings/")]


def test_a_scene_deleted_before_its_turn(make_pipeline: Callable[..., Pipeline]) -> None:
    pipeline = make_pipeline()
    landing = Landing(mode=Mode.ITEM, bucket="scenes", key="gone.json", size=100, etag="e", landing="0" * 32)
    assert pipeline.planning.plan(landing).kind is Planned.FAILED
    assert pipeline.receipt()["reason"] == "source-missing"


@pytest.mark.parametrize(("replace", "reason"), [(True, "source-changed"), (False, "source-missing")])
def test_a_band_replaced_or_deleted_after_planning(
    make_pipeline: Callable[..., Pipeline], monkeypatch: pytest.MonkeyPatch, sample: Path, reason: str, *, replace: bool
) -> None:
    """Tile opens nothing that plan has not looked at."""
    pipeline = make_pipeline()
    _land(pipeline, scenes.landsat(sample))
    pipeline.plan("scene/item.json")
    monkeypatch.setattr("clayline.raster.damage.open_cog", lambda *_, **__: pytest.fail("tile opened it"))
    if replace:
        pipeline.put("scene/B4.tif", scenes.landsat(sample, row=900)["scene/B4.tif"])
    else:
        pipeline.s3.delete_object(Bucket="scenes", Key="scene/B4.tif")
    pipeline.drain()
    receipt = pipeline.receipt()
    assert receipt["status"] == "SceneFailed"
    assert receipt["counts"]["failed"] == {reason: 12}
    assert not pipeline.endpoint.taken


@pytest.mark.parametrize("folder", ["with space", "a+b c%2F", "Größe/雪 ☃", "100%", "q?x=1&y#z"])
def test_keys_as_people_write_them(make_pipeline: Callable[..., Pipeline], sample: Path, folder: str) -> None:
    pipeline = make_pipeline()
    _land(pipeline, scenes.landsat(sample, folder=folder))
    pipeline.run(f"{folder}/item.json")
    assert pipeline.receipt()["status"] == "SceneEmbedded"
    assert pipeline.receipt()["source_uri"] == f"s3://scenes/{folder}/item.json"


def test_json_that_is_no_item_starts_nothing(make_pipeline: Callable[..., Pipeline]) -> None:
    pipeline = make_pipeline()
    pipeline.put("LC08_MTL.json", b'{"LANDSAT_METADATA_FILE": {}}')
    assert pipeline.plan("LC08_MTL.json").kind is Planned.IGNORED
    assert pipeline.outputs() == {}
    assert pipeline.announced() == []


def _spoil(body: bytes, *, row: int, col: int) -> bytes:
    """Overwrite one block of a GeoTIFF."""
    with MemoryFile(body) as memory, memory.open() as dataset:
        start, size = (
            int(dataset.get_tag_item(f"BLOCK_{what}_{col}_{row}", "TIFF", bidx=1)) for what in ("OFFSET", "SIZE")
        )
    return body[:start] + b"\xff" * size + body[start + size :]


@pytest.mark.parametrize("memory_budget", [50_000_000, 100_000])
@pytest.mark.parametrize(("row", "col", "touching"), [(0, 0, {0, 1, 4, 5}), (1, 2, {6, 7, 10, 11}), (2, 1, {9, 10})])
def test_a_corrupt_block_fails_the_chips_that_touch_it_and_no_other(
    make_pipeline: Callable[..., Pipeline], sample: Path, row: int, col: int, touching: set[int], memory_budget: int
) -> None:
    """Chips are 64 px like the blocks, and start at rows -27, 37 and 101 and at columns -43, 21, 85 and 149."""
    files = scenes.landsat(sample, row=900)
    tables = []
    for spoilt in (files, {**files, "scene/B3.tif": _spoil(files["scene/B3.tif"], row=row, col=col)}):
        pipeline = make_pipeline(memory_budget=memory_budget)
        _land(pipeline, spoilt)
        pipeline.run("scene/item.json")
        parquet = next(body for key, body in pipeline.outputs().items() if key.endswith(".parquet"))
        tables.append(pq.read_table(pa.BufferReader(parquet)))
    receipt = pipeline.receipt()
    assert receipt["status"] == "ScenePartial"
    assert receipt["counts"] == {
        "planned": 12,
        "written": 12 - len(touching),
        "skipped": {},
        "failed": {"unreadable-pixels": len(touching)},
    }
    assert {chip["index"] for chip in receipt["chips"] if chip["state"] == "failed"} == touching
    assert [event["type"] for event in pipeline.announced()] == ["ScenePartial"]
    whole, partial = ({row["index"]: row for row in table.to_pylist()} for table in tables)
    assert set(whole) == set(range(12))
    assert set(partial) == set(whole) - touching
    for index, chip in partial.items():
        for column in ("embeddings", "valid_fraction", "cloud_fraction", "uci", "geometry"):
            assert chip[column] == whole[index][column], (index, column)


def test_a_scene_whose_every_block_is_corrupt_fails(make_pipeline: Callable[..., Pipeline], sample: Path) -> None:
    files = scenes.landsat(sample, row=900)
    for row in range(3):
        for col in range(4):
            files["scene/B3.tif"] = _spoil(files["scene/B3.tif"], row=row, col=col)
    pipeline = make_pipeline()
    _land(pipeline, files)
    pipeline.run("scene/item.json")
    receipt = pipeline.receipt()
    assert (receipt["status"], receipt["reason"]) == ("SceneFailed", "unreadable-pixels")
    assert receipt["counts"]["failed"] == {"unreadable-pixels": 12}
    assert not pipeline.endpoint.taken


def test_a_scene_smaller_than_a_chip_is_padded(make_pipeline: Callable[..., Pipeline]) -> None:
    pixels = scenes.noise(bands=3, height=20, width=30)
    body = scenes.geotiff(
        pixels, crs="EPSG:32621", transform=scenes.utm_grid(gsd=30.0), nodata=0, names=("red", "green", "blue")
    )
    pipeline = make_pipeline()
    pipeline.put("cog/LC08_L1TP_001002_20200518_x.tif", body)
    pipeline.run("cog/LC08_L1TP_001002_20200518_x.tif")
    receipt = pipeline.receipt()
    assert receipt["counts"]["written"] == 2
    table = pq.read_table(
        pa.BufferReader(next(body for key, body in pipeline.outputs().items() if key.endswith(".parquet")))
    )
    # The scene's corner lies 20 pixels in a chip from its west edge, 52 from its north edge.
    assert np.sort(table["valid_fraction"]).tolist() == pytest.approx([8 * 30 / 64**2, 12 * 30 / 64**2])
    assert np.isfinite(pc.list_flatten(table["embeddings"]).to_numpy()).all()


def test_more_batches_than_the_ledger_holds_are_refused(make_pipeline: Callable[..., Pipeline], sample: Path) -> None:
    pipeline = make_pipeline(chips_per_batch=1)
    _land(pipeline, scenes.landsat(sample))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("clayline.steps.drafting.MAX_BATCHES", 11)
        assert pipeline.plan("scene/item.json").kind is Planned.FAILED
    assert pipeline.receipt()["reason"] == "too-many-batches"
