"""How often a watch would have called: its chips' scores, scene by scene (docs/watches.md, Test)."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from math import ceil, floor
from typing import Final

import numpy as np
from numpy.typing import NDArray

from clayline.likeness.watch import quantiles

AT_MOST: Final = 0.05
"""Share of scenes that a proposed threshold lets call."""
LEAST_SCENES: Final = 20
"""Under which a threshold is no more than a first guess: of fewer a twentieth is not one scene."""

_DECIMALS: Final = 4
"""Of a threshold that is proposed, if they are enough."""
_MOST_DECIMALS: Final = 9
"""Enough to tell two float32 from each other."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SceneScores:
    """What took part of one scene."""

    scene: str
    start: datetime
    scores: NDArray[np.float32]
    """[n], in no order."""
    best: str | None
    """Identifier of the best chip; None where none took part."""


@dataclass(frozen=True, kw_only=True)
class Rehearsal:
    """A dataset's scenes under one watch."""

    scenes: Sequence[SceneScores]
    left_out: dict[str, int]
    """Chips by reason."""
    at_most: float = AT_MOST

    @property
    def looked_at(self) -> list[SceneScores]:
        """Scenes of which a chip took part."""
        return [each for each in self.scenes if len(each.scores)]

    @property
    def scored(self) -> int:
        """Chips that took part."""
        return sum(len(each.scores) for each in self.scenes)

    @property
    def quantiles(self) -> dict[str, float]:
        """Of all scores."""
        found = [each.scores for each in self.looked_at]
        return quantiles(np.concatenate(found)) if found else {}

    @property
    def scenes_needed(self) -> int:
        """How many scenes a proposal should stand on: so many that the share ``at_most`` is one scene, and 20."""
        return max(LEAST_SCENES, ceil(1 / self.at_most) if self.at_most else 0)

    @property
    def few_scenes(self) -> bool:
        """Whether it stands on fewer."""
        return len(self.looked_at) < self.scenes_needed

    def calls(self, threshold: float) -> dict[str, int]:
        """Give how many chips match by scene, for the scenes that would have called."""
        counted = {each.scene: int((each.scores >= threshold).sum()) for each in self.looked_at}
        return {scene: count for scene, count in counted.items() if count}

    def months(self, threshold: float) -> dict[str, tuple[int, int]]:
        """Give by month, ``2024-05``: scenes that would have called, and scenes that were looked at."""
        calling, of_month, called = self.calls(threshold), Counter[str](), Counter[str]()
        for each in self.looked_at:
            month = f"{each.start:%Y-%m}"
            of_month[month] += 1
            called[month] += each.scene in calling
        return {month: (called[month], of_month[month]) for month in sorted(of_month)}

    def proposed(self) -> float | None:
        """Propose a threshold: the least at which no more than the share ``at_most`` of the scenes call, though one
        may. None where no chip took part.

        It lies between the best score of the last scene that calls and of the first that does not: in the middle,
        rounded up to four decimals, or to as many as it takes to stay above the latter. Scenes of one best score call
        together, or not at all: where that is the greatest of all, more than the share call.
        """
        best = sorted((each.scores.max() for each in self.looked_at), reverse=True)
        if not best:
            return None
        calling = max(1, int(self.at_most * len(best)))
        while 0 < calling < len(best) and best[calling - 1] == best[calling]:
            calling -= 1
        calling = calling or best.count(best[0])
        if calling >= len(best):
            return max(-1.0, floor(best[-1] * 10**_DECIMALS) / 10**_DECIMALS)
        return _between(best[calling], best[calling - 1])


def _between(low: np.float32, high: np.float32) -> float:
    """Give the middle, rounded up to as few decimals as keep it between the two, four or more.

    Scores are float32, and so is what they are compared to; of neighbours it is the higher one.
    """
    middle = (float(low) + float(high)) / 2
    for decimals in range(_DECIMALS, _MOST_DECIMALS + 1):
        found = float(ceil(middle * 10**decimals) / 10**decimals)
        if low < np.float32(found) and found < high:
            return found
    return float(str(high))  # the shortest text that is this score


def threshold_text(threshold: float) -> str:
    """Give a threshold as it can be typed in again: four decimals, or all that it has."""
    short = f"{threshold:.{_DECIMALS}f}"
    return short if float(short) == threshold else repr(threshold)
