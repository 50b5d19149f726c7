"""STAC Items: which assets are the bands, where they lie, and whether they may be opened."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from clayline.chips.classes import Classification
from clayline.errors import SceneError
from clayline.run.names import AS_THEY_LIE, Names
from clayline.run.passed_over import PassedOver
from clayline.scene.bands import Candidate, find_bands, in_jpeg_2000, known_names, listed
from clayline.scene.declared import Declared, declared_of
from clayline.scene.declared_numbers import DeclaredNumbers, of_asset
from clayline.scene.href import MAX_RECORDED, choose, quoted
from clayline.scene.mask import FoundMask, find_class_mask, find_data_masks
from clayline.scene.recognition import Evidence, recognise
from clayline.scene.sensor import MAX_LABEL, Product

MAX_ITEM_BYTES = 5_000_000
MAX_ID = 512
"""Characters; far over any real id."""
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")
DECLARED_HREF = "clayline:declared_href"
"""Field of an asset whose file was found elsewhere than its publisher said: the href as published."""
ALTERNATE = "clayline:alternate"
"""Field of an asset that was fetched by one of its alternates: that one's name."""
_TILE = re.compile(r"(?:\A|[._-])T?((?:0?[1-9]|[1-5][0-9]|60)[C-HJ-NP-X][A-HJ-NP-Z][A-HJ-NP-V])(?:[._-]|\Z)")


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
    gsd: float | None = None
    """Metres, as the Item declares it of this asset."""
    key: str = ""
    """The asset's in the Item."""
    listed: int = 1
    """Bands that the Item lists of the file, in the file's order; 1 also where it lists none."""
    numbers: DeclaredNumbers = field(default_factory=DeclaredNumbers)
    """What the Item says of the band's numbers."""


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
    rivals: tuple[BandAsset, ...]
    """More assets of the same bands: which is taken depends on the model's entry (``rivals``)."""
    passed_over: tuple[PassedOver, ...]
    unrecognised: tuple[str, ...]
    """Keys of GeoTIFFs that are no band that is known, and not known to be none; of bands that are JPEG 2000 alone."""
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
    content: Mapping[str, Any],
    *,
    uri: str,
    allowed_buckets: frozenset[str],
    names: Names = AS_THEY_LIE,
    called: str | None = None,
    products: tuple[Product, ...] | None = None,
) -> Item:
    """Read an Item that landed at ``uri``. Only bands and mask are looked at: other assets may point anywhere.

    Of a published Item ``uri`` is its ``self`` link, or empty, and ``called`` says what the document is called.

    Raises SceneError: ``invalid-item``, ``unknown-product``, ``ambiguous-sensor``, ``contradictory-band``,
    ``no-bands``, ``jpeg2000``, ``forbidden-href``, ``ambiguous-href``.
    """
    identity, properties = content.get("id"), content.get("properties")
    if not isinstance(identity, str) or not identity or len(identity) > MAX_ID or not isinstance(properties, dict):
        msg = (
            f"scene {called or names.of(uri)}: the STAC Item has no usable id (a text of 1 to {MAX_ID} characters) or"
            " properties (an object). Correct the Item."
        )
        raise SceneError(msg, reason="invalid-item")
    if _CONTROL.search(identity):
        msg = (
            f"scene {called or names.of(uri)}: the STAC Item's id {identity!r} has a control character. Correct the"
            " Item."
        )
        raise SceneError(msg, reason="invalid-item")
    collection = content.get("collection")
    product = recognise(evidence_of(content), products)

    def band_of(candidate: Candidate) -> BandAsset:
        asset = candidate.asset
        chosen = choose(asset, uri, scene=identity, allowed=allowed_buckets, names=names)
        return BandAsset(
            name=candidate.band,
            uri=chosen.uri,
            band=candidate.number,
            declared=_text(asset, DECLARED_HREF) or (quoted(asset["href"], MAX_RECORDED) if chosen.alternate else None),
            alternate=chosen.alternate or _text(asset, ALTERNATE),
            grid=declared_of(asset, properties, gsd=candidate.gsd),
            gsd=candidate.gsd,
            key=candidate.key,
            listed=candidate.listed,
            numbers=of_asset(asset, candidate.number),
        )

    data_masks = find_data_masks(content["assets"])
    masked = find_class_mask(content["assets"], product, scene=identity)
    found = find_bands(
        content["assets"],
        product,
        masks=frozenset({*([masked.key.lower()] if masked else []), *(key.lower() for key, _ in data_masks)}),
        scene=identity,
    )
    unread = in_jpeg_2000(content["assets"], product, scene=identity)
    lacking = sorted({each.key for band in unread.keys() - found.candidates.keys() for each in unread[band]})
    if not found.candidates and lacking:
        msg = (
            f"scene {identity}: its bands [{listed(tuple(lacking))}] are JPEG 2000, which is not read here. Convert"
            " each without loss, `gdal_translate -of COG -co COMPRESS=DEFLATE IN.jp2 OUT.tif`, and let the Item's"
            " assets lead to the GeoTIFFs (href and type)."
        )
        raise SceneError(msg, reason="jpeg2000")
    if not found.candidates:
        msg = (
            f"scene {identity}: none of its assets [{listed(tuple(sorted(content['assets'])))}] is a GeoTIFF band of"
            f" {product.sensor}. Known are {known_names(product)}, as an asset's key, or as name or common name of its"
            " bands. Correct the Item."
        )
        raise SceneError(msg, reason="no-bands")
    if nowhere := [key for key, asset in content["assets"].items() if product.band(key) and not _has_href(asset)]:
        msg = f"scene {identity}: asset {nowhere[0][:MAX_LABEL]!r} has no href, a text, for its file. Correct the Item."
        raise SceneError(msg, reason="invalid-item")
    bands, rivals, passed_over = list[BandAsset](), list[BandAsset](), list[PassedOver]()
    for candidates in found.candidates.values():
        first, *others = _that_may_be_read(candidates, band_of, passed_over)
        bands.append(first)
        rivals.extend(others)
    return Item(
        id=identity,
        collection=collection,
        properties=properties,
        product=product,
        bands=tuple(bands),
        rivals=tuple(rivals),
        passed_over=tuple(passed_over),
        unrecognised=(*found.unrecognised, *(f"{key[:MAX_LABEL]}, JPEG 2000" for key in lacking)),
        mask=_class_mask(masked, band_of) if masked else None,
        data_masks=tuple(
            band_of(Candidate(band="data-mask", key=key, asset=asset, number=1, gsd=None)) for key, asset in data_masks
        ),
        tile=declared_tile(identity, properties) if product.mgrs_tiled else None,
    )


def _has_href(asset: object) -> bool:
    return isinstance(asset, dict) and isinstance(asset.get("href"), str)


def _class_mask(found: FoundMask, band_of: Callable[[Candidate], BandAsset]) -> ClassMask:
    candidate = Candidate(band=found.name, key=found.key, asset=found.asset, number=found.number, gsd=None)
    return ClassMask(asset=band_of(candidate), classification=found.classification, chosen_by=found.chosen_by)


def _that_may_be_read(
    candidates: tuple[Candidate, ...], locate: Callable[[Candidate], BandAsset], passed_over: list[PassedOver]
) -> list[BandAsset]:
    """Give the assets of one band that may be read, each file once; the others are passed over if one may be.

    Raises SceneError if none may be.
    """
    found, refused = list[BandAsset](), None
    for candidate in candidates:
        try:
            band = locate(candidate)
        except SceneError as error:
            if error.reason != "forbidden-href":
                raise
            refused = refused or error
            why = "it may not be read from there"
            passed_over.append(PassedOver(band=candidate.band, asset=candidate.key, why=why))
            continue
        if all((band.uri, band.band) != (each.uri, each.band) for each in found):
            found.append(band)
    if not found and refused:
        raise refused
    return found


def evidence_of(content: Mapping[str, Any]) -> Evidence:
    """Give what an Item says of the product that it is of."""
    identity, collection, properties = str(content.get("id")), content.get("collection"), content.get("properties")
    said = properties if isinstance(properties, dict) else {}
    instruments = said.get("instruments") or said.get("eo:instrument")
    listing = instruments if isinstance(instruments, list) else [instruments]
    platform = said.get("platform") or said.get("eo:platform")
    return Evidence(
        scene=identity,
        collection=collection if isinstance(collection, str) else repr(collection),
        platform=str(platform)[:MAX_LABEL] if platform else None,
        instruments=tuple(text[:MAX_LABEL] for text in listing[:32] if isinstance(text, str)),
        name=identity,
    )


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
