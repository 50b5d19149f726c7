"""A scene that says a day meets whatever has a moment of that day, and so do its chips: to every reader alike."""

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from tests.api.grounds import JUNE, MAY, Chips, Ground
from tests.api.worlds import TOKEN
from tests.dataset.test_snapshot import ROW

from clayline.api import Dataset
from clayline.api.rehearsing import rehearse
from clayline.likeness.centring import Centre
from clayline.likeness.examples import Computed
from clayline.likeness.probe import Probe
from clayline.likeness.watch import Watch
from clayline.table import streaming

WIDE, HIGH = 20, 15
COUNT = WIDE * HIGH
PLACE = (-54.4975, -25.4025)
"""In the first chip."""
DAY = "000000000001"
MOMENT = "000000000002"
"""The scene of 18 June says 13:40."""
VECTOR = np.random.default_rng(5).standard_normal(12).astype(np.float32)


@pytest.fixture(scope="module", params=["loose", "compact"])
def days(request: pytest.FixtureRequest) -> Ground:
    """18 May, of which nobody says the hour; 18 June 13:40; and all of July."""
    ground = Ground()
    ground.land(1, MAY, Chips(wide=WIDE, high=HIGH, seed=1), until=MAY)
    ground.land(2, JUNE, Chips(wide=WIDE, high=HIGH, seed=2))
    july = datetime(2020, 7, 1, tzinfo=UTC)
    ground.land(3, july, Chips(wide=WIDE, high=HIGH, seed=3), until=july.replace(day=31))
    if request.param == "compact":
        ground.compact()
    return ground


def scenes_of(table: Any) -> set[str]:
    found: list[str] = table["scene"].to_pylist()
    return set(found)


@pytest.mark.parametrize("look_from", [0, streaming.LOOK_FROM])
@pytest.mark.parametrize(
    ("time", "scenes"),
    [
        ("2020-05-18T12:00:00Z", {DAY}),
        ("2020-05-18T12:00:00Z/2020-05-18T13:00:00Z", {DAY}),
        ("2020-05-18T12:00:00Z/2020-06-18T13:39:00Z", {DAY}),
        ("2020-05-18T23:59:59-12:00", set()),
        ("2020-05-17/2020-05-18T00:00:00Z", {DAY}),
        ("2020-06-18T13:40:01Z/2020-06-18T14:00:00Z", {MOMENT}),
        ("2020-06-18T14:00:00Z/2020-06-18T15:00:00Z", set()),
        ("2020-05-18T12:00:00Z,2020-06-18T13:40:00Z", {DAY, MOMENT}),
        ("2020-07-12T08:00:00Z", {"000000000003"}),
        ("2020-07-31/..", {"000000000003"}),
    ],
)
def test_every_reader_takes_a_scene_and_its_chips_alike(
    days: Ground, time: str, scenes: set[str], look_from: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streaming, "LOOK_FROM", look_from)
    dataset = Dataset(days.root)
    assert {row.scene for row in dataset.scenes(time=time)} == scenes
    read = dataset.read(time=time, columns=["uci", "scene"])
    assert (scenes_of(read), read.num_rows) == (scenes, COUNT * len(scenes))
    if "," in time or "/" in time:
        sampled = dataset.sample([PLACE], time=time)
        assert scenes_of(sampled.table) == scenes
        assert [each.code for each in sampled.missing] == ([] if scenes else ["no-scene-then"])
    example = Computed(
        text="mine", token=TOKEN, digest=ROW.digest, instrument="landsat8-oli-l1", vector=VECTOR, facts=None
    )
    found = dataset.search([example], time=time, count=3 * COUNT)
    assert (scenes_of(found.table), found.looked_through) == (scenes, COUNT * len(scenes))
    assert scenes or "3 of another time" in str(found.nothing)
    centre = Centre(values=np.zeros(12, np.float32), by="rows")
    probe = Probe.of_examples(VECTOR[None], token=TOKEN, digest=ROW.digest, centre=centre)
    watch = Watch(
        name="w", version=1, created=MAY, kind="mean", probe=probe.stored(), like=("x",), threshold=0.5,
        instruments=("landsat8-oli-l1",),
    )  # fmt: skip
    rehearsed = rehearse(dataset, watch, time=time)
    assert [len(each.scores) for each in rehearsed.scenes] == [COUNT] * len(scenes)


@pytest.mark.parametrize(
    ("when", "scene"),
    [("2020-05-18T23:00:00Z", DAY), ("2020-06-03T06:00:00Z", DAY), ("2020-06-03T07:00:00Z", MOMENT)],
)
def test_nearest_is_measured_from_the_day_and_not_from_its_first_moment(days: Ground, when: str, scene: str) -> None:
    """From the end of 18 May to 18 June 13:40 the middle is 3 June 06:50; from its first moment it was 2 June 18:50."""
    assert scenes_of(Dataset(days.root).sample([PLACE], time=when).table) == {scene}


@pytest.mark.parametrize(
    "dates",
    [
        ["2020-05-18T12:00:00Z", "2020-06-18"],
        ["2020-05-18T12:00:00Z/2020-05-20", "2020-06-18T13:00:00Z/2020-06-18T14:00:00Z"],
        ["2020-05-18T12:00:00Z", "2020-07-04T12:00:00Z"],
    ],
)
def test_change_compares_days_that_moments_were_asked_of_and_names_dates_as_asked(
    days: Ground, dates: list[str]
) -> None:
    found = Dataset(days.root).change(dates=dates)
    assert (found.compared, found.reasons) == (COUNT, {})
    assert found.dates == ((dates[0], dates[1]),)


def test_change_never_puts_a_scene_of_several_dates_to_one_of_them(days: Ground) -> None:
    dates = ["2020-07-01/2020-07-10", "2020-07-11/2020-07-20"]
    found = Dataset(days.root).change(dates=dates)
    assert (found.compared, found.reasons) == (0, {"several-dates": COUNT})
    assert set(found.table["pair"].to_pylist()) == {None}
    other = Dataset(days.root).change(dates=["2020-06-18", *dates])
    assert (other.compared, other.reasons) == (0, {"several-dates": 2 * COUNT}), "June's chips have no other date"
    zoned = Dataset(days.root).change(dates=["2020-05-17T23:59:59-12:00", "2020-06-18"])
    assert (zoned.compared, zoned.dates[0][0]) == (COUNT, "2020-05-17T23:59:59-12:00")
