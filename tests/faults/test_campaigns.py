"""A slice of the fault run (`make faults`, docs/reliability.md): the same campaigns each time."""

import subprocess
import sys
from collections import Counter
from dataclasses import replace
from itertools import accumulate, repeat
from pathlib import Path
from random import Random

import pytest
from tests.conftest import ROOT
from tests.faults.campaign import models, run_campaign
from tests.faults.imagery import SCENES, make_scene
from tests.faults.injection import Rates
from tests.faults.profile import CALM, COMPUTED_TWICE, HEALING, LEDGER_LOST, NARROW, OUTAGE, ROUGH, Profile
from tests.faults.queues import Weather
from tests.faults.storage import KEPT_DAYS
from tests.faults.tables import GeoParquet, Plain
from tests.faults.world import LEASE, MOST, RECEIVES, TIMEOUTS, VISIBILITY, World

from clayline.aws.messages import WAITS
from clayline_local.template import LOCAL_PARAMETERS, TEMPLATE, expand

SEED, CAMPAIGNS = 6, 6
WRITES = {
    "plan items.put_new", "plan ledger.claim", "plan ledger.revision", "plan objects.put_new",
    "plan ledger.keep_landing", "plan ledger.planned", "plan ledger.hand_out", "plan tile.send", "tile objects.put_new",
    "tile ledger.begin", "tile endpoint.invoke", "tile ledger.invoked", "tile result.send", "settle ledger.close",
    "settle objects.put_new", "settle ledger.enter", "settle settled.send", "collect objects.put_new",
    "collect ledger.enter", "collect announcer.announce", "collect ledger.announced", "collect ledger.answer_landing",
}  # fmt: skip
"""Of the way of a scene that is embedded."""


@pytest.mark.parametrize("table", [Plain(), GeoParquet()], ids=["plain", "geoparquet"])
def test_without_faults_nothing_is_amiss(table: Plain | GeoParquet, tmp_path: Path) -> None:
    told = run_campaign(replace(CALM, empty=0.0), seed=f"quiet:{SEED}:0", table=table, scratch=tmp_path)
    assert told.violations == ()
    assert told.injected == Counter()
    assert told.ends == Counter(SceneEmbedded=CALM.scenes)


@pytest.mark.parametrize("number", range(CAMPAIGNS))
def test_faults_that_heal_leave_what_a_quiet_run_leaves(number: int, tmp_path: Path) -> None:
    table = GeoParquet() if number == 0 else Plain()
    told = run_campaign(HEALING, seed=f"healing:{SEED}:{number}", table=table, scratch=tmp_path)
    assert told.violations == ()
    assert told.batches > 0
    assert not told.ends["ScenePartial"]


@pytest.mark.parametrize("number", range(CAMPAIGNS))
def test_faults_that_do_not_heal_lose_nothing(number: int, tmp_path: Path) -> None:
    table = GeoParquet() if number == 0 else Plain()
    told = run_campaign(ROUGH, seed=f"rough:{SEED}:{number}", table=table, scratch=tmp_path)
    assert told.violations == ()


def test_an_outage_is_borne_though_requests_expire_meanwhile(tmp_path: Path) -> None:
    told = run_campaign(OUTAGE, seed=f"outage:{SEED}:0", table=Plain(), scratch=tmp_path)
    assert told.violations == ()


@pytest.mark.parametrize("kind", ["published", "cogs"])
def test_scenes_of_one_kind_bear_what_others_bear(kind: str, tmp_path: Path) -> None:
    quiet = replace(CALM, empty=0.0, published=float(kind == "published"), cogs=float(kind == "cogs"))
    for profile in (replace(quiet, returns=1.0), replace(HEALING, cogs=quiet.cogs, published=quiet.published)):
        told = run_campaign(profile, seed=f"{kind}:{SEED}:{profile.name}", table=Plain(), scratch=tmp_path)
        assert told.violations == ()
        assert told.ends["SceneEmbedded"] >= profile.scenes
        assert not told.ends["ScenePartial"]


def test_a_call_that_is_refused_once_costs_a_minute(tmp_path: Path) -> None:
    profile = Profile(name="refused", latency=1.0, outage=30.0)
    (model, *_) = models()
    world = World(profile, seed="refused", models=(model,), table=Plain(), scratch=tmp_path)
    scene = make_scene("scene", Random(SEED), side=3, empty=0.0)
    for key, body in scene.files.items():
        world.storage.put(f"s3://{SCENES}/{key}", body)
    world.entrances.land(scene.key, scene.item)
    world.run()
    (event,) = world.events
    assert event.kind == "SceneEmbedded"
    assert WAITS[0].total_seconds() < event.at < 2 * WAITS[0].total_seconds()


@pytest.mark.parametrize("profile", [LEDGER_LOST, COMPUTED_TWICE], ids=lambda profile: profile.name)
def test_what_is_known_twice_or_no_more_is_borne(profile: Profile, tmp_path: Path) -> None:
    for number in range(3):
        told = run_campaign(profile, seed=f"{profile.name}:{number}", table=Plain(), scratch=tmp_path)
        assert told.violations == ()
        assert not told.ends["ScenePartial"]
        assert profile.loses_ledger <= (told.ends["SceneEmbedded"] > profile.scenes), "each scene has two ends"


@pytest.mark.parametrize("number", range(3))
def test_a_scene_larger_than_the_room_ends(number: int, tmp_path: Path) -> None:
    told = run_campaign(NARROW, seed=f"narrow:{SEED}:{number}", table=Plain(), scratch=tmp_path)
    assert told.violations == ()
    assert told.batches > NARROW.in_flight


def test_a_kill_comes_before_and_after_every_write(tmp_path: Path) -> None:
    profile = Profile(
        name="kills", scenes=12, side=3, empty=0.4, rates=Rates(killed=0.2), relandings=0.6, published=0.3
    )
    injected: Counter[tuple[str, str]] = Counter()
    for number in range(40):
        told = run_campaign(profile, seed=f"kills:{number}", table=Plain(), scratch=tmp_path)
        assert told.violations == ()
        injected += told.injected
        if all(injected[where, kind] for where in WRITES for kind in ("killed before", "killed after")):
            return
    missed = [(where, kind) for where in WRITES for kind in ("killed before", "killed after")]
    raise AssertionError(f"never: {[each for each in missed if not injected[each]]}")


def test_messages_that_come_twice_cost_nothing(tmp_path: Path) -> None:
    profile = Profile(name="twice", weather=Weather(late=0.5, twice=0.9), relandings=0.5)
    told = run_campaign(profile, seed=f"twice:{SEED}", table=Plain(), scratch=tmp_path)
    assert told.violations == ()


def test_a_seed_replays_in_another_process(tmp_path: Path) -> None:
    here = run_campaign(ROUGH, seed=f"rough:{SEED}:0", table=Plain(), scratch=tmp_path)
    program = (
        "import sys; from pathlib import Path; from tests.faults.campaign import run_campaign;"
        "from tests.faults.profile import ROUGH; from tests.faults.tables import Plain;"
        f"print(run_campaign(ROUGH, seed='rough:{SEED}:0', table=Plain(), scratch=Path({str(tmp_path)!r})).trace)"
    )
    environment = {"PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "77"}
    there = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert there.stdout.strip() == here.trace
    other = run_campaign(ROUGH, seed=f"rough:{SEED}:1", table=Plain(), scratch=tmp_path)
    assert other.trace != here.trace


def test_times_and_counts_are_the_template_s() -> None:
    stack = expand(TEMPLATE, LOCAL_PARAMETERS)
    functions = {"scene": "plan", "tile": "tile", "result": "settle", "settled": "collect"}
    for name, function in functions.items():
        queue = stack.resources[f"{name.title()}Queue"].properties
        assert queue["VisibilityTimeout"] == VISIBILITY[name]
        assert queue["VisibilityTimeout"] > WAITS[-1].total_seconds()  # a wait is never longer than the queue's
        assert int(queue["RedrivePolicy"]["maxReceiveCount"]) == RECEIVES
        consumer = stack.resources[f"{function.title()}Function"]
        assert consumer.properties["Timeout"] == TIMEOUTS[function]
        (mapping,) = [
            each.properties
            for each in stack.of_type("AWS::Lambda::EventSourceMapping")
            if each.properties["FunctionName"] == consumer.physical.ref
        ]
        assert mapping["BatchSize"] == MOST[name]
    assert stack.resources["ReconcileFunction"].properties["Timeout"] == TIMEOUTS["reconcile"]
    assert int(str(stack.parameters["LeaseSeconds"])) == LEASE
    rules = stack.resources["WorkBucket"].properties["LifecycleConfiguration"]["Rules"]
    days = {rule["Prefix"].strip("/"): rule["ExpirationInDays"] for rule in rules if "Prefix" in rule}
    assert {prefix: days.get(prefix) for prefix in KEPT_DAYS} == KEPT_DAYS


def test_the_page_on_states_says_when_a_failing_message_comes_again() -> None:
    page = (ROOT / "docs" / "states.md").read_text(encoding="utf-8")
    names = {"scene": "scenes", "tile": "tile jobs", "result": "results", "settled": "settled scenes"}
    for queue, name in names.items():
        own = VISIBILITY[queue] / 60
        waits = [*(wait.total_seconds() / 60 for wait in WAITS), *repeat(own, RECEIVES - len(WAITS))]
        *received, dead = accumulate(waits, initial=0.0)
        said = ", ".join(f"{minutes:.0f}" for minutes in received)
        assert f"| {name} | {own:.0f} min | {said} | {dead:.0f} min |" in page
