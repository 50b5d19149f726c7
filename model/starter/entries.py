"""The starter's entries: which sensor and bands each takes, and the fixed stretch of every band."""

from __future__ import annotations

from dataclasses import dataclass

from starter.backbone import FEATURES

VERSION = "1.0"
CHIP_SIZE = 64
LOSS_METRIC = "linear-thumb8-l1"
TRUE_COLOUR = ("red", "green", "blue")
FALSE_COLOUR = ("swir16", "nir08", "red")

STRETCH: dict[str, dict[str, tuple[int, int]]] = {
    "sentinel-2-l2a": {
        "red": (0, 4200),
        "green": (0, 3200),
        "blue": (0, 2400),
        "nir08": (0, 5400),
        "swir16": (0, 5800),
    },
    "landsat-c2l2-sr": {
        "red": (7273, 22545),
        "green": (7273, 18909),
        "blue": (7273, 16000),
        "nir08": (7273, 26909),
        "swir16": (7273, 28364),
    },
    "landsat-c2l1": {
        "red": (5500, 20000),
        "green": (6000, 17500),
        "blue": (6500, 15500),
        "nir08": (5500, 25000),
        "swir16": (5000, 27500),
    },
    "naip": {"red": (0, 255), "green": (0, 255), "blue": (0, 255)},
}
"""DN shown as 0 and as 1, by sensor and band, the same for every scene.

* sentinel-2-l2a: surface reflectance x 10000. 0 to about the 98th percentile of the brighter of the two clear scenes
  (Aquileia, Sahara).
* landsat-c2l2-sr: the same reflectances, DN = (reflectance + 0.2) / 0.0000275 (the product's scale).
* landsat-c2l1: top-of-atmosphere reflectance without the sun's elevation, DN = (reflectance + 0.1) / 0.00002: the
  ranges above times 0.7 to 0.8 (a sun at about 45 degrees), the visible ones raised by the haze that L1 leaves in, most
  in blue. Landsat 8 and 9 only: L1 of older sensors comes in 8-bit DN.
* naip: all of its 8 bits.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One graph of the model folder."""

    token: str
    """The identifier's model part."""
    sensor: str
    """Sensor name, as in Clay's metadata."""
    bands: tuple[str, ...]
    """Bands in the order in which they are fed."""
    dtype: str
    """uint16 or uint8."""
    gsd: float
    """Metres."""
    fit: tuple[str, ...]
    """Scenes on which the decoder is fitted; none: no loss. Where they are another sensor's, its stretch is the same in
    reflectance."""
    chip_size: int = CHIP_SIZE

    @property
    def stretch(self) -> dict[str, tuple[int, int]]:
        """DN shown as 0 and as 1, by band."""
        return {band: STRETCH[self.sensor][band] for band in self.bands}

    @property
    def images(self) -> tuple[tuple[str, ...], ...]:
        """The three-band images that go through the network, in the embedding's order."""
        return (TRUE_COLOUR, FALSE_COLOUR) if "swir16" in self.bands else (TRUE_COLOUR,)

    @property
    def dimensions(self) -> int:
        """Length of the embedding."""
        return FEATURES * len(self.images)


_FIVE = (*TRUE_COLOUR, "nir08", "swir16")
_S2_SCENES = ("aquileia", "sahara", "ireland")


def _entry(short: str, sensor: str, bands: tuple[str, ...], gsd: float, fit: tuple[str, ...]) -> Entry:
    suffix = "rgbns" if bands == _FIVE else "rgb"
    dtype = "uint8" if sensor == "naip" else "uint16"
    return Entry(
        token=f"starter-v{VERSION}-{short}-{suffix}", sensor=sensor, bands=bands, dtype=dtype, gsd=gsd, fit=fit
    )


ENTRIES = (
    _entry("s2", "sentinel-2-l2a", _FIVE, 10.0, _S2_SCENES),
    _entry("s2", "sentinel-2-l2a", TRUE_COLOUR, 10.0, _S2_SCENES),
    _entry("l1", "landsat-c2l1", _FIVE, 30.0, ()),
    _entry("l1", "landsat-c2l1", TRUE_COLOUR, 30.0, ("itaipu-077", "itaipu-078")),
    _entry("l2", "landsat-c2l2-sr", _FIVE, 30.0, _S2_SCENES),
    _entry("l2", "landsat-c2l2-sr", TRUE_COLOUR, 30.0, _S2_SCENES),
    _entry("naip", "naip", TRUE_COLOUR, 1.0, ("naip-2015", "naip-2020")),
)
