"""What a source of a backfill names."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class FoundObject:
    """An object of S3."""

    bucket: str
    key: str
    """Raw."""
    size: int = 0
    etag: str = ""
    """Without quotes; empty where the source does not say it."""

    @property
    def uri(self) -> str:
        """``s3://bucket/key``, the key raw."""
        return f"s3://{self.bucket}/{self.key}"


@dataclass(frozen=True, kw_only=True, slots=True)
class FoundItem:
    """A STAC Item of a search's result: it is its own description, and need not lie in S3."""

    content: Mapping[str, Any]

    @property
    def called(self) -> str:
        """What people call it."""
        return f"Item {self.content.get('id')}"


type Found = FoundObject | FoundItem


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """Where a backfill's scenes come from."""

    kind: str
    """``listing``, ``csv``, ``search`` or ``inventory``."""
    called: str
    """As the user named it."""
    found: Iterator[Found]
    """In the source's order. Reading on may raise CommandError."""
