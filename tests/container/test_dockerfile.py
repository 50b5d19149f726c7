"""What the Dockerfile says, and that the locks it installs agree with each other and with everything else here."""

import re
import shlex
import sys
from pathlib import Path

import pytest
from tests.container.dockerfile import DOCKERFILE, ROOT, copy_context, instructions
from tests.container.registry import fetch

INSTRUCTIONS = instructions(DOCKERFILE.read_text())
UNWANTED = ("torch", "boto3", "botocore", "sagemaker", "pytest", "moto", "onnx", "rasterio", "pyarrow")


def of(name: str) -> list[str]:
    return [instruction.arguments for instruction in INSTRUCTIONS if instruction.name == name]


def environment() -> dict[str, str]:
    return dict(pair.split("=", 1) for arguments in of("ENV") for pair in shlex.split(arguments))


def lock(name: str) -> dict[str, tuple[str, frozenset[str]]]:
    """Version and hashes of every package in a lock file."""
    found = {}
    for block in re.split(r"\n(?=[a-z])", (ROOT / "requirements" / f"{name}.txt").read_text()):
        package, version = re.match(r"([a-z0-9-]+)==(\S+)", block).groups()  # type: ignore[union-attr]  # a lock has nothing else
        found[package] = (version, frozenset(re.findall(r"--hash=(sha256:[0-9a-f]{64})", block)))
    return found


def test_the_base_is_pinned_and_no_other_image_is_used() -> None:
    defaults = dict(argument.split("=", 1) for argument in of("ARG"))
    assert re.fullmatch(r"python:3\.13\.\d+-slim-bookworm", defaults["BASE"])
    assert defaults["FLAVOUR"] == "gpu"
    assert of("FROM") == ["${BASE} AS cpu", "${BASE} AS gpu", "${FLAVOUR}"]


def test_everything_is_installed_by_the_script_that_the_tests_run() -> None:
    runs = of("RUN")
    assert runs[1:] == [
        '/build/model/install.sh packages /opt/clayline "${FLAVOUR}"',
        "/build/model/install.sh program /opt/clayline",
    ]
    assert not of("COPY") + of("ADD")


def test_the_program_runs_as_the_user_whom_the_image_has() -> None:
    assert of("USER") == []  # SageMaker wants root to start; serve drops it (test_serve.py)
    user = environment()["CLAYLINE_USER"]
    assert user != "root"
    [command] = [run for run in of("RUN") if run.startswith("useradd ")]
    assert command.split()[-1] == user


def test_docker_run_image_serve_finds_the_program() -> None:
    assert of("ENTRYPOINT") == []
    assert of("CMD") == ['["serve"]']
    assert environment()["PATH"].split(":")[0] == "/opt/clayline/bin"


def test_the_driver_is_asked_for_what_the_lock_needs() -> None:
    assert environment()["NVIDIA_DRIVER_CAPABILITIES"] == "compute,utility"
    assert environment()["NVIDIA_VISIBLE_DEVICES"] == "all"
    major, minor = lock("server-gpu")["nvidia-cuda-runtime"][0].split(".")[:2]
    assert environment()["NVIDIA_REQUIRE_CUDA"] == f"cuda>={major}.{minor}"


def test_the_context_is_small_and_holds_no_adapter(tmp_path: Path) -> None:
    names = {path.relative_to(tmp_path).as_posix() for path in copy_context(tmp_path).rglob("*") if path.is_file()}
    assert {"model/install.sh", "requirements/server.txt", "requirements/server-gpu.txt", "model/server/serve"} <= names
    assert {name.split("/")[0] for name in names} == {"model", "requirements", "layers"}
    assert not [
        name for name in names if re.match(r".*\.pyc\Z|layers/clayline/clayline/(aws|raster|table)/|model/st", name)
    ]
    assert sum((tmp_path / name).stat().st_size for name in names) < 2_000_000


def test_both_locks_have_the_pins_of_everything_else_here() -> None:
    cpu, gpu, dev = lock("server"), lock("server-gpu"), lock("dev")
    assert len(cpu) > 5
    assert {name: pin for name, pin in cpu.items() if dev[name][0] != pin[0]} == {}
    assert {name: pin for name, pin in gpu.items() if name in cpu and cpu[name] != pin} == {}
    assert {name for name in gpu.keys() - cpu.keys() if not name.startswith("nvidia-")} == {"onnxruntime-gpu"}
    assert cpu.keys() - gpu.keys() == {"onnxruntime"}
    assert gpu["onnxruntime-gpu"][0] == cpu["onnxruntime"][0]


@pytest.mark.parametrize("name", ["server", "server-gpu"])
def test_a_lock_has_hashes_and_nothing_unwanted(name: str) -> None:
    pins = lock(name)
    assert all(hashes for _, hashes in pins.values())
    assert not pins.keys() & set(UNWANTED)


def test_the_lock_with_cuda_can_be_installed() -> None:
    """Resolved against the registry with its hashes; two gigabytes are not downloaded here."""
    uv = Path(sys.executable).with_name("uv")
    options = [
        "--require-hashes",
        "--only-binary",
        ":all:",
        "--python",
        sys.executable,
        "--python-platform",
        "x86_64-manylinux_2_28",
    ]
    command = [str(uv), "pip", "install", "--dry-run", *options, "-r", str(ROOT / "requirements" / "server-gpu.txt")]
    done = fetch(command)
    assert done.returncode == 0, done.stderr
    assert f"+ onnxruntime-gpu=={lock('server-gpu')['onnxruntime-gpu'][0]}" in done.stderr
