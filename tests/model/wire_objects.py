"""Request and response objects for tests, and safetensors files written by hand from the format's description."""

import json
import struct
from typing import Any

import numpy as np

from clayline.model.wire import BatchHeader, Request, Response

RUN = "0123456789abcdef" * 2
HEADER = BatchHeader(run=RUN, batch="b00042", folder="tiny-v1.0", token="tiny-v1.0-test", digest="sha256:" + "ab" * 32)


def request(chips: int = 3) -> Request:
    values = np.arange(chips * 2 * 8 * 8, dtype=np.uint16).reshape(chips, 2, 8, 8)
    place = np.linspace(-1, 1, chips * 4, dtype=np.float32).reshape(chips, 4)
    return Request(
        header=HEADER,
        index=np.arange(7, 7 + chips, dtype=np.int64),
        inputs={"pixels": values, "time": place, "latlon": place[::-1]},
    )


def response(chips: int = 3, *, loss: bool = True) -> Response:
    return Response(
        header=HEADER,
        index=np.arange(7, 7 + chips, dtype=np.int64),
        embeddings=np.linspace(-5, 5, chips * 6, dtype=np.float32).reshape(chips, 6),
        status=(np.arange(chips) % 2).astype(np.uint8),
        loss=np.linspace(0, 1, chips, dtype=np.float32) if loss else None,
        loss_metric="linear-thumb8-l1" if loss else None,
    )


def file_of(header: object, data: bytes = b"", *, length: int | None = None) -> bytes:
    """Write a safetensors file: little-endian u64 header length, JSON header, tensors."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def split(body: bytes) -> tuple[dict[str, Any], bytes]:
    """Give header and data of a safetensors file."""
    [length] = struct.unpack("<Q", body[:8])
    header: dict[str, Any] = json.loads(body[8 : 8 + length])
    return header, body[8 + length :]
