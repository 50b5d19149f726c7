"""The sensors that Clay knows, and how products of each are recognised.

Another sensor is an entry in ``PRODUCTS``, nothing else.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files


@dataclass(frozen=True, kw_only=True, slots=True)
class Band:
    """One band of a sensor as Clay v1.5 was trained on it (figures from claymodel 1.5's metadata)."""

    name: str
    mean: float
    """Of the digital numbers."""
    std: float
    wavelength: float
    """Micrometres."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sensor:
    """A sensor under the name Clay gives it."""

    name: str
    gsd: float
    """Metres."""
    bands: tuple[Band, ...]
    """In Clay's order."""


@cache
def sensors() -> Mapping[str, Sensor]:
    """Give the registry, read from the package's data/sensors.json."""
    content = json.loads((files("clayline") / "data" / "sensors.json").read_text())
    return {
        name: Sensor(name=name, gsd=entry["gsd"], bands=tuple(Band(**band) for band in entry["bands"]))
        for name, entry in content.items()
    }


@dataclass(frozen=True, kw_only=True, slots=True)
class Product:
    """A family of products of one sensor: how to recognise it and what its assets are called."""

    sensor: str
    collections: tuple[str, ...]
    """STAC collection ids."""
    file_name: re.Pattern[str]
    """Matches the file names of products that come without an Item."""
    instrument: str
    """Middle part of the identifier's instrument token."""
    level: str
    """Last part of the token."""
    platforms: tuple[tuple[re.Pattern[str], str], ...]
    """Pattern over platform or file name, and the token's first part; the last entry matches anything."""
    aliases: Mapping[str, str]
    """Asset key or band name, upper case without extension, to Clay's band name."""
    nodata: float | None
    """What an untagged file uses; None if it has no such value."""
    mask: str | None = None
    """Asset that classifies pixels (SCL), if the product has one."""
    mgrs_tiled: bool = False
    """Cut to the MGRS grid, so that its chips may get ``window`` identifiers."""
    boa: bool = False
    """Has the BOA offset question (radiometry)."""

    def band(self, name: str) -> str | None:
        """Translate an asset key or a band's name; None if it is no band of this sensor."""
        if name.lower() in self.band_names:
            return name.lower()
        return self.aliases.get(re.sub(r"\.TIFF?\Z", "", name.upper()))

    @property
    def band_names(self) -> frozenset[str]:
        """Clay's names of the sensor's bands."""
        return frozenset(band.name for band in sensors()[self.sensor].bands)

    def instrument_token(self, platform: str) -> str:
        """Give the identifier's instrument, e.g. ``s2a-msi-l2a``.

        An unknown platform gives the family, ``s2-msi-l2a``.
        """
        first = next(token for pattern, token in self.platforms if pattern.search(platform))
        return "-".join(part for part in (first, self.instrument, self.level) if part)


_ANY = re.compile("")
_S2_PLATFORMS = (*((re.compile(rf"(?i)sentinel-?2{unit}|\bS2{unit}_"), f"s2{unit}") for unit in "abcd"), (_ANY, "s2"))
_LANDSAT_PLATFORMS = (
    *((re.compile(rf"(?i)landsat[-_ ]?{n}\b|\bLC0{n}_"), f"landsat{n}") for n in (8, 9)),
    (_ANY, "landsat"),
)
_S2_ALIASES = {
    "B02": "blue", "B03": "green", "B04": "red", "B05": "rededge1", "B06": "rededge2", "B07": "rededge3",
    "B08": "nir", "B8A": "nir08", "B11": "swir16", "B12": "swir22",
}  # fmt: skip
_OLI = {"2": "blue", "3": "green", "4": "red", "5": "nir08", "6": "swir16", "7": "swir22"}
_OLI_ALIASES = {f"{prefix}{number}": name for number, name in _OLI.items() for prefix in ("B", "B0", "SR_B")}

PRODUCTS: tuple[Product, ...] = (
    Product(
        sensor="sentinel-2-l2a",
        collections=("sentinel-2-l2a", "sentinel-2-c1-l2a", "sentinel-s2-l2a-cogs", "sentinel-s2-l2a"),
        file_name=re.compile(r"S2[A-D]?_(?:.*_)?(?:MSI)?L2A(?:_|\.|\Z)"),
        instrument="msi",
        level="l2a",
        platforms=_S2_PLATFORMS,
        aliases=_S2_ALIASES,
        nodata=0,
        mask="scl",
        mgrs_tiled=True,
        boa=True,
    ),
    Product(
        sensor="landsat-c2l2-sr",
        collections=("landsat-c2-l2", "landsat-c2l2-sr", "landsat-8-l2", "landsat-9-l2"),
        file_name=re.compile(r"LC0[89]_L2S[PR]_"),
        instrument="oli",
        level="c2l2",
        platforms=_LANDSAT_PLATFORMS,
        aliases=_OLI_ALIASES,
        nodata=0,
    ),
    Product(
        sensor="landsat-c2l1",
        collections=("landsat-c2-l1", "landsat-c2l1", "landsat-c1-l1", "landsat-8-l1-c1"),
        file_name=re.compile(r"LC0[89]_L1(?:TP|GT|GS)_"),
        instrument="oli",
        level="l1",
        platforms=_LANDSAT_PLATFORMS,
        aliases=_OLI_ALIASES,
        nodata=0,
    ),
)


def of_collection(collection: str | None) -> Product | None:
    """Find the product family of a STAC collection."""
    return next((product for product in PRODUCTS if collection in product.collections), None)


def of_file_name(name: str) -> Product | None:
    """Find the product family that a file's name declares."""
    return next((product for product in PRODUCTS if product.file_name.search(name)), None)


def of_sensor(sensor: str) -> Product | None:
    """Find the product family of a sensor named outright (object metadata ``sensor``)."""
    return next((product for product in PRODUCTS if product.sensor == sensor), None)


def known() -> str:
    """Say which collections are recognised, for error messages."""
    return "; ".join(f"{product.sensor}: {', '.join(product.collections)}" for product in PRODUCTS)
