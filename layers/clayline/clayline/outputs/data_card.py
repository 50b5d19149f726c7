"""The data card of a model's embeddings, in geoembeddings.org's fields (docs/schema.md, Standards)."""

import json
from collections.abc import Mapping
from typing import Any, Final

from clayline.outputs.collection import ModelSummary
from clayline.run.keys import model_item_name

_RULE: Final = 3 * "-"
"""What YAML stands between."""
_SPATIAL: Final = "spatial context determined by embedding spatial type"
_TEMPORAL: Final = "temporal context determined by embedding spatial type"
"""As the page has it, "spatial" included."""
_FEATURES: Final = (
    ("uci", "string"),
    ("source_url", "string"),
    ("date", "date32"),
    ("datetime", "timestamp[us, tz=UTC]"),
    ("source_model", "string"),
    ("loss", "float32"),
    ("loss_metric", "string"),
    ("source_creator", "string"),
    ("embeddings", "list<float32>"),
    ("geometry", "binary (WKB)"),
    ("index", "int64"),
    ("cell", "string"),
    ("bbox", "struct<float64>"),
    ("valid_fraction", "float32"),
    ("cloud_fraction", "float32"),
)


def data_card(model: ModelSummary) -> dict[str, Any]:
    """Give the card's fields: those that the page requires, and of the others what is known."""
    side = model.chip_size
    return {
        "license": "other",
        "license_details": f"The licence of the imagery, and the model's: {model.licence}.",
        "creator": ", ".join(sorted(model.creators)) or "not stated",
        "tags": ["geospatial", "embeddings", *model.instruments],
        "embedding_spatial_types": ["patch"],
        "embedding_temporal_type": ["single-date"],
        "embedding_spatial_context": _SPATIAL,
        "embedding_temporal_context": _TEMPORAL,
        "embedding_dimension": model.dimensions,
        "grid_spacing": [[side * gsd, side * gsd] for gsd in model.gsds],
        "inference_datasets": sorted({*model.datasets, *model.instruments}),
        "model_name": model.token,
        "model_link": f"./{model_item_name(model.digest)}",
        "postprocessing": None,
        "quantization": None,
        "dataset_info": {
            "features": [{"name": name, "dtype": kind} for name, kind in _FEATURES],
            "dataset_size": sum(scene.size for scene in model.scenes),
        },
    }


def card_markdown(model: ModelSummary, card: Mapping[str, Any]) -> str:
    """Give the card as a dataset's README: the fields as its YAML head (JSON values are YAML), then sentences."""
    head = "\n".join(f"{name}: {json.dumps(value, ensure_ascii=False)}" for name, value in card.items())
    first, last = min(scene.start for scene in model.scenes), max(scene.end for scene in model.scenes)
    noted = "\n**The weights are random numbers: these vectors mean nothing.**\n" if model.untrained else ""
    return f"""{_RULE}
{head}
{_RULE}

# Embeddings by {model.token}
{noted}
{model.rows} chips of {len(model.scenes)} scene(s), taken from {first:%Y-%m-%d} to {last:%Y-%m-%d} by
{", ".join(model.instruments)}. Each chip is {model.chip_size} x {model.chip_size} px and gave one vector of
{model.dimensions} float32 numbers. The model is described in `{model_item_name(model.digest)}`, its digest is
`{model.digest}`. Each scene's file says in its metadata how it was made, and its receipt what became of each chip.
"""
