"""events/: each one run under the real Lambda runtime and held against the outcome beside it, and against the bytes
that it speaks of.
"""

import dataclasses
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray

from clayline_local.errors import LocalCloudError
from clayline_local.expectation import REGENERATE
from clayline_local.function import FunctionSpec
from clayline_local.hosts import EmulatorHost
from clayline_local.invoke import SAM_ENVIRONMENT, is_built
from clayline_local.local_cloud import OBJECTS, SCENE, local_cloud
from clayline_local.local_invoke import Case, EventRunner, conclude, main, read_cases
from clayline_local.repository import STARTER
from clayline_local.session import Session
from clayline_local.template import LOCAL_PARAMETERS, TEMPLATE, expand

CASES = read_cases()
BUCKET = "clayline-scenesbucket"
STALE = f"events/ are not of this scene and this model folder any more; `{REGENERATE}` makes them again"
needs_emulator = pytest.mark.skipif(
    not SAM_ENVIRONMENT.is_dir(), reason="needs AWS's emulator in .venv-sam; `make setup-sam` makes it"
)


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Session, EmulatorHost]]:
    folder = tmp_path_factory.mktemp("events")
    with local_cloud(logs=folder) as session, ExitStack() as stack:
        # What is deployed, where it is there (`make test` builds first): only its own layers are on its path.
        yield session, EmulatorHost(session, folder, stack, built=is_built())


@pytest.fixture(scope="module")
def runner(cloud: tuple[Session, EmulatorHost]) -> EventRunner:
    return EventRunner(*cloud, CASES)


@needs_emulator
@pytest.mark.pipeline
@pytest.mark.parametrize("name", CASES)
def test_an_event_has_its_expected_outcome(runner: EventRunner, name: str) -> None:
    assert runner.run(name).differences == []


@needs_emulator
@pytest.mark.pipeline
def test_no_function_had_more_than_its_memory(runner: EventRunner, functions: dict[str, FunctionSpec]) -> None:
    """What it may write to is held to that (clayline_local.invoke); here it is all it had, its libraries included."""
    for name in ("collect-scene", "reconcile"):
        runner.run(name)  # and what comes before
    peaks = {outcome.function: outcome.peak for outcome in runner.done.values()}
    assert set(peaks) == set(functions)
    for function, peak in peaks.items():
        assert peak
        assert 20 < peak < functions[function].memory, function


@needs_emulator
@pytest.mark.pipeline
def test_an_outcome_that_is_not_the_expected_one_is_told(cloud: tuple[Session, EmulatorHost]) -> None:
    case = CASES["settle-unknown-run"]
    hopes = {"messages": {"SettledQueue": {"count": 1}}, "ledger": [{"pk": "run#nobody"}], "objects": {"s3://*/x": 1}}
    hopeful = Case(
        name=case.name, event=case.event, expected=case.expected.model_validate({**case.expected.model_dump(), **hopes})
    )
    outcome = EventRunner(*cloud, {case.name: hopeful}).run(case.name)
    assert sorted(difference.split()[0] for difference in outcome.differences) == ["0", "SettledQueue", "no"]
    assert conclude([outcome]) == 1
    assert conclude([dataclasses.replace(outcome, differences=[])]) == 0


def test_every_function_has_an_event(functions: dict[str, FunctionSpec]) -> None:
    assert {case.expected.function for case in CASES.values()} == set(functions)


def test_an_event_that_is_not_there_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--event", "events/nowhere.json"]) == 2
    assert "there is no event nowhere" in capsys.readouterr().err


@pytest.mark.pipeline
def test_a_shell_reaches_the_local_cloud_by_what_it_prints(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "clayline_local.local_cloud", "--logs", str(tmp_path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout
        printed: list[str] = []
        while (line := process.stdout.readline()) != f"# Logs are in {tmp_path}. Ctrl-C ends it.\n":
            assert line, f"it ended by itself, and printed {printed}"
            printed.append(line)
        shell = "".join(printed) + 'exec "$PYTHON" -c "$PROGRAM"'
        program = f"""import boto3
for page in boto3.client("s3").get_paginator("list_objects_v2").paginate(Bucket="{BUCKET}"):
    print(*(entry["Key"] for entry in page["Contents"]), sep="\\n")
print(boto3.client("sagemaker-runtime").meta.endpoint_url)"""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        found = subprocess.run(
            ["bash", "-c", shell],
            capture_output=True,
            text=True,
            check=True,
            env={**environment, "PYTHON": sys.executable, "PROGRAM": program},
        ).stdout.splitlines()
        landed_there = {event["detail"]["object"]["key"] for event in landings().values()}
        assert landed_there <= set(found)
        assert found[-1].startswith("http://127.0.0.1:")
    finally:
        process.terminate()
        assert process.wait(timeout=60) == 0


def etag(content: bytes) -> str:
    """S3's ETag of an object that was put in one piece."""
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def on_disk(key: str) -> Path:
    return SCENE.parent / Path(key).name if key.startswith(f"{SCENE.stem}/") else OBJECTS / key


def landings() -> dict[str, dict[str, Any]]:
    """Give S3's events by case; an archive's message is none."""
    bodies = {
        name: json.loads(record["body"])
        for name, case in CASES.items()
        if case.expected.function == "PlanFunction"
        for record in case.event["Records"]
    }
    return {name: body for name, body in bodies.items() if "detail-type" in body}


def test_landed_objects_are_those_of_the_repository() -> None:
    for event in landings().values():
        told = event["detail"]["object"]
        content = on_disk(told["key"]).read_bytes()
        assert (told["size"], told["etag"]) == (len(content), etag(content)), STALE


def test_the_run_is_that_of_these_bytes_and_this_model() -> None:
    """docs/architecture.md, Identity, spelled out once more."""
    entry = next(
        entry
        for entry in json.loads((STARTER / "manifest.json").read_bytes())["entries"]
        if entry["token"] == "starter-v1.0-l1-rgb"
    )
    name = json.dumps({"collection": "landsat-c1-l1", "item": SCENE.stem}, sort_keys=True, separators=(",", ":"))
    identity = {
        "scene": hashlib.sha256(name.encode()).hexdigest()[:12],
        "read": {
            "product": "landsat-c2l1",
            "instrument": "landsat8-oli-l1",
            "start": "2020-05-18T00:00:00+00:00",
            "end": "2020-05-18T23:59:59+00:00",
            "time_from": "item:interval",
        },
        "source": etag(SCENE.read_bytes()),
        "assets": {
            f"s3://{BUCKET}/{SCENE.stem}/{band}.tif": etag((SCENE.parent / f"{band}.tif").read_bytes())
            for band in ("B2", "B3", "B4")
        },
        "token": entry["token"],
        "digest": entry["digest"],
        "options": {
            "any_gsd": False,
            "any_pixel_shape": False,
            "boa": "auto",
            "tiff_datetime": False,
            "creator": "clayline",
            "min_valid_fraction": 0.0,
            "max_cloud_fraction": 1.0,
            "vector_encoding": "portable",
        },
    }
    run = hashlib.sha256(json.dumps(identity, sort_keys=True, separators=(",", ":")).encode()).hexdigest()[:32]
    assert json.loads(CASES["tile-scene"].bodies[0])["run"] == run, STALE
    assert json.loads(CASES["collect-scene"].bodies[0])["run"] == run, STALE


# The scene's corner, 717345 E 2776995 S, lies 23911.5 and 92566.5 pixels of 30 m from its CRS's origin. Halves go east
# and north, so that lattice corners lie where 23911 + column and 92567 + row are multiples of 64: chips begin 39 px
# left of the scene and 23 px above it.
WEST, NORTH, CHIP = 23911 % 64, 92567 % 64, 64


def chips(valid: NDArray[np.bool_], *, row: int = 0, col: int = 0) -> tuple[int, int]:
    """Count the chips that a cut of the scene reaches into, and those of them that have a valid pixel."""
    above, left = (NORTH + row) % CHIP, (WEST + col) % CHIP
    below, right = (-(before + length) % CHIP for before, length in zip((above, left), valid.shape, strict=True))
    padded = np.pad(valid, ((above, below), (left, right)))
    down, across = (side // CHIP for side in padded.shape)
    return down * across, int(padded.reshape(down, CHIP, across, CHIP).any(axis=(1, 3)).sum())


def test_counts_are_those_of_the_pixels_on_the_lattice() -> None:
    bands = []
    for band in ("B2", "B3", "B4"):
        with rasterio.open(SCENE.parent / f"{band}.tif") as dataset:
            bands.append(dataset.read(1) != 0)
            assert tuple(dataset.transform)[:6] == (30, 0, 717345, 0, -30, -2776995)
    valid = np.logical_and.reduce(bands)
    planned, written = chips(valid)
    assert (planned, written) == (33 * 30, 841)
    [event] = CASES["collect-scene"].expected.announced
    counts = {"planned": planned, "written": written, "skipped": {"nodata": planned - written}, "failed": {}}
    assert event["detail"]["counts"] == counts
    assert CASES["tile-scene"].expected.messages["ResultQueue"].count == -(-planned // 64)  # chips a batch
    for name, row, col, sent in (("collect-cog", 900, 900, 9), ("collect-nodata-cog", 0, 1900, 0)):
        [event] = CASES[name].expected.announced
        cut = valid[row : row + 128, col : col + 128]
        assert chips(cut, row=row, col=col) == (event["detail"]["counts"]["planned"], sent)


def test_s3_events_have_the_shape_that_aws_documents() -> None:
    """Amazon S3 User Guide, EventBridge event message structure; version-id is there for versioned buckets only."""
    for event in landings().values():
        assert set(event) == {
            "version",
            "id",
            "detail-type",
            "source",
            "account",
            "time",
            "region",
            "resources",
            "detail",
        }
        detail = event["detail"]
        assert set(detail) == {"version", "bucket", "object", "request-id", "requester", "source-ip-address", "reason"}
        assert set(detail["object"]) == {"key", "size", "etag", "sequencer"}
        assert event["resources"] == [f"arn:aws:s3:::{detail['bucket']['name']}"]


@pytest.fixture(scope="module")
def functions() -> dict[str, FunctionSpec]:
    """Of a stack with a schedule for compact and a vector bucket, which the local cloud's own defaults lack."""
    return expand(
        TEMPLATE, {**LOCAL_PARAMETERS, "CompactSchedule": "rate(1 day)", "VectorBucket": "clayline-vectors"}
    ).functions()


@pytest.mark.parametrize("name", CASES)
def test_records_come_from_the_queue_that_the_template_maps(functions: dict[str, FunctionSpec], name: str) -> None:
    case = CASES[name]
    source = functions[case.expected.function].source
    if source is None:  # called by the clock (Amazon EventBridge User Guide, Scheduled Event)
        assert functions[case.expected.function].every
        assert (case.event["source"], case.event["detail-type"]) == ("aws.events", "Scheduled Event")
        assert case.bodies == []
        return
    assert 1 <= len(case.event["Records"]) <= source.batch_size
    for record in case.event["Records"]:
        assert (record["eventSourceARN"], record["md5OfBody"]) == (source.arn, etag(record["body"].encode()))


def test_an_event_without_an_outcome_and_an_outcome_without_an_event_are_errors(tmp_path: Path) -> None:
    (tmp_path / "lonely.expected.json").write_text("{}")
    with pytest.raises(LocalCloudError, match="no event beside it"):
        read_cases(tmp_path)
    (tmp_path / "lonely.expected.json").rename(tmp_path / "lonely.json")
    with pytest.raises(LocalCloudError, match="no expected outcome beside it"):
        read_cases(tmp_path)


@pytest.mark.parametrize(
    ("after", "message"), [("first", "wait for each other"), ("third", "there is no events/third.json")]
)
def test_an_order_that_cannot_be_is_an_error(tmp_path: Path, after: str, message: str) -> None:
    event = json.dumps({"Records": []})
    outcome = {"note": "", "function": "PlanFunction", "reply": None}
    for name, needed in (("first", "second"), ("second", after)):
        (tmp_path / f"{name}.json").write_text(event)
        (tmp_path / f"{name}.expected.json").write_text(json.dumps({**outcome, "after": [needed]}))
    with pytest.raises(LocalCloudError, match=message):
        read_cases(tmp_path)
