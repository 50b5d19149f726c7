"""From a job's pixels to chips.

What is valid, how digital numbers become model input, and what fraction of a chip is cloud.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clayline.chips.cloud import Cloud
from clayline.chips.conversion import ROWS_AT_A_TIME, Conversion, convert, hold
from clayline.chips.grid import ChipWindow
from clayline.chips.workers import WORKERS, each

KNOWN = 0.5
"""Share of a chip's valid pixels of which the mask must say something, for its cloud fraction to be known."""


def valid_mask(
    pixels: NDArray[Any], nodata: Sequence[Sequence[float]], masked: NDArray[np.bool_] | None = None
) -> NDArray[np.bool_]:
    """Say where every band of ``pixels`` [C, h, w] holds a value: none of its band's ``nodata`` values, for floats
    finite, and not ``masked`` [h, w] by what the files carry beside their bands.

    Gives [h, w].
    """
    valid = np.ones(pixels.shape[1:], np.bool_) if masked is None else ~masked
    for band, nones in zip(pixels, nodata, strict=True):
        if np.issubdtype(pixels.dtype, np.floating):
            valid &= np.isfinite(band)
        for none in nones:
            if (value := _as_value(none, pixels.dtype)) is not None:
                valid &= band != value
    return valid


def take_impossible(
    pixels: NDArray[Any], valid: NDArray[np.bool_], possible: Sequence[tuple[float, float] | None]
) -> NDArray[np.bool_]:
    """Take out of ``valid`` [h, w] the pixels of which some band of ``pixels`` [C, h, w] is outside its ``possible``
    numbers (least and most, both included; None: any may be). Gives where that was.
    """
    outside = np.zeros(valid.shape, np.bool_)
    for band, limits in zip(pixels, possible, strict=True):
        if limits is not None:
            outside |= (band < limits[0]) | (band > limits[1])
    outside &= valid
    valid &= ~outside
    return outside


def prepare(
    pixels: NDArray[Any],
    valid: NDArray[np.bool_],
    *,
    offsets: Sequence[float] | None,
    fill: float,
    dtype: str,
    conversions: Sequence[Conversion | None] | None = None,
    clamped: NDArray[np.bool_] | None = None,
) -> NDArray[Any]:
    """Make model input [C, h, w] of ``dtype`` from digital numbers [C, h, w] and their mask [h, w].

    ``pixels`` is used up.

    Where valid and a band has a conversion: what that gives (``convert``), the offset added. Where valid and it has
    none: DN + offset, at least 1 (the raw nodata 0 must not be met again), rounded and clipped to what ``dtype``
    holds; an offset of 0 changes nothing. Where not valid: ``fill``. Valid pixels of which a band was beyond what it
    may be, and became that limit, are marked in ``clamped`` [h, w]. Works in place if the type stays, so ``pixels``
    must not be used again. Raises ValueError if ``fill`` is not a value of ``dtype``, or an offset is not whole for
    whole-numbered pixels.
    """
    target = np.dtype(dtype)
    filler = _as_value(fill, target)
    if filler is None:
        msg = f"fill {fill} is not a value of {dtype}"
        raise ValueError(msg)
    shifts = [0.0] * len(pixels) if offsets is None else list(offsets)
    if np.issubdtype(pixels.dtype, np.integer) and any(shift % 1 for shift in shifts):
        msg = f"offsets {shifts} are not whole, the pixels are {pixels.dtype}"
        raise ValueError(msg)
    in_place, invalid = pixels.dtype == target, ~valid
    reach = np.iinfo(target).max if np.issubdtype(target, np.integer) else -1
    result = pixels if in_place else np.empty(pixels.shape, target)
    steps = [None] * len(pixels) if conversions is None else list(conversions)
    marks = np.zeros(valid.shape, np.bool_) if clamped is None else clamped
    for band, out, shift, conversion in zip(pixels, result, shifts, steps, strict=True):
        if conversion is not None:
            convert(band, out, valid, conversion, offset=int(shift), clamped=marks)
        elif in_place and abs(shift) <= reach:
            _shift_in_place(band, int(shift), marks)
        elif not in_place or shift:
            _shift_and_cast(band, out, valid, shift, marks)
        np.copyto(out, filler, where=invalid)
    marks &= valid
    return result


def cut(
    pixels: NDArray[Any],
    windows: Sequence[ChipWindow],
    *,
    origin: tuple[int, int],
    fill: float,
    room: NDArray[Any] | None = None,
) -> NDArray[Any]:
    """Copy chips [N, C, size, size] out of a job's pixels [C, h, w], whose upper-left pixel is ``origin`` (row, col) of
    the scene.

    Where a window reaches over the scene's edges, ``fill`` stands. The chips lie in ``room`` [at least N, C, size,
    size] of the pixels' type, if that is given: memory that is touched first costs as much as a third of the copy.
    """
    size = windows[0].size
    chips = np.empty((len(windows), len(pixels), size, size), pixels.dtype) if room is None else room[: len(windows)]

    def copy(first: int) -> None:
        for chip, window in zip(chips[first::WORKERS], windows[first::WORKERS], strict=True):
            rows, cols = _within(window, origin)
            part = pixels[:, rows, cols]
            if part.shape != chip.shape:
                chip[...] = fill
            down, right = rows.start - (window.row - origin[0]), cols.start - (window.col - origin[1])
            chip[:, down : down + part.shape[1], right : right + part.shape[2]] = part

    each(copy, range(WORKERS))
    return chips


def fractions(
    valid: NDArray[np.bool_], cloud: Cloud | None, windows: Sequence[ChipWindow], *, origin: tuple[int, int]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Give each window's valid fraction and cloud fraction, both float32 [N].

    ``valid`` and ``cloud`` [h, w] start at pixel ``origin`` (row, col) of the scene. The valid fraction is of all size
    x size pixels: padding is not valid. The cloud fraction is the cloudy share of the valid pixels whose class is
    known; NaN where ``cloud`` is None, where that is less than half of the valid pixels, and for a chip without a valid
    pixel.
    """
    valid_fraction = np.zeros(len(windows), np.float32)
    cloud_fraction = np.full(len(windows), np.nan, np.float32)
    for number, window in enumerate(windows):
        part = _within(window, origin)
        count = np.count_nonzero(valid[part])
        valid_fraction[number] = count / window.size**2
        if cloud is not None and count:
            known = np.count_nonzero(cloud.known[part] & valid[part])
            if known >= KNOWN * count:
                cloud_fraction[number] = np.count_nonzero(cloud.cloudy[part] & valid[part]) / known
    return valid_fraction, cloud_fraction


def touched(marked: NDArray[np.bool_] | None, windows: Sequence[ChipWindow], *, origin: tuple[int, int]) -> list[bool]:
    """Say of each window whether it holds a pixel of ``marked`` [h, w], which starts at pixel ``origin`` of the
    scene.
    """
    return [marked is not None and bool(marked[_within(window, origin)].any()) for window in windows]


def count_in(marked: NDArray[np.bool_], windows: Sequence[ChipWindow], *, origin: tuple[int, int]) -> int:
    """Count the pixels of ``marked`` [h, w], which starts at pixel ``origin`` of the scene, in all windows together."""
    return sum(int(np.count_nonzero(marked[_within(window, origin)])) for window in windows)


def _within(window: ChipWindow, origin: tuple[int, int]) -> tuple[slice, slice]:
    """Give the part of a job's pixels that a window covers. Only a window over the scene's edge starts before them."""
    row, col = window.row - origin[0], window.col - origin[1]
    return slice(max(0, row), row + window.size), slice(max(0, col), col + window.size)


def _as_value(value: float, dtype: np.dtype[Any]) -> Any:  # noqa: ANN401 - a scalar of whatever dtype is asked for
    """Give ``value`` as a scalar of ``dtype``, None if no pixel of that type can hold it."""
    if np.issubdtype(dtype, np.integer):
        info = np.iinfo(dtype)
        return (
            dtype.type(int(value))
            if np.isfinite(value) and value == int(value) and info.min <= value <= info.max
            else None
        )
    largest = float(np.finfo(dtype).max)
    if np.isfinite(value) and abs(value) > largest:
        # Files write the type's extreme in decimal, rounded up: -3.40282346639e+38 means float32's lowest value.
        return dtype.type(np.copysign(largest, value)) if np.isclose(abs(value), largest, rtol=1e-6) else None
    return dtype.type(value)


def _shift_in_place(band: NDArray[Any], shift: int, clamped: NDArray[np.bool_]) -> None:
    """Make max(DN + shift, 1) without a wider copy: bound first, add after, so that nothing can wrap.

    ``shift`` is a value of the band's type, or its negative: a larger one would have to be added in two steps.
    """
    highest = int(np.iinfo(band.dtype).max)
    if shift < 0:
        least = min(1 - shift, highest)
        clamped |= band < least
        np.maximum(band, least, out=band)
        band -= band.dtype.type(min(-shift, highest - 1))
    elif shift > 0:
        clamped |= band > highest - shift
        np.minimum(band, highest - shift, out=band)
        band += band.dtype.type(shift)
        np.maximum(band, 1, out=band)


def _shift_and_cast(
    band: NDArray[Any], out: NDArray[Any], valid: NDArray[np.bool_], shift: float, clamped: NDArray[np.bool_]
) -> None:
    """Make max(DN + shift, 1) in ``out``'s type through float64, some rows at a time so that the wide copy stays
    small.
    """
    for top in range(0, len(band), ROWS_AT_A_TIME):
        rows = slice(top, top + ROWS_AT_A_TIME)
        wide = np.where(valid[rows], band[rows], 0).astype(np.float64)
        wide += shift
        if np.issubdtype(out.dtype, np.integer):
            np.rint(wide, out=wide)
        hold(wide, out[rows], clamped[rows], low=1 if shift else None)
