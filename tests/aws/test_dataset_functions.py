"""index and compact as Lambda calls them, over moto: events that come twice, late or for nothing, and the clock."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.aws.functions import BUCKET, NAME, Handler, context, deliver, event, handler
from tests.dataset.scenes import MadeUp

import clayline
from clayline.aws.dataset_root import S3Root
from clayline.dataset.manifest import FRAGMENTS, MANIFEST
from clayline.errors import DatasetError
from clayline.steps.upkeep import COMPACTED

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@dataclass(frozen=True, kw_only=True)
class Stack:
    """A bucket, and the two functions over it."""

    s3: "S3Client"
    root: S3Root
    index: Handler
    compact: Handler

    def announced(self, *bodies: str, received: int = 1) -> list[int]:
        """Give events to index; gives the numbers of those that it gave back."""
        return deliver(self.index, *bodies, received=received)

    def listed(self, prefix: str = "dataset/") -> list[str]:
        return [stored.key for stored in self.root.list(prefix)]


@pytest.fixture
def stack(of_functions: "S3Client", monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Stack:
    monkeypatch.setenv("CLAYLINE_COMPACT_SCRATCH_MB", "512")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return Stack(
        s3=of_functions,
        root=S3Root(of_functions, bucket=BUCKET),
        index=handler("index"),
        compact=handler("compact"),
    )


def test_scenes_that_are_announced_twice_and_out_of_order_are_rows_once(stack: Stack) -> None:
    first, second = MadeUp(number=1), MadeUp(number=1, revision=2)
    other = MadeUp(number=2, failed=3)
    for scene in (first, second, other):
        scene.land(stack.root)
    assert stack.announced(event(second), event(other), event(second)) == []
    written = {key: stack.root.head(key).modified for key in stack.listed(FRAGMENTS)}
    assert stack.announced(event(first), event(second, repeated=True)) == []
    assert len(written) == 2
    assert len(stack.listed(FRAGMENTS)) == 3
    assert all(stack.root.head(key).modified == when for key, when in written.items())
    scenes = clayline.open_dataset(f"s3://{BUCKET}", client=stack.s3).scenes()
    assert sorted((row.scene, row.revision) for row in scenes) == [
        (second.row.scene, 2),
        (other.row.scene, 1),
    ]


def test_a_late_event_of_a_scene_that_was_compacted_changes_nothing_that_is_seen(stack: Stack) -> None:
    scene = MadeUp(number=1)
    scene.land(stack.root)
    stack.announced(event(scene))
    assert stack.compact({}, context())["taken_in"] == 1
    [fragment] = stack.listed(FRAGMENTS)
    stack.root.discard([fragment])  # after the grace period
    assert stack.announced(event(scene, repeated=True)) == []
    assert stack.listed(FRAGMENTS) == [fragment]
    dataset = clayline.open_dataset(f"s3://{BUCKET}", client=stack.s3)
    assert dataset.read(columns=["uci"]).column("uci").to_pylist().count(scene.ucis[0]) == 1
    stack.compact({}, context())
    dataset.refresh()
    assert dataset.read(columns=["uci"]).num_rows == scene.rows


def test_a_receipt_that_is_not_there_comes_again_and_the_others_are_indexed(stack: Stack) -> None:
    there, absent = MadeUp(number=1), MadeUp(number=2)
    there.land(stack.root)
    assert stack.announced(event(absent), event(there)) == [0]
    assert len(stack.listed(FRAGMENTS)) == 1
    absent.land(stack.root)
    assert stack.announced(event(absent), received=2) == []
    assert len(stack.listed(FRAGMENTS)) == 2


@pytest.mark.parametrize("gone", ["item", "parquet", "receipt"])
def test_files_that_were_taken_away_are_given_back_unless_they_were_announced_before(stack: Stack, gone: str) -> None:
    scene = MadeUp(number=1)
    scene.land(stack.root)
    stack.root.discard([getattr(scene.file, gone)])
    assert stack.announced(event(scene)) == [0]
    assert stack.announced(event(scene, repeated=True)) == []
    assert stack.listed() == []


def test_what_contradicts_itself_is_given_back_for_a_person(stack: Stack) -> None:
    scene = MadeUp(number=1)
    scene.land(stack.root)
    stack.s3.put_object(Bucket=BUCKET, Key=scene.file.receipt, Body=b"{}")
    assert stack.announced(event(scene, repeated=True)) == [0]
    assert stack.listed() == []


def test_what_is_nothing_of_ours_is_dropped_and_said(
    stack: Stack, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    scene = MadeUp(number=1)
    scene.land(stack.root)
    foreign = {
        "another stack's": event(scene, before="s3://others/"),
        "in a folder of the bucket": event(scene, before=f"{NAME}copies/"),
        "another bucket that begins so": event(scene, before=f"s3://{BUCKET}-2/"),
        "no event": "{}",
        "no JSON": "{",
        "another's": json.dumps({**json.loads(event(scene)), "source": "aws.s3"}),
        "no detail": json.dumps({"source": "clayline", "detail-type": "SceneEmbedded"}),
        "without a receipt": event(scene, outputs={}),
    }
    assert stack.announced(*foreign.values()) == []
    assert stack.listed() == []
    said = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    assert [record.levelname for record in caplog.records] == ["WARNING"] * len(foreign)
    [counted] = [line["UnknownEvent"] for line in said if "UnknownEvent" in line]
    assert sum(counted) == len(foreign)


def test_compact_takes_in_what_index_brought_and_then_rests(stack: Stack) -> None:
    scenes = [MadeUp(number=number, rows=100) for number in range(3)]
    for scene in scenes:
        scene.land(stack.root)
    stack.announced(*map(event, scenes))
    done = stack.compact({}, context())
    assert (done["taken_in"], done["chips"], done["tiers"], done["finished"]) == (3, 300, 1, True)
    before = [(stored.key, stored.etag) for stored in stack.root.list("")]
    assert {MANIFEST, COMPACTED} < {key for key, _ in before}
    assert stack.compact({}, context())["passes"] == 0
    assert [(stored.key, stored.etag) for stored in stack.root.list("")] == before


def test_compact_begins_no_second_pass_when_its_time_is_short(stack: Stack) -> None:
    scenes = [MadeUp(number=number, square=f"32U{letter}D") for number, letter in enumerate("PQ")]
    for scene in scenes:
        scene.land(stack.root)
    stack.announced(*map(event, scenes))
    done = stack.compact({}, context(seconds=20))
    assert (done["passes"], done["taken_in"], done["chips"], done["finished"]) == (1, 2, 16, False)
    assert COMPACTED not in stack.listed()
    assert clayline.open_dataset(f"s3://{BUCKET}", client=stack.s3).read(columns=["uci"]).num_rows == 32
    done = stack.compact({}, context())
    assert (done["chips"], done["finished"]) == (16, True)


def test_scenes_that_are_left_out_fail_the_call_when_all_else_is_done(stack: Stack) -> None:
    scenes = [MadeUp(number=1), MadeUp(number=2, identifiers_of=1), MadeUp(number=3, square="32UPD")]
    for scene in scenes:
        scene.land(stack.root)
    stack.announced(*map(event, scenes))
    for _ in range(2):
        with pytest.raises(DatasetError, match=f"1 could not be compacted.*{scenes[1].row.href}"):
            stack.compact({}, context())
    assert {key.split("/")[4] for key in stack.listed("dataset/files/")} == {"QD", "PD"}
