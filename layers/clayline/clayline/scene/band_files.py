"""Bands and the files that hold them: what a file says must be what it is taken for, and files must fit together."""

from collections.abc import Sequence

from clayline.errors import SceneError
from clayline.scene.declared import is_size
from clayline.scene.describe import OpenedBand
from clayline.scene.source import SceneSource

_AS_WRITERS_DO = ("red", "green", "blue")
"""Colours that writers set without being asked: in this order they say nothing against names."""


def check_bands(source: SceneSource, bands: Sequence[OpenedBand]) -> None:
    """Refuse bands that are two names of one, or others by what their files say, or do not lie on one plane.

    Raises SceneError (``contradictory-band``, ``ambiguous-band``, ``mixed-crs``, ``not-numbers``).
    """
    _check_descriptions(source, bands)
    _check_colours(source, bands)
    _check_sizes(source, bands)
    for band in bands:
        if is_one_of_several(band) and source.product.band(_described(band) or "") is None:
            msg = (
                f"scene {source.name}: {band.called} has {band.header.band_count} bands, and neither Item nor file says"
                f" which of them is {band.asset.name}. List the file's bands in the Item (bands, or eo:bands), or"
                " describe them in the file."
            )
            raise SceneError(msg, reason="ambiguous-band")
    _check_plane(source.name, bands)


def is_one_of_several(band: OpenedBand) -> bool:
    """Say whether an Item names one band of a file of several without listing them; an alpha band is none."""
    header = band.header
    return bool(band.asset.key) and band.asset.listed == 1 and header.band_count - (header.alpha is not None) > 1


def _described(band: OpenedBand) -> str | None:
    """Give what the file calls a band."""
    number = band.asset.band
    return next(iter(band.header.descriptions[number - 1 : number]), None) or None


def _check_descriptions(source: SceneSource, bands: Sequence[OpenedBand]) -> None:
    names: dict[tuple[str, int], str] = {}
    for band in bands:
        place, name = (band.asset.uri, band.asset.band), band.asset.name
        label = _described(band)
        if label and (called := source.product.band(label)) and called != name:
            msg = (
                f"scene {source.name}: band {band.asset.band} of {band.called} is {name} by the Item, and the file"
                f" calls it {label!r}, which is {called}. Correct the Item, or the file's description of the band."
            )
            raise SceneError(msg, reason="contradictory-band")
        if (other := names.setdefault(place, name)) != name:
            msg = (
                f"scene {source.name}: {other} and {name} are both band {band.asset.band} of {band.called} by what the"
                " Item says. Correct the Item."
            )
            raise SceneError(msg, reason="contradictory-band")


def _check_colours(source: SceneSource, bands: Sequence[OpenedBand]) -> None:
    """Refuse a file that shows red, green and blue in each other's colours; false colours contradict nobody."""
    for band in {band.asset.uri: band for band in bands}.values():
        colours = {number: colour for number, colour in enumerate(band.header.shown, start=1) if colour}
        names = {asset.band: asset.name for asset in source.bands if asset.uri == band.asset.uri}
        called = [names.get(number) for number in colours]
        chosen = tuple(colours.values())
        if chosen != _AS_WRITERS_DO and called != [*chosen] and {*called} == {*chosen}:
            msg = (
                f"scene {source.name}: {band.called} shows its bands {', '.join(map(str, colours))} as"
                f" {', '.join(chosen)} (colour interpretation), and they are called {', '.join(filter(None, called))}."
                " Correct the bands' names, or the file's colours (`gdal_edit -colorinterp_N COLOUR FILE`)."
            )
            raise SceneError(msg, reason="contradictory-band")


def _check_sizes(source: SceneSource, bands: Sequence[OpenedBand]) -> None:
    """Refuse files that were chosen among several by a pixel size that they do not have."""
    chosen = {rival.name for rival in source.rivals}
    for band in bands:
        gsd = band.asset.gsd
        if band.asset.name in chosen and gsd and not is_size(gsd, band.header):
            msg = (
                f"scene {source.name}: several assets hold the band {band.asset.name}, and {band.asset.key!r} is the"
                f" one of {gsd:g} m by the Item; its file, {band.called}, has pixels of"
                f" {band.header.pixel_size_m:g} m. Correct the asset's href, key or gsd."
            )
            raise SceneError(msg, reason="contradictory-band")


def _check_plane(scene: str, bands: Sequence[OpenedBand]) -> None:
    systems = {band.header.crs for band in bands}
    if len(systems) > 1:
        msg = f"scene {scene}: its bands have {len(systems)} different CRSs. Deliver all bands in one CRS."
        raise SceneError(msg, reason="mixed-crs")
    for band in bands:
        if band.header.colours:
            msg = (
                f"scene {scene}: the numbers of band {band.asset.name} are colours by what its file says (a"
                " palette, or grey levels of which 0 is white), no measurements. Deliver the product's own numbers, in"
                " a file that calls them so (photometric interpretation MINISBLACK)."
            )
            raise SceneError(msg, reason="not-numbers")
