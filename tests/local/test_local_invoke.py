"""The real Lambda runtime, with handlers whose answers are known."""

import json
from pathlib import Path

import pytest

from clayline_local.errors import LocalCloudError
from clayline_local.function import FunctionSpec
from clayline_local.invoke import SAM_ENVIRONMENT, emulator, invoke

HANDLER = """
import os, sys, time

def handler(event, context):
    if event["do"] == "raise":
        raise ValueError("on purpose")
    if event["do"] == "exit":
        os._exit(3)
    if event["do"] == "sleep":
        time.sleep(60)
    if event["do"] == "hold":
        event["held"] = len(bytearray(event.pop("megabytes") << 20)) >> 20
    if event["do"] == "import":
        __import__(event["module"])
    return {"echo": event, "root": os.environ["LAMBDA_TASK_ROOT"], "name": context.function_name,
        "given": os.environ["GIVEN"],
            "remaining": context.get_remaining_time_in_millis()}
"""

pytestmark = [
    pytest.mark.pipeline,
    pytest.mark.skipif(
        not SAM_ENVIRONMENT.is_dir(), reason="needs AWS's emulator in .venv-sam; `make .venv-sam` makes it"
    ),
]


@pytest.fixture
def spec(tmp_path: Path) -> FunctionSpec:
    (tmp_path / "app.py").write_text(HANDLER)
    (tmp_path / "layer" / "python").mkdir(parents=True)
    (tmp_path / "layer" / "python" / "in_layer.py").write_text("HERE = True\n")
    return FunctionSpec(
        name="Probe",
        arn="arn:aws:lambda:eu-central-1:123456789012:function:clayline-Probe",
        handler="app.handler",
        code=tmp_path,
        layers=(tmp_path / "layer",),
        environment={"GIVEN": "a b"},
        timeout=60,
        memory=128,
        region="eu-central-1",
        source=None,
    )


def test_a_reply(spec: FunctionSpec) -> None:
    reply = invoke(spec, {"do": "reply", "text": "ü"}, environment={}, isolated=True)
    assert not reply.failed
    remaining = reply.payload.pop("remaining")
    assert 0 < remaining <= 60_000
    assert reply.payload == {
        "echo": {"do": "reply", "text": "ü"},
        "root": str(spec.code),
        "name": "clayline-Probe",
        "given": "a b",
    }


def test_an_exception_is_a_failure_that_names_it(spec: FunctionSpec) -> None:
    reply = invoke(spec, {"do": "raise"}, environment={}, isolated=True)
    assert reply.failed
    assert (reply.payload["errorType"], reply.payload["errorMessage"]) == ("ValueError", "on purpose")


def test_a_runtime_that_ends_is_a_failure_that_names_it(spec: FunctionSpec) -> None:
    reply = invoke(spec, {"do": "exit"}, environment={}, isolated=True)
    assert reply.failed
    assert json.loads(reply.payload)["errorType"] == "Runtime.ExitError"


def test_a_runtime_that_takes_longer_than_the_functions_timeout_is_a_failure(spec: FunctionSpec) -> None:
    # The handler sleeps for a minute. The time is up there or, on a busy machine, while Python starts: after three
    # seconds in either.
    reply = invoke(spec.model_copy(update={"timeout": 3}), {"do": "sleep"}, environment={}, isolated=True)
    assert reply.failed
    assert reply.payload.startswith("Task timed out after 3")


@pytest.mark.parametrize(("megabytes", "failed"), [(64, False), (128, True)])
def test_a_function_has_its_memory_and_no_more(spec: FunctionSpec, megabytes: int, *, failed: bool) -> None:
    assert spec.memory == 128
    reply = invoke(spec, {"do": "hold", "megabytes": megabytes}, environment={}, isolated=True)
    assert reply.failed is failed
    assert reply.peak
    assert reply.payload.get("errorType") == ("MemoryError" if failed else None)
    assert (reply.peak < megabytes) is failed


@pytest.mark.parametrize(
    ("module", "isolated", "failed"), [("in_layer", True, False), ("numpy", True, True), ("numpy", False, False)]
)
def test_isolated_sees_its_layers_and_nothing_of_this_environment(
    spec: FunctionSpec, module: str, *, isolated: bool, failed: bool
) -> None:
    roomy = spec.model_copy(update={"memory": 2048})  # numpy's BLAS takes memory for each processor there is
    assert invoke(roomy, {"do": "import", "module": module}, environment={}, isolated=isolated).failed is failed


def test_without_the_sam_command_line_the_error_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(LocalCloudError, match="make"):
        emulator(tmp_path)
