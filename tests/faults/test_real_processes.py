"""A slice of `make faults-real`: tile and collect are killed with a message in hand, and nobody sees it in the files.

Then the judge is shown what must never be, so that its silence means something.
"""

import json
import time
from collections.abc import Iterator

import pytest
from tests.faults.processes import QUEUES, Tended
from tests.faults.real import PARAMETERS
from tests.faults.real_scenes import Scenes
from tests.faults.real_verdict import Judge, Judgement, Rows, fetch, rows_of, subject

from clayline_local.emulation import Emulation
from clayline_local.session import Session
from clayline_local.worker import Retry

pytestmark = pytest.mark.pipeline
KILLED = ("TileFunction", "CollectFunction")
LONG = 300.0
"""Seconds after which something hangs, however busy the machine is."""
WINDOW = "small"


@pytest.fixture(scope="module")
def healed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Tended, dict[str, Rows]]]:
    """One quiet scene, and scenes until each of KILLED was killed with a message in hand; all are at rest."""
    scenes = Scenes(tmp_path_factory.mktemp("scenes"), windows={WINDOW: (200, 900, 150, 200)})
    emulation = Emulation(supervised=True, retry=Retry(killed=3))
    parameters = {**PARAMETERS, "PatienceSeconds": "5"}
    with Session(parameters=parameters, logs=tmp_path_factory.mktemp("logs"), emulation=emulation) as session:
        tended = Tended(session, endpoint_down=0.0, tell=print)
        tended.land(scenes.scene(WINDOW, "quiet"))
        assert tended.until_quiet(seconds=LONG) is None
        expected = rows_of(fetch(session, tended.events[0]["detail"]["outputs"]["parquet"]))
        for name in KILLED:
            strike_at_work(tended, name, scenes)
        assert tended.until_quiet(seconds=LONG) is None
        yield tended, {WINDOW: expected}


def strike_at_work(tended: Tended, name: str, scenes: Scenes) -> None:
    """Kill a worker with a message in hand. A scene that got by unseen is followed by another."""
    deadline = time.monotonic() + LONG
    while not (tended.is_busy(name) and tended.strike(name, only_busy=True)):
        assert time.monotonic() < deadline, f"{name} never had a message in hand: {tended.depth(QUEUES[name])}"
        if not tended.untold:
            tended.land(scenes.scene(WINDOW, f"scene-{len(tended.landed)}"))
        tended.tend()


def judged(healed: tuple[Tended, dict[str, Rows]]) -> Judgement:
    tended, expected = healed
    return Judge(tended, expected=expected).judge()


def test_killed_workers_leave_no_trace_in_the_files(healed: tuple[Tended, dict[str, Rows]]) -> None:
    tended, expected = healed
    told = judged(healed)
    assert told.violations == []
    assert dict(tended.busy_kills) == dict.fromkeys(KILLED, 1)
    assert expected[WINDOW]
    assert told.scenes == len(tended.landed) >= 2
    assert told.written == told.scenes * len(expected[WINDOW])
    assert (told.failed, told.lost, told.duplicated) == (0, 0, 0)
    assert told.planned == told.written + told.skipped


def test_other_rows_than_the_quiet_ones_are_seen(healed: tuple[Tended, dict[str, Rows]]) -> None:
    tended, expected = healed
    (uci, index, vector, loss), *others = expected[WINDOW]
    flipped = bytes([vector[0] ^ 1]) + vector[1:]
    told = Judge(tended, expected={WINDOW: ((uci, index, flipped, loss), *others)}).judge()
    assert len(told.violations) == told.scenes
    assert all("those of a quiet run" in violation for violation in told.violations)


def test_a_dead_letter_that_nobody_took_up_is_seen(healed: tuple[Tended, dict[str, Rows]]) -> None:
    tended, _ = healed
    url = tended.session.stack.resources["TileDlq"].physical.ref
    over = tended.events[0]["detail"]["run"]
    for run in (over, "0" * 32):
        tended.session.sqs.send_message(QueueUrl=url, MessageBody=json.dumps({"run": run, "job": 0}))
    told = judged(healed)
    assert told.dead == 2
    assert [violation.partition(":")[0] for violation in told.violations] == ["TileDlq"]
    assert "0" * 32 in told.violations[0]


def test_what_dead_letters_are_about_is_read_from_each_kind() -> None:
    run = "1" * 32
    told = {"Message": json.dumps({"inferenceId": f"{run}-000001-a1"})}
    landed = {"detail": {"bucket": {"name": "scenes"}, "object": {"key": "a/item.json"}}}
    about = [subject(json.dumps(body)) for body in ({"run": run, "job": 1}, told, landed)]
    assert about == [run, run, "s3://scenes/a/item.json"]


def test_what_is_gone_or_was_never_named_is_seen(healed: tuple[Tended, dict[str, Rows]]) -> None:
    """Last: it breaks what the others look at."""
    tended, _ = healed
    session = tended.session
    outputs = tended.events[0]["detail"]["outputs"]
    bucket = session.embeddings_bucket
    session.s3.put_object(Bucket=bucket, Key="stray.parquet", Body=b"")
    session.s3.delete_object(Bucket=bucket, Key=outputs["metadata"].removeprefix(f"s3://{bucket}/"))
    [violation] = judged(healed).violations
    assert "stray.parquet" in violation
    assert outputs["metadata"] in violation
    session.s3.delete_object(Bucket=bucket, Key=outputs["receipt"].removeprefix(f"s3://{bucket}/"))
    assert any("scenes without a receipt" in violation for violation in judged(healed).violations)
