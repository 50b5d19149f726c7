"""What a file says of its making: the provenance in its header, and the metadata JSON beside it."""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from clayline import __version__
from clayline.chips.cloud import SCL
from clayline.identity.ground import lattice_name
from clayline.model.manifest import Checkpoint
from clayline.outputs.embedding import SceneColumns
from clayline.outputs.wording import layout, pretty, text
from clayline.run.plan import Plan, PlannedBand
from clayline.run.receipt import Counts

ON_THE_LATTICE = "chips reach over the scene's edges, padded with nodata"
IN_THE_CORNER = "last row and column shifted back; a scene smaller than a chip padded with nodata"
"""What the grid's ``edge`` says: how chips lie at the scene's edges."""


def untrained_note(checkpoint: Checkpoint | None) -> str | None:
    """Say in one sentence, wherever embeddings are shown, that they are random.

    None for weights from a checkpoint or of unknown origin.
    """
    if checkpoint is None or checkpoint.seed is None:
        return None
    return (
        f"Untrained weights: random numbers of seed {checkpoint.seed}. The model has learnt nothing, its embeddings"
        " mean nothing."
    )


def columns(plan: Plan) -> SceneColumns:
    """Give what all rows of the scene's file share."""
    return SceneColumns(
        source_url=plan.source_url,
        date=plan.created.date(),
        datetime=plan.scene.acquired.start,
        source_model=plan.model.entry.token,
        loss_metric=plan.model.entry.loss_metric,
        source_creator=plan.creator,
        dimensions=plan.model.entry.dimensions,
    )


def provenance(plan: Plan) -> dict[str, Any]:
    """Give everything needed to make the same file again, and to trust or reject it (docs/schema.md, Provenance)."""
    scene, entry, grid = plan.scene, plan.model.entry, plan.grid
    checkpoint = plan.model.checkpoint
    return {
        "producer": f"clayline {__version__}",
        "run": plan.run,
        "revision": plan.revision,
        "created": text(plan.created),
        "creator": plan.creator,
        "source": {
            "uri": plan.names.of(scene.uri),
            "source_url": plan.source_url,
            "etag": scene.etag,
            "collection": scene.collection,
            "id": scene.name,
            "assets": [
                {
                    "band": band.name,
                    "uri": plan.names.of(band.uri),
                    "declared_href": band.declared,
                    "alternate": band.alternate,
                    "etag": band.etag,
                    "file_band": band.band,
                    "flipped": band.header.flipped,
                    "nodata": list(band.nodata),
                    "offset": band.offset,
                    "conversion": _conversion(band, entry.dtype),
                    "possible": band.possible,
                }
                for band in (*plan.bands, *((plan.mask,) if plan.mask else ()))
            ],
            "passed_over": [asdict(passed) for passed in scene.passed_over],
            "validity": [
                {
                    "kind": band.name,
                    "uri": plan.names.of(band.uri),
                    "etag": band.etag,
                    "file_band": band.band,
                    "directory": band.directory,
                }
                for band in plan.validity
            ],
        },
        "cloud": _cloud(plan),
        "acquired": {
            "start": text(scene.acquired.start),
            "end": text(scene.acquired.end),
            "datetime_source": scene.acquired.source,
        },
        "sensor": scene.sensor,
        "product": scene.product,
        "trained_on_instrument": scene.trained,
        "instrument": scene.instrument,
        "grid": {
            "crs": scene.crs,
            "transform": list(scene.transform),
            "height": scene.height,
            "width": scene.width,
            "gsd": scene.gsd,
            "pixel": {"width_m": scene.pixel_width_m, "height_m": scene.pixel_height_m, "angle": scene.pixel_angle},
            "chip_size": grid.size,
            "stride": grid.size,
            "rows": grid.rows,
            "cols": grid.cols,
            "start": list(grid.start or (0, 0)),
            "edge": ON_THE_LATTICE if grid.start else IN_THE_CORNER,
            "lattice": _lattice(plan),
            "mgrs_tile": scene.tile,
            "identifier": scene.location,
        },
        "model": {
            "folder": plan.model.folder,
            "token": entry.token,
            "digest": entry.digest,
            "untrained": plan.model.untrained,
            "checkpoint": checkpoint.model_dump(exclude_none=True) if checkpoint else None,
            "producer": plan.model.producer,
            "inputs": list(entry.inputs),
            "bands": list(entry.bands),
            "wavelengths": entry.wavelengths,
            "normalisation": entry.normalisation,
            "dtype": entry.dtype,
            "stretch": entry.stretch,
            "loss_metric": entry.loss_metric,
            "gsd": entry.gsd,
            "options": entry.options.model_dump(),
        },
        "preprocessing": preprocessing(plan),
        "encoding": plan.encoding.value,
        "thresholds": plan.thresholds.model_dump(),
        "options": plan.options,
    }


def preprocessing(plan: Plan) -> dict[str, Any]:
    """Say what became of the files' numbers before the model took them."""
    return {
        "version": plan.model.entry.preprocessing,
        "resampling": "nearest to the finest band's grid, never reprojected",
        "nodata_fill": plan.model.entry.nodata_fill,
        "boa_decided_by": plan.scene.boa_decided_by,
        "boa_said": list(plan.scene.boa_said),
    }


def file_metadata(plan: Plan) -> dict[str, str]:
    """Give the file's own header keys beside ``geo``: ``clayline``, and ``emb`` as geoembeddings.org advises."""
    entry = plan.model.entry
    emb = {
        "emb:type": "chip",
        "emb:dimensions": entry.dimensions,
        "data_type": "float32",
        "gsd": plan.scene.gsd,
        "emb:chip_layout": layout(plan),
        "emb:model": entry.token,
        "emb:source-data": plan.names.of(plan.scene.uri),
    }
    return {"clayline": _json(provenance(plan)), "emb": _json(emb)}


def metadata_json(plan: Plan, counts: Counts, header: Mapping[str, str]) -> bytes:
    """Give the file beside the file: the header's keys as JSON, and the counts."""
    content = {name: json.loads(value) for name, value in header.items()}
    return pretty({**content, "columns": _columns_text(plan), "counts": counts.model_dump()})


def _lattice(plan: Plan) -> dict[str, Any] | None:
    """Say where the chips lie on the lattice, or why they do not; None for windows of a tile."""
    lattice = plan.scene.lattice
    if lattice is None:
        return {"name": None, "reason": plan.scene.own_grid} if plan.scene.own_grid else None
    return {
        "name": lattice_name(lattice),
        "pixel": [lattice.pixel_x, lattice.pixel_y],
        "first_cell": [lattice.north, lattice.east],
        "phase": [lattice.phase_north, lattice.phase_east],
    }


def _cloud(plan: Plan) -> dict[str, Any] | None:
    """Say which mask says where clouds are, by what it was chosen, and what of it counts as cloud; None without one."""
    if plan.mask is None:
        return None
    meaning = plan.classification or SCL
    return {
        "mask": plan.mask.name,
        "chosen_by": plan.mask_chosen_by,
        **{
            kind: [dataclasses.asdict(classes) for classes in found]
            for kind, found in (("cloud", meaning.cloud), ("clear", meaning.clear), ("unknown", meaning.unknown))
        },
    }


def _columns_text(plan: Plan) -> dict[str, Any]:
    shared = columns(plan)
    return {
        "source_url": shared.source_url,
        "date": shared.date.isoformat(),
        "datetime": text(shared.datetime),
        "source_model": shared.source_model,
        "loss_metric": shared.loss_metric,
        "source_creator": shared.source_creator,
    }


def _conversion(band: PlannedBand, dtype: str) -> dict[str, str] | None:
    """Say what was done to a band's numbers, and why; None where nothing was."""
    return {"rule": band.conversion.rule(dtype), "why": band.conversion.why} if band.conversion else None


def _json(content: Mapping[str, Any]) -> str:
    return json.dumps(content, sort_keys=True, ensure_ascii=False)
