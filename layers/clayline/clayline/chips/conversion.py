"""From a file's numbers to the model's: a factor and a constant, exact, and stated.

Both are rational numbers, read from decimals as they are written: a file with scale 0.00005 for a model of 0.0001 has
the factor 1/2, not a float near it.
"""

from dataclasses import dataclass
from fractions import Fraction
from math import lcm
from typing import Any

import numpy as np
from numpy.typing import NDArray

ROWS_AT_A_TIME = 256
_EXACT_BITS = 62


@dataclass(frozen=True, kw_only=True, slots=True)
class Conversion:
    """What turns a band's valid numbers into the model's: ``factor`` x number + ``constant``."""

    factor: str
    """A fraction in lowest terms, e.g. ``1/2``."""
    constant: str
    """In the model's numbers."""
    decibel: bool = False
    """The file's numbers are decibels: first they become linear, 10 ** (number / 10)."""
    why: str
    """Who said what the file's numbers are, and what the model's are."""

    @property
    def is_identity(self) -> bool:
        """Whether numbers stay as they are, but for their type."""
        return (self.factor, self.constant, self.decibel) == ("1", "0", False)

    def rule(self, dtype: str) -> str:
        """Say in one line what is done, for a model input of ``dtype``."""
        number = "10 ** (number / 10)" if self.decibel else "number"
        formula = f"{self.factor} * {number} + {self.constant}"
        kind = np.dtype(dtype)
        if not np.issubdtype(kind, np.integer):
            return formula
        return f"{formula}, rounded half to even, at least {lowest(kind)}, at most {np.iinfo(kind).max}"


def lowest(dtype: np.dtype[Any]) -> int:
    """Give the least whole number that a valid pixel may become: 1 where negative ones do not exist, since 0 says that
    there is no value.
    """
    return 1 if np.issubdtype(dtype, np.unsignedinteger) else int(np.iinfo(dtype).min)


def convert(
    band: NDArray[Any],
    out: NDArray[Any],
    valid: NDArray[np.bool_],
    conversion: Conversion,
    *,
    offset: int,
    clamped: NDArray[np.bool_],
) -> None:
    """Convert a band [h, w] into ``out`` [h, w], which may be the band itself, where ``valid`` [h, w]; elsewhere some
    number of ``out``'s type.

    ``offset`` is added to the result (BOA). Whole numbers from whole numbers are computed in integers, and rounded half
    to even; others in float64. What ``out``'s type cannot hold becomes its limit, and is marked in ``clamped`` [h, w].
    """
    factor, constant = Fraction(conversion.factor), Fraction(conversion.constant) + offset
    whole = np.issubdtype(out.dtype, np.integer)
    ratio = _in_integers(band.dtype, factor, constant) if whole and not conversion.decibel else None
    low = float(lowest(out.dtype)) if whole else None
    for top in range(0, len(band), ROWS_AT_A_TIME):
        rows = slice(top, top + ROWS_AT_A_TIME)
        known = np.where(valid[rows], band[rows], band.dtype.type(0))
        if ratio is not None:
            result: NDArray[Any] = _divided(known.astype(np.int64) * ratio[0] + ratio[1], ratio[2])
        else:
            wide = known.astype(np.float64)
            if conversion.decibel:
                wide = 10 ** (wide / 10)
            wide *= float(factor)
            wide += float(constant)
            result = np.rint(wide) if whole else wide
        hold(result, out[rows], clamped[rows], low=low)


def hold(numbers: NDArray[Any], out: NDArray[Any], clamped: NDArray[np.bool_], *, low: float | None) -> None:
    """Write ``numbers`` into ``out``, whose type they may exceed: those beyond ``low`` (None: the type's lowest) or the
    type's highest become that limit, and are marked in ``clamped``. All of one shape.
    """
    limits = np.iinfo(out.dtype) if np.issubdtype(out.dtype, np.integer) else np.finfo(out.dtype)
    least, most = float(limits.min) if low is None else low, float(limits.max)
    clamped |= (numbers < least) | (numbers > most)
    out[...] = np.clip(numbers, least, most).astype(out.dtype)


def _in_integers(dtype: np.dtype[Any], factor: Fraction, constant: Fraction) -> tuple[int, int, int] | None:
    """Give m, c, d of (m * number + c) / d, where that stays within 64 bits for every number of the type."""
    if not np.issubdtype(dtype, np.integer):
        return None
    denominator = lcm(factor.denominator, constant.denominator)
    times, plus = int(factor * denominator), int(constant * denominator)
    limits = np.iinfo(dtype)
    reach = max(abs(int(limits.min)), int(limits.max)) * abs(times) + abs(plus)
    return (times, plus, denominator) if max(reach, denominator).bit_length() < _EXACT_BITS else None


def _divided(numbers: NDArray[np.int64], divisor: int) -> NDArray[np.int64]:
    """Divide, rounded half to even."""
    if divisor == 1:
        return numbers
    quotient, rest = np.divmod(numbers, divisor)
    quotient += (2 * rest > divisor) | ((2 * rest == divisor) & (quotient % 2 == 1))
    return quotient
