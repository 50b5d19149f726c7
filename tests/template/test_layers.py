"""Each function finds all it imports in its own layers: by their pins here, by what `sam build` made where that has run."""

import os
import platform
import re
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from clayline_local.invoke import BUILT_TEMPLATE, invoke
from clayline_local.moto_process import MotoServer
from clayline_local.template import LOCAL_PARAMETERS, TEMPLATE, expand

ROOT = TEMPLATE.parent
SAM = ROOT / ".venv-sam" / "bin" / "sam"
FUNCTIONS = ["PlanFunction", "TileFunction", "SettleFunction", "CollectFunction"]
LAMBDA_LIMIT = 262_144_000
"""Bytes of a function with its layers, unzipped (docs.aws.amazon.com, Lambda quotas)."""

# Run in a fresh interpreter: forbids every installed distribution that the function's layers do not pin, then imports the handler.
IMPORT = """
import sys
from importlib.abc import MetaPathFinder
from importlib.metadata import packages_distributions

pinned = set(sys.argv[1].split(","))

def known(name):
    return name.lower().replace("_", "-").replace(".", "-")

forbidden = {module for module, owners in packages_distributions().items() if not {known(owner) for owner in owners} & pinned}

class Forbid(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in forbidden:
            raise ModuleNotFoundError(f"{name} is in no layer of this function", name=name)
        return None

sys.meta_path.insert(0, Forbid())
import app
assert callable(app.handler)
"""


def pins(layer: Path) -> set[str]:
    """Distributions that a layer's requirements.txt pins, all of them with hashes."""
    text = (layer / "requirements.txt").read_text(encoding="utf-8")
    found = re.findall(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==", text, re.MULTILINE)
    assert found, f"{layer} pins nothing"
    return {name.lower().replace("_", "-").replace(".", "-") for name in found}


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_imports_only_what_its_layers_pin(function: str) -> None:
    spec = expand(TEMPLATE, LOCAL_PARAMETERS).functions()[function]
    # The package itself, which `make` links into the environment for its command line, is the Clayline layer.
    allowed = {"clayline"}.union(*(pins(layer) for layer in spec.layers))
    path = os.pathsep.join(map(str, spec.search_path))
    environment = {**os.environ, **spec.environment, "PYTHONPATH": path, "AWS_DEFAULT_REGION": spec.region}
    command = [sys.executable, "-c", IMPORT, ",".join(sorted(allowed))]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{function}:\n{done.stderr[-2000:]}"


@pytest.fixture(scope="module", params=["x86_64", "arm64"])
def built(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """Architecture, and the template of a build for it: `.aws-sam/build` if that is there, or a new one with CLAYLINE_BUILD=1."""
    architecture: str = request.param
    if os.environ.get("CLAYLINE_BUILD") != "1":
        if architecture != "x86_64" or not BUILT_TEMPLATE.exists():
            pytest.skip("no build of this architecture; CLAYLINE_BUILD=1 builds both (a minute each)")
        return architecture, BUILT_TEMPLATE
    folder = tmp_path_factory.mktemp(architecture) / "build"
    path = f"{SAM.parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "SAM_CLI_TELEMETRY": "0", "PATH": path, "CLAYLINE_ARCH": architecture}
    command = [str(SAM), "build", "--no-cached", "--build-dir", str(folder), "--parameter-overrides", f"Architecture={architecture}"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    return architecture, folder / "template.yaml"


def test_built_functions_fit_into_lambda(built: tuple[str, Path]) -> None:
    architecture, template = built
    for spec in expand(template, LOCAL_PARAMETERS).functions().values():
        size = sum(file.stat().st_size for folder in (spec.code, *spec.layers) for file in folder.rglob("*") if file.is_file())
        assert size <= LAMBDA_LIMIT, f"{spec.name} has {size:,} bytes on {architecture}"


def test_built_layers_are_of_one_architecture(built: tuple[str, Path]) -> None:
    """The package installer and the makefile choose wheels each in their own way; a wrong one would show only on Lambda."""
    architecture, template = built
    machines: dict[int, int] = {}
    layers = {layer for spec in expand(template, LOCAL_PARAMETERS).functions().values() for layer in spec.layers}
    for file in (file for layer in layers for file in layer.rglob("*.so*") if file.is_file()):
        head = file.read_bytes()[:20]
        if head[:4] == b"\x7fELF":
            machine = struct.unpack_from("<H", head, 18)[0]
            machines[machine] = machines.get(machine, 0) + 1
    assert set(machines) == {{"x86_64": 62, "arm64": 183}[architecture]}, f"ELF e_machine, and how many files have it: {machines}"


# A message that no function knows: it imports, reads its settings, reaches its clients, and says what became of the message.
STRANGE = {
    "Records": [
        {
            "messageId": "059f36b4-87a3-44ab-83d2-661975830a7d",
            "receiptHandle": "handle",
            "body": "{}",
            "attributes": {"ApproximateReceiveCount": "1", "SentTimestamp": "1545082649183"},
            "messageAttributes": {},
            "md5OfBody": "99914b932bd37a50b983c5e7c90ae93b",
            "eventSource": "aws:sqs",
            "eventSourceARN": "arn:aws:sqs:eu-central-1:123456789012:any",
            "awsRegion": "eu-central-1",
        }
    ]
}


@pytest.mark.skipif(not SAM.exists(), reason="needs AWS's emulator in .venv-sam; `make .venv-sam` makes it")
@pytest.mark.parametrize("function", FUNCTIONS)
def test_built_functions_start_under_the_lambda_runtime(built: tuple[str, Path], function: str) -> None:
    """Only the function, its layers and the runtime are there: a layer that lacks something fails here as it would on Lambda."""
    architecture, template = built
    if architecture != {"x86_64": "x86_64", "aarch64": "arm64"}[platform.machine()]:
        pytest.skip(f"this machine cannot run {architecture}")
    with MotoServer() as server:
        spec = expand(template, LOCAL_PARAMETERS, sqs_endpoint=server.url).functions()[function]
        reply = invoke(spec, STRANGE, environment=server.environment(), isolated=True)
    assert not reply.failed, reply.payload
    # settle drops what no retry could cure; the others give it back, and it ends in their dead-letter queue.
    given_back = [] if function == "SettleFunction" else [{"itemIdentifier": STRANGE["Records"][0]["messageId"]}]
    assert reply.payload == {"batchItemFailures": given_back}
