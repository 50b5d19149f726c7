"""Sentinel-2's BOA offset.

Whether 1000 still has to be taken off the digital numbers, decided in a documented order and recorded.

From processing baseline 04.00 (2022-01-25) on, ESA adds 1000 to every DN. Some archives have taken it off again, some
have not, and flags are sometimes wrong; undecided pixels would shift every embedding without a trace, so what cannot be
decided fails.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from clayline.errors import SceneError
from clayline.place import Option

BOA_ADD_OFFSET = -1000
_FIRST_OFFSET_DAY = datetime(2022, 1, 25, tzinfo=UTC)
_OFFSET_BASELINE = (4, 0)


class BoaOverride(StrEnum):
    """What the user says of the scene's digital numbers."""

    AUTO = "auto"
    APPLIED = "applied"
    NOT_APPLIED = "not-applied"


@dataclass(frozen=True, kw_only=True, slots=True)
class BoaDecision:
    """What is added to each valid digital number, and on whose word."""

    offset: int
    """0 or -1000."""
    decided_by: str
    """option, earthsearch:boa_offset_applied, s2:boa_add_offset, processing-baseline or acquisition-date."""


def decide_boa(*, scene: str, properties: Mapping[str, Any], acquired: datetime, override: BoaOverride) -> BoaDecision:
    """Decide in this order: option; Earth Search's flag; ``s2:boa_add_offset``; processing baseline; acquisition
    before 2022-01-25.

    ``raster:bands[].offset`` never decides: Earth Search declares it on files from which it was already taken off.
    Raises SceneError: ``boa-contradiction`` where statements exclude each other, ``boa-unknown`` where there is none.
    """
    if override is not BoaOverride.AUTO:
        return BoaDecision(offset=0 if override is BoaOverride.APPLIED else BOA_ADD_OFFSET, decided_by="option")
    baseline = _baseline(properties)
    flag = properties.get("earthsearch:boa_offset_applied")
    declared = properties.get("s2:boa_add_offset")
    _refuse_contradiction(scene, baseline, flag, declared)
    due = baseline is not None and baseline >= _OFFSET_BASELINE
    if flag is not None and (flag or baseline is not None):
        return BoaDecision(
            offset=BOA_ADD_OFFSET if due and not flag else 0, decided_by="earthsearch:boa_offset_applied"
        )
    if declared is not None:
        return BoaDecision(offset=int(declared), decided_by="s2:boa_add_offset")
    if baseline is not None:
        return BoaDecision(offset=BOA_ADD_OFFSET if due else 0, decided_by="processing-baseline")
    if acquired < _FIRST_OFFSET_DAY:
        return BoaDecision(offset=0, decided_by="acquisition-date")
    msg = (
        f"scene {scene}: taken after 2022-01-25 and nothing says whether its digital numbers carry the BOA offset. "
        f"Say so in an Item's s2:processing_baseline, or set {Option.BOA} to applied or not-applied."
    )
    raise SceneError(msg, reason="boa-unknown")


def _baseline(properties: Mapping[str, Any]) -> tuple[int, int] | None:
    text = str(properties.get("s2:processing_baseline") or properties.get("processing:version") or "")
    major, _, minor = text.partition(".")
    return (int(major), int(minor)) if major.isdecimal() and minor.isdecimal() else None


def _refuse_contradiction(scene: str, baseline: tuple[int, int] | None, flag: object, declared: object) -> None:
    statements = []
    if flag is not None and not isinstance(flag, bool):
        statements.append(f"earthsearch:boa_offset_applied is {flag!r}, neither true nor false")
    if declared is not None and declared not in (0, BOA_ADD_OFFSET):
        statements.append(f"s2:boa_add_offset is {declared!r}, neither 0 nor -1000")
    if declared == BOA_ADD_OFFSET and flag is True:
        statements.append("s2:boa_add_offset is -1000 but earthsearch:boa_offset_applied says it is already applied")
    if baseline is not None and declared == BOA_ADD_OFFSET and baseline < _OFFSET_BASELINE:
        statements.append("s2:boa_add_offset is -1000 but the processing baseline is below 04.00")
    if baseline is not None and baseline >= _OFFSET_BASELINE and declared == 0 and flag is False:
        statements.append("baseline 04.00 or later, offset declared 0, and flagged as not applied")
    if statements:
        msg = (
            f"scene {scene}: {'; '.join(statements)}. Correct the Item, or set {Option.BOA} to applied or not-applied."
        )
        raise SceneError(msg, reason="boa-contradiction")
