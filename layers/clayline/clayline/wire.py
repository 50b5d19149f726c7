"""Request and response objects of the endpoint, as docs/wire.md specifies them."""

import json
import re
import struct
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import safetensors
import safetensors.numpy
from numpy.typing import NDArray

from clayline.errors import WireError

CONTENT_TYPE = "application/x-safetensors"
MAX_HEADER_BYTES = 100_000
STATUS_GOOD = 0
STATUS_NON_FINITE = 1
_ATTEMPT = re.compile(r"[1-9][0-9]{0,5}\Z")


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchHeader:
    """What names a batch and the model that computes it."""

    run: str
    batch: str
    attempt: int
    folder: str
    token: str
    digest: str

    def metadata(self, kind: str) -> dict[str, str]:
        """Give the safetensors metadata of a ``request/1`` or ``response/1``."""
        return {
            "clayline": kind,
            "run": self.run,
            "batch": self.batch,
            "attempt": str(self.attempt),
            "folder": self.folder,
            "token": self.token,
            "digest": self.digest,
        }

    @classmethod
    def from_metadata(cls, metadata: dict[str, str], kind: str) -> Self:
        """Read a header back. Raises WireError if it is another kind or lacks a value."""
        if metadata.get("clayline") != kind:
            msg = f"expected a {kind} object, its metadata says {metadata.get('clayline')!r}"
            raise WireError(msg)
        try:
            if not _ATTEMPT.match(metadata["attempt"]):
                msg = f"attempt {metadata['attempt']!r}"
                raise ValueError(msg)
            return cls(attempt=int(metadata["attempt"]), **{name: metadata[name] for name in ("run", "batch", "folder", "token", "digest")})
        except (KeyError, ValueError) as error:
            msg = f"{kind} metadata lacks or garbles {error}"
            raise WireError(msg) from error


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """Chips of one batch on their way to the endpoint."""

    header: BatchHeader
    index: NDArray[np.int64]
    """[N], ascending window numbers."""
    inputs: dict[str, NDArray[Any]]
    """``pixels`` [N, C, H, W] in the entry's dtype, and where the entry takes them ``time`` and ``latlon``, both [N, 4] float32."""

    def to_bytes(self) -> bytes:
        """Serialise."""
        return _write({"index": self.index, **self.inputs}, self.header.metadata("request/1"))

    @classmethod
    def from_bytes(cls, body: bytes) -> Self:
        """Parse and check shapes against each other. Raises WireError."""
        metadata, tensors = _read(body)
        header = BatchHeader.from_metadata(metadata, "request/1")
        index = _take(tensors, "index", np.int64, 1)
        if "pixels" not in tensors or tensors["pixels"].ndim != 4:  # noqa: PLR2004 - [N, C, H, W]
            msg = f"batch {header.batch} of run {header.run}: `pixels` is missing or not [N, C, H, W]"
            raise WireError(msg)
        if not len(index) or any(tensor.shape[:1] != index.shape for tensor in tensors.values()):
            msg = f"batch {header.batch} of run {header.run}: tensors must all have one N of at least 1"
            raise WireError(msg)
        return cls(header=header, index=index, inputs=tensors)


@dataclass(frozen=True, kw_only=True, slots=True)
class Response:
    """What the endpoint made of a batch."""

    header: BatchHeader
    index: NDArray[np.int64]
    """[N], the request's."""
    embeddings: NDArray[np.float32]
    """[N, D]; zeros where ``status`` is not 0."""
    status: NDArray[np.uint8]
    """[N], 0 good, 1 non-finite."""
    loss: NDArray[np.float32] | None
    """[N], or None for a model without a loss."""
    loss_metric: str | None
    """Name of the loss, None together with it."""

    def to_bytes(self) -> bytes:
        """Serialise."""
        tensors: dict[str, NDArray[Any]] = {"index": self.index, "embeddings": self.embeddings, "status": self.status}
        if self.loss is not None:
            tensors["loss"] = self.loss
        return _write(tensors, {**self.header.metadata("response/1"), "loss_metric": self.loss_metric or ""})

    @classmethod
    def from_bytes(cls, body: bytes) -> Self:
        """Parse and check shapes against each other. Raises WireError."""
        metadata, tensors = _read(body)
        header = BatchHeader.from_metadata(metadata, "response/1")
        index = _take(tensors, "index", np.int64, 1)
        embeddings = _take(tensors, "embeddings", np.float32, 2)
        status = _take(tensors, "status", np.uint8, 1)
        loss = _take(tensors, "loss", np.float32, 1) if "loss" in tensors else None
        metric = metadata.get("loss_metric") or None
        if (loss is None) != (metric is None) or {len(embeddings), len(status), len(index) if loss is None else len(loss)} != {len(index)}:
            msg = f"batch {header.batch} of run {header.run}: response tensors do not fit each other"
            raise WireError(msg)
        return cls(header=header, index=index, embeddings=embeddings, status=status, loss=loss, loss_metric=metric)


def _write(tensors: dict[str, NDArray[Any]], metadata: dict[str, str]) -> bytes:
    # The library writes a view's memory in the order in which it lies, without an error: wrong pixels.
    return safetensors.numpy.save({name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}, metadata=metadata)


def _read(body: bytes) -> tuple[dict[str, str], dict[str, NDArray[Any]]]:
    """Split a safetensors file into its metadata and its tensors."""
    if len(body) < 8 or not 2 <= (length := struct.unpack("<Q", body[:8])[0]) <= min(MAX_HEADER_BYTES, len(body) - 8):  # noqa: PLR2004 - u64 header length
        msg = "not a safetensors file, or its header is too large"
        raise WireError(msg)
    try:
        metadata = json.loads(body[8 : 8 + length]).get("__metadata__") or {}  # the library takes null, too
        return metadata, safetensors.numpy.load(body)
    except (safetensors.SafetensorError, ValueError, AttributeError, KeyError, RecursionError) as error:
        msg = f"not a valid safetensors file: {error}"
        raise WireError(msg) from error


def _take(tensors: dict[str, NDArray[Any]], name: str, dtype: type[np.generic], ndim: int) -> NDArray[Any]:
    tensor = tensors.pop(name, None)
    if tensor is None or tensor.dtype != dtype or tensor.ndim != ndim:
        msg = f"tensor {name} is missing, or not {np.dtype(dtype).name} of {ndim} dimension(s)"
        raise WireError(msg)
    return tensor
