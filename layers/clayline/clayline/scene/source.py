"""A scene as it was declared, before a single pixel grid is looked at.

Which product it is, which files are its bands, when it was taken. ``landed`` reads it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from clayline.model.manifest import ModelEntry
from clayline.ports import ObjectHead
from clayline.run.keys import run_id
from clayline.run.passed_over import PassedOver
from clayline.scene.acquisition import Acquisition
from clayline.scene.intake import Landing
from clayline.scene.item import BandAsset, ClassMask
from clayline.scene.sensor import Product


@dataclass(frozen=True, kw_only=True, slots=True)
class SceneSource:
    """A scene as its Item, or its one COG, declares it."""

    name: str
    """What people call it: the Item's id, or the name of the COG's URI."""
    hash: str
    """scene12."""
    uri: str
    """Where the landed object is read."""
    etag: str
    collection: str | None
    product: Product
    platform: str
    properties: Mapping[str, Any]
    acquired: Acquisition
    bands: tuple[BandAsset, ...]
    mask: ClassMask | None
    tile: str | None
    identity: Mapping[str, str]
    """What else the run's identity depends on: the object metadata that was used, which an ETag does not cover."""
    data_masks: tuple[BandAsset, ...] = ()
    """What says where there are values, beside the bands' own files."""
    rivals: tuple[BandAsset, ...] = ()
    """More assets of bands in ``bands``: which is taken depends on the model's entry (``rivals.settle_rivals``). Once
    that is settled, one of them may be the band's."""
    passed_over: tuple[PassedOver, ...] = ()
    """Assets of bands that are read from others."""
    unrecognised: tuple[str, ...] = ()
    """Keys of an Item's GeoTIFFs, or descriptions of a COG's bands, that are no band that is known."""

    @property
    def trained(self) -> bool:
        """Whether the sensor's statistics hold for the platform."""
        return self.product.platform(self.platform).trained

    @property
    def is_file(self) -> bool:
        """Whether what landed is the imagery itself, without an Item."""
        return any(band.uri == self.uri for band in self.bands)

    @property
    def masks(self) -> tuple[BandAsset, ...]:
        """Give what is read beside the bands."""
        return (*self.data_masks, *((self.mask.asset,) if self.mask else ()))

    @property
    def read(self) -> dict[str, str]:
        """Give what the file's name or the Item said: a COG under a corrected name has the same ETag."""
        return {
            "product": self.product.sensor,
            "instrument": self.product.instrument_token(self.platform),
            "start": self.acquired.start.isoformat(),
            "end": self.acquired.end.isoformat(),
            "time_from": self.acquired.source,
            **({"cloud": self.mask.said} if self.mask else {}),
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

    @property
    def run(self) -> str:
        """Give the scene's first run."""
        return run_id(
            scene=self.source.hash,
            source_etag=self.source.etag,
            asset_etags={uri: head.etag for uri, head in self.heads.items() if uri != self.source.uri},
            read=self.source.read,
            token=self.entry.token,
            digest=self.entry.digest,
            options=self.options,
        )
