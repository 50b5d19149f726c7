"""Tiers of compact files: one file a pass, by the model's one codebook (docs/dataset.md, Tiers)."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from clayline.dataset.codebook import LEAST_ROWS, Codebook
from clayline.dataset.manifest import TIERS, CompactFile, Manifest, StoredFile, Tier, TierName
from clayline.dataset.ports import Root, WritableRoot

_MOST_CODEBOOK: Final = 16 * 1024 * 1024
"""Bytes: 65,536 dimensions take 4 MB."""


class TierTables(Protocol):
    """Parquet, as tiers need it: ``clayline.table.dataset_tiers.DatasetTiers``."""

    def codebook(self, root: Root, files: Sequence[CompactFile], *, token: str) -> Codebook:
        """Make a codebook from vectors of files of one model."""
        ...

    def tiers(
        self, root: Root, file: CompactFile, codebook: Codebook, *, link: str, stamp: str
    ) -> Iterator[tuple[TierName, Path, StoredFile]]:
        """Give each tier of a file: where it lies until the next one is asked for, and what is to be stored."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Tiering:
    """Ports of tiers."""

    root: WritableRoot
    tables: TierTables

    def add(self, manifest: Manifest, *, stamp: str) -> Manifest | None:
        """Make the tiers of the next file that has none; gives the manifest that names them, None where none is left.

        A model whose files have too few chips for a codebook waits for more. Raises DatasetError, ObjectMissingError,
        TransientError.
        """
        for token in sorted({file.token for file in manifest.files}):
            files = [file for file in manifest.files if file.token == token]
            bare = next((file for file in files if not file.tiers), None)
            if bare and sum(file.file.rows for file in files) >= LEAST_ROWS:
                link, codebook = self._codebook(files, token, stamp)
                with_tiers = bare.model_copy(update={"tiers": self._tiers(bare, codebook, link, stamp)})
                return manifest.model_copy(
                    update={"files": tuple(with_tiers if file is bare else file for file in manifest.files)}
                )
        return None

    def _codebook(self, files: Sequence[CompactFile], token: str, stamp: str) -> tuple[str, Codebook]:
        """Give the model's codebook and where it lies; the first file of a model makes it."""
        known = {tier.codebook for file in files for tier in file.tiers.values()}
        if known:
            href = min(known)
            content, _ = self.root.get(href, most=_MOST_CODEBOOK)
            return href, Codebook.parse(content, uri=f"{self.root.uri}/{href}")
        codebook = self.tables.codebook(self.root, files, token=token)
        content = codebook.encode(stamp=stamp)
        href = f"{TIERS}{token}/codebook_{hashlib.sha256(content).hexdigest()[:16]}.json"
        self.root.put_new(href, content)
        return href, codebook

    def _tiers(self, file: CompactFile, codebook: Codebook, link: str, stamp: str) -> dict[TierName, Tier]:
        found: dict[TierName, Tier] = {}
        for name, path, stored in self.tables.tiers(self.root, file, codebook, link=link, stamp=stamp):
            self.root.put_new(stored.href, path)
            found[name] = Tier(file=stored, codebook=link)
        return found


def without_tiers(manifest: Manifest, token: str) -> Manifest:
    """Give the manifest without a model's tiers: the passes to come make a codebook from what is there, and them."""
    return manifest.model_copy(
        update={
            "files": tuple(
                file.model_copy(update={"tiers": {}}) if file.token == token else file for file in manifest.files
            )
        }
    )
