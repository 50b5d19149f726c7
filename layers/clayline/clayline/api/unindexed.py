"""Scenes that lie at a place, and that its index does not have."""

from typing import Final

from clayline.api.index import Index
from clayline.dataset.asking import Span
from clayline.dataset.ports import Root
from clayline.dataset.scene_file import RECEIPT, SceneFile
from clayline.dataset.scene_row import SceneKey

_EVERYWHERE: Final = Span()


def unindexed(root: Root) -> tuple[str, ...]:
    """Give the keys of files of embeddings that are a newer revision than the index has of their scene, or the first.

    Their receipts stand, so they are whole. Lists the whole root, of a bucket a request a thousand objects, and reads
    the index after it: what landed meanwhile is not told. Raises DatasetError, TransientError.
    """
    there = {stored.key for stored in root.list("") if not stored.key.startswith("dataset/")}
    files = [file for key in there if (file := _scene_file(key)) and {file.receipt, file.parquet} <= there]
    if not files:
        return ()
    rows = Index(root).choose(None, _EVERYWHERE, model=None, every_revision=False, mixed=True).newest
    newest = {row.key: row.revision for row in rows}
    return tuple(
        sorted(file.parquet for file in files if file.revision > newest.get(SceneKey(file.token, file.scene), 0))
    )


def _scene_file(key: str) -> SceneFile | None:
    file = SceneFile.of_receipt(key) if key.endswith(RECEIPT) else None
    return file if file and file.receipt == key else None
