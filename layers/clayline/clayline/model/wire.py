"""Request and response objects of the endpoint, as docs/wire.md specifies them."""

import hashlib
import json
import math
import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, BinaryIO, Final, Protocol, Self

import numpy as np
import safetensors
import safetensors.numpy
from numpy.typing import NDArray

from clayline.errors import WireError

CONTENT_TYPE = "application/x-safetensors"
MAX_HEADER_BYTES = 100_000
STATUS_GOOD = 0
STATUS_NON_FINITE = 1
_DTYPES: Final = MappingProxyType(
    {
        "BOOL": "?",
        "U8": "u1",
        "I8": "i1",
        "U16": "<u2",
        "I16": "<i2",
        "F16": "<f2",
        "U32": "<u4",
        "I32": "<i4",
        "F32": "<f4",
    }
    | {"U64": "<u8", "I64": "<i8", "F64": "<f8"}
)
_LONGEST_SECONDS: Final = 3_600
"""That SageMaker lets a request compute."""
_INVALID: Final = (safetensors.SafetensorError, ValueError, AttributeError, KeyError, RecursionError)


class Tensor(Protocol):
    """A request's input: an array, or one that still lies in a file."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the whole tensor."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of an element."""

    def __getitem__(self, chips: slice, /) -> NDArray[Any]:
        """Give consecutive chips."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FileTensor:
    """A tensor in a file, of which memory holds only what is asked for.

    A large request never lies in memory as a whole.
    """

    file: BinaryIO
    offset: int
    """Of its first byte in the file."""
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def __getitem__(self, chips: slice, /) -> NDArray[Any]:
        """Read consecutive chips. Raises WireError when the file ends before them."""
        start, stop, _ = chips.indices(self.shape[0])
        part = np.empty((max(stop - start, 0), *self.shape[1:]), self.dtype)
        # Read, not mapped: pages of a mapping stay in the process until it is closed. Positioned: threads may share the
        # file.
        place, rest = (
            self.offset + start * (part.nbytes // max(len(part), 1)),
            memoryview(part.reshape(-1).view(np.uint8)),
        )
        while rest.nbytes:
            if not (count := os.preadv(self.file.fileno(), [rest], place)):
                msg = f"the request's file ends before byte {place + rest.nbytes}"
                raise WireError(msg)
            place, rest = place + count, rest[count:]
        return part


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchHeader:
    """What names a batch and the model that computes it."""

    run: str
    batch: str
    folder: str
    token: str
    digest: str

    def metadata(self, kind: str) -> dict[str, str]:
        """Give the safetensors metadata of a ``request/2`` or ``response/2``."""
        return {
            "clayline": kind,
            "run": self.run,
            "batch": self.batch,
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
            return cls(**{name: metadata[name] for name in ("run", "batch", "folder", "token", "digest")})
        except KeyError as error:
            msg = f"{kind} metadata lacks {error}"
            raise WireError(msg) from error


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """Chips of one batch on their way to the endpoint."""

    header: BatchHeader
    index: NDArray[np.int64]
    """[N], ascending window numbers."""
    inputs: Mapping[str, Tensor]
    """``pixels`` [N, C, H, W] in the entry's dtype, and where the entry takes them ``time`` and ``latlon``, both [N, 4]
    float32."""

    def to_bytes(self) -> bytes:
        """Serialise."""
        return _write(
            {"index": self.index} | {name: tensor[:] for name, tensor in self.inputs.items()},
            self.header.metadata("request/2"),
        )

    @classmethod
    def from_bytes(cls, body: bytes) -> Self:
        """Parse and check shapes against each other. Raises WireError."""
        metadata, tensors = _read(body)
        return cls._checked(metadata, tensors.pop("index", None), tensors)

    @classmethod
    def from_file(cls, file: BinaryIO) -> Self:
        """Do the same with a file that has a descriptor.

        It must stay open, because the inputs are read when they are sliced.

        ``index`` is mapped: it costs memory when it is used, after the shapes of the rest were compared with the entry.
        """
        metadata, tensors = _read_file(file)
        index = tensors.pop("index", None)
        mapped = None
        if index is not None:
            empty = 0 in index.shape  # which cannot be mapped
            mapped = index[:] if empty else np.memmap(file, index.dtype, "r", index.offset, index.shape)
        return cls._checked(metadata, mapped, tensors)

    @classmethod
    def _checked(cls, metadata: dict[str, str], index: NDArray[Any] | None, tensors: Mapping[str, Tensor]) -> Self:
        header = BatchHeader.from_metadata(metadata, "request/2")
        index = _fitting(index, "index", np.int64, 1)
        if "pixels" not in tensors or len(tensors["pixels"].shape) != 4:  # noqa: PLR2004 - [N, C, H, W]
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
    compute_seconds: float | None = None
    """That the endpoint computed for it. None: it does not say, or nothing that can be."""

    def content_digest(self) -> str:
        """Give the SHA-256, in hex, of all but the seconds: what another computation of the batch has in common.

        Not of the file: in which order the library writes metadata is chance.
        """
        tensors = {name: np.ascontiguousarray(tensor) for name, tensor in self._tensors().items()}
        said = [self._metadata(), [(name, each.dtype.str, each.shape) for name, each in tensors.items()]]
        digest = hashlib.sha256(json.dumps(said, sort_keys=True).encode())
        for tensor in tensors.values():
            digest.update(tensor.data)
        return digest.hexdigest()

    def _tensors(self) -> dict[str, NDArray[Any]]:
        tensors: dict[str, NDArray[Any]] = {"index": self.index, "embeddings": self.embeddings, "status": self.status}
        return tensors if self.loss is None else {**tensors, "loss": self.loss}

    def _metadata(self) -> dict[str, str]:
        return {**self.header.metadata("response/2"), "loss_metric": self.loss_metric or ""}

    def to_bytes(self) -> bytes:
        """Serialise."""
        metadata = self._metadata()
        if self.compute_seconds is not None:
            metadata["compute_seconds"] = f"{self.compute_seconds:.6f}"
        return _write(self._tensors(), metadata)

    @classmethod
    def from_bytes(cls, body: bytes) -> Self:
        """Parse and check shapes against each other. Raises WireError."""
        metadata, tensors = _read(body)
        header = BatchHeader.from_metadata(metadata, "response/2")
        index = _fitting(tensors.get("index"), "index", np.int64, 1)
        embeddings = _fitting(tensors.get("embeddings"), "embeddings", np.float32, 2)
        status = _fitting(tensors.get("status"), "status", np.uint8, 1)
        loss = _fitting(tensors.get("loss"), "loss", np.float32, 1) if "loss" in tensors else None
        metric = metadata.get("loss_metric") or None
        if (loss is None) != (metric is None) or {
            len(embeddings),
            len(status),
            len(index) if loss is None else len(loss),
        } != {len(index)}:
            msg = f"batch {header.batch} of run {header.run}: response tensors do not fit each other"
            raise WireError(msg)
        return cls(
            header=header, index=index, embeddings=embeddings, status=status, loss=loss, loss_metric=metric,
            compute_seconds=_seconds(metadata.get("compute_seconds")),
        )  # fmt: skip


def most_bytes(*, dimensions: int, chips: int) -> int:
    """Give the most bytes that a response about so many chips may have: the largest header, and every tensor."""
    index, vector, status, loss = 8, 4 * dimensions, 1, 4
    return 8 + MAX_HEADER_BYTES + chips * (index + vector + status + loss)


def _seconds(said: object) -> float | None:
    """Read seconds; None where there are none, or none that can be: they are a figure, no reason to fail vectors."""
    try:
        seconds = float(said) if isinstance(said, str) else math.nan
    except ValueError:
        return None
    return seconds if 0 <= seconds <= _LONGEST_SECONDS else None


def _write(tensors: dict[str, NDArray[Any]], metadata: dict[str, str]) -> bytes:
    # The library writes a view's memory in the order in which it lies, without an error: wrong pixels.
    return safetensors.numpy.save(
        {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}, metadata=metadata
    )


def _read(body: bytes) -> tuple[dict[str, str], dict[str, NDArray[Any]]]:
    """Split a safetensors file into its metadata and its tensors."""
    length = _header_length(body[:8], len(body))
    try:
        metadata = json.loads(body[8 : 8 + length]).get("__metadata__") or {}  # the library takes null, too
        return metadata, safetensors.numpy.load(body)
    except _INVALID as error:
        msg = f"not a valid safetensors file: {error}"
        raise WireError(msg) from error


def _read_file(file: BinaryIO) -> tuple[dict[str, str], dict[str, FileTensor]]:
    """Do the same without reading the tensors: the library checks the header, which then says where they lie."""
    file.flush()
    descriptor = file.fileno()
    length = _header_length(os.pread(descriptor, 8, 0), os.fstat(descriptor).st_size)
    try:
        header = json.loads(os.pread(descriptor, length, 8))
        with safetensors.safe_open(f"/proc/self/fd/{descriptor}", framework="numpy") as opened:
            kinds = {name: opened.get_slice(name) for name in opened.keys()}  # noqa: SIM118 - the library's own class
            tensors = {
                name: FileTensor(
                    file=file,
                    offset=8 + length + header[name]["data_offsets"][0],
                    shape=tuple(kind.get_shape()),
                    dtype=np.dtype(_DTYPES[kind.get_dtype()]),
                )
                for name, kind in kinds.items()
            }
    except _INVALID as error:
        msg = f"not a valid safetensors file: {error}"
        raise WireError(msg) from error
    return header.get("__metadata__") or {}, tensors


def _header_length(start: bytes, size: int) -> int:
    if len(start) < 8 or not 2 <= (length := struct.unpack("<Q", start)[0]) <= min(MAX_HEADER_BYTES, size - 8):  # noqa: PLR2004 - u64 header length
        msg = "not a safetensors file, or its header is too large"
        raise WireError(msg)
    return int(length)


def _fitting(tensor: NDArray[Any] | None, name: str, dtype: type[np.generic], ndim: int) -> NDArray[Any]:
    if tensor is None or tensor.dtype != dtype or tensor.ndim != ndim:
        msg = f"tensor {name} is missing, or not {np.dtype(dtype).name} of {ndim} dimension(s)"
        raise WireError(msg)
    return tensor
