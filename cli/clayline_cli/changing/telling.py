"""What is told of a comparison: for people, and as values for JSON."""

from datetime import datetime
from typing import Any, Final

from clayline.api.changing import Changed
from clayline.errors import counted
from clayline.likeness.calibrating import LEAST_PAIRS

_TOLD: Final = (
    "cell", "percentile", "distance", "calibrated", "neighbours_percentile", "neighbours_distance", "neighbours",
    "days", "lon", "lat", "from_datetime", "to_datetime", "from_uci", "to_uci",
    "from_cloud", "to_cloud", "from_valid", "to_valid",
)  # fmt: skip
"""Of each of the most changed cells."""
_WHY: Final = {
    "own-grid": "their scene lies on its own grid: nothing can be joined to it",
    "not-finite": "the vector is no finite number",
    "mostly-outside": "too little of the chip is valid",
    "cloud": "too cloudy",
    "cloud-unknown": "nobody says how cloudy",
    "several-dates": "their scene's time (a day, or days) meets several of the dates: ask by whole days",
    "other-instrument": "the other date has them by another instrument",
    "one-date": "no other date has them",
    "other-model": "the other date has them by another model",
    "no-scene": "of the scenes of the index, or files without one, none is of the other date there",
    "no-chip": "a scene of the other date lies there, and has no such chip",
    "unreadable": "a file could not be read",
}


def values(found: Changed, *, top: int = 0) -> dict[str, Any]:
    """Give everything as JSON can say it; with ``top`` the most changed cells, their dates in ISO 8601."""
    told: dict[str, Any] = {
        "model": found.token,
        "digest": found.digest,
        "centred_by": found.centred_by,
        "pairs_of_dates": [list(each) for each in found.dates],
        "compared": found.compared,
        "uncalibrated": found.uncalibrated,
        "not_compared": dict(found.reasons),
        "unread": [{"file": lost.key, "message": lost.message} for lost in found.lost],
    }
    if found.asked is not None:
        told |= {"requests": found.asked.requests, "bytes": found.asked.size}
    rows = [
        {name: each.isoformat() if isinstance(each, datetime) else each for name, each in row.items()}
        for row in (most_changed(found, top) if top else [])
    ]
    return {**told, "most_changed": rows}


def most_changed(found: Changed, top: int) -> list[dict[str, Any]]:
    """Give the pairs of the greatest percentile, those without one behind, then of the greatest distance."""
    rows: list[dict[str, Any]] = found.table.select(list(_TOLD)).slice(0, found.compared).to_pylist()

    def order(row: dict[str, Any]) -> tuple[bool, float, float]:
        percentile = row["percentile"]
        return percentile is None, -(percentile or 0.0), -row["distance"]

    return sorted(rows, key=order)[:top]


def paragraph(found: Changed, *, top: int) -> str:
    """Say it for people."""
    if found.token is None:
        return "no scene that was looked through meets the place and the dates: ask wider; --explain says why of each"
    dates = ", ".join(f"{first} to {second}" for first, second in found.dates) or "each cell's own dates"
    lines = [
        f"{found.token}{centred(found)}: {dates}",
        f"  {counted(found.compared, 'pair')} compared{_calibration(found)}",
    ]
    if found.reasons:
        each = "cell" if found.dates else "chip"  # at two dates a cell, at its own dates each of its chips
        files = found.table.num_rows - found.table.column("detail").null_count  # of a file alone more is said
        chips = sum(found.reasons.values()) - files
        both = " and ".join([counted(chips, each)] * bool(chips) + [counted(files, "file")] * bool(files))
        lines.append(f"  {both} not compared, which is not the same as unchanged:")
        lines += [f"    {count:>8,}  {reason}: {_WHY[reason]}" for reason, count in found.reasons.items()]
    rows = [row for row in most_changed(found, top) if row["distance"] > 0]
    if found.compared and top and not rows:
        lines += ["", "  no vector differs from its other date's: nothing changed that this model sees"]
    if rows:
        lines += ["", f"  percentile  distance  neighbours    {'from':<10}  {'to':<10}  {'lon, lat':<22}  cell"]
        lines += [_line(row) for row in rows]
    return "\n".join(lines)


def centred(found: Changed) -> str:
    """Say whose centre was taken off, where vectors were compared."""
    return f", centred by {found.centred_by}" if found.centred_by else ""


def _calibration(found: Changed) -> str:
    calibrated = found.compared - found.uncalibrated
    if not found.compared:
        return ""
    if not calibrated:
        return f", uncalibrated: of no kind the dataset has {LEAST_PAIRS} pairs, so that no percentile is told"
    kinds: list[str | None] = found.table.column("region").unique().to_pylist()
    where = ", ".join(sorted(kind for kind in kinds if kind))
    few = f"; {found.uncalibrated:,} uncalibrated (under {LEAST_PAIRS} pairs)" if found.uncalibrated else ""
    return f", {calibrated:,} of them calibrated by the dataset's own pairs in {where}{few}"


def _line(row: dict[str, Any]) -> str:
    around = row["neighbours_percentile"] if row["percentile"] is not None else row["neighbours_distance"]
    digits = 1 if row["percentile"] is not None else 4
    percentile = "-" if row["percentile"] is None else f"{row['percentile']:.1f}"
    beside = "-" if around is None else f"{around:.{digits}f}"
    place = f"{row['lon']:.4f}, {row['lat']:.4f}"
    dates = f"{row['from_datetime']:%Y-%m-%d}  {row['to_datetime']:%Y-%m-%d}"
    return f"  {percentile:>10}  {row['distance']:>8.4f}  {beside:>10}    {dates}  {place:<22}  {row['cell']}"
