"""Why an answer rests on what it does, for people."""

from collections import Counter
from collections.abc import Sequence
from typing import Final

from clayline.api.explaining import MEANT, Explanation
from clayline.dataset.figures import told_asked
from clayline.errors import counted

_MOST: Final = 20
"""Files that are listed of each kind: JSON has all."""
_STAGES: Final = {
    "bits": "the bits of its chips",
    "candidates": "chips that the bits chose",
    "exact": "every chip that takes part",
    "examples": "examples",
    "compared": "chips that were compared",
    "calibration": "pairs to calibrate by",
}
_WHY: Final = {
    "model": "of another model",
    "place": "elsewhere",
    "time": "at another time",
    "instrument": "of another instrument",
    "no-scene": "none of its scenes is meant",
}


def explained(found: Explanation) -> str:
    """Give scenes, then files that were read, and those that were not, a line each."""
    over = {name: count for name, count in found.scenes.items() if name != MEANT}
    lines = [f"  scenes    {found.scenes.get(MEANT, 0):,} meant; passed over: {_counts(over)}"]
    lines.append(f"  read      {counted(len(found.read), 'file')}")
    lines += _listed([f"{each.key}: {_STAGES[each.stage]}, {told_asked(each.asked)}" for each in found.read])
    lines.append(
        f"  not read  {counted(len(found.passed_over), 'file')}: {_counts(Counter(found.passed_over.values()))}"
    )
    return "\n".join(lines + _listed([f"{key}: {_WHY[why]}" for key, why in found.passed_over.items()]))


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{counts[name]:,} {said}" for name, said in _WHY.items() if counts.get(name)) or "none"


def _listed(lines: Sequence[str]) -> list[str]:
    more = [f"... and {len(lines) - _MOST:,} more; --json has all"] if len(lines) > _MOST else []
    return [f"    {line}" for line in (*lines[:_MOST], *more)]
