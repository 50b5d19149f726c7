"""Masks of a scene whose files are open: what says which pixels hold a value, and whether each can be used."""

from collections.abc import Sequence

import numpy as np

from clayline.errors import SceneError
from clayline.place import Option
from clayline.run.plan import PlannedBand, Thresholds
from clayline.run.receipt import SceneWarning
from clayline.scene.band_files import is_one_of_several
from clayline.scene.describe import OpenedBand
from clayline.scene.item import BandAsset
from clayline.scene.mask import find_band_mask
from clayline.scene.source import SceneSource


def check_classes(source: SceneSource, masks: Sequence[OpenedBand]) -> None:
    """Refuse masks whose numbers are no classes, or that are one of a file's bands and nobody says which.

    Raises SceneError (``unusable-mask``, ``ambiguous-mask``).
    """
    for mask in masks:
        if is_one_of_several(mask) and not _is_called_so(mask, source):
            msg = (
                f"scene {source.name}: its mask {mask.asset.name} is in {mask.called}, which has"
                f" {mask.header.band_count} bands, and the file does not say which of them it is. Deliver it as a file"
                " of one band."
            )
            raise SceneError(msg, reason="ambiguous-mask")
        if not np.issubdtype(np.dtype(mask.header.dtype), np.integer):
            msg = (
                f"scene {source.name}: its mask {mask.asset.name} is {mask.header.dtype}, and classes are whole"
                " numbers. Deliver the product's own mask, or take it out of the Item."
            )
            raise SceneError(msg, reason="unusable-mask")


def _is_called_so(mask: OpenedBand, source: SceneSource) -> bool:
    """Say whether a file of several bands describes the one that is read as a mask."""
    found = find_band_mask(mask.header.descriptions, source.product, scene=source.name)
    return found is not None and found.number == mask.asset.band


def cloud_warnings(source: SceneSource, thresholds: Thresholds) -> tuple[SceneWarning, ...]:
    """Say that a threshold of cloud was set and nothing says where clouds are."""
    if source.mask or thresholds.max_cloud_fraction >= 1:
        return ()
    known = ", ".join(mask.name for mask in source.product.masks)
    looked = f"neither a mask of its product ({known}) nor" if known else "no"
    message = (
        f"scene {source.name}: {looked} another one says where its clouds are, so that {Option.MAX_CLOUD_FRACTION}"
        " could not be applied: no chip was left out for cloud. Deliver the mask with the scene, as an asset of the"
        " Item or a band that is described so."
    )
    return (SceneWarning(reason="cloud-unknown", message=message),)


def validity_of(
    bands: Sequence[OpenedBand], named: Sequence[BandAsset], data_masks: Sequence[OpenedBand]
) -> tuple[PlannedBand, ...]:
    """Give what says where there are values: of each file of ``bands`` its alpha band and its own mask, and the
    Item's data masks.

    A band that the scene names (``named``) is what its name says, though GDAL marks the fourth of a file of bytes as
    alpha unless told otherwise: the near infrared of an aerial image.
    """
    known = {(asset.uri, asset.band) for asset in named}
    found: dict[tuple[str, int, int | None], PlannedBand] = {}
    for band in bands:
        header, uri = band.header, band.asset.uri
        if header.alpha is not None and (uri, header.alpha) not in known:
            found.setdefault((uri, header.alpha, None), _planned(band, "alpha", number=header.alpha))
        if header.mask is not None:
            number = 1 if header.mask.band_count == 1 else band.asset.band
            found.setdefault((uri, number, header.mask.directory), _planned(band, "mask", number=number))
    return (*found.values(), *(mask.planned(nodata=(), offset=0) for mask in data_masks))


def _planned(band: OpenedBand, kind: str, *, number: int) -> PlannedBand:
    mask = band.header.mask if kind == "mask" else None
    return PlannedBand(
        name=kind,
        uri=band.asset.uri,
        etag=band.head.etag,
        size=band.head.size,
        band=number,
        header=band.header.of_mask() if mask else band.header,
        nodata=(),
        offset=0,
        declared=band.asset.declared,
        directory=mask.directory if mask else None,
    )
