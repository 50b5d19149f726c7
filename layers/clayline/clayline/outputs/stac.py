"""The STAC Item of the embeddings."""

import numpy as np
from numpy.typing import NDArray

from clayline.outputs.outline import outline
from clayline.outputs.provenance import untrained_note
from clayline.outputs.wording import layout, pretty, text
from clayline.run.plan import Plan
from clayline.run.receipt import Counts

_EMB = "https://stac-extensions.github.io/embeddings/v0.0.1/schema.json"
_PROCESSING = "https://stac-extensions.github.io/processing/v1.2.0/schema.json"


def stac_item(plan: Plan, corners: NDArray[np.float64], counts: Counts) -> bytes:
    """Give the STAC Item of the embeddings; ``corners`` [N, 4, 2] are the chips'."""
    scene, outputs = plan.scene, plan.outputs
    name = outputs.prefix.rpartition("/")[2]
    geometry, box = outline(corners, rows=plan.grid.rows, cols=plan.grid.cols)
    instant = scene.acquired.start == scene.acquired.end
    note = untrained_note(plan.model.checkpoint)
    span = {"start_datetime": text(scene.acquired.start), "end_datetime": text(scene.acquired.end)}
    item = {
        "type": "Feature",
        "stac_version": "1.0.0",
        "stac_extensions": [_EMB, _PROCESSING],
        "id": f"{plan.model.entry.token}_{scene.hash}_{name}",
        "bbox": box,
        "geometry": geometry,
        "properties": {
            "datetime": text(scene.acquired.start) if instant else None,
            **({} if instant else span),
            "created": text(plan.created),
            "processing:datetime": text(plan.created),
            "gsd": scene.gsd,
            **({"description": note} if note else {}),
            "emb:runtime_parameters": {
                "type": "chip",
                "dimensions": plan.model.entry.dimensions,
                "data_type": "float32",
                "chip_layout": layout(plan),
                "source_model": plan.model.entry.token,
                "model_digest": plan.model.entry.digest,
                "untrained": plan.model.untrained,
                "loss_metric": plan.model.entry.loss_metric,
                "run": plan.run,
                "counts": counts.model_dump(),
                "options": plan.options,
            },
        },
        "links": [
            {"rel": "emb:source-data", "href": plan.names.of(scene.uri), "type": _media_type(plan)},
            {
                "rel": "emb:model",
                "href": f"./{name}_metadata.json",
                "type": "application/json",
                "title": plan.model.entry.token,
            },
        ],
        "assets": {
            "embeddings": {"href": f"./{name}.parquet", "type": "application/vnd.apache.parquet", "roles": ["data"]},
            "metadata": {"href": f"./{name}_metadata.json", "type": "application/json", "roles": ["metadata"]},
            "receipt": {"href": f"./{name}_receipt.json", "type": "application/json", "roles": ["metadata"]},
        },
    }
    return pretty(item)


def _media_type(plan: Plan) -> str:
    """Of what landed: an Item, or a COG."""
    return "application/geo+json" if plan.scene.collection else "image/tiff"
