"""What is known of a Cloud Optimized GeoTIFF from its header alone."""

from dataclasses import dataclass, replace
from math import inf, radians, sin, sqrt

Affine = tuple[float, float, float, float, float, float]
"""a, b, c, d, e, f of x = a*col + b*row + c and y = d*col + e*row + f; (0, 0) is the upper-left corner of the
upper-left pixel."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CogSource:
    """Where a COG is."""

    path: str
    """What the raster library opens: ``/vsis3/bucket/key``, or an absolute local path."""
    uri: str
    """What messages call it, e.g. ``s3://bucket/key``."""
    size: int
    """Bytes."""
    etag: str | None = None
    """Of the object when it was found; None for a file on this machine."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MaskDirectory:
    """A file's own mask: an image of the same size in a directory of the file, where 0 says that there is no value."""

    directory: int
    """Number of the directory in the file, from 1, which is the image's."""
    band_count: int
    """1, for a mask of all bands, or that of the image's bands."""
    dtype: str
    block_height: int
    block_width: int
    pixel_interleaved: bool
    sparse: bool
    """Whether blocks are left out, which then read as 0."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CogHeader:
    """A usable COG: north-up or south-up, with a CRS, of a type and block size that can be read within bounds."""

    width: int
    """Pixels."""
    height: int
    """Pixels."""
    band_count: int
    dtype: str
    """numpy's name of the pixel type, one for all bands."""
    crs: str
    """``EPSG:n`` where that code means exactly this CRS, else WKT2."""
    epsg: int | None
    geographic: bool
    """Whether the CRS is of longitude and latitude, in degrees."""
    transform: Affine
    """North-up: b = d = 0, a > 0 > e. Units of the CRS. Where the file is ``flipped``, of its rows turned round."""
    nodata: float | None
    """The file's own declaration, which may be NaN or not representable in ``dtype``."""
    block_height: int
    """Rows of a tile or strip, pixels."""
    block_width: int
    """Columns of a tile or strip, pixels."""
    pixel_interleaved: bool
    """Whether a block holds all bands, so that decoding one band decodes all."""
    sparse: bool
    """Whether the index leaves blocks out, which then read as nodata."""
    descriptions: tuple[str | None, ...]
    """Band names in the file, where given."""
    tags: dict[str, str]
    """The dataset's metadata items of bounded length, e.g. ``TIFFTAG_DATETIME``."""
    pixel_size_m: float
    """The GSD, metres: side of the square that is as large as a pixel at the scene's centre. The map's own where that
    is within 1 % of the ground's, else the ground's (``georeference.measure_pixel``)."""
    colours: bool = False
    """Whether the file says that its numbers are places in a palette, or grey levels of which 0 is white."""
    flipped: bool = False
    """Whether the file's first row is the southernmost: its rows are turned round as they are read."""
    pixel_width_m: float = 0.0
    """From a pixel to the next of its row, on the ground at the scene's centre, metres. 0 in plans from before it was
    kept."""
    pixel_height_m: float = 0.0
    """From a pixel to the next of its column, likewise."""
    pixel_angle: float = 90.0
    """Between rows and columns on the ground, degrees."""
    scaling: tuple[tuple[float, float, str | None], ...] = ()
    """Of each band: scale, offset (quantity = scale x number + offset) and unit. Empty where no band says any."""
    shown: tuple[str | None, ...] = ()
    """As what each band is shown: red, green, blue, else None. Empty where no band is."""
    alpha: int | None = None
    """1-based number of the band that says how opaque a pixel is: 0 means that there is no value."""
    mask: MaskDirectory | None = None
    """The mask that the file carries. Files beside it, and what GDAL makes of nodata, are none."""

    def of_mask(self) -> "CogHeader":
        """Give the header of the file's own mask, which lies as the image lies. Raises ValueError if it has none."""
        if self.mask is None:
            msg = "the file carries no mask"
            raise ValueError(msg)
        return replace(
            self,
            band_count=self.mask.band_count,
            dtype=self.mask.dtype,
            block_height=self.mask.block_height,
            block_width=self.mask.block_width,
            pixel_interleaved=self.mask.pixel_interleaved,
            sparse=self.mask.sparse,
            nodata=None,
            descriptions=(),
            tags={},
            scaling=(),
            shown=(),
            alpha=None,
            mask=None,
        )

    @property
    def pixel_area(self) -> float:
        """Of one pixel, in square units of the CRS."""
        return abs(self.transform[0] * self.transform[4])

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """Left, bottom, right, top in units of the CRS."""
        a, _, c, _, e, f = self.transform
        return c, f + e * self.height, c + a * self.width, f


def stretch(width: float, height: float, angle: float) -> float:
    """Give how far from square a pixel is: the longest over the shortest way that a circle becomes in it.

    ``width`` and ``height`` are its sides in any unit, ``angle`` is between them, degrees. 1 is a square, and a
    rectangle has the ratio of its sides. The ratio r of the singular values of [[w, h cos], [0, h sin]], whose squares
    add up to w2 + h2 and whose product is w h sin, so that r + 1/r = (w2 + h2) / (w h sin).
    """
    area = width * height * sin(radians(angle))
    if area <= 0:
        return inf
    half = max(1.0, (width**2 + height**2) / area / 2)
    return half + sqrt(half**2 - 1)
