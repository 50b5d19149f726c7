"""What a pass of the compactor needs, and what it did."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from clayline.dataset.compaction import NOTHING, LeftOut, Rewrite
from clayline.dataset.manifest import Extent, Manifest
from clayline.dataset.ports import Root
from clayline.dataset.scene_row import Partition, SceneRow


class NewFile(Protocol):
    """A compact file in the scratch folder: ``clayline.table.compact_files.WrittenFile``."""

    @property
    def path(self) -> Path:
        """Where it lies until the next one is asked for."""
        ...

    @property
    def size(self) -> int:
        """Bytes."""
        ...

    @property
    def sha256(self) -> str:
        """Of its bytes."""
        ...

    @property
    def rows(self) -> int:
        """Chips."""
        ...

    @property
    def extent(self) -> Extent:
        """Of its chips."""
        ...


class Tables(Protocol):
    """Parquet, as a pass needs it: ``clayline.table.dataset_tables.DatasetTables``."""

    def manifest(self, root: Root) -> tuple[Manifest, str | None]:
        """Give the manifest and its ETag."""
        ...

    def rows(self, root: Root, keys: Sequence[str]) -> list[list[SceneRow]]:
        """Give the rows of each file of the index."""
        ...

    def encode(self, rows: Iterable[SceneRow], metadata: Mapping[str, str]) -> bytes:
        """Give a file of rows."""
        ...

    def files(self, root: Root, rewrite: Rewrite, *, scratch: Path, stamp: str) -> Iterator[NewFile]:
        """Give the files of a square and year."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Pass:
    """What a pass did."""

    taken_in: int = 0
    """Fragments."""
    rewritten: Partition | None = None
    chips: int = 0
    """In the files of ``rewritten``."""
    tiered: bool = False
    """Whether a file got its tiers."""
    deleted: int = 0
    """Objects that no longer counted."""
    left_out: LeftOut = NOTHING
    """What could not be compacted, and why: somebody has to look. The next pass is given it, lest it tries again."""

    @property
    def changed(self) -> bool:
        """Whether another pass may find more to do."""
        return bool(self.taken_in or self.rewritten or self.tiered)
