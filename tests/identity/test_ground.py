"""Names of the ground: one family a grid, one text a cell, equal in both hemispheres' systems."""

import re
from pathlib import Path

import pytest
import rasterio
from hypothesis import given
from hypothesis import strategies as st

from clayline.chips.lattice import METRIC, Lattice, lay_lattice
from clayline.identity.ground import cell_name, grid_family, lattice_name

CELL = re.compile(
    r"(utm\d\d|ups[ns]|epsg\d+|crs[0-9a-f]{12})-c[1-9]\d*p[1-9]\d*(x[1-9]\d*)?-(n\d+|s[1-9]\d*)(e\d+|w[1-9]\d*)"
)
"""docs/uci.md, Cells."""


@pytest.mark.parametrize(
    ("epsg", "family"),
    [
        (32621, "utm21"),
        (32721, "utm21"),
        (32601, "utm01"),
        (5041, "upsn"),
        (32661, "upsn"),
        (5042, "upss"),
        (32761, "upss"),
        (26914, "epsg26914"),
        (3857, "epsg3857"),
        (4326, "epsg4326"),
        (32799, "epsg32799"),
    ],
)
def test_a_family_is_one_grid(epsg: int, family: str) -> None:
    assert grid_family("ignored", epsg)[0] == family


def test_a_crs_without_a_code_is_named_by_its_digest() -> None:
    one, other = grid_family('PROJCRS["one"]', None)[0], grid_family('PROJCRS["other"]', None)[0]
    assert re.fullmatch("crs[0-9a-f]{12}", one)
    assert one != other


def lay(epsg: int, east: float, north: float) -> Lattice:
    family, false_northing = grid_family("", epsg)
    laid = lay_lattice(
        (30.0, 0.0, east, 0.0, -30.0, north),
        height=300,
        width=300,
        size=64,
        units=METRIC,
        family=family,
        false_northing=false_northing,
    )
    assert laid is not None
    return laid


@given(st.integers(166_000, 834_000), st.integers(-9_000_000, 9_000_000))
def test_both_hemispheres_systems_name_the_same_ground_alike(east: int, north: int) -> None:
    one, other = lay(32621, east, north), lay(32721, east, north + 10_000_000)
    assert one == other
    names = {cell_name(one, row=row, col=col) for row in range(5) for col in range(5)}
    assert len(names) == 25
    assert all(CELL.fullmatch(name) for name in names)


def test_names_say_which_way_the_ground_lies() -> None:
    laid = lay(32621, 0.0, 64 * 30)
    assert (laid.row, laid.col) == (0, 0)
    assert lattice_name(laid) == "utm21-c64p30000"
    assert cell_name(laid, row=0, col=0) == "utm21-c64p30000-n0e0"
    assert cell_name(laid, row=1, col=2) == "utm21-c64p30000-s1e2"
    assert cell_name(lay(32621, -64 * 30, 0.0), row=0, col=0) == "utm21-c64p30000-s1w1"


def test_the_example_of_the_specification_is_the_bundled_scenes_first_cell(sample: Path) -> None:
    text = (Path(__file__).parents[2] / "docs" / "uci.md").read_text(encoding="utf-8")
    with rasterio.open(sample / "B2.tif") as dataset:
        transform, height, width, epsg = (
            tuple(dataset.transform)[:6],
            dataset.height,
            dataset.width,
            dataset.crs.to_epsg(),
        )
    family, _ = grid_family("", epsg)
    laid = lay_lattice(transform, height=height, width=width, size=64, units=METRIC, family=family)
    assert laid is not None
    name = cell_name(laid, row=0, col=0)
    assert CELL.fullmatch(name)
    assert f"`{name}` is the cell" in text


def test_pixels_that_are_not_square_are_named_by_both_sides() -> None:
    laid = lay_lattice((2.0, 0, 0, 0, -3.0, 0), height=9, width=9, size=8, units=METRIC, family="epsg3857")
    assert laid is not None
    assert lattice_name(laid) == "epsg3857-c8p2000x3000"
