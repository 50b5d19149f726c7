"""The end of a scene's Parquet file, read where it lies."""

import json
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from clayline.dataset.ports import Root, Stored
from clayline.dataset.scene_file import SceneHeader, kind_of, lacking
from clayline.errors import DatasetError, in_a_line

_TAIL: Final = 64 * 1024
"""Bytes of the first request: the footer of a usual scene, provenance twice in it, has 30 to 50 KB."""
_MAGIC: Final = b"PAR1"
_END: Final = 8
MOST_FOOTER_BYTES: Final = 64 * 1024 * 1024


def read_footer(root: Root, stored: Stored) -> pq.FileMetaData:
    """Give the footer of a Parquet file, in one request or two. Raises DatasetError, and what ``root`` raises."""
    tail = b""
    if stored.size > _END:  # of an empty object nothing can be asked for
        tail = root.get_range(stored.key, start=max(0, stored.size - _TAIL), stop=stored.size, etag=stored.etag)
    length = int.from_bytes(tail[-_END:-4], "little") + _END if tail.endswith(_MAGIC) else 0
    if not _END < length <= min(stored.size, MOST_FOOTER_BYTES):
        msg = f"{root.uri}/{stored.key} is no whole Parquet file. Embed its scene again, or leave it out."
        raise DatasetError(msg)
    if length > len(tail):
        tail = root.get_range(stored.key, start=stored.size - length, stop=stored.size, etag=stored.etag)
    try:
        return pq.read_metadata(pa.BufferReader(_MAGIC + tail[-length:]))
    except (pa.ArrowException, OSError) as error:
        why = in_a_line(error)
        msg = f"{root.uri}/{stored.key} is no whole Parquet file ({why}). Embed its scene again, or leave it out."
        raise DatasetError(msg) from error


def read_scene_header(root: Root, stored: Stored) -> SceneHeader:
    """Give what the index needs of a scene's file. Raises DatasetError, and what ``root`` raises."""
    footer = read_footer(root, stored)
    found = footer.metadata or {}
    try:
        return SceneHeader(
            provenance=json.loads(found[b"clayline"]),
            rows=footer.num_rows,
            dimensions=int(json.loads(found[b"emb"])["emb:dimensions"]),
        )
    except (KeyError, ValueError, TypeError) as error:
        why = kind_of(found) or lacking(error)
        msg = f"{root.uri}/{stored.key} is not a scene's file of embeddings as Clayline writes them: {why}"
        raise DatasetError(msg) from error
