"""Real scenes to compare on, and chips cut from them."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import rasterio
from rasterio.warp import transform
from rasterio.windows import Window

from clay.chips import Chips
from clay.scene import BUNDLED, ROOT, Scene
from clayline.scene.acquisition import place_vector, time_vector

if TYPE_CHECKING:
    import numpy.typing as npt

SHARED: Final = ROOT.parent / "shared" / "data"
_MSI: Final = ("blue", "green", "red", "rededge1", "rededge2", "rededge3", "nir", "nir08", "swir16", "swir22")
_MSI_FILES: Final = dict(zip(_MSI, ("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12"), strict=True))
_OLI: Final = {"red": 4, "green": 3, "blue": 2, "nir08": 5, "swir16": 6, "swir22": 7}
SCENES: Final = {
    "itaipu": BUNDLED,
    "colombia": Scene(
        folder=SHARED / "landsat8_colombia_2019",
        sensor="landsat-c2l2-sr",
        moment="2019-12-01T15:21Z",
        gsd=445,
        files={
            band: (f"LC08_L2SP_008059_20191201_20200825_02_T1_SR_B{number}.TIF", 1) for band, number in _OLI.items()
        },
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
        files={
            band: ("m_4709963_se_14_1_20200831.tif", number)
            for number, band in enumerate(("red", "green", "blue", "nir"), 1)
        },
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
        latlon=np.array(
            [place_vector(lon, lat, order="lonlat") for lon, lat in zip(lons, lats, strict=True)], np.float32
        ),
    )


def _read(scene: Scene, band: str, corner: tuple[int, int], chip_size: int, width: int) -> npt.NDArray[Any]:
    file, number = scene.files[band]
    with rasterio.open(scene.folder / file, driver="GTiff") as source:
        zoom = width // source.width
        top, left = (edge // zoom for edge in corner)
        window = Window(left, top, chip_size // zoom, chip_size // zoom)
        pixels: npt.NDArray[Any] = source.read(number, window=window, boundless=True, fill_value=0)
    return pixels.repeat(zoom, axis=0).repeat(zoom, axis=1)
