"""What a call leaves under OUT, and what the next makes of it: nothing of the user's is touched, no revision twice."""

import errno
import itertools
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, override

import boto3
import pytest
from moto import mock_aws

from clayline.aws.ledger import DynamoLedger
from clayline.aws.objects import S3Objects
from clayline.run.ledger import Claim, Ledger, Outcome
from clayline.run.state import RunState
from clayline_cli.errors import CommandError
from clayline_cli.kept.folder import Kept
from clayline_local.scene_keys import absolute, names
from clayline_local.session import Session

REGION = "eu-central-1"
TOKEN, HASH = "starter-v1.0", "0123456789ab"
NUMBERS = itertools.count()
NOW = datetime(2025, 6, 1, tzinfo=UTC)
KINDS = {"parquet": ".parquet", "metadata": "_metadata.json", "item": ".json", "receipt": "_receipt.json"}


class Cloud(Session):
    """A session's own ways on a cloud that is empty, without the processes: each is one call of the command."""

    def __init__(self, out: Path) -> None:
        super().__init__(logs=out / "unused", out=out)
        self.s3, number = self.client("s3"), next(NUMBERS)
        self.bucket = f"embeddings-{number}"
        place = {"LocationConstraint": REGION}
        self.s3.create_bucket(Bucket=self.bucket, CreateBucketConfiguration=place)
        self.table = f"ledger-{number}"
        keys = (("pk", "HASH"), ("sk", "RANGE"))
        self.client("dynamodb").create_table(
            TableName=self.table,
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name, _ in keys],
            KeySchema=[{"AttributeName": name, "KeyType": kind} for name, kind in keys],
        )
        self.names = names(
            scenes_bucket=self.scenes_bucket, embeddings_bucket=self.embeddings_bucket, out=absolute(out), folders={}
        )
        self.ledger = DynamoLedger(boto3.resource("dynamodb", region_name=REGION).Table(self.table))
        self.objects = S3Objects(self.s3)

    @property
    @override
    def scenes_bucket(self) -> str:
        return "scenes"

    @property
    @override
    def embeddings_bucket(self) -> str:
        return self.bucket

    @property
    @override
    def ledger_table(self) -> str:
        return self.table

    @override
    def client(self, service: str) -> Any:
        return boto3.client(service, region_name=REGION)  # type: ignore[call-overload]

    def embed(self, run: str, *, body: bytes = b"vectors", failed: bool = False) -> dict[str, Any]:
        """Do to ledger and bucket what plan and collect do for one run; gives the event's detail."""
        assert claim(self.ledger, run) is Claim.GRANTED
        revision = self.ledger.revision(token=TOKEN, scene_hash=HASH, run=run)
        prefix = f"s3://{self.bucket}/{TOKEN}/{HASH}/21JYM_20200518_20200518_v{revision:03d}"
        self.ledger.planned(run, jobs=1, batches=1, due=NOW)
        self.ledger.hand_out(run, start=0, stop=1, out=1, due=NOW)
        outputs = {kind: self.names.of(prefix + end) for kind, end in KINDS.items()}
        detail = {"run": run, "status": "SceneEmbedded", "outputs": outputs}
        for kind, end in KINDS.items():
            content = json.dumps(detail).encode() if kind == "receipt" else body + kind.encode()
            self.objects.put_new(prefix + end, content, run=run, content_type="x")
        for state in (RunState.SETTLED, RunState.COMMITTED):
            assert self.ledger.enter(run, state, due=NOW)
        outcome = Outcome(status="SceneEmbedded", receipt=f"{prefix}_receipt.json", failed=failed)
        self.ledger.announced(run, outcome, now=NOW)
        return detail


def claim(ledger: Ledger, run: str) -> Claim:
    until = NOW + timedelta(days=1)
    return ledger.claim(run, scene="LC08", origin="{}", now=NOW, lease_until=until, due=until)


@pytest.fixture(autouse=True)
def aws() -> Iterator[None]:
    with mock_aws():
        yield


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "mein Out"


def call(out: Path, run: str, *, body: bytes = b"vectors") -> dict[str, Path]:
    """One whole call of the command: everything but the model."""
    kept, cloud = Kept(out), Cloud(out)
    with kept.lock():
        kept.restore(cloud)
        files = kept.fetch(cloud, cloud.embed(run, body=body))
        kept.save(cloud)
    return files


def snapshot(out: Path) -> Mapping[str, tuple[bytes, int]]:
    """Everything that lies there, with when it was written, but for what the command keeps for itself."""
    return {
        str(path): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in sorted(out.rglob("*"))
        if path.is_file() and ".clayline" not in path.parts
    }


def test_outputs_lie_where_they_say_and_nothing_else_is_left(out: Path) -> None:
    files = call(out, "run-a")
    assert {kind: path.name for kind, path in files.items()} == {
        kind: f"21JYM_20200518_20200518_v001{end}" for kind, end in KINDS.items()
    }
    detail = json.loads(files["receipt"].read_bytes())
    assert {kind: Path.from_uri(uri) for kind, uri in detail["outputs"].items()} == files
    assert files["parquet"].read_bytes() == b"vectorsparquet"
    assert len(snapshot(out)) == len(KINDS)


def test_another_run_of_the_scene_is_the_next_revision_and_the_first_stays(out: Path) -> None:
    first = call(out, "run-a")
    before = snapshot(out)
    second = call(out, "run-b", body=b"others")
    assert second["parquet"].name == "21JYM_20200518_20200518_v002.parquet"
    assert second["parquet"].read_bytes() == b"othersparquet"
    assert {path: found for path, found in snapshot(out).items() if path in before} == before
    assert first["parquet"].read_bytes() == b"vectorsparquet"


def test_a_finished_run_is_there_for_plan_to_find(out: Path) -> None:
    """Its row, its place among the revisions, its receipt with the run's mark: what plan reads, by plan's adapters."""
    files = call(out, "run-a")
    before, cloud = snapshot(out), Cloud(out)
    Kept(out).restore(cloud)
    row = cloud.ledger.run("run-a")
    assert row is not None
    assert (row.state, row.scene) == (RunState.ANNOUNCED, "LC08")
    assert claim(cloud.ledger, "run-a") is Claim.DONE
    assert cloud.ledger.revision(token=TOKEN, scene_hash=HASH, run="run-a") == 1
    receipt = f"s3://{cloud.bucket}/{files['receipt'].relative_to(out)}"
    assert cloud.objects.get(receipt) == files["receipt"].read_bytes()
    assert cloud.objects.put_new(receipt, b"again", run="run-a", content_type="x") is False
    detail = json.loads(files["receipt"].read_bytes())
    assert Kept(out).fetch(cloud, detail) == files
    Kept(out).save(cloud)
    assert snapshot(out) == before


@pytest.mark.parametrize("failed", [False, True])
def test_the_file_of_a_run_of_which_chips_failed_is_there_to_be_taken_over(out: Path, failed: bool) -> None:  # noqa: FBT001
    kept, cloud = Kept(out), Cloud(out)
    with kept.lock():
        files = kept.fetch(cloud, cloud.embed("run-a", failed=failed))
        kept.save(cloud)
    later = Cloud(out)
    Kept(out).restore(later)
    key = str(files["parquet"].relative_to(out))
    there = {entry["Key"] for entry in later.s3.list_objects_v2(Bucket=later.bucket)["Contents"]}
    assert (key in there) is failed
    if failed:
        head = later.objects.head(f"s3://{later.bucket}/{key}")
        assert (head.run, head.size) == ("run-a", files["parquet"].stat().st_size)


def test_rows_are_kept_whole_whatever_they_hold(out: Path) -> None:
    kept, cloud = Kept(out), Cloud(out)
    with kept.lock():
        kept.fetch(cloud, cloud.embed("run-a"))
        cloud.client("dynamodb").update_item(
            TableName=cloud.table,
            Key={"pk": {"S": "run#run-a"}, "sk": {"S": "scene"}},
            UpdateExpression="SET outcome = :outcome",
            ExpressionAttributeValues={":outcome": {"M": {"failed": {"BOOL": True}}}},
        )
        kept.save(cloud)
    again = Cloud(out)
    Kept(out).restore(again)
    (row,) = again.ledger_rows("scene")
    assert row["outcome"] == {"M": {"failed": {"BOOL": True}}}


def test_runs_that_did_not_finish_are_not_kept(out: Path) -> None:
    kept, cloud = Kept(out), Cloud(out)
    with kept.lock():
        claim(cloud.ledger, "run-a")
        cloud.ledger.revision(token=TOKEN, scene_hash=HASH, run="run-a")
        kept.save(cloud)
    assert call(out, "run-a")["parquet"].name.endswith("_v001.parquet")


@pytest.mark.parametrize("kind", ["receipt", "parquet"])
def test_a_run_whose_output_is_gone_is_done_again_as_the_next_revision(out: Path, kind: str) -> None:
    files = call(out, "run-a")
    files[kind].unlink()
    before = snapshot(out)
    again = call(out, "run-a", body=b"again")
    assert again["parquet"].name.endswith("_v002.parquet")
    assert {path: found for path, found in snapshot(out).items() if path in before} == before
    assert call(out, "run-c")["parquet"].name.endswith("_v003.parquet")


def test_the_revision_of_moved_files_stays_taken(out: Path, tmp_path: Path) -> None:
    call(out, "run-a")
    (out / TOKEN).rename(tmp_path / "moved")
    assert call(out, "run-b")["parquet"].name.endswith("_v002.parquet")


def test_revisions_without_a_row_are_never_given_again(out: Path) -> None:
    """Of a call that was killed before it noted them, or of an OUT from before there was a ledger."""
    folder = out / TOKEN / HASH
    folder.mkdir(parents=True)
    (folder / "21JYM_20200518_20200518_v001.parquet").write_bytes(b"whole")
    (folder / "21JYM_20200518_20200518_v004_metadata.json").write_bytes(b"half")
    (folder / "notes_v900.json").write_bytes(b"the user's")
    before = snapshot(out)
    assert call(out, "run-a")["parquet"].name.endswith("_v005.parquet")
    assert {path: found for path, found in snapshot(out).items() if path in before} == before


def test_a_killed_call_gives_its_revision_to_nobody(out: Path) -> None:
    kept, cloud = Kept(out), Cloud(out)
    with kept.lock():
        kept.fetch(cloud, cloud.embed("run-a"))  # and no save
    assert call(out, "run-a", body=b"later")["parquet"].name.endswith("_v002.parquet")


def test_a_folder_that_was_renamed_is_still_known(out: Path, tmp_path: Path) -> None:
    files = call(out, "run-a")
    out.rename(tmp_path / "renamed")
    moved = tmp_path / "renamed"
    cloud, kept = Cloud(moved), Kept(moved)
    kept.restore(cloud)
    assert claim(cloud.ledger, "run-a") is Claim.DONE
    detail = json.loads((moved / files["receipt"].relative_to(out)).read_bytes())
    assert kept.fetch(cloud, detail) == {kind: moved / path.relative_to(out) for kind, path in files.items()}
    kept.save(cloud)
    assert call(moved, "run-b")["parquet"].name.endswith("_v002.parquet")
    again = Cloud(moved)
    Kept(moved).restore(again)
    assert set(again.finished()) == {"run-a", "run-b"}


def test_what_the_user_put_in_an_outputs_place_stays_and_is_named(out: Path) -> None:
    cloud, kept = Cloud(out), Kept(out)
    target = out / TOKEN / HASH / "21JYM_20200518_20200518_v001.json"
    target.parent.mkdir(parents=True)
    with kept.lock():
        detail = cloud.embed("run-a")  # by a cloud that does not know of the file
        target.write_bytes(b"the user's")
        with pytest.raises(CommandError, match=r"v001\.json exists and is not what this run wrote.*move it away"):
            kept.fetch(cloud, detail)
    assert target.read_bytes() == b"the user's"
    assert not [path for path in target.parent.iterdir() if path.name.endswith(("_receipt.json", ".part"))]


def test_a_link_in_an_outputs_place_is_not_followed(out: Path, tmp_path: Path) -> None:
    cloud, kept = Cloud(out), Kept(out)
    detail = cloud.embed("run-a")
    (tmp_path / "mine").write_bytes(b"mine")
    target = out / TOKEN / HASH / "21JYM_20200518_20200518_v001.parquet"
    target.parent.mkdir(parents=True)
    target.symlink_to(tmp_path / "mine")
    with pytest.raises(CommandError, match="exists"):
        kept.fetch(cloud, detail)
    assert (tmp_path / "mine").read_bytes() == b"mine"


def test_a_fetch_that_was_interrupted_goes_on(out: Path) -> None:
    """The files of this very run that are there already are the same bytes."""
    cloud, kept = Cloud(out), Kept(out)
    detail = cloud.embed("run-a")
    first = kept.fetch(cloud, detail)
    first["receipt"].unlink()
    assert kept.fetch(cloud, detail) == first
    assert len(snapshot(out)) == len(KINDS)


@pytest.mark.parametrize("code", [errno.EPERM, errno.EOPNOTSUPP])
def test_a_file_system_without_links_is_no_reason_to_overwrite(
    out: Path, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def link(_: Path, __: Path) -> None:
        raise OSError(code, "no links here")

    monkeypatch.setattr("clayline_cli.kept.folder.os.link", link)
    cloud, kept = Cloud(out), Kept(out)
    detail = cloud.embed("run-a")
    files = kept.fetch(cloud, detail)
    assert files["parquet"].read_bytes() == b"vectorsparquet"
    assert kept.fetch(cloud, detail) == files
    files["parquet"].unlink()
    files["parquet"].write_bytes(b"the user's")
    with pytest.raises(CommandError, match=r"parquet exists"):
        kept.fetch(cloud, detail)
    assert files["parquet"].read_bytes() == b"the user's"


def test_a_full_disk_is_one_sentence_and_leaves_no_half_file(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cloud, kept = Cloud(out), Kept(out)
    detail = cloud.embed("run-a")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("clayline_cli.kept.folder.os.fsync", full)
    with pytest.raises(CommandError, match=r"the disk is full\. Free some space"):
        kept.fetch(cloud, detail)
    assert snapshot(out) == {}


def test_an_output_that_leads_out_of_the_folder_is_refused(out: Path) -> None:
    cloud = Cloud(out)
    name = cloud.names.of(f"s3://{cloud.bucket}/x").removesuffix("x")
    for uri in (f"{name}../../evil.json", f"{name}a/%2E%2E/evil.json", f"s3://{cloud.bucket}//etc/evil.json"):
        with pytest.raises(CommandError, match="no path under a folder"):
            Kept(out).fetch(cloud, {"run": "x", "outputs": {"receipt": uri}})
    with pytest.raises(CommandError, match="does not lie in"):
        Kept(out).fetch(cloud, {"run": "x", "outputs": {"receipt": "file:///elsewhere/x.json"}})


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"{", "is damaged .* Move it away"),
        (b"", "is damaged"),
        (b"[]", "is damaged"),
        (b'{"format": "clayline-kept/2", "runs": []}', "is damaged"),
        (b'{"format": "clayline-kept/2", "runs": {"a": {"row": {}, "outputs": {}}}, "scenes": {}}', "is damaged"),
        (b'{"format": "clayline-kept/2", "runs": {}, "scenes": {"scene#a#b": "text"}}', "is damaged"),
        (
            (
                b'{"format": "clayline-kept/2", "scenes": {}, "runs": {"a": {"outputs": {"receipt": "../../x"},'
                b' "row": {"pk": {"S": "run#a"}, "sk": {"S": "scene"}}}}}'
            ),
            "is damaged",
        ),
        (b'{"format": "clayline-kept/3"}', "of another version of Clayline"),
    ],
)
def test_a_ledger_that_cannot_be_read_is_one_sentence_and_stays(out: Path, body: bytes, said: str) -> None:
    files = call(out, "run-a")
    ledger = out / ".clayline" / "ledger.json"
    ledger.write_bytes(body)
    before = snapshot(out)
    kept, cloud = Kept(out), Cloud(out)
    for act in (kept.restore, kept.save):
        with pytest.raises(CommandError, match=said) as told:
            act(cloud)
        assert "\n" not in str(told.value)
    assert ledger.read_bytes() == body
    assert snapshot(out) == before
    assert files["parquet"].is_file()
    ledger.unlink()
    assert call(out, "run-a", body=b"later")["parquet"].name.endswith("_v002.parquet")


def test_what_other_calls_kept_stays_in_the_ledger(out: Path) -> None:
    call(out, "run-a")
    cloud, kept = Cloud(out), Kept(out)
    kept.save(cloud)  # a call that ended before it restored anything
    content = json.loads((out / ".clayline" / "ledger.json").read_bytes())
    assert (list(content["runs"]), list(content["scenes"])) == (["run-a"], [f"scene#{TOKEN}#{HASH}"])
    assert not list((out / ".clayline").glob("*.part"))


def test_logs_are_a_folder_of_each_call_and_what_was_there_stays(out: Path) -> None:
    (out / "logs").mkdir(parents=True)
    (out / "logs" / "x.log").write_text("the user's own")
    folders = [Kept(out).logs() for _ in range(3)]
    assert len(set(folders)) == 3
    assert all(folder.parent == out / "logs" and str(os.getpid()) in folder.name for folder in folders)
    assert (out / "logs" / "x.log").read_text() == "the user's own"


def test_a_session_removes_no_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x.log").write_text("the user's own")
    session = Session(logs=tmp_path)
    monkeypatch.setattr(session, "_start", lambda: None)
    with session:
        assert (tmp_path / "x.log").read_text() == "the user's own"


def test_the_second_of_two_calls_says_that_it_waits_and_goes_on_from_what_the_first_left(out: Path) -> None:
    said, waited, names = threading.Event(), [], []

    def notice(text: str) -> None:
        waited.append(text)
        said.set()

    def second() -> None:
        kept, cloud = Kept(out), Cloud(out)
        with kept.lock(notice):
            kept.restore(cloud)
            names.append(kept.fetch(cloud, cloud.embed("run-b"))["parquet"].name)
            kept.save(cloud)

    kept, cloud = Kept(out), Cloud(out)
    with kept.lock(waited.append):
        other = threading.Thread(target=second)
        other.start()
        assert said.wait(60)
        kept.restore(cloud)
        names.append(kept.fetch(cloud, cloud.embed("run-a"))["parquet"].name)
        kept.save(cloud)
        assert names == ["21JYM_20200518_20200518_v001.parquet"]
    other.join(60)
    assert names == ["21JYM_20200518_20200518_v001.parquet", "21JYM_20200518_20200518_v002.parquet"]
    assert waited == [f"another call is writing to {out}: waiting until it has ended"]


def test_the_lock_holds_between_processes_and_ends_with_them(out: Path) -> None:
    code = (
        "import sys, pathlib\nfrom clayline_cli.kept.folder import Kept\n"
        "with Kept(pathlib.Path(sys.argv[1])).lock():\n    print('held', flush=True)\n    sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(out)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with Kept(out).lock(lambda _: holder.kill()):
            assert holder.wait(60) < 0
    with Kept(out).lock(pytest.fail):
        pass


def test_an_out_that_is_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    for place in (tmp_path / "out", tmp_path / "out" / "deeper"):
        with pytest.raises(CommandError, match=r"/out is a file\. Give a folder") as told, Kept(place).lock():
            pass
        assert "\n" not in str(told.value)
        with pytest.raises(CommandError, match="is a file"):
            Kept(place).logs()
    assert (tmp_path / "out").read_text() == "a file"


def test_an_out_is_named_without_dots_and_must_have_a_name_that_can_be_said(tmp_path: Path) -> None:
    cloud = Cloud(tmp_path / "deep" / ".." / "out")
    assert cloud.names.of(f"s3://{cloud.bucket}/a b") == f"file://{tmp_path}/out/a%20b"
    assert Kept(tmp_path / "deep" / ".." / "out").out == tmp_path / "out"
    with pytest.raises(CommandError, match="not valid UTF-8"), Kept(tmp_path / os.fsdecode(b"\xff")).lock():
        pass
    assert not list(tmp_path.iterdir())


def test_an_out_that_cannot_be_written_is_told() -> None:
    with (
        pytest.raises(CommandError, match=r"cannot be written .* Check permissions, or give another"),
        Kept(Path("/proc/x")).lock(),
    ):
        pass
