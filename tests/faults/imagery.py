"""Scenes without GDAL: a band file is a few words of JSON, from which its pixels follow.

The ports Headers and Pixels read what lies in the bucket at that moment, as GDAL does: a file that is replaced gives
other pixels.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from functools import lru_cache
from random import Random
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from clayline.chips.batch import Job
from clayline.chips.cog import CogHeader, CogSource
from clayline.errors import TransientError
from clayline.ports import JobPixels, ObjectHead, ObjectMissingError, Objects
from clayline.run.plan import Plan

CHIP: Final = 8
BANDS: Final = ("red", "nir08")
SCENES: Final = "scenes"
COGS: Final = "cog/"
"""Prefix of COGs that land without an Item."""
_COG_NAME: Final = "LC08_L1TP_224078_20200518_20200518_01_RT.tif"
_PIXEL: Final = 0.00027
"""Degrees, about 30 m near the equator."""
_WEST, _NORTH = 15.0, 0.5


@dataclass(frozen=True, kw_only=True, slots=True)
class Band:
    """What a band file says."""

    seed: int
    height: int
    width: int
    empty: tuple[int, int, int, int]
    """Rows and columns without a value: row, row after, col, col after."""
    count: int = 1
    """Bands of the file."""

    def to_bytes(self) -> bytes:
        return json.dumps({name: getattr(self, name) for name in self.__slots__}).encode()

    def pixels(self, band: int) -> NDArray[np.uint16]:
        """[h, w] digital numbers of a band, 1-based, 0 where there is no value."""
        return _pixels(self.seed + band - 1, self.height, self.width, self.empty)


def read_band(body: bytes) -> Band:
    """Read a band file."""
    content = json.loads(body)
    return Band(**{**content, "empty": tuple(content["empty"])})


@lru_cache(maxsize=64)
def _pixels(seed: int, height: int, width: int, empty: tuple[int, int, int, int]) -> NDArray[np.uint16]:
    made = np.random.default_rng(seed).integers(1, 20_000, (height, width), dtype=np.uint16)
    made[empty[0] : empty[1], empty[2] : empty[3]] = 0
    made.flags.writeable = False
    return made


class Comes(Enum):
    """How a scene comes."""

    ITEM = "item"
    """Its Item lands."""
    PUBLISHED = "published"
    """Its Item is published."""
    LINKED = "linked"
    """Where its Item lies is published."""
    COG = "cog"
    """A COG of all bands lands, and there is no Item."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Scene:
    """A scene as it lands: its Item and its band files, or one COG."""

    comes: Comes
    name: str
    """What the code calls it."""
    key: str
    files: dict[str, bytes]
    """By key; what lands is not among them."""
    item: bytes
    """What lands."""

    @property
    def corrected(self) -> bytes:
        """Give another Item of the same scene, or the COG with other pixels."""
        if self.comes is Comes.COG:
            band = read_band(self.item)
            return replace(band, seed=band.seed + band.count).to_bytes()
        return self.item.replace(b'"note": "', b'"note": "corrected ')

    def at(self, folder: str) -> str:
        """Give its key in another folder. A COG there is another scene."""
        prefix = COGS if self.comes is Comes.COG else ""
        return f"{prefix}{folder}/{self.key.removeprefix(prefix)}"


def make_scene(name: str, chance: Random, *, side: int, empty: float, comes: Comes = Comes.ITEM) -> Scene:
    """Make a scene of at most ``side`` x ``side`` chips and what a lattice adds, a part of it without values.

    Its Item may lie anywhere: it has URIs. ``empty`` is the chance that no pixel has a value.
    """
    height, width = (chance.randint(2 * CHIP, side * CHIP) for _ in range(2))
    row, col = chance.randrange(height), chance.randrange(width)
    hole = (row, row + chance.randint(0, 3 * CHIP), col, col + chance.randint(0, 3 * CHIP))
    if chance.random() < empty:
        hole = (0, height, 0, width)
    if comes is Comes.COG:
        key = f"{COGS}{name}/{_COG_NAME}"
        cog = Band(seed=chance.getrandbits(40), height=height, width=width, empty=hole, count=len(BANDS))
        return Scene(comes=comes, name=f"s3://{SCENES}/{key}", key=key, files={}, item=cog.to_bytes())
    files = {
        f"{name}/{band}.tif": Band(seed=chance.getrandbits(40), height=height, width=width, empty=hole).to_bytes()
        for band in BANDS
    }
    item = _item(name, str(chance.getrandbits(40)))
    return Scene(comes=comes, name=name, key=f"{name}/item.json", files=files, item=item)


def _item(name: str, note: str) -> bytes:
    kind = "image/tiff; application=geotiff"
    content: dict[str, Any] = {
        "type": "Feature", "stac_version": "1.0.0", "id": name, "collection": "landsat-c1-l1", "links": [],
        "geometry": None,
        "properties": {"datetime": "2020-05-18T10:00:00Z", "platform": "landsat-8", "instruments": ["oli"],
                       "note": note},
        "assets": {
            band: {"href": f"s3://{SCENES}/{name}/{band}.tif", "type": kind, "roles": ["data"]} for band in BANDS
        },
    }  # fmt: skip
    return json.dumps(content).encode()


@dataclass(frozen=True, kw_only=True)
class MemoryHeaders:
    """The port Headers."""

    objects: Objects

    def source(self, head: ObjectHead) -> CogSource:
        return CogSource(path=head.uri, uri=head.uri, size=head.size, etag=head.etag)

    def read_header(self, source: CogSource) -> CogHeader:
        band = _current(self.objects, source.uri)
        return CogHeader(
            width=band.width, height=band.height, band_count=band.count, dtype="uint16", crs="EPSG:4326", epsg=4326,
            geographic=True, transform=(_PIXEL, 0.0, _WEST, 0.0, -_PIXEL, _NORTH), nodata=0.0,
            block_height=2 * CHIP, block_width=2 * CHIP, pixel_interleaved=False, sparse=False,
            descriptions=(None,) if band.count == 1 else BANDS, tags={}, pixel_size_m=30.0, pixel_width_m=30.0,
            pixel_height_m=30.0,
        )  # fmt: skip

    def sample(self, source: CogSource, header: CogHeader, bands: Sequence[int]) -> NDArray[Any]:
        assert header.band_count >= max(bands)
        return np.stack([_current(self.objects, source.uri).pixels(band).reshape(-1)[:10] for band in bands])

    def to_lonlat(self, crs: str, xs: NDArray[Any], ys: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        assert crs == "EPSG:4326"
        return np.asarray(xs, np.float64), np.asarray(ys, np.float64)

    def is_same_crs(self, one: str, other: str) -> bool:
        return one == other


@dataclass(frozen=True, kw_only=True)
class MemoryPixels:
    """The port Pixels: one band after the other, so that a file may be replaced between two."""

    objects: Objects
    meanwhile: Callable[[str], None]
    """Called with the URI of each file before it is read."""

    def read_job(self, plan: Plan, job: Job) -> JobPixels:
        top, bottom, left, right = job.pixel_window(plan.grid)
        bands = []
        for band in plan.bands:
            self.meanwhile(band.uri)
            bands.append(_current(self.objects, band.uri).pixels(band.band)[top:bottom, left:right])
        shape = (bottom - top, right - left)
        if any(band.shape != shape for band in bands):
            raise TransientError("a file has another size than the plan says: it was replaced while it was read")
        return JobPixels(row=top, col=left, pixels=np.stack(bands).copy(), mask=None)


def _current(objects: Objects, uri: str) -> Band:
    try:
        return read_band(objects.get(uri))
    except ObjectMissingError as error:
        raise TransientError(f"{uri} was there, and is not any more") from error


def chips_of(plan: Plan, files: Sequence[Band]) -> tuple[NDArray[np.uint16], NDArray[np.bool_]]:
    """Cut every chip of a plan's grid in the plainest way: [N, C, size, size], and which have a valid pixel [N].

    ``files`` are those of the plan's bands, in their order.

    Shares nothing with tile: a canvas with a border of zeros, and one slice a chip.
    """
    size, grid = plan.model.entry.chip_size, plan.grid
    whole = np.stack([file.pixels(band.band) for band, file in zip(plan.bands, files, strict=True)])
    whole = np.where((whole != 0).all(axis=0), whole, 0)
    canvas = np.pad(whole, ((0, 0), (size, size), (size, size)))
    chips = np.stack([canvas[:, at.row + size : at.row + 2 * size, at.col + size : at.col + 2 * size] for at in grid])
    return chips, (chips[:, 0] != 0).any(axis=(1, 2))
