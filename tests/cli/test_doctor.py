"""``clayline doctor`` on this machine: parameters, tools on a PATH made for the test, the model folder."""

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.server.model_folders import build_model_folder

from clayline_cli.checking import run
from clayline_cli.checking.check import Check, Status, exit_status
from clayline_cli.checking.deployment import SAMCONFIG, Deployment
from clayline_cli.checking.local_model import local_model
from clayline_cli.checking.tools import tools
from clayline_cli.errors import CommandError
from clayline_cli.program import main
from clayline_local.errors import LocalCloudError
from clayline_local.repository import ROOT, STARTER
from clayline_local.template import TEMPLATE, expand

type Tools = Callable[..., dict[str, Check]]

SAM = "1.170.0"
ALL = {"git": "git version 2.39.5", "make": "GNU Make 4.3", "sam": f"SAM CLI, version {SAM}", "docker": "27.5.1"}


@pytest.fixture
def found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tools:
    """Give what is found where the PATH has nothing but programs that say this."""
    root = tmp_path / "root"
    (root / "requirements").mkdir(parents=True)
    (root / "requirements" / "sam.txt").write_text(f"aws-sam-cli=={SAM} \\\n    --hash=sha256:0\n")
    folder = tmp_path / "bin"
    folder.mkdir()
    shell = shutil.which("sh")

    def look(said: dict[str, str], *, failing: str = "") -> dict[str, Check]:
        for name, words in said.items():
            program = folder / name
            program.write_text(f'#!{shell}\ntest "$1" != "{failing}" || exit 1\necho "{words}"\n')
            program.chmod(0o755)
        monkeypatch.setenv("PATH", str(folder))
        return {check.name: check for check in tools(root)}

    return look


def _config(folder: Path, *overrides: str, deploy: str = "") -> Path:
    path = folder / "samconfig.toml"
    path.write_text(
        '[default.global.parameters]\nstack_name = "mine"\n[default.deploy.parameters]\n'
        f"{deploy}parameter_overrides = {json.dumps(list(overrides))}\n"
    )
    return path


def test_all_tools_are_found_with_their_versions(found: Tools) -> None:
    checks = found(ALL)
    assert [check.name for check in checks.values()] == ["python", "git", "make", "sam", "docker"]
    assert {check.status for check in checks.values()} == {Status.OK}
    assert (checks["git"].said, checks["sam"].said, checks["docker"].said) == ("2.39.5", SAM, "27.5.1")
    assert checks["python"].said == "{}.{}".format(*sys.version_info)


@pytest.mark.parametrize("name", ["git", "make", "sam"])
def test_a_tool_that_is_missing_fails(found: Tools, name: str) -> None:
    checks = found({other: said for other, said in ALL.items() if other != name})
    assert (checks[name].status, checks[name].said) == (Status.FAILED, "not found")
    assert checks[name].remedy
    assert {check.status for other, check in checks.items() if other != name} == {Status.OK}


def test_a_tool_that_says_no_version_fails(found: Tools) -> None:
    checks = found({**ALL, "git": "no idea"})
    assert checks["git"].status is Status.FAILED
    assert checks["git"].said.endswith("git does not say its version")


def test_another_sam_than_the_tested_one_is_warned_of(found: Tools) -> None:
    checks = found({**ALL, "sam": "SAM CLI, version 1.100.0"})
    assert checks["sam"].status is Status.WARNING
    assert checks["sam"].said == f"1.100.0, and what is tested is {SAM}"


def test_the_images_builder_may_be_another_machine(found: Tools) -> None:
    without = {name: said for name, said in ALL.items() if name != "docker"}
    assert found(without)["docker"].status is Status.WARNING
    assert found(ALL, failing="version")["docker"].said.endswith("its daemon does not answer")
    assert found(ALL, failing="buildx")["docker"].said == "27.5.1 without buildx"


def test_python_is_the_functions_own() -> None:
    runtime = expand(TEMPLATE, {}).resources["PlanFunction"].properties["Runtime"]
    assert runtime == "python{}.{}".format(*sys.version_info)  # so that the check above is about this one


def test_the_repositorys_own_configurations_are_read() -> None:
    assert Deployment.read("default").name == "clayline"
    assert Deployment.read("prod").name == "clayline-prod"
    assert not Deployment.read("default").makes_endpoint
    with pytest.raises(CommandError, match=r"has no \[test\.\.\.\]\. Give --config-env one of default, prod\."):
        Deployment.read("test")
    assert SAMCONFIG.is_file()


def test_parameters_are_those_that_sam_would_deploy(tmp_path: Path) -> None:
    digest = f"ImageDigest=sha256:{'1' * 64}"
    path = _config(tmp_path, "EndpointMode=create", digest, "TileMemory=3538", deploy='region = "eu-west-1"\n')
    deployment = Deployment.read("default", samconfig=path)
    assert (deployment.name, deployment.region, deployment.makes_endpoint) == ("mine", "eu-west-1", True)
    assert deployment.parameter("TileMemory") == "3538"
    assert deployment.parameter("ModelFolder") == "starter-v1.0"
    as_text = path.read_text().replace(json.dumps(["EndpointMode=create", digest, "TileMemory=3538"]), f'"{digest}"')
    path.write_text(as_text)
    assert Deployment.read("default", samconfig=path).parameter("EndpointMode") == "none"


@pytest.mark.parametrize(
    ("overrides", "why"),
    [
        (["EndpointMode=create"], "EndpointMode create needs ImageDigest"),
        (["EndpointMod=create"], "the template has no parameter EndpointMod"),
        (["EndpointMode"], "is not NAME=VALUE"),
        (["TileMemory=1"], "TileMemory is 1, and must be at least 128"),
    ],
)
def test_parameters_that_a_deployment_would_refuse_are_refused(tmp_path: Path, overrides: list[str], why: str) -> None:
    with pytest.raises((CommandError, LocalCloudError), match=why):
        Deployment.read("default", samconfig=_config(tmp_path, *overrides))


def test_a_model_folder_is_whole_or_it_fails(tmp_path: Path) -> None:
    folder = build_model_folder(tmp_path)
    assert local_model(folder, folder.name).status is Status.OK
    assert local_model(STARTER, STARTER.name).status is Status.OK
    other = local_model(folder, "another-v1.0")
    assert other.status is Status.WARNING
    assert "the stack is told ModelFolder=another-v1.0" in other.said
    [name, *_] = json.loads((folder / "manifest.json").read_bytes())["files"]
    with (folder / name).open("ab") as stream:
        stream.write(b"x")
    damaged = local_model(folder, folder.name)
    assert (damaged.status, f"{name} is not what the manifest says" in damaged.said) == (Status.FAILED, True)
    (folder / name).unlink()
    assert local_model(folder, folder.name).said.endswith(f"{name} cannot be read (No such file or directory)")
    (folder / "manifest.json").write_text("{}")
    assert local_model(folder, folder.name).status is Status.FAILED


def test_random_weights_are_warned_of(tmp_path: Path) -> None:
    folder = build_model_folder(tmp_path, name="untrained-tiny")
    content = json.loads((folder / "manifest.json").read_bytes())
    content["checkpoint"] = {"architecture": "clay-v1.5-tiny", "seed": 1}
    (folder / "manifest.json").write_text(json.dumps(content))
    check = local_model(folder, folder.name)
    assert (check.status, "random numbers" in check.said) == (Status.WARNING, True)


@pytest.mark.parametrize(
    ("ends", "status"),
    [
        ([Status.OK], 0),
        ([Status.OK, Status.WARNING, Status.UNKNOWN], 0),
        ([Status.OK, Status.FAILED, Status.OK], 1),
    ],
)
def test_only_what_failed_makes_the_exit_status(ends: list[Status], status: int) -> None:
    assert exit_status(Check(name="any", status=end, said="") for end in ends) == status


def _offline(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, list[dict[str, Any]]]:
    status = main(["doctor", "--offline", "--json", *arguments])
    return status, [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_offline_asks_aws_nothing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, found: Tools
) -> None:
    found(ALL)
    monkeypatch.setattr(run, "sign_in", lambda **_: pytest.fail("AWS was asked"))
    monkeypatch.setattr(run, "ROOT", Path(os.environ["PATH"]).parent / "root")
    status, told = _offline(capsys)
    assert status == 0
    names = ["parameters", "python", "git", "make", "sam", "docker", "model folder", "Lambda's memory"]
    assert [check["name"] for check in told] == names
    assert {check["status"] for check in told} == {"ok"}
    assert main(["doctor", "--offline"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "8 ok"


def test_a_configuration_that_is_not_there_fails_and_the_rest_is_looked_at(
    capsys: pytest.CaptureFixture[str],
) -> None:
    status, [first, *others] = _offline(capsys, "--config-env", "none")
    assert (status, first["name"], first["status"]) == (1, "parameters", "failed")
    assert "model folder" in [check["name"] for check in others]
    assert str(ROOT) in first["said"]
