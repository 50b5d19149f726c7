"""What a model folder states of the vectors that its entries give, measured on named scenes.

A file of its own beside the manifest, so that it can be measured after the folder is made and changes no digest.
"""

from collections.abc import Iterable
from typing import Annotated, Final, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from clayline.errors import ModelError
from clayline.model.manifest import Digest, Token

STATISTICS_FILE: Final = "statistics.json"
"""Its name in a model folder."""
_ROUNDED: Final = 1e-6
"""Relative: more than the numbers are rounded by."""
_FROZEN = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
Numbers = Annotated[tuple[float, ...], Field(min_length=1, max_length=65_536)]


class VectorStatistics(BaseModel):
    """Of one entry's vectors, by dimension."""

    model_config = _FROZEN
    digest: Digest
    """The entry's: of other weights this says nothing."""
    vectors: int = Field(ge=1)
    """How many were measured."""
    scenes: tuple[str, ...] = Field(min_length=1)
    """On which."""
    mean: Numbers
    """Centres vectors before they are compared."""
    deviation: Numbers
    """Standard deviation."""
    least: Numbers
    most: Numbers

    @model_validator(mode="after")
    def _one_length(self) -> Self:
        if len({len(self.mean), len(self.deviation), len(self.least), len(self.most)}) != 1:
            msg = "mean, deviation, least and most have not one length"
            raise ValueError(msg)
        if any(low > high for low, high in zip(self.least, self.most, strict=True)):
            msg = "a least component is over the most"
            raise ValueError(msg)
        return self

    @property
    def possible(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Bounds [D] beyond which a component is absurd: the range that was seen, and twice its width on either side.

        A scene left out of the shared ones needed up to 0.76 of the width that the others have.
        """
        least, most = np.array(self.least), np.array(self.most)
        reach = 2 * np.maximum(most - least, np.array(self.deviation)) + _ROUNDED * np.maximum(-least, most).clip(0)
        return least - reach, most + reach

    @classmethod
    def measure(cls, parts: Iterable[NDArray[np.float32]], *, digest: str, scenes: Iterable[str]) -> Self:
        """Measure vectors [n, D], part by part, in float64. Raises ValueError where there is none."""
        count, total, squares = 0, np.zeros(1), np.zeros(1)
        least, most = np.array([np.inf]), np.array([-np.inf])
        for part in parts:
            wide = part.astype(np.float64)
            count += len(wide)
            total = total + wide.sum(axis=0)
            squares = squares + (wide * wide).sum(axis=0)
            least, most = np.minimum(least, wide.min(axis=0)), np.maximum(most, wide.max(axis=0))
        if not count:
            msg = "there is no vector to measure"
            raise ValueError(msg)
        mean = total / count
        deviation = np.sqrt(np.maximum(squares / count - mean * mean, 0))
        return cls(
            digest=digest,
            vectors=count,
            scenes=tuple(scenes),
            mean=_short(mean),
            deviation=_short(deviation),
            least=_short(least),
            most=_short(most),
        )


class FolderStatistics(BaseModel):
    """The file: statistics by token. An entry that was not measured is not in it."""

    model_config = _FROZEN
    format: Literal["clayline-statistics/1"] = Field(default="clayline-statistics/1", alias="schema")
    entries: dict[Token, VectorStatistics]

    def of(self, token: str, digest: str) -> VectorStatistics | None:
        """Give an entry's, if it was measured with these weights."""
        found = self.entries.get(token)
        return found if found is not None and found.digest == digest else None


def read_statistics(text: bytes, *, source: str) -> FolderStatistics:
    """Read the file's JSON; ``source`` names it in errors. Raises ModelError."""
    try:
        return FolderStatistics.model_validate_json(text)
    except ValidationError as error:
        msg = f"the vectors' statistics {source} cannot be used: {error}"
        raise ModelError(msg) from error


def _short(values: NDArray[np.float64]) -> tuple[float, ...]:
    """Seven digits: as many as float32 holds."""
    return tuple(float(f"{value:.7g}") for value in values.tolist())
