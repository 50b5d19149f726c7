"""A scene's chips against a watch: which take part, how they score, which match (docs/watches.md)."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from clayline.dataset.scene_row import flat_boxes
from clayline.errors import DatasetError
from clayline.likeness.examples import Facts
from clayline.likeness.taking_part import Traits
from clayline.likeness.watch import Watch, quantiles
from clayline.outputs.outline import geojson_of
from clayline.outputs.region import Region

type LeftOut = Mapping[str, Sequence[str]]
"""Identifiers by the reason for which they are left out."""
DECIMALS: Final = 7
"""Of a footprint's degrees that is told: a centimetre."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Chips:
    """n chips of a scene, as its file has them."""

    uci: Sequence[str]
    cell: Sequence[str | None]
    index: NDArray[np.int64]
    """[n] windows in the scene's grid."""
    vectors: NDArray[np.float32]
    """[n, D]."""
    traits: Traits
    footprints: Sequence[bytes]
    """[n] well-known binary, degrees."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Matched:
    """A chip that matched."""

    uci: str
    cell: str | None
    index: int
    score: float
    footprint: bytes
    """Well-known binary, degrees."""

    @property
    def geometry(self) -> dict[str, Any]:
        """Its footprint as GeoJSON has it."""
        return geojson_of(self.footprint, decimals=DECIMALS)


@dataclass(kw_only=True)
class Tally:
    """One watch, and what it found of a scene so far."""

    watch: Watch
    instrument: str
    """Of the scene."""
    chips: int = 0
    scored: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    """By reason, the first that holds."""
    best: tuple[float, str] | None = None
    """Score and identifier of the chip that scored highest, be it a match or not."""
    _found: list[Matched] = field(default_factory=list)
    _scores: list[NDArray[np.float32]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Make ready what every part of the scene is held against."""
        place = self.watch.place
        self.probe = self.watch.ready()
        self._is_looked_at = self.watch.takes(self.instrument)
        self._region = None if place is None else Region.of_boxes(flat_boxes(place))

    def add(self, chips: Chips, scores: NDArray[np.float32] | None = None) -> None:
        """Score a part of the scene, or take the ``scores`` [n] that its chips have by the probe.

        Raises DatasetError for vectors that are none of the watch's model.
        """
        count = len(chips.uci)
        self.chips += count
        if not self._is_looked_at:
            self.left_out["instrument"] += count
            return
        there = np.ones(count, np.bool_)
        if self._region is not None:
            there = np.zeros(count, np.bool_)
            there[np.unique(self._region.meeting(chips.footprints)[0])] = True
            self.left_out["box"] += int((~there).sum())
        kept = np.flatnonzero(there)
        traits = Traits(valid=chips.traits.valid[kept], cloud=chips.traits.cloud[kept], loss=chips.traits.loss[kept])
        taken, reasons = self.watch.filters.judge(traits)
        self.left_out.update(reasons)
        kept = kept[taken]
        self.scored += len(kept)
        scores = self.probe.scores(chips.vectors[kept]) if scores is None else scores[kept]
        if not np.isfinite(scores).all():
            wrong = chips.uci[int(kept[int(np.argmin(np.isfinite(scores)))])]
            msg = f"{wrong} has a vector that is not finite, so its likeness is no number. `clayline verify` says more."
            raise DatasetError(msg)
        self._scores.append(scores)
        if len(scores) and (self.best is None or float(scores.max()) > self.best[0]):
            self.best = (float(scores.max()), chips.uci[int(kept[int(scores.argmax())])])
        if self.watch.threshold is None:
            return
        for number in np.flatnonzero(scores >= self.watch.threshold).tolist():
            at = int(kept[number])
            self._found.append(
                Matched(
                    uci=chips.uci[at],
                    cell=chips.cell[at],
                    index=int(chips.index[at]),
                    score=round(float(scores[number]), 6),
                    footprint=chips.footprints[at],
                )
            )

    @property
    def matches(self) -> list[Matched]:
        """Those that matched, the best first; equals by identifier."""
        return sorted(self._found, key=lambda each: (-each.score, each.uci))

    @property
    def scores(self) -> NDArray[np.float32]:
        """Of all that took part [scored]."""
        return np.concatenate(self._scores) if self._scores else np.empty(0, np.float32)

    @property
    def quantiles(self) -> dict[str, float]:
        """Of the scores; empty where no chip took part."""
        return quantiles(self.scores)

    @property
    def reasons(self) -> dict[str, int]:
        """Why chips were left out."""
        return {name: count for name, count in sorted(self.left_out.items()) if count}


def examples_left_out(watch: Watch, examples: Mapping[str, Facts]) -> LeftOut:
    """Give those of its own examples that a watch would leave out of a scene: ``box``, and of all, those outside of the
    box too, the first of the filters that holds.
    """
    found: dict[str, list[str]] = {}
    names = list(examples)
    if watch.place is not None and names:
        footprints = [examples[name].footprint for name in names]
        there = set(Region.of_boxes(flat_boxes(watch.place)).meeting(footprints)[0].tolist())
        if outside := [name for at, name in enumerate(names) if at not in there]:
            found["box"] = outside
    for name, facts in examples.items():
        valid, cloud, loss = (np.array([each], np.float32) for each in (facts.valid, facts.cloud, facts.loss))
        for reason in watch.filters.judge(Traits(valid=valid, cloud=cloud, loss=loss))[1]:
            found.setdefault(reason, []).append(name)
    return found
