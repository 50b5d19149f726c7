"""What a vector bucket keeps of a chip: its identifier, its centred vector, and what filters look at."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import batched
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from clayline.likeness.vector_index import VectorModel

MOST_A_PUT: Final = 500
"""Vectors of a request, S3 Vectors' limit."""
_MOST_BYTES: Final = 16 * 1024 * 1024
"""Of a request; S3 Vectors takes 20 MiB."""
_A_NUMBER: Final = 14
"""Characters of a component, at most: ``-0.123456789`` and what stands beside it."""
_A_RECORD: Final = 2_048
"""Bytes of the rest of a vector, at most."""
_DIGITS: Final = 9
"""Behind the point, of components of vectors of length 1: below what float32 tells apart of a usual one."""
FRACTION_DIGITS: Final = 6
"""Of fractions and losses, which come as float32: 0.9 is 0.9 again. So are limits that are asked of them."""
_DEGREE_DIGITS: Final = 7


@dataclass(frozen=True, kw_only=True)
class ChipColumns:
    """N chips, as a scene's file has them."""

    uci: Sequence[str]
    cell: Sequence[str | None]
    epoch: NDArray[np.int64]
    """[N] seconds since 1970, UTC, of the acquisition's beginning."""
    centres: NDArray[np.float64]
    """[N, 2] longitude and latitude of the footprints' centres, degrees."""
    valid: NDArray[np.float32]
    """[N] fraction, 0 to 1."""
    cloud: NDArray[np.float32]
    """[N] fraction, 0 to 1; NaN is unknown."""
    loss: NDArray[np.float32]
    """[N], in the model's own measure; NaN is unknown."""
    vectors: NDArray[np.float32]
    """[N, D] as the model gave them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class VectorRecord:
    """One vector."""

    key: str
    """The chip's identifier."""
    data: Sequence[float]
    """[D], centred, of length 1."""
    metadata: dict[str, str | float]
    """What is not known is not in it: S3 Vectors has no null."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Put:
    """Vectors of one request."""

    index: str
    records: Sequence[VectorRecord]


@dataclass(frozen=True, kw_only=True, slots=True)
class Puts:
    """What chips take: requests, and how many chips have no part in them."""

    requests: Sequence[Put]
    without_direction: int
    """Whose vector is the centre: cosine indexes take none that is zero."""
    not_finite: int
    """Whose vector has a component that is no number, or none that float32 holds: one would have its request refused,
    with up to 499 others."""


def puts(columns: ChipColumns, model: VectorModel, *, scene: str, instrument: str) -> Puts:
    """Give the requests that N chips take, each of one index and within the limits.

    Raises DatasetError for vectors of another length than the centre's, and for identifiers that are none.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        unit = model.centred().unit(columns.vectors)
    finite = np.isfinite(unit).all(axis=1) & np.isfinite(columns.vectors).all(axis=1)
    taken = finite & unit.any(axis=1)
    return Puts(
        requests=tuple(_requests(columns, model, unit, np.flatnonzero(taken), scene=scene, instrument=instrument)),
        without_direction=int((finite & ~taken).sum()),
        not_finite=int((~finite).sum()),
    )


def _requests(
    columns: ChipColumns,
    model: VectorModel,
    unit: NDArray[np.float32],
    rows: NDArray[np.intp],
    *,
    scene: str,
    instrument: str,
) -> Iterator[Put]:
    of_index: dict[str, list[VectorRecord]] = {}
    for row in rows.tolist():
        record = VectorRecord(
            key=columns.uci[row],
            data=np.round(unit[row].astype(np.float64), _DIGITS).tolist(),
            metadata=_metadata(columns, row, scene=scene, instrument=instrument),
        )
        of_index.setdefault(model.index(record.key), []).append(record)
    most = min(MOST_A_PUT, max(1, _MOST_BYTES // (unit.shape[1] * _A_NUMBER + _A_RECORD)))
    for index, records in of_index.items():
        for part in batched(records, most, strict=False):
            yield Put(index=index, records=part)


def _metadata(columns: ChipColumns, row: int, *, scene: str, instrument: str) -> dict[str, str | float]:
    lon, lat = columns.centres[row]
    found: dict[str, Any] = {
        "uci": columns.uci[row],
        "cell": columns.cell[row],
        "scene": scene,
        "instrument": instrument,
        "epoch": int(columns.epoch[row]),
        "lon": _known(lon, digits=_DEGREE_DIGITS),
        "lat": _known(lat, digits=_DEGREE_DIGITS),
        "valid": _known(columns.valid[row]),
        "cloud": _known(columns.cloud[row]),
        "loss": _known(columns.loss[row]),
    }
    return {name: value for name, value in found.items() if value is not None}


def _known(value: np.floating[Any], *, digits: int = FRACTION_DIGITS) -> float | None:
    return round(float(value), digits) if np.isfinite(value) else None
