"""Watch: a scene's chips against the watches, whatever comes twice, late, damaged, or is killed in between."""

import io
import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from tests.dataset.scenes import MadeUp, rewritten
from tests.dataset.world import LostAnswerError, Memory
from tests.likeness.watches import NOW, keep, scores_of, watch_of

from clayline.dataset.ports import Stored
from clayline.errors import DatasetError, TransientError
from clayline.likeness.probe import floats_text
from clayline.likeness.watch import version_key
from clayline.likeness.watch_receipt import MOST_EVENT_BYTES, Match, Rest, WatchReceipt
from clayline.likeness.watchbook import remove
from clayline.ports import ObjectForbiddenError
from clayline.run.announced import Announced
from clayline.steps.telling import mark_key
from clayline.steps.watching import Watched, Watching
from clayline.table.scene_chips import SceneChips, open_scene

EXAMPLE, SCENE = MadeUp(number=1, rows=200), MadeUp(number=2, rows=200)
ROOT = "s3://embeddings/"


class Killed(BaseException):
    """The function ends here."""


@dataclass
class Bus:
    """What was put on the bus."""

    events: list[dict[str, Any]] = field(default_factory=list)

    def announce(self, detail_type: str, detail: Any) -> None:
        assert detail_type == "WatchMatched"
        self.events.append(json.loads(json.dumps(detail, allow_nan=False)))


@dataclass
class Dying:
    """A root and a bus of which the operation number ``at`` is the last, done (``after``) or not."""

    root: Memory
    bus: Bus
    at: int
    after: bool
    done: int = 0
    uri: str = "memory"

    def _counted(self, operation: Any, *arguments: Any) -> Any:
        self.done += 1
        if self.done == self.at and not self.after:
            raise Killed
        found = operation(*arguments)
        if self.done == self.at:
            raise Killed
        return found

    def put_new(self, key: str, body: Any) -> bool:
        return bool(self._counted(self.root.put_new, key, body))

    def replace(self, key: str, body: bytes, *, etag: str | None) -> bool:
        return bool(self._counted(partial(self.root.replace, etag=etag), key, body))

    def announce(self, detail_type: str, detail: Any) -> None:
        self._counted(self.bus.announce, detail_type, detail)

    def list(self, prefix: str) -> Iterator[Stored]:
        return self.root.list(prefix)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.root, name)


@pytest.fixture(scope="module")
def landed() -> Memory:
    """Give what the scene left, once it was written."""
    found = Memory()
    SCENE.land(found)
    return found


@pytest.fixture
def root(landed: Memory) -> Memory:
    return Memory(objects=dict(landed.objects))


@pytest.fixture
def bus() -> Bus:
    return Bus()


def watching(root: Any, bus: Any) -> Watching:
    return Watching(root=root, open_scene=open_scene, announcer=bus, clock=lambda: NOW, root_name=ROOT)


def event(scene: MadeUp = SCENE, **changed: Any) -> Announced:
    found = Announced(
        run=scene.row.run,
        status="SceneEmbedded",
        scene=str(scene.number),
        outputs={"receipt": ROOT + scene.file.receipt},
        landed_uri="s3://scenes/item.json",
        repeated=False,
    )
    return found.model_copy(update=changed)


def receipts(root: Memory) -> list[str]:
    return [stored.key for stored in root.list("watched/")]


def stem(scene: MadeUp = SCENE, name: str = "pivots", version: int = 1) -> str:
    return f"watched/{name}/v{version:03d}/{scene.row.run}_v{scene.revision:03d}"


def test_the_chips_over_the_threshold_are_told_as_numpy_finds_them(root: Memory, bus: Bus) -> None:
    keep(root, watch_of(EXAMPLE))
    found = watching(root, bus).answer(event())
    scores = scores_of(SCENE, EXAMPLE)
    order = [number for number in np.argsort(-scores, kind="stable").tolist() if scores[number] >= 0.4]
    [receipt] = found.receipts
    assert len(order) > 5
    assert [match.uci for match in receipt.top] == [SCENE.ucis[number] for number in order]
    assert [match.score for match in receipt.top] == pytest.approx(scores[order], abs=1e-5)
    assert (receipt.chips, receipt.scored, receipt.matched, receipt.left_out) == (200, 200, len(order), {})
    assert receipt.scores["most"] == pytest.approx(scores.max(), abs=1e-5)
    [told] = bus.events
    assert told["id"] == f"pivots/v001/{SCENE.row.run}_v001"
    assert (told["generation"], told["version"], told["run"]) == (1, 1, SCENE.row.run)
    assert told["matches"][0]["footprint"]["type"] == "Polygon"
    assert told["matches"][0]["cell"].startswith("32UQD-")
    assert told["receipt"] == f"{ROOT}{stem()}.json"
    assert told["embeddings"] == ROOT + SCENE.file.parquet
    assert WatchReceipt.parse(root.get(f"{stem()}.json", most=10**9)[0], uri="it") == receipt


def test_a_scene_without_a_match_leaves_a_receipt_and_no_event(root: Memory, bus: Bus) -> None:
    keep(root, watch_of(EXAMPLE, threshold=1.0))
    [receipt] = watching(root, bus).answer(event()).receipts
    assert (receipt.matched, receipt.top, receipt.scored) == (0, (), 200)
    assert bus.events == []
    assert receipts(root) == [f"{stem()}.json"]


def test_what_comes_twice_or_is_announced_again_is_scored_and_told_once(root: Memory, bus: Bus) -> None:
    keep(root, watch_of(EXAMPLE))
    step = watching(root, bus)
    step.answer(event())
    for again in (event(), event(repeated=True), event(repeated=True, landed_uri="s3://scenes/elsewhere.json")):
        found = replace(step, open_scene=_never).answer(again)
        assert found == Watched(repeated=(f"pivots/v001/{SCENE.row.run}_v001",))
    assert len(bus.events) == 1


def test_an_announcement_that_comes_before_the_one_that_it_repeats_is_as_good(root: Memory, bus: Bus) -> None:
    keep(root, watch_of(EXAMPLE))
    assert len(watching(root, bus).answer(event(repeated=True)).receipts) == 1
    assert watching(root, bus).answer(event()).repeated
    assert len(bus.events) == 1


def test_an_older_revision_that_comes_late_has_a_receipt_of_its_own(root: Memory, bus: Bus) -> None:
    keep(root, watch_of(EXAMPLE))
    newer = replace(SCENE, revision=2)
    newer.land(root)
    for scene in (newer, SCENE):
        assert len(watching(root, bus).answer(event(scene)).receipts) == 1
    assert {told["generation"] for told in bus.events} == {1, 2}
    assert len({told["id"] for told in bus.events}) == 2


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("at", [1, 2, 3, 4])
def test_killed_around_any_write_the_next_try_ends_as_if_it_had_not_been(
    root: Memory, bus: Bus, at: int, *, after: bool
) -> None:
    """Due, receipt, event, told: the receipt is written once, the event at least once and always the same."""
    keep(root, watch_of(EXAMPLE))
    dying = Dying(root=root, bus=bus, at=at, after=after)
    with pytest.raises(Killed):
        watching(dying, dying).answer(event())
    written = root.get(f"{stem()}.json", most=10**9)[0] if (at, after) > (2, False) else None
    watching(root, bus).answer(event())
    watching(root, bus).answer(event())
    assert receipts(root) == [mark_key(SCENE.row.run, 1), f"{stem()}.json"]
    assert written in {None, root.get(f"{stem()}.json", most=10**9)[0]}
    assert len(bus.events) == (2 if (at, after) in {(3, True), (4, False)} else 1)
    assert all(told == bus.events[0] for told in bus.events)


MEANWHILE: dict[str, Callable[[Memory], object]] = {
    "a version that nothing matches": lambda root: keep(root, watch_of(EXAMPLE, version=2, threshold=1.0)),
    "a version that matches": lambda root: keep(root, watch_of(EXAMPLE, version=2, threshold=0.5)),
    "a draft": lambda root: keep(root, watch_of(EXAMPLE, version=2, threshold=None)),
    "another model's": lambda root: keep(root, watch_of(EXAMPLE, version=2, token="starter-v9.9-rgb")),
    "it was removed": lambda root: remove(root, "pivots", now=NOW),
    "it is damaged": lambda root: root.put_new(version_key("pivots", 2), b"{"),
    "another watch": lambda root: keep(root, watch_of(EXAMPLE, chip=3, name="later")),
}


@pytest.mark.parametrize("meanwhile", MEANWHILE)
@pytest.mark.parametrize("at", range(1, 7))
def test_killed_before_any_write_what_was_scored_is_told_whatever_becomes_of_its_watch(
    root: Memory, bus: Bus, at: int, meanwhile: str
) -> None:
    """Two watches: due, two receipts, two events, told. No event without its receipt, no match without its event."""
    keep(root, watch_of(EXAMPLE))
    keep(root, watch_of(EXAMPLE, name="another"))
    dying = Dying(root=root, bus=bus, at=at, after=False)
    with pytest.raises(Killed):
        watching(dying, dying).answer(event())
    MEANWHILE[meanwhile](root)
    for _ in range(2):
        with suppress(DatasetError):  # of what is damaged
            watching(root, bus).answer(event())
    assert_all_is_told(root, bus)
    before = len(bus.events)
    with suppress(DatasetError):
        watching(root, bus).answer(event(repeated=True))
    assert len(bus.events) == before


@pytest.mark.parametrize("meanwhile", MEANWHILE)
@pytest.mark.parametrize("at", range(1, 5))
def test_a_write_that_nobody_is_told_of_and_a_kill_after_it_lose_no_event(
    root: Memory, bus: Bus, at: int, meanwhile: str
) -> None:
    """S3 took it, its answer was lost, and asked again it refuses what is there."""
    keep(root, watch_of(EXAMPLE))
    keep(root, watch_of(EXAMPLE, name="another"))
    writes: list[str] = []

    def lost(_: str, key: str) -> None:
        if key.startswith("watched/"):
            writes.append(key)
            if len(writes) == at:
                raise LostAnswerError

    def killed(_: str, key: str) -> None:
        if len(writes) == at and key.startswith("watched/"):
            raise Killed

    root.after, root.before = lost, killed
    with suppress(Killed):
        watching(root, bus).answer(event())
    root.after, root.before = lambda *_: None, lambda *_: None
    assert len(writes) == at
    MEANWHILE[meanwhile](root)
    with suppress(DatasetError):
        watching(root, bus).answer(event())
    assert_all_is_told(root, bus)


def assert_all_is_told(root: Memory, bus: Bus) -> None:
    stood = [WatchReceipt.parse(root.get(key, most=10**9)[0], uri=key) for key in receipts(root) if "_told" not in key]
    assert {json.dumps(told) for told in bus.events} == {json.dumps(each.event()) for each in stood if each.matched}


def test_a_bus_that_takes_nothing_for_a_while_is_told_under_the_version_that_scored(root: Memory, bus: Bus) -> None:
    class Throttled(Bus):
        def announce(self, detail_type: str, detail: Any) -> None:
            msg = f"{detail_type} of {detail['id']} was throttled"
            raise TransientError(msg)

    keep(root, watch_of(EXAMPLE))
    with pytest.raises(TransientError, match="throttled"):
        watching(root, Throttled()).answer(event())
    keep(root, watch_of(EXAMPLE, version=2, threshold=0.5))
    watching(root, bus).answer(event())
    assert sorted(told["version"] for told in bus.events) == [1, 2]


def test_two_tries_at_once_under_two_versions_leave_both_due_and_both_told(root: Memory, bus: Bus) -> None:
    """The late one is killed before it tells, and its message is gone: the next announcement finds what is due."""
    keep(root, watch_of(EXAMPLE))
    dying, there = Dying(root=root, bus=bus, at=4, after=False), root

    def slowly(root: Any, file: Any) -> SceneChips:
        keep(there, watch_of(EXAMPLE, version=2, threshold=0.5))
        watching(there, bus).answer(event())
        return open_scene(root, file)

    with pytest.raises(Killed):
        replace(watching(dying, dying), open_scene=slowly).answer(event())
    assert [told["version"] for told in bus.events] == [2]
    watching(root, bus).answer(event(repeated=True))
    assert [told["version"] for told in bus.events] == [2, 1]


def test_ten_watches_read_the_scene_once_and_share_one_mark(root: Memory, bus: Bus) -> None:
    for number in range(10):
        keep(root, watch_of(EXAMPLE, chip=number, name=f"w{number}"))
    dying = Dying(root=root, bus=bus, at=10**6, after=False)
    opened: list[str] = []

    def once(root: Any, file: Any) -> SceneChips:
        opened.append(file.parquet)
        return open_scene(root, file)

    found = replace(watching(dying, dying), open_scene=once).answer(event()).receipts
    matched = [receipt.id for receipt in found if receipt.matched]
    assert len(opened) == 1
    assert len(matched) == len(bus.events) > 5
    assert dying.done == 1 + 10 + len(matched) + 1
    assert json.loads(root.get(mark_key(SCENE.row.run, 1), most=10**6)[0])["told"] == sorted(matched)


def test_a_mark_takes_up_what_is_told_later_and_by_others_meanwhile(root: Memory, bus: Bus) -> None:
    keep(root, watch_of(EXAMPLE))
    watching(root, bus).answer(event())
    keep(root, watch_of(EXAMPLE, name="later"))
    key = mark_key(SCENE.row.run, 1)

    class Meanwhile(Bus):
        def announce(self, detail_type: str, detail: Any) -> None:
            content, etag = root.get(key, most=10**6)
            mark = json.loads(content)
            mark["told"].append("others/v001/run_v001")
            assert root.replace(key, json.dumps(mark).encode(), etag=etag)
            super().announce(detail_type, detail)

    other = Meanwhile()
    watching(root, other).answer(event(repeated=True))
    told = json.loads(root.get(key, most=10**6)[0])["told"]
    assert told == [f"later/v001/{SCENE.row.run}_v001", "others/v001/run_v001", f"pivots/v001/{SCENE.row.run}_v001"]
    assert [each["watch"] for each in other.events] == ["later"]


def test_a_damaged_mark_has_it_told_again_and_is_mended(root: Memory, bus: Bus) -> None:
    keep(root, watch_of(EXAMPLE))
    root.put_new(mark_key(SCENE.row.run, 1), b"{")
    for _ in range(2):
        watching(root, bus).answer(event())
    assert len(bus.events) == 1
    assert json.loads(root.get(mark_key(SCENE.row.run, 1), most=10**6)[0])["told"] == [
        f"pivots/v001/{SCENE.row.run}_v001"
    ]


@pytest.mark.parametrize(("threshold", "writes"), [(0.4, 4), (1.0, 1)])
def test_no_writes_are_there_but_these(root: Memory, bus: Bus, threshold: float, writes: int) -> None:
    keep(root, watch_of(EXAMPLE, threshold=threshold))
    dying = Dying(root=root, bus=bus, at=10**6, after=False)
    watching(dying, dying).answer(event())
    assert dying.done == writes


def test_two_deliveries_at_once_tell_what_one_of_them_wrote(root: Memory, bus: Bus) -> None:
    keep(root, watch_of(EXAMPLE))
    there = root

    def slowly(root: Any, file: Any) -> SceneChips:
        watching(there, bus).answer(event())  # the other delivery, from its first read to its last write
        return open_scene(root, file)

    late = replace(watching(root, bus), open_scene=slowly, clock=lambda: NOW.replace(year=2027))
    assert late.answer(event()).receipts == ()
    assert len(bus.events) == 1
    assert bus.events[0]["at"].startswith("2026")


def test_each_reason_is_counted_and_they_add_up(root: Memory, bus: Bus) -> None:
    west, north = SCENE.row.box.west, SCENE.row.box.north
    keep(root, watch_of(EXAMPLE, box=(west, north - 0.06, west + 0.06, north), threshold=-1.0))
    keep(root, watch_of(EXAMPLE, name="clear", cloud_most=0.1))
    keep(root, watch_of(EXAMPLE, name="landsat", instruments=("landsat8-oli-c2l2",)))
    found = {receipt.watch: receipt for receipt in watching(root, bus).answer(event()).receipts}
    assert found["pivots"].left_out == {"box": 191}
    assert found["pivots"].matched == 9
    assert found["clear"].left_out == {"cloud-unknown": 200}
    assert found["landsat"].left_out == {"instrument": 200}
    assert all(each.chips == each.scored + sum(each.left_out.values()) for each in found.values())


@pytest.mark.parametrize(
    ("instrument", "is_looked_at"),
    [("s2a-msi-l2a", True), ("s2b-msi-l2a", True), ("s2-msi-l2a", True), ("s2a-msi-hls", False), ("own-msi", False)],
)
def test_a_watch_looks_at_every_satellite_of_its_examples_family(
    root: Memory,
    bus: Bus,
    instrument: str,
    is_looked_at: bool,  # noqa: FBT001
) -> None:
    assert SCENE.row.instrument == "s2a-msi-l2a"
    keep(root, watch_of(EXAMPLE, instruments=(instrument,)))
    [receipt] = watching(root, bus).answer(event()).receipts
    assert receipt.left_out == ({} if is_looked_at else {"instrument": 200})
    assert (receipt.matched > 0, len(bus.events)) == (is_looked_at, int(is_looked_at))


def test_watches_that_do_not_look_at_it_leave_nothing(root: Memory, bus: Bus) -> None:
    keep(root, watch_of(EXAMPLE, name="draft", threshold=None))
    keep(root, watch_of(EXAMPLE, name="other-digest", digest="sha256:" + "9" * 64))
    keep(root, watch_of(EXAMPLE, name="other-token", token="starter-v9.9-rgb"))
    keep(root, watch_of(EXAMPLE, name="removed"))
    remove(root, "removed", now=NOW)
    found = watching(root, bus).answer(event())
    assert found == Watched(other_model=("other-digest", "other-token"), drafts=("draft",))
    assert receipts(root) == []
    assert bus.events == []


def test_without_watches_a_scene_costs_a_listing(root: Memory, bus: Bus) -> None:
    assert replace(watching(_OnlyLists(root), bus), open_scene=_never).answer(event()) == Watched()


def test_a_watch_that_is_newer_scores_what_is_announced_once_more(root: Memory, bus: Bus) -> None:
    keep(root, watch_of(EXAMPLE))
    watching(root, bus).answer(event())
    keep(root, watch_of(EXAMPLE, version=2, threshold=0.5))
    [receipt] = watching(root, bus).answer(event(repeated=True)).receipts
    assert (receipt.version, receipt.threshold) == (2, 0.5)


def test_a_damaged_watch_fails_and_the_others_are_told(root: Memory, bus: Bus) -> None:
    keep(root, watch_of(EXAMPLE))
    root.put_new(version_key("dams", 1), b'{"format": "clayline-watch/1"}')
    for _ in range(2):
        with pytest.raises(DatasetError, match=r"watches/dams/v001\.json is damaged"):
            watching(root, bus).answer(event())
    assert len(bus.events) == 1
    keep(root, watch_of(EXAMPLE, name="dams", version=2))
    assert len(watching(root, bus).answer(event()).receipts) == 1
    assert len(bus.events) == 2


@pytest.mark.parametrize(
    "changed",
    [{"outputs": {"receipt": ROOT.replace("embeddings", "others") + SCENE.file.receipt}}, {"outputs": {}}],
)
def test_an_event_of_another_stack_is_dropped(root: Memory, bus: Bus, changed: dict[str, Any]) -> None:
    keep(root, watch_of(EXAMPLE))
    assert watching(root, bus).answer(event(**changed)) == Watched(elsewhere=True)


def test_a_scene_that_failed_has_nothing_to_look_at(root: Memory, bus: Bus) -> None:
    keep(root, watch_of(EXAMPLE))
    assert watching(root, bus).answer(event(status="SceneFailed")) == Watched()


def test_a_file_that_is_not_there_is_looked_for_again(root: Memory, bus: Bus) -> None:
    keep(root, watch_of(EXAMPLE))
    root.discard([SCENE.file.parquet])
    with pytest.raises(TransientError, match="was announced, but"):
        watching(root, bus).answer(event())
    assert watching(root, bus).answer(event(repeated=True)) == Watched(gone=True)


def test_a_file_of_another_run_is_refused(root: Memory, bus: Bus) -> None:
    keep(root, watch_of(EXAMPLE))
    with pytest.raises(DatasetError, match="was announced"):
        watching(root, bus).answer(event(run="f" * 32))


def rewrite(root: Memory, **columns: Any) -> None:
    """Leave the scene's file as somebody else's writer might."""
    body, moment = root.objects[SCENE.file.parquet]
    root.objects[SCENE.file.parquet] = rewritten(body, **columns), moment


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_a_chip_whose_vector_is_not_finite_is_left_out_and_counted(root: Memory, bus: Bus, wrong: float) -> None:
    """No writer of ours lets one through; somebody else's file must not become NaN in a receipt, nor stop the rest."""
    keep(root, watch_of(EXAMPLE))
    keep(root, watch_of(EXAMPLE, name="elsewhere", instruments=("own-msi",)))
    [_, before] = watching(Memory(objects=dict(root.objects)), Bus()).answer(event()).receipts
    best = SCENE.ucis.index(before.top[0].uci)
    vectors = SCENE.vectors()
    vectors[best, 3] = wrong
    rewrite(root, embeddings=vectors)
    [elsewhere, receipt] = watching(root, bus).answer(event()).receipts
    assert (receipt.chips, receipt.scored, receipt.left_out) == (200, 199, {"not-finite": 1})
    assert receipt.top == before.top[1:]
    assert receipt.scores["most"] == before.top[1].score
    assert elsewhere.left_out == {"instrument": 200}
    assert len(bus.events) == 1


def stored(**changed: Any) -> bytes:
    """Give a watch ``bad`` whose probe is another, as nobody's command writes it."""
    written = json.loads(watch_of(EXAMPLE, name="bad").model_dump_json())
    return json.dumps({**written, "probe": {**written["probe"], **changed}}).encode()


def forbid(root: Memory, key: str) -> None:
    def before(_: str, asked: str) -> None:
        if asked == key:
            msg = f"{asked} may not be read: its key in KMS is somebody else's"
            raise ObjectForbiddenError(msg)

    keep(root, watch_of(EXAMPLE, name="bad"))
    root.objects.setdefault(key, (b"{", NOW))
    root.before = before


def vanish(root: Memory) -> None:
    def before(_: str, asked: str) -> None:
        if asked == version_key("bad", 1):
            root.objects.pop(asked, None)

    keep(root, watch_of(EXAMPLE, name="bad"))
    root.before = before


def spoil_receipt(root: Memory) -> None:
    keep(root, watch_of(EXAMPLE, name="bad"))
    root.put_new(f"{stem(name='bad')}.json", b"{")


def text(*values: float) -> str:
    return floats_text(np.array(values, np.float32))


BAD = version_key("bad", 1)
ONE_BAD: dict[str, tuple[Callable[[Memory], object], str]] = {
    "a probe of another length": (
        lambda root: root.put_new(BAD, stored(centre=text(0, 0, 0, 0), direction=text(1, 0, 0, 0))),
        "bad v001 is damaged, or the scene's file is: the watch's probe has 4 dimensions, the scene's vectors have 8",
    ),
    "a direction of another length": (
        lambda root: root.put_new(BAD, stored(direction=text(*[1e38] * 8))),
        r"watches/bad/v001.json is damaged: .*its direction is of length 2.8.*e\+38, and not of length 1",
    ),
    "a direction that is none": (
        lambda root: root.put_new(BAD, stored(direction=text(*[0] * 8))),
        r"watches/bad/v001.json is damaged: .*its direction is of length 0",
    ),
    "a watch that may not be read": (lambda root: forbid(root, BAD), "watches/bad/v001.json may not be read"),
    "a watch that goes while it is read": (vanish, "there is no object watches/bad/v001.json"),
    "a receipt that is none": (spoil_receipt, "watched/bad/v001/.*is no receipt of a watch"),
    "a receipt that may not be read": (
        lambda root: forbid(root, f"{stem(name='bad')}.json"),
        "watched/bad/v001/.* may not be read",
    ),
}


@pytest.mark.parametrize("what", ONE_BAD)
def test_one_bad_object_keeps_no_watch_from_being_answered_and_is_named(root: Memory, bus: Bus, what: str) -> None:
    """Watches before and after it in every order: all are scored and told, then the message fails."""
    spoil, said = ONE_BAD[what]
    keep(root, watch_of(EXAMPLE, name="a"))
    keep(root, watch_of(EXAMPLE, name="pivots"))
    spoil(root)
    with pytest.raises(DatasetError, match=said):
        watching(root, bus).answer(event())
    assert [told["watch"] for told in bus.events] == ["a", "pivots"]
    assert f"{stem()}.json" in receipts(root)
    assert f"{stem(name='a')}.json" in receipts(root)


@pytest.mark.parametrize(
    "changed", [{"id": "pivots/v001/elsewhere"}, {"run": "f" * 32}, {"watch": "other"}, {"version": 9}]
)
def test_a_receipt_that_says_that_it_is_another_is_believed_by_nobody(
    root: Memory, bus: Bus, changed: dict[str, Any]
) -> None:
    keep(root, watch_of(EXAMPLE))
    keep(root, watch_of(EXAMPLE, name="z"))
    [receipt, _] = watching(Memory(objects=dict(root.objects)), Bus()).answer(event()).receipts
    root.put_new(f"{stem()}.json", receipt.model_copy(update=changed).model_dump_json().encode())
    with pytest.raises(DatasetError, match=r"watched/pivots/v001/.* says that it is .*Move it to where it belongs"):
        watching(root, bus).answer(event(repeated=True))
    assert [told["watch"] for told in bus.events] == ["z"]


def test_a_receipt_that_is_due_and_cannot_be_read_keeps_no_other_from_being_told(root: Memory, bus: Bus) -> None:
    keep(root, watch_of(EXAMPLE))
    dying = Dying(root=root, bus=bus, at=3, after=False)
    with pytest.raises(Killed):
        watching(dying, dying).answer(event())
    keep(root, watch_of(EXAMPLE, version=2))
    root.objects[f"{stem()}.json"] = b"{", NOW
    with pytest.raises(DatasetError, match=r"watched/pivots/v001/.*is no receipt of a watch"):
        watching(root, bus).answer(event())
    assert [told["version"] for told in bus.events] == [2]


def test_a_receipt_of_another_delivery_that_is_damaged_is_named_after_the_others_were_told(
    root: Memory, bus: Bus
) -> None:
    for name in ("bad", "pivots"):
        keep(root, watch_of(EXAMPLE, name=name))

    def slowly(root: Any, file: Any) -> SceneChips:
        root.put_new(f"{stem(name='bad')}.json", b"{")
        return open_scene(root, file)

    with pytest.raises(DatasetError, match=r"watched/bad/v001/.*is no receipt of a watch"):
        replace(watching(root, bus), open_scene=slowly).answer(event())
    assert [told["watch"] for told in bus.events] == ["pivots"]


def test_a_footprint_that_is_none_stops_the_watches_alone_that_look_at_it(root: Memory, bus: Bus) -> None:
    west, north = SCENE.row.box.west, SCENE.row.box.north
    keep(root, watch_of(EXAMPLE, name="boxed", box=(west, north - 0.06, west + 0.06, north)))
    keep(root, watch_of(EXAMPLE, name="everywhere", threshold=-0.999))
    keep(root, watch_of(EXAMPLE, name="other-chips", chip=3, threshold=0.9999))
    footprints = pq.read_table(io.BytesIO(root.objects[SCENE.file.parquet][0])).column("geometry").to_pylist()
    best = int(np.argmax(scores_of(SCENE, EXAMPLE)))
    footprints[best] = b"nothing"
    rewrite(root, geometry=footprints)
    with pytest.raises(DatasetError, match=r"footprint of the scene is damaged.*the footprint of .* is damaged"):
        watching(root, bus).answer(event())
    assert receipts(root) == [f"{stem(name='other-chips')}.json"]


@pytest.mark.parametrize("prefix", ["watches/", "watched/"])
def test_what_holds_for_all_objects_is_tried_again(root: Memory, bus: Bus, prefix: str) -> None:
    keep(root, watch_of(EXAMPLE))

    def throttled(operation: str, key: str) -> None:
        if operation == "get" and key.startswith(prefix):
            msg = f"GET {key}: SlowDown"
            raise TransientError(msg)

    root.before = throttled
    with pytest.raises(TransientError, match="SlowDown"):
        watching(root, bus).answer(event())
    root.before = lambda *_: None
    assert len(watching(root, bus).answer(event()).receipts) == 1


def test_an_event_fits_the_bus_and_the_receipt_has_the_rest(root: Memory, bus: Bus) -> None:
    keep(root, watch_of(EXAMPLE, threshold=-1.0))
    [receipt] = watching(root, bus).answer(event()).receipts
    assert (receipt.matched, len(receipt.top), len(receipt.rest.uci)) == (200, 100, 100)
    assert sorted([match.uci for match in receipt.top] + list(receipt.rest.uci)) == SCENE.ucis
    assert receipt.top[-1].score >= receipt.rest.score[0] >= receipt.rest.score[-1]
    ring = [[float(number), 0.1234567] for number in range(400)]
    wide = Match(uci="a", cell="b", index=0, score=1.0, footprint={"type": "Polygon", "coordinates": [ring]})
    large = receipt.model_copy(update={"top": (wide,) * 100, "rest": Rest()})
    told = large.event()
    assert len(json.dumps(told).encode()) <= MOST_EVENT_BYTES
    assert 10 < told["shown"] == len(told["matches"]) < 100
    assert told["matched"] == 200


def _never(root: Any, file: Any) -> Any:
    msg = f"{file} of {root} was read"
    raise AssertionError(msg)


class _OnlyLists:
    """A root of which nothing but a listing may be asked, and that once."""

    uri = "folder"

    def __init__(self, root: Memory) -> None:
        self._left = [root.list]

    def list(self, prefix: str) -> Iterator[Stored]:
        return self._left.pop()(prefix)
