"""The environment that template.yaml sets and the settings that functions read are the same names, as written.

No translator in between.
"""

import ast
from pathlib import Path
from typing import Any

import pytest
import yaml

from clayline.aws import settings

ROOT = Path(__file__).resolve().parents[2]
FUNCTIONS = sorted(path.parent.name for path in (ROOT / "functions").glob("*/app.py"))


class Tolerant(yaml.SafeLoader):
    """Reads CloudFormation's short intrinsics as plain nodes."""


def _plain(loader: yaml.SafeLoader, _: str, node: yaml.Node) -> Any:
    if isinstance(node, yaml.ScalarNode):
        return loader.construct_scalar(node)
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    assert isinstance(node, yaml.MappingNode)
    return loader.construct_mapping(node, deep=True)


Tolerant.add_multi_constructor("!", _plain)


@pytest.fixture(scope="module")
def template() -> dict[str, Any]:
    content: dict[str, Any] = yaml.load((ROOT / "template.yaml").read_text(), Tolerant)  # noqa: S506 - a subclass of SafeLoader
    return content


def ours(variables: dict[str, Any]) -> set[str]:
    return {name for name in variables if name.startswith("CLAYLINE_")}


def settings_class(function: str) -> type[settings.CommonSettings]:
    """Find the class that the app loads: ``load(PlanSettings)``."""
    tree = ast.parse((ROOT / "functions" / function / "app.py").read_text())
    loaded = [
        node.args[0].id
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "load"
        and isinstance(node.args[0], ast.Name)
    ]
    assert len(loaded) == 1, f"{function} loads {loaded}"
    kind: type[settings.CommonSettings] = getattr(settings, loaded[0])
    return kind


@pytest.mark.parametrize("function", FUNCTIONS)
def test_template_and_settings_name_the_same_variables(template: dict[str, Any], function: str) -> None:
    common = ours(template["Globals"]["Function"]["Environment"]["Variables"])
    resources = template["Resources"].values()
    [found] = [
        resource["Properties"]
        for resource in resources
        if resource["Type"] == "AWS::Serverless::Function"
        and resource["Properties"]["CodeUri"].rstrip("/").endswith(f"functions/{function}")
    ]
    known = {f"CLAYLINE_{name.upper()}" for name in settings_class(function).model_fields}
    assert common | ours(found["Environment"]["Variables"]) == known - settings.OF_THE_LOCAL_CLOUD


def test_what_the_container_is_told_it_reads(template: dict[str, Any]) -> None:
    server = (ROOT / "model" / "server" / "__main__.py").read_text()
    models = [
        resource["Properties"]
        for resource in template["Resources"].values()
        if resource["Type"] == "AWS::SageMaker::Model"
    ]
    assert models
    for model in models:
        assert all(name in server for name in ours(model["PrimaryContainer"]["Environment"]))
