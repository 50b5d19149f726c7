"""The model card: what a folder is, for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from clayline.model.vector import CLS, WORDS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from clayline.model.manifest import Manifest, ModelEntry

_WHAT = (
    "Clay v1.5 (Clay-foundation/model) as ONNX, for Clayline: a chip of satellite pixels in, a vector out"
    " ({dimensions} numbers). One trunk for all sensors, and for each entry a small graph from its digital numbers to"
    " the trunk."
)
_LIMITS = """* Embeddings of different tokens are not comparable: sensor, bands, chip size,
  precision and options are part of the model.
* A ground sampling distance other than the entry's shifts every position code; the pipeline refuses more than 10 %.
* Sentinel-2 digital numbers are expected with the BOA offset applied; clouds,
  snow and nodata are embedded like anything else.
* Made again on another machine, an entry's last bits may differ (another BLAS); the exporter then refuses its token.
"""
_MEASURED = (
    "Against the float32 graphs of the same weights, by ONNX Runtime on a CPU, one chip at a time (a GPU rounds fp16"
    " otherwise). `synthetic`: a chip as in training, nodata alone, the largest number alone, a checkerboard of the"
    " smallest and the largest (entries after the first: that alone); `real`: a scene's pixels."
)
_RANGE = (
    "On {chips} probe chips the largest number in the sum that runs from block to block was {largest_in_residual:g},"
    " elsewhere in the trunk {largest_elsewhere:g}; up to {safe:g} counts as safe for float16, whose own end is 65504."
    " That sum is kept as {residual}."
)
UNMEASURED: Final = "not measured on real pixels: give --probe/PROBE=scene.tif, a GeoTIFF with its bands, to an export"
"""What is said of an fp16 or int8 entry whose accuracy on real pixels nobody knows."""
_UNTRAINED = (
    "**RANDOM WEIGHTS: this model has learnt nothing, and its embeddings mean nothing.** It is for trying the"
    " machinery.\n"
)
_ORDERS = {
    "lonlat": (
        "[sin lon, cos lon, sin lat, cos lat], the order that Clay was trained on (the input's name says otherwise)"
    ),
    "latlon": "[sin lat, cos lat, sin lon, cos lon], which is not the order that Clay was trained on",
    "all-zero": "zeros",
}
_HOURS = {
    "noon": "the week of the acquisition, and 12:00 whatever its hour, as in training",
    "acquisition": "the week and the hour of the acquisition; Clay was trained on 12:00 throughout",
    "all-zero": "zeros",
}
_PRECISIONS = {
    "fp32": "float32 throughout.",
    "fp16": "float16 in the trunk; the patch embedding and everything that meets raw digital numbers is float32.",
    "int8": (
        "matrices are int8 (seven bits used) with a scale a column; what they multiply is quantised with one scale a"
        " run, so chips run one at a time, or a chip's vector would depend on its neighbours in the batch."
    ),
}


def card_text(manifest: Manifest, metrics: Mapping[str, Any]) -> str:
    """Write the card in Markdown; what was measured comes from ``metrics``."""
    first = manifest.entries[0]
    sections = [
        _UNTRAINED if manifest.untrained else "",
        f"# {manifest.folder}\n",
        f"{_WHAT.format(dimensions=first.dimensions)}\n",
        "## Weights\n",
        f"{_weights(manifest)}\n",
        "## Entries\n",
        "\n".join(
            [
                "| token | sensor | bands | pixels | chip | GSD |",
                "|---|---|---|---|---|---|",
                *map(_row, manifest.entries),
            ]
        )
        + "\n",
        "## Inputs\n",
        "\n".join(_inputs(manifest)) + "\n",
        "## Outputs\n",
        _outputs(manifest) + "\n",
        "## Precision and measured accuracy\n",
        f"{first.options.precision}: {_PRECISIONS[first.options.precision]}\n",
        f"{measured}\n" if (measured := _measured(manifest, metrics)) else "",
        "## Licence\n",
        _licence(manifest) + "\n",
        "## Limits\n",
        _LIMITS,
    ]
    return "\n".join(section for section in sections if section)


def unmeasured(manifest: Manifest, metrics: Mapping[str, Any]) -> list[str]:
    """Give the tokens of the fp16 and int8 entries whose accuracy was not measured on real pixels."""
    accuracy = metrics.get("accuracy", {})
    narrow = (entry.token for entry in manifest.entries if entry.options.precision != "fp32")
    return [token for token in narrow if "real" not in accuracy.get(token, {})]


def _weights(manifest: Manifest) -> str:
    checkpoint = manifest.checkpoint
    if checkpoint is None:
        return "Of unknown origin."
    if checkpoint.seed is not None:
        return (
            f"{checkpoint.architecture}: random numbers from seed {checkpoint.seed}, drawn by `model/clay/seeded.py`."
        )
    return f"{checkpoint.architecture}: `{checkpoint.file}`, {checkpoint.digest}."


def _row(entry: ModelEntry) -> str:
    pixels = f"{entry.dtype}, linear power" if entry.decibel else entry.dtype
    return (
        f"| `{entry.token}` | {entry.sensor} | {' '.join(entry.bands)} | {pixels} | {entry.chip_size} px |"
        f" {entry.gsd:g} m |"
    )


def _inputs(manifest: Manifest) -> Iterator[str]:
    yield (
        "* `pixels` [N, bands, chip, chip]: raw digital numbers, bands as above; the graph normalises them (manifest:"
        " `normalisation`)."
    )
    yield from dict.fromkeys(
        f"* `latlon` [N, 4]: {_ORDERS[order]}."
        for entry in manifest.entries
        if (order := entry.options.coordinate_order) is not None
    )
    yield from dict.fromkeys(
        f"* `time` [N, 4], sines and cosines: {_HOURS[hour]}."
        for entry in manifest.entries
        if (hour := entry.options.hour) is not None
    )


def _outputs(manifest: Manifest) -> str:
    vector = WORDS[manifest.entries[0].options.vector or CLS]
    said = (
        f"Embeddings [N, dimensions] float32: {vector[0].lower()}{vector[1:-1]} after the last normalisation, not"
        " scaled to unit length."
    )
    metrics = sorted({entry.loss_metric for entry in manifest.entries if entry.loss_metric})
    if not metrics:
        return f"{said} No loss."
    return (
        f"{said} Loss [N] (`{'`, `'.join(metrics)}`): mean absolute difference between the normalised chip and the"
        " decoder's guess, over the hidden patches only, under one fixed mask (m: its ratio, s: its seed); a tenth of"
        " that for MODIS, as in Clay. Smooth cloud, water and nodata score low: it replaces no cloud or nodata"
        " fraction."
    )


def _measured(manifest: Manifest, metrics: Mapping[str, Any]) -> str:
    head = [
        "| entry | chips | number | cosine, least | cosine, mean | largest difference |",
        "|---|---|---|---|---|---|",
    ]
    rows = [
        f"| `{token}` | {kind} | {found['chips']} | {found['cosine_min']:.8f} | {found['cosine_mean']:.8f} |"
        f" {found['max_abs']:.2g} |"
        for token, kinds in sorted(metrics.get("accuracy", {}).items())
        for kind, found in sorted(kinds.items())
    ]
    parts = ["\n".join([_MEASURED, "", *head, *rows])] if rows else []
    if missing := unmeasured(manifest, metrics):
        parts.append("\n".join(f"* `{token}`: {UNMEASURED}." for token in missing))
    if "range" in metrics:
        parts.append(_RANGE.format(**metrics["range"]))
    return "\n\n".join(parts)


def _licence(manifest: Manifest) -> str:
    code = "The graphs are made by Clayline's exporter (Apache-2.0) after Clay's code (claymodel 1.5.0, Apache-2.0)."
    if manifest.untrained:
        return f"{code} Random numbers have no licence."
    return (
        f"{code} The weights stay under their publisher's licence, which comes with the checkpoint. The page of Clay's"
        " own on its model hub (made-with-clay/Clay) said OpenRAIL when v1.5 came out and Apache-2.0 later; for a"
        " fine-tuned one ask whoever made it."
    )
