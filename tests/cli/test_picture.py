"""The picture: clouds and nodata set no stretch, degrees and lengths are those of the ground, and no file is
overwritten.
"""

import datetime as dt
import os
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image
from pyproj import Geod, Transformer
from tests.pipeline.scenes import geotiff, utm_grid

from clayline_cli.picture.ground import Ground
from clayline_cli.picture.picture import draw
from clayline_cli.picture.rendering import Layer, no_cloud, see, stretch

SIDE, CHIP = 256, 64
RGB = ("red", "green", "blue")
GEOD = Geod(ellps="WGS84")


def _ground(seed: int = 3, *, low: int = 500, high: int = 2500) -> NDArray[np.uint16]:
    """Make fields of 8 px that differ in brightness, [3, SIDE, SIDE]."""
    fields = np.random.default_rng(seed).integers(low, high, (1, SIDE // 8, SIDE // 8))
    bands = np.rint(fields * np.array([1.0, 0.9, 0.7])[:, None, None])
    return np.kron(bands, np.ones((8, 8))).astype(np.uint16)


def _scene(folder: Path, pixels: NDArray[Any], *, nodata: float | None = 0.0) -> dict[str, Any]:
    """Write a scene [3, SIDE, SIDE] and the embeddings of its chips; give ``draw``'s arguments."""
    (folder / "scene.tif").write_bytes(geotiff(pixels, crs="EPSG:32633", transform=utm_grid(), nodata=None))
    count = (SIDE // CHIP) ** 2
    vectors = np.random.default_rng(1).normal(size=(count, 8)).astype(np.float32)
    columns = {
        "index": pa.array(range(count), pa.int64()),
        "embeddings": pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), 8),
        "loss": pa.nulls(count, pa.float32()),
        "loss_metric": pa.nulls(count, pa.string()),
        "source_model": ["starter"] * count,
        "datetime": [dt.datetime(2020, 5, 18, tzinfo=dt.UTC)] * count,
        "cloud_fraction": pa.nulls(count, pa.float32()),
    }
    pq.write_table(pa.table(columns), folder / "scene.parquet")
    assets = [
        {"band": name, "uri": "s3://b/scene.tif", "file_band": n, "nodata": nodata, "offset": 0}
        for n, name in enumerate(RGB, 1)
    ]
    grid = {"crs": "EPSG:32633", "transform": list(utm_grid())[:6], "height": SIDE, "width": SIDE, "chip_size": CHIP}
    return {
        "parquet": folder / "scene.parquet",
        "provenance": {
            "source": {"id": "a scene", "assets": assets},
            "sensor": "sentinel-2-l2a",
            "grid": grid,
            "model": {},
        },
        "bands": [(folder / "scene.tif", number) for number in (1, 2, 3)],
        "target": folder / "scene.png",
    }


def _midtones(picture: Path) -> float:
    """Give the share of the scene's panel, which is the left one of two, that is neither black nor white nor grey as
    paper is.
    """
    with Image.open(picture) as image:
        pixels = np.asarray(image.convert("RGB"), float)
    panel = pixels[:, : pixels.shape[1] // 2]
    return float(((panel.mean(axis=-1) > 50) & (panel.mean(axis=-1) < 205) & (np.ptp(panel, axis=-1) < 120)).mean())


def test_cloud_over_most_of_a_scene_takes_no_contrast_from_the_ground(tmp_path: Path) -> None:
    pixels = _ground()
    clear = _scene(tmp_path, pixels)
    draw(**clear)
    pixels[:, : int(SIDE * 0.6)] = 65535
    (tmp_path / "cloudy").mkdir()
    cloudy = _scene(tmp_path / "cloudy", pixels)
    draw(**cloudy)
    assert _midtones(cloudy["target"]) > 0.3 * _midtones(clear["target"]) > 0.05  # the ground is 40 % of the scene


def test_nodata_is_what_the_scene_says_it_is(tmp_path: Path) -> None:
    pixels = _ground()
    pixels[:, :, : SIDE // 4] = 30000  # would be the whitest
    pixels[:, 0, -1] = 0  # a value as any other
    (tmp_path / "scene.tif").write_bytes(geotiff(pixels, crs="EPSG:32633", transform=utm_grid(), nodata=None))
    layers = [Layer(path=tmp_path / "scene.tif", number=number, nodata=30000.0) for number in (1, 2, 3)]
    seen, valid, cloudy = see(layers, None, (SIDE, SIDE))
    assert not valid[:, : SIDE // 4].any()
    assert valid[:, SIDE // 4 :].all()
    assert not cloudy.any()
    np.testing.assert_array_equal(seen[valid], np.moveaxis(pixels, 0, -1)[valid])
    assert stretch(seen, valid, cloudy, (0, 0, 0))[:, SIDE // 4 :].std() > 0.15
    half = see(layers, None, (SIDE // 2, SIDE // 2))[0]  # what is smaller is a mean of valid pixels alone
    assert half.max() < 2500


def test_cloud_that_is_little_brighter_is_known_by_the_classes(tmp_path: Path) -> None:
    pixels, classes = _ground(), np.full((1, SIDE, SIDE), 4, np.uint8)
    pixels[:, : SIDE * 3 // 4] = 5000
    classes[:, : SIDE * 3 // 4] = 9
    (tmp_path / "scene.tif").write_bytes(geotiff(pixels, crs="EPSG:32633", transform=utm_grid(), nodata=None))
    coarse = geotiff(classes[:, ::2, ::2], crs="EPSG:32633", transform=utm_grid(gsd=20.0), nodata=None)
    (tmp_path / "scl.tif").write_bytes(coarse)
    layers = [Layer(path=tmp_path / "scene.tif", number=number, nodata=0.0) for number in (1, 2, 3)]
    seen, valid, cloudy = see(layers, Layer(path=tmp_path / "scl.tif", number=1), (SIDE, SIDE))
    np.testing.assert_array_equal(cloudy, classes[0] == 9)
    assert stretch(seen, valid, cloudy, (0, 0, 0))[~cloudy].std() > 0.2


@pytest.mark.parametrize("sea_share", [0.1, 0.6, 0.9])
def test_land_beside_the_sea_is_no_cloud(sea_share: float) -> None:
    random = np.random.default_rng(5)
    sea = random.normal((120, 250, 300), 10, (int(10000 * sea_share), 3))
    land = random.normal((1500, 1200, 900), (400, 300, 200), (10000 - len(sea), 3))
    pixels = np.concatenate([sea, land])
    assert len(no_cloud(pixels, (0, 0, 0))) == len(pixels)


def test_thin_cloud_behind_thick_is_found_too() -> None:
    random = np.random.default_rng(5)
    land = random.normal((400, 500, 300), 60, (3000, 3))
    thin = random.normal(2600, 200, (3000, 1)) + random.normal(0, 30, (3000, 3))
    thick = random.normal(12000, 1500, (4000, 1)) + random.normal(0, 30, (4000, 3))
    assert np.array_equal(no_cloud(np.concatenate([land, thin, thick]), (0, 0, 0)), land)


def test_a_scene_of_nothing_but_cloud_is_drawn_by_what_it_has() -> None:
    seen = np.random.default_rng(2).normal(9000, 1000, (50, 50, 1)).repeat(3, axis=2).astype(np.float32)
    every = np.ones((50, 50), np.bool_)
    assert stretch(seen, every, every, (0, 0, 0)).std() > 0.15
    assert not stretch(seen, ~every, ~every, (0, 0, 0)).any()


GROUNDS = {
    "utm": Ground(crs="EPSG:32621", transform=(30.0, 0.0, 714585.0, 0.0, -30.0, 7236615.0), height=1860, width=2041),
    "geographic": Ground(
        crs="EPSG:4326", transform=(0.000178, 0.0, 13.29, 0.0, -0.000126, 60.1), height=689, width=1200
    ),
    "mercator": Ground(crs="EPSG:3857", transform=(20.0, 0.0, 1.2e6, 0.0, -20.0, 8.4e6), height=900, width=900),
    "antimeridian": Ground(
        crs="EPSG:32601", transform=(60.0, 0.0, 280000.0, 0.0, -60.0, 7300000.0), height=1830, width=1830
    ),
    "polar": Ground(
        crs="EPSG:3413", transform=(100.0, 0.0, -60000.0, 0.0, -100.0, -1200000.0), height=1000, width=1000
    ),
    "turned": Ground(
        crs="EPSG:3413", transform=(100.0, 0.0, 1200000.0, 0.0, -100.0, -1100000.0), height=1000, width=1000
    ),
    "pole": Ground(
        crs="EPSG:3413", transform=(1000.0, 0.0, -400000.0, 0.0, -1000.0, 500000.0), height=1000, width=1000
    ),
}


def _value(label: str) -> tuple[float, str]:
    number, _, direction = label.partition("°")
    return float(number) * (-1 if direction in ("W", "S") else 1), direction


@pytest.mark.parametrize("ground", GROUNDS.values(), ids=GROUNDS)
def test_degrees_stand_where_they_are(ground: Ground) -> None:
    net = ground.graticule(across=5, down=5)
    a, _, c, _, e, f = ground.transform
    to_degrees = Transformer.from_crs(ground.crs, "OGC:CRS84", always_xy=True)
    for name, ticks in (("below", net.below), ("left", net.left)):
        assert 2 <= len(ticks.pixels) == len(ticks.labels) <= 12, name
        assert all(first < second for first, second in pairwise(ticks.pixels))
        for at, label in zip(ticks.pixels, ticks.labels, strict=True):
            col, row = (at, ground.height) if name == "below" else (0.0, at)
            lon, lat = to_degrees.transform(c + a * col, f + e * row)
            value, direction = _value(label)
            off = (lat if direction in ("N", "S") else lon) - value
            # a thousandth of the scene, in whatever degrees that is here
            assert abs((off + 180) % 360 - 180) < 0.001 * max(np.ptp(net.lon[-1]), np.ptp(net.lat[:, 0])), (name, label)


def test_a_projection_that_turns_the_scene_turns_the_sides() -> None:
    assert {label[-1] for label in GROUNDS["utm"].graticule(across=5, down=5).below.labels} == {"W"}
    directions = [label[-1] for label in GROUNDS["antimeridian"].graticule(across=5, down=5).below.labels]
    assert set(directions) == {"E", "W", "°"}  # 180 has no direction
    sideways = Ground(crs="EPSG:3413", transform=(100.0, 0.0, 1200000.0, 0.0, -100.0, 50000.0), height=1000, width=1000)
    net = sideways.graticule(across=5, down=5)  # 45 degrees east: south lies to the right
    assert {label[-1] for label in net.below.labels} == {"N"}
    assert {label[-1] for label in net.left.labels} == {"E"}


@pytest.mark.parametrize("ground", GROUNDS.values(), ids=GROUNDS)
def test_the_scale_bar_is_as_long_on_the_ground_as_it_says(ground: Ground) -> None:
    metres, columns = ground.scale_bar()
    assert f"{metres:.0e}"[0] in "125"
    assert float(f"{metres:.0e}") == metres
    assert 0.1 * ground.width < columns < 0.31 * ground.width
    a, _, c, _, e, f = ground.transform
    to_degrees = Transformer.from_crs(ground.crs, "OGC:CRS84", always_xy=True)
    ends = [
        to_degrees.transform(c + a * (ground.width + side * columns) / 2, f + e * ground.height / 2) for side in (-1, 1)
    ]
    assert GEOD.inv(*ends[0], *ends[1])[2] == pytest.approx(metres, rel=1e-4)


def test_what_is_there_is_not_overwritten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = _scene(tmp_path, _ground())
    scene["target"].write_bytes(b"somebody's")
    assert not draw(**scene)
    assert scene["target"].read_bytes() == b"somebody's"
    scene["target"].unlink()
    save = Figure.savefig

    def late(*arguments: Any, **options: Any) -> None:
        save(*arguments, **options)
        scene["target"].write_bytes(b"another's")  # came while the picture was drawn

    monkeypatch.setattr(Figure, "savefig", late)
    assert not draw(**scene)
    assert scene["target"].read_bytes() == b"another's"
    assert {path.name for path in tmp_path.iterdir()} == {"scene.tif", "scene.parquet", "scene.png"}


def test_a_file_system_without_links_gets_the_picture_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "link", refuse)
    scene = _scene(tmp_path, _ground())
    assert draw(**scene)
    with Image.open(scene["target"]) as picture:
        assert "a scene" in str(picture.info["Title"])
