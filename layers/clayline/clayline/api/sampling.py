"""What lies at points, and why nothing does."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from clayline.dataset.asking import AskedTime, Span, moment
from clayline.dataset.figures import Figures
from clayline.dataset.points import Point
from clayline.dataset.scene_row import Box, SceneRow
from clayline.errors import DatasetError
from clayline.table.chips import ChipTable


@dataclass(frozen=True, kw_only=True, slots=True)
class Missing:
    """A point that has no chip."""

    point: Point
    code: str
    """``not-on-globe``, ``no-scene``, ``no-scene-then`` or ``no-chip``."""
    message: str
    """For people."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sampled:
    """Chips at points; each point is in ``table`` or in ``missing``."""

    table: ChipTable
    """``point``, ``point_lon``, ``point_lat`` and the chip's columns; by point, then by time."""
    missing: tuple[Missing, ...]
    figures: Figures
    """What the reading took."""


@dataclass(frozen=True, kw_only=True, slots=True)
class When:
    """Which dates of a point are wanted."""

    span: Span
    nearest: bool = False
    to: datetime | None = None
    """The moment for all points; None: each says its own."""


def resolved(time: AskedTime) -> When:
    """Take what ``sample`` takes as ``time``. Raises DatasetError."""
    if time is None or time == "all":
        return When(span=Span())
    if time == "nearest":
        return When(span=Span(), nearest=True)
    if isinstance(time, str | date) and not (isinstance(time, str) and set(time) & set("/,")):
        return When(span=Span(), nearest=True, to=moment(time))
    return When(span=Span.of(time))


def targets(points: Sequence[Point], nearest: datetime | None) -> list[datetime]:
    """Give the moment to which each point's nearest date is wanted: that of all, else its own.

    Raises DatasetError naming a point that has none.
    """
    found = []
    for point in points:
        when = nearest or point.when
        if when is None:
            msg = (
                f"point {point.name} says no time, and the nearest date to it was asked for. Give the list a column"
                " `datetime`, or one moment for all points."
            )
            raise DatasetError(msg)
        found.append(when)
    return found


def why_missing(point: Point, scenes: Sequence[SceneRow], span: Span) -> Missing:
    """Say why a point has no chip, by the newest rows of the model's scenes."""
    if not point.on_globe:
        return Missing(point=point, code="not-on-globe", message=f"there is no place {point.lon}, {point.lat}")
    here = Box(west=point.lon, south=point.lat, east=point.lon, north=point.lat)
    over = [row for row in scenes if row.box.meets(here)]
    then = [row for row in over if span.meets(row.start, row.end)]
    if not over:
        return Missing(point=point, code="no-scene", message="the index has no scene of the model there")
    if not then:
        dates = ", ".join(sorted({row.start.date().isoformat() for row in over})[:3])
        message = f"of the scenes that lie there ({dates}) none is of that time"
        return Missing(point=point, code="no-scene-then", message=message)
    receipt = then[0].href.removesuffix(".parquet") + "_receipt.json"
    message = (
        f"{len(then)} scene(s) reach about it, and none has a chip at it: it lies beside their imagery, or the chip was"
        f" skipped or failed; their receipts say which, the first is {receipt}"
    )
    return Missing(point=point, code="no-chip", message=message)
