"""docs/verify.md has every check with its severity, and its mutants are there."""

import re
from pathlib import Path

from tests.verification.test_mutants import MUTANTS

from clayline.verification.checks import CHECKS, FILE_CHECKS

PAGE = Path(__file__).parents[2] / "docs" / "verify.md"
ELSEWHERE = {"tile-grid"}
"""Whose mutant is the real sample (test_others.py)."""


def test_the_page_has_every_check_in_its_order_with_its_severity() -> None:
    rows = re.findall(r"^\| `([a-z-]+)` \| (error|warning)", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert rows == [(check.name, check.severity.value) for check in CHECKS.values()]


def test_every_check_of_a_file_has_a_mutant() -> None:
    assert {expected for _, expected in MUTANTS.values()} == {check.name for check in FILE_CHECKS} - ELSEWHERE
