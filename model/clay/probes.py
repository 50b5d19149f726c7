"""Chips on which an export is tried before it is written: one like the training data, the ends of the numbers' range, and real pixels."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import rasterio
from rasterio.errors import RasterioError
from rasterio.windows import Window

from clay.chips import SEED, Chips, checkerboard, random_chips, synthetic
from clay.scene import BUNDLED
from clayline.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from clay.entry import Request


def probe_chips(requests: Sequence[Request], probe: Path | None) -> list[list[tuple[str, Chips]]]:
    """Give chips for each request, under ``synthetic`` and ``real``: few, since one of `large` takes seconds.

    The first request gets four made-up chips, every other one alone, the harshest. Two real ones go to the first that they fit: from
    ``probe``, a GeoTIFF with its bands in its order, or else from the bundled scene. Raises ModelError for a probe that fits none.
    """
    found = [[("synthetic", checkerboard(request) if number else synthetic(request))] for number, request in enumerate(requests)]
    number, files = _scene(requests, probe)
    if files:
        found[number].append(("real", _real(files, requests[number])))
    return found


def _scene(requests: Sequence[Request], probe: Path | None) -> tuple[int, list[tuple[Path, int]]]:
    """Give the number of the first request that the scene fits, and for each of its bands the file and the band's number in it."""
    if probe is None:
        for number, request in enumerate(requests):
            if request.sensor.name == BUNDLED.sensor and set(request.selected.names) <= set(BUNDLED.files):
                files = (BUNDLED.files[name] for name in request.selected.names)
                return number, [(BUNDLED.folder / file, band) for file, band in files]
        return 0, []
    try:
        with rasterio.open(probe, driver="GTiff") as source:
            count, kind = source.count, source.dtypes[0]
    except RasterioError as error:
        raise ModelError(f"the probe {probe} cannot be read as a GeoTIFF: {error}") from error
    for number, request in enumerate(requests):
        if count == len(request.selected.bands) and np.can_cast(kind, request.selected.dtype):
            return number, [(probe, band) for band in range(1, count + 1)]
    kinds = "; ".join(f"{request.sensor.name} takes {len(request.selected.bands)} of {request.selected.dtype}" for request in requests)
    raise ModelError(f"the probe {probe} has {count} bands of {kind}, none of the entries does: {kinds}")


def _real(files: list[tuple[Path, int]], request: Request) -> Chips:
    """Cut two chips, at the scene's middle and halfway from there to its corner."""
    size, bands = request.chip_size, request.selected
    cut = []
    for part in (2, 4):
        layers = []
        for file, band in files:
            with rasterio.open(file, driver="GTiff") as source:
                window = Window((source.width - size) // part, (source.height - size) // part, size, size)
                layers.append(source.read(band, window=window, boundless=True, fill_value=bands.nodata_fill))
        cut.append(np.stack(layers).astype(bands.dtype))
    base = random_chips(bands, chip_size=size, count=len(cut), generator=np.random.default_rng(SEED))
    return replace(base, pixels=np.stack(cut))
