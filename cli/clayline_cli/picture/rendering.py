"""How a scene's digital numbers become a picture.

Which pixels are looked at, and what is black and what is white in it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.enums import Resampling

from clayline.chips.chip import take_impossible, valid_mask
from clayline.chips.classes import Classification
from clayline.chips.cloud import SCL, find_cloud
from clayline.chips.cog import CogSource
from clayline.raster.cog import ReadSettings, open_cog

_SIDE = 900
"""Pixels of the picture's longer side, at most."""
_SAMPLES = 3
"""So many a side are read of a pixel of the picture. They are original numbers: averages could not be told from nodata
any more."""
_DARKEST, _BRIGHTEST = 1.0, 98.0
"""Percentiles of the ground that become black and the beginning of white."""
_SHOULDER = 0.8
"""Up to here brightness is linear; above, ever more is pressed together, so that a cloud keeps its shape and takes no
contrast."""
_TOP = 99.9
"""Percentile of all valid pixels above the shoulder that is full white."""
_GAMMA = 0.8
_ENOUGH = 0.01
"""Share of the valid pixels that suffices to judge a scene by."""
_TIMES_BRIGHTER = 4.0
_WHITE = 1.4
_BINS = 1024
_ZERO = {"landsat-c2l1": 5000.0, "landsat-c2l2-sr": 7273.0}
"""Digital number of reflectance 0: Collection 2 stores (DN * 2e-5 - 0.1) of Level 1 and (DN * 2.75e-5 - 0.2) of Level
2."""


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One band of a file."""

    path: Path
    number: int
    """Of the band in the file, from 1."""
    nodata: tuple[float, ...] = ()
    possible: tuple[float, float] | None = None
    """Least and most of its numbers; what is beyond has no value."""
    zero: float = 0.0
    """Digital number of reflectance 0, as far as it is known."""


@dataclass(frozen=True, kw_only=True)
class Look:
    """How closely a scene is looked at."""

    shape: tuple[int, int]
    """Height and width of the picture."""
    samples: int = _SAMPLES
    """Of a pixel of the picture, so many a side are read."""

    @property
    def size(self) -> tuple[int, int]:
        """Samples down and across."""
        return self.shape[0] * self.samples, self.shape[1] * self.samples


def zero_of(sensor: object, offset: float) -> float:
    """Give the digital number of reflectance 0 of a band to which ``offset`` has to be added."""
    return _ZERO.get(str(sensor), 0.0) - offset


def picture_shape(height: int, width: int, side: int = _SIDE) -> tuple[int, int]:
    """Give height and width of the picture of a scene, ``side`` pixels at most."""
    scale = max(1.0, max(height, width) / side)
    return max(1, round(height / scale)), max(1, round(width / scale))


def see(
    layers: Sequence[Layer], mask: Layer | None, look: Look, classification: Classification = SCL
) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.bool_]]:
    """Read red, green and blue, [h, w, 3] in the bands' own numbers.

    Where all are valid, [h, w]; where classes say cloud, [h, w].

    A pixel of the picture is the mean of its valid samples, and cloudy if any of its samples is. Raises SceneError,
    TransientError.
    """
    pixels = np.stack([_read(layer, look) for layer in layers])
    valid = valid_mask(pixels, [layer.nodata for layer in layers])
    take_impossible(pixels, valid, [layer.possible for layer in layers])
    weights = _blocks(valid, look).sum(axis=(1, 3), dtype=np.float32)
    means = [
        _blocks(np.where(valid, band, 0), look).sum(axis=(1, 3), dtype=np.float64) / np.maximum(weights, 1)
        for band in pixels
    ]
    cloudy = np.zeros(look.shape, np.bool_)
    if mask:
        cloudy = _blocks(find_cloud(_read(mask, look), classification).cloudy, look).any(axis=(1, 3))
    return np.stack(means, axis=-1).astype(np.float32), weights > 0, cloudy


def _read(layer: Layer, look: Look) -> NDArray[Any]:
    source = CogSource(path=str(layer.path), uri=str(layer.path), size=layer.path.stat().st_size)
    with open_cog(source, ReadSettings()) as opened:
        pixels = np.asarray(opened.dataset.read(layer.number, out_shape=look.size, resampling=Resampling.nearest))
        return pixels[::-1] if opened.dataset.transform.e > 0 else pixels


def _blocks(samples: NDArray[Any], look: Look) -> NDArray[Any]:
    return samples.reshape(look.shape[0], look.samples, look.shape[1], look.samples)


def stretch(
    seen: NDArray[np.float32], valid: NDArray[np.bool_], cloudy: NDArray[np.bool_], zeros: Sequence[float]
) -> NDArray[np.float32]:
    """Give red, green and blue [h, w, 3] from 0 to 1, such that the ground has contrast, whatever share of it clouds
    hide.

    Black and white are percentiles of the ground by band. Ground is what is ``valid``, not ``cloudy``, and no bright
    mode (``no_cloud``). Where next to nothing would be left to judge by, all valid pixels are the ground.
    """
    ground = valid & ~cloudy
    if ground.sum() < _ENOUGH * valid.sum():
        ground = valid
    pixels = seen[ground].astype(np.float64)
    if not len(pixels):
        return np.zeros(seen.shape, np.float32)
    pixels = no_cloud(pixels, zeros)
    low, high = np.percentile(pixels, (_DARKEST, _BRIGHTEST), axis=0).astype(np.float32)
    light = np.maximum((seen - low) / np.maximum(high - low, np.float32(1e-9)), 0.0)
    above = np.maximum(light - _SHOULDER, 0.0) / (1 - _SHOULDER)
    most = np.maximum(np.percentile(above[valid], _TOP, axis=0), 1.0).astype(np.float32)
    pressed = np.minimum(np.log1p(above) / np.log1p(most), 1.0)
    light = np.minimum(light, _SHOULDER) + (1 - _SHOULDER) * pressed
    return np.asarray(light**_GAMMA)


def no_cloud(pixels: NDArray[np.float64], zeros: Sequence[float]) -> NDArray[np.float64]:
    """Leave a bright mode out of red, green and blue [N, 3]: cloud or snow, where no classes tell.

    In blue, land and water are nearly alike, and cloud stands far above both. So Otsu's threshold parts the blue
    numbers in two. The upper part is left out if it is cloud by two signs, each right where the other may fail: its
    median is at least four times the lower part's in blue (reflectance, as far as its zero is known), and it is white,
    its medians in the three bands lie within 1.4 of one another (bare soil, sand and plants are not). What is left is
    parted again, since thin cloud hides behind thick. One percent of the pixels is kept.
    """
    zero = np.asarray(zeros, np.float64)
    left = pixels
    while True:
        blue = left[:, 2]
        above = blue > _otsu(blue)
        if not above.any() or np.count_nonzero(~above) < _ENOUGH * len(pixels):
            return left
        cloud, ground = np.median(left[above], axis=0) - zero, np.median(left[~above], axis=0) - zero
        white = cloud.min() > 0 and cloud.max() <= _WHITE * cloud.min()
        if not white or cloud[2] < _TIMES_BRIGHTER * ground[2]:
            return left
        left = left[~above]


def _otsu(values: NDArray[np.float64]) -> float:
    """Give the value that parts ``values`` [N] in two such that the variance between them is largest (Otsu 1979)."""
    counts, edges = np.histogram(values, bins=_BINS)
    centres = (edges[:-1] + edges[1:]) / 2
    below, total = np.cumsum(counts), np.cumsum(counts * centres)
    share = below / below[-1]
    with np.errstate(invalid="ignore", divide="ignore"):
        between = (total[-1] / below[-1] * share - total / below[-1]) ** 2 / (share * (1 - share))
    return float(edges[1 + int(np.argmax(np.nan_to_num(between, nan=0.0, posinf=0.0)))])
