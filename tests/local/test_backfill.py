"""``clayline backfill`` against the local cloud: its state machine runs there, plan's parser reads what it sends."""

import csv
import gzip
import hashlib
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from tests.local.local_stack import LocalCloud
from tests.scene.stac import asset, item

from clayline.scene.intake import Landing, ObjectCreated, classify
from clayline.scene.notification import Document, read_message
from clayline_cli.backfilling import run as running
from clayline_cli.backfilling.execution import Backfill
from clayline_cli.backfilling.sample import spread
from clayline_cli.backfilling.stack import DeployedStack
from clayline_cli.program import main

ITEM_KEY = "2025/a+b ü%2F.json"
"""Of what a key may hold, all that is written otherwise in a URL."""
OTHERS = [f"2025/more/{number:02}.json" for number in range(10)]
COG = "cog/one.tif"


@pytest.fixture
def local(cloud: LocalCloud, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalCloud]:
    """Give the cloud, the shell's environment leading to it, with nothing in its scene queue."""
    for name, value in cloud.server.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(running, "LOOK_EVERY", 0.02)
    monkeypatch.setattr("clayline_cli.backfilling.stack.expand", lambda *_, **__: cloud.stack)  # the same, and at once
    _received(cloud)
    yield cloud
    s3, bucket = cloud.client("s3"), _bucket(cloud)
    if left := [{"Key": entry["Key"]} for entry in s3.list_objects_v2(Bucket=bucket).get("Contents", [])]:
        s3.delete_objects(Bucket=bucket, Delete={"Objects": left})


def _bucket(cloud: LocalCloud) -> str:
    return cloud.stack.outputs["ScenesBucket"]


def _put(cloud: LocalCloud, *keys: str) -> None:
    for key in keys:
        cloud.client("s3").put_object(Bucket=_bucket(cloud), Key=key, Body=key.encode())
    assert _received(cloud), "landing told nobody"


def _received(cloud: LocalCloud) -> list[str]:
    """Take everything out of the scene queue."""
    sqs, queue, found = cloud.client("sqs"), cloud.stack.resources["SceneQueue"].physical.ref, []
    while some := sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages"):
        for message in some:
            found.append(message["Body"])
            sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
    return found


def _landings(bodies: list[str]) -> dict[str, Landing | Document]:
    """Read messages as plan does."""
    found: dict[str, Landing | Document] = {}
    for body in bodies:
        read = read_message(body, message="a message's own")
        if isinstance(read, ObjectCreated):
            read = classify(read, item_prefix="", cog_prefix="cog/")
        assert isinstance(read, Landing | Document), read
        found[read.uri if isinstance(read, Landing) else json.loads(read.content)["id"]] = read
    return found


def _told(capsys: pytest.CaptureFixture[str], *given: str | Path) -> tuple[int, dict[str, Any], str]:
    status = main(["backfill", *map(str, given), "--local", "--json", "--quiet"])
    out, err = capsys.readouterr()
    return status, json.loads(out) if out else {}, err


def test_a_prefix_is_sent_as_its_objects_landed(local: LocalCloud, capsys: pytest.CaptureFixture[str]) -> None:
    _put(local, ITEM_KEY, *OTHERS, "2025/a/B02.tif")
    status, told, err = _told(capsys, f"s3://{_bucket(local)}/2025/", "--name", "prefix", "--watch")
    assert (status, err, told["status"]) == (0, "", "SUCCEEDED")
    assert told["batches"] == {"total": 2, "sent": 2, "failed": 0}
    [left] = told["passed_over"]
    assert (left["count"], left["example"]) == (1, f"s3://{_bucket(local)}/2025/a/B02.tif")
    sent = _landings(_received(local))
    assert set(sent) == {f"s3://{_bucket(local)}/{key}" for key in (ITEM_KEY, *OTHERS)}
    landed = sent[f"s3://{_bucket(local)}/{ITEM_KEY}"]
    assert isinstance(landed, Landing)
    digest = hashlib.md5(ITEM_KEY.encode(), usedforsecurity=False).hexdigest()
    assert (landed.size, landed.etag) == (len(ITEM_KEY.encode()), digest)


def test_the_same_backfill_is_the_same_landings_and_another_is_not(
    local: LocalCloud, capsys: pytest.CaptureFixture[str]
) -> None:
    """So that resending does nothing to what was answered, and a new backfill asks again."""
    _put(local, ITEM_KEY)
    source = f"s3://{_bucket(local)}/2025/"
    _told(capsys, source, "--name", "first", "--watch")
    first = _received(local)
    status, _, err = _told(capsys, source, "--name", "first")
    assert status == 2
    assert "there is a backfill first of this stack already. Go on with it (--resume first)" in err
    status, told, _ = _told(capsys, "--resume", "first", "--watch")
    assert (status, told["status"], _received(local)) == (0, "SUCCEEDED", [])
    found = Backfill.find(DeployedStack.local(), "first")
    found._start(2, ahead=200, pause=1)  # as where Step Functions does not redrive it any more
    status, told, _ = _told(capsys, "--status", "first", "--watch")
    again = _received(local)
    assert (status, told["execution"].rpartition(":")[2]) == (0, "first_2")
    _told(capsys, source, "--name", "second", "--watch")
    second = _received(local)
    one, same, other = (next(iter(_landings(bodies).values())) for bodies in (first, again, second))
    assert isinstance(one, Landing)
    assert isinstance(other, Landing)
    assert one == same
    assert (one.uri, one.landing != other.landing) == (other.uri, True)


def test_one_that_was_stopped_is_resumed_from_its_list(local: LocalCloud, capsys: pytest.CaptureFixture[str]) -> None:
    _put(local, *OTHERS)
    sqs, queue = local.client("sqs"), local.stack.resources["SceneQueue"].physical.ref
    sqs.send_message(QueueUrl=queue, MessageBody="in the way")
    source = f"s3://{_bucket(local)}/"
    status, told, _ = _told(capsys, source, "--name", "stopped", "--ahead", "1", "--pause", "1")
    assert (status, told["status"], told["batches"]["sent"]) == (0, "RUNNING", 0)
    local.client("stepfunctions").stop_execution(executionArn=told["execution"])
    status, told, err = _told(capsys, "--status", "stopped", "--watch")
    assert (status, told["status"]) == (1, "ABORTED")
    assert "--resume goes on" in err
    assert _received(local) == ["in the way"]
    status, told, _ = _told(capsys, "--resume", "stopped", "--watch")
    assert (status, told["status"], told["scenes"]) == (0, "SUCCEEDED", len(OTHERS))
    assert len(_landings(_received(local))) == len(OTHERS)


def test_where_step_functions_redrives_it_is_redriven(monkeypatch: pytest.MonkeyPatch) -> None:
    """Moto cannot: answers as the API documents them."""
    asked: list[str] = []
    running = {"executionArn": "arn:1", "status": "RUNNING"}
    answers = [{**running, "status": "FAILED", "redriveStatus": "REDRIVABLE"}, running]

    class States:
        def describe_execution(self, executionArn: str) -> dict[str, str]:  # noqa: N803 - the API's
            asked.append(executionArn)
            if executionArn.endswith("_2"):
                from botocore.exceptions import ClientError  # noqa: PLC0415

                raise ClientError({"Error": {"Code": "ExecutionDoesNotExist", "Message": ""}}, "DescribeExecution")
            return answers.pop(0)

        def redrive_execution(self, executionArn: str) -> None:  # noqa: N803
            asked.append(f"redrive {executionArn}")

        def list_map_runs(self, executionArn: str) -> dict[str, Any]:  # noqa: N803
            return {"mapRuns": [{"mapRunArn": f"{executionArn}/run"}]}

        def describe_map_run(self, mapRunArn: str) -> dict[str, Any]:  # noqa: N803
            assert mapRunArn == "arn:1/run"
            return {"itemCounts": {"succeeded": 4, "failed": 1, "timedOut": 0, "aborted": 2}}

    monkeypatch.setattr(DeployedStack, "client", lambda *_: States())
    stack = DeployedStack(
        name="s", outputs={"Backfill": "arn:aws:states:r:1:stateMachine:m"}, parameters={}, session=boto3.Session()
    )
    state = Backfill(stack=stack, name="n", record={"batches": 9, "list": "l"}).start(ahead=1, pause=1)
    machine = "arn:aws:states:r:1:execution:m:n"
    assert asked == [machine, f"{machine}_2", "redrive arn:1", machine, f"{machine}_2"]
    assert (state.status, state.batches) == ("RUNNING", {"total": 9, "sent": 4, "failed": 3})


@pytest.mark.parametrize(
    ("heading", "row"),
    [([], ["{uri}"]), (["id", "uri"], ["1", "{uri}"]), (["Bucket", "Key"], ["{bucket}", "{key}"])],
    ids=["bare", "uri", "bucket and key"],
)
def test_a_csv_is_sent(
    local: LocalCloud, capsys: pytest.CaptureFixture[str], tmp_path: Path, heading: list[str], row: list[str]
) -> None:
    _put(local, ITEM_KEY, COG)
    file = tmp_path / "list.csv"
    with file.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerows([heading] if heading else [])
        for key in (ITEM_KEY, COG, COG):
            uri = f"s3://{_bucket(local)}/{key}"
            writer.writerow([cell.format(uri=uri, bucket=_bucket(local), key=key) for cell in row])
    status, told, err = _told(capsys, file, "--name", f"csv-{'-'.join(heading).lower()}", "--watch")
    assert (status, err, told["scenes"]) == (0, "", 2)
    assert [each["why"] for each in told["passed_over"]] == ["is named twice: it is sent once"]
    sent = _landings(_received(local))
    assert set(sent) == {f"s3://{_bucket(local)}/{key}" for key in (ITEM_KEY, COG)}
    cog = sent[f"s3://{_bucket(local)}/{COG}"]
    assert isinstance(cog, Landing)
    assert cog.size == len(COG)


def test_a_search_is_sent_by_its_links_or_itself(
    local: LocalCloud, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    _put(local, ITEM_KEY)
    plain = {**item({"red": asset("s3://elsewhere/B04.tif")}), "id": "plain"}
    link = {"rel": "self", "href": f"s3://{_bucket(local)}/{ITEM_KEY}"}
    foreign = {"rel": "self", "href": "s3://elsewhere/x.json"}
    features = [plain, {**plain, "id": "linked", "links": [link]}, {**plain, "id": "foreign", "links": [foreign]}]
    for suffix, body in (
        ("json", json.dumps({"type": "FeatureCollection", "features": features})),
        ("ndjson", "\n".join(map(json.dumps, features))),
    ):
        file = tmp_path / f"search.{suffix}"
        file.write_text(body, encoding="utf-8")
        status, told, err = _told(capsys, file, "--name", f"search-{suffix}", "--watch")
        assert (status, err, told["scenes"], told["source_kind"]) == (0, "", 3, "search")
        sent = _landings(_received(local))
        assert set(sent) == {"plain", "foreign", f"s3://{_bucket(local)}/{ITEM_KEY}"}
        document = sent["plain"]
        assert isinstance(document, Document)
        assert (json.loads(document.content), document.message) == (plain, f"backfill-search-{suffix}")


def _inventory(cloud: LocalCloud, *, damaged: bool = False) -> str:
    """Write what S3 Inventory does: gzipped rows whose keys are URL-encoded, and a manifest."""
    bucket = _bucket(cloud)
    rows = [
        [bucket, "2025/a%2Bb+%C3%BC%252F.json", "", "true", "false", "9", "abc"],
        [bucket, "2025/old.json", "v1", "false", "false", "9", "abd"],
        [bucket, "2025/gone.json", "v2", "true", "true", "", ""],
        [bucket, "2025/B02.tif", "", "true", "false", "1000", "abe"],
        ["another", "x.json", "", "true", "false", "7", "abf"],
    ]
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_ALL).writerows(rows)
    body = gzip.compress(text.getvalue().encode())
    s3 = cloud.client("s3")
    digest = hashlib.md5(body, usedforsecurity=False).hexdigest()
    s3.put_object(Bucket=bucket, Key="inventory/data/1.csv.gz", Body=body[:-1] + b"x" if damaged else body)
    manifest = {
        "sourceBucket": bucket,
        "destinationBucket": f"arn:aws:s3:::{bucket}",
        "version": "2016-11-30",
        "fileFormat": "CSV",
        "fileSchema": "Bucket, Key, VersionId, IsLatest, IsDeleteMarker, Size, ETag",
        "files": [{"key": "inventory/data/1.csv.gz", "size": len(body), "MD5checksum": digest}],
    }
    s3.put_object(Bucket=bucket, Key="inventory/manifest.json", Body=json.dumps(manifest).encode())
    _received(cloud)
    return f"s3://{bucket}/inventory/manifest.json"


def test_an_inventory_is_sent(local: LocalCloud, capsys: pytest.CaptureFixture[str]) -> None:
    status, told, err = _told(capsys, _inventory(local), "--name", "inventory", "--watch")
    assert (status, err, told["scenes"], told["bytes"]) == (0, "", 1, 9)
    assert {each["example"]: (each["count"], each["bytes"]) for each in told["passed_over"]} == {
        f"s3://{_bucket(local)}/2025/B02.tif": (1, 1000),
        "s3://another/x.json": (1, 7),
    }
    [sent] = _landings(_received(local)).values()
    assert isinstance(sent, Landing)
    assert (sent.key, sent.etag) == (ITEM_KEY, "abc")


def test_a_damaged_inventory_sends_nothing(local: LocalCloud, capsys: pytest.CaptureFixture[str]) -> None:
    status, _, err = _told(capsys, _inventory(local, damaged=True), "--name", "damaged")
    assert (status, _received(local)) == (2, [])
    assert "inventory/data/1.csv.gz is not what" in err
    status, _, err = _told(capsys, "--status", "damaged")
    assert "has no backfill damaged" in err


def test_a_dry_run_counts_and_sends_nothing(
    local: LocalCloud, capsys: pytest.CaptureFixture[str], sample: Path
) -> None:
    [item_file] = sample.glob("*.json")
    files = [item_file, *sample.glob("*.tif")]
    for file in files:
        local.client("s3").upload_file(str(file), _bucket(local), f"2025/{file.name}")
    _received(local)
    status, told, err = _told(
        capsys, f"s3://{_bucket(local)}/2025/", "--dry-run", "--sample", "1", "--chips-per-second", "50"
    )
    assert (status, err) == (0, "")
    assert (told["dry_run"], told["scenes"], told["batches"]) == (True, 1, 1)
    assert told["bytes"] == item_file.stat().st_size
    assert sum(each["bytes"] for each in told["passed_over"]) == sum(file.stat().st_size for file in files[1:])
    cost = told["cost"]
    assert (cost["sampled"], cost["refused"], cost["a_scene"]["work"]["chips"]) == (1, [], 990)
    assert cost["all_scenes"]["in_all"] == pytest.approx(cost["a_scene"]["dollars"]["in_all"])
    assert _received(local) == []


@pytest.mark.parametrize(
    ("name", "body", "said"),
    [
        ("none.csv", "name,place\n1,2\n", "names a column `uri`, or `bucket` and `key`"),
        ("odd.csv", "uri\nhttps://example.org/a.json\n", "line 2: 'https://example.org/a.json'"),
        ("gone.csv", "s3://{bucket}/none.json\n", "there is no such object"),
        ("odd.json", "[1]", "neither a FeatureCollection nor the manifest"),
        ("odd.ndjson", '{"type": "Feature"}', "number 1 is no STAC Item"),
        ("odd.parquet", "", "is none of what a backfill reads"),
        ("broken.json", "{", "is no JSON"),
        ("empty.json", '{"type": "FeatureCollection", "features": []}', "names nothing that would start a scene"),
    ],
)
def test_what_is_no_source_is_told_in_a_sentence(
    local: LocalCloud, capsys: pytest.CaptureFixture[str], tmp_path: Path, name: str, body: str, said: str
) -> None:
    (tmp_path / name).write_text(body.replace("{bucket}", _bucket(local)), encoding="utf-8")
    status, _, err = _told(capsys, tmp_path / name, "--name", "never")
    assert status == 2
    assert said in err


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--local"], "give a SOURCE"),
        (["s3://b/", "--local"], "give the backfill a --name"),
        (["s3://b/", "--stack", "s", "--local"], "not allowed with"),
        (["--status", "n", "--dry-run", "--local"], "--dry-run is about a SOURCE"),
        (["--resume", "a_b", "--local"], "is no name"),
        (["s3://b/", "--name", "n"], "one of the arguments --stack --local is required"),
    ],
)
def test_what_does_not_go_together_is_refused(capsys: pytest.CaptureFixture[str], given: list[str], said: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["backfill", *given])
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def test_without_a_local_cloud_it_says_how_to_get_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    assert main(["backfill", "--status", "n", "--local"]) == 2
    assert "make local-cloud" in capsys.readouterr().err


def test_a_sample_is_spread_over_the_list() -> None:
    listed = [str(number) for number in range(100)]
    assert spread(listed, 4) == ["0", "25", "50", "75"]
    assert spread(listed[:3], 4) == listed[:3]
