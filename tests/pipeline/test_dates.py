"""One ground for every date: scenes whose corners differ have equal cells where they share ground, and equal vectors
where they share pixels.

Centres are read from the plan's corners, which PROJ made, and pixels by rasterio.
"""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations, product
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import rasterio
from numpy.typing import NDArray
from pyproj import Transformer
from tests.conftest import ROOT
from tests.pipeline import scenes
from tests.pipeline.ground import chip_of, lattice_windows
from tests.pipeline.harness import WORK, Pipeline

from clayline.run.plan import Plan, PlannedChips

STARTER = ROOT / "model" / "starter" / "starter-v1.0"
NAMES = ("red", "green", "blue")
SIZE = 64


@dataclass(frozen=True, kw_only=True)
class Laid:
    """Where a planned scene's chips lie."""

    cells: list[str]
    locations: list[str]
    """First fields of the identifiers."""
    centres: NDArray[np.float64]
    """[N, 2], in pixels of the scene's CRS from its origin: what is a pixel apart differs by 1."""
    plan: Plan

    def __len__(self) -> int:
        return len(self.cells)


def laid(pipeline: Pipeline, key: str, *, crs: str) -> Laid:
    """Plan a landed scene and read what the plan says, with centres projected to ``crs``."""
    outcome = pipeline.plan(key)
    assert outcome.run, outcome.message
    stored = f"s3://{WORK}/plans/{outcome.run}"
    plan = Plan.model_validate_json(pipeline.objects.get(f"{stored}/plan.json"))
    chips = PlannedChips.from_bytes(pipeline.objects.get(f"{stored}/chips.safetensors"))
    to_crs = Transformer.from_crs("OGC:CRS84", crs, always_xy=True)
    corners = np.stack(to_crs.transform(chips.corners[..., 0], chips.corners[..., 1]), axis=-1)
    a, _, _, _, e, _ = plan.scene.transform
    cells = plan.cells(range(len(chips.uci)))
    assert None not in cells
    return Laid(
        cells=[str(cell) for cell in cells],
        locations=[uci.partition("_")[0] for uci in chips.uci],
        centres=corners.mean(axis=1) / (a, -e),
        plan=plan,
    )


def shared(one: Laid, other: Laid) -> list[tuple[int, int]]:
    """Give the chips of both whose cells are equal, after checking that cells tell ground apart, and nothing else."""
    assert len(set(one.cells)) == len(one)
    places = {cell: at for at, cell in enumerate(other.cells)}
    same = [(at, places[cell]) for at, cell in enumerate(one.cells) if cell in places]
    distance = np.abs(one.centres[:, None] - other.centres[None]).max(axis=2)
    # Half a pixel from the lattice each, on either side of it; PROJ's way there and back costs less than a thousandth.
    near = {(int(here), int(there)) for here, there in np.argwhere(distance < SIZE / 2)}
    assert set(same) == near
    assert max(distance[pair] for pair in same) <= 1.001
    return same


MEASURED = {"EPSG:4326", "EPSG:3857"}
"""Systems in which the identifiers' GSD is that of the scene's centre on the ground."""


def cog(transform: tuple[float, ...], *, height: int = 200, width: int = 260, crs: str) -> bytes:
    pixels = scenes.noise(bands=3, height=height, width=width)
    return scenes.geotiff(pixels, crs=crs, transform=rasterio.Affine(*transform), nodata=0, names=NAMES)


@pytest.mark.parametrize(
    ("crs", "corner", "pixel"),
    [
        ("EPSG:32621", (716_175.0, -2_776_515.0), 30.0),  # a tie, as every Landsat scene is one
        ("EPSG:32721", (600_007.3, 7_300_011.9), 30.0),
        ("EPSG:3857", (1_234_567.8, 5_432_109.8), 29.7),
        ("EPSG:4326", (9.000_1, 47.000_2), 0.000_27),
    ],
)
def test_crops_by_any_offset_have_the_cells_of_their_ground(
    make_pipeline: Callable[..., Pipeline], crs: str, corner: tuple[float, float], pixel: float
) -> None:
    """Offsets up to two pixels, one over a chip, and noise in the transform's last digits."""
    pipeline = make_pipeline(any_gsd=True, any_pixel_shape=crs == "EPSG:4326")
    noise = 1e-9 if pixel > 1 else 1e-13
    found = []
    for number, (down, right) in enumerate([*product(range(3), range(3)), (63, 64), (65, 31)]):
        x, y = corner[0] + right * pixel, corner[1] - down * pixel
        shaken = noise * (-1) ** number
        transform = (pixel + shaken / 1000, 0.0, x + shaken, 0.0, -pixel - shaken / 1000, y - shaken)
        key = f"cog/LC08_L1TP_001002_20200518_{number}.tif"
        pipeline.put(key, cog(transform, crs=crs))
        found.append(laid(pipeline, key, crs=crs))
    for one, other in combinations(found, 2):
        same = shared(one, other)
        assert len(same) >= 9
        for here, there in same:
            # The crops' pixels lie on each other, so that even the identifier's place is the same.
            assert one.locations[here] == other.locations[there] or crs in MEASURED
            assert one.centres[here] == pytest.approx(other.centres[there], abs=1e-3)


def test_both_hemispheres_systems_name_one_ground(make_pipeline: Callable[..., Pipeline]) -> None:
    """A scene over the equator, delivered in EPSG:32621, and the same ground in EPSG:32721."""
    pipeline = make_pipeline()
    found = []
    for crs, north in (("EPSG:32621", 1_215.0), ("EPSG:32721", 10_001_215.0)):
        key = f"cog/LC08_L1TP_001002_20200518_{crs[-5:]}.tif"
        pipeline.put(key, cog((30.0, 0.0, 600_015.0, 0.0, -30.0, north), crs=crs))
        found.append(laid(pipeline, key, crs="EPSG:32621"))
    same = shared(*found)
    assert len(same) == len(found[0]) == len(found[1])
    for here, there in same:
        assert found[0].locations[here] == found[1].locations[there]


def test_two_rows_of_one_landsat_pass_have_equal_cells_and_places(
    make_pipeline: Callable[..., Pipeline], sample: Path, shared_data: Path
) -> None:
    pipeline = make_pipeline()
    item = json.loads(next(sample.glob("*.json")).read_bytes())
    found = []
    for row in ("077", "078"):
        for band in scenes.BANDS.values():
            source = next((shared_data / "landsat8_itaipu_2020").glob(f"*_224{row}_*_{band}.TIF"))
            pipeline.put(f"{row}/{band}.tif", source.read_bytes())
        pipeline.put(f"{row}/item.json", json.dumps({**item, "id": f"row{row}"}).encode())
        found.append(laid(pipeline, f"{row}/item.json", crs="EPSG:32621"))
    same = shared(*found)
    assert len(same) >= 100
    for here, there in same:
        assert found[0].locations[here] == found[1].locations[there]
    for one in found:
        assert one.plan.scene.lattice
        assert (one.plan.scene.lattice.phase_north, one.plan.scene.lattice.phase_east) == (0.5, 0.5)


def test_two_years_of_naip_have_equal_cells_and_other_identifiers(
    make_pipeline: Callable[..., Pipeline], shared_data: Path
) -> None:
    """Their corners lie a metre apart, a fifth of a pixel. Only their grids matter here, not their instrument."""
    pipeline = make_pipeline(any_gsd=True)
    found = []
    for path in sorted((shared_data / "naip_north_dakota").glob("*.tif")):
        with rasterio.open(path) as dataset:
            pixels, crs, transform = (
                dataset.read([1, 2, 3]).astype(np.uint16),
                dataset.crs.to_string(),
                dataset.transform,
            )
        key = f"cog/LC08_L1TP_001002_{path.stem[-8:]}_x.tif"
        pipeline.put(key, scenes.geotiff(pixels, crs=crs, transform=transform, nodata=0, names=NAMES))
        found.append(laid(pipeline, key, crs=crs))
    same = shared(*found)
    assert len(same) == len(found[0]) == len(found[1]) == 12 * 16
    assert not set(found[0].locations) & set(found[1].locations)
    offsets = {tuple(np.round(found[1].centres[there] - found[0].centres[here], 3).tolist()) for here, there in same}
    assert offsets == {(-0.2, 0.2)}


def starter(path: Path, **_: Any) -> Path:
    """The real model, in place of a made-up one."""
    return Path(shutil.copytree(STARTER, path / STARTER.name))


def test_chips_of_the_same_pixels_have_the_same_vectors_to_the_bit(
    make_pipeline: Callable[..., Pipeline], sample: Path, tmp_path: Path
) -> None:
    """Two crops of the bundled scene, each chip in other company: tests/server/test_neighbours.py is why this holds."""
    tables, chips, paths = [], [], []
    for row, col in ((300, 500), (337, 531)):
        files = scenes.landsat(sample, row=row, col=col, height=760, width=900)
        pipeline = make_pipeline(build=starter, chips_per_batch=64)
        for key, body in files.items():
            pipeline.put(key, body)
        pipeline.run("scene/item.json")
        [parquet] = [body for key, body in pipeline.outputs().items() if key.endswith(".parquet")]
        paths.append(tmp_path / f"{row}.parquet")
        paths[-1].write_bytes(parquet)
        tables.append({row["cell"]: row for row in pq.read_table(pa.BufferReader(parquet)).to_pylist()})
        bands = []
        for band in scenes.BANDS.values():
            with rasterio.MemoryFile(files[f"scene/{band}.tif"]) as memory, memory.open() as dataset:
                bands.append(dataset.read(1))
                windows = lattice_windows(dataset, SIZE)
        stack = np.stack(bands)
        chips.append({row["cell"]: chip_of(stack, windows[row["index"]], SIZE) for row in tables[-1].values()})
    equal = [cell for cell in tables[0].keys() & tables[1].keys() if np.array_equal(chips[0][cell], chips[1][cell])]
    assert len(equal) >= 100
    for cell in equal:
        one, other = tables[0][cell], tables[1][cell]
        assert np.array_equal(np.array(one["embeddings"], np.float32), np.array(other["embeddings"], np.float32))
        for column in ("uci", "loss", "valid_fraction", "bbox"):
            assert one[column] == other[column], column
    page = (ROOT / "docs" / "how-to" / "read-the-files.md").read_text(encoding="utf-8")
    query = page.partition("```sql\n")[2].partition("```")[0]
    before, after = map(str, paths)
    joined = dict(duckdb.execute(query, {"before": before, "after": after}).fetchall())
    whole = {cell for cell in equal if tables[0][cell]["valid_fraction"] > 0.9}
    assert {cell for cell, likeness in joined.items() if likeness == 1} >= whole
    assert len(whole) >= 100
    others = [cell for cell in tables[0].keys() & tables[1].keys() if cell not in equal]
    assert others
    assert all(tables[0][cell]["embeddings"] != tables[1][cell]["embeddings"] for cell in others)


@pytest.mark.parametrize(
    ("name", "is_window"), [("S2A_MSIL2A_20200219T112119_T29UNU_x", True), ("S2A_MSIL2A_20200219T112119_x", False)]
)
def test_a_tile_delivered_as_one_file_has_the_tiles_windows(
    make_pipeline: Callable[..., Pipeline], name: str, *, is_window: bool
) -> None:
    """The tile stands in the file's name; one that does not say it lies on the lattice, and shares no cell with it."""
    pipeline = make_pipeline(model={"sensor": "sentinel-2-l2a", "gsd": 60.0})
    pipeline.put(f"cog/{name}.tif", cog((60.0, 0.0, 499_980.0, 0.0, -60.0, 5_900_040.0), crs="EPSG:32629"))
    found = laid(pipeline, f"cog/{name}.tif", crs="EPSG:32629")
    assert (found.plan.scene.location == "window") == is_window
    assert (found.cells == found.locations) == is_window
    assert found.cells[0] == ("29UNU-r00000c00000s64g60000" if is_window else "utm29-c64p60000-n1536e130")


def test_a_files_name_that_says_an_impossible_tile_is_refused(make_pipeline: Callable[..., Pipeline]) -> None:
    """Square QL does not lie in latitude band U: the scene may be of any tile, and its identifiers would say which."""
    pipeline = make_pipeline(model={"sensor": "sentinel-2-l2a", "gsd": 60.0})
    key = "cog/S2A_MSIL2A_20200219T112119_T32UQL_x.tif"
    pipeline.put(key, cog((60.0, 0.0, 499_980.0, 0.0, -60.0, 5_900_040.0), crs="EPSG:32629"))
    outcome = pipeline.plan(key)
    assert pipeline.receipt()["reason"] == "invalid-item"
    assert "'32UQL'" in outcome.message
    assert outcome.message.endswith("Correct the Item, or the file's name.")
