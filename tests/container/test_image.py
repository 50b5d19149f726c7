"""The image's build steps, carried out into a fresh virtual environment, and what comes out of them.

It serves, and holds nothing else.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import distributions
from pathlib import Path
from shutil import copytree
from typing import Final

import numpy as np
import onnxruntime
import pytest
from tests.container.dockerfile import DOCKERFILE, ROOT, carry_out, copy_context, instructions
from tests.container.registry import fetch
from tests.container.test_dockerfile import lock
from tests.server.container import Container, listening_port

from clayline.model.manifest import read_manifest
from clayline.model.wire import CONTENT_TYPE, BatchHeader, Request, Response

STARTER: Final = ROOT / "model" / "starter" / "starter-v1.0"
TOKEN: Final = "starter-v1.0-s2-rgb"
GUARD: Final = """
import os, pathlib, sys
def refuse(event, arguments):
    if event == "socket.connect":
        raise PermissionError(f"the container has no network: {arguments}")
sys.addaudithook(refuse)
pathlib.Path(os.environ["GUARD_MARK"]).write_text("on")
"""
"""What EnableNetworkIsolation does, for the program under test: reaching out fails."""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Dockerfile's RUNs of install.sh, from the context that Docker would send, with FLAVOUR cpu and a prefix of
    our own.
    """
    place = tmp_path_factory.mktemp("image")
    prefix = place / "opt"
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("CLAYLINE_", "PYTHON", "VIRTUAL_ENV"))
    }
    # This environment's Python, which has pip, stands for the base image's; what is installed goes into an environment
    # of its own.
    environment |= {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.defpath}", "FLAVOUR": "cpu"}
    context = copy_context(place / "context")
    steps = [
        step for step in instructions(DOCKERFILE.read_text()) if step.name == "RUN" and "install.sh" in step.arguments
    ]
    for number, step in enumerate(steps):
        carry_out(
            step,
            context=context,
            build_directory=place / f"build{number}",
            replacements={"/opt/clayline": os.fspath(prefix)},
            environment=environment,
        )
    return prefix


@pytest.fixture(scope="module")
def container(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Container]:
    """`serve`, found as in the image, on a copy of the starter and without a way out."""
    place = tmp_path_factory.mktemp("run")
    models, log, guard = place / "models", place / "log", place / "guard"
    copytree(STARTER, models / STARTER.name)
    guard.mkdir()
    (guard / "sitecustomize.py").write_text(GUARD)
    environment = {
        "PATH": f"{installed / 'bin'}{os.pathsep}{os.defpath}",
        "CLAYLINE_MODELS": os.fspath(models),
        "PYTHONPATH": os.fspath(guard),
        "GUARD_MARK": os.fspath(guard / "mark"),
    }
    with log.open("wb") as out:
        process = subprocess.Popen(
            ["serve", "--port", "0"], stdout=out, stderr=subprocess.STDOUT, env=environment, cwd="/"
        )
    try:
        found = Container(process=process, log=log, port=listening_port(process, log))
        found.wait_until_ready()
        assert (guard / "mark").read_text() == "on"
        yield found
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def test_the_installed_server_computes_what_the_graph_computes(container: Container) -> None:
    manifest = read_manifest((STARTER / "manifest.json").read_bytes(), source="the starter")
    [entry] = [entry for entry in manifest.entries if entry.token == TOKEN]
    pixels = np.random.default_rng(7).integers(
        0, 10_000, (5, len(entry.bands), entry.chip_size, entry.chip_size), np.uint16
    )
    header = BatchHeader(run="0" * 32, batch="b00000", folder=STARTER.name, token=TOKEN, digest=entry.digest)
    reply = container.invoke(Request(header=header, index=np.arange(5), inputs={"pixels": pixels}).to_bytes())
    assert reply.status == 200
    assert reply.headers["content-type"] == CONTENT_TYPE
    response = Response.from_bytes(reply.body)
    expected = onnxruntime.InferenceSession(STARTER / entry.graph).run(None, {"pixels": pixels})
    assert response.status.tolist() == [0] * 5
    np.testing.assert_allclose(response.embeddings, expected[0], rtol=0, atol=1e-5 * float(np.abs(expected[0]).max()))
    assert np.ptp(response.embeddings, axis=0).max() > 0.01


def test_it_ends_as_sagemaker_ends_it(installed: Path, tmp_path: Path) -> None:
    """The process that SageMaker started is the one that gets the signal: no shell stays in between."""
    copytree(STARTER, tmp_path / "models" / STARTER.name)
    environment = {
        "PATH": f"{installed / 'bin'}{os.pathsep}{os.defpath}",
        "CLAYLINE_MODELS": os.fspath(tmp_path / "models"),
    }
    with (tmp_path / "log").open("wb") as out:
        process = subprocess.Popen(["serve", "--port", "0"], stdout=out, stderr=subprocess.STDOUT, env=environment)
    found = Container(process=process, log=tmp_path / "log", port=listening_port(process, tmp_path / "log"))
    found.wait_until_ready()
    assert Path(f"/proc/{process.pid}/exe").resolve() == Path(sys.executable).resolve()
    assert found.terminate() == 0


def test_exactly_the_lock_is_installed(installed: Path) -> None:
    [packages] = installed.glob("lib/python3.*/site-packages")
    found = {
        distribution.name.lower().replace("_", "-"): distribution.version
        for distribution in distributions(path=[os.fspath(packages)])
    }
    assert found == {name: version for name, (version, _) in lock("server").items()}
    for unwanted in ("torch", "boto3", "sagemaker", "pip", "pytest"):
        assert not (packages / unwanted).exists()


def test_of_ours_only_the_server_and_the_domain_are_there_and_compiled(installed: Path) -> None:
    sources = [path for part in ("model", "layers") for path in (installed / part).rglob("*.py")]
    names = {path.relative_to(installed).as_posix() for path in sources}
    assert {"model/server/__main__.py", "layers/clayline/clayline/model/wire.py"} <= names
    package = "layers/clayline/clayline"
    folders = {name.rsplit("/", 1)[0] for name in names}
    assert not folders & {f"{package}/{adapter}" for adapter in ("aws", "raster", "table")}
    assert all(folder in {"model/server", package} or folder.startswith(f"{package}/") for folder in folders)
    for source in sources:
        assert list((source.parent / "__pycache__").glob(f"{source.stem}.*.pyc")), source


def test_every_user_can_read_what_was_installed(installed: Path) -> None:
    for path in installed.rglob("*"):
        if not path.is_symlink():
            assert path.stat().st_mode & (0o555 if path.is_dir() else 0o444) == (0o555 if path.is_dir() else 0o444), (
                path
            )


@pytest.mark.parametrize(
    "arguments", [[], ["packages"], ["packages", "/nowhere"], ["packages", "/nowhere", "tpu"], ["all", "/nowhere"]]
)
def test_a_wrong_step_is_refused_before_anything_is_written(arguments: list[str]) -> None:
    done = subprocess.run(
        [ROOT / "model/install.sh", *arguments], capture_output=True, text=True, timeout=280, check=False
    )
    assert done.returncode == 2
    assert done.stderr.startswith("usage: ")
    assert not Path("/nowhere").exists()


def test_a_package_with_other_bytes_than_the_lock_says_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "requirements").mkdir()
    (tmp_path / "model/install.sh").write_bytes((ROOT / "model/install.sh").read_bytes())
    (tmp_path / "requirements/server.txt").write_text(
        f"waitress=={lock('server')['waitress'][0]} --hash=sha256:{'0' * 64}\n"
    )
    environment = os.environ | {"PYTHON": sys.executable}
    command = ["sh", str(tmp_path / "model/install.sh"), "packages", str(tmp_path / "prefix"), "cpu"]
    done = fetch(command, environment=environment)
    assert done.returncode != 0
    assert "HASHES" in done.stderr
