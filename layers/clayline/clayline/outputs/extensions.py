"""The STAC version and the extensions that our Items and Collections declare (docs/schema.md, Standards)."""

from typing import Final

STAC: Final = "1.1.0"
EMB: Final = "https://stac-extensions.github.io/embeddings/v0.0.1/schema.json"
"""A proposal: geo-embeddings/embeddings-stac-specification."""
FILE: Final = "https://stac-extensions.github.io/file/v2.1.0/schema.json"
MLM: Final = "https://stac-extensions.github.io/mlm/v1.6.0/schema.json"
PROCESSING: Final = "https://stac-extensions.github.io/processing/v1.2.0/schema.json"
PROJECTION: Final = "https://stac-extensions.github.io/projection/v2.0.0/schema.json"
GEOJSON: Final = "application/geo+json"
JSON: Final = "application/json"
PARQUET: Final = "application/vnd.apache.parquet"

_SHA2_256: Final = "1220"
"""Multihash's name of the algorithm, and the length of what follows (32 bytes)."""


def multihash(digest: str) -> str:
    """Give a checksum as the file extension wants it, of 64 hex of SHA-256 or ``sha256:`` and these."""
    return _SHA2_256 + digest.removeprefix("sha256:")
