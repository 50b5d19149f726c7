"""Examples as whoever asks in Python gives them."""

from collections.abc import Iterable, Mapping, Sequence
from numbers import Real
from typing import Any

from clayline.errors import DatasetError
from clayline.likeness.examples import ByCell, ByIdentifier, ByPlace, Computed, Given, OfImagery, example_of

type GivenExample = str | Sequence[float] | Given
"""What ``search`` takes: a text, longitude and latitude, or what ``clayline.likeness.examples`` has."""
type GivenExamples = Sequence[GivenExample] | Given
"""A list of these, or one alone: a text is a sequence of texts to a type checker. A pair alone is taken too."""


def all_given(values: GivenExamples, *, name: str) -> tuple[Given, ...]:
    """Read examples; one alone stands for a list of it. Raises DatasetError for what is none."""
    alone = isinstance(values, str | ByIdentifier | ByCell | ByPlace | Computed)
    if isinstance(values, bytes | Mapping) or not (alone or isinstance(values, Iterable)):
        msg = f"{name} {values!r} is none: give a list of identifiers, cells, or pairs of longitude and latitude."
        raise DatasetError(msg)
    listed: list[Any] = [values] if alone else list(values)  # type: ignore[arg-type] # an Iterable, else
    if len(listed) == 2 and all(isinstance(each, Real) for each in listed):  # noqa: PLR2004 - longitude and latitude
        listed = [tuple(listed)]
    return tuple(map(given_of, listed))


def given_of(value: GivenExample) -> Given:
    """Read an example. Raises DatasetError for what is none, and for imagery, which has no vector yet."""
    if isinstance(value, ByIdentifier | ByCell | ByPlace | Computed):
        return value
    if not isinstance(value, str):
        try:
            lon, lat = value
            value = f"{float(lon)!r},{float(lat)!r}"
        except (TypeError, ValueError) as error:
            msg = f"example {value!r} is none: give an identifier, a cell, or longitude and latitude."
            raise DatasetError(msg) from error
    found = example_of(value)
    if isinstance(found, OfImagery):
        msg = (
            f"example {value!r} is imagery, which has no vector yet: `clayline search --like` embeds it; in Python give"
            " a Computed."
        )
        raise DatasetError(msg)
    return found
