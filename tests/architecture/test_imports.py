"""The domain knows no adapter and no adapter's library.

Read from the sources, then proved by importing it without them.
"""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.architecture.sources import ADAPTER_ROOMS, PACKAGE, ROOT, Source

ADAPTERS = ("clayline.api", "clayline.aws", "clayline.raster", "clayline.table")
AWS = (
    "boto3",
    "botocore",
    "s3transfer",
    "mypy_boto3_s3",
    "mypy_boto3_sqs",
    "mypy_boto3_dynamodb",
    "mypy_boto3_events",
    "aws_lambda_powertools",
)
LIBRARIES = (*AWS, "rasterio", "osgeo", "pyarrow", "pyproj", "onnxruntime", "torch", "geopandas", "pydantic_settings")
DOMAIN = sorted(
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
    for path in PACKAGE.rglob("*.py")
    if path.stem != "__init__" and path.parent.name not in ADAPTER_ROOMS
)
APPS = sorted(path.parent.name for path in (ROOT / "functions").glob("*/app.py"))


def closure(start: Source, package: dict[str, Source]) -> dict[str, Source]:
    """Give a module and all modules of the package that it imports, directly or not."""
    found: dict[str, Source] = {}
    waiting = [start.module]
    while waiting:
        name = waiting.pop()
        if name in found or name not in package:
            continue
        found[name] = package[name]
        waiting += package[name].imports_any("clayline")
    return found


def test_the_domain_imports_no_adapters_library_however_far_round(
    domain: tuple[Source, ...], package: tuple[Source, ...]
) -> None:
    by_name = {source.module: source for source in package}
    for source in domain:
        for name, reached in closure(source, by_name).items():
            assert not reached.imports_any(*LIBRARIES), f"{source.name} reaches it through {name}"


def test_the_domain_reads_no_environment(domain: tuple[Source, ...]) -> None:
    for source in domain:
        names = {node.attr for node in ast.walk(source.tree) if isinstance(node, ast.Attribute)}
        assert not names & {"environ", "environb", "getenv"}, source.name
        assert not source.imports() & {"os.environ", "os.getenv", "os.environb"}, source.name


@pytest.mark.parametrize("library", ["boto3", "botocore"])
def test_only_apps_and_the_aws_adapters_know_aws(shipped: tuple[Source, ...], library: str) -> None:
    """The local cloud and the command line are neither function nor layer: they have to make buckets and land scenes.

    The publisher is neither either: it runs on a person's machine and talks to the model bucket.
    """
    users = {
        source.path
        for source in shipped
        if source.name.startswith(("functions/", "layers/", "model/")) and source.imports_any(library)
    }
    apps = set((ROOT / "functions").glob("*/app.py"))
    adapters = set((PACKAGE / "aws").glob("*.py"))
    publisher = set((ROOT / "model" / "publish").glob("*.py"))
    assert users <= apps | adapters | publisher
    assert users & adapters, "no adapter was found: this test looks in the wrong place"


@pytest.mark.parametrize(
    ("library", "rooms"),
    [("rasterio", {"raster"}), ("pyarrow", {"table"}), ("shapely", {"outputs", "verification"})],
)
def test_each_library_stays_in_its_room(package: tuple[Source, ...], library: str, rooms: set[str]) -> None:
    users = {source.path.parent.name for source in package if source.imports_any(library)}
    assert users == rooms


def test_torch_only_where_models_are_made_and_measured(every: tuple[Source, ...]) -> None:
    users = {source.name for source in every if source.imports_any("torch", "torchvision", "efficientnet_lite_pytorch")}
    assert all(name.startswith("model/") or name == "benchmarks/clay_torch.py" for name in users), users


def test_only_benchmarks_and_tests_know_benchmarks_and_tests(every: tuple[Source, ...]) -> None:
    """They import what they try and measure, and what runs is made without them."""
    users = {source.name for source in every if source.imports_any("benchmarks", "tests")}
    assert users, "none was found: this test looks in the wrong place"
    assert all(name.startswith(("benchmarks/", "tests/")) for name in users), users


def run_guarded(program: str, *, forbidden: tuple[str, ...], path: list[Path]) -> subprocess.CompletedProcess[str]:
    """Run ``program`` in a process where importing ``forbidden`` and reading CLAYLINE_ or AWS_ variables raises."""
    guard = f"""
import importlib.abc, os, sys
class Forbid(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if any(name == package or name.startswith(package + ".") for package in {forbidden!r}):
            raise AssertionError("imported " + name)
        return None
sys.meta_path.insert(0, Forbid())
class Guarded(type(os.environ)):
    def __getitem__(self, name):
        if name.startswith("CLAYLINE_"):
            raise AssertionError("read " + name)
        return super().__getitem__(name)
os.environ.__class__ = Guarded
"""
    environment = {
        "PATH": os.defpath,
        "PYTHONPATH": os.pathsep.join(map(str, path)),
        "CLAYLINE_LEDGER_TABLE": "guarded",
    }
    return subprocess.run(
        [sys.executable, "-c", guard + program],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture(scope="module")
def imported() -> dict[str, str]:
    """Import each domain module as the first of its package, all in one guarded process.

    Give each one's error, or nothing.
    """
    program = f"""
import json, traceback
failures = {{}}
for module in {DOMAIN!r}:
    for name in [name for name in sys.modules if name.partition(".")[0] == "clayline"]:
        del sys.modules[name]
    try:
        __import__("clayline." + module)
    except BaseException:
        failures[module] = traceback.format_exc()
print(json.dumps(failures))
"""
    done = run_guarded(program, forbidden=(*LIBRARIES, *ADAPTERS), path=[PACKAGE.parent])
    assert done.returncode == 0, done.stderr
    failures: dict[str, str] = json.loads(done.stdout)
    return failures


@pytest.mark.parametrize("module", DOMAIN)
def test_every_domain_module_imports_where_no_adapter_library_is(imported: dict[str, str], module: str) -> None:
    assert imported.get(module) is None, imported[module]


@pytest.mark.parametrize(
    "statement", ["import rasterio", "import clayline.aws.objects", "import os; os.environ['CLAYLINE_LEDGER_TABLE']"]
)
def test_the_guard_itself_bites(statement: str) -> None:
    done = run_guarded(statement, forbidden=(*LIBRARIES, *ADAPTERS), path=[PACKAGE.parent])
    assert done.returncode != 0
    assert "AssertionError" in done.stderr


@pytest.mark.parametrize("function", APPS)
def test_an_app_reads_no_environment_and_makes_no_client_when_imported(function: str) -> None:
    """Wiring waits for the first message: without a region, a client made at import would raise as well."""
    done = run_guarded(
        "import app; assert callable(app.handler)", forbidden=(), path=[ROOT / "functions" / function, PACKAGE.parent]
    )
    assert done.returncode == 0, done.stderr
