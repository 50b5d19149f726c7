"""How the vectors are laid down in the file: a choice between readers and bytes, made when the scene is planned."""

from enum import StrEnum


class VectorEncoding(StrEnum):
    """The encoding of the column ``embeddings`` (docs/schema.md, Encodings).

    It decides the file's bytes, so it travels in the plan.
    """

    PORTABLE = "portable"
    """PLAIN: every reader of Parquet takes it."""
    COMPACT = "compact"
    """BYTE_STREAM_SPLIT: about a ninth smaller; fastparquet cannot read it, and Spark 3.5 by a setting alone."""
