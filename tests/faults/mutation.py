"""Taking a guard away for a while: a piece of a function's text is changed, and the function made anew of that.

Nothing is written to the code's own files; the table is guards.py.
"""

import inspect
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FunctionType, ModuleType
from typing import Any

from tests.faults.profile import Profile


@dataclass(frozen=True, kw_only=True, slots=True)
class Guard:
    """A guard."""

    guard: str
    """What it sees to."""
    where: str
    """Module and function."""
    old: str
    new: str
    profile: Profile
    """Faults under which its absence shows."""
    shows: frozenset[str] = field(default_factory=frozenset)
    """Kinds of violations, any of which is seen."""
    begins: int = 0
    """Campaign with which the search begins: those before showed nothing when they were tried."""


@contextmanager
def without(guard: Guard) -> Iterator[None]:
    """Take the guard away for a while. Raises AssertionError if the code no longer has it."""
    module_name, _, path = guard.where.partition(":")
    holder_name, _, name = path.rpartition(".")
    module = import_module(module_name)
    holder: Any = getattr(module, holder_name) if holder_name else module
    original: FunctionType = vars(holder)[name]
    changed = _changed(original, guard, module)
    places = [holder, *(each for each in sys.modules.values() if vars(each).get(name) is original)]
    for place in places:
        setattr(place, name, changed)
    try:
        yield
    finally:
        for place in places:
            setattr(place, name, original)


def _changed(original: FunctionType, guard: Guard, module: ModuleType) -> FunctionType:
    """Give the function as it is without the guard, among the names of its own module."""
    text = inspect.getsource(original)
    margin = text[: len(text) - len(text.lstrip())]
    plain = textwrap.dedent(text)
    assert plain.count(guard.old) == 1, f"{guard.where} has no longer {guard.old!r} once: see to {guard.guard!r}"
    without_it = textwrap.indent(plain.replace(guard.old, guard.new), margin)
    with TemporaryDirectory() as folder:
        file = Path(folder) / "changed.py"
        file.write_text(inspect.getsource(module).replace(text, without_it))
        spec = spec_from_file_location("changed", file)
        assert spec is not None
        assert spec.loader is not None
        sys.modules["changed"] = copy = module_from_spec(spec)
        try:
            spec.loader.exec_module(copy)
        finally:
            del sys.modules["changed"]
    found: Any = copy
    for part in original.__qualname__.split("."):
        found = vars(found)[part]
    made = FunctionType(found.__code__, vars(module), original.__name__, original.__defaults__, original.__closure__)
    made.__kwdefaults__ = original.__kwdefaults__
    return made
