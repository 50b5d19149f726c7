"""Sentinel-2's BOA offset.

Whether 1000 still has to be taken off the digital numbers, decided in a documented order and recorded.

From processing baseline 04.00 (2022-01-25) on, ESA adds 1000 to every DN, and Collection 1 has older scenes processed
anew with it. Some archives have taken it off again, some have not, and flags are sometimes wrong; undecided pixels
would shift every embedding without a trace, so what cannot be decided fails.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from fractions import Fraction

from clayline.errors import SceneError
from clayline.place import Option
from clayline.scene.boa_statements import BOA_ADD_OFFSET, OFFSET_BASELINE, About, Statement
from clayline.scene.declared_numbers import BOA_OFFSET, Scaling, near

BY_OPTION = "option"
_FIRST_OFFSET_DAY = datetime(2022, 1, 25, tzinfo=UTC)


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
    """``option``; the statement's place, e.g. ``s2:boa_add_offset``, ``id`` or ``the file's name``; or
    ``acquisition-date``."""
    explicit: bool = True
    """Whether it was said of these files: by the option, by an archive, or as an offset. Else it follows from a
    baseline or a date."""
    said: tuple[str, ...] = ()
    """Every statement, the one that decided among them."""


def decide_boa(*, scene: str, said: Sequence[Statement], acquired: datetime, override: BoaOverride) -> BoaDecision:
    """Decide in this order: option; whether an archive took the offset off; the declared offset; the processing
    baseline; and, where nothing is said at all, an acquisition before 2022-01-25.

    Raises SceneError: ``boa-contradiction`` where statements exclude each other; ``boa-unknown`` where one cannot be
    read, or what is said does not suffice.
    """
    offset, decided_by, explicit = _decide(scene, said, acquired, override)
    return BoaDecision(offset=offset, decided_by=decided_by, explicit=explicit, said=tuple(map(str, said)))


def boa_of_band(decision: BoaDecision, said: Scaling, *, scene: str, band: str, own_scale: Fraction) -> int:
    """Give the offset that is due for a band, 0 or -1000, checked against what is declared with its scale.

    Beside the product's own scale, a declared offset never decides; it contradicts what follows from a baseline or a
    date alone. Numbers of another scale were made from the product's, and it must be said whether the offset went with
    them. Raises SceneError (``boa-contradiction``, ``boa-unknown``).
    """
    if said.scale is None or decision.decided_by == BY_OPTION:
        return decision.offset
    is_due = said.offset is not None and near(said.offset, BOA_OFFSET)
    rescaled = not near(said.scale, own_scale)
    speaks = rescaled or (not decision.explicit and said.offset is not None and (is_due or said.offset == 0))
    if not speaks or is_due == bool(decision.offset):
        return decision.offset
    if rescaled and not is_due:
        raise _unknown(
            scene,
            f"band {band} is rescaled ({said.where}), the product had the BOA offset ({decision.decided_by}), and"
            " nothing says whether it was taken off",
        )
    decided = "-1000 is due" if decision.offset else "none is due"
    raise _contradiction(scene, [f"band {band}: {said.where}, but by {decision.decided_by} {decided}"])


def _decide(scene: str, said: Sequence[Statement], acquired: datetime, override: BoaOverride) -> tuple[int, str, bool]:
    if override is not BoaOverride.AUTO:
        return 0 if override is BoaOverride.APPLIED else BOA_ADD_OFFSET, BY_OPTION, True
    if unreadable := [one for one in said if one.value is None and not one.weak]:
        raise _unknown(scene, f"{_listed(unreadable)}, which is no {unreadable[0].about} of Sentinel-2's")
    _refuse_contradiction(scene, said)
    baseline, flag, declared = (_first(said, about) for about in (About.BASELINE, About.APPLIED, About.OFFSET))
    due = baseline is not None and _carries(baseline)
    if flag is not None and (flag.value or baseline is not None):
        return BOA_ADD_OFFSET if due and not flag.value else 0, flag.where, True
    if declared is not None and isinstance(declared.value, int):
        return declared.value, declared.where, True
    if baseline is not None:
        return BOA_ADD_OFFSET if due else 0, baseline.where, False
    if said:
        raise _unknown(scene, f"{_listed(said)}, and nothing says which processing baseline made it")
    if acquired < _FIRST_OFFSET_DAY:
        return 0, "acquisition-date", False
    raise _unknown(
        scene,
        "taken after 2022-01-25 and nothing says whether its digital numbers carry the BOA offset",
    )


def _first(said: Sequence[Statement], about: About) -> Statement | None:
    return next((one for one in said if one.about is about and one.value is not None), None)


def _carries(statement: Statement) -> bool:
    return isinstance(statement.value, tuple) and statement.value >= OFFSET_BASELINE


def _refuse_contradiction(scene: str, said: Sequence[Statement]) -> None:
    baselines, flags, offsets = (
        [one for one in said if one.about is about and one.value is not None]
        for about in (About.BASELINE, About.APPLIED, About.OFFSET)
    )
    with_offset = [one for one in baselines if _carries(one)]
    before = [one for one in baselines if not _carries(one)]
    applied, pending = [one for one in flags if one.value], [one for one in flags if not one.value]
    due, none = [one for one in offsets if one.value], [one for one in offsets if not one.value]
    excluded = (
        (with_offset, before),
        (applied, pending),
        (due, none),
        (due, applied),
        (due, before),
        (with_offset, none, pending),
    )
    against = [" but ".join(str(side[0]) for side in sides) for sides in excluded if all(sides)]
    if against:
        raise _contradiction(scene, against)


def _contradiction(scene: str, against: Sequence[str]) -> SceneError:
    msg = (
        f"scene {scene}: {'; '.join(against)}: both cannot be true of its BOA offset. Correct the Item, or set"
        f" {Option.BOA} to applied or not-applied."
    )
    return SceneError(msg, reason="boa-contradiction")


def _unknown(scene: str, why: str) -> SceneError:
    msg = (
        f'scene {scene}: {why}. Say so in an Item\'s s2:processing_baseline (as "05.00"), or set {Option.BOA} to'
        " applied or not-applied."
    )
    return SceneError(msg, reason="boa-unknown")


def _listed(said: Sequence[Statement]) -> str:
    return "; ".join(map(str, said))
