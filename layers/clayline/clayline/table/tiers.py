"""A tier: the vectors of a file of embeddings again, smaller, row for row (docs/dataset.md, Tiers)."""

import json
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from clayline.dataset.codebook import Codebook
from clayline.dataset.manifest import TierName
from clayline.errors import DatasetError

NAMES: Final[tuple[TierName, ...]] = ("int8", "bits")
COLUMN: Final[dict[TierName, str]] = {"int8": "embeddings", "bits": "bits"}
"""Where a tier's vectors stand."""
FORMAT: Final = "clayline-tier/1"
_BESIDE: Final[tuple[str, ...]] = (
    "uci",
    "cell",
    "datetime",
    "bbox",
    "valid_fraction",
    "cloud_fraction",
    "scene",
    "revision",
)
"""What filters need, so that they need not open the file itself."""
_DICTIONARIES: Final = ["scene", "embeddings.list.element"]
"""Parquet has no type of one byte: int8 is kept as 32 bits, of which zstd leaves ten. As numbers of a dictionary's
entries, at most 255, they are bytes."""


def write_tier(source: Path, target: Path, *, codebook: Codebook, tier: TierName, link: str, stamp: str = "") -> int:
    """Write a tier of ``source`` to ``target`` and give its number of rows.

    ``link`` is where the codebook lies, for the metadata, in which ``stamp`` stands too. Row groups are those of the
    source, and row i is its row i. Memory holds one group. The same source, codebook, link and stamp give the same
    bytes.

    Raises DatasetError for a file of another model or dimension.
    """
    rows = 0
    with pq.ParquetFile(source) as file:
        _check(file, codebook, source)
        beside = [name for name in _BESIDE if name in file.schema_arrow.names]
        schema = _schema(file.schema_arrow, beside, codebook, tier, link, stamp)
        with pq.ParquetWriter(
            target,
            schema,
            version="2.6",
            data_page_version="1.0",
            compression="zstd",
            compression_level=1,
            use_dictionary=_DICTIONARIES,  # type: ignore[arg-type] # the stubs know bool alone, pyarrow takes names
            write_statistics=[name for name in beside if name != "bbox"]
            + [f"bbox.{name}" for name in ("xmin", "ymin", "xmax", "ymax")],
            write_page_index=True,
        ) as writer:
            for group in range(file.num_row_groups):
                table = file.read_row_group(group, columns=[*beside, "embeddings", "source_model"])
                if foreign := set(table.column("source_model").unique().to_pylist()) - {codebook.token}:
                    msg = f"{source.name} has rows of {min(map(str, foreign))}, the codebook is of {codebook.token}"
                    raise DatasetError(msg)
                vectors = _vectors(table.column("embeddings"), codebook.dimensions)
                arrays = [table.column(name).combine_chunks() for name in beside]
                arrays.append(_small(codebook, tier, vectors, schema))
                made = pa.Table.from_arrays(arrays, schema=schema)
                writer.write_table(made, row_group_size=max(table.num_rows, 1))
                rows += table.num_rows
    return rows


def read_small(table: pa.Table, tier: TierName) -> NDArray[Any]:
    """Give the vectors of a tier's table: [N, D] int8, or [N, ceil(D / 8)] uint8."""
    column: Any = table.column(COLUMN[tier]).combine_chunks()
    if tier == "int8":
        steps: NDArray[np.int8] = column.flatten().to_numpy(zero_copy_only=False).reshape(len(column), -1)
        return steps
    width = column.type.byte_width
    start = column.offset * width
    return np.frombuffer(column.buffers()[1], dtype=np.uint8)[start : start + len(column) * width].reshape(-1, width)


def _check(file: pq.ParquetFile, codebook: Codebook, source: Path) -> None:
    names = set(file.schema_arrow.names)
    if missing := {"uci", "embeddings", "source_model"} - names:
        msg = f"{source.name} is no file of embeddings: it has no column {min(missing)}"
        raise DatasetError(msg)
    kind = file.schema_arrow.field("embeddings").type
    if not pa.types.is_fixed_size_list(kind) or kind.list_size != codebook.dimensions:
        msg = f"{source.name} has vectors of {kind}, the codebook of {codebook.token} {codebook.dimensions} dimensions"
        raise DatasetError(msg)


def _schema(
    found: pa.Schema, beside: list[str], codebook: Codebook, tier: TierName, link: str, stamp: str
) -> pa.Schema:
    kinds: dict[TierName, pa.DataType] = {
        "int8": pa.list_(pa.field("element", pa.int8(), nullable=False), codebook.dimensions),
        "bits": pa.binary(-(-codebook.dimensions // 8)),
    }
    header: dict[bytes | str, bytes | str] = {
        "emb": json.dumps(
            {
                "emb:type": "chip",
                "emb:dimensions": codebook.dimensions,
                "data_type": {"int8": "int8", "bits": "uint8"}[tier],
                "emb:quantization": codebook.quantization(tier, link=link),
            }
        ),
        "clayline": json.dumps(
            {
                "format": FORMAT,
                "tier": tier,
                "token": codebook.token,
                "digest": codebook.digest,
                "codebook": link,
                "stamp": stamp,
            }
        ),
    }
    fields = [found.field(name).remove_metadata() for name in beside]
    fields.append(pa.field(COLUMN[tier], kinds[tier], nullable=False))
    return pa.schema(fields, metadata=header)


def _vectors(column: Any, dimensions: int) -> NDArray[np.float32]:  # noqa: ANN401 - lists of a fixed size are unknown to the stubs
    vectors: NDArray[np.float32] = column.combine_chunks().flatten().to_numpy(zero_copy_only=False)
    return vectors.reshape(-1, dimensions)


def _small(codebook: Codebook, tier: TierName, vectors: NDArray[np.float32], schema: pa.Schema) -> Any:  # noqa: ANN401 - an array of either kind
    kind = schema.field(COLUMN[tier]).type
    if tier == "int8":
        return pa.FixedSizeListArray.from_arrays(pa.array(codebook.int8(vectors).ravel()), type=kind)
    bits = np.ascontiguousarray(codebook.bits(vectors))
    return pa.FixedSizeBinaryArray.from_buffers(kind, len(bits), [None, pa.py_buffer(bits)])
