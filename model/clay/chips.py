"""Chips to compare on: drawn afresh, over all that a sensor's numbers can be, or cut from real scenes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import rasterio
from rasterio.warp import transform
from rasterio.windows import Window

from clay.sensor import find_sensor
from clayline.acquisition import place_vector, time_vector

if TYPE_CHECKING:
    import numpy.typing as npt

    from clay.sensor import BandSet

ROOT: Final = Path(__file__).resolve().parents[2]
ITAIPU: Final = ROOT / "samples" / "landsat8_itaipu_2020"
SHARED: Final = ROOT.parent / "shared" / "data"


@dataclass(frozen=True, kw_only=True, slots=True)
class Chips:
    """What an entry takes, except that a decibel sensor's numbers are linear power here too."""

    pixels: npt.NDArray[Any]
    """[N, C, side, side] in the sensor's type."""
    time: npt.NDArray[np.float32]
    """[N, 4]."""
    latlon: npt.NDArray[np.float32]
    """[N, 4]."""

    @property
    def feed(self) -> dict[str, npt.NDArray[Any]]:
        """By the graphs' names."""
        return {"pixels": self.pixels, "time": self.time, "latlon": self.latlon}


def random_chips(bands: BandSet, *, chip_size: int, count: int, generator: np.random.Generator) -> Chips:
    """Draw chips that are, in turn, plausible (the training statistics, structured) and extreme (the whole range, flat parts)."""
    shape = (len(bands.bands), chip_size, chip_size)
    pixels = np.stack([(_extreme if chip % 2 else _plausible)(bands, shape, generator) for chip in range(count)])
    moments = [datetime.fromisoformat(f"20{generator.integers(13, 26)}-{generator.integers(1, 13):02}-15T12:00Z") for _ in range(count)]
    places = [(generator.uniform(-180, 180), generator.uniform(-85, 85)) for _ in range(count)]
    return Chips(
        pixels=pixels,
        time=np.array([time_vector(moment, hour="noon") for moment in moments], np.float32),
        latlon=np.array([place_vector(lon, lat, order="lonlat") for lon, lat in places], np.float32),
    )


def _plausible(bands: BandSet, shape: tuple[int, ...], generator: np.random.Generator) -> npt.NDArray[Any]:
    coarse = generator.normal(0, 1, (shape[0], shape[1] // 8, shape[2] // 8)).repeat(8, axis=1).repeat(8, axis=2)
    mean, std = (np.array(each).reshape(-1, 1, 1) for each in (bands.mean, bands.std))
    values = mean + std * (0.8 * coarse + 0.6 * generator.normal(0, 1, shape))
    return _typed(bands, 10 ** (values / 10) if bands.decibel else values)


def _extreme(bands: BandSet, shape: tuple[int, ...], generator: np.random.Generator) -> npt.NDArray[Any]:
    low, high = (-28672.0, 32767.0) if bands.dtype == "float32" else (0.0, float(np.iinfo(bands.dtype).max))
    values = generator.uniform(low, high, shape)
    if bands.decibel:
        low, high = -1.0, 1e4
        values = 10 ** generator.uniform(-12, 4, shape)
    half = shape[1] // 2
    values[:, :half, :half], values[:, half:, :half] = low, high
    values[:, :half, half : half + 8] = 0
    return _typed(bands, values)


def _typed(bands: BandSet, values: npt.NDArray[np.float64]) -> npt.NDArray[Any]:
    if bands.dtype == "float32":
        return values.astype(np.float32) if bands.decibel else np.rint(values).astype(np.float32)
    return np.clip(np.rint(values), 0, np.iinfo(bands.dtype).max).astype(bands.dtype)


@dataclass(frozen=True, kw_only=True, slots=True)
class Scene:
    """A real scene as it lies on disk."""

    folder: Path
    sensor: str
    moment: str
    """ISO 8601."""
    gsd: float
    """Metres."""
    files: dict[str, tuple[str, int]]
    """By band: file and the band's number in it. The first file's pixels are the grid; another's may be twice as large."""
    decibel: bool = False
    """Whether its numbers are decibels, though Clay's are made from linear power."""

    @property
    def bands(self) -> BandSet:
        """The sensor with the bands that the scene has, in their order here, at its pixel size."""
        return find_sensor(self.sensor).select(tuple(self.files)).model_copy(update={"gsd": self.gsd})


_MSI: Final = ("blue", "green", "red", "rededge1", "rededge2", "rededge3", "nir", "nir08", "swir16", "swir22")
_MSI_FILES: Final = dict(zip(_MSI, ("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12"), strict=True))
_OLI: Final = {"red": 4, "green": 3, "blue": 2, "nir08": 5, "swir16": 6, "swir22": 7}
SCENES: Final = {
    "itaipu": Scene(
        folder=ITAIPU,
        sensor="landsat-c2l1",
        moment="2020-05-18T13:36Z",
        gsd=30,
        files={band: (f"B{_OLI[band]}.tif", 1) for band in ("red", "green", "blue")},
    ),
    "colombia": Scene(
        folder=SHARED / "landsat8_colombia_2019",
        sensor="landsat-c2l2-sr",
        moment="2019-12-01T15:21Z",
        gsd=445,
        files={band: (f"LC08_L2SP_008059_20191201_20200825_02_T1_SR_B{number}.TIF", 1) for band, number in _OLI.items()},
    ),
    "aquileia": Scene(
        folder=SHARED / "s2_aquileia_2019",
        sensor="sentinel-2-l2a",
        moment="2019-04-16T10:10Z",
        gsd=14,
        files={band: ("S2_L2A_aquileia_20190416.tif", number) for number, band in enumerate(_MSI, 1)},
    ),
    "sahara": Scene(
        folder=SHARED / "s2_29RKH_sahara_2020",
        sensor="sentinel-2-l2a",
        moment="2020-02-19T11:19Z",
        gsd=100,
        files={band: (f"{file}.tif", 1) for band, file in _MSI_FILES.items()},
    ),
    "ireland": Scene(  # has no B08
        folder=SHARED / "s2_29UNU_ireland_2022_60m",
        sensor="sentinel-2-l2a",
        moment="2022-10-05T11:49Z",
        gsd=60,
        files={band: (f"{file}.tif", 1) for band, file in _MSI_FILES.items() if band != "nir"},
    ),
    "dakota": Scene(
        folder=SHARED / "naip_north_dakota",
        sensor="naip",
        moment="2020-08-31T18:00Z",
        gsd=5,
        files={band: ("m_4709963_se_14_1_20200831.tif", number) for number, band in enumerate(("red", "green", "blue", "nir"), 1)},
    ),
    "spain": Scene(
        folder=SHARED / "s1_spain_2019",
        sensor="sentinel-1-rtc",
        moment="2019-09-18T06:00Z",
        gsd=10,
        files={"vv": ("Spain_7370579_S1Hand.tif", 1), "vh": ("Spain_7370579_S1Hand.tif", 2)},
        decibel=True,
    ),
}


def real_chips(scene: Scene, *, chip_size: int) -> Chips:
    """Cut two: the scene's middle, and its lower right corner, of which a quarter lies outside and is zeros."""
    with rasterio.open(scene.folder / next(iter(scene.files.values()))[0], driver="GTiff") as grid:
        height, width, affine, crs = grid.height, grid.width, grid.transform, grid.crs
    corners = [((height - chip_size) // 2, (width - chip_size) // 2), (height - chip_size // 2, width - chip_size // 2)]
    xs, ys = zip(*(affine @ (left + chip_size / 2, top + chip_size / 2) for top, left in corners), strict=True)
    lons, lats = transform(crs, "EPSG:4326", xs, ys)
    pixels = np.stack([[_read(scene, band, corner, chip_size, width) for band in scene.files] for corner in corners])
    if scene.decibel:
        pixels = np.where(pixels == 0, 0, 10 ** (pixels / 10))
    return Chips(
        pixels=pixels.astype(scene.bands.dtype),
        time=np.array([time_vector(datetime.fromisoformat(scene.moment), hour="noon")] * len(corners), np.float32),
        latlon=np.array([place_vector(lon, lat, order="lonlat") for lon, lat in zip(lons, lats, strict=True)], np.float32),
    )


def _read(scene: Scene, band: str, corner: tuple[int, int], chip_size: int, width: int) -> npt.NDArray[Any]:
    file, number = scene.files[band]
    with rasterio.open(scene.folder / file, driver="GTiff") as source:
        zoom = width // source.width
        top, left = (edge // zoom for edge in corner)
        window = Window(left, top, chip_size // zoom, chip_size // zoom)
        pixels: npt.NDArray[Any] = source.read(number, window=window, boundless=True, fill_value=0)
    return pixels.repeat(zoom, axis=0).repeat(zoom, axis=1)
