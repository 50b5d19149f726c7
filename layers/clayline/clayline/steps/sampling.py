"""Sampling: a look at some of a scene's pixels before it is planned, as the model would get them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clayline.chips.chip import prepare, take_impossible, valid_mask
from clayline.model.manifest import ModelEntry
from clayline.ports import Headers, ObjectHead
from clayline.run.plan import PlannedBand
from clayline.scene.plausible import check_possible, implausible
from clayline.scene.source import SceneSource


def look(source: SceneSource, bands: Sequence[PlannedBand], entry: ModelEntry, headers: Headers) -> str | None:
    """Read some blocks of each band and say what is implausible of their numbers; None if nothing is.

    The same blocks each time. Raises SceneError (``unknown-units``, and what reading raises), TransientError.
    """
    files: dict[str, list[PlannedBand]] = {}
    for band in bands:
        files.setdefault(band.uri, []).append(band)
    values: dict[str, NDArray[Any]] = {}
    for uri, inside in files.items():
        first = inside[0]
        found = headers.source(ObjectHead(uri=uri, size=first.size, etag=first.etag, metadata={}))
        sample = headers.sample(found, first.header, [band.band for band in inside])
        for band, numbers in zip(inside, sample, strict=True):
            values[band.name] = _as_the_model_gets(source.name, band, numbers, entry)
    return implausible(values, source.product.bands, numbers=source.product.numbers, decibel=entry.decibel)


def _as_the_model_gets(scene: str, band: PlannedBand, numbers: NDArray[Any], entry: ModelEntry) -> NDArray[Any]:
    """Convert a band's numbers [n] and leave out those without a value. Raises SceneError (``unknown-units``)."""
    pixels = numbers.reshape(1, 1, -1)
    valid = valid_mask(pixels, [band.nodata])
    total = int(np.count_nonzero(valid))
    impossible = take_impossible(pixels, valid, [band.possible])
    check_possible(scene, band, pixels[0][impossible], of=total)
    made = prepare(
        pixels.copy(), valid, offsets=[band.offset], fill=entry.nodata_fill, dtype=entry.dtype,
        conversions=[band.conversion],
    )  # fmt: skip
    kept: NDArray[Any] = made[0][valid]
    return kept
