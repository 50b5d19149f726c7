"""A cell's neighbours, against looking at every other cell."""

import numpy as np
import pytest

from clayline.likeness.neighbouring import Places, medians, neighbours


def test_names_of_cells_are_places_on_grids() -> None:
    places = Places.of([
        "utm21-c64p30000-s1447e373", "utm21-c64p30000-n2w3", "epsg4326-c64p250000x125000-n0e0", None, "nonsense",
        "32UQD-r00256c00512s256g10000", "32UQD-r10724c10724s256g10000", "32UQD-r00512c00512s512g10000",
    ])  # fmt: skip
    assert places.grid.tolist() == [0, 0, 1, -1, -1, 2, 2, 3]
    assert list(zip(places.row.tolist(), places.col.tolist(), strict=True)) == [
        (-1447, 373), (2, -3), (0, 0), (-1, -1), (-1, -1), (1, 2), (42, 42), (1, 1),
    ]  # fmt: skip


def test_neighbours_are_the_eight_around_on_the_same_grid_and_in_the_same_group() -> None:
    random = np.random.default_rng(3)
    grid, row, col, group = (random.integers(low, high, 400) for low, high in ((0, 2), (-6, 6), (-6, 6), (0, 2)))
    _, first = np.unique(np.stack([grid, row, col, group]), axis=1, return_index=True)
    places = Places(grid=grid[first], row=row[first], col=col[first])
    places.grid[:5] = -1
    of_group = group[first]
    found = neighbours(places, of_group)
    for at in range(len(first)):
        expected = {
            other
            for other in range(len(first))
            if other != at
            and places.grid[at] == places.grid[other] >= 0
            and of_group[at] == of_group[other]
            and abs(places.row[at] - places.row[other]) <= 1
            and abs(places.col[at] - places.col[other]) <= 1
        }
        assert {number for number in found[at].tolist() if number >= 0} == expected


def test_medians_leave_out_what_is_unknown() -> None:
    around = np.array([[1, 2, 3, -1], [0, -1, -1, -1], [-1, -1, -1, -1], [0, 1, 2, 3]])
    values = np.array([10.0, 1.0, np.nan, 4.0])
    assert medians(around, values) == pytest.approx([2.5, 10.0, np.nan, 4.0], nan_ok=True)


def test_nothing_has_no_neighbours() -> None:
    assert neighbours(Places.of([]), np.empty(0, np.int64)).shape == (0, 8)
    assert neighbours(Places.of([None]), np.zeros(1, np.int64)).tolist() == [[-1] * 8]
