"""The centre of a model's vectors, by the first who states it (docs/likeness.md, One measure)."""

from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from typing import Final

from clayline.dataset.codebook import Codebook
from clayline.dataset.manifest import MANIFEST, MOST_MANIFEST_BYTES, Manifest
from clayline.dataset.ports import Root
from clayline.errors import TransientError
from clayline.likeness.centring import Centre
from clayline.model.manifest import MANIFEST_FILE, digest_of, read_manifest
from clayline.model.statistics import STATISTICS_FILE, FolderStatistics, read_statistics
from clayline.ports import ObjectMissingError

_MOST_FILE: Final = 64 * 1024 * 1024
_MOST_CODEBOOK: Final = 64 * 1024 * 1024


def stated_in(folder: Root) -> FolderStatistics | None:
    """Give what a model folder states of its vectors; None where its manifest lists no statistics.

    Raises ModelError, TransientError, also for statistics that are not those of the manifest: they are being copied.
    """
    try:
        manifest = read_manifest(folder.get(MANIFEST_FILE, most=_MOST_FILE)[0], source=f"{folder.uri}/{MANIFEST_FILE}")
        if manifest.statistics is None:
            return None
        content, _ = folder.get(STATISTICS_FILE, most=_MOST_FILE)
    except ObjectMissingError as error:
        msg = f"the model folder is not whole: {error}"
        raise TransientError(msg) from error
    if digest_of(BytesIO(content)) != manifest.statistics:
        msg = f"{folder.uri}/{STATISTICS_FILE} is not what the manifest lists. Export or measure it again"
        raise TransientError(msg)
    return read_statistics(content, source=f"{folder.uri}/{STATISTICS_FILE}")


@dataclass(frozen=True, kw_only=True)
class Centres:
    """Where centres are stated."""

    root: Root
    """Of the dataset, for its codebooks."""
    statistics: Callable[[], FolderStatistics | None]
    """Gives what the model folder at hand states; None for one that has no statistics."""

    def of(self, token: str, digest: str) -> Centre | None:
        """Give the card's, else the codebook's. Raises DatasetError, ModelError, TransientError."""
        folder = self.statistics()
        stated = folder.of(token, digest) if folder else None
        if stated is not None:
            return Centre.of_card(stated)
        for href in self._codebooks(token):
            try:
                content, _ = self.root.get(href, most=_MOST_CODEBOOK)
            except ObjectMissingError as error:
                msg = f"{self.root.uri}/{href} was taken away since the manifest was read: the next one names another"
                raise TransientError(msg) from error
            codebook = Codebook.parse(content, uri=f"{self.root.uri}/{href}")
            if (codebook.token, codebook.digest) == (token, digest):
                return Centre.of_codebook(codebook)
        return None

    def _codebooks(self, token: str) -> list[str]:
        try:
            content, _ = self.root.get(MANIFEST, most=MOST_MANIFEST_BYTES)
        except ObjectMissingError:
            return []
        files = Manifest.parse(content, root=self.root.uri).files
        return sorted({tier.codebook for file in files if file.token == token for tier in file.tiers.values()})
