"""What a question is given in Python, checked where it comes in: a wrong kind or number is a DatasetError with what to
give, never an error of Python's, and never an answer.
"""

from math import inf, isfinite
from numbers import Integral, Real
from typing import Any, Final

from clayline.errors import DatasetError

_SHOWN: Final = 60


def check_number(value: Any, *, name: str, least: float = -inf, most: float = inf, optional: bool = False) -> None:  # noqa: ANN401 - whatever was given
    """Refuse what is no finite number from ``least`` to ``most``. Raises DatasetError."""
    if value is None and optional:
        return
    if isinstance(value, Real) and not isinstance(value, bool) and isfinite(value) and least <= float(value) <= most:
        return
    bounds = f" from {least:g} to {most:g}" if isfinite(most) else f" of {least:g} or more" if isfinite(least) else ""
    nothing = ", or nothing (None)" if optional else ""
    raise _refused(name, value, f"give a number{bounds}{nothing}")


def check_count(value: Any, *, name: str, most: int) -> None:  # noqa: ANN401 - the same
    """Refuse what is no whole number from 1 to ``most``. Raises DatasetError."""
    if not isinstance(value, Integral) or isinstance(value, bool) or not 1 <= int(value) <= most:
        raise _refused(name, value, f"give a whole number from 1 to {most:,}")


def check_flag(value: Any, *, name: str) -> None:  # noqa: ANN401 - the same
    """Refuse what is neither True nor False. Raises DatasetError."""
    if not isinstance(value, bool):
        raise _refused(name, value, "give True or False")


def check_text(value: Any, *, name: str, such_as: str) -> None:  # noqa: ANN401 - the same
    """Refuse what is neither a text nor None. Raises DatasetError."""
    if value is not None and (not isinstance(value, str) or not value.strip()):
        raise _refused(name, value, f"give a text such as {such_as}, or nothing (None)")


def check_kind(value: Any, kind: type, *, name: str, give: str = "") -> None:  # noqa: ANN401 - the same
    """Refuse what is not of a class; ``give`` says what to. Raises DatasetError."""
    if not isinstance(value, kind):
        raise _refused(name, value, f"give {give or f'a {kind.__module__}.{kind.__name__}'}")


def _refused(name: str, value: Any, remedy: str) -> DatasetError:  # noqa: ANN401 - the same
    text = repr(value)
    return DatasetError(f"{name} {text if len(text) <= _SHOWN else f'{text[:_SHOWN]}...'} is none: {remedy}.")
