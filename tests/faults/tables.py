"""Two table writers: the shipped one, and one that costs nothing, for most scenes of a long run. Both read back."""

import io
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow.parquet as pq

from clayline.outputs.embedding import EmbeddingRows, SceneColumns, WrittenRows
from clayline.ports import Ranges
from clayline.run.carried import StoredObject
from clayline.run.encoding import VectorEncoding
from clayline.table.geoparquet import write_geoparquet
from clayline.table.header import read_header
from clayline.table.written import read_rows

type Rows = list[tuple[str, int, list[float], float | None]]
"""Identifier, index, vector and loss of each row, in the file's order."""


class Table(Protocol):
    """A writer, and what reads its files."""

    def write(
        self, path: Path, *, columns: SceneColumns, chunks: Iterable[EmbeddingRows], metadata: Mapping[str, str],
        encoding: VectorEncoding,
    ) -> int:  # fmt: skip
        """See clayline.steps.collecting.WriteTable."""
        ...

    def read_header(self, path: Path) -> Mapping[str, str]:
        """See clayline.steps.collecting.ReadHeader."""
        ...

    def read_rows(self, objects: Ranges, stored: StoredObject, *, dimensions: int) -> Iterator[WrittenRows]:
        """See clayline.steps.taking_over.ReadRows."""
        ...

    def read(self, body: bytes) -> Rows:
        """Give a file's rows."""
        ...


class GeoParquet:
    """The shipped writer; read with pyarrow."""

    write = staticmethod(write_geoparquet)
    read_header = staticmethod(read_header)
    read_rows = staticmethod(read_rows)

    def read(self, body: bytes) -> Rows:
        found = pq.read_table(io.BytesIO(body), columns=["uci", "index", "embeddings", "loss"]).to_pydict()
        return list(zip(found["uci"], found["index"], found["embeddings"], found["loss"], strict=True))


class Plain:
    """JSON, a line a row."""

    def write(
        self, path: Path, *, columns: SceneColumns, chunks: Iterable[EmbeddingRows], metadata: Mapping[str, str],
        encoding: VectorEncoding,
    ) -> int:  # fmt: skip
        lines = [json.dumps({**metadata, "columns": json.dumps(str(columns)), "encoding": json.dumps(encoding)})]
        for chunk in chunks:
            loss = [None] * len(chunk) if chunk.loss is None else chunk.loss.tolist()
            for number in range(len(chunk)):
                row = (chunk.uci[number], int(chunk.index[number]), chunk.embeddings[number].tolist(), loss[number])
                shares = (float(chunk.valid_fraction[number]), float(chunk.cloud_fraction[number]))
                rest = (chunk.cell[number], shares, chunk.corners[number].tolist())
                lines.append(json.dumps((row, rest)))
        path.write_text("\n".join(lines))
        return len(lines) - 1

    def read_header(self, path: Path) -> Mapping[str, str]:
        with path.open() as file:
            content: dict[str, Any] = json.loads(file.readline())
        return content

    def read_rows(self, objects: Ranges, stored: StoredObject, *, dimensions: int) -> Iterator[WrittenRows]:
        body = objects.get_range(stored.uri, start=0, stop=stored.size, etag=stored.etag)
        for (_, index, vector, loss), (_, shares, _) in map(json.loads, body.decode().split("\n")[1:]):
            numbers = [np.nan if loss is None else loss, *shares]
            loss_, valid, cloud = (np.array([number], dtype=np.float32) for number in numbers)
            yield WrittenRows(
                index=np.array([index]), embeddings=np.array([vector], dtype=np.float32).reshape(1, dimensions),
                loss=loss_, valid_fraction=valid, cloud_fraction=cloud,
            )  # fmt: skip

    def read(self, body: bytes) -> Rows:
        rows = [json.loads(line)[0] for line in body.decode().split("\n")[1:]]
        return [(uci, index, vector, loss) for uci, index, vector, loss in rows]
