"""What landed, before a single pixel grid is looked at: which product it is, which files are its bands, when it was taken."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from clayline import acquisition, item, sensor
from clayline.acquisition import Acquisition
from clayline.cog import CogHeader
from clayline.errors import SceneError
from clayline.intake import Landing, Mode
from clayline.item import BandAsset
from clayline.lookalike import lookalike
from clayline.manifest import ModelEntry
from clayline.ports import Headers, ObjectHead, ObjectMissingError, Objects
from clayline.run import parse_s3_uri, run_id, scene_hash
from clayline.sensor import Product

_METADATA_USED = ("datetime", "sensor", "platform")


@dataclass(frozen=True, kw_only=True, slots=True)
class SceneSource:
    """A scene as its Item, or its one COG, declares it."""

    name: str
    """What people call it: the Item's id, or the COG's URI."""
    hash: str
    """scene12."""
    uri: str
    etag: str
    collection: str | None
    product: Product
    platform: str
    properties: Mapping[str, Any]
    acquired: Acquisition
    bands: tuple[BandAsset, ...]
    mask: BandAsset | None
    tile: str | None
    identity: Mapping[str, str]
    """What else the run's identity depends on: the object metadata that was used, which an ETag does not cover."""

    @property
    def read(self) -> dict[str, str]:
        """Give what the file's name or the Item said: a COG under a corrected name has the same ETag."""
        return {
            "product": self.product.sensor,
            "instrument": self.product.instrument_token(self.platform),
            "start": self.acquired.start.isoformat(),
            "end": self.acquired.end.isoformat(),
            "time_from": self.acquired.source,
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class LandedScene:
    """A landing, and everything that decides which run it is about."""

    landing: Landing
    landed_uri: str
    """What the landed object is called in what is said of it."""
    source: SceneSource
    entry: ModelEntry
    heads: Mapping[str, ObjectHead]
    """Of every file that will be read, by URI."""
    options: Mapping[str, Any]

    def run(self, predecessor: str | None) -> str:
        """Give the run, the first or the one after ``predecessor``."""
        return run_id(
            scene=self.source.hash,
            source_etag=self.source.etag,
            asset_etags={uri: head.etag for uri, head in self.heads.items() if uri != self.source.uri},
            read=self.source.read,
            token=self.entry.token,
            digest=self.entry.digest,
            options=self.options,
            predecessor=predecessor,
        )


def read_source(
    landing: Landing, *, objects: Objects, headers: Headers, allowed_buckets: frozenset[str], tiff_datetime: bool
) -> SceneSource | str:
    """Read the Item or the COG's header. Gives the sentence that says why other JSON starts nothing.

    Raises SceneError, TransientError.
    """
    try:
        head = objects.head(landing.uri)
        if head.size == 0:
            msg = f"scene {landing.uri}: the object is empty (0 bytes). Upload it again."
            raise SceneError(msg, reason="empty-object")
        if landing.mode is Mode.COG:
            return _from_cog(head, headers.read_header(headers.source(head)), tiff_datetime=tiff_datetime)
        return _from_item(head, objects, allowed_buckets)
    except ObjectMissingError as error:
        msg = f"scene {landing.uri}: it was deleted before its turn. Land it again if it is still wanted."
        raise SceneError(msg, reason="source-missing") from error


def _from_item(head: ObjectHead, objects: Objects, allowed_buckets: frozenset[str]) -> SceneSource | str:
    if head.size > item.MAX_ITEM_BYTES:
        msg = f"scene {head.uri}: {head.size} bytes of JSON; a STAC Item has at most {item.MAX_ITEM_BYTES} here. Land a smaller Item."
        raise SceneError(msg, reason="item-too-large")
    content = item.load_json(objects.get(head.uri), scene=head.uri)
    if not isinstance(content, dict) or not item.is_item(content):
        if not (meant := lookalike(content)):
            return f"{head.uri} is JSON but no STAC Item"
        msg = f"scene {head.uri}: this is no STAC Item but {meant}"
        raise SceneError(msg, reason="not-an-item")
    found = item.read_item(content, uri=head.uri, allowed_buckets=allowed_buckets)
    return SceneSource(
        name=found.id,
        hash=scene_hash(collection=found.collection, item=found.id, uri=head.uri),
        uri=head.uri,
        etag=head.etag,
        collection=found.collection,
        product=found.product,
        platform=found.platform,
        properties=found.properties,
        acquired=acquisition.from_item(found.properties, scene=found.id),
        bands=found.bands,
        mask=found.mask,
        tile=found.tile,
        identity={},
    )


def _from_cog(head: ObjectHead, header: CogHeader, *, tiff_datetime: bool) -> SceneSource:
    """Take sensor, platform and time from the object's metadata, then from the file's name; bands from their descriptions."""
    file_name = parse_s3_uri(head.uri)[1].rpartition("/")[2]
    declared = head.metadata.get("sensor")
    product = sensor.of_sensor(declared) if declared else sensor.of_file_name(file_name)
    if product is None:
        msg = (
            f"scene {head.uri}: neither the object's metadata (`sensor`: {declared!r}) nor its file name says which sensor it is from. "
            f"Set `sensor` to one of {', '.join(sorted({known.sensor for known in sensor.PRODUCTS}))}."
        )
        raise SceneError(msg, reason="unknown-product")
    bands: dict[str, BandAsset] = {}
    for number, description in enumerate(header.descriptions, start=1):
        if description and (name := product.band(description)) and name not in bands:
            bands[name] = BandAsset(name=name, uri=head.uri, band=number)
    if not bands:
        msg = f"scene {head.uri}: none of its {header.band_count} bands is named after a band of {product.sensor}. Set band descriptions."
        raise SceneError(msg, reason="no-bands")
    return SceneSource(
        name=head.uri,
        hash=scene_hash(collection=None, item=None, uri=head.uri),
        uri=head.uri,
        etag=head.etag,
        collection=None,
        product=product,
        platform=head.metadata.get("platform") or file_name,
        properties={},
        acquired=acquisition.from_cog(
            scene=head.uri, metadata=head.metadata, file_name=file_name, tags=header.tags, tiff_datetime=tiff_datetime
        ),
        bands=tuple(bands.values()),
        mask=None,
        tile=None,
        identity={name: value for name in _METADATA_USED if (value := head.metadata.get(name))},
    )
