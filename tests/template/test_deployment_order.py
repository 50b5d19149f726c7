"""The documents' commands, walked over sam's own reading of samconfig.toml: the parameters of each deployment."""

import json
import os
import re
import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from clayline_local.template import TEMPLATE, expand

ROOT = TEMPLATE.parent
SAM_PYTHON = ROOT / ".venv-sam" / "bin" / "python"
CONFIG = ROOT / "samconfig.toml"
DIGEST = f"sha256:{'0' * 64}"
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
PARAMETERS = re.compile(r"^parameter_overrides = \[.*?^\]", re.MULTILINE | re.DOTALL)

# Under sam's own Python: gives what each command line would deploy, and stops where it would begin to.
READ = """
import inspect, json, os, sys
from unittest.mock import patch
from click.testing import CliRunner
from samcli.cli.main import cli
from samcli.commands.deploy import command

names = list(inspect.signature(command.do_cli).parameters)
found = []
for folder, arguments in json.load(sys.stdin):
    os.chdir(folder)
    with patch.object(command, "do_cli") as deploy:
        done = CliRunner().invoke(cli, arguments)
    assert done.exit_code == 0 and deploy.call_args, done.output
    given = dict(zip(names, deploy.call_args.args)) | deploy.call_args.kwargs
    found.append({name: given[name] for name in ("stack_name", "guided", "parameter_overrides", "tags")})
json.dump(found, sys.stdout)
"""

pytestmark = pytest.mark.skipif(not SAM_PYTHON.exists(), reason="needs the sam command line; `make setup-sam` makes it")


def deployments(steps: Sequence[tuple[str, Sequence[str]]], folder: Path) -> list[dict[str, Any]]:
    """Give what sam would deploy at each step: the text of samconfig.toml then, and the command's arguments."""
    inputs = []
    for number, (config, arguments) in enumerate(steps):
        place = folder / str(number)
        place.mkdir()
        (place / "samconfig.toml").write_text(config, encoding="utf-8")
        (place / "template.yaml").write_bytes(TEMPLATE.read_bytes())
        inputs.append((str(place), list(arguments)))
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "SAM_"))}
    environment |= {"SAM_CLI_TELEMETRY": "0", "AWS_DEFAULT_REGION": "eu-central-1"}
    command = [str(SAM_PYTHON), "-c", READ]
    given = json.dumps(inputs)
    done = subprocess.run(command, input=given, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def steps(document: str, config: str) -> list[tuple[str, list[str]]]:
    """Follow a document: a block of TOML changes the default parameters, a command deploys what then stands there."""
    found = []
    for kind, block in BLOCK.findall((ROOT / document).read_text(encoding="utf-8")):
        if kind == "toml":
            assert PARAMETERS.fullmatch(block.strip()), block
            config = PARAMETERS.sub(block.strip().replace("sha256:...", DIGEST), config, count=1)
        commands = re.findall(r"\bsam (deploy\b[^#\n]*)", block)
        found += [(config, shlex.split(command.replace("sha256:...", DIGEST))) for command in commands]
    return found


CREATED = {"EndpointMode": "create", "ImageDigest": DIGEST}
CLAY = {**CREATED, "ModelFolder": "clay-fp16-loss-v1.5"}


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ("README.md", [{"EndpointMode": "none"}]),
        ("docs/how-to/deploy.md", [{"EndpointMode": "none"}, CREATED]),
        ("docs/how-to/publish-a-model.md", [{"EndpointMode": "none"}, CLAY, {**CLAY, "ModelRevision": "2"}]),
    ],
)
def test_deployments_keep_what_the_ones_before_made(
    document: str,
    expected: list[dict[str, str]],
    tmp_path: Path,
) -> None:
    walked = steps(document, CONFIG.read_text(encoding="utf-8"))
    # Last of all what everybody types some day: the bare command.
    found = deployments([*walked, (walked[-1][0], ["deploy"])], tmp_path)
    assert [each["parameter_overrides"] for each in found] == [*expected, expected[-1]]
    assert {each["stack_name"] for each in found} == {"clayline"}
    assert not any(each["guided"] for each in found), "its answers would be written over the file's list"
    for each in found:
        stack = expand(TEMPLATE, each["parameter_overrides"])
        assert ("Endpoint" in stack.resources) == (each["parameter_overrides"]["EndpointMode"] == "create")


def test_each_environment_is_a_stack_of_its_own_and_says_its_endpoint(tmp_path: Path) -> None:
    config = CONFIG.read_text(encoding="utf-8")
    default, prod = deployments([(config, ["deploy"]), (config, ["deploy", "--config-env", "prod"])], tmp_path)
    assert (default["stack_name"], prod["stack_name"]) == ("clayline", "clayline-prod")
    assert default["parameter_overrides"] == prod["parameter_overrides"] == {"EndpointMode": "none"}


def test_the_documents_tags_are_the_stacks(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "how-to" / "deploy.md").read_text(encoding="utf-8")
    [line] = re.findall(r"^tags = .*$", page, re.MULTILINE)
    config = CONFIG.read_text(encoding="utf-8")
    tagged = config.replace("[default.deploy.parameters]\n", f"[default.deploy.parameters]\n{line}\n")
    without, with_tags = deployments([(config, ["deploy"]), (tagged, ["deploy"])], tmp_path)
    assert (without["tags"], with_tags["tags"]) == (None, {"project": "clayline", "owner": "you"})


def test_the_list_of_one_command_line_is_not_that_of_the_next(tmp_path: Path) -> None:
    """Why the documents name no parameter on the command line."""
    config = CONFIG.read_text(encoding="utf-8")
    once = ["deploy", "--parameter-overrides", "EndpointMode=create", f"ImageDigest={DIGEST}"]
    first, second = deployments([(config, once), (config, ["deploy"])], tmp_path)
    assert (first["parameter_overrides"], second["parameter_overrides"]) == (CREATED, {"EndpointMode": "none"})
