"""Examples by identifier: their vectors, out of a dataset (docs/watches.md)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clayline.api.dataset import Dataset
from clayline.errors import DatasetError, InvalidIdentifierError
from clayline.identity import uci
from clayline.identity.uci import Instant, Interval, Uci, Window
from clayline.table.scene_chips import vectors_of

_MARGIN = 1e-4
"""Degrees, ten metres: an identifier's place is rounded."""


@dataclass(frozen=True, kw_only=True)
class Examples:
    """Chips of one model."""

    identifiers: tuple[str, ...]
    vectors: NDArray[np.float32]
    """[n, D], in the order of ``identifiers``."""
    token: str
    digest: str
    instruments: tuple[str, ...]
    """Whose they are, in alphabetical order."""


def look_up(dataset: Dataset, identifiers: Sequence[str]) -> Examples:
    """Find chips by their identifiers, of newest revisions.

    Raises DatasetError for a text that is no identifier, for one that is not there, for several models, and for a model
    of which two digests are among them; TransientError.
    """
    if not identifiers:
        msg = "nothing says what to look for: give at least one identifier (column uci) of a chip."
        raise DatasetError(msg)
    parts = {text: _parsed(text) for text in dict.fromkeys(identifiers)}
    tokens = {each.model for each in parts.values()}
    if len(tokens) > 1:
        msg = f"the examples are of the models {', '.join(sorted(tokens))}: vectors of two are never compared."
        raise DatasetError(msg)
    token = tokens.pop()
    found: dict[str, NDArray[np.float32]] = {}
    scenes: set[tuple[str, int]] = set()
    for text, each in parts.items():
        for box in (_box(each), None):  # by place first: that reads one row group
            if text not in found:
                _read(dataset, text, each, box, found, scenes)
    if missing := [text for text in parts if text not in found]:
        msg = (
            f"{dataset.uri} has no chip {missing[0]}{f', nor {len(missing) - 1} others' if missing[1:] else ''}. Take"
            " identifiers from the column uci of its files; `clayline index` makes scenes part of it."
        )
        raise DatasetError(msg)
    rows = [row for row in dataset.scenes(model=token) if (row.scene, row.revision) in scenes]
    digests = {row.digest for row in rows}
    if len(digests) != 1:
        msg = f"the examples are of {len(digests)} models called {token}: {', '.join(sorted(digests))}. Take one's."
        raise DatasetError(msg)
    return Examples(
        identifiers=tuple(parts),
        vectors=np.stack([found[text] for text in parts]),
        token=token,
        digest=digests.pop(),
        instruments=tuple(sorted({row.instrument for row in rows})),
    )


def _read(
    dataset: Dataset,
    text: str,
    parts: Uci,
    box: tuple[float, ...] | None,
    found: dict[str, NDArray[np.float32]],
    scenes: set[tuple[str, int]],
) -> None:
    """Look for a chip in what was acquired then, in a box or everywhere."""
    columns = ["uci", "embeddings", "scene", "revision"]
    for table in dataset.batches(box=box, time=_days(parts), model=parts.model, columns=columns):
        names: list[Any] = table.column("uci").to_pylist()
        if text in names:
            at = names.index(text)
            found[text] = vectors_of(table.slice(at, 1))[0]
            scenes.add((table.column("scene")[at].as_py(), table.column("revision")[at].as_py()))


def _parsed(text: str) -> Uci:
    try:
        return uci.parse(text)
    except InvalidIdentifierError as error:
        msg = f"example {text!r}: {error}"
        raise DatasetError(msg) from error


def _days(parts: Uci) -> tuple[datetime, datetime]:
    when: Instant | Interval = parts.time
    if isinstance(when, Instant):
        return when.moment, when.moment + timedelta(seconds=1)
    return datetime.combine(when.start, time(), UTC), datetime.combine(when.end, time.max, UTC)


def _box(parts: Uci) -> tuple[float, float, float, float] | None:
    """Give a box in the middle of the chip, or around the point; None over the antimeridian."""
    where = uci.footprint(parts) if isinstance(parts.location, Window) else uci.cell(parts)
    corners = np.array(where.lonlat, dtype=np.float64)[:4]
    lon, lat = corners.mean(axis=0)
    if np.abs(corners[:, 0]).max() + _MARGIN > 180 or abs(lat) + _MARGIN > 90:  # noqa: PLR2004 - the globe
        return None
    return (float(lon) - _MARGIN, float(lat) - _MARGIN, float(lon) + _MARGIN, float(lat) + _MARGIN)
