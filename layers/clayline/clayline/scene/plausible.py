"""Whether a scene's numbers look like those that the model was trained on.

Margins are wide: desert, snow, cloud and water pass, other units do not. What a model gets in other units gives vectors
that look like any others.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clayline.errors import SceneError
from clayline.place import Option
from clayline.run.plan import PlannedBand
from clayline.scene.sensor import Band, Numbers

DARKEST = 4
"""Too dark: in every band, 99.9 % of the pixels are under the sensor's mean divided by this, both counted from the
number of zero reflectance."""
FARTHEST = 8
"""Too far: in every band, the median is this many of the sensor's standard deviations off its mean, to one side."""
LEAST_PIXELS = 1000
"""Of a band; with fewer nothing is said."""
_NO_POWER = 1e-10
"""What the graph takes for power that is not positive, before it takes decibels."""


def implausible(
    values: Mapping[str, NDArray[Any]], bands: Sequence[Band], *, numbers: Numbers | None, decibel: bool
) -> str | None:
    """Say what is wrong with ``values``, each band's valid numbers as the model gets them; None if nothing is.

    ``bands`` have the sensor's means and deviations. ``decibel``: these are of decibels, and the values linear power.
    """
    known = {band.name: band for band in bands if band.name in values}
    if not known or any(len(values[name]) < LEAST_PIXELS for name in values):
        return None
    zero = 0.0
    if numbers is not None and numbers.quantity == "reflectance":
        scale, offset = numbers.model
        zero = float(-offset / scale)
    looks = [_Look(known[name], _in_units(values[name], decibel=decibel), zero) for name in known]
    for is_wrong, what in (
        (all(look.is_dark for look in looks) and not decibel, "far too small"),
        (all(look.deviations < -FARTHEST for look in looks), "far too small"),
        (all(look.deviations > FARTHEST for look in looks), "far too large"),
    ):
        if is_wrong:
            return f"{what} ({'; '.join(map(str, looks))})"
    return None


def check_possible(scene: str, band: PlannedBand, impossible: NDArray[Any], *, of: int) -> None:
    """Refuse a unit by which most of a band's ``of`` numbers are impossible, unless they are one number, which is fill.

    Raises SceneError (``unknown-units``).
    """
    if band.possible is None or 2 * len(impossible) <= of:
        return
    found, counts = np.unique(impossible, return_counts=True)
    if 2 * counts.max() >= len(impossible):
        return
    least, most = band.possible
    msg = (
        f"scene {scene}: band {band.name}: {len(impossible) / of:.0%} of its numbers that were looked at are none by"
        f" their unit (it makes {least:g} to {most:g} possible, they are {found[0]:g} to {found[-1]:g}). Correct scale,"
        " offset or unit in the Item (raster:bands) or in the GeoTIFF."
    )
    raise SceneError(msg, reason="unknown-units")


def told(scene: str, sensor: str, what: str) -> str:
    """Say it of a scene."""
    return (
        f"scene {scene}: its numbers do not look like {sensor}'s, they are {what}. If they are in other units, its"
        " embeddings mean nothing: let scale and offset in the Item or the file say so. Such scenes are refused with"
        f" {Option.IMPLAUSIBLE_UNITS} set to fail."
    )


class _Look:
    def __init__(self, band: Band, values: NDArray[np.float64], zero: float) -> None:
        self._band = band
        self._median, self._high = (float(number) for number in np.quantile(values, (0.5, 0.999)))
        reach = (band.mean - zero) / DARKEST
        self.is_dark = reach > 0 and self._high - zero < reach
        self.deviations = (self._median - band.mean) / band.std

    def __str__(self) -> str:
        return (
            f"{self._band.name}: median {self._median:.5g}, 99.9 % up to {self._high:.5g}, the sensor's mean"
            f" {self._band.mean:.5g}"
        )


def _in_units(values: NDArray[Any], *, decibel: bool) -> NDArray[np.float64]:
    wide = values.astype(np.float64)
    return 10 * np.log10(np.where(wide > 0, wide, _NO_POWER)) if decibel else wide
