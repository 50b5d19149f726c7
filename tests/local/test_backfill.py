"""``clayline backfill`` against the local cloud: its state machine runs there, plan's parser reads what it sends."""

import csv
import gzip
import hashlib
import io
import itertools
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber
from tests.local.local_stack import LocalCloud
from tests.scene.stac import asset, item

from clayline.scene.intake import Landing, ObjectCreated, classify
from clayline.scene.notification import Document, read_message
from clayline_cli.backfilling import run as running
from clayline_cli.backfilling.execution import Backfill
from clayline_cli.backfilling.messages import Message
from clayline_cli.backfilling.sheet import Evenly
from clayline_cli.backfilling.stack import output
from clayline_cli.errors import CommandError
from clayline_cli.operating.running import Running, find
from clayline_cli.operating.where import Where
from clayline_cli.program import main
from clayline_local.cloud_file import CloudFile

ITEM_KEY = "2025/a+b ü%2F.json"
"""Of what a key may hold, all that is written otherwise in a URL."""
OTHERS = [f"2025/more/{number:02}.json" for number in range(10)]
COG = "cog/one.tif"

type Told = Callable[..., tuple[int, dict[str, Any], str]]


@pytest.fixture(scope="module")
def out(cloud: LocalCloud, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder in which the cloud is found."""
    folder, stack = tmp_path_factory.mktemp("cloud"), cloud.stack
    (folder / ".clayline").mkdir()
    texts = {name: each if isinstance(each, str) else ",".join(each) for name, each in stack.parameters.items()}
    CloudFile(
        process=os.getpid(),
        url=cloud.server.url,
        region=stack.place.region,
        resources={name: each.physical.ref for name, each in stack.resources.items()},
        outputs=stack.outputs,
        parameters=texts,
        environment=cloud.server.environment(),
        processes={},
    ).write(folder)
    return folder


@pytest.fixture
def local(cloud: LocalCloud, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalCloud]:
    """Give the cloud with nothing in its scene queue; afterwards the environment is as it was."""
    for name in cloud.server.environment():
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setattr(running, "LOOK_EVERY", 0.2)
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


@pytest.fixture
def backfill(capsys: pytest.CaptureFixture[str], out: Path) -> Told:
    """Give a call's exit status, what it tells as JSON, and what it says beside."""

    def call(*given: str | Path) -> tuple[int, dict[str, Any], str]:
        status = main(["backfill", *map(str, given), "--local", str(out), "--json", "--quiet"])
        said, err = capsys.readouterr()
        return status, json.loads(said) if said else {}, err

    return call


def test_a_prefix_is_sent_as_its_objects_landed(local: LocalCloud, backfill: Told) -> None:
    _put(local, ITEM_KEY, *OTHERS, "2025/a/B02.tif")
    status, told, err = backfill(f"s3://{_bucket(local)}/2025/", "--name", "prefix", "--watch")
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


def test_only_what_is_asked_for_is_sent(local: LocalCloud, backfill: Told) -> None:
    _put(local, "2025/a_MTL.json", "2025/deep/a_stac.json")
    status, told, _ = backfill(f"s3://{_bucket(local)}/", "--only", "2025/*_stac.json", "--dry-run", "--sample", "0")
    assert (status, told["scenes"], told["cost"]) == (0, 1, None)
    [left] = told["passed_over"]
    assert (left["why"], left["example"]) == ("is not among what --only says", f"s3://{_bucket(local)}/2025/a_MTL.json")


def test_the_same_backfill_is_the_same_landings_and_another_is_not(
    local: LocalCloud, backfill: Told, out: Path
) -> None:
    """So that resending does nothing to what was answered, and a new backfill asks again."""
    _put(local, ITEM_KEY)
    source = f"s3://{_bucket(local)}/2025/"
    backfill(source, "--name", "first", "--watch")
    first = _received(local)
    status, _, err = backfill(source, "--name", "first")
    assert status == 2
    assert "there is a backfill first of this stack already. Go on with it (--resume first)" in err
    status, told, _ = backfill("--resume", "first", "--watch")
    assert (status, told["status"], _received(local)) == (0, "SUCCEEDED", [])
    found = Backfill.find(find(Where(stack=None, region=None, profile=None, local=out)), "first")
    found._start(2, ahead=200, pause=1)  # as where Step Functions does not redrive it any more
    status, told, _ = backfill("--status", "first", "--watch")
    again = _received(local)
    assert (status, told["execution"].rpartition(":")[2]) == (0, "first_2")
    backfill(source, "--name", "second", "--watch")
    second = _received(local)
    one, same, other = (next(iter(_landings(bodies).values())) for bodies in (first, again, second))
    assert isinstance(one, Landing)
    assert isinstance(other, Landing)
    assert one == same
    assert (one.uri, one.landing != other.landing) == (other.uri, True)


def test_one_that_was_stopped_is_resumed_from_its_list(local: LocalCloud, backfill: Told) -> None:
    _put(local, *OTHERS)
    sqs, queue = local.client("sqs"), local.stack.resources["SceneQueue"].physical.ref
    sqs.send_message(QueueUrl=queue, MessageBody="in the way")
    source = f"s3://{_bucket(local)}/"
    status, told, _ = backfill(source, "--name", "stopped", "--ahead", "1", "--pause", "1")
    assert (status, told["status"], told["batches"]["sent"]) == (0, "RUNNING", 0)
    status, _, _ = backfill("--stop", "stopped", "--watch")
    assert status == 0
    status, told, err = backfill("--status", "stopped", "--watch")
    assert (status, told["status"]) == (1, "ABORTED")
    assert "--resume goes on" in err
    assert _received(local) == ["in the way"]
    status, told, _ = backfill("--resume", "stopped", "--watch")
    assert (status, told["status"], told["scenes"]) == (0, "SUCCEEDED", len(OTHERS))
    assert len(_landings(_received(local))) == len(OTHERS)


def test_where_step_functions_redrives_it_is_redriven() -> None:
    """Moto cannot: answers as the API documents them."""
    states = boto3.client("stepfunctions", region_name="eu-central-1", aws_access_key_id="x", aws_secret_access_key="x")
    machine = "arn:aws:states:eu-central-1:123456789012:stateMachine:m"
    execution = machine.replace(":stateMachine:", ":execution:") + ":n"
    run = "arn:aws:states:eu-central-1:123456789012:mapRun:m/batches:1"
    described = {"executionArn": execution, "stateMachineArn": machine, "startDate": 0, "status": "RUNNING"}
    counts = dict.fromkeys(("pending", "running", "succeeded", "failed", "timedOut", "aborted", "total"), 0)
    counts |= {"resultsWritten": 0, "succeeded": 4, "failed": 1, "aborted": 2}
    listed = {"executionArn": execution, "mapRunArn": run, "stateMachineArn": machine, "startDate": 0}
    told = {"mapRunArn": run, "executionArn": execution, "status": "RUNNING", "startDate": 0, "maxConcurrency": 4}
    told |= {"toleratedFailurePercentage": 0.0, "toleratedFailureCount": 0, "itemCounts": counts}
    with Stubber(states) as stubber:
        for found in ({**described, "status": "FAILED", "redriveStatus": "REDRIVABLE"}, described):
            stubber.add_response("describe_execution", found, {"executionArn": execution})
            gone: dict[str, Any] = {"expected_params": {"executionArn": f"{execution}_2"}}
            stubber.add_client_error("describe_execution", "ExecutionDoesNotExist", **gone)
            if found["status"] == "FAILED":
                stubber.add_response("redrive_execution", {"redriveDate": 0}, {"executionArn": execution})
        stubber.add_response("list_map_runs", {"mapRuns": [listed]}, {"executionArn": execution})
        stubber.add_response("describe_map_run", {**told, "executionCounts": counts}, {"mapRunArn": run})
        where = Where(stack="s", region=None, profile=None, local=None)
        running = Running(
            where=where, session=boto3.Session(), resources={}, outputs={"Backfill": machine}, parameters={}
        )
        found_again = Backfill(running=running, name="n", record={"batches": 9, "list": "l"}, states=states)
        state = found_again.start(ahead=1, pause=1)
        stubber.assert_no_pending_responses()
    assert (state.status, state.batches) == ("RUNNING", {"total": 9, "sent": 4, "failed": 3})


@pytest.mark.parametrize(
    ("heading", "row"),
    [([], ["{uri}"]), (["id", "uri"], ["1", "{uri}"]), (["Bucket", "Key"], ["{bucket}", "{key}"])],
    ids=["bare", "uri", "bucket and key"],
)
def test_a_csv_is_sent(local: LocalCloud, backfill: Told, tmp_path: Path, heading: list[str], row: list[str]) -> None:
    _put(local, ITEM_KEY, COG)
    file = tmp_path / "list.csv"
    with file.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerows([heading] if heading else [])
        for key in (ITEM_KEY, COG, COG):
            uri = f"s3://{_bucket(local)}/{key}"
            writer.writerow([cell.format(uri=uri, bucket=_bucket(local), key=key) for cell in row])
    status, told, err = backfill(file, "--name", f"csv-{'-'.join(heading).lower()}", "--watch")
    assert (status, err, told["scenes"]) == (0, "", 2)
    assert [each["why"] for each in told["passed_over"]] == ["is named twice: it is sent once"]
    sent = _landings(_received(local))
    assert set(sent) == {f"s3://{_bucket(local)}/{key}" for key in (ITEM_KEY, COG)}
    cog = sent[f"s3://{_bucket(local)}/{COG}"]
    assert isinstance(cog, Landing)
    assert cog.size == len(COG)


def test_a_search_is_sent_by_its_links_or_itself(local: LocalCloud, backfill: Told, tmp_path: Path) -> None:
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
        status, told, err = backfill(file, "--name", f"search-{suffix}", "--watch")
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


def test_an_inventory_is_sent(local: LocalCloud, backfill: Told) -> None:
    status, told, err = backfill(_inventory(local), "--name", "inventory", "--watch")
    assert (status, err, told["scenes"], told["bytes"]) == (0, "", 1, 9)
    assert {each["example"]: (each["count"], each["bytes"]) for each in told["passed_over"]} == {
        f"s3://{_bucket(local)}/2025/B02.tif": (1, 1000),
        "s3://another/x.json": (1, 7),
    }
    [sent] = _landings(_received(local)).values()
    assert isinstance(sent, Landing)
    assert (sent.key, sent.etag) == (ITEM_KEY, "abc")


def test_a_damaged_inventory_sends_nothing(local: LocalCloud, backfill: Told) -> None:
    status, _, err = backfill(_inventory(local, damaged=True), "--name", "damaged")
    assert (status, _received(local)) == (2, [])
    assert "inventory/data/1.csv.gz is not what" in err
    status, _, err = backfill("--status", "damaged")
    assert "has no backfill damaged" in err


def test_a_dry_run_counts_and_sends_nothing(local: LocalCloud, backfill: Told, sample: Path) -> None:
    [item_file] = sample.glob("*.json")
    files = [item_file, *sample.glob("*.tif")]
    for file in files:
        local.client("s3").upload_file(str(file), _bucket(local), f"2025/{file.name}")
    _received(local)
    status, told, err = backfill(
        f"s3://{_bucket(local)}/2025/", "--dry-run", "--sample", "1", "--chips-per-second", "50"
    )
    assert (status, err) == (0, "")
    assert (told["dry_run"], told["scenes"], told["batches"]) == (True, 1, 1)
    assert told["bytes"] == item_file.stat().st_size
    assert sum(each["bytes"] for each in told["passed_over"]) == sum(file.stat().st_size for file in files[1:])
    cost = told["cost"]
    assert (cost["sampled"], cost["refused"], cost["a_scene"]["work"]["chips"]) == (1, [], 990)
    assert cost["all_scenes"]["in_all"] == pytest.approx(cost["a_scene"]["dollars"]["in_all"])
    assert _received(local) == []


def test_an_item_that_is_sent_itself_is_sampled(
    local: LocalCloud, backfill: Told, sample: Path, tmp_path: Path
) -> None:
    [item_file] = sample.glob("*.json")
    content = json.loads(item_file.read_bytes())
    for asset_of in content["assets"].values():
        name = Path(asset_of["href"]).name
        if (sample / name).is_file():
            local.client("s3").upload_file(str(sample / name), _bucket(local), f"bands/{name}")
            asset_of["href"] = f"s3://{_bucket(local)}/bands/{name}"
    odd = {**content, "id": "odd", "assets": {"B4": {"href": "s3://elsewhere/B4.tif"}}}
    search = tmp_path / "search.ndjson"
    search.write_text("\n".join(map(json.dumps, (content, odd))), encoding="utf-8")
    status, told, err = backfill(search, "--dry-run")
    assert (status, told["scenes"], told["cost"]["sampled"]) == (1, 2, 2)
    assert told["cost"]["a_scene"]["work"]["chips"] == 990
    [refused] = told["cost"]["refused"]
    assert (refused["scene"], refused["status"]) == ("Item odd", "WouldRefuse")
    assert "is not in an allowed bucket" in err


@pytest.mark.parametrize(
    ("name", "body", "said"),
    [
        ("none.csv", "name,place\n1,2\n", "names a column `uri`, or `bucket` and `key`"),
        ("odd.csv", "uri\nhttps://example.org/a.json\n", "line 2: 'https://example.org/a.json'"),
        ("word.csv", "uri\nscene\n", "line 2: 'scene' is no URI, such as s3://BUCKET/KEY"),
        ("gone.csv", "s3://{bucket}/none.json\n", "there is no such object"),
        ("odd.json", "[1]", "neither a FeatureCollection nor the manifest"),
        ("odd.ndjson", '{"type": "Feature"}', "number 1 is no STAC Item"),
        ("odd.parquet", "", "is none of what a backfill reads"),
        ("broken.json", "{", "is no JSON"),
        ("empty.json", '{"type": "FeatureCollection", "features": []}', "names nothing that would start a scene"),
    ],
)
def test_what_is_no_source_is_told_in_a_sentence(
    local: LocalCloud, backfill: Told, tmp_path: Path, name: str, body: str, said: str
) -> None:
    (tmp_path / name).write_text(body.replace("{bucket}", _bucket(local)), encoding="utf-8")
    status, _, err = backfill(tmp_path / name, "--name", "never")
    assert status == 2
    assert said in err


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--stack", "s"], "give a SOURCE"),
        (["s3://b/", "--stack", "s"], "give the backfill a --name"),
        (["s3://b/", "--name", "n", "--stack", "s", "--local", "d"], "not allowed with"),
        (["--status", "n", "--dry-run", "--stack", "s"], "--dry-run is about a SOURCE"),
        (["--resume", "a_b", "--stack", "s"], "is no name"),
        (["s3://b/", "--name", "n"], "one of the arguments --stack --local is required"),
    ],
)
def test_what_does_not_go_together_is_refused(capsys: pytest.CaptureFixture[str], given: list[str], said: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["backfill", *given])
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def test_an_older_stack_is_told_so() -> None:
    where = Where(stack="s", region=None, profile=None, local=None)
    running = Running(where=where, session=boto3.Session(region_name="r"), resources={}, outputs={}, parameters={})
    with pytest.raises(CommandError, match="the stack s in r has no output Backfill: it is older"):
        output(running, "Backfill")


@pytest.mark.parametrize("most", [1, 3, 4, 99, 100])
def test_a_sample_is_spread_over_the_list(most: int) -> None:
    evenly = Evenly(most=most)
    for number in range(100):
        evenly.add(Message(body="", identity="", called=str(number), size=0))
    places = [int(each.called) for each in evenly.taken()]
    assert len(places) == most
    assert places[0] == 0
    gaps = [later - earlier for earlier, later in itertools.pairwise([*places, 100])]
    assert max(gaps) <= 3 * 100 / most
