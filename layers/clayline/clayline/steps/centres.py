"""The centre of a model's vectors, by the first who states it (docs/likeness.md, One measure)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from clayline.dataset.codebook import Codebook
from clayline.dataset.manifest import MANIFEST, MOST_MANIFEST_BYTES, Manifest
from clayline.dataset.ports import Root
from clayline.errors import TransientError
from clayline.likeness.centring import Centre
from clayline.model.statistics import FolderStatistics
from clayline.ports import ObjectMissingError

_MOST_CODEBOOK: Final = 64 * 1024 * 1024


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
