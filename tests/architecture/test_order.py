"""The files that begin first are files: a renamed one would slip to the end of `make test` unnoticed."""

from tests.conftest import LONGEST, ROOT


def test_what_begins_first_is_there() -> None:
    assert [name for name in LONGEST if not (ROOT / "tests" / name).is_file()] == []
