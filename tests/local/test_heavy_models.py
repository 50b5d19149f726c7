"""Models that take long to load and to compute: what is told meanwhile, and what ends the waiting."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.pipeline.scenes import landsat
from tests.server.model_folders import TRUNK_WEIGHTS, build_chained_folder, build_model_folder

from clayline_local import model_server, session
from clayline_local.errors import LocalCloudError
from clayline_local.model_folder import ModelFolder
from clayline_local.model_server import ModelServer
from clayline_local.session import STARTER, Progress, Session
from clayline_local.stage import stage

SENSORS = {"landsat-c2l1": ("red", "green", "blue")}


@pytest.mark.parametrize(("size", "chips"), [(64, 64), (128, 16), (256, 4), (512, 1), (2048, 1)])
def test_a_batch_has_as_many_pixels_whatever_the_chip(tmp_path: Path, size: int, chips: int) -> None:
    assert ModelFolder.read(build_model_folder(tmp_path, chip_size=size)).chips_per_batch == chips


def test_the_starters_batches_are_the_templates() -> None:
    assert ModelFolder.read(STARTER).chips_per_batch == 64


def test_a_large_folder_tells_its_size(tmp_path: Path) -> None:
    folder = build_chained_folder(tmp_path)
    assert str(ModelFolder.read(folder)) == "chained-v1.0"
    with (folder / TRUNK_WEIGHTS).open("r+b") as file:
        file.truncate(1_250_000_000)  # a hole: no bytes are written
    assert str(ModelFolder.read(folder)) == "chained-v1.0 (1.3 GB)"


def test_a_slow_model_is_told_of_and_has_a_deadline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_server, "_NOTICE_EVERY", 0.2)
    slow = ModelFolder.read(build_chained_folder(tmp_path / "models", sensors=SENSORS, busy_loops=200_000))
    (tmp_path / "scratch").mkdir()
    notices: list[str] = []
    begun = time.monotonic()
    with ModelServer(slow, scratch=tmp_path / "scratch", log=tmp_path / "log") as server:
        with pytest.raises(LocalCloudError, match=r"model chained-v1\.0 was not loaded within 3 s"):
            server.wait(seconds=3, notice=notices.append)
        server.process.kill()
    assert time.monotonic() - begun < 30
    assert len(notices) >= 3
    assert all(notice.startswith("loading model chained-v1.0, ") for notice in notices)


def test_a_model_that_the_server_refuses_is_said_why(tmp_path: Path) -> None:
    folder = build_chained_folder(tmp_path / "models", sensors=SENSORS)
    weights = (folder / TRUNK_WEIGHTS).read_bytes()
    (folder / TRUNK_WEIGHTS).write_bytes(weights[:-1] + bytes([weights[-1] ^ 1]))
    (tmp_path / "scratch").mkdir()
    with (
        ModelServer(ModelFolder.read(folder), scratch=tmp_path / "scratch", log=tmp_path / "log") as server,
        pytest.raises(LocalCloudError, match=rf"ended before .*: refusing to start: .*{TRUNK_WEIGHTS} has sha256"),
    ):
        server.wait(seconds=60, notice=lambda _: None)


class Impatient(Session):
    """Gives up soon, but only while the endpoint has something in hand: that is when it must not."""

    def _progress(self) -> Progress:
        session._NO_PROGRESS = 3.0 if self.endpoint.open_requests else 300.0
        return super()._progress()


class Ended(Session):
    """A scene that has ended before anybody looked."""

    def announced(self, *, wait_seconds: int = 0) -> Iterator[dict[str, Any]]:
        assert wait_seconds
        yield {"detail": {"source_uri": "s3://scenes/item.json", "status": "SceneEmbedded"}}

    def _progress(self) -> Progress:
        return Progress(batches=3, settled=3)


def test_the_last_progress_is_told_though_the_scene_has_ended(tmp_path: Path) -> None:
    seen: list[Progress] = []
    assert Ended(logs=tmp_path).wait("s3://scenes/item.json", progress=seen.append)["status"] == "SceneEmbedded"
    assert seen == [Progress(batches=3, settled=3)]


@pytest.mark.pipeline
def test_waiting_lasts_while_the_endpoint_computes_and_ends_when_it_has_ended(
    tmp_path: Path, sample: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "_NO_PROGRESS", 300.0)
    for key, body in landsat(sample, row=600).items():
        (tmp_path / Path(key).name).write_bytes(body)
    # 12 chips in two requests, each of six runs of 0.5 s and more.
    folder = build_chained_folder(tmp_path / "models", sensors=SENSORS, gsd=30.0, busy_loops=300, micro_batch={"cpu": 1})
    seen: list[Progress] = []
    with (
        Impatient(model=folder, parameters={"ChipsPerBatch": "6"}, logs=tmp_path / "logs") as running,
        stage(str(tmp_path / "item.json"), metadata={}) as scene,
    ):
        detail = running.wait(running.drop(scene), progress=seen.append)
        assert detail["status"] == "SceneEmbedded"
        assert [found.settled for found in seen if found.batches == 2] == [0, 1, 2]
        running._children["endpoint"].kill()
        with pytest.raises(LocalCloudError, match="endpoint ended in mid-scene"):
            running.wait("s3://nowhere/item.json")
