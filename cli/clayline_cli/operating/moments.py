"""Moments and spans of time as people read them."""

from datetime import UTC, datetime, timedelta


def iso(moment: datetime) -> str:
    """Give RFC 3339 in UTC, to the second."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parsed(text: str) -> datetime:
    """Read what ``arguments.moment`` let pass; a day is its beginning, in UTC."""
    moment = datetime.fromisoformat(text)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


def span(time: timedelta) -> str:
    """Give about how long: 12 s, 5 min, 3 h, 2 d."""
    seconds = max(0, round(time.total_seconds()))
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
