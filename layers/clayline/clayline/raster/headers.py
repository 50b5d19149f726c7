"""Headers: is this a COG that can be worked with, and where does it lie. No pixel is decoded."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.enums import ColorInterp, MaskFlags

from clayline.chips.cog import CogHeader, CogSource, MaskDirectory
from clayline.errors import SceneError
from clayline.ports import ObjectHead, Ranges
from clayline.raster import projection
from clayline.raster.blocks import check_size, is_pixel_interleaved, is_sparse
from clayline.raster.cog import ReadSettings, is_remote, network_trouble, open_cog
from clayline.raster.directory import look
from clayline.raster.georeference import check_has_grid, measure_pixel, read_crs, read_transform
from clayline.raster.sample import read_sample
from clayline.run.keys import parse_s3_uri
from clayline.run.names import AS_THEY_LIE, Names

_MAX_DIRECTORIES = 32
_MAX_TAGS = 64
_MAX_TAG_CHARACTERS = 256
_MAX_UNIT_CHARACTERS = 32
MAX_CRS_CHARACTERS = 16_384
"""Of a CRS in words: it stands in the plan once for each band."""
_COLOURS = frozenset({ColorInterp.red, ColorInterp.green, ColorInterp.blue})
_CONTROL = re.compile("[\x00-\x1f\x7f]")


@dataclass(frozen=True, kw_only=True)
class GdalHeaders:
    """The port Headers, by GDAL."""

    settings: ReadSettings = field(default_factory=ReadSettings)
    names: Names = AS_THEY_LIE
    """What messages call the objects."""
    objects: Ranges | None = None
    """Where directories are looked at before GDAL opens them; None where all files are on this machine."""

    def source(self, head: ObjectHead) -> CogSource:
        """Say where GDAL finds an object. Raises SceneError (``unusable-key``)."""
        return replace(s3_source(head.uri, head.size, self.names), etag=head.etag)

    def read_header(self, source: CogSource) -> CogHeader:
        """Look at the file's directories, then read the header: see ``read_header``, whose errors it raises."""
        look(source, self.objects)
        return read_header(source, self.settings)

    def sample(self, source: CogSource, header: CogHeader, bands: Sequence[int]) -> NDArray[Any]:
        """Read some pixels: see ``read_sample``."""
        return read_sample(source, header, bands, self.settings)

    def to_lonlat(
        self, crs: str, xs: NDArray[Any], ys: NDArray[Any]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Project to longitude and latitude: see ``projection.to_lonlat``."""
        return projection.to_lonlat(crs, xs, ys)

    def is_same_crs(self, one: str, other: str) -> bool:
        """Compare two CRSs: see ``projection.is_same``."""
        return projection.is_same(one, other)


def s3_source(uri: str, size: int, names: Names = AS_THEY_LIE) -> CogSource:
    """Say where GDAL finds the object ``s3://bucket/key`` of ``size`` bytes. Raises SceneError (``unusable-key``)."""
    bucket, key = parse_s3_uri(uri)
    if {".", ".."} & set(key.split("/")):
        msg = (
            f"{names.of(uri)}: its key has a part `.` or `..`, which HTTP clients resolve to another key. Give it a"
            " plain key."
        )
        raise SceneError(msg, reason="unusable-key")
    if _CONTROL.search(key):  # GDAL would open what stands before a NUL
        msg = f"{names.of(uri)!r}: its key has a control character. Give it a plain key."
        raise SceneError(msg, reason="unusable-key")
    return CogSource(path=f"/vsis3/{bucket}/{key}", uri=names.of(uri), size=size)


def read_header(source: CogSource, settings: ReadSettings) -> CogHeader:
    """Read and check a COG's header. Who did not make the file looks at its directories first (``GdalHeaders``).

    Raises SceneError, with reason ``empty-object``, ``source-missing``, ``source-forbidden``, ``not-a-geotiff``,
    ``truncated``, ``unusable-mask``, ``gcp-only``, ``rpc-only``, ``no-crs``, ``crs-unusable``, ``no-transform``,
    ``rotated``, ``too-large``, ``block-too-large`` or ``unsupported-dtype``, and TransientError. Over a network, what
    looks like a bad file is looked at twice: a response cut short leaves no other trace.
    """
    try:
        return _read_once(source, settings)
    except SceneError:
        if not is_remote(source):
            raise
    return _read_once(source, settings)


def _read_once(source: CogSource, settings: ReadSettings) -> CogHeader:
    with open_cog(source, settings, header_only=True) as opened:
        try:
            header = _header(source, opened.dataset, settings)
            masked = _is_masked(opened.dataset)
        except UnicodeDecodeError as error:
            msg = (
                f"{source.uri}: its band descriptions are not UTF-8 ({error.reason}). Write the bands' names anew, e.g."
                " with rasterio's set_band_description."
            )
            raise SceneError(msg, reason="unreadable-text") from error
        except SceneError as error:
            if opened.watch.network:
                raise network_trouble(source, error) from error
            raise
        if opened.watch.gap and opened.watch.network:
            raise network_trouble(source, "a part of the header was not delivered")
        if opened.watch.gap:
            msg = f"{source.uri}: its directory names tags beyond the end of the file. Deliver the whole file again."
            raise SceneError(msg, reason="truncated")
    return replace(header, mask=_mask(source, header, settings)) if masked else header


def _header(source: CogSource, dataset: Any, settings: ReadSettings) -> CogHeader:  # noqa: ANN401 - rasterio publishes no types
    check_size(source, dataset, settings)
    check_has_grid(source, dataset)
    crs, epsg = read_crs(source, dataset)
    if len(crs) > MAX_CRS_CHARACTERS:
        msg = (
            f"{source.uri}: its CRS in words has {len(crs)} characters; the limit is {MAX_CRS_CHARACTERS}. Write a CRS"
            " with an EPSG code."
        )
        raise SceneError(msg, reason="crs-unusable")
    transform, flipped = read_transform(source, dataset)
    try:
        pixel = measure_pixel(crs, transform, width=dataset.width, height=dataset.height)
    except SceneError as error:
        raise SceneError(f"{source.uri}: {error.message}", reason=error.reason) from error
    (block_height, block_width), *_ = dataset.block_shapes
    return CogHeader(
        width=dataset.width,
        height=dataset.height,
        band_count=dataset.count,
        dtype=dataset.dtypes[0],
        crs=crs,
        epsg=epsg,
        geographic=projection.is_geographic(crs),
        transform=transform,
        nodata=None if dataset.nodata is None else float(dataset.nodata),
        block_height=block_height,
        block_width=block_width,
        pixel_interleaved=is_pixel_interleaved(dataset),
        sparse=is_sparse(source, dataset),
        descriptions=tuple(
            text if text is None or len(text) <= _MAX_TAG_CHARACTERS else None for text in dataset.descriptions
        ),
        tags=_tags(dataset),
        pixel_size_m=pixel.size,
        colours=_are_colours(dataset),
        flipped=flipped,
        pixel_width_m=pixel.width,
        pixel_height_m=pixel.height,
        pixel_angle=pixel.angle,
        scaling=_scaling(dataset),
        shown=_shown(dataset),
        alpha=next((n for n, meant in enumerate(dataset.colorinterp, start=1) if meant is ColorInterp.alpha), None),
    )


def _are_colours(dataset: Any) -> bool:  # noqa: ANN401
    """Say whether numbers stand for colours, or for grey levels the wrong way round."""
    inverted = dataset.tags(ns="IMAGE_STRUCTURE").get("MINISWHITE") == "YES"
    return inverted or ColorInterp.palette in dataset.colorinterp


def _shown(dataset: Any) -> tuple[str | None, ...]:  # noqa: ANN401
    """Give the colour of each band that is shown in one."""
    shown = tuple(meant.name if meant in _COLOURS else None for meant in dataset.colorinterp)
    return shown if any(shown) else ()


def _is_masked(dataset: Any) -> bool:  # noqa: ANN401
    """Say whether the file carries a mask of its own: for all bands, or, which GDAL gives no flag, for each."""
    return any(set(flags) in ({MaskFlags.per_dataset}, set()) for flags in dataset.mask_flag_enums)


def _mask(source: CogSource, header: CogHeader, settings: ReadSettings) -> MaskDirectory:
    """Find the directory of the file's own mask: an image of one bit, or else one byte, a pixel, of the file's size.

    Raises SceneError (``unusable-mask``, ``truncated``, ``block-too-large``) and TransientError.
    """
    of_bytes = None
    for directory in range(2, _MAX_DIRECTORIES + 1):
        try:
            with open_cog(source, settings, header_only=True, directory=directory) as opened:
                dataset = opened.dataset
                is_alike = (dataset.width, dataset.height) == (header.width, header.height)
                if not is_alike or dataset.count not in {1, header.band_count} or dataset.dtypes[0] != "uint8":
                    continue
                check_size(source, dataset, settings)
                (block_height, block_width), *_ = dataset.block_shapes
                found = MaskDirectory(
                    directory=directory,
                    band_count=dataset.count,
                    dtype=dataset.dtypes[0],
                    block_height=block_height,
                    block_width=block_width,
                    pixel_interleaved=is_pixel_interleaved(dataset),
                    sparse=is_sparse(source, dataset),
                )
                if dataset.tags(1, ns="IMAGE_STRUCTURE").get("NBITS") == "1":
                    return found
                of_bytes = of_bytes or found
        except SceneError as error:
            if error.reason != "not-a-geotiff":
                raise
            break  # there is no such directory
    if of_bytes is None:
        msg = (
            f"{source.uri} carries a mask of its own that cannot be found in its first {_MAX_DIRECTORIES} directories."
            " Rewrite it as a COG, whose mask follows the image."
        )
        raise SceneError(msg, reason="unusable-mask")
    return of_bytes


def _tags(dataset: Any) -> dict[str, str]:  # noqa: ANN401
    """Give the metadata items that a header may hold.

    A file's own can be megabytes long and would travel with every plan.
    """
    items = sorted((str(name), str(value)) for name, value in dataset.tags().items())
    return dict([item for item in items if sum(map(len, item)) <= _MAX_TAG_CHARACTERS][:_MAX_TAGS])


def _scaling(dataset: Any) -> tuple[tuple[float, float, str | None], ...]:  # noqa: ANN401
    """Give scale, offset and unit of each band, if any says one; a unit of bounded length."""
    units = [(unit or "")[:_MAX_UNIT_CHARACTERS] or None for unit in dataset.units]
    found = tuple(zip(map(float, dataset.scales), map(float, dataset.offsets), units, strict=True))
    return () if set(found) <= {(1.0, 0.0, None)} else found
