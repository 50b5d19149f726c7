"""The STAC Collection of a model's embeddings, and that of a whole dataset, from summaries of their scenes."""

import posixpath
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from clayline.outputs import extensions
from clayline.outputs.wording import text
from clayline.run.keys import model_item_name

MOST_ITEM_LINKS: Final = 1_000
"""Of more scenes, the index alone names each."""
_DAY: Final = 86_400


@dataclass(frozen=True, kw_only=True, slots=True)
class SceneSummary:
    """A scene's embeddings, as the index has them."""

    item: str
    """Id of its Item."""
    href: str
    """Of its Item, relative to the dataset's root."""
    box: tuple[float, float, float, float]
    """West, south, east, north, degrees; west > east over the antimeridian."""
    start: datetime
    end: datetime
    created: datetime
    gsd: float
    """Metres."""
    instrument: str
    rows: int
    """Chips in its file."""
    size: int
    """Bytes of its file."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelSummary:
    """All scenes of one model in a dataset."""

    token: str
    digest: str
    dimensions: int
    chip_size: int
    licence: str
    """Of the model, as STAC has it."""
    untrained: bool
    scenes: tuple[SceneSummary, ...]
    """At least one, the newest revision of each."""
    layouts: tuple[dict[str, Any], ...] = ()
    """``chip_layout`` of every scene; empty where not all were looked at."""
    sources: tuple[str, ...] = ()
    """Where imagery of scenes lay, of those that were looked at."""
    datasets: tuple[str, ...] = ()
    """Names of the collections that the imagery is of, of those that were looked at."""
    creators: tuple[str, ...] = ()
    """Who made the embeddings, of those that were looked at."""

    @property
    def rows(self) -> int:
        """Chips of all scenes."""
        return sum(scene.rows for scene in self.scenes)

    @property
    def instruments(self) -> list[str]:
        """Of all scenes."""
        return sorted({scene.instrument for scene in self.scenes})

    @property
    def gsds(self) -> list[float]:
        """Of all scenes, metres."""
        return sorted({scene.gsd for scene in self.scenes})


def model_collection(model: ModelSummary, *, box: tuple[float, float, float, float]) -> dict[str, Any]:
    """Give the Collection that lies at ``{token}/collection.json``; ``box`` holds all scenes."""
    gsds = model.gsds
    return {
        "type": "Collection",
        "stac_version": extensions.STAC,
        "stac_extensions": [extensions.EMB],
        "id": model.token,
        "title": f"Embeddings by {model.token}",
        "description": _description(model),
        "license": "other",
        "keywords": ["embeddings", *model.instruments],
        "extent": _extent(model.scenes, box),
        "emb:type": "chip",
        "emb:dimensions": model.dimensions,
        "data_type": "float32",
        **({"gsd": gsds[0]} if len(gsds) == 1 else {}),
        "emb:chip_layout": _layout(model),
        **({"emb:temporal_resolution": "single_acquisition"} if _single(model.scenes) else {}),
        "summaries": {
            **_summaries(model.scenes),
            "clayline:digest": [model.digest],
            "clayline:source_collection": sorted(model.datasets),
        },
        "item_assets": {
            "embeddings": {
                "type": extensions.PARQUET,
                "roles": ["data"],
                "title": "One row a chip: identifier, footprint, vector",
                "data_type": "float32",
            }
        },
        "links": [
            {"rel": "root", "href": "../dataset/collection.json", "type": extensions.JSON},
            {"rel": "parent", "href": "../dataset/collection.json", "type": extensions.JSON},
            {
                "rel": "emb:model",
                "href": f"./{model_item_name(model.digest)}",
                "type": extensions.GEOJSON,
                "title": model.token,
            },
            {"rel": "emb:source-data", "href": _common(model.sources), "title": ", ".join(_sources(model))},
            *_item_links(model.scenes, inside=f"{model.token}/"),
        ],
        "assets": {
            "card": {"href": "./card.json", "type": extensions.JSON, "roles": ["metadata"], "title": "Data card"},
        },
    }


def dataset_collection(models: Sequence[ModelSummary], *, name: str, box: tuple[float, float, float, float]) -> (
    dict[str, Any]
):  # fmt: skip
    """Give the Collection ``name`` of a whole dataset, at ``dataset/collection.json``: one child a model.

    It declares no ``emb:``, which knows one model and one length of vectors a Collection.
    """
    scenes = [scene for model in models for scene in model.scenes]
    chips = sum(model.rows for model in models)
    return {
        "type": "Collection",
        "stac_version": extensions.STAC,
        "stac_extensions": [],
        "id": name,
        "title": "Embeddings",
        "description": f"{chips} chips of {len(scenes)} scenes by {len(models)} model(s).",
        "license": "other",
        "extent": _extent(scenes, box),
        "summaries": {**_summaries(scenes), "clayline:token": sorted(model.token for model in models)},
        "links": [
            {"rel": "root", "href": "./collection.json", "type": extensions.JSON},
            *(
                {
                    "rel": "child",
                    "href": f"../{model.token}/collection.json",
                    "type": extensions.JSON,
                    "title": model.token,
                }
                for model in sorted(models, key=lambda model: model.token)
            ),
        ],
        "assets": {
            "index": {
                "href": "./manifest.json",
                "type": extensions.JSON,
                "roles": ["metadata"],
                "title": "The index: which files of stac-geoparquet count (docs/dataset.md)",
            }
        },
    }


def _description(model: ModelSummary) -> str:
    noted = " The weights are random numbers: these vectors mean nothing." if model.untrained else ""
    return (
        f"{model.rows} chips of {len(model.scenes)} scene(s), {model.chip_size} x {model.chip_size} px each, as vectors"
        f" of {model.dimensions} numbers by {model.token} ({model.digest}).{noted} The licence of the imagery and that"
        f" of the model ({model.licence}) hold."
    )


def _extent(scenes: Sequence[SceneSummary], box: tuple[float, float, float, float]) -> dict[str, Any]:
    interval = [text(min(scene.start for scene in scenes)), text(max(scene.end for scene in scenes))]
    return {"spatial": {"bbox": [list(box)]}, "temporal": {"interval": [interval]}}


def _summaries(scenes: Sequence[SceneSummary]) -> dict[str, Any]:
    gsds = [scene.gsd for scene in scenes]
    return {
        "gsd": {"minimum": min(gsds), "maximum": max(gsds)},
        "clayline:instrument": sorted({scene.instrument for scene in scenes}),
        "clayline:rows": {"minimum": min(each.rows for each in scenes), "maximum": max(each.rows for each in scenes)},
    }


def _layout(model: ModelSummary) -> dict[str, Any]:
    """Give the layout that all scenes share; where they differ, or not all were looked at, the grid varies."""
    if model.layouts and all(layout == model.layouts[0] for layout in model.layouts):
        return model.layouts[0]
    sides = [model.chip_size, model.chip_size]
    return {"layout_type": "variable_grid", "chip_size": sides, "stride": sides}


def _single(scenes: Sequence[SceneSummary]) -> bool:
    """Say whether no scene is a composite of days."""
    return all((scene.end - scene.start).total_seconds() <= _DAY for scene in scenes)


def _sources(model: ModelSummary) -> list[str]:
    return sorted({*model.datasets, *model.instruments})


def _common(hrefs: Sequence[str]) -> str:
    """Give the folder in which all of them lie, or the one that there is; the model's Items where none is known."""
    if not hrefs:
        return "./"
    if len(set(hrefs)) == 1:
        return hrefs[0]
    shared = posixpath.commonprefix(list(hrefs))
    return shared[: shared.rfind("/") + 1] or "./"


def _item_links(scenes: Sequence[SceneSummary], *, inside: str) -> list[dict[str, str]]:
    if len(scenes) > MOST_ITEM_LINKS:
        return []
    return [
        {
            "rel": "item",
            "href": f"./{scene.href.removeprefix(inside)}",
            "type": extensions.GEOJSON,
            "title": scene.item,
        }
        for scene in sorted(scenes, key=lambda scene: (scene.start, scene.item))
    ]
