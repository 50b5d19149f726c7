"""What the model is told of place and time, read from the request objects and recomputed from Item and files with
rasterio and pyproj.
"""

import json
import math
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import safetensors.numpy
from numpy.typing import NDArray
from pyproj import Transformer
from tests.pipeline import scenes
from tests.pipeline.ground import lattice_windows
from tests.pipeline.harness import Pipeline
from tests.server.model_folders import build_model_folder, write_manifest

SIZE = 64
CHIP = 64 * 300.0
"""Metres: corners at its multiples lie on the lattice, and three chips cover the scene."""
MOMENT = "2020-05-18T13:40:35Z"


def folder_with(path: Path, *, coordinate_order: str, hour: str, **how: Any) -> Path:
    """Build a folder whose graph takes place and time under these options."""
    folder = build_model_folder(path, inputs=("pixels", "time", "latlon"), **how)
    entries = json.loads((folder / "manifest.json").read_bytes())["entries"]
    entries[0]["options"] |= {"coordinate_order": coordinate_order, "hour": hour}
    write_manifest(folder, entries, name="tiny", version="1.0")
    return folder


def requests(pipeline: Pipeline) -> dict[int, tuple[NDArray[Any], NDArray[Any]]]:
    """Give ``time`` and ``latlon`` by window, of every request that was sent."""
    found = {}
    for body in pipeline.endpoint.answered.values():
        tensors = safetensors.numpy.load(body)
        assert tensors["time"].dtype == tensors["latlon"].dtype == np.float32
        for index, time, latlon in zip(tensors["index"].tolist(), tensors["time"], tensors["latlon"], strict=True):
            found[index] = (time, latlon)
    return found


def centre(band: bytes, index: int) -> tuple[float, float]:
    """Longitude and latitude of a window's middle pixel corner, by the file's own transform and CRS."""
    with rasterio.MemoryFile(band) as memory, memory.open() as dataset:
        row, col = lattice_windows(dataset, SIZE)[index]
        x, y = dataset.transform @ (col + SIZE / 2, row + SIZE / 2)
        lon, lat = Transformer.from_crs(dataset.crs, "OGC:CRS84", always_xy=True).transform(x, y)
    return float(lon), float(lat)


def circle(angle: float) -> list[float]:
    return [math.sin(angle), math.cos(angle)]


@pytest.mark.parametrize(
    ("order", "hour", "moment", "told_hour"),
    [
        ("lonlat", "noon", MOMENT, 12),
        ("latlon", "acquisition", MOMENT, 13),
        ("lonlat", "acquisition", None, 12),  # the sample's Item knows the day alone
        ("lonlat", "acquisition", "2021-01-01T23:59:59-02:00", 1),  # in UTC the next day, still in week 53
        ("all-zero", "all-zero", MOMENT, None),
    ],
)
def test_requests_hold_place_and_time_as_the_options_say(
    make_pipeline: Callable[..., Pipeline],
    sample: Path,
    order: str,
    hour: str,
    moment: str | None,
    told_hour: int | None,
) -> None:
    pipeline = make_pipeline(model={"coordinate_order": order, "hour": hour}, build=folder_with)
    files = scenes.landsat(sample)
    item = json.loads(files["scene/item.json"])
    if moment:
        item["properties"] |= {"datetime": moment, "start_datetime": None, "end_datetime": None}
    for key, body in (files | {"scene/item.json": json.dumps(item).encode()}).items():
        pipeline.put(key, body)
    pipeline.run("scene/item.json")
    taken = datetime.fromisoformat(moment or "2020-05-18T00:00:00Z").astimezone(UTC)
    week = int(taken.strftime("%V"))
    found = requests(pipeline)
    assert len(found) == pipeline.receipt()["counts"]["written"] > 5
    for index, (time, latlon) in found.items():
        if order == "all-zero":
            assert not time.any()
            assert not latlon.any()
            continue
        lon, lat = centre(files["scene/B2.tif"], index)
        first, second = (lon, lat) if order == "lonlat" else (lat, lon)
        np.testing.assert_allclose(
            latlon, circle(math.radians(first)) + circle(math.radians(second)), rtol=0, atol=1e-7
        )
        assert told_hour is not None
        np.testing.assert_allclose(
            time, circle(week / 52 * 2 * math.pi) + circle(told_hour / 24 * 2 * math.pi), rtol=0, atol=1e-6
        )


@pytest.mark.parametrize(
    ("crs", "origin"),
    [("EPSG:32660", (33 * CHIP, 370 * CHIP)), ("EPSG:5041", (104 * CHIP, 105 * CHIP))],
    ids=["over-the-antimeridian", "at-the-pole"],
)
def test_a_chip_where_degrees_cannot_be_averaged(
    make_pipeline: Callable[..., Pipeline], sample: Path, crs: str, origin: tuple[float, float]
) -> None:
    """Large pixels, so that chips are tens of kilometres wide.

    At 180 degrees, and around the pole, where only directions have a mean.
    """
    pipeline = make_pipeline(model={"coordinate_order": "lonlat", "hour": "noon", "gsd": 300.0}, build=folder_with)
    pixels = scenes.noise(bands=3, height=SIZE, width=3 * SIZE)
    transform = scenes.utm_grid(origin=(origin[0], origin[1]), gsd=300.0)
    item = json.loads(next(sample.glob("*.json")).read_bytes())
    files = {
        f"scene/{name}.tif": scenes.geotiff(pixels[number : number + 1], crs=crs, transform=transform, nodata=0)
        for number, name in enumerate(scenes.BANDS.values())
    }
    for key, body in (files | {"scene/item.json": json.dumps(item).encode()}).items():
        pipeline.put(key, body)
    pipeline.run("scene/item.json")
    found = requests(pipeline)
    assert len(found) == 3
    for index, (_, latlon) in found.items():
        lon, lat = centre(files["scene/B2.tif"], index)
        np.testing.assert_allclose(latlon[2:], circle(math.radians(lat)), rtol=0, atol=1e-6)
        # A degree of longitude is short up there: compare places, not angles.
        east, north = np.array([latlon[1], latlon[0]]) * math.cos(math.radians(lat))
        expected = np.array([math.cos(math.radians(lon)), math.sin(math.radians(lon))]) * math.cos(math.radians(lat))
        np.testing.assert_allclose([east, north], expected, rtol=0, atol=1e-6)
