"""Describing a dataset: its STAC Collections and data cards, derived from the index and a few Items."""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Final

from clayline.dataset.extents import cover
from clayline.dataset.ports import WritableRoot
from clayline.dataset.scene_row import Box, SceneRow
from clayline.errors import DatasetError
from clayline.outputs.collection import ModelSummary, SceneSummary, dataset_collection, model_collection
from clayline.outputs.data_card import card_markdown, data_card
from clayline.outputs.wording import pretty
from clayline.ports import ObjectMissingError
from clayline.run.keys import model_item_name

COLLECTION: Final = "dataset/collection.json"
NAME: Final = "clayline"
"""Id of the dataset's Collection. Its children are the models', which Items, and rows of the index, name."""
LOOKED_AT: Final = 8
"""Items of a model that are read: its newest scenes."""
_MOST_BYTES: Final = 16 << 20


def describe(root: WritableRoot, rows: Sequence[SceneRow]) -> list[str]:
    """Write the Collections and the cards of the scenes ``rows``, the newest revision of each; gives the keys written.

    All of it is derived: what another call wrote meanwhile stands. Costs nine reads a model, however many scenes it
    has. Raises DatasetError for an Item that is none, TransientError.
    """
    by_token: dict[str, list[SceneRow]] = defaultdict(list)
    for row in rows:
        by_token[row.token].append(row)
    written: dict[str, bytes] = {}
    models = []
    for token in sorted(by_token):
        model = _summary(root, by_token[token])
        if model is None:
            continue
        models.append(model)
        card = data_card(model)
        written[f"{token}/collection.json"] = pretty(model_collection(model, box=_box(by_token[token])))
        written[f"{token}/card.json"] = pretty(card)
        written[f"{token}/card.md"] = card_markdown(model, card).encode()
    if models:
        written[COLLECTION] = pretty(dataset_collection(models, name=NAME, box=_box(rows)))
    return [key for key, body in written.items() if _replaced(root, key, body)]


def _box(rows: Sequence[SceneRow]) -> tuple[float, float, float, float]:
    box = cover([row.box for row in rows])
    return _sides(box)


def _sides(box: Box) -> tuple[float, float, float, float]:
    return box.west, box.south, box.east, box.north


def _summary(root: WritableRoot, rows: Sequence[SceneRow]) -> ModelSummary | None:
    """Look at the newest Items of a model; None where none of them is there."""
    newest = sorted(rows, key=lambda row: (row.created, row.scene), reverse=True)
    items = [item for row in newest[:LOOKED_AT] if (item := _there(root, _item(row)))]
    if not items:
        return None
    try:
        said = [item["properties"]["emb:runtime_parameters"] for item in items]
        layouts = [each["chip_layout"] for each in said]
        sources = [link["href"] for item in items for link in item["links"] if link["rel"] == "emb:source-data"]
        chip_size, untrained = int(layouts[0]["chip_size"][0]), bool(said[0]["untrained"])
    except (KeyError, TypeError, ValueError, IndexError) as error:
        msg = f"an Item of {rows[0].token} does not say what docs/schema.md has for it: {error!r}. Restore it."
        raise DatasetError(msg) from error
    return ModelSummary(
        token=newest[0].token,
        digest=newest[0].digest,
        dimensions=newest[0].dimensions,
        chip_size=chip_size,
        licence=_licence(root, newest[0]),
        untrained=untrained,
        scenes=tuple(_scene(row) for row in rows),
        layouts=tuple(layouts) if len(layouts) == len(rows) else (),
        sources=tuple(sources),
        datasets=tuple(sorted({each["source_collection"] for each in said if each.get("source_collection")})),
        creators=tuple(sorted({each["source_creator"] for each in said if each.get("source_creator")})),
    )


def _scene(row: SceneRow) -> SceneSummary:
    return SceneSummary(
        item=row.item_id,
        href=_item(row),
        box=_sides(row.box),
        start=row.start,
        end=row.end,
        created=row.created,
        gsd=row.gsd,
        instrument=row.instrument,
        rows=row.rows,
        size=row.size,
    )


def _item(row: SceneRow) -> str:
    return row.href.removesuffix(".parquet") + ".json"


def _licence(root: WritableRoot, row: SceneRow) -> str:
    """Give what the model's Item says; ``other`` where there is none, of scenes from before there was."""
    model = _there(root, f"{row.token}/{model_item_name(row.digest)}") or {}
    try:
        return str(model["properties"]["license"])
    except (KeyError, TypeError):
        return "other"


def _there(root: WritableRoot, key: str) -> Mapping[str, Any] | None:
    try:
        return _read(root, key)
    except ObjectMissingError:
        return None


def _read(root: WritableRoot, key: str) -> Mapping[str, Any]:
    body, _ = root.get(key, most=_MOST_BYTES)
    try:
        content = json.loads(body)
    except (ValueError, RecursionError) as error:
        msg = f"{root.uri}/{key} is no JSON: {error}. Restore it from where it was written."
        raise DatasetError(msg) from error
    if not isinstance(content, dict):
        msg = f"{root.uri}/{key} is no JSON object. Restore it from where it was written."
        raise DatasetError(msg)
    return content


def _replaced(root: WritableRoot, key: str, body: bytes) -> bool:
    """Write what is not there as it is; False where it is, or another call wrote meanwhile."""
    try:
        there, etag = root.get(key, most=_MOST_BYTES)
    except ObjectMissingError:
        return root.replace(key, body, etag=None)
    return there != body and root.replace(key, body, etag=etag)
