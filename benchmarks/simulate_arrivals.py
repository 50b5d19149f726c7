"""When a day's Sentinel-2 scenes are published: by satellite passes, as much as there is land under each."""

from dataclasses import dataclass
from math import floor
from random import Random
from typing import Final

HOUR, DAY = 3600.0, 86_400.0
LAND: Final = (
    0.001, 0.007, 0.006, 0.016, 0.038, 0.045, 0.042, 0.082, 0.053, 0.019, 0.005, 0.041, 0.060, 0.105, 0.085, 0.056,
    0.044, 0.054, 0.060, 0.063, 0.054, 0.045, 0.011, 0.007,
)  # fmt: skip
"""Share of the land between 56 S and 83 N, which Sentinel-2 images, in 24 strips of 15 degrees from 180 W: counted in
roaring-landmask 0.11 (GSHHG), a point each tenth of a degree, weighed by the cosine of its latitude."""
SATELLITES: Final = 2
PASSES_A_DAY: Final = 14.3
"""Of one satellite: 143 orbits in ten days."""
LOCAL_HOUR: Final = 10.5
"""Mean solar time below the satellite on its way down."""
DELAY: Final = 5 * HOUR
"""From sensing to publication: that of a product that a user shows at forum.dataspace.copernicus.eu, 1322 (sensed
10:15:59, published 15:16:42). It only turns the clock."""
SPREAD: Final = HOUR / 2
"""In which the scenes of one pass are published; assumed."""
CATCHES_UP: Final = HOUR
"""In which an archive publishes what it held back while it stood still; assumed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Stall:
    """A time in which the archive publishes nothing."""

    start: float
    """Seconds from the beginning."""
    hours: float

    def moved(self, at: float, chance: Random) -> float:
        """Give when what was due at ``at`` is published."""
        stop = self.start + self.hours * HOUR
        return stop + chance.random() * CATCHES_UP if self.start <= at < stop else at


def arrivals(*, days: float, scenes_a_day: int, chance: Random, stall: Stall | None = None) -> list[float]:
    """Give the seconds, ascending, at which scenes land: just so many of them in all."""
    passes = [number * DAY / (SATELLITES * PASSES_A_DAY) for number in range(round(days * SATELLITES * PASSES_A_DAY))]
    weights = [land_below(at - DELAY) for at in passes]
    drawn = chance.choices(passes, weights, k=round(days * scenes_a_day))
    found = [at + chance.random() * SPREAD for at in drawn]
    return sorted(stall.moved(at, chance) if stall else at for at in found)


def land_below(at: float) -> float:
    """Give the share of land in the strip over which a satellite passes at that time of the day, UTC."""
    longitude = (LOCAL_HOUR - (at % DAY) / HOUR) * 15
    place = ((longitude + 180) % 360) / 15 - 0.5  # the middle of a strip is a whole number
    left, right = floor(place), floor(place) + 1
    return LAND[left % len(LAND)] * (right - place) + LAND[right % len(LAND)] * (place - left)
