"""How often a watch would have called: its chips' scores, scene by scene (docs/watches.md, Test)."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from math import ceil
from typing import Final

import numpy as np
from numpy.typing import NDArray

from clayline.likeness.watch import quantiles

AT_MOST: Final = 0.05
"""Share of scenes that a proposed threshold lets call."""
LEAST_SCENES: Final = 20
"""Under which a threshold is no more than a first guess: of fewer a twentieth is not one scene."""


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
        """Propose a threshold: the least, to four decimals, at which no more than the share ``at_most`` of the scenes
        call, though one may. None where no chip took part.

        Between the best score of the last scene that calls and of the first that does not it lies in the middle.
        """
        best = sorted((float(each.scores.max()) for each in self.looked_at), reverse=True)
        if not best:
            return None
        allowed = max(1, int(self.at_most * len(best)))
        if allowed >= len(best):
            return _down(best[-1])
        return _down((best[allowed - 1] + best[allowed]) / 2)


def _down(value: float) -> float:
    """Round so that what has this value still calls, and stay in -1 to 1."""
    return max(-1.0, min(1.0, float(np.floor(value * 10_000) / 10_000)))
