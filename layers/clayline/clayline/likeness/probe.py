"""What is looked for: one direction in the centred vectors of one model (docs/likeness.md, A probe)."""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from clayline.errors import DatasetError
from clayline.likeness.centring import Centre, CentredBy
from clayline.likeness.separation import normal
from clayline.model.manifest import Digest, Token

_LEAST_LENGTH: Final = 1e-6
"""Of a direction before it is brought to length 1: what is shorter is rounding."""
_LENGTH_OFF: Final = 1e-3
"""By which a stored direction's length may be off 1: float32 rounds it by less."""
_MOST_TEXT: Final = 65_536 * 4 * 4 // 3 + 4
Floats = Annotated[str, Field(min_length=4, max_length=_MOST_TEXT)]
"""Little-endian float32 in base64."""


class StoredProbe(BaseModel):
    """A probe as JSON: a few kB."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    token: Token
    digest: Digest
    centre: Floats
    centred_by: CentredBy
    direction: Floats


@dataclass(frozen=True, kw_only=True)
class Probe:
    """A direction of length 1, of one model."""

    token: str
    digest: str
    """Of the model's entry."""
    centre: Centre
    direction: NDArray[np.float32]
    """[D], of length 1."""

    @classmethod
    def of_examples(
        cls,
        like: NDArray[Any],
        unlike: NDArray[Any] | None = None,
        *,
        token: str,
        digest: str,
        centre: Centre,
    ) -> Self:
        """Make one of vectors as the model gave them: [P, D] of what is looked for, [N, D] of what is not.

        Rocchio's form with weights 1 and 1, on centred vectors of length 1. Raises DatasetError for no example, and for
        examples that cancel each other out.
        """
        if not len(like):
            msg = "nothing says what to look for: give at least one example that is like it"
            raise DatasetError(msg)
        direction = centre.unit(like).mean(axis=0, dtype=np.float64)
        if unlike is not None and len(unlike):
            direction = direction - centre.unit(unlike).mean(axis=0, dtype=np.float64)
        length = float(np.linalg.norm(direction))
        if length < _LEAST_LENGTH:
            msg = "the examples cancel each other out, so nothing is looked for: take other ones"
            raise DatasetError(msg)
        return cls(token=token, digest=digest, centre=centre, direction=(direction / length).astype(np.float32))

    @classmethod
    def of_separation(
        cls, like: NDArray[Any], unlike: NDArray[Any], *, token: str, digest: str, centre: Centre
    ) -> Self:
        """Make one of the normal of a linear separation of [P, D] vectors from [N, D], both as the model gave them.

        Raises DatasetError for under two of a kind, and for examples that nothing tells apart.
        """
        direction = normal(centre.unit(like), centre.unit(unlike)).astype(np.float32)
        return cls(token=token, digest=digest, centre=centre, direction=direction)

    def scores(self, vectors: NDArray[Any]) -> NDArray[np.float32]:
        """Give the likeness [N], -1 to 1, of [N, D] vectors as the model gave them."""
        return np.asarray(self.centre.unit(vectors) @ self.direction)

    def stored(self) -> StoredProbe:
        """Give it as JSON keeps it."""
        return StoredProbe(
            token=self.token,
            digest=self.digest,
            centre=floats_text(self.centre.values),
            centred_by=self.centre.by,
            direction=floats_text(self.direction),
        )

    @classmethod
    def of(cls, stored: StoredProbe) -> Self:
        """Take it from JSON. Raises DatasetError for numbers that are none, and a direction that is not of length 1."""
        centre, direction = floats_of(stored.centre), floats_of(stored.direction)
        if centre.shape != direction.shape or not (np.isfinite(centre).all() and np.isfinite(direction).all()):
            msg = f"a probe of {stored.token} is damaged: its centre and direction are no finite numbers of one length"
            raise DatasetError(msg)
        length = float(np.linalg.norm(direction.astype(np.float64)))
        if abs(length - 1) > _LENGTH_OFF:
            msg = f"a probe of {stored.token} is damaged: its direction is of length {length:g}, and not of length 1"
            raise DatasetError(msg)
        return cls(
            token=stored.token,
            digest=stored.digest,
            centre=Centre(values=centre, by=stored.centred_by),
            direction=direction,
        )


class Together:
    """Probes of one model that score the same vectors: each distinct centre is taken away once, and all directions of
    it are one product of matrices.
    """

    def __init__(self, probes: Sequence[Probe]) -> None:
        """Sort them by centre."""
        groups: dict[bytes, list[int]] = {}
        for number, probe in enumerate(probes):
            groups.setdefault(probe.centre.values.tobytes(), []).append(number)
        self._count = len(probes)
        self._groups = [
            (numbers, probes[numbers[0]].centre, np.stack([probes[number].direction for number in numbers]))
            for numbers in groups.values()
        ]

    def scores(self, vectors: NDArray[Any]) -> NDArray[np.float32]:
        """Give the likeness [P, N], by each probe, of [N, D] vectors as the model gave them.

        It is NaN of a vector that is not finite. Raises DatasetError for vectors of another length.
        """
        found = np.empty((self._count, len(vectors)), np.float32)
        with np.errstate(invalid="ignore", over="ignore"):  # of a vector that is not finite the score is not either
            for numbers, centre, directions in self._groups:
                found[numbers] = directions @ centre.unit(vectors).T
        return found


def floats_text(values: NDArray[np.float32]) -> str:
    """Give numbers as JSON keeps them."""
    return base64.b64encode(values.astype("<f4").tobytes()).decode()


def floats_of(text: str) -> NDArray[np.float32]:
    """Take them from JSON. Raises DatasetError for what are none."""
    try:
        return np.frombuffer(base64.b64decode(text, validate=True), dtype="<f4").astype(np.float32)
    except (binascii.Error, ValueError) as error:
        msg = f"a probe, or a centre, is damaged: its numbers are no float32 in base64 ({error})"
        raise DatasetError(msg) from error
