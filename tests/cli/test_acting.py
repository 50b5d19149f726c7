"""``clayline redrive`` and ``abort``: which runs are meant, and what plan is told of them."""

import json
import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import boto3
import pytest
from moto import mock_aws
from tests.cli.deployed_stack import HOUR, NAME, NOW, REGION, Author, Deployed, deploy

from clayline.run.ledger import Outcome
from clayline.run.state import RunState
from clayline_cli.operating.running import Running
from clayline_cli.operating.runs import Listed, followed
from clayline_cli.operating.status import EPILOG as STATUS
from clayline_cli.program import main

CURED, CURE, PARTIAL, FAILED, EMPTY, REFUSED, MENDED, WAITING, RUNNING, CLAIMED = (
    f"{number:032x}" for number in range(1, 11)
)
UNREAD, READ, BEFORE, SPOILT = (f"{number:032x}" for number in range(11, 15))
"""An Item that was refused under its URI, and computed under its id; another where it was the other way round."""
type Act = Callable[..., list[dict[str, Any]]]


@pytest.fixture(scope="module")
def world() -> Iterator[Deployed]:
    """A stack with runs to which something can be done, and others. Tests change nothing but the queue."""
    with mock_aws():
        deployed = deploy()
        author = Author(deployed=deployed)
        for run, scene, failed, begun in (
            (CURED, "twice", {0: "request-expired"}, 6),
            (CURE, "twice", {}, 5),
            (PARTIAL, "partial", {0: "request-expired"}, 4),
            (FAILED, "failed", dict.fromkeys(range(4), "inference-failed"), 3),
            (READ, "read", {}, 5),
            (BEFORE, "spoilt", {0: "request-expired"}, 6),
        ):
            author.plan(run, scene, begun=NOW - begun * HOUR)
            author.hand_out(run)
            author.announce(run, scene, failed=failed, ended=NOW - begun * HOUR + timedelta(minutes=1))
        for run, scene, begun in ((UNREAD, "read", 6), (SPOILT, "spoilt", 2)):
            author.refuse(run, landed(deployed, scene), reason="asset-missing", at=NOW - begun * HOUR)
        author.plan(EMPTY, "empty", begun=NOW - 3 * HOUR)
        author.hand_out(EMPTY)
        author.announce(EMPTY, "empty", failed={}, ended=NOW - 2 * HOUR, empty=True)
        author.refuse(REFUSED, "refused", reason="asset-missing", at=NOW - 2 * HOUR)
        author.refuse(MENDED, "waits", reason="asset-missing", at=NOW - 2 * HOUR)
        author.plan(WAITING, "waits", begun=NOW - HOUR)
        author.plan(RUNNING, "runs", begun=NOW - HOUR)
        author.hand_out(RUNNING)
        author.claim(CLAIMED, "claimed", begun=NOW)
        yield deployed


def landed(deployed: Deployed, scene: str) -> str:
    """Let a scene's Item lie where it landed; gives its URI."""
    bucket, key = deployed.resources["ScenesBucket"], f"{scene}/item.json"
    deployed.client("s3").put_object(Bucket=bucket, Key=key, Body=json.dumps({"id": scene}).encode())
    return f"s3://{bucket}/{key}"


@pytest.fixture(autouse=True)
def one_session(world: Deployed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boto3, "Session", lambda **_: world.session)


def taken(world: Deployed) -> list[dict[str, str]]:
    """Take every message from the scene queue."""
    sqs, url, found = world.client("sqs"), world.url("SceneQueue"), []
    while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
        for message in messages:
            found.append(json.loads(message["Body"]))
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return found


@pytest.fixture
def act(capsys: pytest.CaptureFixture[str]) -> Act:
    """Give what a command tells as JSON."""

    def call(*arguments: str) -> list[dict[str, Any]]:
        assert main([*arguments, "--stack", NAME, "--region", REGION, "--json"]) == 0
        return [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    return call


@pytest.mark.parametrize(
    ("arguments", "runs"),
    [
        (("redrive", "--state", "partial,failed,refused"), [PARTIAL, FAILED, REFUSED, SPOILT]),
        (("redrive", "--reason", "request-expired"), [PARTIAL]),
        (("redrive", "--since", (NOW - 3 * HOUR).strftime("%Y-%m-%dT%H:%M:%SZ")), [FAILED, REFUSED, SPOILT]),
        (("redrive", "partial"), [PARTIAL]),
        (("redrive", FAILED), [FAILED]),
        (("redrive", "refused"), [REFUSED]),
        (("abort", "waits"), [WAITING]),
        (("abort", RUNNING), [RUNNING]),
        (("abort", "--state", "claimed,waiting,running"), [WAITING, RUNNING, CLAIMED]),
        (("abort", "--until", (NOW - 2 * HOUR).strftime("%Y-%m-%dT%H:%M:%SZ")), []),
    ],
)
def test_plan_is_told_of_the_runs_that_are_meant(
    world: Deployed, act: Act, arguments: tuple[str, ...], runs: list[str]
) -> None:
    assert taken(world) == []
    dry = act(*arguments, "--dry-run")
    assert taken(world) == [], "nothing is sent"
    told = act(*arguments)
    assert [run["run"] for run in dry] == [run["run"] for run in told] == runs
    assert [run["sent"] for run in dry] == [False] * len(runs)
    assert [run["sent"] for run in told] == [True] * len(runs)
    messages = taken(world)
    assert sorted(message["run"] for message in messages) == sorted(runs)
    assert {message["kind"] for message in messages} == ({f"clayline-{arguments[0]}/1"} if runs else set())


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("redrive", CURED), "is partial, and the scene has a later run"),
        (("redrive", CURE), "is embedded"),
        (("redrive", EMPTY), "is failed, and no chip of it failed"),
        (("redrive", MENDED), "is refused, and the scene has a later run"),
        (("redrive", UNREAD), "is refused, and the scene has a later run"),
        (("redrive", BEFORE), "is partial, and the scene has a later run"),
        (("redrive", "runs"), "is running"),
        (("abort", "partial"), "is partial"),
        (("abort", "e" * 32), "there is no run"),
    ],
)
def test_what_cannot_be_done_is_said_and_nothing_is_sent(
    world: Deployed, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], why: str
) -> None:
    assert main([*arguments, "--stack", NAME]) == 2
    assert why in capsys.readouterr().err
    assert taken(world) == []


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("redrive",), "give either a SCENE, or choose runs"),
        (("redrive", "a", "--reason", "b"), "give either a SCENE, or choose runs"),
        (("redrive", "--state", "running"), "'running' is none of partial, failed, refused"),
        (("abort", "--state", "partial"), "'partial' is none of claimed, waiting, running"),
    ],
)
def test_what_is_not_said_clearly_is_refused(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], why: str
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main([*arguments, "--stack", NAME])
    assert why in capsys.readouterr().err


def test_people_are_told_a_line_a_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["redrive", "--state", "partial", "--dry-run", "--stack", NAME]) == 0
    out, err = capsys.readouterr()
    assert out == f"would be redriven: {PARTIAL}  partial  partial\n"
    assert err == "1 run(s); nothing was sent\n"


def test_status_says_how_to_redrive_and_what_was_followed(capsys: pytest.CaptureFixture[str]) -> None:
    where = ("--stack", NAME, "--region", REGION)
    assert main(["status", "twice", *where, "--json"]) == 0
    first, second = (json.loads(line)["next"] for line in capsys.readouterr().out.splitlines())
    assert first == "Nothing: the scene has a later run."
    assert second == "Nothing: it is done."
    assert main(["status", "partial", *where, "--json"]) == 0
    again = json.loads(capsys.readouterr().out)["next"]
    assert again.endswith(f": clayline redrive {PARTIAL} --stack {NAME} --region {REGION}")


@pytest.mark.parametrize("scene", ["read", UNREAD])
def test_status_leaves_a_refused_item_alone_that_was_computed_since(
    world: Deployed, capsys: pytest.CaptureFixture[str], scene: str
) -> None:
    meant = landed(world, scene) if scene == "read" else scene
    assert main(["status", meant, "--stack", NAME, "--region", REGION, "--json"]) == 0
    refused = json.loads(capsys.readouterr().out.splitlines()[0])
    assert (refused["run"], refused["next"]) == (UNREAD, "Nothing: the scene has a later run.")


def test_a_list_marks_what_a_later_run_has_superseded(capsys: pytest.CaptureFixture[str]) -> None:
    where = ("--stack", NAME, "--region", REGION)
    assert main(["list", "--state", "partial,refused", "--json", *where]) == 0
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {run["run"] for run in found if run["superseded"]} == {CURED, BEFORE, UNREAD, MENDED}
    assert {run["run"] for run in found if not run["superseded"]} == {PARTIAL, SPOILT, REFUSED}
    assert main(["list", "--state", "partial", *where]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [("superseded" in line) for line in lines if PARTIAL in line or CURED in line] == [True, False]


@pytest.mark.parametrize("command", ["status", "redrive", "abort"])
def test_a_scene_without_a_name_is_none(capsys: pytest.CaptureFixture[str], command: str) -> None:
    with pytest.raises(SystemExit, match="2"):
        main([command, "", "--stack", NAME])
    assert "argument SCENE: is empty: give a name" in capsys.readouterr().err


def test_the_overview_counts_no_run_whose_scene_has_a_later_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "--stack", NAME, "--region", REGION]) == 0
    still = (PARTIAL, FAILED, EMPTY, REFUSED, SPOILT)
    assert f"{len(still)} run(s) did not end whole within a day" in capsys.readouterr().out


def test_a_run_whose_plan_is_gone_is_followed_though_its_receipt_lies_among_the_refusals() -> None:
    lost, later = (
        Listed(
            run=run,
            scene="lost",
            state=RunState.ANNOUNCED,
            begun=NOW + begun * HOUR,
            due=NOW + begun * HOUR,
            batches=4,
            out=4,
            open=0,
            outcome=Outcome(status=status, receipt=f"s3://out/{folder}/0123456789ab/x_receipt.json", failed=True),
        )
        for run, begun, status, folder in ((FAILED, 0, "SceneFailed", "failed"), (PARTIAL, 1, "ScenePartial", "m-v1"))
    )
    assert followed([lost, later], called={}) == {FAILED}


def test_help_names_every_call_that_is_made(
    world: Deployed, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Who may do what help says may use the commands."""
    made: set[str] = set()

    def note(event_name: str, **_: Any) -> None:
        service, operation = event_name.split(".")[1:3]
        made.add(f"{service}:{operation}")

    monkeypatch.setattr(Running, "endpoint", "mine")
    hooks: Any = world.session.events
    hooks.register("provide-client-params.*.*", note)
    try:
        where = ("--stack", NAME, "--region", REGION)
        for command in (("status",), ("status", PARTIAL), ("status", "s3://b/item.json"), ("list",)):
            main([*command, *where])
        told = set(re.findall(r"[a-z0-9]+:[A-Z][A-Za-z]+", STATUS)) | {"cloudformation:ListStackResources"}
        assert made == (told | {"dynamodb:Query"})
        made.clear()
        main(["redrive", "--state", "partial", *where])
        assert made - told - {"dynamodb:Query"} == {"sqs:SendMessageBatch"}  # for which IAM asks sqs:SendMessage
    finally:
        hooks.unregister("provide-client-params.*.*", note)
        taken(world)
    capsys.readouterr()
