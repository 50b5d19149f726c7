"""What is asked of a dataset: where and when. Loads nothing heavy."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from math import isfinite
from typing import Final, Literal, Self, cast

from clayline.dataset.scene_row import Box
from clayline.errors import DatasetError

type Revisions = Literal["newest", "all"]
type Moment = str | date | datetime
type AskedTime = Moment | tuple[Moment | None, Moment | None] | Sequence["AskedTime"] | None
type Asked4 = Sequence[float]
"""west, south, east, north, degrees."""

_HALF: Final = 180.0
"""Degrees: half of the globe."""
_POLE: Final = 90.0
_OPEN: Final = {"", ".."}
_FIRST: Final = datetime.min.replace(tzinfo=UTC)
_LAST: Final = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """From a moment to another, both among it; and others, where several times were asked for."""

    start: datetime = _FIRST
    end: datetime = _LAST
    others: "tuple[Span, ...]" = ()
    said: str = field(default="", compare=False)
    """As it was asked for, without the others."""

    @classmethod
    def of(cls, asked: AskedTime) -> Self:
        """Take ``A/B`` as STAC has it (``..`` is open), one moment, or a tuple of two; a day is meant from its first
        moment to its last, UTC. Several of these are a list, or stand in a text with commas between.

        Raises DatasetError.
        """
        if isinstance(asked, str) and "," in asked:
            return cls.of(list(asked.split(",")))
        if isinstance(asked, list) and asked:
            first_of_all, *rest = [cls.of(each) for each in asked]
            return replace(first_of_all, others=tuple(rest))
        if asked is None:
            return cls()
        first: Moment
        last: Moment
        if isinstance(asked, str) and "/" in asked:
            first, _, last = asked.partition("/")
        elif isinstance(asked, tuple) and len(asked) == 2:  # noqa: PLR2004 - A and B
            first, last = ("" if each is None else each for each in cast("tuple[Moment | None, Moment | None]", asked))
        elif (isinstance(asked, str) and asked) or isinstance(asked, date):
            first = last = asked
        else:
            msg = (
                f"time {asked!r} is none: give A/B, a moment, two of them, or a list of these; nothing (None) means"
                " every time."
            )
            raise DatasetError(msg)
        start = _FIRST if first in _OPEN else moment(first)
        end = _LAST if last in _OPEN else moment(last, last=True)
        if start > end:
            msg = (
                f"time {asked}: it ends before it begins. Give the earlier moment first, such as 2024-05-01/2024-06-30."
            )
            raise DatasetError(msg)
        said = [_said(each) for each in ((first,) if first is last else (first, last))]
        return cls(start=start, end=end, said="/".join(said))

    def beginnings(self, lasting: timedelta) -> Self:
        """Give between which moments a thing begins that lasts so long and has a moment in common with this."""
        start = self.start - lasting if self.start - _FIRST > lasting else _FIRST
        return replace(self, start=start, others=tuple(each.beginnings(lasting) for each in self.others))

    def meets(self, start: datetime, end: datetime) -> bool:
        """Say whether the two have a moment in common."""
        return any(start <= each.end and each.start <= end for each in self.each)

    def holds(self, start: datetime, end: datetime) -> bool:
        """Say whether one of them has all from ``start`` to ``end`` in it."""
        return any(each.start <= start and end <= each.end for each in self.each)

    @property
    def each(self) -> "tuple[Span, ...]":
        """All that were asked for."""
        return (self, *self.others)


def moment(asked: Moment, *, last: bool = False) -> datetime:
    """Give a moment in UTC: of a day its first, or its last. Without a zone, UTC is meant. Raises DatasetError."""
    try:
        if isinstance(asked, str):
            found = datetime.fromisoformat(asked)
            whole_day = _is_day(asked)
        else:
            whole_day = not isinstance(asked, datetime)
            found = asked if isinstance(asked, datetime) else datetime.combine(asked, time())
        found = found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
        return found + timedelta(days=1, microseconds=-1) if last and whole_day else found
    except (ValueError, TypeError, OverflowError) as error:
        msg = f"time {asked!r}: {error}. Give a day such as 2024-06-01, or a moment such as 2024-06-01T10:30:00Z."
        raise DatasetError(msg) from error


def _said(asked: Moment) -> str:
    """Give a moment as it was asked for."""
    return (asked or "..") if isinstance(asked, str) else asked.isoformat()


def _is_day(text: str) -> bool:
    """Say whether a text of ISO 8601 is a day (also 20240601, or one of a week) and no moment of it."""
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def box_of(asked: "Asked4 | Box | None") -> Box | None:
    """Take west, south, east, north in degrees, or a box of these; over the antimeridian west is the greater, by half
    of the globe at most: more is a mistake. Raises DatasetError.
    """
    if asked is None:
        return None
    given = (asked.west, asked.south, asked.east, asked.north) if isinstance(asked, Box) else asked
    try:
        numbers = [] if isinstance(given, str | bytes) else [float(each) for each in given]
    except (TypeError, ValueError):
        numbers = []
    if not numbers:
        msg = f"box {asked!r} is none. Give four numbers: west, south, east, north in degrees."
        raise DatasetError(msg)
    if wrong := _wrong(numbers):
        msg = f"box {','.join(f'{each:g}' for each in numbers)} {wrong}"
        raise DatasetError(msg)
    return Box(west=numbers[0], south=numbers[1], east=numbers[2], north=numbers[3])


def _wrong(numbers: Sequence[float]) -> str | None:
    """Say what is wrong with a box, and what to do."""
    wrong = None
    if len(numbers) != 4:  # noqa: PLR2004 - a box
        wrong = f"{len(numbers)} numbers"
    elif not all(map(isfinite, numbers)):
        wrong = "a number that is not finite"
    elif max(abs(numbers[0]), abs(numbers[2])) > _HALF or max(abs(numbers[1]), abs(numbers[3])) > _POLE:
        wrong = "a number that is not on the globe"
    elif numbers[1] > numbers[3]:
        wrong = "a south that is greater than its north"
    if wrong:
        return f"has {wrong}. Give west, south, east, north in degrees."
    if numbers[0] > numbers[2] and (wide := numbers[2] + 2 * _HALF - numbers[0]) > _HALF:
        return (
            f"has west and east the wrong way round, or goes over the antimeridian and around {wide:g} degrees of the"
            " globe. Swap them, or ask in two boxes."
        )
    return None


def model_of(asked: str | None) -> str | None:
    """Take a model's token, or ``TOKEN@DIGEST``; None is whichever lies there. Raises DatasetError."""
    if asked is None:
        return None
    token, at, digest = asked.partition("@") if isinstance(asked, str) else ("", "", "")
    if not token.strip() or (at and not digest.removeprefix("sha256:")):
        msg = f"model {asked!r} is none: give its token, or TOKEN@DIGEST; nothing (None) means the one that lies there."
        raise DatasetError(msg)
    return asked


def columns_of(asked: Sequence[str] | None) -> tuple[str, ...] | None:
    """Take names of columns, each once; None is all of them. Raises DatasetError."""
    if asked is None:
        return None
    names = [] if isinstance(asked, str | bytes) or not isinstance(asked, Iterable) else list(asked)
    if not names or not all(isinstance(name, str) and name for name in names):
        msg = f"columns {asked!r} are none: give a list of names, such as ['uci', 'cell']; nothing (None) means all."
        raise DatasetError(msg)
    return tuple(dict.fromkeys(names))


def every_revision(asked: Revisions) -> bool:
    """Take ``newest`` or ``all``; gives whether every one is meant. Raises DatasetError."""
    if asked not in ("newest", "all"):
        msg = f"revisions {asked!r} are none: give 'newest' or 'all'."
        raise DatasetError(msg)
    return asked == "all"
