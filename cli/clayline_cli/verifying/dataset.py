"""A dataset that lies under the prefix: read as its readers do, and compared with its scene files."""

import hashlib
from collections.abc import Sequence
from typing import Final

from clayline.dataset.manifest import MANIFEST
from clayline.errors import DatasetError, TableError
from clayline.table.index_reading import read_rows_of, read_snapshot
from clayline.table.inspected import InspectedTable
from clayline.verification.datasets import Chips, Indexed, check_files, check_index
from clayline.verification.layouts import Layout
from clayline.verification.outcomes import Outcomes
from clayline_cli.verifying.places import Place

_COMPACT: Final = Layout(name="compact", roles={"id": "uci", "vector": "embeddings"})
_PIECE: Final = 4 << 20


class Dataset:
    """The dataset of which a prefix is the root."""

    def __init__(self, place: Place, names: Sequence[str]) -> None:
        """Take the prefix and what lies there. Raises ClaylineError."""
        self._place = place
        manifest = min((name for name in names if name.endswith(f"/{MANIFEST}")), key=len)
        self._base = manifest.removesuffix(MANIFEST)
        self.indexed: Indexed | None = None
        self.trouble: str | None = None
        root = place.root()
        try:
            snapshot = read_snapshot(root)
            taken_in = read_rows_of(root, [part.file.href for part in snapshot.manifest.parts])
        except DatasetError as error:
            self.trouble = str(error)
            return
        stored = {found.key: found for found in root.list("")}
        rows = tuple(snapshot.visible(taken_in))
        self.indexed = Indexed(manifest=snapshot.manifest, rows=rows, stored=stored)

    def key(self, name: str) -> str:
        """Give a file's key under the root."""
        return name.removeprefix(self._base)

    def is_compacted(self, name: str) -> bool:
        """Whether a scene file's chips are in compact files."""
        return self.indexed is not None and self.key(name) in self.indexed.compacted

    def end(self, held: dict[str, int], chips: Chips, outcomes: Outcomes) -> None:
        """Compare; ``held`` are the rows of the newest scene files by key."""
        if self.indexed is None:
            outcomes.found("dataset-index", f"the index cannot be read: {self.trouble}"[:600])
            outcomes.cannot_any(("dataset-files", "dataset-chips"), "the index cannot be read")
            return
        check_index(self.indexed, held, outcomes)
        check_files(self.indexed, self._checksum, outcomes)
        for file in self.indexed.manifest.files:
            if file.file.href in self.indexed.stored:
                self._chips(file.file.href, chips, outcomes)
        chips.end(outcomes)

    def _chips(self, key: str, chips: Chips, outcomes: Outcomes) -> None:
        with self._place.open(f"{self._base}{key}") as lent:
            try:
                with InspectedTable(lent) as table:
                    for rows in table.rows(_COMPACT):
                        chips.add(rows, key, compact=True)
            except TableError as error:
                outcomes.found("dataset-chips", f"a compact file cannot be read: {error}", [key])

    def _checksum(self, key: str) -> str | None:
        with self._place.open(f"{self._base}{key}") as lent:
            if not lent.near:
                return lent.sha256
            digest = hashlib.sha256()
            for start in range(0, lent.size, _PIECE):
                digest.update(lent.read(start, min(lent.size, start + _PIECE)))
            return digest.hexdigest()


def is_dataset(names: Sequence[str]) -> bool:
    """Whether there is a dataset under a prefix."""
    return any(name.endswith(f"/{MANIFEST}") for name in names)
