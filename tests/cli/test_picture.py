"""The picture: clouds and nodata set no stretch, degrees and lengths are those of the ground, and no file is
overwritten.
"""

import datetime as dt
import os
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image
from pyproj import Geod, Transformer
from tests.pipeline.scenes import geotiff, utm_grid

from clayline_cli.picture.ground import Ground
from clayline_cli.picture.picture import draw
from clayline_cli.picture.rendering import Layer, Look, no_cloud, see, stretch

SIDE, CHIP = 256, 64
RGB = ("red", "green", "blue")
GEOD = Geod(ellps="WGS84")


def _ground(seed: int = 3, *, low: int = 500, high: int = 2500) -> NDArray[np.uint16]:
    """Make fields of 8 px that differ in brightness, [3, SIDE, SIDE]."""
    fields = np.random.default_rng(seed).integers(low, high, (1, SIDE // 8, SIDE // 8))
    bands = np.rint(fields * np.array([1.0, 0.9, 0.7])[:, None, None])
    return np.kron(bands, np.ones((8, 8))).astype(np.uint16)


def _scene(
    folder: Path,
    pixels: NDArray[Any],
    *,
    nodata: float | None = 0.0,
    chip: int = CHIP,
    start: tuple[int, int] | None = None,
    vectors: NDArray[np.float32] | None = None,
    valid: NDArray[np.float32] | None = None,
    index: Sequence[int] | None = None,
    losses: bool = False,
) -> dict[str, Any]:
    """Write a scene [3, SIDE, SIDE] and the embeddings of its chips; give ``draw``'s arguments."""
    (folder / "scene.tif").write_bytes(geotiff(pixels, crs="EPSG:32633", transform=utm_grid(), nodata=None))
    index = index if index is not None else range((SIDE // chip) ** 2)
    count = len(index)
    if vectors is None:
        vectors = np.random.default_rng(1).normal(size=(count, 8)).astype(np.float32)
    columns = {
        "index": pa.array(index, pa.int64()),
        "embeddings": pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1]),
        "loss": pa.array(np.linspace(0, 1, count), pa.float32()) if losses else pa.nulls(count, pa.float32()),
        "loss_metric": ["l1"] * count if losses else pa.nulls(count, pa.string()),
        "source_model": ["starter"] * count,
        "datetime": [dt.datetime(2020, 5, 18, tzinfo=dt.UTC)] * count,
        "valid_fraction": pa.array(np.ones(count) if valid is None else valid, pa.float32()),
        "cloud_fraction": pa.nulls(count, pa.float32()),
    }
    pq.write_table(pa.table(columns), folder / "scene.parquet")
    assets = [
        {"band": name, "uri": "s3://b/scene.tif", "file_band": n, "nodata": nodata, "offset": 0}
        for n, name in enumerate(RGB, 1)
    ]
    grid = {
        "crs": "EPSG:32633",
        "transform": list(utm_grid())[:6],
        "height": SIDE,
        "width": SIDE,
        "chip_size": chip,
        "start": list(start or (0, 0)),
        "lattice": {"name": f"utm33-c{chip}p10000"} if start else None,
    }
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


def _drawn(scene: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Figure:
    """Draw, and give the figure itself."""
    figures: list[Figure] = []
    save = Figure.savefig

    def kept(figure: Figure, *arguments: Any, **options: Any) -> None:
        figures.append(figure)
        save(figure, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Figure, "savefig", kept)
        assert draw(**scene)
    return figures[0]


def _seen(axes: Axes) -> NDArray[np.float64]:
    """Give the colour [SIDE, SIDE, 4] that the panel's picture has at the centre of each pixel of the scene."""
    assert (axes.get_xlim(), axes.get_ylim()) == ((0, SIDE), (SIDE, 0))  # nothing beside the scene is shown
    (image,) = axes.images
    cells = np.asarray(image.get_array())
    left, right, lower, upper = image.get_extent()
    centres = np.arange(SIDE) + 0.5
    rows = np.floor((centres - upper) / (lower - upper) * cells.shape[0]).astype(int)
    cols = np.floor((centres - left) / (right - left) * cells.shape[1]).astype(int)
    return np.asarray(cells[rows][:, cols], np.float64)


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
    layers = [Layer(path=tmp_path / "scene.tif", number=number, nodata=(30000.0,)) for number in (1, 2, 3)]
    seen, valid, cloudy = see(layers, None, Look(shape=(SIDE, SIDE)))
    assert not valid[:, : SIDE // 4].any()
    assert valid[:, SIDE // 4 :].all()
    assert not cloudy.any()
    np.testing.assert_array_equal(seen[valid], np.moveaxis(pixels, 0, -1)[valid])
    assert stretch(seen, valid, cloudy, (0, 0, 0))[:, SIDE // 4 :].std() > 0.15
    half = see(layers, None, Look(shape=(SIDE // 2, SIDE // 2)))[0]  # what is smaller is a mean of valid pixels alone
    assert half.max() < 2500


def test_cloud_that_is_little_brighter_is_known_by_the_classes(tmp_path: Path) -> None:
    pixels, classes = _ground(), np.full((1, SIDE, SIDE), 4, np.uint8)
    pixels[:, : SIDE * 3 // 4] = 5000
    classes[:, : SIDE * 3 // 4] = 9
    (tmp_path / "scene.tif").write_bytes(geotiff(pixels, crs="EPSG:32633", transform=utm_grid(), nodata=None))
    coarse = geotiff(classes[:, ::2, ::2], crs="EPSG:32633", transform=utm_grid(gsd=20.0), nodata=None)
    (tmp_path / "scl.tif").write_bytes(coarse)
    layers = [Layer(path=tmp_path / "scene.tif", number=number, nodata=(0.0,)) for number in (1, 2, 3)]
    seen, valid, cloudy = see(layers, Layer(path=tmp_path / "scl.tif", number=1), Look(shape=(SIDE, SIDE)))
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


@pytest.mark.parametrize("chip", [64, 100])  # 100 px have no eighth
def test_chips_that_reach_over_the_edges_are_drawn_where_they_lie(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chip: int
) -> None:
    north, west = 23, 39  # pixels of the first chip above and left of the scene
    rows, cols = (np.arange(SIDE) + north) // chip, (np.arange(SIDE) + west) // chip
    held = rows[:, None] * (cols[-1] + 1) + cols  # the chip that holds each pixel
    index = [number for number in range(held[-1, -1] + 1) if number not in {0, 7}]  # two were not embedded
    scene = _scene(tmp_path, _ground(), chip=chip, start=(-north, -west), index=index, losses=True)
    figure = _drawn(scene, monkeypatch)
    for axes in figure.axes[1:3]:
        seen = _seen(axes)
        colours = [np.unique(seen[held == number], axis=0) for number in index]
        assert [len(colour) for colour in colours] == [1] * len(index)
        assert len(np.unique(np.concatenate(colours), axis=0)) == len(index)
        np.testing.assert_array_equal(seen[..., 3] == 1, np.isin(held, index))


def test_chips_at_the_edge_set_no_colours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What padding does to a vector is no difference of the ground."""
    inner = np.zeros((5, 5), np.bool_)
    inner[1:4, 1:4] = True
    random = np.random.default_rng(4)
    vectors = random.normal(size=(25, 8)).astype(np.float32)
    vectors[~inner.ravel()] += random.normal(0, 100, (16, 8)).astype(np.float32)
    valid = np.where(inner.ravel(), 1.0, 0.5).astype(np.float32)
    found = []
    for name, taken in (("all", np.arange(25)), ("inner", np.flatnonzero(inner))):
        (tmp_path / name).mkdir()
        scene = _scene(
            tmp_path / name, _ground(), start=(-30, -30), index=taken.tolist(), vectors=vectors[taken],
            valid=valid[taken],
        )  # fmt: skip
        found.append(_seen(_drawn(scene, monkeypatch).axes[1])[34 : 34 + 3 * CHIP, 34 : 34 + 3 * CHIP])
    np.testing.assert_allclose(found[0], found[1], atol=1e-6)


def test_a_scene_of_which_hardly_a_chip_is_whole_has_colours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    valid = np.full(25, 0.5, np.float32)
    valid[12] = 1.0
    scene = _scene(tmp_path, _ground(), start=(-30, -30), index=range(25), valid=valid)
    colours = _seen(_drawn(scene, monkeypatch).axes[1])[..., :3]
    assert len(np.unique(colours.reshape(-1, 3), axis=0)) > 20


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
