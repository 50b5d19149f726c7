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


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    running = Cloud(tmp_path / "cloud")
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


def test_it_heals_and_status_says_what_happened(cloud: Cloud, told: Told, tmp_path: Path, sample: Path) -> None:
    for key, body in landsat(sample, row=600, col=400, height=320, width=320).items():
        (tmp_path / Path(key).name).write_bytes(body)
    item = tmp_path / "item.json"
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
    assert Path.from_uri(event["outputs"]["parquet"]).is_file()
    assert cloud.out in Path.from_uri(event["outputs"]["parquet"]).parents

    [run] = told("status", str(item))
    assert (run["run"], run["state"], run["status"]) == (event["run"], "announced", "SceneEmbedded")
    sent = run["batches"]["ended"]["succeeded"]
    assert run["found_by_reconciler"] == sent > 0
    assert run["counts"]["failed"] == {}
    assert run["landings"] == [{"uri": landed["landed"], "answered": True}]
    [after] = told("status")
    assert after["endpoint"]["awake"]
    assert after["endpoint"]["process"] != before["endpoint"]["process"]
    assert (after["ended_within_a_day"]["embedded"], sum(after["under_way"].values())) == (1, 0)
    assert after["next"] == []
    assert [run["run"] for run in told("list", "--state", "embedded")] == [event["run"]]

    cloud.process.send_signal(signal.SIGINT)
    _, err = cloud.process.communicate(timeout=PATIENCE)
    assert cloud.process.returncode == 130
    assert "stopped by SIGINT. What was embedded lies in" in err
    assert main(["status", "--local", str(cloud.out)]) == 2


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
