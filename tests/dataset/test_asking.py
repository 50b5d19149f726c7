"""What is asked of a dataset, and which scenes answer."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from tests.dataset.test_snapshot import NOON, ROW

from clayline.dataset.asking import Span, box_of
from clayline.dataset.choosing import choose
from clayline.dataset.manifest import Manifest, Revised
from clayline.dataset.scene_row import Box, SceneRow, flat_boxes
from clayline.dataset.snapshot import Snapshot
from clayline.errors import DatasetError

LAST = timedelta(days=1, microseconds=-1)
DAY = datetime(2024, 6, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [
        ("2024-06-01", DAY, DAY + LAST),
        ("2024-06-01/2024-06-02", DAY, DAY + timedelta(days=1) + LAST),
        ("20240601", DAY, DAY + LAST),
        ("2024-06-01T02:00:00+02:00", DAY, DAY),
        ("2024-06-01/..", DAY, None),
        ("../2024-06-01", None, DAY + LAST),
        ((date(2024, 6, 1), None), DAY, None),
        (datetime(2024, 6, 1), DAY, DAY),  # noqa: DTZ001 - without a zone is the case
        (None, None, None),
    ],
)
def test_a_span_is_read_as_stac_has_it(asked: Any, start: datetime | None, end: datetime | None) -> None:
    found = Span.of(asked)
    assert start is None or found.start == start
    assert end is None or found.end == end
    assert found.meets(DAY, DAY)


def test_several_times_are_asked_for_together() -> None:
    for asked in (["2024-06-01", "2024-07-01/.."], "2024-06-01,2024-07-01/.."):
        found = Span.of(asked)
        assert [found.meets(DAY + timedelta(days=day), DAY + timedelta(days=day)) for day in (0, 5, 40)] == [
            True,
            False,
            True,
        ]


@pytest.mark.parametrize(
    "asked", ["2024-06-02/2024-06-01", "yesterday", "2024-13-01", "9999-12-31T23:59-12:00", "", "2024-06-01,"]
)
def test_a_span_that_is_none_is_refused(asked: str) -> None:
    with pytest.raises(DatasetError, match="time"):
        Span.of(asked)


@pytest.mark.parametrize(
    "asked", [(1, 2, 3), (0, 2, 1, 1), (0, 0, 181, 1), (0, -91, 1, 1), (float("nan"), 0, 1, 1), (0, 0, float("inf"), 1)]
)
def test_a_box_that_is_none_is_refused(asked: tuple[float, ...]) -> None:
    with pytest.raises(DatasetError, match=r"Give west, south, east, north"):
        box_of(asked)


def test_west_of_the_antimeridian_and_east_of_it_are_met_by_a_box_over_it() -> None:
    """As docs/dataset.md has it: half of the globe at most."""
    for sides in ((170, -10, -175, 10), (100, -10, -80, 10), (180, -90, -180, 90)):
        box = box_of(sides)
        assert box is not None
        assert box == box_of(box)
        for lon, is_in in ((sides[0], True), (180, True), (-180, True), (sides[2], True), (0, False), (50, False)):
            assert box.meets(Box(west=lon, south=0, east=lon, north=0)) is is_in


def test_a_box_over_the_antimeridian_is_two() -> None:
    box = box_of((170, -10, -175, 10))
    assert box is not None
    assert flat_boxes(box) == [(170, -10, 180, 10), (-180, -10, -175, 10)]
    assert flat_boxes(Box(west=1, south=2, east=3, north=4)) == [(1, 2, 3, 4)]


def _choose(*rows: SceneRow, manifest: Manifest | None = None, **asked: Any) -> Any:
    loose = [row for row in rows if not row.compacted]
    snapshot = Snapshot(manifest=manifest or Manifest(), loose=tuple(loose))
    return choose(
        snapshot,
        [row for row in rows if row.compacted],
        **{"where": None, "span": Span(), "model": None, **asked},
    )


OTHER = replace(ROW, token="starter-v1.0-l2-rgb", digest=f"sha256:{'1' * 64}")


def test_models_are_never_mixed_and_those_that_lie_there_are_listed() -> None:
    with pytest.raises(DatasetError, match=r"2 models.*starter-v1\.0-l2-rgb, starter-v1\.0-s2-rgb.*Name one"):
        _choose(ROW, OTHER)
    assert _choose(ROW, OTHER, model=OTHER.token).newest == (OTHER,)
    away = replace(OTHER, box=Box(west=20, south=0, east=21, north=1))
    assert _choose(ROW, away, where=lambda row: row.box.meets(ROW.box)).token == ROW.token


def test_two_models_under_one_token_are_not_mixed_either() -> None:
    again = replace(OTHER, token=ROW.token, scene="ba9876543210")
    with pytest.raises(DatasetError, match=r"s2-rgb@sha256:00000.*s2-rgb@sha256:11111"):
        _choose(ROW, again)
    assert _choose(ROW, again, model=f"{ROW.token}@sha256:11").newest == (again,)


def test_only_the_newest_revision_counts_unless_all_are_asked_for() -> None:
    old, new = replace(ROW, compacted=True), replace(ROW, revision=2)
    found = _choose(old, new)
    assert (found.newest, found.older, found.allowed) == ((new,), (), {})
    both = _choose(old, new, history=[])
    assert (both.newest, both.older) == ((new,), (old,))
    manifest = Manifest(revised=(Revised(token=ROW.token, scene=ROW.scene, revision=2),))
    taken_in = _choose(replace(new, compacted=True), manifest=manifest, history=[old])
    assert (taken_in.allowed, taken_in.older) == ({ROW.scene: 2}, (old,))


def test_place_and_time_choose_scenes() -> None:
    later = replace(ROW, scene="ba9876543210", start=NOON + timedelta(days=5), end=NOON + timedelta(days=5))
    assert _choose(ROW, later, span=Span.of("2024-06-02/..")).newest == (later,)
    assert _choose(ROW, later, where=lambda row: row.box.meets(Box(west=9.5, south=50, east=10, north=51))).newest == ()
