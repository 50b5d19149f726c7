"""What the registry says about a folder in words: its description, its metadata, its model card."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from clayline.model.manifest import Manifest
from publish.errors import PublishError
from publish.folder import ModelFolder

UNTRAINED: Final = "UNTRAINED: the weights are random numbers, the embeddings mean nothing."
_MAX_DESCRIPTION: Final = 1024
_MAX_TEXT: Final = 2048
_MAX_DETAIL: Final = 1024
_MAX_CONTENT: Final = 100_000
_MAX_PROPERTIES: Final = 50
"""Of a package's customer metadata, as the API has it; 256 characters each."""
_MAX_VALUE: Final = 256
_NOT_IN_PROPERTIES: Final = re.compile(r"[^\w .:/=+\-@]")


@dataclass(frozen=True, kw_only=True, slots=True)
class Package:
    """The registered package that a card is about."""

    arn: str
    group: str
    version: int
    image: str
    """The container's image, by digest."""
    model_uri: str
    """``s3://bucket/models/{folder}/``."""


def description(manifest: Manifest) -> str:
    """Say in one line what the folder is; "untrained" comes first where it is true."""
    sensors = ", ".join(dict.fromkeys(entry.sensor for entry in manifest.entries))
    precisions = ", ".join(sorted({entry.options.precision for entry in manifest.entries}))
    said = (
        f"{manifest.folder}: embeddings of satellite image chips, {len(manifest.entries)} entries ({sensors}),"
        f" {precisions}."
    )
    said = f"{said} {weights(manifest)}"
    return _shorten(f"{UNTRAINED} {said}" if manifest.untrained else said, _MAX_DESCRIPTION)


def weights(manifest: Manifest) -> str:
    """Say in one line where the weights come from."""
    checkpoint = manifest.checkpoint
    if checkpoint is None:
        return "The manifest names no checkpoint; the card file says where the weights come from."
    if checkpoint.seed is not None:
        return f"{checkpoint.architecture}, random weights from seed {checkpoint.seed}; it has learnt nothing."
    return f"{checkpoint.architecture}, weights of {checkpoint.file} ({checkpoint.digest})."


def properties(folder: ModelFolder, *, image: str) -> dict[str, str]:
    """Give the package's customer metadata: which folder, which bytes, which tokens.

    ``manifest`` (its digest) and ``image`` identify a package: the same two are registered once.
    """
    manifest = folder.manifest
    checkpoint = manifest.checkpoint
    found = {
        "folder": manifest.folder,
        "manifest": folder.manifest_file.digest,
        "image": image.partition("@")[2],
        "untrained": str(manifest.untrained).lower(),
        "licence": manifest.licence,
        "precision": " ".join(sorted({entry.options.precision for entry in manifest.entries})),
        "entries": str(len(manifest.entries)),
    }
    if checkpoint is not None:
        found |= {"architecture": checkpoint.architecture}
        found |= {"checkpoint": checkpoint.digest} if checkpoint.digest else {"seed": str(checkpoint.seed)}
    tokens = {f"token/{entry.token}": entry.digest for entry in manifest.entries}
    # Sensors times precisions may pass the API's limit. The manifest's digest then still covers every token.
    if len(found) + len(tokens) <= _MAX_PROPERTIES:
        found |= tokens
    return {name: _NOT_IN_PROPERTIES.sub(" ", value)[:_MAX_VALUE] for name, value in found.items()}


def card_content(folder: ModelFolder, package: Package) -> str:
    """Write the model card as SageMaker's model card schema has it.

    Raises PublishError when it is larger than a card may be.
    """
    manifest = folder.manifest
    content: dict[str, Any] = {
        "model_overview": {
            "model_id": manifest.folder,
            "model_name": manifest.folder,
            "model_description": description(manifest),
            "problem_type": "Embedding of satellite image chips",
            "algorithm_type": manifest.checkpoint.architecture if manifest.checkpoint else manifest.name,
            "model_artifact": [package.model_uri],
            "inference_environment": {"container_image": [package.image]},
        },
        "intended_uses": _intended_uses(manifest),
        "training_details": {"training_observations": _shorten(weights(manifest), _MAX_DETAIL)},
        "evaluation_details": list(_evaluation(folder)),
        "additional_information": {
            "caveats_and_recommendations": _shorten(
                folder.card, _MAX_TEXT, whole=f"{package.model_uri}{manifest.card}"
            ),
            "custom_details": _details(manifest),
        },
        "model_package_details": {
            "model_package_arn": package.arn,
            "model_package_group_name": package.group,
            "model_package_version": package.version,
            "model_package_description": description(manifest),
        },
    }
    text = json.dumps(content, sort_keys=True)
    if len(text) > _MAX_CONTENT:
        msg = (
            f"the model card of {manifest.folder} has {len(text)} characters, {_MAX_CONTENT} are allowed: shorten its"
            " metrics report"
        )
        raise PublishError(msg)
    return text


def _intended_uses(manifest: Manifest) -> dict[str, str]:
    purpose = (
        "Vectors by which chips of satellite scenes are searched, compared and clustered; further models are trained on"
        " them."
    )
    uses = "Run by Clayline's endpoint on the sensors and bands of its entries, at about their ground sample distance."
    if manifest.untrained:
        purpose, uses = (
            f"{UNTRAINED} It tries out the system.",
            "Tests of speed and of the pipeline, with embeddings that nobody keeps.",
        )
    return {
        "purpose_of_model": purpose,
        "intended_uses": uses,
        "factors_affecting_model_efficiency": (
            "Cloud; nodata; a sensor, bands or a ground sample distance other than an entry's."
        ),
        "risk_rating": "Unknown",
        "explanations_for_risk_rating": "Nobody has rated it. What an embedding is used for decides.",
    }


def _details(manifest: Manifest) -> dict[str, str]:
    """One line an entry; the schema's keys are identifiers."""
    lines = {
        entry.token: (
            f"{entry.token} {entry.digest} {entry.sensor} [{' '.join(entry.bands)}] {entry.chip_size} px {entry.gsd:g}"
            f" m {entry.dimensions} dimensions {entry.options.precision}"
        )
        for entry in manifest.entries
    }
    lines["licence"] = manifest.licence
    lines["producer"] = (
        " ".join(f"{name} {version}" for name, version in (manifest.producer or {}).items()) or "not stated"
    )
    return {re.sub(r"[^a-zA-Z0-9_]", "_", name): _shorten(line, _MAX_DETAIL) for name, line in lines.items()}


def _evaluation(folder: ModelFolder) -> Iterator[dict[str, Any]]:
    """The exporter's report: a group for each of its objects, with the numbers and words in it, however deep."""
    if folder.metrics is None:
        return
    groups: dict[str, list[dict[str, Any]]] = {}
    for path, value in _leaves(folder.metrics):
        group, _, rest = path.partition(".")
        kind = "boolean" if isinstance(value, bool) else "string" if isinstance(value, str) else "number"
        metric = {"name": (rest or group)[:255], "type": kind, "value": value[:63] if isinstance(value, str) else value}
        groups.setdefault(group if rest else "report", []).append(metric)
    yield {
        "name": "exporter's report",
        "evaluation_observation": "Written when the folder was exported.",
        "metric_groups": [{"name": name[:63], "metric_data": metrics} for name, metrics in groups.items()],
    }


def _leaves(content: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, bool | float | str]]:
    for name, value in content.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{name}.")
        elif isinstance(value, bool | int | float | str) and name:
            yield f"{prefix}{name}", value


def _shorten(text: str, most: int, *, whole: str | None = None) -> str:
    """Cut a text that is too long, and say that it was cut and where the whole is."""
    if len(text) <= most:
        return text
    note = f" ... (cut; the whole: {whole})" if whole else " ..."
    return text[: most - len(note)] + note
