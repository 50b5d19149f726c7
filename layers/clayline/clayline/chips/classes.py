"""Classes: what the numbers of a mask mean, by their values or by fields of bits."""

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from annotated_types import Ge, Gt, Le, Len

_NOTHING_ELSE: dict[str, Any] = {"extra": "forbid"}
_WIDEST = 32


@dataclass(frozen=True, kw_only=True, slots=True)
class Classes:
    """Some values of a mask, or of a field of bits in it."""

    __pydantic_config__: ClassVar = _NOTHING_ELSE
    meaning: Annotated[str, Len(1, 64)]
    values: Annotated[tuple[int, ...], Len(1, 256)] = (1,)
    bit: Annotated[int, Ge(0), Le(_WIDEST - 1)] | None = None
    """Lowest bit of the field, 0 for the lowest of all. None: the whole number."""
    bits: Annotated[int, Gt(0), Le(_WIDEST)] = 1
    """How many the field has."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Classification:
    """Which classes hide the ground, and which say nothing."""

    __pydantic_config__: ClassVar = _NOTHING_ELSE
    cloud: Annotated[tuple[Classes, ...], Len(1, 64)]
    """Cloud, its shadow, and what else hides the ground."""
    clear: Annotated[tuple[Classes, ...], Len(0, 64)] = ()
    """If any are given, a number that is neither cloud nor clear says nothing."""
    unknown: Annotated[tuple[Classes, ...], Len(0, 64)] = ()
    """Numbers that say nothing, whatever else they say: fill."""
