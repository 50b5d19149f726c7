"""Embeddings of a scene's chips, as rows of the output table (docs/schema.md)."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Self

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True, slots=True)
class SceneColumns:
    """What every row of a scene's file says alike."""

    source_url: str
    """S3 URI of the source imagery."""
    date: dt.date
    """Day on which the embeddings were created, frozen by the plan."""
    datetime: dt.datetime
    """Acquisition, UTC."""
    source_model: str
    """Model token, the identifier's last field."""
    loss_metric: str | None
    """Name of the loss, None for a model that has none."""
    source_creator: str
    """Who made the embeddings."""
    dimensions: int
    """Length D of an embedding."""

    def __post_init__(self) -> None:
        """Refuse what no file may hold (a programming error here: the plan is checked when it is made)."""
        if self.datetime.utcoffset() != dt.timedelta(0):
            msg = f"{self.source_url}: the acquisition must be in UTC and say so, got {self.datetime.isoformat()}"
            raise ValueError(msg)
        if self.dimensions < 1:
            msg = f"{self.source_url}: an embedding needs at least one dimension, got {self.dimensions}"
            raise ValueError(msg)
        if self.loss_metric == "":
            msg = f"{self.source_url}: a model without a loss has the metric None, not an empty text"
            raise ValueError(msg)


@dataclass(frozen=True, kw_only=True, slots=True)
class EmbeddingRows:
    """Some chips of a scene with their embeddings, all columns of one length n."""

    uci: list[str]
    """Identifiers."""
    index: NDArray[np.int64]
    """[n], numbers of the windows in the scene's grid."""
    cell: list[str | None]
    """Names of the ground; None for a scene on its own grid."""
    corners: NDArray[np.float64]
    """[n, 4, 2], longitude and latitude in degrees (OGC:CRS84) of upper-left, upper-right, lower-right, lower-left."""
    embeddings: NDArray[np.float32]
    """[n, D]."""
    loss: NDArray[np.float32] | None
    """[n], None for a model without a loss."""
    valid_fraction: NDArray[np.float32]
    """[n], 0 to 1: of all pixels of the chip, those where every band that the model takes is valid."""
    cloud_fraction: NDArray[np.float32]
    """[n], 0 to 1: of the valid pixels, those under cloud or its shadow; NaN where it is not known."""

    def __post_init__(self) -> None:
        """Refuse columns that do not fit each other (a programming error)."""
        n = len(self.uci)
        if len(self.cell) != n:
            msg = f"cell of {n} rows must be as many names, got {len(self.cell)}"
            raise ValueError(msg)
        expected: dict[str, tuple[NDArray[np.generic], type[np.generic], tuple[int, ...]]] = {
            "index": (self.index, np.int64, (n,)),
            "corners": (self.corners, np.float64, (n, 4, 2)),
            "embeddings": (self.embeddings, np.float32, (n, self.embeddings.shape[-1])),
            "valid_fraction": (self.valid_fraction, np.float32, (n,)),
            "cloud_fraction": (self.cloud_fraction, np.float32, (n,)),
        }
        if self.loss is not None:
            expected["loss"] = (self.loss, np.float32, (n,))
        for name, (array, dtype, shape) in expected.items():
            if array.dtype != dtype or array.shape != shape:
                msg = (
                    f"{name} of {n} rows must be {np.dtype(dtype).name} {list(shape)}, got {array.dtype}"
                    f" {list(array.shape)}"
                )
                raise ValueError(msg)

    def __len__(self) -> int:
        """Count the rows."""
        return len(self.uci)

    def slice(self, start: int, stop: int) -> Self:
        """Give the rows from ``start`` to before ``stop``; arrays are views."""
        return type(self)(
            uci=self.uci[start:stop],
            index=self.index[start:stop],
            cell=self.cell[start:stop],
            corners=self.corners[start:stop],
            embeddings=self.embeddings[start:stop],
            loss=None if self.loss is None else self.loss[start:stop],
            valid_fraction=self.valid_fraction[start:stop],
            cloud_fraction=self.cloud_fraction[start:stop],
        )

    @classmethod
    def concatenate(cls, parts: Sequence[Self]) -> Self:
        """Put parts one behind the other; a single part is given back as it is.

        Raises ValueError if only some have a loss.
        """
        if len(parts) == 1:
            return parts[0]
        losses = [part.loss for part in parts if part.loss is not None]
        if losses and len(losses) != len(parts):
            msg = "either all rows of a scene have a loss or none"
            raise ValueError(msg)
        return cls(
            uci=list(chain.from_iterable(part.uci for part in parts)),
            index=np.concatenate([part.index for part in parts]),
            cell=list(chain.from_iterable(part.cell for part in parts)),
            corners=np.concatenate([part.corners for part in parts]),
            embeddings=np.concatenate([part.embeddings for part in parts]),
            loss=np.concatenate(losses) if losses else None,
            valid_fraction=np.concatenate([part.valid_fraction for part in parts]),
            cloud_fraction=np.concatenate([part.cloud_fraction for part in parts]),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class WrittenRows:
    """Rows of a file, as far as another file can take them over."""

    index: NDArray[np.int64]
    """[n]"""
    embeddings: NDArray[np.float32]
    """[n, D]"""
    loss: NDArray[np.float32]
    """[n], NaN where there is none."""
    valid_fraction: NDArray[np.float32]
    """[n]"""
    cloud_fraction: NDArray[np.float32]
    """[n], NaN where unknown."""
