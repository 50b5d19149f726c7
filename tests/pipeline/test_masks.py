"""Which pixels count, through the whole chain: masks, alpha bands and nodata values, against numpy."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import rasterio
from numpy.typing import NDArray
from rasterio.io import MemoryFile
from tests.pipeline import scenes
from tests.pipeline.harness import Pipeline

from clayline.model.wire import Request

HEIGHT, WIDTH = 150, 200
NAME = "cog/LC08_L1TP_224078_20200518_20200518_01_RT.tif"
COLOURS = ("red", "green", "blue")
PROFILE: dict[str, Any] = {
    "driver": "GTiff", "height": HEIGHT, "width": WIDTH, "dtype": "uint16", "crs": "EPSG:32621",
    "transform": scenes.utm_grid(gsd=30.0), "tiled": True, "blockxsize": 64, "blockysize": 64, "compress": "deflate",
}  # fmt: skip


def cog(
    pixels: NDArray[Any], names: tuple[str, ...] = COLOURS, *, mask: NDArray[np.bool_] | None = None, **profile: Any
) -> bytes:
    """Write [C, h, w], and ``mask``, True where there is a value, as the file's own mask."""
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), MemoryFile() as memory:
        with memory.open(**{**PROFILE, "count": len(pixels), **profile}) as dataset:
            dataset.write(pixels)
            for number, name in enumerate(names, start=1):
                dataset.set_band_description(number, name)
            if mask is not None:
                dataset.write_mask(mask)
        return io.BytesIO(memory.read()).getvalue()


def holes() -> NDArray[np.bool_]:
    """Say where there is a value [h, w]: nowhere in the upper left, and here and there not."""
    valid = np.ones((HEIGHT, WIDTH), np.bool_)
    valid[:70, :90] = False
    valid[100:, ::3] = False
    return valid


def rows_of(pipeline: Pipeline, name: str = ".parquet") -> dict[int, dict[str, Any]]:
    """Give the rows of the one Parquet file whose name ends so, by window."""
    (body,) = [body for key, body in pipeline.outputs().items() if key.endswith(name)]
    return {row["index"]: row for row in pq.read_table(io.BytesIO(body)).to_pylist()}


def provenance_of(pipeline: Pipeline) -> dict[str, Any]:
    (body,) = [body for key, body in pipeline.outputs().items() if key.endswith("_metadata.json")]
    content: dict[str, Any] = json.loads(body)["clayline"]
    return content


def windows_of(pipeline: Pipeline) -> Callable[[NDArray[Any], int], NDArray[Any]]:
    """Give a function that cuts a chip from a scene's plane [h, w], filled with 0 where it reaches over the edge."""
    grid = provenance_of(pipeline)["grid"]
    size, (row0, col0), cols = grid["chip_size"], grid["start"], grid["cols"]

    def window(plane: NDArray[Any], index: int) -> NDArray[Any]:
        padded = np.pad(plane, size)
        row, col = row0 + index // cols * size + size, col0 + index % cols * size + size
        return padded[row : row + size, col : col + size]

    return window


def check(pipeline: Pipeline, pixels: NDArray[Any], valid: NDArray[np.bool_]) -> None:
    """Compare every chip's fraction and the pixels that were sent with what numpy makes of the scene."""
    rows, window = rows_of(pipeline), windows_of(pipeline)
    planned = pipeline.receipt()["counts"]["planned"]
    expected = {index: float(window(valid, index).mean()) for index in range(planned)}
    assert {index: row["valid_fraction"] for index, row in rows.items()} == pytest.approx(
        {index: share for index, share in expected.items() if share}
    )
    assert 0 < len(rows) < planned
    seen = 0
    for body in pipeline.endpoint.answered.values():
        request = Request.from_bytes(body)
        for index, chip in zip(request.index.tolist(), np.asarray(request.inputs["pixels"]), strict=True):
            for sent, plane in zip(chip, pixels, strict=True):
                np.testing.assert_array_equal(sent, window(np.where(valid, plane, 0), index))
            seen += 1
    assert seen == len(rows)


def run(make_pipeline: Callable[..., Pipeline], body: bytes, **options: Any) -> Pipeline:
    pipeline = make_pipeline(chips_per_batch=7, **options)
    pipeline.put(NAME, body)
    pipeline.run(NAME)
    assert pipeline.receipt()["status"] == "SceneEmbedded", pipeline.receipt()["message"]
    return pipeline


def test_a_mask_that_a_file_carries(make_pipeline: Callable[..., Pipeline]) -> None:
    pixels = scenes.noise(bands=3, height=HEIGHT, width=WIDTH)
    pipeline = run(make_pipeline, cog(pixels, mask=holes()))
    check(pipeline, pixels, holes())
    (said,) = provenance_of(pipeline)["source"]["validity"]
    assert (said["kind"], said["directory"]) == ("mask", 2)


def test_an_alpha_band(make_pipeline: Callable[..., Pipeline]) -> None:
    pixels = scenes.noise(bands=3, height=HEIGHT, width=WIDTH)
    body = cog(np.concatenate([pixels, holes()[None] * np.uint16(9)]), photometric="RGB", alpha="YES")
    pipeline = run(make_pipeline, body)
    check(pipeline, pixels, holes())
    (said,) = provenance_of(pipeline)["source"]["validity"]
    assert (said["kind"], said["file_band"], said["directory"]) == ("alpha", 4, None)


def test_a_band_that_the_scene_names_is_no_alpha(make_pipeline: Callable[..., Pipeline]) -> None:
    """GDAL marks the fourth band of a file of bytes as alpha; 0 is a number of a near infrared."""
    pixels = scenes.noise(bands=3, height=HEIGHT, width=WIDTH)
    pixels[:, ~holes()] = 0
    named = holes()[None] * np.uint16(9)
    named[0, 0] = 0
    body = cog(np.concatenate([pixels, named]), (*COLOURS, "nir08"), photometric="RGB", alpha="YES")
    pipeline = run(make_pipeline, body)
    check(pipeline, pixels, holes())
    assert provenance_of(pipeline)["source"]["validity"] == []


def test_the_files_nodata_and_the_products_both_count(make_pipeline: Callable[..., Pipeline]) -> None:
    pixels = scenes.noise(bands=3, height=HEIGHT, width=WIDTH)
    pixels[1, ~holes()] = 0
    pixels[2, 80:95] = 65535
    valid = holes()
    valid[80:95] = False
    pipeline = run(make_pipeline, cog(pixels, nodata=65535))
    check(pipeline, pixels, valid)
    assert [asset["nodata"] for asset in provenance_of(pipeline)["source"]["assets"]] == [[65535, 0]] * 3


def test_what_the_item_calls_nodata_counts_too(make_pipeline: Callable[..., Pipeline], sample: Path) -> None:
    pipeline, files, pixels = make_pipeline(), scenes.landsat(sample), []
    for name in ("B4", "B3", "B2"):
        with MemoryFile(files[f"scene/{name}.tif"]) as memory, memory.open() as dataset:
            plane, grid = dataset.read(1), {"crs": dataset.crs, "transform": dataset.transform}
        plane[:40] = 65535
        pixels.append(plane)
        files[f"scene/{name}.tif"] = cog(plane[None], (), **grid)
    item = json.loads(files["scene/item.json"])
    for asset in item["assets"].values():
        asset["raster:bands"] = [{"nodata": 65535}]
    files["scene/item.json"] = json.dumps(item).encode()
    for key, body in files.items():
        pipeline.put(key, body)
    pipeline.run("scene/item.json")
    stack = np.stack(pixels)
    check(pipeline, stack, ((stack != 0) & (stack != 65535)).all(axis=0))


def test_masks_of_an_items_files_join(make_pipeline: Callable[..., Pipeline], sample: Path) -> None:
    """One file with a mask, one with an alpha band, one with neither."""
    pipeline = make_pipeline()
    files = scenes.landsat(sample)
    pixels, valid = [], []
    for number, name in enumerate(("B4", "B3", "B2")):
        with MemoryFile(files[f"scene/{name}.tif"]) as memory, memory.open() as dataset:
            plane, grid = dataset.read(1), {"crs": dataset.crs, "transform": dataset.transform}
        mask = np.ones(plane.shape, np.bool_)
        mask[number * 20 : number * 20 + 20] = False
        pixels.append(plane)
        valid += [plane != 0, mask] if number < 2 else [plane != 0]
        if number == 0:
            files[f"scene/{name}.tif"] = cog(plane[None], (), mask=mask, **grid)
        elif number == 1:
            files[f"scene/{name}.tif"] = cog(np.stack([plane, mask * np.uint16(255)]), (), alpha="YES", **grid)
    for key, body in files.items():
        pipeline.put(key, body)
    pipeline.run("scene/item.json")
    assert pipeline.receipt()["status"] == "SceneEmbedded"
    check(pipeline, np.stack(pixels), np.logical_and.reduce(valid))


def test_a_damaged_mask_fails_its_chips_only(make_pipeline: Callable[..., Pipeline], tmp_path: Path) -> None:
    pixels = scenes.noise(bands=3, height=HEIGHT, width=WIDTH)
    path = tmp_path / "scene.tif"
    path.write_bytes(cog(pixels, mask=holes()))
    with rasterio.open(f"GTIFF_DIR:2:{path}") as dataset:
        offset, size = (int(dataset.get_tag_item(f"BLOCK_{what}_2_1", "TIFF", bidx=1)) for what in ("OFFSET", "SIZE"))
    body = bytearray(path.read_bytes())
    body[offset : offset + size] = b"\xff" * size
    pipeline = make_pipeline(chips_per_batch=7)
    pipeline.put(NAME, bytes(body))
    pipeline.run(NAME)
    assert pipeline.receipt()["status"] == "ScenePartial"
    window = windows_of(pipeline)
    damaged = np.zeros((HEIGHT, WIDTH), np.bool_)
    damaged[64:128, 128:192] = True
    for chip in pipeline.receipt()["chips"]:
        assert (chip.get("reason") == "unreadable-pixels") == window(damaged, chip["index"]).any()
