"""The STAC Item of a model (extension MLM): what a graph takes and gives, and which files it is.

It follows from the model alone, so that every scene of a token would write the same.
"""

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from clayline.errors import OutputConflictError
from clayline.model.vector import WORDS
from clayline.outputs import extensions
from clayline.outputs.provenance import untrained_note
from clayline.outputs.wording import pretty
from clayline.run.names import Names
from clayline.run.plan import PlannedModel

DIGEST: Final = "clayline:digest"
"""The property that says which model it is."""
_ANY_TIME: Final = {"datetime": None, "start_datetime": "1900-01-01T00:00:00Z", "end_datetime": "9999-12-31T23:59:59Z"}
"""MLM's way to say that no times are stated for which the model is good."""
_LICENCE: Final = re.compile(r"[\w.+-]+")
"""What STAC takes as a licence: an identifier."""
_TASKS: Final = ["similarity-search"]
_SIDES: Final = {"time": 4, "latlon": 4}
"""Length of the vectors that Clay takes beside pixels (docs/wire.md)."""
_WORDS: Final = {
    "pixels": "Digital numbers as they are: the graph itself scales them (mlm:hyperparameters).",
    "time": "Sine and cosine of the week, then of the hour (mlm:hyperparameters, hour).",
    "latlon": "Sine and cosine of both coordinates of the chip's centre (mlm:hyperparameters, coordinate_order).",
}


def model_item(model: PlannedModel, names: Names, *, uri: str) -> bytes:
    """Give the Item that will lie at ``uri``. Its place and times are open: nothing says where it was trained."""
    entry = model.entry
    item = {
        "type": "Feature",
        "stac_version": extensions.STAC,
        "stac_extensions": [extensions.MLM, extensions.FILE],
        "id": entry.token,
        "geometry": None,
        "properties": {
            **_ANY_TIME,
            "title": f"{entry.token}, of the model folder {model.folder}",
            "description": _description(model),
            "license": _licence(model.licence),
            "gsd": entry.gsd,
            "bands": [{"name": band, "data_type": entry.dtype} for band in entry.bands],
            "mlm:name": entry.token,
            "mlm:architecture": model.checkpoint.architecture if model.checkpoint else "unknown",
            "mlm:tasks": _TASKS,
            "mlm:framework": "ONNX",
            "mlm:pretrained": not model.untrained,
            **({"mlm:pretrained_source": None} if model.untrained else {}),
            "mlm:accelerator": None,
            "mlm:input": [_input(model, name) for name in entry.inputs],
            "mlm:output": _outputs(model),
            "mlm:hyperparameters": _parameters(model),
            DIGEST: entry.digest,
        },
        "links": [{"rel": "self", "href": names.of(uri), "type": extensions.GEOJSON}],
        "assets": _assets(model, names),
    }
    return pretty(item)


def check_same(stored: bytes, model: PlannedModel, *, uri: str) -> None:
    """Raise OutputConflictError where the Item at ``uri`` is of another model under the same token."""
    try:
        content = json.loads(stored)
        found = content["properties"][DIGEST]
    except (ValueError, KeyError, TypeError, RecursionError):
        found = None
    if found != model.entry.digest:
        msg = (
            f"{uri} is not the Item of {model.entry.token} ({found} instead of {model.entry.digest}). Move"
            " that object away: its name is that of this model's own."
        )
        raise OutputConflictError(msg)


def _description(model: PlannedModel) -> str:
    entry = model.entry
    said = f"Gives {entry.dimensions} numbers for each chip of {entry.chip_size} x {entry.chip_size} px."
    note = untrained_note(model.checkpoint)
    licence = "" if _licence(model.licence) == model.licence or not model.licence else f" Licence: {model.licence}."
    return f"{said} {note}" if note else f"{said}{licence}"


def _licence(licence: str | None) -> str:
    return licence if licence and _LICENCE.fullmatch(licence) else "other"


def _input(model: PlannedModel, name: str) -> dict[str, Any]:
    entry = model.entry
    if name == "pixels":
        return {
            "name": name,
            "description": _WORDS[name],
            "bands": list(entry.bands),
            "input": {
                "shape": [-1, len(entry.bands), entry.chip_size, entry.chip_size],
                "dim_order": ["batch", "bands", "height", "width"],
                "data_type": entry.dtype,
            },
            "value_scaling": None,
            "resize_type": None,
        }
    return {
        "name": name,
        "description": _WORDS[name],
        "bands": [],
        "input": {"shape": [-1, _SIDES[name]], "dim_order": ["batch", "component"], "data_type": "float32"},
    }


def _outputs(model: PlannedModel) -> list[dict[str, Any]]:
    entry = model.entry
    found: list[dict[str, Any]] = [
        {
            "name": "embeddings",
            **({"description": WORDS[entry.options.vector]} if entry.options.vector else {}),
            "tasks": _TASKS,
            "result": {
                "shape": [-1, entry.dimensions],
                "dim_order": ["batch", "embedding"],
                "data_type": "float32",
            },
        }
    ]
    if entry.loss_metric:
        result = {"shape": [-1], "dim_order": ["batch"], "data_type": "float32"}
        found.append({"name": "loss", "description": entry.loss_metric, "tasks": [], "result": result})
    return found


def _parameters(model: PlannedModel) -> Mapping[str, Any]:
    entry = model.entry
    chosen = {
        "chip_size": entry.chip_size,
        "nodata_fill": entry.nodata_fill,
        "preprocessing": entry.preprocessing,
        "precision": entry.options.precision,
        "coordinate_order": entry.options.coordinate_order,
        "hour": entry.options.hour,
        "vector": entry.options.vector,
        "stretch": entry.stretch,
        "normalisation": entry.normalisation,
        "decibel": entry.decibel or None,
        "wavelengths": entry.wavelengths,
        "seed": model.checkpoint.seed if model.checkpoint else None,
    }
    return {name: value for name, value in chosen.items() if value is not None}


def _assets(model: PlannedModel, names: Names) -> dict[str, Any]:
    """Name the model's files where they lie; by name alone where the plan does not know."""
    graphs = model.entry.graphs
    found: dict[str, Any] = {}
    for name in model.entry.files:
        graph = name in graphs
        found[name] = {
            "href": names.of(f"{model.uri}{name}") if model.uri else f"./{name}",
            "type": "application/octet-stream; framework=onnx" if graph else "application/octet-stream",
            "roles": ["mlm:model", "data"] if graph else ["mlm:weights", "data"],
            **({"mlm:artifact_type": "onnx"} if graph else {}),
            **({"bands": [{"name": band} for band in model.entry.bands]} if graph else {}),  # else none in properties
            **({"file:checksum": extensions.multihash(model.files[name])} if name in model.files else {}),
        }
    return found
