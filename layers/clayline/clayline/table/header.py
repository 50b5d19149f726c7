"""What a written file says of itself."""

from pathlib import Path

import pyarrow.parquet as pq

_ARROW = b"ARROW:schema"


def read_header(path: Path) -> dict[str, str]:
    """Give the key-value metadata of a Parquet file, all JSON; Arrow's own schema, which is none, is left out."""
    found = pq.read_metadata(path).metadata or {}
    return {key.decode(): value.decode() for key, value in found.items() if key != _ARROW}
