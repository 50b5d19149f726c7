"""Smaller forms of a model's vectors: int8 with a scale per dimension, and bits after centring (docs/dataset.md)."""

import json
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from clayline.errors import DatasetError

FORMAT: Final = "clayline-codebook/1"
LEAST_ROWS: Final = 256
"""Vectors that a codebook is made from: of fewer, centre and spread would be those of one place."""
_STEPS: Final = 127
"""Of int8 on either side of the centre; -128 is not used, so that both sides are alike."""
_WIDEST: Final = 6.0
"""Standard deviations that the steps reach at most. A single vector far out would make the steps of all others wide."""
_LEAST: Final = 4.0
"""And at least, because vectors to come lie further out than those that it was made from."""


@dataclass(frozen=True, kw_only=True)
class Codebook:
    """How a model's vectors are made smaller. One for all files of a model, so that any two can be compared."""

    token: str
    """Model token."""
    digest: str
    """Of the model's entry."""
    rows: int
    """Vectors that it was made from."""
    centre: NDArray[np.float32]
    """[D] mean of each dimension."""
    scale: NDArray[np.float32]
    """[D] a step of int8 in each dimension, above 0."""
    spread: NDArray[np.float32]
    """[D] mean distance from the centre: what a bit stands for."""

    @classmethod
    def of(cls, vectors: NDArray[np.float32], *, token: str, digest: str) -> Self:
        """Make one from [N, D] vectors. Raises DatasetError for too few of them, or what is not finite."""
        if len(vectors) < LEAST_ROWS:
            msg = (
                f"{token}: a codebook is made from at least {LEAST_ROWS} vectors, there are {len(vectors)}. Compact"
                " more scenes of this model first."
            )
            raise DatasetError(msg)
        if not np.isfinite(vectors).all():
            msg = f"{token}: a vector is not finite. `clayline verify` names it."
            raise DatasetError(msg)
        exact = vectors.astype(np.float64)
        centre = exact.mean(axis=0)
        away = np.abs(exact - centre)
        deviation = np.sqrt((away**2).mean(axis=0))
        reach = np.clip(away.max(axis=0), _LEAST * deviation, _WIDEST * deviation)
        reach[reach == 0] = 1.0  # a dimension that never changes: every step is the centre
        return cls(
            token=token,
            digest=digest,
            rows=len(vectors),
            centre=centre.astype(np.float32),
            scale=(reach / _STEPS).astype(np.float32),
            spread=away.mean(axis=0).astype(np.float32),
        )

    @property
    def dimensions(self) -> int:
        """Length D of a vector."""
        return len(self.centre)

    def int8(self, vectors: NDArray[np.float32]) -> NDArray[np.int8]:
        """Give [N, D] steps from the centre, the outermost step for what lies beyond it."""
        self._fits(vectors)
        steps = np.rint((vectors - self.centre) / self.scale)
        return np.clip(steps, -_STEPS, _STEPS).astype(np.int8)

    def floats(self, steps: NDArray[np.int8]) -> NDArray[np.float32]:
        """Give the [N, D] vectors that int8 stands for."""
        self._fits(steps)
        return steps.astype(np.float32) * self.scale + self.centre

    def bits(self, vectors: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Give [N, ceil(D / 8)] bytes: which dimensions are above the centre, the first in the highest bit."""
        self._fits(vectors)
        return np.packbits(vectors > self.centre, axis=1)

    def signs(self, bits: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Give the [N, D] vectors that bits stand for: the spread above or below the centre."""
        above = np.unpackbits(bits, axis=1, count=self.dimensions).astype(np.float32)
        return (2 * above - 1) * self.spread + self.centre

    def quantization(self, tier: str, *, link: str) -> dict[str, Any]:
        """Give ``emb:quantization`` of STAC's ``emb:`` extension v0.0.1: vector = scale x value + offset.

        ``link`` is where the codebook lies. Of bits a value is -1 or 1, and the scale the spread.
        """
        scale, method, kept = {
            "int8": (self.scale, "linear, a scale and an offset per dimension, to -127..127", "int8"),
            "bits": (
                self.spread,
                "sign after centring, eight a byte, the first in the highest bit",
                "uint8",
            ),
        }[tier]
        return {
            "method": method,
            "original_dtype": "float32",
            "quantized_dtype": kept,
            "scale": [float(value) for value in scale],
            "offset": [float(value) for value in self.centre],
            "link": {"rel": "about", "href": link, "type": "application/json"},
        }

    def encode(self, *, stamp: str) -> bytes:
        """Write it as JSON: the same codebook and ``stamp`` give the same bytes."""
        content = {
            "format": FORMAT,
            "stamp": stamp,
            "token": self.token,
            "digest": self.digest,
            "rows": self.rows,
            "centre": [float(value) for value in self.centre],
            "scale": [float(value) for value in self.scale],
            "spread": [float(value) for value in self.spread],
        }
        return (json.dumps(content) + "\n").encode()

    @classmethod
    def parse(cls, content: bytes, *, uri: str) -> Self:
        """Read what ``encode`` wrote. Raises DatasetError."""
        try:
            found = json.loads(content)
            if found["format"] != FORMAT:
                msg = f"format {found['format']!r}"
                raise ValueError(msg)
            arrays = [np.asarray(found[name], dtype=np.float32) for name in ("centre", "scale", "spread")]
            [dimensions] = {array.shape for array in arrays}
            if len(dimensions) != 1 or not all(np.isfinite(array).all() for array in arrays) or (arrays[1] <= 0).any():
                msg = "centre, scale or spread are no finite numbers of one length"
                raise ValueError(msg)
            return cls(
                token=str(found["token"]),
                digest=str(found["digest"]),
                rows=int(found["rows"]),
                centre=arrays[0],
                scale=arrays[1],
                spread=arrays[2],
            )
        except (ValueError, KeyError, TypeError, RecursionError, OverflowError) as error:
            msg = f"{uri} is no codebook of the format {FORMAT}: {error}. Make the tiers again: `clayline compact`."
            raise DatasetError(msg) from error

    def _fits(self, vectors: NDArray[Any]) -> None:
        if vectors.ndim != 2 or vectors.shape[1] != self.dimensions:  # noqa: PLR2004 - rows and dimensions
            msg = f"{self.token} has {self.dimensions} dimensions, these vectors have the shape {vectors.shape}"
            raise DatasetError(msg)
