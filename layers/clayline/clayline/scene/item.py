"""STAC Items: which assets are the bands, where they lie, and whether they may be opened."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from clayline.errors import SceneError
from clayline.run.names import AS_THEY_LIE, Names
from clayline.scene.declared import Declared, declared_of
from clayline.scene.href import MAX_RECORDED, choose, quoted
from clayline.scene.recognition import known, of_collection
from clayline.scene.sensor import Product

MAX_ITEM_BYTES = 5_000_000
_MEDIA = re.compile(r"(?i)image/(tiff|vnd\.stac\.geotiff)")
_SKIPPED_ROLES = {"overview", "visual", "thumbnail", "metadata"}
_SKIPPED_KEYS = {"visual", "overview", "preview", "thumbnail"}
DECLARED_HREF = "clayline:declared_href"
"""Field of an asset whose file was found elsewhere than its publisher said: the href as published."""
ALTERNATE = "clayline:alternate"
"""Field of an asset that was fetched by one of its alternates: that one's name."""
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
    """The asset's own href as published, where the file was found by another or elsewhere."""
    alternate: str | None = None
    """Name of the alternate (alternate-assets extension) by which the file was found."""
    grid: Declared | None = None
    """What the Item says of the file's grid."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """A STAC Item as far as a scene needs it."""

    id: str
    collection: str | None
    properties: Mapping[str, Any]
    product: Product
    bands: tuple[BandAsset, ...]
    """In the Item's order, one for each band name."""
    mask: BandAsset | None
    """The asset that classifies pixels (SCL), if there is one."""
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
    content: Mapping[str, Any],
    *,
    uri: str,
    allowed_buckets: frozenset[str],
    names: Names = AS_THEY_LIE,
    called: str | None = None,
) -> Item:
    """Read an Item that landed at ``uri``. Only bands and mask are looked at: other assets may point anywhere.

    Of a published Item ``uri`` is its ``self`` link, or empty, and ``called`` says what the document is called.

    Raises SceneError: ``invalid-item``, ``unknown-product``, ``no-bands``, ``forbidden-href``, ``ambiguous-href``.
    """
    identity, properties = content.get("id"), content.get("properties")
    if not isinstance(identity, str) or not identity or len(identity) > 512 or not isinstance(properties, dict):  # noqa: PLR2004 - far over any real id
        msg = f"scene {called or names.of(uri)}: the STAC Item has no usable id or properties. Correct the Item."
        raise SceneError(msg, reason="invalid-item")
    collection = content.get("collection")
    product = of_collection(collection if isinstance(collection, str) else None)
    if product is None:
        msg = f"scene {identity}: collection {collection!r} is not known. Known are {known()}."
        raise SceneError(msg, reason="unknown-product")

    def band_of(asset: Mapping[str, Any], name: str, number: int) -> BandAsset:
        chosen = choose(asset, uri, scene=identity, allowed=allowed_buckets, names=names)
        return BandAsset(
            name=name,
            uri=chosen.uri,
            band=number,
            declared=_text(asset, DECLARED_HREF) or (quoted(asset["href"], MAX_RECORDED) if chosen.alternate else None),
            alternate=chosen.alternate or _text(asset, ALTERNATE),
            grid=declared_of(asset, properties),
        )

    found: dict[str, BandAsset] = {}
    rasters = list(_rasters(content["assets"]))
    masks = [asset for key, asset in rasters if key.lower() == product.mask]
    named = [(_names(key, asset, product), asset) for key, asset in rasters if key.lower() != product.mask]
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
        mask=band_of(masks[0], product.mask, 1) if product.mask and masks else None,
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


def _text(asset: Mapping[str, Any], field: str) -> str | None:
    """Give what an asset keeps of its publisher's words; bounded, since it travels with every output."""
    kept = asset.get(field)
    return kept if isinstance(kept, str) and kept and len(kept) <= MAX_RECORDED else None


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
