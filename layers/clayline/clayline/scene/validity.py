"""Which pixels of a scene hold a value, as far as its files say so beside their numbers: alpha bands, and masks."""

from collections.abc import Sequence

from clayline.run.plan import PlannedBand
from clayline.scene.describe import OpenedBand
from clayline.scene.item import BandAsset


def validity_of(bands: Sequence[OpenedBand], named: Sequence[BandAsset]) -> tuple[PlannedBand, ...]:
    """Give what says where the files of ``bands`` have values: of each file its alpha band and its own mask.

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
    return tuple(found.values())


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
