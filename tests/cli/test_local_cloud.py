"""A local cloud that stays up: scenes land, processes are killed, notifications are lost, and it heals by itself."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.pipeline.scenes import landsat

from clayline_cli.backfilling import run as backfilling
from clayline_cli.program import main
from clayline_local.clients import local_client
from clayline_local.cloud_file import CloudFile
from clayline_local.repository import ROOT

pytestmark = pytest.mark.pipeline
PATIENCE = 120
"""Seconds: what hangs is what fails here, not what is slow."""

type Told = Callable[..., list[dict[str, Any]]]


class Cloud:
    """``clayline local-cloud`` as a process, of whose endpoint nobody hears, and that looks early for what is lost."""

    def __init__(self, out: Path) -> None:
        self.out = out
        program = "from clayline_cli.program import command; command()"
        path = os.pathsep.join(str(ROOT / part) for part in ("cli", "local", "layers/clayline"))
        options = ("--drop-notifications", "1", "--patience", "1", "--endpoint-down", "0", "--json")
        self.process = subprocess.Popen(
            [sys.executable, "-c", program, "local-cloud", "--out", str(out), *options],
            env={**os.environ, "PYTHONPATH": path},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def read_until(self, what: str) -> str:
        """Wait for a notice."""
        assert self.process.stderr
        for line in self.process.stderr:
            if what in line:
                return line
        pytest.fail(f"it never said {what!r}")

    def event(self) -> dict[str, Any]:
        """Wait for the next event."""
        assert self.process.stdout
        event: dict[str, Any] = json.loads(self.process.stdout.readline())
        return event


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    running = Cloud(tmp_path_factory.mktemp("up") / "cloud")
    try:
        running.read_until("the local cloud is up")
        yield running
    finally:
        running.process.kill()
        running.process.communicate(timeout=PATIENCE)


@pytest.fixture
def told(cloud: Cloud, capsys: pytest.CaptureFixture[str]) -> Told:
    """Give what a command tells of the cloud as JSON."""

    def call(*arguments: str) -> list[dict[str, Any]]:
        assert main([*arguments, "--local", str(cloud.out), "--json"]) == 0
        return [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    return call


def scene(folder: Path, sample: Path, *, row: int) -> Path:
    """Write a small scene of a few batches; gives its Item."""
    for key, body in landsat(sample, row=row, col=400, height=320, width=320).items():
        (folder / Path(key).name).write_bytes(body)
    return folder / "item.json"


def test_it_heals_and_status_says_what_happened(cloud: Cloud, told: Told, tmp_path: Path, sample: Path) -> None:
    item = scene(tmp_path, sample, row=600)
    [before] = told("status")
    assert before["endpoint"]["awake"]
    os.kill(before["endpoint"]["process"], signal.SIGKILL)
    cloud.read_until("the endpoint ended (SIGKILL)")
    processes = json.loads((cloud.out / ".clayline" / "cloud.json").read_text())["processes"]
    os.kill(processes["TileFunction"], signal.SIGKILL)
    [landed] = told("land", str(item))
    cloud.read_until("TileFunction ended (SIGKILL); it is started again")
    event = cloud.event()
    assert (event["status"], event["scene"]) == ("SceneEmbedded", landed["scene"])
    parquet = Path.from_uri(event["outputs"]["parquet"])
    assert parquet.is_file()
    assert cloud.out in parquet.parents

    [run] = told("status", str(item))
    assert (run["run"], run["state"], run["status"]) == (event["run"], "announced", "SceneEmbedded")
    assert run["found_by_reconciler"] == run["batches"]["ended"]["succeeded"] > 0
    assert run["counts"]["failed"] == {}
    assert run["landings"] == [{"uri": landed["landed"], "answered": True}]
    [after] = told("status")
    assert after["endpoint"]["awake"]
    assert after["endpoint"]["process"] != before["endpoint"]["process"]
    assert (after["ended_within_a_day"]["embedded"], sum(after["under_way"].values())) == (1, 0)
    assert after["next"] == []
    assert [run["run"] for run in told("list", "--state", "embedded")] == [event["run"]]


def test_a_run_that_is_ended_is_redriven(cloud: Cloud, told: Told, tmp_path: Path, sample: Path) -> None:
    """While the endpoint hangs: nothing is embedded, and everything is, once it goes on."""
    [before] = told("status")
    os.kill(before["endpoint"]["process"], signal.SIGSTOP)
    item = scene(tmp_path, sample, row=200)
    told("land", str(item))
    while not any(run["batches"]["in_flight"] for run in told("list", "--state", "running")):
        assert cloud.process.poll() is None
    [sent] = told("abort", "--state", "running")
    ended = cloud.event()
    assert (ended["run"], ended["status"]) == (sent["run"], "SceneFailed")
    assert set(ended["counts"]["failed"]) == {"aborted"}

    os.kill(before["endpoint"]["process"], signal.SIGCONT)
    [dry] = told("redrive", "--reason", "aborted", "--dry-run")
    assert (dry["run"], dry["sent"]) == (sent["run"], False)
    [again] = told("redrive", "--reason", "aborted")
    event = cloud.event()
    assert (again["run"], event["status"]) == (sent["run"], "SceneEmbedded")
    [first, *_, last] = told("status", str(item))
    assert (first["status"], last["run"], last["counts"]["failed"]) == ("SceneEmbedded", event["run"], {})
    assert told("redrive", "--reason", "aborted") == [], "the scene has a later run"


def test_what_was_there_before_is_embedded_by_a_backfill(
    cloud: Cloud, told: Told, sample: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backfilling, "LOOK_EVERY", 0.2)
    found = CloudFile.read(cloud.out)
    s3, bucket = local_client("s3", url=found.url, region=found.region), found.outputs["ScenesBucket"]
    s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration={})
    for key, body in landsat(sample, row=600, col=400, height=320, width=320).items():
        s3.put_object(Bucket=bucket, Key=f"old/{Path(key).name}", Body=body)
    source = f"s3://{bucket}/old/"
    [sent] = told("backfill", source, "--name", "old", "--watch")
    assert (sent["status"], sent["scenes"], sent["batches"]) == ("SUCCEEDED", 1, {"total": 1, "sent": 1, "failed": 0})
    event = cloud.event()
    assert (event["status"], event["repeated"]) == ("SceneEmbedded", False)
    told("backfill", source, "--name", "again", "--watch")
    again = cloud.event()
    assert (again["run"], again["repeated"]) == (event["run"], True)


def test_it_ends_when_it_is_told_to(cloud: Cloud) -> None:
    cloud.process.send_signal(signal.SIGINT)
    _, err = cloud.process.communicate(timeout=PATIENCE)
    assert cloud.process.returncode == 130
    assert "stopped by SIGINT. What was embedded lies in" in err
    assert main(["status", "--local", str(cloud.out)]) == 2
