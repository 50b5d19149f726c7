"""What is asked of a dataset: where, when, of which model."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from math import isfinite
from typing import Final, Literal, Self

from clayline.dataset.scene_row import Box, SceneKey, SceneRow
from clayline.dataset.snapshot import Snapshot
from clayline.errors import DatasetError

type Revisions = Literal["newest", "all"]
type Moment = str | date | datetime
type AskedTime = Moment | tuple[Moment | None, Moment | None] | Sequence["AskedTime"] | None
type Asked4 = Sequence[float]
"""west, south, east, north, degrees."""

_OPEN: Final = {"", ".."}
_DAY: Final = len("2024-06-01")
_FIRST: Final = datetime.min.replace(tzinfo=UTC)
_LAST: Final = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """From a moment to another, both among it; and others, where several times were asked for."""

    start: datetime = _FIRST
    end: datetime = _LAST
    others: "tuple[Span, ...]" = ()

    @classmethod
    def of(cls, asked: AskedTime) -> Self:
        """Take ``A/B`` as STAC has it (``..`` is open), one moment, or a tuple of two; a day is meant from its first
        moment to its last, UTC. Several of these are a list, or stand in a text with commas between.

        Raises DatasetError.
        """
        if isinstance(asked, str) and "," in asked:
            return cls.of(list(asked.split(",")))
        if isinstance(asked, list):
            first_of_all, *rest = [cls.of(each) for each in asked] or [cls()]
            return replace(first_of_all, others=tuple(rest))
        if asked is None:
            return cls()
        first: Moment
        last: Moment
        if isinstance(asked, str) and "/" in asked:
            first, _, last = asked.partition("/")
        elif isinstance(asked, tuple):
            first, last = ("" if each is None else each for each in asked)
        elif isinstance(asked, str | date):
            first = last = asked
        else:
            msg = f"time {asked!r} is none: give A/B, a moment, two of them, or a list of these."
            raise DatasetError(msg)
        start = _FIRST if first in _OPEN else moment(first)
        end = _LAST if last in _OPEN else moment(last, last=True)
        if start > end:
            msg = (
                f"time {asked}: it ends before it begins. Give the earlier moment first, such as 2024-05-01/2024-06-30."
            )
            raise DatasetError(msg)
        return cls(start=start, end=end)

    def meets(self, start: datetime, end: datetime) -> bool:
        """Say whether the two have a moment in common."""
        return any(start <= each.end and each.start <= end for each in self.each)

    @property
    def each(self) -> "tuple[Span, ...]":
        """All that were asked for."""
        return (self, *self.others)


def moment(asked: Moment, *, last: bool = False) -> datetime:
    """Give a moment in UTC: of a day its first, or its last. Without a zone, UTC is meant. Raises DatasetError."""
    try:
        if isinstance(asked, str):
            whole_day = len(asked) == _DAY
            found = datetime.fromisoformat(asked)
        else:
            whole_day = not isinstance(asked, datetime)
            found = asked if isinstance(asked, datetime) else datetime.combine(asked, time())
    except ValueError as error:
        msg = f"time {asked!r}: {error}. Give a day such as 2024-06-01, or a moment such as 2024-06-01T10:30:00Z."
        raise DatasetError(msg) from error
    found = found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    return found + timedelta(days=1, microseconds=-1) if last and whole_day else found


def box_of(asked: "Asked4 | Box | None") -> Box | None:
    """Take west, south, east, north in degrees; over the antimeridian west is the greater. Raises DatasetError."""
    if asked is None or isinstance(asked, Box):
        return asked
    numbers = [float(each) for each in asked]
    wrong = None
    if len(numbers) != 4:  # noqa: PLR2004 - a box
        wrong = f"{len(numbers)} numbers"
    elif not all(map(isfinite, numbers)):
        wrong = "a number that is not finite"
    elif max(abs(numbers[0]), abs(numbers[2])) > 180 or max(abs(numbers[1]), abs(numbers[3])) > 90:  # noqa: PLR2004
        wrong = "a number that is not on the globe"
    elif numbers[1] > numbers[3]:
        wrong = "a south that is greater than its north"
    if wrong:
        msg = f"box {','.join(f'{each:g}' for each in numbers)} has {wrong}. Give west, south, east, north in degrees."
        raise DatasetError(msg)
    return Box(west=numbers[0], south=numbers[1], east=numbers[2], north=numbers[3])


def flat_boxes(box: Box) -> list[tuple[float, float, float, float]]:
    """Give a box as boxes of which none crosses the antimeridian: west, south, east, north."""
    if box.west <= box.east:
        return [(box.west, box.south, box.east, box.north)]
    return [(box.west, box.south, 180.0, box.north), (-180.0, box.south, box.east, box.north)]


@dataclass(frozen=True, kw_only=True, slots=True)
class Chosen:
    """Scenes of one model that were asked for."""

    token: str | None
    """None: there are no scenes."""
    newest: tuple[SceneRow, ...]
    older: tuple[SceneRow, ...] = ()
    """Revisions that newer ones replace, where they were asked for too: read from their scenes' own files."""

    @property
    def allowed(self) -> dict[str, int]:
        """The revision of each scene whose rows in the squares' files are meant."""
        return {row.scene: row.revision for row in self.newest if row.compacted}


def choose(
    snapshot: Snapshot,
    taken_in: Iterable[SceneRow],
    *,
    where: Callable[[SceneRow], bool] | None,
    span: Span,
    model: str | None,
    history: Iterable[SceneRow] | None = None,
    mixed: bool = False,
) -> Chosen:
    """Choose the scenes that lie where it is asked for (None: everywhere), in the span.

    ``history``, the rows that were replaced, is given where every revision is wanted: None leaves older ones out.
    ``mixed`` lets several models be chosen together, for a list of scenes.

    A model is its token, or ``TOKEN@DIGEST`` (the digest's beginning) where the dataset has several under one token.
    Raises DatasetError where several models meet what was asked, and none was named: they are never mixed.
    """
    taken_in = list(taken_in)
    token, _, digest = (model or "").partition("@")

    def meant(row: SceneRow) -> bool:
        return (
            (not token or row.token == token)
            and row.digest.removeprefix("sha256:").startswith(digest.removeprefix("sha256:"))
            and span.meets(row.start, row.end)
            and (where is None or where(row))
        )

    visible = snapshot.visible(taken_in)
    newest = [row for row in visible if meant(row)]
    known = {(row.key, row.revision) for row in visible}
    older: dict[tuple[SceneKey, int], SceneRow] = {}
    if history is not None:
        for row in (*history, *taken_in, *snapshot.loose):
            if (row.key, row.revision) not in known and meant(row):
                older[row.key, row.revision] = row
    models = sorted({(row.token, row.digest) for row in (*newest, *older.values())})
    if len(models) > 1 and not mixed:
        several_tokens = len({each for each, _ in models}) > 1
        listed = ", ".join(each if several_tokens else f"{each}@{found[:19]}" for each, found in models)
        msg = (
            f"embeddings of {len(models)} models lie there, and models are never mixed: {listed}. Name one of them"
            " as the model."
        )
        raise DatasetError(msg)
    return Chosen(
        token=models[0][0] if models else None,
        newest=tuple(sorted(newest, key=_order)),
        older=tuple(sorted(older.values(), key=_order)),
    )


def _order(row: SceneRow) -> tuple[str, datetime, str, int]:
    return row.square, row.start, row.scene, row.revision
