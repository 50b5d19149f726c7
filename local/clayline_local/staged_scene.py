"""A scene that is ready to land in the local scenes bucket: its files, and which of them lands last."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from clayline_local.scene_keys import NAMES, named


@dataclass(frozen=True, kw_only=True, slots=True)
class StagedScene:
    """What is uploaded, in this order."""

    assets: tuple[tuple[str, Path], ...]
    """Key and file."""
    landing: tuple[str, Path]
    """Key and file of the Item or the COG: it lands last and starts the scene."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    """Object metadata of the landing (sensor, datetime, platform of a COG without an Item)."""
    item: str | None = None
    """Id of the Item, None for a COG."""

    @property
    def name(self) -> str:
        """What people call the landing: its ``file:`` or ``s3:`` URI."""
        return named(self.landing[0])

    @property
    def names(self) -> Mapping[str, str]:
        """The part of NAMES that its keys need."""
        keys = [key for key, _ in (*self.assets, self.landing)]
        return {prefix: name for prefix, name in NAMES.items() if any(key.startswith(prefix) for key in keys)}

    @property
    def files(self) -> Mapping[str, Path]:
        """Each file by the URI that the provenance has; those of S3 are there for as long as the scene is staged."""
        return {named(key): file for key, file in (*self.assets, self.landing)}
