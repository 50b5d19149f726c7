"""Leftovers: what older revisions of a scene may have put into a vector bucket (docs/vectors.md, Sending)."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from pydantic import ValidationError

from clayline.dataset.ports import Root
from clayline.dataset.scene_file import SceneFile
from clayline.errors import DatasetError
from clayline.likeness.vector_index import VectorModel
from clayline.ports import ObjectMissingError, ObjectTooLargeError
from clayline.run.receipt import Receipt, State

_MOST_RECEIPT: Final = 1024 * 1024 * 1024
_MOST_MODEL: Final = 16 * 1024 * 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class Leftovers:
    """Of some revisions."""

    keys: frozenset[tuple[str, str]]
    """(index, key): all that may have been put. An index of another model may have none of these."""
    unread: tuple[str, ...]
    """Keys of objects that could not be read, in order: what follows from them is not in ``keys``."""


def leftovers(root: Root, older: Iterable[SceneFile], *, models: str) -> Leftovers:
    """Gather them from the receipts, which name the chips; ``models`` is what keys of the models' objects begin with.

    A receipt says nothing of the digest, so a chip is looked for by each digest of which something was ever put. One
    that is damaged must not keep a newer revision from being put: it is told. Raises TransientError.
    """
    unread: list[str] = []
    centred = list(_models(root, models, unread))
    keys: set[tuple[str, str]] = set()
    for file in older:
        for uci in _written(root, file, unread):
            keys.update((model.index(uci), uci) for model in centred)
    return Leftovers(keys=frozenset(keys), unread=tuple(sorted(unread)))


def _models(root: Root, prefix: str, unread: list[str]) -> Iterator[VectorModel]:
    for stored in root.list(prefix):
        try:
            content, _ = root.get(stored.key, most=_MOST_MODEL)
            yield VectorModel.parse(content, where=f"{root.uri}/{stored.key}")
        except (DatasetError, ObjectMissingError, ObjectTooLargeError):
            unread.append(stored.key)


def _written(root: Root, file: SceneFile, unread: list[str]) -> list[str]:
    try:
        content, _ = root.get(file.receipt, most=_MOST_RECEIPT)
        receipt = Receipt.model_validate_json(content)
    except (ValidationError, ObjectMissingError, ObjectTooLargeError):
        unread.append(file.receipt)
        return []
    return [chip.uci for chip in receipt.chips if chip.state is State.WRITTEN]
