"""What the published rules say of a STAC document, offline (docs/schema.md, Standards).

STAC's core schemas come in pystac; those of processing and projection in eopf; MLM's fields are held by stac-model's
classes; for the rest there are our own schemas in docs/schemas, from the extensions' texts.
"""

import importlib.metadata
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

import jsonschema
from pydantic import ValidationError
from referencing import Registry
from referencing.jsonschema import DRAFT7
from stac_model.schema import MLModelProperties
from tests.conftest import ROOT

from clayline.outputs import extensions

CORE: Final = "https://schemas.stacspec.org/v1.1.0/{kind}-spec/json-schema/{kind}.json"
OURS: Final = ROOT / "docs" / "schemas"
BY_EXTENSION: Final = {
    extensions.PROCESSING: extensions.PROCESSING,
    extensions.PROJECTION: extensions.PROJECTION,
    extensions.EMB: "https://clayline.invalid/schemas/emb-v0.0.1.json",
    extensions.FILE: "https://clayline.invalid/schemas/file-v2.1.0.json",
    extensions.MLM: "https://clayline.invalid/schemas/mlm-v1.6.0.json",
}


def _of(package: str, folder: str) -> list[Path]:
    files = importlib.metadata.files(package)
    assert files, package
    return [Path(str(file.locate())) for file in files if folder in str(file) and file.suffix == ".json"]


@cache
def registry() -> Registry[Any]:
    """Every schema that is on this machine, under its own name; nothing is fetched."""
    files = [
        *_of("pystac-core", "validation/jsonschemas/"),
        *_of("eopf", "stac_extensions/extensions/"),
        *_of("eopf", "stac_extensions/projjson/"),
        *OURS.glob("*.json"),
    ]
    found = {}
    for file in files:
        content = json.loads(file.read_text(encoding="utf-8"))
        named = DRAFT7.create_resource(content)
        found[content["$id"].rstrip("#")] = named
        if "stac-spec" in str(file):  # common.json calls itself commonjson, and others refer to it by its file's name
            found[f"{content['$id'].rpartition('/')[0]}/{file.name}"] = named
    return Registry().with_resources(found.items())


def _errors(document: Mapping[str, Any], schema: str) -> list[str]:
    validator = jsonschema.Draft7Validator(
        {"$ref": schema}, registry=registry(), format_checker=jsonschema.Draft7Validator.FORMAT_CHECKER
    )
    return [f"{schema}: {'/'.join(map(str, each.absolute_path))}: {each.message[:300]}" for each in
            validator.iter_errors(document)]  # fmt: skip


def problems(document: Mapping[str, Any]) -> list[str]:
    """Hold an Item, a Collection or a Catalog against STAC 1.1.0 and each extension that it declares."""
    kind = {"Feature": "item", "Collection": "collection", "Catalog": "catalog"}[document["type"]]
    found = _errors(document, CORE.format(kind=kind))
    for extension in document.get("stac_extensions", ()):
        found += _errors(document, BY_EXTENSION[extension])
    if extensions.MLM in document.get("stac_extensions", ()):
        fields = {name: value for name, value in document["properties"].items() if name.startswith("mlm:")}
        try:
            MLModelProperties.model_validate(fields)
        except ValidationError as error:
            found.append(f"stac-model: {error}")
    prefixes = {"emb": extensions.EMB, "file": extensions.FILE, "mlm": extensions.MLM, "proj": extensions.PROJECTION,
                "processing": extensions.PROCESSING}  # fmt: skip
    text = json.dumps(document).replace('"rel": "emb:', "").replace('"file:///', "")  # neither is a field
    found += [
        f"{prefix}: is used and {extension} not declared"
        for prefix, extension in prefixes.items()
        if f'"{prefix}:' in text and extension not in document.get("stac_extensions", ())
    ]
    return found


def card_problems(card: Mapping[str, Any]) -> list[str]:
    """Hold a data card against geoembeddings.org's fields."""
    return _errors(card, "https://clayline.invalid/schemas/data-card.json")
