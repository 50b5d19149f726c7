"""Chips on which an export is tried before it is written.

One like the training data, the ends of the numbers' range, and real pixels.
"""

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
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from clay.entry import Request


def probe_chips(requests: Sequence[Request], probes: Sequence[Path] = ()) -> list[list[tuple[str, Chips]]]:
    """Give chips for each request, under ``synthetic`` and ``real``: few, since one of `large` takes seconds.

    The first request gets four made-up chips, every other one alone, the harshest. Two real ones come from a probe, a
    GeoTIFF with the request's bands in its order, each of which goes to the first request that it fits and that has
    none; else from the bundled scene, where its sensor and bands fit. A request that none of them fits has no ``real``.
    Raises ModelError for a probe that fits none.
    """
    found = [
        [("synthetic", checkerboard(request) if number else synthetic(request))]
        for number, request in enumerate(requests)
    ]
    scenes = {number: files for number, request in enumerate(requests) if (files := _bundled(request))}
    probed: dict[int, list[tuple[Path, int]]] = {}
    for probe in probes:
        number, bands = _fitting(
            {number: request for number, request in enumerate(requests) if number not in probed}, probe
        )
        probed[number] = [(probe, band) for band in range(1, bands + 1)]
    for number, files in (scenes | probed).items():
        found[number].append(("real", _real(files, requests[number])))
    return found


def _bundled(request: Request) -> list[tuple[Path, int]]:
    """Give for each of the request's bands the bundled scene's file and the band's number in it.

    Nothing where it does not fit.
    """
    if request.sensor.name != BUNDLED.sensor or not set(request.selected.names) <= set(BUNDLED.files):
        return []
    return [(BUNDLED.folder / file, band) for file, band in (BUNDLED.files[name] for name in request.selected.names)]


def _fitting(requests: Mapping[int, Request], probe: Path) -> tuple[int, int]:
    """Give the number of the first request that the probe fits, and how many bands that is.

    Raises ModelError where there is none.
    """
    try:
        with rasterio.open(probe, driver="GTiff") as source:
            count, kind = source.count, source.dtypes[0]
    except RasterioError as error:
        raise ModelError(f"the probe {probe} cannot be read as a GeoTIFF: {error}") from error
    for number, request in requests.items():
        if count == len(request.selected.bands) and np.can_cast(kind, request.selected.dtype):
            return number, count
    takes = [
        f"{request.sensor.name} takes {len(request.selected.bands)} of {request.selected.dtype}"
        for request in requests.values()
    ]
    kinds = "; ".join(takes) or "each has its probe"
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
