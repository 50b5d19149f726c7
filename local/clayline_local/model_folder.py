"""A model folder on this machine, and what the local cloud must know of it before it starts anything."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from clayline.model.manifest import MANIFEST_FILE, Manifest, read_manifest
from clayline_local.errors import LocalCloudError

_PIXELS_A_BATCH = 64 * 64**2
"""64 chips of the starter's 64 px, four of Clay's 256 px. 64 of those are six minutes of two cores for Clay's
`large`."""
_LARGE = 100_000_000
"""Bytes from which a folder's size is worth telling."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelFolder:
    """A folder with its manifest read; that its files are what the manifest says is for the server to check."""

    path: Path
    manifest: Manifest

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read the manifest. Raises LocalCloudError if there is none, ModelError if it cannot be used."""
        try:
            text = (path / MANIFEST_FILE).read_bytes()
        except OSError as error:
            msg = (
                f"{path} is no model folder: its {MANIFEST_FILE} cannot be read ({error.strerror}). Give the folder"
                " that an export wrote."
            )
            raise LocalCloudError(msg) from error
        return cls(path=path, manifest=read_manifest(text, source=str(path / MANIFEST_FILE)))

    @property
    def size(self) -> int:
        """Bytes of the heaviest entry's files; a file that is missing counts nothing here, and the server names it."""
        sizes = {name: file.stat().st_size for name in self.manifest.files if (file := self.path / name).is_file()}
        return max(sum(sizes.get(name, 0) for name in entry.files) for entry in self.manifest.entries)

    @property
    def chips_per_batch(self) -> int:
        """Chips of a batch so that one takes seconds on a CPU, not minutes.

        Progress shows, and no time limit is near.
        """
        return max(1, min(_PIXELS_A_BATCH // entry.chip_size**2 for entry in self.manifest.entries))

    def __str__(self) -> str:
        """Name and size, for people."""
        return f"{self.manifest.folder} ({self.size / 1e9:.1f} GB)" if self.size >= _LARGE else self.manifest.folder
