"""Taking any one guard away makes the harness fail (docs/reliability.md, Guards)."""

from pathlib import Path

import pytest
from tests.faults.campaign import run_campaign
from tests.faults.guards import GUARDS
from tests.faults.mutation import Guard, without
from tests.faults.tables import Plain

MOST = 12
"""Campaigns until it shows."""


@pytest.mark.parametrize("guard", GUARDS, ids=lambda guard: guard.guard.replace(" ", "-"))
def test_a_guard_that_is_taken_away_is_missed(guard: Guard, tmp_path: Path) -> None:
    for number in range(guard.begins, guard.begins + MOST):
        seed = f"guard:{number}"
        with without(guard):
            told = run_campaign(guard.profile, seed=seed, table=Plain(), scratch=tmp_path)
        if seen := {violation.kind for violation in told.violations} & guard.shows:
            kept = run_campaign(guard.profile, seed=seed, table=Plain(), scratch=tmp_path)
            assert not {violation.kind for violation in kept.violations} & seen, kept.violations
            print(f"{guard.guard}: {sorted(seen)} in campaign {number}")
            return
    raise AssertionError(f"nobody misses it: {guard.guard}")


def test_every_guard_is_named_once() -> None:
    assert len({guard.guard for guard in GUARDS}) == len(GUARDS)
