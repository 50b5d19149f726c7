"""Parquet as a pass of the compactor needs it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from clayline.dataset.compaction import Rewrite
from clayline.dataset.manifest import Manifest
from clayline.dataset.ports import Root
from clayline.dataset.scene_row import SceneRow
from clayline.table.compact_files import MOST_ROWS, ROW_GROUP_ROWS, WrittenFile, write_compact_files
from clayline.table.index_reading import AT_ONCE, read_manifest, read_rows_of
from clayline.table.scene_rows import encode_rows


@dataclass(frozen=True, kw_only=True, slots=True)
class DatasetTables:
    """The Tables port of ``clayline.steps.compacting``."""

    row_group_rows: int = ROW_GROUP_ROWS
    most_rows: int = MOST_ROWS
    """Of a compact file."""

    def manifest(self, root: Root) -> tuple[Manifest, str | None]:
        """Raises DatasetError, TransientError."""
        return read_manifest(root)

    def rows(self, root: Root, keys: Sequence[str]) -> list[list[SceneRow]]:
        """Raises ObjectMissingError, DatasetError, TransientError."""
        if not keys:
            return []
        with ThreadPoolExecutor(min(AT_ONCE, len(keys))) as pool:
            return list(pool.map(lambda key: read_rows_of(root, [key]), keys))

    def encode(self, rows: Iterable[SceneRow], metadata: Mapping[str, str]) -> bytes:
        """Give a file of rows."""
        return encode_rows(rows, metadata=metadata)

    def files(self, root: Root, rewrite: Rewrite, *, scratch: Path, stamp: str) -> Iterator[WrittenFile]:
        """Raises DatasetError, ObjectMissingError, TransientError."""
        return write_compact_files(
            root,
            rewrite,
            scratch=scratch,
            stamp=stamp,
            row_group_rows=self.row_group_rows,
            most_rows=self.most_rows,
        )
