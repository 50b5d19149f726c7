"""Where several assets hold one band: the finest that fits the model's entry is taken, and the others are recorded."""

import dataclasses
from collections.abc import Callable

from clayline.errors import SceneError
from clayline.model.manifest import ModelEntry
from clayline.run.passed_over import PassedOver
from clayline.scene.item import BandAsset
from clayline.scene.source import SceneSource

_FITS = 0.9
"""Share of the entry's GSD from which a pixel is not too fine for it."""
_EQUAL = 1.01


def settle_rivals(source: SceneSource, entry: ModelEntry, pixel: Callable[[BandAsset], float]) -> SceneSource:
    """Take one asset of each band that the entry takes; ``pixel`` reads a file's pixel size where the Item says none.

    Raises SceneError (``ambiguous-band``), and what ``pixel`` raises.
    """
    bands, passed_over = [], list(source.passed_over)
    for band in source.bands:
        rivals = (band, *(rival for rival in source.rivals if rival.name == band.name))
        if len(rivals) == 1 or band.name not in entry.bands:
            bands.append(band)
            continue
        chosen = _finest(rivals, entry, pixel, source.name)
        bands.append(chosen)
        for rival in rivals:
            if rival is not chosen:
                size = f"of {rival.gsd:g} m " if rival.gsd else ""
                why = f"asset {chosen.key!r} is the finest that fits {entry.gsd:g} m; this one {size}is not"
                passed_over.append(PassedOver(band=band.name, asset=rival.key, why=why))
    return dataclasses.replace(source, bands=tuple(bands), passed_over=tuple(passed_over))


def _finest(
    rivals: tuple[BandAsset, ...], entry: ModelEntry, pixel: Callable[[BandAsset], float], scene: str
) -> BandAsset:
    declared = {rival.uri: rival.gsd for rival in rivals if rival.gsd is not None}
    best = rivals
    if len(declared) == len(rivals):
        best = _best(rivals, declared, entry.gsd)
    if len(best) > 1:
        best = _best(best, {rival.uri: pixel(rival) for rival in best}, entry.gsd)
    if len(best) > 1:
        keys = " and ".join(repr(rival.key) for rival in best)
        msg = (
            f"scene {scene}: band {best[0].name} is in the assets {keys}, whose pixels are of one size. Leave the one"
            " that is meant in the Item, or give the other the role overview."
        )
        raise SceneError(msg, reason="ambiguous-band")
    return best[0]


def _best(rivals: tuple[BandAsset, ...], sizes: dict[str, float], gsd: float) -> tuple[BandAsset, ...]:
    fitting = [rival for rival in rivals if sizes[rival.uri] >= _FITS * gsd] or list(rivals)
    finest = min(sizes[rival.uri] for rival in fitting)
    return tuple(rival for rival in fitting if sizes[rival.uri] <= _EQUAL * finest)
