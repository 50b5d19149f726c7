"""Rows of a file that was written before, read where it lies."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from clayline.errors import WireError, in_a_line
from clayline.outputs.embedding import WrittenRows
from clayline.table.as_file import AsFile

if TYPE_CHECKING:
    from clayline.ports import Ranges
    from clayline.run.carried import StoredObject

_COLUMNS = ["index", "embeddings", "loss", "valid_fraction", "cloud_fraction"]
_ROWS = 1024


def read_rows(objects: "Ranges", stored: "StoredObject", *, dimensions: int) -> Iterator[WrittenRows]:
    """Give the rows of a file of ``dimensions`` numbers a vector, part by part; memory holds one row group.

    Raises ObjectMissingError where the object is not what it was, TransientError, and WireError for a file that is not
    as docs/schema.md says.
    """

    def give(start: int, stop: int) -> bytes:
        """Ask for the object as it was when its ETag was taken."""
        return objects.get_range(stored.uri, start=start, stop=stop, etag=stored.etag)

    try:
        with pq.ParquetFile(pa.PythonFile(AsFile(stored.size, give), mode="r")) as file:
            for batch in file.iter_batches(batch_size=_ROWS, columns=_COLUMNS):
                yield _rows(batch, dimensions)
    except (pa.ArrowInvalid, KeyError, ValueError) as error:
        msg = f"{stored.uri} is not a file of embeddings as Clayline writes them: {in_a_line(error)}"
        raise WireError(msg) from error


def _rows(batch: pa.RecordBatch, dimensions: int) -> WrittenRows:
    lists: Any = batch.column("embeddings")  # lists of a fixed size, which the stubs do not know
    vectors = lists.flatten().to_numpy(zero_copy_only=False)
    return WrittenRows(
        index=batch.column("index").to_numpy(zero_copy_only=False),
        embeddings=vectors.astype(np.float32, copy=False).reshape(batch.num_rows, dimensions),
        loss=_floats(batch, "loss"),
        valid_fraction=_floats(batch, "valid_fraction"),
        cloud_fraction=_floats(batch, "cloud_fraction"),
    )


def _floats(batch: pa.RecordBatch, name: str) -> NDArray[np.float32]:
    """Give a column, NaN where it is null."""
    return batch.column(name).to_numpy(zero_copy_only=False).astype(np.float32, copy=False)
