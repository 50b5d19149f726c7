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


def puts(columns: ChipColumns, model: VectorModel, *, scene: str, instrument: str) -> Iterator[Put]:
    """Give the requests that N chips take, each of one index and within the limits.

    A vector that is the centre has no direction, and cosine indexes take none that is zero: it is left out. Raises
    DatasetError for vectors of another length than the centre's, and for identifiers that are none.
    """
    unit = model.centred().unit(columns.vectors)
    of_index: dict[str, list[VectorRecord]] = {}
    for row in np.flatnonzero(unit.any(axis=1)).tolist():
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
    lon, lat = columns.centres[row].tolist()
    found: dict[str, Any] = {
        "uci": columns.uci[row],
        "cell": columns.cell[row],
        "scene": scene,
        "instrument": instrument,
        "epoch": int(columns.epoch[row]),
        "lon": round(lon, 7),
        "lat": round(lat, 7),
        "valid": _known(columns.valid[row]),
        "cloud": _known(columns.cloud[row]),
        "loss": _known(columns.loss[row]),
    }
    return {name: value for name, value in found.items() if value is not None}


def _known(value: np.floating[Any]) -> float | None:
    return round(float(value), FRACTION_DIGITS) if np.isfinite(value) else None
