"""Each function finds all it imports in its own layers.

By their pins here, by what `sam build` made where that has run.
"""

import os
import platform
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from tests.template import hide_libraries, lambda_image
from tests.template.shared_libraries import SharedLibrary

from clayline_local.cloud import create
from clayline_local.invoke import BUILT_TEMPLATE, invoke
from clayline_local.moto_process import MotoServer
from clayline_local.template import LOCAL_PARAMETERS, TEMPLATE, expand

ROOT = TEMPLATE.parent
SAM = ROOT / ".venv-sam" / "bin" / "sam"
FUNCTIONS = [
    "PlanFunction", "TileFunction", "SettleFunction", "CollectFunction", "IndexFunction", "CompactFunction",
    "WatchFunction", "SheetFunction", "VectorsFunction", "ReconcileFunction",
]  # fmt: skip
EVERY = {**LOCAL_PARAMETERS, "VectorBucket": "my-vectors"}
"""A stack that has all of them."""
LAMBDA_LIMIT = 262_144_000
"""Bytes of a function with its layers, unzipped (docs.aws.amazon.com, Lambda quotas)."""
RESERVE = 0.15
"""Part of it that stays free, for what the next releases of the pinned wheels add."""

# Run in a fresh interpreter: forbids every installed distribution that the function's layers do not pin, then imports
# the handler.
IMPORT = """
import sys
from importlib.abc import MetaPathFinder
from importlib.metadata import packages_distributions

pinned = set(sys.argv[1].split(","))

def known(name):
    return name.lower().replace("_", "-").replace(".", "-")

forbidden = {
    module
    for module, owners in packages_distributions().items()
    if not {known(owner) for owner in owners} & pinned
}

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
    spec = expand(TEMPLATE, EVERY).functions()[function]
    # The package itself, which `make` links into the environment for its command line, is the Clayline layer.
    allowed = {"clayline"}.union(*(pins(layer) for layer in spec.layers))
    path = os.pathsep.join(map(str, spec.search_path))
    environment = {**os.environ, **spec.environment, "PYTHONPATH": path, "AWS_DEFAULT_REGION": spec.region}
    command = [sys.executable, "-c", IMPORT, ",".join(sorted(allowed))]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{function}:\n{done.stderr[-2000:]}"


@pytest.fixture(scope="module", params=["x86_64", "arm64"])
def built(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """Architecture, and the template of a build for it.

    `.aws-sam/build`, which `make build` makes, or a new one with CLAYLINE_BUILD=1.
    """
    architecture: str = request.param
    if architecture == "x86_64" and BUILT_TEMPLATE.exists():
        return architecture, BUILT_TEMPLATE
    if os.environ.get("CLAYLINE_BUILD") != "1":
        pytest.skip("no build of this architecture; CLAYLINE_BUILD=1 builds what is not there (a minute each)")
    folder = tmp_path_factory.mktemp(architecture) / "build"
    # As `make build` does: sam and the makefiles take the Python of the path, and sam's own environment has no pip.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "SAM_CLI_TELEMETRY": "0", "PATH": path, "CLAYLINE_ARCH": architecture}
    command = [
        str(SAM),
        "build",
        "--no-cached",
        "--build-dir",
        str(folder),
        "--parameter-overrides",
        f"Architecture={architecture}",
    ]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    return architecture, folder / "template.yaml"


def test_built_functions_fit_into_lambda(built: tuple[str, Path]) -> None:
    architecture, template = built
    for spec in expand(template, EVERY).functions().values():
        size = sum(
            file.stat().st_size for folder in (spec.code, *spec.layers) for file in folder.rglob("*") if file.is_file()
        )
        assert size <= (1 - RESERVE) * LAMBDA_LIMIT, f"{spec.name} has {size:,} bytes on {architecture}"


def test_built_layers_are_of_one_architecture(built: tuple[str, Path]) -> None:
    """The installer and the makefiles choose wheels each in their own way; a wrong one would show only on Lambda."""
    architecture, template = built
    layers = {layer for spec in expand(template, EVERY).functions().values() for layer in spec.layers}
    machines = Counter(library.machine for library in lambda_image.shared_libraries(layers))
    assert set(machines) == {{"x86_64": 62, "arm64": 183}[architecture]}, (
        f"ELF e_machine, and how many files have it: {machines}"
    )


def test_built_functions_bring_every_library_that_lambda_lacks(built: tuple[str, Path]) -> None:
    architecture, template = built
    expat = 0
    for spec in expand(template, EVERY).functions().values():
        libraries = lambda_image.shared_libraries((spec.code, *spec.layers))
        assert libraries
        assert not lambda_image.missing(libraries), f"{spec.name} on {architecture}"
        too_new = {library.path.name: versions for library in libraries if (versions := lambda_image.too_new(library))}
        assert not too_new, f"{spec.name} on {architecture}"
        # The same question of the same files less one, so that it is known to be asked.
        without = [library for library in libraries if library.path.name != "libexpat.so.1"]
        if len(without) < len(libraries):
            expat += 1
            assert set(lambda_image.missing(without)) == {"libexpat.so.1"}
            found = next(library.path for library in libraries if library.path.name == "libexpat.so.1")
            assert "Expat maintainers" in found.with_name("libexpat-COPYING").read_text(encoding="utf-8")
    assert expat == 3, "plan, tile and sheet have GDAL"


@pytest.mark.parametrize(
    ("version", "told"),
    [
        ("GLIBC_2.34", []),
        ("GLIBC_2.4", []),
        ("GLIBC_2.35", ["GLIBC_2.35"]),
        ("GLIBC_ABI_DT_RELR", ["GLIBC_ABI_DT_RELR"]),
        ("GLIBCXX_3.4.30", ["GLIBCXX_3.4.30"]),
        ("XZ_5.0", []),
    ],
)
def test_symbols_newer_than_lambdas_are_told(version: str, told: list[str], tmp_path: Path) -> None:
    library = SharedLibrary(path=tmp_path, machine=62, needed=(), search=(), versions=frozenset({version}))
    assert lambda_image.too_new(library) == told


# A message that no function knows: it imports, reads its settings, reaches its clients, and says what became of the
# message.
DROPPING = {"SettleFunction", "IndexFunction", "WatchFunction", "SheetFunction", "VectorsFunction"}
BY_THE_CLOCK = {
    "ReconcileFunction": dict[str, int | bool](),
    "CompactFunction": {
        **dict.fromkeys(("passes", "taken_in", "chips", "tiers", "deleted", "described"), 0),
        "finished": True,
    },
}
"""What those say that no queue calls, where there is nothing to do."""
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


@pytest.fixture(scope="session")
def under_lambda(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What a command starts with to run without this machine's shared libraries that Lambda's image has not."""
    hidden = lambda_image.hidden_files()
    names = tmp_path_factory.mktemp("hidden") / "libraries"
    names.write_text("".join(f"{file}\n" for file in hidden), encoding="utf-8")
    prefix = [sys.executable, "-I", hide_libraries.__file__, str(names)]
    command = [*prefix, sys.executable, "-c", SIZES, str(names)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if "PermissionError" in done.stderr:
        pytest.skip(f"no process may have its own mounts here, to hide libraries: {done.stderr.splitlines()[-1]}")
    assert done.returncode == 0, done.stderr
    assert set(done.stdout.split()) <= {"0"}, "a library is not hidden"
    return prefix


# The sizes of the files that a list names.
SIZES = "import os, sys; print(*(os.stat(name).st_size for name in open(sys.argv[1]).read().splitlines()))"


@pytest.mark.skipif(not SAM.exists(), reason="needs AWS's emulator in .venv-sam; `make .venv-sam` makes it")
@pytest.mark.parametrize("function", FUNCTIONS)
def test_built_functions_start_under_the_lambda_runtime(
    built: tuple[str, Path],
    under_lambda: list[str],
    function: str,
) -> None:
    """Only the function, its layers, the runtime and its image's libraries are there: a lack fails as on Lambda."""
    architecture, template = built
    if architecture != {"x86_64": "x86_64", "aarch64": "arm64"}[platform.machine()]:
        pytest.skip(f"this machine cannot run {architecture}")
    with MotoServer() as server:
        stack = expand(template, EVERY, sqs_endpoint=server.url)
        spec = stack.functions()[function]
        if spec.source is None:
            create(stack, endpoint_url=server.url)  # it looks into the ledger, whatever its event
        reply = invoke(spec, STRANGE, environment=server.environment(), isolated=True, under=under_lambda)
    assert not reply.failed, reply.payload
    assert reply.peak
    assert reply.peak < spec.memory
    if spec.source is None:
        assert reply.payload == BY_THE_CLOCK[function]
        return
    # Some drop what no retry could cure; the others give it back, and it ends in their dead-letter queue.
    given_back = [] if function in DROPPING else [{"itemIdentifier": STRANGE["Records"][0]["messageId"]}]
    assert reply.payload == {"batchItemFailures": given_back}
