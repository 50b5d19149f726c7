"""Masks of an Item, and among a COG's bands: which asset or band says where clouds are, and which where values are."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from clayline.chips.classes import Classification
from clayline.errors import SceneError
from clayline.scene.asset import is_geotiff, positive, roles_of
from clayline.scene.classification import BINARY, declared, is_declared
from clayline.scene.sensor import MAX_LABEL, Mask, Product

_SUFFIX = re.compile(r"(?i)_([0-9]{1,4})m\Z")
_CLOUD_ROLES = {"cloud", "cloud-shadow", "cloud_shadow"}
_VALIDITY_ROLE = "data-mask"
_MASK_ROLES = _CLOUD_ROLES | {
    _VALIDITY_ROLE, "snow-ice", "land-water", "water-mask", "saturation", "incidence-angle", "terrain-shadow",
    "terrain-occlusion", "terrain-illumination",
}  # fmt: skip
"""Of the roles that STAC's best practices list, those of masks."""
_SHOWN_ROLES = {"overview", "visual", "thumbnail"}
_CLOUD_NAMES = {"CLOUD", "CLOUDS", "CLOUDMASK", "CLOUD_MASK", "CLOUD-MASK"}


@dataclass(frozen=True, kw_only=True, slots=True)
class FoundMask:
    """An asset, or a band of a file, that says where clouds are."""

    name: str
    """What the product calls it, else the asset's key."""
    classification: Classification
    chosen_by: str
    """What says so: its name, its classification, its role."""
    number: int = 1
    """1-based in the file."""
    key: str = ""
    """The asset's, of an Item."""
    asset: Mapping[str, Any]


def find_class_mask(assets: Mapping[str, Any], product: Product, *, scene: str) -> FoundMask | None:
    """Find the asset that says where clouds are: one that is called like a mask of the product, the best first; else
    one that declares classes, cloud among them; else one whose role is cloud alone.

    Of several of one kind the finest. Raises SceneError (``ambiguous-mask``) where that cannot be told.
    """
    rasters = dict(_rasters(assets))
    for mask in product.masks:
        if alike := {key: asset for key, asset in rasters.items() if _is_called(key, asset, mask)}:
            key = _finest(alike, scene)
            meaning, chosen_by = _meaning(mask, rasters[key])
            return FoundMask(name=mask.name, classification=meaning, chosen_by=chosen_by, key=key, asset=rasters[key])
    described = {key: asset for key, asset in rasters.items() if declared(asset)}
    if described:
        key = _finest(described, scene)
        meaning = declared(described[key]) or BINARY
        return FoundMask(name=key, classification=meaning, chosen_by="classification", key=key, asset=described[key])
    plain = {key: asset for key, asset in rasters.items() if _is_of_cloud_alone(key, asset)}
    if plain:
        key = _finest(plain, scene)
        return FoundMask(name=key, classification=BINARY, chosen_by="role", key=key, asset=plain[key])
    return None


def find_band_mask(descriptions: Sequence[str | None], product: Product, *, scene: str) -> FoundMask | None:
    """Find the band of a COG that says where clouds are, by its description. Raises SceneError (``ambiguous-mask``)."""
    labels = {number: text for number, text in enumerate(descriptions, start=1) if text}
    kinds = [(mask.name, {_label(name) for name in mask.names}, mask.classification) for mask in product.masks]
    for name, names, meaning in (*kinds, ("cloud", _CLOUD_NAMES, BINARY)):
        numbers = [number for number, text in labels.items() if _label(text) in names]
        if len(numbers) > 1:
            msg = (
                f"scene {scene}: its bands {' and '.join(map(str, numbers))} are both described as {name}. Let one"
                " band be described so."
            )
            raise SceneError(msg, reason="ambiguous-mask")
        if numbers:
            return FoundMask(name=name, classification=meaning, chosen_by="description", number=numbers[0], asset={})
    return None


def find_data_masks(assets: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """Give the assets that say where there are values, 0 where there is none: those whose only role of a mask is
    ``data-mask``.

    A quality layer that is of more (water, aerosol) has it too, and its 0 means something else.
    """
    return [(key, asset) for key, asset in _rasters(assets) if roles_of(asset) & _MASK_ROLES == {_VALIDITY_ROLE}]


def _rasters(assets: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for key, asset in assets.items():
        if is_geotiff(asset) and not roles_of(asset) & _SHOWN_ROLES:
            yield key, asset


def _is_called(key: str, asset: Mapping[str, Any], mask: Mask) -> bool:
    names = {_label(name) for name in mask.names}
    bands = asset.get("bands") or asset.get("eo:bands")
    only = bands[0].get("name") if isinstance(bands, list) and len(bands) == 1 and isinstance(bands[0], dict) else None
    return _label(key) in names or (isinstance(only, str) and _label(only) in names)


def _label(text: str) -> str:
    """Give a name without extension and pixel size, in capitals."""
    return _SUFFIX.sub("", re.sub(r"(?i)\.tiff?\Z", "", text[:MAX_LABEL])).upper()


def _meaning(mask: Mask, asset: Mapping[str, Any]) -> tuple[Classification, str]:
    """Give the product's definition, unless the Item declares this file's classes in another form: then those."""
    form = is_declared(asset)
    by_bits = any(kind.bit is not None for kind in mask.cloud)
    if form and (form == "bitfields") != by_bits and (own := declared(asset)):
        return own, "classification"
    return mask.classification, "name"


def _is_of_cloud_alone(key: str, asset: Mapping[str, Any]) -> bool:
    roles = roles_of(asset) & _MASK_ROLES
    rasters = asset.get("raster:bands")
    units = [asset.get("unit"), *(band.get("unit") for band in rasters or [] if isinstance(band, dict))]
    return (roles == {"cloud"} or (not roles and _label(key) in _CLOUD_NAMES - {"CLOUD", "CLOUDS"})) and not any(units)


def _finest(alike: Mapping[str, Mapping[str, Any]], scene: str) -> str:
    """Give the key of the finest; several keys of one file are one. Raises SceneError (``ambiguous-mask``)."""
    by_file: dict[str, str] = {}
    for key, asset in alike.items():
        by_file.setdefault(asset["href"], key)
    keys = list(by_file.values())
    if len(keys) == 1:
        return keys[0]
    sizes = {key: _gsd(key, alike[key]) for key in keys}
    finest = min((size for size in sizes.values() if size), default=None)
    best = [key for key, size in sizes.items() if size == finest]
    if None in sizes.values() or len(best) > 1:
        named = " and ".join(repr(key[:64]) for key in sorted(keys)[:8])
        msg = (
            f"scene {scene}: the assets {named} may each say where clouds are, and which is the finest is not declared."
            " Leave the one that is meant in the Item."
        )
        raise SceneError(msg, reason="ambiguous-mask")
    return best[0]


def _gsd(key: str, asset: Mapping[str, Any]) -> float | None:
    """Give the pixel in metres as the Item declares it."""
    suffix = _SUFFIX.search(re.sub(r"(?i)\.tiff?\Z", "", key[:MAX_LABEL]))
    rasters, transform = asset.get("raster:bands"), asset.get("proj:transform")
    raster = rasters[0] if isinstance(rasters, list) and rasters and isinstance(rasters[0], dict) else {}
    said = (
        suffix[1] if suffix else None,
        asset.get("gsd"),
        raster.get("spatial_resolution") or asset.get("raster:spatial_resolution"),
        transform[0] if isinstance(transform, list) and transform else None,
    )
    return next((number for each in said if (number := positive(each))), None)
