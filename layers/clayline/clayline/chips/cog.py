"""What is known of a Cloud Optimized GeoTIFF from its header alone."""

from dataclasses import dataclass

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
class CogHeader:
    """A usable COG: north-up, with a CRS, of a type and block size that can be read within bounds."""

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
    """North-up: b = d = 0, a > 0 > e. Units of the CRS."""
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
    """Side of a pixel in metres: geometric mean of its two sides, at the scene's centre where the CRS is geographic."""
    scaling: tuple[tuple[float, float, str | None], ...] = ()
    """Of each band: scale, offset (quantity = scale x number + offset) and unit. Empty where no band says any."""

    @property
    def pixel_area(self) -> float:
        """Of one pixel, in square units of the CRS."""
        return abs(self.transform[0] * self.transform[4])

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """Left, bottom, right, top in units of the CRS."""
        a, _, c, _, e, f = self.transform
        return c, f + e * self.height, c + a * self.width, f
