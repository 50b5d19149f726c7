"""A scene's chips against a watch: which take part, how they score, which match (docs/watches.md)."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from clayline.dataset.scene_row import flat_boxes
from clayline.errors import DatasetError
from clayline.likeness.examples import Facts
from clayline.likeness.probe import Together
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
        """Its footprint as GeoJSON has it. Raises DatasetError for one that is none."""
        try:
            return geojson_of(self.footprint, decimals=DECIMALS)
        except ValueError as error:
            msg = f"the footprint of {self.uci} is damaged: {error}. `clayline verify` says more."
            raise DatasetError(msg) from error


@dataclass(kw_only=True, eq=False)
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

        A chip whose vector is not finite has no likeness: it is left out. Raises DatasetError for vectors that are none
        of the watch's model, and for a footprint that is none.
        """
        count = len(chips.uci)
        self.chips += count
        if not self._is_looked_at:
            self.left_out["instrument"] += count
            return
        there = np.ones(count, np.bool_)
        if self._region is not None:
            there = np.zeros(count, np.bool_)
            there[_meeting(self._region, chips.footprints)] = True
            self.left_out["box"] += int((~there).sum())
        kept = np.flatnonzero(there)
        traits = Traits(valid=chips.traits.valid[kept], cloud=chips.traits.cloud[kept], loss=chips.traits.loss[kept])
        taken, reasons = self.watch.filters.judge(traits)
        self.left_out.update(reasons)
        kept = kept[taken]
        with np.errstate(invalid="ignore", over="ignore"):  # of a vector that is not finite the score is not either
            scores = self.probe.scores(chips.vectors[kept]) if scores is None else scores[kept]
        finite = np.isfinite(scores)
        if not finite.all():
            self.left_out["not-finite"] += int((~finite).sum())
            kept, scores = kept[finite], scores[finite]
        self.scored += len(kept)
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


def tallied(
    watches: Sequence[Watch], instrument: str, parts: Iterable[Chips]
) -> tuple[list[Tally], list[DatasetError]]:
    """Hold a scene's chips against watches of its model; gives what each found, and what is wrong with the others.

    A watch that is damaged keeps no other from being answered. Raises what ``parts`` raises.
    """
    tallies = [Tally(watch=watch, instrument=instrument) for watch in watches]
    damaged: list[DatasetError] = []
    together: Together | None = None
    for chips in parts:
        if together is None:
            fitting = [tally for tally in tallies if tally.probe.centre.dimensions == chips.vectors.shape[1]]
            damaged += [_other_length(tally, chips) for tally in tallies if tally not in fitting]
            tallies = fitting
        if not tallies:
            break
        together = together or Together([tally.probe for tally in tallies])
        kept = []
        for tally, scores in zip(tallies, together.scores(chips.vectors), strict=True):
            try:
                tally.add(chips, scores)
            except DatasetError as error:
                damaged.append(error)
            else:
                kept.append(tally)
        if len(kept) < len(tallies):
            tallies, together = kept, Together([tally.probe for tally in kept])
    return tallies, damaged


def _meeting(region: Region, footprints: Sequence[bytes]) -> NDArray[np.intp]:
    """Give the numbers of the footprints that meet a region."""
    try:
        return np.unique(region.meeting(footprints)[0])
    except ValueError as error:
        msg = f"a footprint of the scene is damaged: {error}. `clayline verify` says more."
        raise DatasetError(msg) from error


def _other_length(tally: Tally, chips: Chips) -> DatasetError:
    watch = tally.watch
    return DatasetError(
        f"the watch {watch.name} v{watch.version:03d} is damaged, or the scene's file is: the watch's probe has"
        f" {tally.probe.centre.dimensions} dimensions, the scene's vectors have {chips.vectors.shape[1]}, and both say"
        f" that they are of {watch.probe.token}. Make the watch's next version (`clayline watch add`), or see what"
        " `clayline verify` says of the scene."
    )


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
