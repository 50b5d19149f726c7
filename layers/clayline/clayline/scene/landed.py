"""What landed, read: a STAC Item, or a COG's header and name."""

from clayline.chips.cog import CogHeader
from clayline.errors import SceneError
from clayline.place import Option
from clayline.ports import Headers, ObjectHead, ObjectMissingError, Objects
from clayline.run.keys import parse_s3_uri, scene_hash
from clayline.run.names import Names
from clayline.scene import acquisition, item
from clayline.scene.bands import known_names, listed
from clayline.scene.intake import Entrance, Landing, Mode
from clayline.scene.item import BandAsset, ClassMask
from clayline.scene.lifetime import check_lifetime
from clayline.scene.lookalike import lookalike
from clayline.scene.mask import find_band_mask
from clayline.scene.notification import self_link
from clayline.scene.recognition import Evidence, recognise
from clayline.scene.recognition import products as known_products
from clayline.scene.sensor import Product
from clayline.scene.source import SceneSource

_METADATA_USED = ("datetime", "sensor", "platform")


def read_source(
    landing: Landing,
    *,
    objects: Objects,
    headers: Headers,
    allowed_buckets: frozenset[str],
    tiff_datetime: bool,
    names: Names,
    products: tuple[Product, ...] | None = None,
) -> SceneSource | str:
    """Read the Item or the COG's header. Gives the sentence that says why other JSON starts nothing.

    ``products`` are those that may be recognised, by default those that come with the package.

    Raises SceneError, TransientError.
    """
    named = names.of(landing.uri)
    if landing.entrance is Entrance.LINK and landing.bucket not in allowed_buckets:
        msg = f"scene {named}: the message names an Item that is not in an allowed bucket. {Option.ALLOW_BUCKET}"
        raise SceneError(msg, reason="forbidden-href")
    try:
        head = objects.head(landing.uri)
        if head.size == 0:
            msg = f"scene {named}: it is empty (0 bytes). Deliver the whole file again."
            raise SceneError(msg, reason="empty-object")
        if landing.mode is Mode.COG:
            header = headers.read_header(headers.source(head))
            found: SceneSource | str = _from_cog(
                head, header, name=named, tiff_datetime=tiff_datetime, products=products
            )
        else:
            found = _from_item(head, landing, objects, allowed_buckets, names, products)
    except ObjectMissingError as error:
        msg = f"scene {named}: it was deleted before its turn. Deliver it again if it is still wanted."
        raise SceneError(msg, reason="source-missing") from error
    if isinstance(found, SceneSource):
        among = known_products() if products is None else products
        check_lifetime(found.name, found.product, found.platform, found.acquired, among)
    return found


def _from_item(
    head: ObjectHead,
    landing: Landing,
    objects: Objects,
    allowed_buckets: frozenset[str],
    names: Names,
    products: tuple[Product, ...] | None,
) -> SceneSource | str:
    named = names.of(head.uri)
    if head.size > item.MAX_ITEM_BYTES:
        msg = (
            f"scene {named}: {head.size} bytes of JSON; a STAC Item has at most {item.MAX_ITEM_BYTES} here. Make the"
            " Item smaller."
        )
        raise SceneError(msg, reason="item-too-large")
    content = item.load_json(objects.get(head.uri, most=item.MAX_ITEM_BYTES), scene=named)
    if not isinstance(content, dict) or not item.is_item(content):
        if not (meant := lookalike(content)):
            return f"{named} is JSON but no STAC Item"
        msg = f"scene {named}: this is no STAC Item but {meant}"
        raise SceneError(msg, reason="not-an-item")
    is_document = landing.entrance is Entrance.DOCUMENT
    found = item.read_item(
        content,
        uri=self_link(content) if is_document else head.uri,
        called=named,
        allowed_buckets=allowed_buckets,
        names=names,
        products=products,
    )
    return SceneSource(
        name=found.id,
        hash=scene_hash(collection=found.collection, item=found.id, uri=named),
        uri=head.uri,
        etag=landing.etag if is_document else head.etag,
        collection=found.collection,
        product=found.product,
        platform=found.platform,
        properties=found.properties,
        acquired=acquisition.from_item(found.properties, scene=found.id),
        bands=found.bands,
        mask=found.mask,
        data_masks=found.data_masks,
        tile=found.tile,
        identity={},
        rivals=found.rivals,
        passed_over=found.passed_over,
        unrecognised=found.unrecognised,
    )


def _from_cog(
    head: ObjectHead,
    header: CogHeader,
    *,
    name: str,
    tiff_datetime: bool,
    products: tuple[Product, ...] | None,
) -> SceneSource:
    """Take sensor, platform and time from the object's metadata, then from the file's name; bands from their
    descriptions.
    """
    file_name = parse_s3_uri(head.uri)[1].rpartition("/")[2]
    product = recognise(
        Evidence(
            scene=name,
            sensor=head.metadata.get("sensor"),
            platform=head.metadata.get("platform"),
            name=file_name,
        ),
        products,
    )
    bands, unrecognised = _named_bands(head, header, product, name)
    masked = find_band_mask(header.descriptions, product, scene=name)
    return SceneSource(
        name=name,
        hash=scene_hash(collection=None, item=None, uri=name),
        uri=head.uri,
        etag=head.etag,
        collection=None,
        product=product,
        platform=head.metadata.get("platform") or file_name,
        properties={},
        acquired=acquisition.from_cog(
            scene=name,
            metadata=head.metadata,
            file_name=file_name,
            tags=header.tags,
            tiff_datetime=tiff_datetime,
            first_date=product.first_date and product.names_file(file_name),
        ),
        bands=tuple(bands.values()),
        mask=ClassMask(
            asset=BandAsset(name=masked.name, uri=head.uri, band=masked.number),
            classification=masked.classification,
            chosen_by=masked.chosen_by,
        )
        if masked
        else None,
        tile=item.declared_tile(file_name, {}) if product.mgrs_tiled else None,
        identity={field: value for field in _METADATA_USED if (value := head.metadata.get(field))},
        unrecognised=tuple(
            label for label in unrecognised if not masked or label != header.descriptions[masked.number - 1]
        ),
    )


def _named_bands(
    head: ObjectHead, header: CogHeader, product: Product, scene: str
) -> tuple[dict[str, BandAsset], tuple[str, ...]]:
    """Give the bands of a COG by their descriptions, or by its colours and the product's own order where none is
    described; and the descriptions that name none. Raises SceneError (``no-bands``, ``ambiguous-band``).
    """
    labels = tuple(text or "" for text in header.descriptions)
    if not any(labels) and header.band_count == len(product.file_order):
        labels = _ordered(header, product, scene)
    bands: dict[str, BandAsset] = {}
    unrecognised = []
    for number, label in enumerate(labels, start=1):
        band = product.band(label) if label else None
        if band is None:
            unrecognised.extend([label] if label else [])
        elif band in bands:
            msg = (
                f"scene {scene}: its bands {bands[band].band} and {number} are both {band} by their descriptions."
                " Correct the descriptions."
            )
            raise SceneError(msg, reason="ambiguous-band")
        else:
            bands[band] = BandAsset(name=band, uri=head.uri, band=number)
    if not bands:
        said = f" [{listed(tuple(unrecognised))}]" if unrecognised else ""
        msg = (
            f"scene {scene}: none of its {header.band_count} bands{said} is named after a band of {product.sensor}."
            f" Known are {known_names(product)}. Set band descriptions."
        )
        raise SceneError(msg, reason="no-bands")
    return bands, tuple(unrecognised)


def _ordered(header: CogHeader, product: Product, scene: str) -> tuple[str, ...]:
    """Give the bands of a file that describes none: by the colours in which it shows them, the others in the product's
    order. Raises SceneError (``ambiguous-band``).
    """
    colours = [colour for colour in header.shown if colour in product.file_order]
    others = iter(band for band in product.file_order if band not in colours)
    if len(set(colours)) != len(colours):
        msg = (
            f"scene {scene}: it names no band, and shows two in one colour ({' '.join(colours)}). Describe its bands,"
            " or correct its colours (`gdal_edit -colorinterp_N COLOUR FILE`)."
        )
        raise SceneError(msg, reason="ambiguous-band")
    shown = header.shown or (None,) * header.band_count
    return tuple(colour if colour in product.file_order else next(others) for colour in shown)
