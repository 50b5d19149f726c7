"""What the use cases need from outside, each as the smallest protocol.

The adapters are in clayline.aws and clayline.raster.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from clayline.chips.reading import NOTHING, Reading
from clayline.errors import ClaylineError, TransientError

if TYPE_CHECKING:  # settle has these ports and neither numpy nor rasters in its layers
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from numpy.typing import NDArray

    from clayline.chips.batch import Job
    from clayline.chips.cog import CogHeader, CogSource
    from clayline.run.ledger import Invocation
    from clayline.run.plan import Plan


RUN_ID = "run-id"
"""Name in an object's metadata under which each run that wrote one stands."""


class ObjectMissingError(ClaylineError):
    """There is no object under this URI, or not with the ETag asked for."""


class ObjectTooLargeError(ClaylineError):
    """An object is larger than what was asked for; it was not read."""


class ObjectForbiddenError(TransientError):
    """There is an object, or none: we may not read it, until somebody lets us."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ObjectHead:
    """What HEAD says of an object."""

    uri: str
    size: int
    """Bytes."""
    etag: str
    """Without quotes."""
    metadata: Mapping[str, str]
    """User metadata, names in lower case."""

    @property
    def run(self) -> str | None:
        """The run that wrote it."""
        return self.metadata.get(RUN_ID)


class Ranges(Protocol):
    """Objects, of which parts are read."""

    def get_range(self, uri: str, *, start: int, stop: int, etag: str) -> bytes:
        """Give the bytes from ``start`` up to ``stop``, fewer where the object ends before.

        Raises ObjectMissingError, also where it has another ETag, ObjectForbiddenError, TransientError.
        """
        ...


class Objects(Protocol):
    """An object store with conditional writes."""

    def head(self, uri: str) -> ObjectHead:
        """Raises ObjectMissingError, ObjectForbiddenError."""
        ...

    def get(self, uri: str, *, most: int | None = None) -> bytes:
        """Give a whole object. Raises ObjectMissingError, and ObjectTooLargeError where it has over ``most`` bytes."""
        ...

    def put_new(self, uri: str, body: bytes | Path, *, run: str, content_type: str) -> bool:
        """Write if nothing is there; False if this run's object already is.

        Raises OutputConflictError if another's is.
        """
        ...


def is_there(objects: Objects, uri: str) -> bool:
    """Say whether there is an object. Raises ObjectForbiddenError, TransientError."""
    try:
        objects.head(uri)
    except ObjectMissingError:
        return False
    return True


class Requests(Protocol):
    """Where requests lie."""

    def discard(self, uris: Sequence[str]) -> None:
        """Take objects of one bucket away, those that are there. Raises TransientError."""
        ...


class PinnedObjects(Objects, Ranges, Protocol):
    """An object store of which parts can be read as they were."""


class Queue(Protocol):
    """One queue's sending end."""

    def send(self, bodies: Sequence[Mapping[str, Any]], *, delay: int = 0) -> None:
        """Send each body as JSON, to come ``delay`` seconds later, at most 900.

        All of them are accepted, or TransientError is raised.
        """
        ...


class Endpoint(Protocol):
    """The asynchronous endpoint."""

    def invoke(self, *, input_uri: str, inference_id: str) -> Invocation:
        """Start an inference and give the URIs where its output or its error will lie. Raises TransientError."""
        ...


class Announcer(Protocol):
    """The event bus."""

    def announce(self, detail_type: str, detail: Mapping[str, Any]) -> None:
        """Put one event. Raises TransientError."""
        ...


class Clock(Protocol):
    """Now, in UTC: injected, so that fault runs replay."""

    def __call__(self) -> datetime:
        """Give the moment."""
        ...


class Headers(Protocol):
    """What planning asks of rasters: headers, projections, and a look at some pixels."""

    def source(self, head: ObjectHead) -> CogSource:
        """Say where the reader finds this object."""
        ...

    def read_header(self, source: CogSource) -> CogHeader:
        """Raises SceneError or TransientError."""
        ...

    def sample(self, source: CogSource, header: CogHeader, bands: Sequence[int]) -> NDArray[Any]:
        """Read some pixels of ``bands`` (1-based), as the file has them: [C, n]. Raises SceneError, TransientError."""
        ...

    def to_lonlat(self, crs: str, xs: NDArray[Any], ys: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Project to longitude and latitude, degrees WGS84."""
        ...

    def is_same_crs(self, one: str, other: str) -> bool:
        """Say whether two CRSs place numbers alike, whatever they are called. Raises SceneError (``crs-unusable``)."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class JobPixels:
    """A job's pixels on the scene's finest grid."""

    row: int
    """Of the upper-left pixel in the scene."""
    col: int
    pixels: NDArray[Any]
    """[C, h, w] digital numbers as the files have them, in the order of the plan's bands."""
    mask: NDArray[Any] | None
    """[h, w] classes of the mask asset (SCL), if there is one."""
    unclassified: NDArray[Any] | None = None
    """[h, w] bool, where the mask asset has no pixel. None: nowhere."""
    masked: NDArray[Any] | None = None
    """[h, w] bool, where a mask or an alpha band of the files says that there is no value, or a file has no pixel.
    None: nowhere."""
    damaged: NDArray[Any] | None = None
    """[h, w] bool, where a band or a mask holds no value because its file is damaged. None: nowhere."""
    reading: Reading = NOTHING
    """What reading them took: blocks, bytes, requests."""


class Pixels(Protocol):
    """Reading pixels."""

    def read_job(self, plan: Plan, job: Job) -> JobPixels:
        """Read the job's pixels, each block decoded once.

        Raises BatchError if nothing can be read, or TransientError.
        """
        ...
