"""Which numbers look like a sensor's: no real scene in its own units is told off, other units are."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from clayline.place import Place, words
from clayline.scene.plausible import LEAST_PIXELS, implausible, told
from clayline.scene.sensor import Numbers
from clayline.scene.sensor_file import built_in

RGB = ("red", "green", "blue")
USGS = Numbers(types=("uint16",), quantity="reflectance", scale=2.75e-05, offset=-0.2)
S2 = Numbers(types=("uint16",), quantity="reflectance", scale=0.0001)


def of_reflectance(low: float, high: float, bands: tuple[str, ...] = RGB) -> dict[str, NDArray[Any]]:
    """Make pixels evenly spread over reflectances, as Sentinel-2's numbers."""
    spread = np.linspace(low, high, 5000) * 10_000
    return {band: spread.round().astype(np.uint16) for band in bands}


def said(
    values: dict[str, NDArray[Any]], *, sensor: str = "sentinel-2-l2a", numbers: Numbers | None = S2,
    decibel: bool = False,
) -> str | None:  # fmt: skip
    return implausible(values, built_in()[sensor].bands, numbers=numbers, decibel=decibel)


NATURAL = {
    "clear ocean": {"blue": (0.02, 0.06), "green": (0.01, 0.04), "red": (0.001, 0.02)},
    "cloud": {"blue": (0.7, 1.6), "green": (0.7, 1.6), "red": (0.7, 1.6)},
    "snow": {"blue": (0.9, 1.1), "green": (0.9, 1.1), "red": (0.85, 1.05)},
    "desert": {"blue": (0.15, 0.3), "green": (0.25, 0.4), "red": (0.35, 0.5)},
    "forest": {"blue": (0.01, 0.04), "green": (0.03, 0.06), "red": (0.01, 0.05)},
}


@pytest.mark.parametrize("name", NATURAL)
def test_what_the_ground_can_look_like_is_plausible(name: str) -> None:
    values = {band: of_reflectance(*span)["red"] for band, span in NATURAL[name].items()}
    assert said(values) is None


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda values: np.maximum(values / 10_000, 1), "far too small"),  # reflectances of 0 to 1, rounded
        (lambda values: values * 255 / 10_000, "far too small"),  # stretched to a byte
        (lambda values: values * 10.0, "far too large"),
    ],
)
def test_other_units_are_not(change: Callable[[Any], NDArray[Any]], what: str) -> None:
    values = {band: change(pixels) for band, pixels in of_reflectance(0.02, 0.5).items()}
    message = said(values)
    assert message is not None
    assert message.startswith(what)
    assert "the sensor's mean 1552" in message
    assert "the stack's parameter ImplausibleUnits" in words(told("S", "sentinel-2-l2a", message), Place.AWS)


def test_one_band_as_it_should_be_is_enough() -> None:
    values = {band: pixels / 10_000 for band, pixels in of_reflectance(0.02, 0.5).items()}
    assert said({**values, "blue": of_reflectance(0.02, 0.5)["blue"]}) is None


def test_few_pixels_say_nothing() -> None:
    few = {band: np.ones(LEAST_PIXELS - 1) for band in RGB}
    assert said(few) is None
    assert said({band: np.ones(LEAST_PIXELS) for band in RGB}) is not None


def test_numbers_of_hls_are_too_small_for_usgs() -> None:
    """They begin at 7273, a reflectance of zero: a reflectance of 0.3 as 3000 would be one of -0.12."""
    hls = of_reflectance(0.01, 0.5)
    assert said(hls, sensor="landsat-c2l2-sr", numbers=USGS) is not None
    own = {band: (pixels / 10_000 + 0.2) / 2.75e-05 for band, pixels in hls.items()}
    assert said(own, sensor="landsat-c2l2-sr", numbers=USGS) is None


def test_decibels_taken_for_power() -> None:
    power = np.random.default_rng(2).exponential(0.1, 5000)
    assert said({"vv": power, "vh": power / 5}, sensor="sentinel-1-rtc", numbers=None, decibel=True) is None
    decibels = 10 * np.log10(power)
    found = said({"vv": decibels, "vh": decibels}, sensor="sentinel-1-rtc", numbers=None, decibel=True)
    assert found is not None
