"""What a reader sees: a listing of fragments, and the manifest that was read after it (docs/dataset.md, Reading)."""

from collections.abc import Iterable
from dataclasses import dataclass

from clayline.dataset.manifest import FRAGMENTS, Manifest
from clayline.dataset.scene_row import SceneKey, SceneRow


@dataclass(frozen=True, kw_only=True, slots=True)
class Snapshot:
    """A dataset at one moment."""

    manifest: Manifest
    loose: tuple[SceneRow, ...]
    """Rows of the fragments that the manifest has not taken in, of every revision."""

    def newest(self) -> dict[SceneKey, int]:
        """Give the highest revision known of each scene of which an older one could be met: the loose and the revised.

        A scene that is not in it has one revision, in the parts.
        """
        found = self.manifest.newest
        for row in self.loose:
            found[row.key] = max(row.revision, found.get(row.key, 0))
        return found

    def visible(self, taken_in: Iterable[SceneRow]) -> list[SceneRow]:
        """Give the newest row of each scene among some rows of the parts and all that are loose.

        A row of the parts that a loose one replaces is left out, and the reverse. Of two rows of one revision (an event
        that came again long after its fragment was taken in) the one counts that says that its chips are compacted.
        """
        highest = self.newest()
        rows: dict[SceneKey, SceneRow] = {}
        for row in (*taken_in, *self.loose):
            if row.revision >= highest.get(row.key, row.revision) and not (
                (known := rows.get(row.key)) and known.revision == row.revision and known.compacted
            ):
                rows[row.key] = row
        return list(rows.values())


def not_taken_in(listed: Iterable[str], manifest: Manifest) -> list[str]:
    """Give the fragments (keys relative to the root) of a listing that the manifest does not have yet."""
    absorbed = set(manifest.absorbed)
    return [key for key in listed if key.removeprefix(FRAGMENTS) not in absorbed]
