"""The one opener of every COG.

A GeoTIFF as it is, with nothing beside it, and no network trouble mistaken for a bad file.

What may be opened is decided by whoever uploads, so the file must not be able to name another: only GDAL's GTiff
driver, no overviews (the tag ``OVERVIEWS:OVERVIEW_FILE`` may name any dataset), no directory listing (sidecars:
``.ovr``, ``.msk``, ``.aux.xml``, world files) and georeferencing from the file's own tags alone.

GDAL opens a GeoTIFF whose index it could not fetch: tags are left out with a warning, and blocks of unknown place read
as nodata. So GDAL's warnings are listened to while a file is open.
"""

import logging
import threading
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import rasterio
from rasterio._err import CPLE_BaseError  # what is wrapped in nothing public
from rasterio.env import Env
from rasterio.errors import NotGeoreferencedWarning, RasterioIOError
from rasterio.session import DummySession

from clayline.chips.cog import CogSource
from clayline.chips.workers import WORKERS
from clayline.errors import SceneError, TransientError
from clayline.run.access import AS_OURS, Access

_REMOTE = "/vsis3/"
_MIB = 2**20
_NETWORK_SIGNS = ("HTTP error code", "CURL error", "HTTP response code", "Retrying again")
_GAP_SIGNS = ("IO error during reading", "Cannot read offset/size for strile")
_SHORT_SIGNS = (" bytes, expected ", "Seek error at")
_CUT_OFF_SIGNS = ("Cannot read TIFF header", "Failed to read directory", "Can not read TIFF directory")
# GDAL's error classes (CPLE_*), by which rasterio names its exceptions.
_MISSING = frozenset({"CPLE_AWSObjectNotFoundError", "CPLE_AWSBucketNotFoundError"})
_FORBIDDEN = frozenset({"CPLE_AWSAccessDeniedError"})
_NETWORK = frozenset(
    {"CPLE_HttpResponseError", "CPLE_AWSError", "CPLE_AWSInvalidCredentialsError", "CPLE_AWSSignatureDoesNotMatchError"}
)

# It comes of every file that is opened without its place. Silence for one file would be the whole process's too, and
# threads that each put it back would mix it up.
warnings.filterwarnings("ignore", category=NotGeoreferencedWarning)


@dataclass(frozen=True, kw_only=True, slots=True)
class ReadSettings:
    """How GDAL reads."""

    threads: int = WORKERS
    """Threads that decode blocks, and files that are read at once."""
    cache_bytes: int = 64 * _MIB
    """GDAL's block cache. A read of whole blocks hardly uses it."""
    max_block_bytes: int = 128 * _MIB
    """Largest decoded block (all bands of it, where they are interleaved by pixel) that is accepted: GDAL decodes
    blocks as wholes."""
    retries: int = 3
    """Repetitions of one HTTP request, after 0.5, 1, 2 s and so on."""
    patience_seconds: int = 20
    """How long a connection may take, or stall below 1 kB/s."""
    access: Access = AS_OURS
    """Who pays, and where buckets are."""

    def gdal_options(self, source: CogSource) -> dict[str, Any]:
        """Give GDAL's configuration for reading a file."""
        bucket = source.path.removeprefix(_REMOTE).partition("/")[0] if is_remote(source) else ""
        payer = {"AWS_REQUEST_PAYER": "requester"} if bucket in self.access.requester_pays else {}
        region = self.access.regions.get(bucket)
        return {
            **payer,
            **({"AWS_DEFAULT_REGION": region} if region else {}),  # GDAL heeds it before AWS_REGION; Lambda sets both
            "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
            "GDAL_PAM_ENABLED": "NO",
            "GDAL_NUM_THREADS": str(self.threads),
            "GDAL_CACHEMAX": self.cache_bytes,
            # A function's process outlives its invocation; the object may be replaced in between.
            "CPL_VSIL_CURL_NON_CACHED": _REMOTE,
            "VSI_CACHE": "NO",
            "GDAL_INGESTED_BYTES_AT_OPEN": "32768",
            "GDAL_HTTP_MAX_RETRY": str(self.retries),
            "GDAL_HTTP_RETRY_DELAY": "0.5",
            "GDAL_HTTP_CONNECTTIMEOUT": str(self.patience_seconds),
            "GDAL_HTTP_LOW_SPEED_TIME": str(self.patience_seconds),
            "GDAL_HTTP_LOW_SPEED_LIMIT": "1024",
        }


class Watch(logging.Handler):
    """What GDAL warned of in this thread while a file was open."""

    def __init__(self) -> None:
        """Start with nothing seen."""
        super().__init__(level=logging.WARNING)
        self._thread = threading.get_ident()
        self.network = False
        """Whether an HTTP request failed, be it only once."""
        self.gap = False
        """Whether a part of the file's index could not be read."""

    def emit(self, record: logging.LogRecord) -> None:
        """Note what a warning is about."""
        if record.thread == self._thread:
            message = record.getMessage()
            self.network |= any(sign in message for sign in _NETWORK_SIGNS)
            self.gap |= any(sign in message for sign in _GAP_SIGNS)


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenCog:
    """An open file."""

    dataset: Any
    """rasterio's DatasetReader."""
    watch: Watch


@contextmanager
def open_cog(
    source: CogSource,
    settings: ReadSettings,
    *,
    header_only: bool = False,
    directory: int | None = None,
    placed: bool = True,
) -> Iterator[OpenCog]:
    """Open a COG, for as long as the context lasts: its image, or the image in another ``directory`` of it, a mask.

    ``OVERVIEW_LEVEL=NONE`` keeps decimated reads from overviews, but GDAL then hides the bands' descriptions. So
    ``header_only`` leaves it out, and who asks for that must neither read pixels nor ask for overviews.

    Who knows already where the file lies lets it be opened without: not ``placed``. Each thread has a PROJ of its own,
    and finding a CRS by it costs as much as decoding a block.

    Raises SceneError (``empty-object``, ``source-missing``, ``source-forbidden``, ``truncated``, ``not-a-geotiff``) and
    TransientError.
    """
    if source.size == 0:
        msg = f"{source.uri} is empty (0 bytes). Deliver the whole file again."
        raise SceneError(msg, reason="empty-object")
    options = {"GEOREF_SOURCES": "INTERNAL" if placed else "NONE"}
    options |= {} if header_only else {"OVERVIEW_LEVEL": "NONE"}
    watch = Watch()
    logger = logging.getLogger("rasterio")
    logger.addHandler(watch)
    try:
        # DummySession: GDAL takes credentials from the environment itself; rasterio would import boto3 for them.
        with Env(DummySession(), **settings.gdal_options(source)):
            try:
                dataset = _open(source.path, directory, options)
            except RasterioIOError as error:
                raise _explained(source, error, watch) from error
            with dataset:
                try:
                    yield OpenCog(dataset=dataset, watch=watch)
                except CPLE_BaseError as error:  # what GDAL finds wrong with a tag when it is first asked for it
                    if watch.network:
                        raise network_trouble(source, error) from error
                    msg = f"{source.uri}: its directory cannot be read ({error}). Deliver the whole file again."
                    raise SceneError(msg, reason="truncated") from error
    finally:
        logger.removeHandler(watch)


def _open(path: str, directory: int | None, options: Mapping[str, str]) -> Any:  # noqa: ANN401 - rasterio publishes no types
    """Open the image, or the one in another directory, which lies as the image lies and does not say so itself."""
    name = path if directory is None else f"GTIFF_DIR:{directory}:{path}"
    return rasterio.open(name, driver="GTiff", sharing=False, **options)


def is_remote(source: CogSource) -> bool:
    """Say whether a network lies between us and the file."""
    return source.path.startswith(_REMOTE)


def is_short(error: BaseException) -> bool:
    """Say whether a read failed because bytes did not come, and not because of what they are.

    Over a network GDAL does not always warn of that.
    """
    causes: list[BaseException] = [error]
    while cause := causes[-1].__cause__ or causes[-1].__context__:
        causes.append(cause)
    return any(sign in str(cause) for cause in causes for sign in _SHORT_SIGNS)


def network_trouble(source: CogSource, error: object) -> TransientError:
    """Make the error of a read that failed on its way."""
    msg = f"{source.uri} could not be read over the network: {error}. It is tried again."
    return TransientError(msg)


def forbidden(source: CogSource) -> SceneError:
    """Make the error of a file that we may not read."""
    msg = (
        f"{source.uri} may not be read (S3 also says so of a missing key to who may not list). Check the key and the"
        " bucket's policy."
    )
    return SceneError(msg, reason="source-forbidden")


def _explained(source: CogSource, error: RasterioIOError, watch: Watch) -> SceneError | TransientError:
    kind = type(error.__cause__ or error.__context__).__name__
    if kind in _MISSING or (not is_remote(source) and not Path(source.path).exists()):
        msg = f"{source.uri} does not exist (any more). Deliver it again."
        return SceneError(msg, reason="source-missing")
    if kind in _FORBIDDEN:
        return forbidden(source)
    if watch.network or kind in _NETWORK:
        return network_trouble(source, error)
    said = str(error).replace(source.path, source.uri)
    if any(sign in said for sign in _CUT_OFF_SIGNS):
        msg = (
            f"{source.uri} starts like a TIFF, but its directory cannot be read ({said}). Deliver the whole file again."
        )
        return SceneError(msg, reason="truncated")
    msg = f"{source.uri} cannot be opened as a GeoTIFF ({said}). Deliver the band as a Cloud Optimized GeoTIFF."
    return SceneError(msg, reason="not-a-geotiff")
