"""Sending: the chips of a scene's newest revision go into a vector bucket, once or again (docs/vectors.md)."""

import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import batched, groupby
from operator import itemgetter
from typing import Final, Literal, Protocol

from pydantic import BaseModel, ConfigDict

from clayline.dataset.ports import Root, Stored, WritableRoot
from clayline.dataset.scene_file import SceneFile, SceneHeader
from clayline.errors import DatasetError, TransientError
from clayline.likeness.centring import Centre
from clayline.likeness.vector_index import VectorModel
from clayline.likeness.vector_records import MOST_A_PUT, ChipColumns, Put, puts
from clayline.ports import ObjectMissingError
from clayline.run.announced import Announced
from clayline.steps.indexing import INDEXED, ReadHeader
from clayline.steps.leftovers import leftovers
from clayline.steps.turns import Turn, begun_scene

PLACE: Final = "vectors/"
"""Folder of a root that says what vector buckets hold."""
LEFT_BEHIND: Final = "what says which vectors older revisions put is damaged: those that only it names are left"
_MOST_OBJECT: Final = 16 * 1024 * 1024
_TRIES: Final = 4
"""Of a scene that gets another revision while it is sent."""


class ReadChips(Protocol):
    """The reader of chips: ``clayline.table.vector_columns.read_chips``."""

    def __call__(self, root: Root, stored: Stored, header: SceneHeader) -> Iterator[ChipColumns]:
        """Raises DatasetError, and what ``root`` raises."""
        ...


class KeepVectors(Protocol):
    """A vector bucket, written: ``clayline.aws.vectors.S3Vectors``."""

    @property
    def bucket(self) -> str:
        """Its name."""
        ...

    def put(self, put: Put) -> None:
        """Put vectors over those of the same keys. Raises DatasetError, TransientError."""
        ...

    def delete(self, index: str, keys: Sequence[str]) -> None:
        """Delete at most 500 vectors, those that are there. Raises TransientError."""
        ...


class Mark(BaseModel):
    """What a vector bucket holds of a scene: written once, after its last vector was put."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    format: Literal["clayline-vectors/1"] = "clayline-vectors/1"
    bucket: str
    """The vector bucket."""
    receipt: str
    """Key of the scene's receipt."""
    run: str
    indexes: tuple[str, ...]
    vectors: int
    without_direction: int
    """Chips whose vector is the centre itself: a cosine index takes no zero."""
    not_finite: int = 0
    """Chips whose vector is no finite one: S3 Vectors would refuse it, and the others of its request."""
    deleted: int
    """Vectors of revisions before, whose chips this one has no more; those among them that were never put as well."""
    unread: tuple[str, ...] = ()
    """Objects that would say more of revisions before and are damaged: vectors that only they name are still there."""


class Sent(StrEnum):
    """What became of a scene, in a word."""

    SENT = "sent"
    BESIDE = "sent beside another"
    """Another sender began with the scene and did not end: it counts as missing until that one ends, or is over."""
    ALREADY = "already sent"
    NO_FILE = "no file"
    """The scene failed."""
    ELSEWHERE = "elsewhere"
    """Of another root: another stack's, on the same bus."""
    GONE = "gone"
    """Announced once more, and its files were taken away since."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What became of a scene."""

    sent: Sent
    mark: Mark | None = None
    """Of what was put; None where nothing was."""


@dataclass(kw_only=True)
class _Tally:
    indexes: set[str] = field(default_factory=set)
    keys: set[tuple[str, str]] = field(default_factory=set)
    """(index, key)."""
    without_direction: int = 0
    not_finite: int = 0


@dataclass(frozen=True, kw_only=True)
class Sending:
    """Ports of sending."""

    root: WritableRoot
    vectors: KeepVectors
    read_header: ReadHeader
    read_chips: ReadChips
    centre: Callable[[str, str], Centre | None]
    """Gives a model's centre by token and digest; None where nobody states one."""
    clock: Callable[[], datetime]
    """Goes on while the machine sleeps."""
    least: timedelta = timedelta()
    """Of a call's time that a request may take, with all its tries."""
    name: Callable[[], str] = lambda: secrets.token_hex(8)
    """Gives another name for each sender, of 0-9 and a-z."""

    def send(self, file: SceneFile, *, left: Callable[[], timedelta]) -> Outcome:
        """Put the vectors of the scene's newest revision, whichever one is named; ``left`` gives what time is left.

        Where that one is marked, and nobody has begun who has not ended, nothing is done. A revision that comes while
        another is put is put after it, so the last who puts, puts the newest.

        Raises ObjectMissingError for a scene whose files are not there, DatasetError, TransientError, also where time
        is up: the message comes again, and puts the same.
        """
        newest, before = self._newest(file)
        turn = Turn.look(self.root, self._stem(file), clock=self.clock, name=self.name)
        if turn.is_settled(self.key(newest)):
            return Outcome(sent=Sent.ALREADY)
        with _given_up_unless_ended(turn):
            for _ in range(_TRIES):
                mark, put = self._put(newest, before, turn, left), newest
                newest, before = self._newest(file)
                if newest == put:
                    self.root.put_new(self.key(newest), mark.model_dump_json(indent=1).encode())
                    return Outcome(sent=Sent.SENT if turn.end() else Sent.BESIDE, mark=mark)
            msg = f"{file.token}/{file.scene} got {_TRIES} revisions while its vectors were put"
            raise TransientError(msg)

    def answer(self, event: Announced, *, root_name: str, left: Callable[[], timedelta]) -> Outcome:
        """Send the scene that an event is about; ``root_name`` is what names of this root's objects begin with.

        Raises TransientError, DatasetError.
        """
        file = SceneFile.of_receipt(event.receipt)
        if file is None or event.receipt != root_name + file.receipt:
            return Outcome(sent=Sent.NO_FILE if event.status not in INDEXED else Sent.ELSEWHERE)
        if event.status not in INDEXED:
            return Outcome(sent=Sent.NO_FILE)
        try:
            return self.send(file, left=left)
        except ObjectMissingError as error:
            if event.repeated:
                return Outcome(sent=Sent.GONE)
            msg = f"{event.scene} was announced, and a file of it is not there: {error}"
            raise TransientError(msg) from error

    def key(self, file: SceneFile) -> str:
        """Give the key of the mark of a scene's file in this vector bucket."""
        return f"{self._stem(file)}_v{file.revision:03d}.json"

    def model(self, token: str, digest: str) -> VectorModel:
        """Give how a model's vectors are centred in this vector bucket; the first who asks settles it.

        Raises DatasetError, TransientError, also where nobody states a centre.
        """
        if (there := self._model_there(token, digest)) is not None:
            return there
        centre = self.centre(token, digest)
        if centre is None:
            msg = (
                f"nobody states the centre of {token} {digest}: its model folder has no statistics.json, and the"
                " dataset no codebook of it. Measure the model (model/README.md, Statistics), or have the dataset"
                " compacted; then send what is missing with `clayline vectors`"
            )
            raise TransientError(msg)
        key = _model_key(self.vectors.bucket, token, digest)
        self.root.put_new(key, VectorModel.by(centre, token=token, digest=digest).model_dump_json(indent=1).encode())
        settled = self._model_there(token, digest)
        if settled is None:
            msg = f"{self.root.uri}/{key} was written and is not there"
            raise TransientError(msg)
        return settled

    def missing(self) -> Iterator[SceneFile]:
        """Give the newest revision of each scene under the root that has no mark or an unended beginning, in order.

        Raises what ``root`` raises.
        """
        marked, begun = set[str](), set[tuple[str, str]]()
        for stored in self.root.list(f"{PLACE}{self.vectors.bucket}/"):
            marked.add(stored.key)
            *_, token, name = stored.key.split("/")
            if (scene := begun_scene(name)) is not None:
                begun.add((token, scene))
        for file in _newest_of_each(_whole(self.root.list(""))):
            if self.key(file) not in marked or (file.token, file.scene) in begun:
                yield file

    def _put(self, file: SceneFile, before: Sequence[SceneFile], turn: Turn, left: Callable[[], timedelta]) -> Mark:
        stored = self.root.head(file.parquet)
        header = self.read_header(self.root, stored)
        model = self.model(file.token, _said(file, header, "model", "digest"))
        scene, instrument = file.scene, _said(file, header, "instrument")
        tally = _Tally()
        self._may_write(turn, file, left)
        for columns in self.read_chips(self.root, stored, header):
            found = puts(columns, model, scene=scene, instrument=instrument)
            tally.without_direction += found.without_direction
            tally.not_finite += found.not_finite
            for put in found.requests:
                self._may_write(turn, file, left)
                turn.wrote = True
                self.vectors.put(put)
                tally.indexes.add(put.index)
                tally.keys.update((put.index, record.key) for record in put.records)
        older = leftovers(self.root, before, models=_model_keys(self.vectors.bucket, file.token))
        gone = sorted(older.keys - tally.keys)
        for index, pairs in groupby(gone, key=itemgetter(0)):
            for part in batched((uci for _, uci in pairs), MOST_A_PUT, strict=False):
                self._may_write(turn, file, left)
                turn.wrote = True
                self.vectors.delete(index, part)
        return Mark(
            bucket=self.vectors.bucket,
            receipt=file.receipt,
            run=_said(file, header, "run"),
            indexes=tuple(sorted(tally.indexes)),
            vectors=len(tally.keys),
            without_direction=tally.without_direction,
            not_finite=tally.not_finite,
            deleted=len(gone),
            unread=older.unread,
        )

    def _newest(self, file: SceneFile) -> tuple[SceneFile, list[SceneFile]]:
        """Give a scene's newest revision, and those before that have a receipt, without embeddings by now as well."""
        listed = list(self.root.list(f"{file.token}/{file.scene}/"))
        there = list(_whole(listed))
        if file not in there:
            msg = f"{self.root.uri} has no receipt {file.receipt} with embeddings beside it"
            raise ObjectMissingError(msg)
        newest = max(there, key=lambda each: each.revision)
        receipts = (SceneFile.of_receipt(stored.key) for stored in listed)
        return newest, [older for older in receipts if older is not None and older.revision < newest.revision]

    def _model_there(self, token: str, digest: str) -> VectorModel | None:
        return vector_model(self.root, bucket=self.vectors.bucket, token=token, digest=digest)

    def _place(self, token: str) -> str:
        return f"{PLACE}{self.vectors.bucket}/{token}/"

    def _stem(self, file: SceneFile) -> str:
        return f"{self._place(file.token)}{file.scene}"

    def _may_write(self, turn: Turn, file: SceneFile, left: Callable[[], timedelta]) -> None:
        """See that a request is in time and covered, right before it."""
        if left() < self.least:
            msg = f"the time is up while the vectors of {file.parquet} are put: they are put again"
            raise TransientError(msg)
        turn.cover()


@contextmanager
def _given_up_unless_ended(turn: Turn) -> Iterator[None]:
    """Where something is raised, leave word that nothing more comes of this sender; without, it is over in an hour."""
    try:
        yield
    finally:
        if not turn.ended:
            with suppress(TransientError):
                turn.give_up()


def vector_model(root: Root, *, bucket: str, token: str, digest: str) -> VectorModel | None:
    """Give how a model's vectors in a vector bucket are centred, as it stands beside the scenes; None: none was sent.

    Raises DatasetError, and what ``root`` raises.
    """
    key = _model_key(bucket, token, digest)
    try:
        content, _ = root.get(key, most=_MOST_OBJECT)
    except ObjectMissingError:
        return None
    return VectorModel.parse(content, where=f"{root.uri}/{key}")


def _model_key(bucket: str, token: str, digest: str) -> str:
    return f"{_model_keys(bucket, token)}{digest.removeprefix('sha256:')[:12]}.json"


def _model_keys(bucket: str, token: str) -> str:
    return f"{PLACE}{bucket}/{token}/model_"


def _whole(listed: Iterable[Stored]) -> Iterator[SceneFile]:
    """Give the scene's files that have a receipt and embeddings, of a listing in the order of keys.

    A receipt's key comes after the Parquet file's of the same stem: ``.`` sorts before ``_``.
    """
    embeddings: set[str] = set()
    folder = ""
    for stored in listed:
        if (here := stored.key.rpartition("/")[0]) != folder:
            folder, embeddings = here, set()
        if stored.key.endswith(".parquet"):
            embeddings.add(stored.key)
            continue
        file = SceneFile.of_receipt(stored.key)
        if file and stored.key == file.receipt and file.parquet in embeddings:
            yield file


def _newest_of_each(files: Iterable[SceneFile]) -> Iterator[SceneFile]:
    """Give the newest revision of each scene, of files in the order of keys."""
    for _, revisions in groupby(files, key=lambda file: (file.token, file.scene)):
        yield max(revisions, key=lambda file: file.revision)


def _said(file: SceneFile, header: SceneHeader, *path: str) -> str:
    found: object = header.provenance
    for name in path:
        found = found.get(name) if isinstance(found, dict) else None
    if not isinstance(found, str):
        msg = f"{file.parquet} does not state its {'.'.join(path)}: it is no file as docs/schema.md has it"
        raise DatasetError(msg)
    return found
