"""``clayline status`` and ``list`` on a stack: moto's CloudFormation, ledger, receipts and queues, in this process."""

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws
from tests.cli.deployed_stack import HOUR, NAME, NOW, REGION, Author, Deployed, deploy

from clayline.run.ledger import Outcome
from clayline.run.measured import Measured
from clayline.run.receipt import ChipOutcome, Counts, State, failed_receipt
from clayline.run.state import RunState
from clayline.steps.collecting import receipt_json
from clayline_cli.kept.folder import Kept
from clayline_cli.operating.moments import iso, span
from clayline_cli.operating.receipts import ReceiptHead, Receipts
from clayline_cli.operating.scene_run import SceneRun
from clayline_cli.operating.telling import paragraph
from clayline_cli.program import main
from clayline_local.cloud_file import CloudFile

HEALED, PARTIAL, FAILED, REFUSED, WAITING, RUNNING, CLAIMED = (f"{number:032x}" for number in range(1, 8))
DAYS_AGO = NOW - timedelta(days=3)

type Told = Callable[..., list[dict[str, Any]]]


@pytest.fixture(scope="module")
def world() -> Iterator[Deployed]:
    """A stack with a run of every kind. Tests only read it."""
    with mock_aws():
        deployed = deploy()
        author = Author(deployed=deployed)
        author.plan(HEALED, "healed", begun=NOW - 2 * HOUR)
        author.hand_out(HEALED)
        for batch in ("b00000", "b00001", "b00002", "b00003"):
            author.send(HEALED, batch)
        author.lose(HEALED, "b00000")
        author.lose(HEALED, "b00001", found="reconcile")
        for batch in ("b00000", "b00001", "b00002"):
            author.send(HEALED, batch, attempt=2)
        author.end(HEALED, "b00000", attempt=2)
        author.end(HEALED, "b00001", attempt=2)
        author.end(HEALED, "b00002", attempt=2)
        author.end(HEALED, "b00003", found="reconcile")
        author.announce(HEALED, "healed", failed={}, ended=NOW - HOUR)
        deployed.ledger.answer_landing(HEALED, "a" * 32, uri="s3://scenes/healed.json")
        for run, scene, failed, begun in (
            (PARTIAL, "partial", {0: "request-expired"}, NOW - HOUR),
            (FAILED, "failed", dict.fromkeys(range(4), "model-changed"), DAYS_AGO),
        ):
            author.plan(run, scene, begun=begun)
            author.hand_out(run)
            author.announce(run, scene, failed=failed, ended=begun + timedelta(minutes=10))
        author.refuse(REFUSED, "refused", reason="asset-missing", at=NOW - HOUR / 2)
        author.plan(WAITING, "waits", begun=NOW - 3 * HOUR, jobs=3, batches=6)
        author.hand_out(WAITING, stop=1, out=2)
        author.plan(RUNNING, "runs", begun=NOW - 4 * HOUR)
        author.hand_out(RUNNING, due=NOW - HOUR)
        author.send(RUNNING, "b00000")
        author.end(RUNNING, "b00000")
        author.send(RUNNING, "b00001")
        author.lose(RUNNING, "b00001")
        author.claim(CLAIMED, "claimed", begun=NOW)
        deployed.client("sqs").send_message(QueueUrl=deployed.url("TileQueue"), MessageBody="{}")
        deployed.client("sqs").send_message(QueueUrl=deployed.url("TileDlq"), MessageBody="{}")
        yield deployed


@pytest.fixture(autouse=True)
def one_session(world: Deployed, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every call of a command use one session: making one takes longer than most of these tests."""
    monkeypatch.setattr(boto3, "Session", lambda **_: world.session)


@pytest.fixture
def told(world: Deployed, capsys: pytest.CaptureFixture[str]) -> Told:
    """Give what a command tells as JSON."""
    assert world

    def call(*arguments: str) -> list[dict[str, Any]]:
        assert main([*arguments, "--stack", NAME, "--region", REGION, "--json"]) == 0
        return [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    return call


def test_the_overview_counts_what_is_under_way_and_how_it_ended(told: Told) -> None:
    [found] = told("status")
    assert found["under_way"] == {"claimed": 1, "waiting": 1, "running": 1, "settled": 0, "committed": 0}
    assert found["ended_within_a_day"] == {"embedded": 1, "partial": 1, "failed": 0, "refused": 1}
    assert found["batches"] == {"in_flight": 2 + 3, "waiting": 4, "most_in_flight": 2000}
    assert (found["oldest"]["run"], found["oldest"]["begun"]) == (RUNNING, iso(NOW - 4 * HOUR))
    assert found["overdue"] == [RUNNING]
    assert found["dead_letters"] == {
        "SceneDlq": 0,
        "TileDlq": 1,
        "ResultDlq": 0,
        "SettledDlq": 0,
        "IndexDlq": 0,
        "WatchDlq": 0,
        "SheetDlq": 0,
    }
    assert (found["queues"]["TileQueue"]["waiting"], found["queues"]["SceneQueue"]["waiting"]) == (1, 0)
    assert found["endpoint"]["name"] is None
    said = " ".join(found["next"])
    for what in ("no endpoint", "TileDlq holds 1", "1 run(s) are overdue", "clayline list --state partial"):
        assert what in said


def test_a_scene_that_healed_tells_what_had_happened_to_it(told: Told) -> None:
    [found] = told("status", "healed")
    assert (found["run"], found["state"], found["status"]) == (HEALED, "announced", "SceneEmbedded")
    assert (found["begun"], found["ended"]) == (iso(NOW - 2 * HOUR), iso(NOW - HOUR))
    assert found["attempts"] == {"1": 1, "2": 3}
    assert found["batches"]["ended"] == {"succeeded": 4}
    assert found["lost"] == [{"reason": "inference-failed", "times": 2, "attempts": [1], "message": "no memory"}]
    assert (found["found_by_reconciler"], found["begun_again"]) == (2, 1)
    assert len(found["happened"]) == 3
    assert found["landings"] == [{"uri": "s3://scenes/healed.json", "answered": True}]
    assert found["counts"] == {"planned": 4, "written": 4, "skipped": {}, "failed": {}}
    assert found["next"] == "Nothing: it is done."


@pytest.mark.parametrize(
    ("run", "kind", "reason", "next_step"),
    [
        (PARTIAL, "ScenePartial", None, "Have what failed computed again"),
        (FAILED, "SceneFailed", "model-changed", "Have what failed computed again"),
        (REFUSED, "SceneFailed", "asset-missing", "Do what the message says"),
    ],
)
def test_a_run_that_did_not_end_whole_says_why_and_what_to_do(
    told: Told, run: str, kind: str, reason: str | None, next_step: str
) -> None:
    [found] = told("status", run)
    assert (found["status"], found["reason"]) == (kind, reason)
    assert found["next"].startswith(next_step)


@pytest.mark.parametrize(
    ("run", "next_step"),
    [(CLAIMED, "Plan is at work"), (WAITING, "2 job(s) wait for room"), (RUNNING, "3 batch(es) have not ended")],
)
def test_a_run_that_is_under_way_says_what_it_waits_for(told: Told, run: str, next_step: str) -> None:
    [found] = told("status", run)
    assert found["next"].startswith(next_step)
    assert found["overdue"] == (run == RUNNING)
    assert found["counts"] is None


def test_an_attempt_that_was_lost_and_has_no_other_yet_is_told(told: Told) -> None:
    [found] = told("status", RUNNING)
    assert [loss["times"] for loss in found["lost"]] == [1]
    assert (found["begun_again"], found["attempts"]) == (0, {"1": 2})


def test_a_run_that_was_ended_tells_what_was_given_up_and_a_later_one_what_it_took_over(world: Deployed) -> None:
    row = world.ledger.run(RUNNING)
    assert row
    counts = Counts(planned=4, written=1, skipped={}, failed={"aborted": 3})
    head: dict[str, Any] = {"run": RUNNING, "status": "ScenePartial", "reason": None, "message": None, "outputs": {}}
    found = SceneRun(
        row=replace(
            row,
            state=RunState.ANNOUNCED,
            outcome=Outcome(status="ScenePartial", receipt="s3://out/m/s/a_receipt.json", failed=True),
        ),
        batches=world.ledger.batches(RUNNING),
        landings=(),
        receipt=ReceiptHead.model_validate({**head, "counts": counts, "predecessor": HEALED, "taken_over": 1}),
        now=NOW,
        option="--local cloud",
        followed=False,
    )
    before = replace(found, batches=())
    assert "4 planned; how each ended was not kept when the local cloud ended" in paragraph(before)
    assert before.next() == "Land the scene again: what failed is computed again, as the next revision."
    assert (found.values()["batches"]["open"], found.values()["batches"]["given_up"]) == (0, 3)
    assert found.lost == [], "what failed of batches that were given up is a consequence"
    text = paragraph(found)
    for what in (
        "0 in flight, 3 given up",
        "3 batch(es) had not ended when the run was ended, and were given up",
        f"1 of them were taken over from run {HEALED}",
        "failed 3 (aborted 3)",
        f"clayline redrive {RUNNING} --local cloud",
    ):
        assert what in text


def test_a_scene_is_found_by_what_landed(told: Told, world: Deployed, tmp_path: Path) -> None:
    item = json.dumps({"id": "partial"})
    world.client("s3").put_object(Bucket=world.resources["ScenesBucket"], Key="a/item.json", Body=item.encode())
    (tmp_path / "item.json").write_text(item)
    uri = f"s3://{world.resources['ScenesBucket']}/a/item.json"
    for given in (uri, str(tmp_path / "item.json"), "partial"):
        assert [run["run"] for run in told("status", given)] == [PARTIAL]


@pytest.mark.parametrize(
    ("options", "runs"),
    [
        ((), [FAILED, RUNNING, WAITING, HEALED, PARTIAL, REFUSED, CLAIMED]),
        (("--state", "partial,failed"), [FAILED, PARTIAL]),
        (("--state", "refused"), [REFUSED]),
        (("--state", "embedded"), [HEALED]),
        (("--state", "waiting,running"), [RUNNING, WAITING]),
        (("--reason", "model-changed"), [FAILED]),
        (("--reason", "request-expired", "--reason", "asset-missing"), [PARTIAL, REFUSED]),
        (("--reason", "request-expired", "--state", "refused"), []),
        (("--since", iso(NOW - 3 * HOUR), "--state", "running,waiting,claimed"), [WAITING, CLAIMED]),
        (("--until", iso(NOW - 4 * HOUR)), [FAILED]),
        (("--since", iso(NOW - 2 * HOUR), "--until", iso(NOW - HOUR)), [HEALED]),
    ],
)
def test_runs_are_listed_by_state_reason_and_time(told: Told, options: tuple[str, ...], runs: list[str]) -> None:
    assert [found["run"] for found in told("list", *options)] == runs


def test_a_line_of_a_list_says_why(told: Told) -> None:
    [found] = told("list", "--state", "partial")
    assert (found["state"], found["scene"], found["reasons"]) == ("partial", "partial", ["request-expired"])
    assert found["counts"]["failed"] == {"request-expired": 1}


def test_people_are_told_the_same_in_lines(world: Deployed, capsys: pytest.CaptureFixture[str]) -> None:
    assert world
    where = ("--stack", NAME, "--region", REGION)
    assert main(["status", *where]) == 0
    out = capsys.readouterr().out
    assert "3 run(s): 1 claimed, 1 waiting, 1 running" in out
    assert "5 in flight of at most 2000, 4 waiting" in out
    assert main(["status", "healed", *where]) == 0
    out = capsys.readouterr().out
    assert out.startswith("SceneEmbedded: healed\n")
    assert "2 attempt(s) failed (inference-failed)" in out
    assert "planned 4 = written 4" in out
    assert main(["status", FAILED, *where]) == 0
    assert "failed 4 (model-changed 4)" in capsys.readouterr().out
    assert main(["list", "--state", "refused", *where]) == 0
    head, line = capsys.readouterr().out.splitlines()
    assert head.split() == ["begun", "state", "reasons", "run", "scene"]
    assert line.split() == [iso(NOW - HOUR / 2), "refused", "asset-missing", REFUSED, "refused"]
    assert main(["list", "--state", "settled", *where]) == 0
    assert not capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("status", "--stack", "other"), "there is no stack other in eu-central-1"),
        (("status", "unheard-of", "--stack", NAME), "knows no scene unheard-of"),
        (("status", "f" * 32, "--stack", NAME), f"knows no run {'f' * 32}"),
        (("status", "--stack", "else"), "has no SceneQueue"),
    ],
)
def test_what_is_not_there_is_said(
    world: Deployed, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], why: str
) -> None:
    nothing = json.dumps({"Resources": {"Bucket": {"Type": "AWS::S3::Bucket"}}})
    if arguments[-1] == "else":
        world.client("cloudformation").create_stack(StackName="else", TemplateBody=nothing)
    assert main([*arguments, "--region", REGION]) == 2
    assert why in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ((), "one of the arguments --stack --local is required"),
        (("--stack", "a", "--local", "b"), "not allowed with"),
        (("--local", "b", "--region", "c"), "for --stack"),
        (("--local", "b", "--state", "gone"), "'gone' is none of"),
        (("--local", "b", "--since", "2026-11-02", "--until", "2026-11-01"), "not before"),
        (("--local", "b", "--since", "yesterday"), "RFC 3339"),
    ],
)
def test_what_does_not_go_together_is_refused(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], why: str
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["list", *arguments])
    assert why in capsys.readouterr().err


def test_without_a_cloud_there_is_nothing_to_tell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command in (["status"], ["land", str(tmp_path)]):
        assert main([*command, "--local", str(tmp_path)]) == 2
        assert f"no local cloud is up in {tmp_path}. Start one: clayline local-cloud" in capsys.readouterr().err


def test_a_second_cloud_in_a_folder_does_not_wait_for_the_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nothing: dict[str, str] = {}
    cloud = CloudFile(
        process=os.getpid(),
        url="http://127.0.0.1:1",
        region=REGION,
        resources=nothing,
        outputs=nothing,
        parameters=nothing,
        environment=nothing,
        processes={},
    )
    with Kept(tmp_path).lock():
        cloud.write(tmp_path)
        assert main(["local-cloud", "--out", str(tmp_path)]) == 2
    assert f"a local cloud is already up in {tmp_path} (process {os.getpid()})." in capsys.readouterr().err


def test_a_reason_that_no_run_names_is_told_with_those_that_are(capsys: pytest.CaptureFixture[str]) -> None:
    where = ("--stack", NAME, "--region", REGION)
    assert main(["list", "--reason", "typo", "--state", "partial,refused", *where]) == 0
    out, err = capsys.readouterr()
    assert (out, err) == ("", "no run that was looked at names typo; they name asset-missing, request-expired\n")


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (119, "119 s"), (120, "2 min"), (7200, "2 h"), (172_800, "2 d")]
)
def test_spans_are_said_in_the_largest_unit_that_fits_twice(seconds: int, text: str) -> None:
    assert span(timedelta(seconds=seconds)) == text


def test_the_head_of_a_receipt_ends_where_its_list_of_chips_begins() -> None:
    """``measured`` has a number named chips, before."""
    receipt = failed_receipt(
        run="0" * 32, scene="s", source_uri="s3://b/s", reason="r", message='a "chips": [1]', outputs={}
    ).model_copy(
        update={
            "measured": Measured(
                chips=3,
                requests=1,
                attempts=1,
                request_bytes=1,
                response_bytes=1,
                compute_seconds=1.0,
                claimed_to_settled_seconds=1.0,
            ),
            "chips": tuple(ChipOutcome(uci="u" * 80, index=at, state=State.WRITTEN) for at in range(2000)),
        }
    )
    body = receipt_json(receipt)
    assert len(body) > 1 << 16
    with mock_aws():
        s3 = boto3.client("s3", region_name="us-east-1")
        s3.create_bucket(Bucket="bucket")
        s3.put_object(Bucket="bucket", Key="r.json", Body=body)
        head = Receipts(s3=s3).head("s3://bucket/r.json")
    assert head is not None
    assert (head.message, head.measured) == (receipt.message, receipt.measured)
