"""The STAC Item of the embeddings."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from clayline import __version__
from clayline.outputs import extensions
from clayline.outputs.outline import outline
from clayline.outputs.provenance import preprocessing, untrained_note
from clayline.outputs.wording import layout, pretty, text
from clayline.run.keys import model_item_name
from clayline.run.plan import Plan
from clayline.run.receipt import Counts

_LEVEL: Final = "L4"
"""Of the processing extension: what a model made of measurements."""
_IMAGE: Final = "image/tiff"


@dataclass(frozen=True, kw_only=True, slots=True)
class WrittenFile:
    """The Parquet file as it lies."""

    size: int
    """Bytes."""
    sha256: str
    """64 hex."""


def stac_item(plan: Plan, corners: NDArray[np.float64], counts: Counts, file: WrittenFile) -> bytes:
    """Give the STAC Item of the embeddings; ``corners`` [N, 4, 2] are the chips'."""
    scene = plan.scene
    geometry, box = outline(corners, rows=plan.grid.rows, cols=plan.grid.cols)
    item = {
        "type": "Feature",
        "stac_version": extensions.STAC,
        "stac_extensions": [
            extensions.EMB,
            extensions.PROCESSING,
            extensions.PROJECTION,
            extensions.FILE,
        ],
        "id": f"{plan.model.entry.token}_{scene.hash}_{_name(plan)}",
        "collection": plan.model.entry.token,
        "bbox": box,
        "geometry": geometry,
        "properties": {
            **_when(plan),
            "created": text(plan.created),
            "gsd": scene.gsd,
            **_described(plan),
            "processing:datetime": text(plan.created),
            "processing:level": _LEVEL,
            "processing:version": __version__,
            "processing:software": {"clayline": __version__, **(plan.model.producer or {})},
            "processing:lineage": _lineage(plan),
            **_projection(plan),
            "emb:preprocessing": {"format": "clayline", "expression": preprocessing(plan)},
            "emb:runtime_parameters": _parameters(plan, counts),
        },
        "links": _links(plan),
        "assets": _assets(_name(plan), file),
    }
    return pretty(item)


def _name(plan: Plan) -> str:
    return plan.outputs.prefix.rpartition("/")[2]


def _when(plan: Plan) -> dict[str, str | None]:
    acquired = plan.scene.acquired
    if acquired.start == acquired.end:
        return {"datetime": text(acquired.start)}
    return {"datetime": None, "start_datetime": text(acquired.start), "end_datetime": text(acquired.end)}


def _described(plan: Plan) -> dict[str, str]:
    note = untrained_note(plan.model.checkpoint)
    return {"description": note} if note else {}


def _lineage(plan: Plan) -> str:
    entry, scene = plan.model.entry, plan.scene
    return (
        f"Chips of {entry.chip_size} x {entry.chip_size} px of {plan.names.of(scene.uri)} (bands"
        f" {', '.join(entry.bands)}), embedded by {entry.token}."
    )


def _projection(plan: Plan) -> dict[str, Any]:
    """Say in which CRS the chips are squares, and what they cover together there."""
    scene, grid = plan.scene, plan.grid
    a, b, c, d, e, f = scene.transform
    first, last = grid.window(0), grid.window(len(grid) - 1)
    rows = np.array([first.row, last.row + last.size])
    cols = np.array([first.col, last.col + last.size])
    xs, ys = a * cols + b * rows + c, d * cols + e * rows + f
    known = scene.epsg is not None
    return {
        "proj:code": f"EPSG:{scene.epsg}" if known else None,
        **({} if known else {"proj:wkt2": scene.crs}),
        "proj:bbox": [float(xs.min()), float(ys.min()), float(xs.max()), float(ys.max())],
    }


def _parameters(plan: Plan, counts: Counts) -> dict[str, Any]:
    entry = plan.model.entry
    return {
        "type": "chip",
        "dimensions": entry.dimensions,
        "data_type": "float32",
        "chip_layout": layout(plan),
        "source_model": entry.token,
        "source_collection": plan.scene.collection,
        "source_creator": plan.creator,
        "sensor": plan.scene.sensor,
        "instrument": plan.scene.instrument,
        "model_digest": entry.digest,
        "untrained": plan.model.untrained,
        "loss_metric": entry.loss_metric,
        "run": plan.run,
        "revision": plan.revision,
        "counts": counts.model_dump(),
        "options": plan.options,
    }


def _links(plan: Plan) -> list[dict[str, str]]:
    """Give where the Item lies and what it belongs to; what lies in the same dataset is named from here."""
    source, token = plan.names.of(plan.scene.uri), plan.model.entry.token
    landed = {"href": source, "type": extensions.GEOJSON if plan.scene.collection else _IMAGE}
    model = {"href": f"../{model_item_name(plan.model.entry.digest)}", "type": extensions.GEOJSON, "title": token}
    collection = {"href": "../collection.json", "type": extensions.JSON, "title": token}
    return [
        {"rel": "self", "href": plan.names.of(plan.outputs.item), "type": extensions.GEOJSON},
        {"rel": "parent", **collection},
        {"rel": "collection", **collection},
        {"rel": "emb:source-data", **landed},
        {"rel": "derived_from", **landed},
        {"rel": "emb:model", **model},
    ]


def _assets(name: str, file: WrittenFile) -> dict[str, Any]:
    return {
        "embeddings": {
            "href": f"./{name}.parquet",
            "type": extensions.PARQUET,
            "roles": ["data"],
            "data_type": "float32",
            # Of what the file holds: footprints in longitude and latitude, and no pixels.
            "proj:code": "OGC:CRS84",
            "file:size": file.size,
            "file:checksum": extensions.multihash(file.sha256),
        },
        "metadata": {"href": f"./{name}_metadata.json", "type": extensions.JSON, "roles": ["metadata"]},
        "receipt": {"href": f"./{name}_receipt.json", "type": extensions.JSON, "roles": ["metadata"]},
    }
