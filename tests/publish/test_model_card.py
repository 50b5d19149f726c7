"""What the registry is told, held against the limits that AWS publishes.

The resource's schema and the service's model.
"""

import json
import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import botocore.session
import jsonschema
import pytest
from tests.server.model_folders import build_model_folder

from publish.card import Package, card_content, description, properties
from publish.folder import ModelFolder, read_folder

STARTER = Path(__file__).parents[2] / "model" / "starter" / "starter-v1.0"
IMAGE = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/clayline/model@sha256:" + "a" * 64
PACKAGE = Package(
    arn="arn:aws:sagemaker:eu-central-1:123456789012:model-package/starter/1",
    group="starter",
    version=1,
    image=IMAGE,
    model_uri="s3://models/models/starter-v1.0/",
)
REPORT = {
    "passed": True,
    "parity": {"max_abs": 1.5e-6, "by_sensor": {"naip": {"cosine": 0.99999}}, "against": "claymodel 1.5.0 " * 10},
    "curve": [1, 2, 3],
}


@cache
def card_schema() -> dict[str, Any]:
    """AWS's own schema of a card's content (AWS::SageMaker::ModelCard), as cfn-lint carries it."""
    package = find_spec("cfnlint")  # not imported: that takes longer than all of these tests
    assert package
    assert package.origin
    for file in (Path(package.origin).parent / "data" / "schemas" / "resources").glob("*.json"):
        text = file.read_text()
        if '"typeName": "AWS::SageMaker::ModelCard"' in text or '"typeName":"AWS::SageMaker::ModelCard"' in text:
            schema: dict[str, Any] = json.loads(text)
            return {"definitions": schema["definitions"], "$ref": "#/definitions/Content"}
    pytest.fail("cfn-lint has no schema of AWS::SageMaker::ModelCard")


def in_pascal_case(content: Any, *, free: bool = False) -> Any:
    """CloudFormation spells model_overview ModelOverview; keys of free maps stay."""
    if isinstance(content, list):
        return [in_pascal_case(each) for each in content]
    if not isinstance(content, dict):
        return content
    return {
        name if free else "".join(part.capitalize() for part in name.split("_")): in_pascal_case(
            value, free=name == "custom_details"
        )
        for name, value in content.items()
    }


def untrained(path: Path) -> ModelFolder:
    folder = build_model_folder(path, name="untrained")
    content = json.loads((folder / "manifest.json").read_text())
    content["checkpoint"] = {"architecture": "clay-v1.5-tiny", "seed": 7}
    (folder / "manifest.json").write_text(json.dumps(content))
    (folder / "metrics.json").write_text(json.dumps(REPORT))
    return read_folder(folder)


def folders(path: Path) -> list[ModelFolder]:
    return [read_folder(STARTER), untrained(path)]


def test_the_card_follows_awss_schema(tmp_path: Path) -> None:
    for folder in folders(tmp_path):
        content = json.loads(card_content(folder, PACKAGE))
        jsonschema.Draft7Validator(card_schema()).validate(in_pascal_case(content))


def test_the_schema_itself_bites(tmp_path: Path) -> None:
    content = in_pascal_case(json.loads(card_content(untrained(tmp_path), PACKAGE)))
    content["ModelOverview"]["ModelDescription"] *= 20
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft7Validator(card_schema()).validate(content)


def test_the_card_is_one_text_for_one_folder(tmp_path: Path) -> None:
    """Else every run of the command would write a new version of it."""
    folder = untrained(tmp_path)
    assert card_content(folder, PACKAGE) == card_content(read_folder(folder.path), PACKAGE)


def test_the_report_is_in_the_card(tmp_path: Path) -> None:
    [evaluation] = json.loads(card_content(untrained(tmp_path), PACKAGE))["evaluation_details"]
    groups = {
        group["name"]: {metric["name"]: metric["value"] for metric in group["metric_data"]}
        for group in evaluation["metric_groups"]
    }
    assert groups["report"] == {"passed": True}
    assert groups["parity"]["max_abs"] == 1.5e-6
    assert groups["parity"]["by_sensor.naip.cosine"] == 0.99999


def test_a_long_card_is_cut_and_says_where_the_whole_is() -> None:
    caveats = json.loads(card_content(read_folder(STARTER), PACKAGE))["additional_information"][
        "caveats_and_recommendations"
    ]
    assert caveats.startswith("# Clayline starter")
    assert len(caveats) == 2048
    assert caveats.endswith("(cut; the whole: s3://models/models/starter-v1.0/MODEL_CARD.md)")


def test_untrained_is_said_first(tmp_path: Path) -> None:
    folder = untrained(tmp_path)
    content = json.loads(card_content(folder, PACKAGE))
    assert description(folder.manifest).startswith("UNTRAINED")
    assert "seed 7" in description(folder.manifest)
    assert content["model_overview"]["model_description"].startswith("UNTRAINED")
    assert "UNTRAINED" not in card_content(read_folder(STARTER), PACKAGE)


@pytest.mark.parametrize("extra", [0, 60])
def test_metadata_keeps_the_services_limits(tmp_path: Path, extra: int) -> None:
    folder = untrained(tmp_path)
    entries = (
        *folder.manifest.entries,
        *(folder.manifest.entries[0].model_copy(update={"token": f"a-v1-b{n}"}) for n in range(extra)),
    )
    folder = ModelFolder(
        path=folder.path,
        manifest=folder.manifest.model_copy(
            update={"entries": entries, "licence": "Apache-2.0 (code), CC BY 4.0 " * 20}
        ),
        files=folder.files,
        manifest_file=folder.manifest_file,
        card=folder.card,
        metrics=folder.metrics,
    )
    model = botocore.session.get_session().get_service_model("sagemaker")
    said = properties(folder, image=IMAGE)
    assert len(said) <= model.shape_for("CustomerMetadataMap").metadata["max"]
    for shape, texts in (("CustomerMetadataKey", list(said)), ("CustomerMetadataValue", list(said.values()))):
        limits = model.shape_for(shape).metadata
        assert all(limits["min"] <= len(text) <= limits["max"] for text in texts)
        # Letters, separators, digits and these marks, as the model's pattern has it; Python's re knows no \p{L}.
        assert all(re.fullmatch(r"[\w .:/=+\-@]*", text) for text in texts)
    assert said["manifest"] == folder.manifest_file.digest
    assert ("token/untrained-v1.0-test" in said) == (not extra)
    longest = model.shape_for("EntityDescription").metadata["max"]
    text = description(folder.manifest)
    assert len(text) <= longest
    assert text.isprintable()
