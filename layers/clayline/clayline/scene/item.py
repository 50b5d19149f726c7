"""STAC Items: which assets are the bands, where they lie, and whether they may be opened."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

from clayline.chips.classes import Classification
from clayline.errors import SceneError
from clayline.place import Option
from clayline.run.names import AS_THEY_LIE, Names
from clayline.scene.mask import find_class_mask, find_data_masks
from clayline.scene.recognition import known, of_collection
from clayline.scene.sensor import Product

MAX_ITEM_BYTES = 5_000_000
_MEDIA = re.compile(r"(?i)image/(tiff|vnd\.stac\.geotiff)")
_SKIPPED_ROLES = {"overview", "visual", "thumbnail", "metadata"}
_SKIPPED_KEYS = {"visual", "overview", "preview", "thumbnail"}
_S3_HOST = re.compile(r"(?P<bucket>[a-z0-9.-]{3,63})\.s3(?:[.-][a-z0-9-]+)?\.amazonaws\.com\Z")
_DOTS = {".", ".."}
DECLARED_HREF = "clayline:declared_href"
"""Field of an asset whose file was found elsewhere than its publisher said: the href as published."""
_MAX_DECLARED = 2_048
_TILE = re.compile(r"(?:\A|[_-])T?((?:0?[1-9]|[1-5][0-9]|60)[C-HJ-NP-X][A-HJ-NP-Z][A-HJ-NP-V])(?:[_-]|\Z)")


@dataclass(frozen=True, kw_only=True, slots=True)
class BandAsset:
    """One band of a scene: a band of a file in an allowed bucket."""

    name: str
    """Clay's name."""
    uri: str
    """``s3://bucket/key``, the key raw."""
    band: int
    """1-based number in the file."""
    declared: str | None = None
    """What the asset's ``clayline:declared_href`` says."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ClassMask:
    """The mask that says where clouds are, how it was chosen and what its numbers mean."""

    asset: BandAsset
    classification: Classification
    chosen_by: str
    """name, description, classification or role."""

    @property
    def said(self) -> str:
        """Say it all in a line: part of the run's identity."""
        return f"{self.asset.name} by {self.chosen_by}: {json.dumps(asdict(self.classification), sort_keys=True)}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """A STAC Item as far as a scene needs it."""

    id: str
    collection: str | None
    properties: Mapping[str, Any]
    product: Product
    bands: tuple[BandAsset, ...]
    """In the Item's order, one for each band name."""
    mask: ClassMask | None
    """What says where clouds are, if anything does."""
    data_masks: tuple[BandAsset, ...]
    """What else says where there are values."""
    tile: str | None
    """MGRS tile that the Item declares."""

    @property
    def platform(self) -> str:
        """Platform as declared, in STAC 1.0's or 0.x's place; else the id, which often says it."""
        return str(self.properties.get("platform") or self.properties.get("eo:platform") or self.id)


def is_item(content: object) -> bool:
    """Tell a STAC Item from other JSON (``_MTL.json``), which starts nothing."""
    return (
        isinstance(content, dict)
        and content.get("type") == "Feature"
        and "stac_version" in content
        and isinstance(content.get("assets"), dict)
    )


def load_json(body: bytes, *, scene: str) -> object:
    """Parse what landed. Raises SceneError (``invalid-json``)."""
    try:
        content: object = json.loads(body)
        json.dumps(content, ensure_ascii=False).encode()  # half a surrogate pair could neither be stored nor announced
    except (ValueError, RecursionError) as error:
        msg = f"scene {scene}: not valid JSON ({error}). Deliver a STAC Item."
        raise SceneError(msg, reason="invalid-json") from error
    return content


def read_item(
    content: Mapping[str, Any], *, uri: str, allowed_buckets: frozenset[str], names: Names = AS_THEY_LIE
) -> Item:
    """Read an Item that landed at ``uri``. Only bands and mask are looked at: other assets may point anywhere.

    Raises SceneError: ``invalid-item``, ``unknown-product``, ``forbidden-href``.
    """
    identity, properties = content.get("id"), content.get("properties")
    if not isinstance(identity, str) or not identity or len(identity) > 512 or not isinstance(properties, dict):  # noqa: PLR2004 - far over any real id
        msg = f"scene {names.of(uri)}: the STAC Item has no usable id or properties. Correct the Item."
        raise SceneError(msg, reason="invalid-item")
    collection = content.get("collection")
    product = of_collection(collection if isinstance(collection, str) else None)
    if product is None:
        msg = f"scene {identity}: collection {collection!r} is not known. Known are {known()}."
        raise SceneError(msg, reason="unknown-product")

    def band_of(asset: Mapping[str, Any], name: str, number: int) -> BandAsset:
        target = _resolve(asset["href"], uri, identity, allowed_buckets, names)
        return BandAsset(name=name, uri=target, band=number, declared=_declared(asset))

    found: dict[str, BandAsset] = {}
    rasters = list(_rasters(content["assets"]))
    masked = find_class_mask(content["assets"], product, scene=identity)
    named = [(_names(key, asset, product), asset) for key, asset in rasters if not masked or key != masked.key]
    for bands, asset in sorted(named, key=lambda pair: len(pair[0]) > 1):
        if any(name in found and len(bands) > 1 for name in bands):
            continue  # a composite (TCI) repeats bands that have files of their own, wherever it stands
        for number, name in enumerate(bands, start=1):
            if name is not None and name not in found:
                found[name] = band_of(asset, name, number)
    if not found:
        msg = (
            f"scene {identity}: none of its assets [{' '.join(sorted(content['assets']))}] is a GeoTIFF band of"
            f" {product.sensor}."
        )
        raise SceneError(msg, reason="no-bands")
    return Item(
        id=identity,
        collection=collection,
        properties=properties,
        product=product,
        bands=tuple(found.values()),
        mask=ClassMask(
            asset=band_of(masked.asset, masked.name, masked.number),
            classification=masked.classification,
            chosen_by=masked.chosen_by,
        )
        if masked
        else None,
        data_masks=tuple(band_of(asset, "data-mask", 1) for _, asset in find_data_masks(content["assets"])),
        tile=declared_tile(identity, properties) if product.mgrs_tiled else None,
    )


def _rasters(assets: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Go through the assets that may be bands: GeoTIFFs by media type, or by extension where none is given."""
    for key, asset in assets.items():
        if not isinstance(asset, dict) or not isinstance(asset.get("href"), str):
            continue
        media = asset.get("type")
        tiff = _MEDIA.match(media) if isinstance(media, str) else re.search(r"(?i)\.tiff?\Z", asset["href"])
        roles = asset.get("roles") or []
        if (
            tiff
            and key.lower() not in _SKIPPED_KEYS
            and not (isinstance(roles, list) and _SKIPPED_ROLES.intersection(map(str, roles)))
        ):
            yield key, asset


def _names(key: str, asset: Mapping[str, Any], product: Product) -> list[str | None]:
    """Give the band names of an asset's file, in file order: by its key, else by what its bands are called."""
    if name := product.band(key):
        return [name]
    declared = asset.get("bands") or asset.get("eo:bands")
    if not isinstance(declared, list):
        return []
    entries = [entry for entry in declared if isinstance(entry, dict)]
    labels = [(entry.get("name"), entry.get("eo:common_name") or entry.get("common_name")) for entry in entries]
    return [
        next((name for label in pair if isinstance(label, str) and (name := product.band(label))), None)
        for pair in labels
    ]


def _declared(asset: Mapping[str, Any]) -> str | None:
    """Give the published href that an asset keeps; a text of bounded length, since it travels with every output."""
    href = asset.get(DECLARED_HREF)
    return href if isinstance(href, str) and len(href) <= _MAX_DECLARED else None


def _resolve(href: str, base: str, scene: str, allowed: frozenset[str], names: Names) -> str:
    """Turn an href into an S3 URI in an allowed bucket. Raises SceneError (``forbidden-href``)."""
    bucket, key = located(href, base)
    if (
        bucket not in allowed or not key or _DOTS.intersection(key.split("/"))
    ):  # HTTP clients fold dots, into another bucket
        known_buckets = ", ".join(name for name in sorted(allowed) if not names.hide(name))
        listed = f" ({known_buckets})" if known_buckets else ""
        msg = f"scene {scene}: asset {href!r} is not in an allowed bucket{listed}. {Option.ALLOW_BUCKET}"
        raise SceneError(msg, reason="forbidden-href")
    return f"s3://{bucket}/{key}"


def located(href: str, base: str) -> tuple[str, str]:
    """Give bucket and key that an href of an Item at ``base`` names; two empty texts if it names no object of S3."""
    try:
        parts = urlsplit(href)
    except ValueError:  # "https://[" and the like: as forbidden as any other place that is no allowed bucket
        return "", ""
    if parts.scheme == "s3":
        bucket, _, key = href.removeprefix("s3://").partition(
            "/"
        )  # an S3 URI's key is raw: no query, no percent decoding
        return bucket, key
    if parts.scheme == "https" and (host := _S3_HOST.match(parts.netloc)):
        return host["bucket"], unquote(parts.path.lstrip("/"))
    if not parts.scheme and not parts.netloc and not href.startswith("/"):
        bucket, _, own = base.removeprefix("s3://").partition("/")
        return bucket, _join(own, href)
    return "", ""


def _join(own: str, href: str) -> str:
    """Give the key that ``href`` names relative to the key ``own``.

    A ``..`` that leads out of the bucket stays in it.
    """
    segments = own.split("/")[:-1]  # by hand: posixpath would fold the empty segments that a key may have
    for segment in href.split("/"):
        if segment == ".." and segments and segments[-1] != "..":
            segments.pop()
        elif segment != ".":
            segments.append(segment)
    return "/".join(segments)


def declared_tile(identity: str, properties: Mapping[str, Any]) -> str | None:
    """Give the tile as declared, its zone padded: Earth Search writes 5VPJ.

    Whether it is one is checked against the scene's grid.
    """
    code = str(properties.get("grid:code") or "")
    if code.startswith("MGRS-"):
        return _padded(code.removeprefix("MGRS-"))
    if declared := properties.get("s2:mgrs_tile"):
        return _padded(str(declared))
    parts = [properties.get(f"mgrs:{name}") for name in ("utm_zone", "latitude_band", "grid_square")]
    if all(parts):
        return _padded("".join(map(str, parts)))
    found = _TILE.search(identity)
    return _padded(found[1]) if found else None


def _padded(tile: str) -> str:
    return tile.removeprefix("T").zfill(len("05VPJ"))
