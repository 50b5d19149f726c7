"""When a scene was taken.

Where that is read from, in which order, and what it becomes in the identifier and the model's input.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from clayline.errors import SceneError
from clayline.place import Option

_COMPACT = re.compile(
    r"(?<![0-9])((?:19|20)[0-9]{2})-?(0[1-9]|1[0-2])-?(0[1-9]|[12][0-9]|3[01])(?:T([0-2][0-9])([0-5][0-9])([0-5][0-9]))?(?![0-9])"
)
_MOST_TOLD = 6
"""Dates that a message lists."""
_DATE = re.compile(r"[0-9]{4}-?[0-9]{2}-?[0-9]{2}\Z")
_TIFF = re.compile(r"([0-9]{4}):([0-9]{2}):([0-9]{2}) ([0-9]{2}):([0-9]{2}):([0-9]{2})\Z")


@dataclass(frozen=True, kw_only=True, slots=True)
class Acquisition:
    """An instant (start equals end), or an inclusive interval of whole days."""

    start: datetime
    """UTC."""
    end: datetime
    """UTC; equal to ``start`` for an instant."""
    source: str
    """Where it was read: item:datetime, item:interval, object-metadata, file-name or tiff-tag."""


def from_item(properties: Mapping[str, Any], *, scene: str) -> Acquisition:
    """Read ``datetime``, else ``start_datetime`` and ``end_datetime``. A date without a time is a one-day interval.

    Raises SceneError (``no-acquisition-time``).
    """
    try:
        if text := properties.get("datetime"):
            return _parse(str(text), "item:datetime")
        first, last = properties.get("start_datetime"), properties.get("end_datetime")
        if first and last:
            start, end = _parse(str(first), "item:interval"), _parse(str(last), "item:interval")
            if end.end < start.start:
                msg = f"ends {last} before it starts {first}"
                raise ValueError(msg)
            return _interval(start.start.date(), end.end.date(), "item:interval") if start.start != end.end else start
    except (ValueError, OverflowError) as error:
        msg = f"scene {scene}: the Item's time cannot be read ({error}). Give an RFC 3339 datetime."
        raise SceneError(msg, reason="no-acquisition-time") from error
    msg = f"scene {scene}: the Item has neither datetime nor start_datetime and end_datetime. Add one."
    raise SceneError(msg, reason="no-acquisition-time")


def from_cog(
    *,
    scene: str,
    metadata: Mapping[str, str],
    file_name: str,
    tags: Mapping[str, str],
    tiff_datetime: bool,
    first_date: bool = False,
) -> Acquisition:
    """Read object metadata ``datetime``, then the file name, then, only when asked, TIFFTAG_DATETIME.

    That tag is often the time of processing, and has no zone: it is taken as UTC. ``first_date`` says that the name has
    a product's form, whose first date is the one.

    Raises SceneError (``no-acquisition-time``, ``ambiguous-time``).
    """
    try:
        if text := metadata.get("datetime"):
            return _parse(text, "object-metadata")
        if found := _named(file_name, scene, first_date=first_date):
            year, month, day, hour, minute, second = found.groups()
            if hour is None:
                whole_day = date(int(year), int(month), int(day))
                return _interval(whole_day, whole_day, "file-name")
            instant = datetime(int(year), int(month), int(day), int(hour), int(minute), int(second), tzinfo=UTC)
            return Acquisition(start=instant, end=instant, source="file-name")
        if tiff_datetime and (tag := _TIFF.match(tags.get("TIFFTAG_DATETIME", ""))):
            year, month, day, hour, minute, second = tag.groups()
            instant = datetime(int(year), int(month), int(day), int(hour), int(minute), int(second), tzinfo=UTC)
            return Acquisition(start=instant, end=instant, source="tiff-tag")
    except (ValueError, OverflowError) as error:
        msg = (
            f"scene {scene}: its acquisition time cannot be read ({error}). Set {Option.DATETIME} to an RFC 3339 time."
        )
        raise SceneError(msg, reason="no-acquisition-time") from error
    ways = [f"set {Option.DATETIME} to an RFC 3339 time", "deliver it with a STAC Item"]
    if _TIFF.match(tags.get("TIFFTAG_DATETIME", "")):
        ways.append(f"believe its TIFFTAG_DATETIME with {Option.TIFF_DATETIME}")
    msg = f"scene {scene}: no acquisition time in {Option.DATETIME} or the file name. Either {', or '.join(ways)}."
    raise SceneError(msg, reason="no-acquisition-time")


def _named(file_name: str, scene: str, *, first_date: bool) -> re.Match[str] | None:
    """Give the date in a file's name. Raises SceneError (``ambiguous-time``) if it has two and nothing tells which."""
    found = list(_COMPACT.finditer(file_name))
    days = {match.groups()[:3] for match in found}
    instants = {match.groups() for match in found if match[4] is not None}
    if not first_date and (len(days) > 1 or len(instants) > 1):
        told = ", ".join(dict.fromkeys(match[0] for match in found[:_MOST_TOLD]))
        msg = (
            f"scene {scene}: its name has several dates ({told}), and is of no product of which it is known which of"
            f" them is the acquisition. Set {Option.DATETIME} to an RFC 3339 time."
        )
        raise SceneError(msg, reason="ambiguous-time")
    return found[0] if found else None


def _parse(text: str, source: str) -> Acquisition:
    if _DATE.match(text):
        whole_day = date.fromisoformat(text)
        return _interval(whole_day, whole_day, source)
    instant = datetime.fromisoformat(text)
    # STAC says UTC; a naive time is read as such, never as this machine's.
    instant = (instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)).replace(
        microsecond=0
    )
    return Acquisition(start=instant, end=instant, source=source)


def _interval(first: date, last: date, source: str) -> Acquisition:
    start = datetime(first.year, first.month, first.day, tzinfo=UTC)
    end = datetime(last.year, last.month, last.day, tzinfo=UTC) + timedelta(days=1, seconds=-1)
    return Acquisition(start=start, end=end, source=source)


def time_vector(moment: datetime, *, hour: str) -> list[float]:
    """Give Clay's 4 numbers.

    Sin, cos of ISO week * 2 pi / 52, then sin, cos of hour * 2 pi / 24 (claymodel 1.5, stacchip's prechip).

    ``hour`` is the manifest's policy: ``noon``, ``acquisition`` or ``all-zero``.
    """
    if hour == "all-zero":
        return [0.0] * 4
    week = moment.isocalendar().week * 2 * math.pi / 52
    of_day = (12 if hour == "noon" else moment.hour) * 2 * math.pi / 24
    return [math.sin(week), math.cos(week), math.sin(of_day), math.cos(of_day)]


def place_vector(lon: float, lat: float, *, order: str) -> list[float]:
    """Give Clay's 4 numbers of a chip's centre (degrees in).

    Sin, cos of each coordinate, in the manifest's ``order``.
    """
    if order == "all-zero":
        return [0.0] * 4
    first, second = (lon, lat) if order == "lonlat" else (lat, lon)
    return [f(math.radians(value)) for value in (first, second) for f in (math.sin, math.cos)]
