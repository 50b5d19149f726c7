"""Chips that are made up, over all that a sensor's numbers can be.

Drawn afresh, or the same each time and the harshest there are.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from clayline.scene.acquisition import place_vector, time_vector

if TYPE_CHECKING:
    import numpy.typing as npt

    from clay.entry import Request
    from clay.sensor import BandSet

SEED: Final = 0
SQUARE: Final = 3
"""Pixels a side of the checkerboard's squares: out of step with patches."""
FAR: Final = 20
"""Standard deviations from the mean at which the range of a sensor without integers ends."""
_POWERS: Final = (0.0, 1e4)
"""The same for linear power: nodata, and 40 dB."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Chips:
    """What an entry takes, except that a decibel sensor's numbers are linear power here too."""

    pixels: npt.NDArray[Any]
    """[N, C, side, side] in the sensor's type."""
    time: npt.NDArray[np.float32]
    """[N, 4]."""
    latlon: npt.NDArray[np.float32]
    """[N, 4]."""

    @property
    def feed(self) -> dict[str, npt.NDArray[Any]]:
        """By the graphs' names."""
        return {"pixels": self.pixels, "time": self.time, "latlon": self.latlon}


def random_chips(bands: BandSet, *, chip_size: int, count: int, generator: np.random.Generator) -> Chips:
    """Draw chips that are, in turn, plausible (the training statistics, structured) and extreme (the whole range, flat
    parts).
    """
    shape = (len(bands.bands), chip_size, chip_size)
    pixels = np.stack([(_extreme if chip % 2 else _plausible)(bands, shape, generator) for chip in range(count)])
    moments = [
        datetime.fromisoformat(f"20{generator.integers(13, 26)}-{generator.integers(1, 13):02}-15T12:00Z")
        for _ in range(count)
    ]
    places = [(generator.uniform(-180, 180), generator.uniform(-85, 85)) for _ in range(count)]
    return Chips(
        pixels=pixels,
        time=np.array([time_vector(moment, hour="noon") for moment in moments], np.float32),
        latlon=np.array([place_vector(lon, lat, order="lonlat") for lon, lat in places], np.float32),
    )


def checkerboard(request: Request) -> Chips:
    """Give the harshest chip: the ends of the numbers' range side by side."""
    bands, size = request.selected, request.chip_size
    low, high = _ends(bands)
    rows, columns = np.indices((size, size)) // SQUARE
    base = random_chips(bands, chip_size=size, count=1, generator=np.random.default_rng(SEED))
    return replace(base, pixels=np.where((rows + columns) % 2, high, low).astype(bands.dtype)[np.newaxis])


def synthetic(request: Request) -> Chips:
    """Give four chips: as in training, all nodata, all at the range's upper end, the checkerboard."""
    bands, size = request.selected, request.chip_size
    base, board = (
        random_chips(bands, chip_size=size, count=1, generator=np.random.default_rng(SEED)),
        checkerboard(request),
    )
    shape = board.pixels.shape
    nodata = np.full(shape, bands.nodata_fill, bands.dtype)
    full = np.broadcast_to(_ends(bands)[1], shape).astype(bands.dtype)
    pixels = np.concatenate([base.pixels, nodata, full, board.pixels])
    return Chips(pixels=pixels, time=base.time.repeat(4, axis=0), latlon=base.latlon.repeat(4, axis=0))


def _ends(bands: BandSet) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Least and greatest number of each band, [C, 1, 1]."""
    mean, std = (np.array(each).reshape(-1, 1, 1) for each in (bands.mean, bands.std))
    if bands.decibel:
        low, high = _POWERS
    elif bands.dtype == "float32":
        return mean - FAR * std, mean + FAR * std
    else:
        low, high = 0, np.iinfo(bands.dtype).max
    return np.full_like(mean, low), np.full_like(mean, high)


def _plausible(bands: BandSet, shape: tuple[int, ...], generator: np.random.Generator) -> npt.NDArray[Any]:
    coarse = generator.normal(0, 1, (shape[0], shape[1] // 8, shape[2] // 8)).repeat(8, axis=1).repeat(8, axis=2)
    mean, std = (np.array(each).reshape(-1, 1, 1) for each in (bands.mean, bands.std))
    values = mean + std * (0.8 * coarse + 0.6 * generator.normal(0, 1, shape))
    return _typed(bands, 10 ** (values / 10) if bands.decibel else values)


def _extreme(bands: BandSet, shape: tuple[int, ...], generator: np.random.Generator) -> npt.NDArray[Any]:
    low, high = (-28672.0, 32767.0) if bands.dtype == "float32" else (0.0, float(np.iinfo(bands.dtype).max))
    values = generator.uniform(low, high, shape)
    if bands.decibel:
        low, high = -1.0, 1e4
        values = 10 ** generator.uniform(-12, 4, shape)
    half = shape[1] // 2
    values[:, :half, :half], values[:, half:, :half] = low, high
    values[:, :half, half : half + 8] = 0
    return _typed(bands, values)


def _typed(bands: BandSet, values: npt.NDArray[np.float64]) -> npt.NDArray[Any]:
    if bands.dtype == "float32":
        return values.astype(np.float32) if bands.decibel else np.rint(values).astype(np.float32)
    return np.clip(np.rint(values), 0, np.iinfo(bands.dtype).max).astype(bands.dtype)
