"""The centre that is taken off vectors before they are compared (docs/likeness.md, One measure)."""

from dataclasses import dataclass
from typing import Any, Final, Literal, Self

import numpy as np
from numpy.typing import NDArray

from clayline.dataset.codebook import Codebook
from clayline.errors import DatasetError, counted
from clayline.model.statistics import VectorStatistics

type CentredBy = Literal["card", "codebook", "rows"]
LEAST_ROWS: Final = 256
"""Rows that a centre is made from, where neither card nor codebook has one: of fewer it would be one place's."""


@dataclass(frozen=True, kw_only=True)
class Centre:
    """The middle of a model's vectors."""

    values: NDArray[np.float32]
    """[D]."""
    by: CentredBy
    """Whose word it is. Every answer says it."""

    @classmethod
    def of_card(cls, statistics: VectorStatistics) -> Self:
        """Take the mean that the model's card states."""
        return cls(values=np.array(statistics.mean, dtype=np.float32), by="card")

    @classmethod
    def of_codebook(cls, codebook: Codebook) -> Self:
        """Take the centre of a dataset's codebook."""
        return cls(values=codebook.centre, by="codebook")

    @classmethod
    def of_rows(cls, total: NDArray[np.float64], count: int, *, name: str) -> Self:
        """Take the mean of ``count`` rows from their sum ``total`` [D]. Raises DatasetError for under 256 rows.

        ``name`` says in the error what was looked through.
        """
        if count < LEAST_ROWS:
            msg = (
                f"{name}: its {counted(count, 'chip is', 'chips are')} too few to centre vectors by ({LEAST_ROWS} are"
                " needed), and the model's statistics are not at hand. Name the model folder, which has its"
                " statistics.json (model_folder, `--model-folder`), or look through more: a wider place or time, a"
                " dataset with more scenes."
            )
            raise DatasetError(msg)
        return cls(values=(total / count).astype(np.float32), by="rows")

    @property
    def dimensions(self) -> int:
        """Length D of a vector."""
        return len(self.values)

    def unit(self, vectors: NDArray[Any]) -> NDArray[np.float32]:
        """Give [N, D] vectors less the centre, each of length 1.

        A vector that is the centre has no direction: it stays zeros, and its likeness to anything is 0. Raises
        DatasetError for vectors of another length.
        """
        self.check(vectors)
        away = vectors.astype(np.float32) - self.values
        lengths = np.sqrt(np.einsum("ij,ij->i", away, away, dtype=np.float64))
        away /= np.where(lengths > 0, lengths, 1)[:, None].astype(np.float32)
        return away

    def check(self, vectors: NDArray[Any]) -> None:
        """Raises DatasetError for what are no vectors [N, D] of this length."""
        if vectors.ndim != 2 or vectors.shape[1] != self.dimensions:  # noqa: PLR2004 - rows and dimensions
            msg = f"the centre has {self.dimensions} dimensions, these vectors have the shape {vectors.shape}"
            raise DatasetError(msg)
