"""The simulation of a week replays, loses nothing, and answers as it should; small ones are tried here."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from benchmarks.simulate_arrivals import DAY, HOUR, LAND, SPREAD, Stall, arrivals, land_below
from benchmarks.simulate_chain import Chain, Settings
from benchmarks.simulate_ledger import StateLedger
from benchmarks.simulate_report import Told
from benchmarks.simulate_week import needed, simulate
from benchmarks.simulate_work import giant, sentinel
from tests.run.memory_ledger import MemoryLedger

from benchmarks import cost
from clayline.run.prices import built_in
from clayline.run.result import BatchResult
from clayline.run.state import RunState

INSTANCE = built_in().instances[0]
SMALL = Settings(chips_per_second=40.0, most_instances=3, most_in_flight=300, tile_at_once=10)
NOW = datetime(2026, 11, 27, tzinfo=UTC)


def small(settings: Settings, *, seed: int = 1, scenes: int = 150, large: int = 0) -> tuple[Chain, Told]:
    """Simulate six hours."""
    more = (giant(large), HOUR) if large else None
    return simulate(settings, days=0.25, scenes_a_day=4 * scenes, seed=seed, instance=INSTANCE, large=more)


def test_the_same_seed_gives_the_same_week_and_another_seed_another() -> None:
    (first, told), (second, again), (_, other) = (small(SMALL, seed=seed, scenes=60) for seed in (1, 1, 2))
    assert first.ended == second.ended
    assert told == again
    assert told != other


@pytest.mark.parametrize("lost", [0.0, 0.05])
def test_every_scene_ends_once_and_every_batch_once(lost: float) -> None:
    chain, told = small(replace(SMALL, lost=lost))
    assert told.unfinished == 0
    assert len(chain.ended) == told.scenes == 150
    assert told.batches == told.computed == 150 * len(sentinel().chips)
    assert not chain.scenes
    assert not chain.ledger.runs
    assert not chain.objects.answers
    assert (chain.calls["ledger.close"] > 0) == (lost > 0), "reconcile finds the answers that nobody told of"
    # A request lies there until its scene ends, at most.
    gb_months = sum(chain.whole) / (30 * DAY) * sentinel().work.request_bytes / 1e9
    stored = gb_months * built_in().services.s3_gb_month.each / told.days
    assert told.dollars["request objects, from landing to event"] == pytest.approx(stored, rel=1e-3)


def test_a_scene_that_is_larger_than_the_room_ends_and_starves_nobody() -> None:
    chain, told = small(SMALL, large=2_000)
    assert told.unfinished == 0
    assert told.batches == 150 * len(sentinel().chips) + 2_000
    begun, end = next((begun, end) for begun, end, work in chain.ended if len(work.chips) == 2_000)
    meanwhile = [at for landed, at, work in chain.ended if begun < landed < end and len(work.chips) < 2_000]
    assert len(meanwhile) > 5
    assert sum(at < end for at in meanwhile) > 0.9 * len(meanwhile), "scenes that land later go past it"
    assert told.ages["without a job, in line"].longest < 600, "whoever waits is given jobs every few minutes"
    assert told.most_in_flight < 2 * SMALL.most_in_flight


def test_a_line_far_longer_than_a_pass_reaches_ends_as_fast_as_it_is_computed() -> None:
    """What is free is divided among those that a pass looks at: among all that wait it would take twice as long."""
    settings = replace(SMALL, chips_per_second=100.0, tile_at_once=60, most_in_flight=1_000)
    _, told = simulate(settings, days=1 / 24, scenes_a_day=24 * 400, seed=1, instance=INSTANCE)
    assert told.most_waiting > 200
    assert told.unfinished == 0
    computing = 400 * sentinel().work.chips / (100.0 * SMALL.most_instances)
    assert told.days * DAY < 1.5 * computing + HOUR


def test_twice_the_time_of_the_gpu_needs_about_twice_the_instances() -> None:
    slow = replace(SMALL, chips_per_second=2.5, backlog_per_instance=20, patience=timedelta(hours=6))
    half, once, twice = needed(slow, days=0.25, scenes_a_day=120, seed=1, instance=INSTANCE)
    assert (half.factor, once.factor, twice.factor) == (0.5, 1.0, 2.0)
    assert half.instances < once.instances < twice.instances
    assert twice.instances / once.instances == pytest.approx(2, abs=0.7)
    assert twice.told.instances_busy == pytest.approx(2 * once.told.instances_busy, rel=0.05)


def test_requests_that_wait_longer_than_they_are_kept_expire_and_are_sent_again() -> None:
    slow = replace(SMALL, chips_per_second=10.0, most_instances=1, request_ttl=300.0, most_in_flight=2_000)
    _, told = small(slow, scenes=60)
    assert told.expired > 0
    assert told.batches == 60 * len(sentinel().chips)


def test_the_layout_is_that_of_the_page_on_cost() -> None:
    laid, known = sentinel(), cost.sentinel_2()
    assert (sum(laid.chips), len(laid.jobs), len(laid.chips)) == (known.chips, known.jobs, known.batches)
    assert sum(laid.by_job) == len(laid.chips)


def test_scenes_land_by_passes_and_none_in_a_standstill() -> None:
    stall = Stall(start=0.5 * DAY, hours=6)
    free, stalled = (
        arrivals(days=1, scenes_a_day=3_000, chance=Random(1), stall=each)  # noqa: S311
        for each in (None, stall)
    )
    assert len(free) == len(stalled) == 3_000
    assert free == sorted(free)
    assert not [at for at in stalled if 0.5 * DAY <= at < 0.75 * DAY]
    gap = DAY / (2 * 14.3)
    assert all(at % gap < SPREAD for at in free)
    assert sum(LAND) == pytest.approx(1, abs=0.01)
    # At 9:30 UTC a satellite is over 15 E, Europe and Africa; at 21:30 over 165 W, the Pacific.
    assert land_below(9.5 * HOUR) > 10 * land_below(21.5 * HOUR)


def test_the_ledger_with_an_index_gives_what_the_one_of_the_tests_gives() -> None:
    chance = Random(3)  # noqa: S311
    plain, indexed = MemoryLedger(), StateLedger()
    for step in range(600):
        now, run = NOW + timedelta(seconds=step), f"{chance.randrange(40):032x}"
        draw = chance.randrange(5)
        for ledger in (plain, indexed):
            row = ledger.run(run)
            if row is None or draw == 0:
                ledger.claim(run, scene=run, origin="", now=now, lease_until=now, due=now)
            elif draw == 1:
                ledger.planned(run, jobs=3, batches=6, due=now)
            elif draw == 2:
                ledger.hand_out(run, start=row.handed, stop=row.handed + 1, out=row.out + 2, due=now)
                ledger.begin(run, f"b{row.handed:05d}", job=row.handed, attempt=1, now=now)
            elif draw == 3:
                ledger.close(BatchResult(run=run, batch="b00000", attempt=1, status="succeeded", output="s3://w/o"))
            else:
                ledger.postpone(run, due=row.due, until=now + timedelta(minutes=1), look=now)
        assert {each.run: each for each in plain.flights()} == {each.run: each for each in indexed.flights()}
        for state in RunState:
            assert plain.overdue(state, now=now, most=5) == indexed.overdue(state, now=now, most=5)
    assert {row.state for row in plain.runs.values()} == {RunState.CLAIMED, RunState.WAITING, RunState.RUNNING}
