"""Which assets of an Item are the scene's bands: by key, name, common name and wavelength, which must agree."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from clayline.errors import SceneError
from clayline.scene.asset import is_geotiff, positive, roles_of
from clayline.scene.sensor import MAX_LABEL, Band, Product

_JPEG_2000 = re.compile(r"(?i)image/jp[2xm]")
_JPEG_2000_NAME = re.compile(r"(?i)\.(jp2|j2k|jpx)\Z")
_SKIPPED_ROLES = {"overview", "visual", "thumbnail", "metadata"}
_SKIPPED_KEYS = {"visual", "overview", "preview", "thumbnail"}
_SUFFIX = re.compile(r"(?i)_([0-9]{1,4})m(?:\.tiff?)?\Z")
_COMMON = frozenset({
    "pan", "coastal", "blue", "green", "green05", "yellow", "red", "rededge", "rededge071", "rededge075", "rededge078",
    "nir", "nir08", "nir09", "cirrus", "swir16", "swir22", "lwir", "lwir11", "lwir12",
})  # fmt: skip
"""The EO extension's common names: a word of these that is none of the band's own contradicts it; another says
nothing."""
_OPTICAL = 3.0
"""Micrometres from which wavelengths are stand-ins (radar) and say nothing."""
_FAR = 0.10
"""Share by which a stated wavelength may differ from the band's at most."""
_NEAR = 0.05
"""Share from which it is another band's, if that is nearer."""
_SAME = 0.005
"""Share up to which it is another band's, if that is nearer."""
_ALONE = 0.03
"""Share within which a wavelength alone names a band."""
_NANOMETRES = 100
_MOST_TOLD = 16
"""Names that a message lists."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """One band of one asset, which may be a band of the scene."""

    band: str
    """Clay's name."""
    key: str
    """The asset's."""
    asset: Mapping[str, Any]
    number: int
    """1-based in the file."""
    gsd: float | None
    """Metres, as the Item declares it of this asset."""
    listed: int = 1
    """Bands that the Item lists of the file; 1 also where it lists none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """What an Item's assets were taken for."""

    candidates: Mapping[str, tuple[Candidate, ...]]
    """By band; more than one if more than one asset holds it."""
    unrecognised: tuple[str, ...]
    """Keys of GeoTIFFs that are no band that is known, and not known to be none."""


def find_bands(assets: Mapping[str, Any], product: Product, *, masks: frozenset[str], scene: str) -> Found:
    """Go through an Item's assets; ``masks`` are keys in lower case that are no bands.

    Raises SceneError (``contradictory-band``).
    """
    found: dict[str, list[Candidate]] = {}
    unrecognised = []
    rasters = [(key, asset) for key, asset in rasters_of(assets, product) if key.lower() not in masks]
    named = [(_bands_of(key, asset, product, scene), key, asset) for key, asset in rasters]
    for bands, key, asset in sorted(named, key=lambda entry: len(entry[0]) > 1):
        if not any(bands):
            if not _is_other(key, product):
                unrecognised.append(key)
            continue
        if len(bands) > 1 and any(name in found for name in bands):
            continue  # a composite (TCI) repeats bands that have files of their own, wherever it stands
        for number, (name, gsd) in enumerate(zip(bands, _gsds(key, asset, len(bands)), strict=True), start=1):
            if name is not None:
                candidate = Candidate(band=name, key=key, asset=asset, number=number, gsd=gsd, listed=len(bands))
                found.setdefault(name, []).append(candidate)
    return Found(
        candidates={name: tuple(each) for name, each in found.items()}, unrecognised=tuple(sorted(unrecognised))
    )


def in_jpeg_2000(assets: Mapping[str, Any], product: Product, *, scene: str) -> Mapping[str, tuple[Candidate, ...]]:
    """Give the bands, by name, that would be found if JPEG 2000 were read; none where what is said contradicts itself:
    such files are not read, and harm nobody.
    """
    said = {
        key: {**asset, "type": "image/tiff"}
        for key, asset in assets.items()
        if isinstance(asset, dict) and isinstance(asset.get("href"), str) and _is_jpeg_2000(asset)
    }
    try:
        return find_bands(said, product, masks=frozenset(), scene=scene).candidates
    except SceneError:
        return {}


def _is_jpeg_2000(asset: Mapping[str, Any]) -> bool:
    media = asset.get("type")
    return bool(_JPEG_2000.match(media) if isinstance(media, str) else _JPEG_2000_NAME.search(asset["href"]))


def rasters_of(assets: Mapping[str, Any], product: Product) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Go through the assets that may be bands: GeoTIFFs by media type, or by extension where none is given."""
    for key, asset in assets.items():
        if not is_geotiff(asset):
            continue
        shown = key.lower() in _SKIPPED_KEYS or bool(_SKIPPED_ROLES & roles_of(asset))
        if product.assets.search(key[:MAX_LABEL]) if product.assets else not shown:
            yield key, asset


def known_names(product: Product) -> str:
    """Say what bands may be called, bounded, for messages."""
    by_band: dict[str, list[str]] = {name.name: [] for name in product.bands}
    for alias, name in product.aliases.items():
        by_band[name].append(alias)
    told = [f"{name} ({' '.join(aliases[:3])})" if aliases else name for name, aliases in by_band.items()]
    return ", ".join(told[:_MOST_TOLD]) + (", ..." if len(told) > _MOST_TOLD else "")


def listed(names: tuple[str, ...]) -> str:
    """List names, bounded, for messages."""
    told = " ".join(name[:64] for name in names[:_MOST_TOLD])
    return told + (f" and {len(names) - _MOST_TOLD} more" if len(names) > _MOST_TOLD else "")


def _is_other(key: str, product: Product) -> bool:
    label = re.sub(r"(?i)\.tiff?\Z", "", key[:MAX_LABEL]).lower()
    others = {other.lower() for other in product.others}
    return bool({label, re.sub(r"_[0-9]{1,4}m\Z", "", label)} & others)


def _bands_of(key: str, asset: Mapping[str, Any], product: Product, scene: str) -> list[str | None]:
    """Give the bands of an asset's file, in file order: what key and declarations agree on."""
    entries = _entries(asset)
    by_key, where = product.band(key), f"scene {scene}: asset {key!r}"
    if by_key and len(entries) <= 1:
        for entry in entries:
            _check(by_key, f"key {key!r}", entry, product, where)
        return [by_key]
    if not entries and product.assets and product.file_order:
        return list(product.file_order)
    listed = [_identify(entry, product, where) for entry in entries]
    if by_key and by_key not in listed:
        msg = f"{where} is {by_key} by its key, but lists {len(listed)} bands, none of which is. Correct the Item."
        raise SceneError(msg, reason="contradictory-band")
    return [name if by_key in {None, name} else None for name in listed]


def _entries(asset: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    declared = asset.get("bands") or asset.get("eo:bands")
    listing = declared if isinstance(declared, list) else []
    entries: list[Mapping[str, Any]] = [entry for entry in listing if isinstance(entry, dict)]
    if len(entries) <= 1 and any(field in asset for field in ("eo:common_name", "eo:center_wavelength")):
        return [{**asset, **(entries[0] if entries else {"name": None})}]  # STAC 1.1: said of the asset once
    return entries


def _identify(entry: Mapping[str, Any], product: Product, where: str) -> str | None:
    """Give the band that a declaration names; None if it names none of the sensor's."""
    name = entry.get("name")
    if isinstance(name, str) and (band := product.band(name)):
        _check(band, f"name {name!r}", entry, product, where)
        return band
    common, wavelength = _common(entry), _wavelength(entry)
    if common is not None:
        among = [band for band in product.bands if _is_common(band, common)]
        if not among and (band := product.band(common)):
            return band
    else:
        among = [band for band in product.bands if band.wavelength < _OPTICAL] if _is_narrow(entry) else []
    if len(among) > 1 or common is None:
        among = [band for band in among if wavelength is not None and _off(band, wavelength) <= _ALONE]
        among.sort(key=lambda band: _off(band, wavelength or 0))
    if not among:
        return None
    _check(among[0].name, f"common name {common!r}", entry, product, where)
    return among[0].name


def _check(name: str, said: str, entry: Mapping[str, Any], product: Product, where: str) -> None:
    """Refuse a declaration that speaks of another band. Raises SceneError (``contradictory-band``)."""
    band = next(band for band in product.bands if band.name == name)
    label, common, wavelength = entry.get("name"), _common(entry), _wavelength(entry)
    against = None
    other = product.band(label) if isinstance(label, str) else None
    if other not in {None, name}:
        against = f"its band's name {label!r} says {other}"
    elif common in _COMMON and not _is_common(band, common):
        against = f"its common name says {common!r}"
    elif wavelength is not None and band.wavelength < _OPTICAL and _is_far(band, wavelength, product):
        against = f"its wavelength is {wavelength:g} um and not {band.wavelength:g}"
    if against:
        msg = f"{where} is {name} by its {said}, but {against}. Correct the Item."
        raise SceneError(msg, reason="contradictory-band")


def _is_far(band: Band, wavelength: float, product: Product) -> bool:
    """Say whether a wavelength is another band's: nearer to that, and either far from its own or just that one's."""
    own = _off(band, wavelength)
    other = min((_off(each, wavelength) for each in product.bands if each.name != band.name), default=1.0)
    return own > _FAR or (other < own and (own > _NEAR or other <= _SAME))


def _off(band: Band, wavelength: float) -> float:
    return abs(wavelength - band.wavelength) / band.wavelength


def _is_common(band: Band, common: str) -> bool:
    return common == band.name or common in band.common_names


def _common(entry: Mapping[str, Any]) -> str | None:
    said = entry.get("eo:common_name") or entry.get("common_name")
    return said[:MAX_LABEL].lower() if isinstance(said, str) else None


def _wavelength(entry: Mapping[str, Any]) -> float | None:
    """Give the centre in micrometres; some say nanometres."""
    said = positive(entry.get("eo:center_wavelength") or entry.get("center_wavelength"))
    return said / 1000 if said and said > _NANOMETRES else said


def _is_narrow(entry: Mapping[str, Any]) -> bool:
    """Say whether it may be one of a sensor's bands by its wavelength alone: a panchromatic one is not."""
    width = positive(entry.get("eo:full_width_half_max") or entry.get("full_width_half_max"))
    return width is None or width <= 0.3  # noqa: PLR2004 - micrometres, wider than any band of Clay's sensors


def _gsds(key: str, asset: Mapping[str, Any], count: int) -> list[float | None]:
    """Give each band's pixel in metres as the Item declares it: by the key's suffix, the band, the asset, its grid."""
    suffix = _SUFFIX.search(key[:MAX_LABEL])
    rasters = asset.get("raster:bands")
    transform = asset.get("proj:transform")
    grid = transform[0] if isinstance(transform, list) and transform else None
    own = [entry if isinstance(entry, dict) else {} for entry in rasters] if isinstance(rasters, list) else []
    declared = _entries(asset)
    found = []
    for at in range(count):
        band = declared[at] if at < len(declared) else {}
        raster = own[at] if at < len(own) else {}
        said = (
            suffix[1] if suffix else None,
            band.get("gsd"),
            asset.get("gsd"),
            raster.get("spatial_resolution") or asset.get("raster:spatial_resolution"),
            grid,
        )
        found.append(next((number for each in said if (number := positive(each))), None))
    return found
