"""Models that take long to load and to compute: what is told meanwhile, and what ends the waiting."""

import json
import threading
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import groupby
from pathlib import Path
from types import TracebackType
from typing import Any, Self, override

import pytest
from tests.pipeline.scenes import landsat
from tests.server.container import listening_port
from tests.server.model_folders import TRUNK_WEIGHTS, build_chained_folder, build_model_folder

from clayline_local import model_server, session
from clayline_local.async_endpoint import AsyncEndpoint
from clayline_local.dropped import Dropped, Progress
from clayline_local.errors import LocalCloudError
from clayline_local.invocation import Accepted
from clayline_local.ledger_view import LedgerView
from clayline_local.model_folder import ModelFolder
from clayline_local.model_server import ModelServer
from clayline_local.repository import STARTER
from clayline_local.session import Session
from clayline_local.staged_scene import StagedScene

SENSORS = {"landsat-c2l1": ("red", "green", "blue")}


class ScriptedClock:
    """Stands in for a module's ``time``: it goes on by what is slept, and by nothing else."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now = round(self.now + seconds, 3)


class Gate:
    """Where a request waits until it is let through; leaving the context lets it through in any case."""

    def __init__(self) -> None:
        self.reached, self.opened = threading.Event(), threading.Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.opened.set()

    def pass_through(self) -> None:
        self.reached.set()
        self.opened.wait()


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
    clock = ScriptedClock()
    monkeypatch.setattr(model_server, "time", clock)
    slow = ModelFolder.read(build_chained_folder(tmp_path / "models", sensors=SENSORS, busy_loops=200_000))
    (tmp_path / "scratch").mkdir()
    notices: list[str] = []
    with ModelServer(slow, scratch=tmp_path / "scratch", log=tmp_path / "log") as server:
        listening_port(server.process, tmp_path / "log")  # from here on /ping answers 503, for many minutes
        with pytest.raises(LocalCloudError, match=r"model chained-v1\.0 was not loaded within 12 s"):
            server.wait(seconds=12, notice=notices.append)
        server.process.kill()
    assert notices == ["loading model chained-v1.0, 5 s ...", "loading model chained-v1.0, 10 s ..."]
    assert 12 < clock.now < 13


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


class Ended(Session):
    """A scene that has ended before anybody looked."""

    def announced(self, *, wait_seconds: int = 0) -> Iterator[dict[str, Any]]:
        assert wait_seconds
        detail = {"source_uri": "s3://scenes/item.json", "status": "SceneEmbedded"}
        yield {"detail-type": "SceneEmbedded", "detail": detail}

    def _progress(self, _uri: str) -> Progress:
        return Progress(batches=3, settled=3)


def test_the_last_progress_is_told_though_the_scene_has_ended(tmp_path: Path) -> None:
    seen: list[Progress] = []
    assert Ended(logs=tmp_path).wait("s3://scenes/item.json", progress=seen.append)["status"] == "SceneEmbedded"
    assert seen == [Progress(batches=3, settled=3)]


class GatedEndpoint(AsyncEndpoint):
    """Sends each request to the container once its gate is open."""

    def __init__(self, gates: Sequence[Gate], *arguments: Any, **rest: Any) -> None:
        super().__init__(*arguments, **rest)
        self._gates = iter(gates)

    @override
    def _compute(self, accepted: Accepted) -> tuple[str, bytes]:
        if gate := next(self._gates, None):
            gate.pass_through()
        return super()._compute(accepted)


class LookedAt(Session):
    """While the first request waits at its gate, two looks come each twice the patience after the one before."""

    def __init__(self, clock: ScriptedClock, first: Gate, **rest: Any) -> None:
        super().__init__(**rest)
        self.clock, self.first = clock, first

    @override
    def _progress(self, uri: str) -> Progress:
        found = super()._progress(uri)
        assert found.batches in {None, 2}, f"{found}: with another number of batches no gate would open"
        if found == Progress(batches=2, settled=0) and self.first.reached.is_set() and not self.first.opened.is_set():
            if self.clock.now < 4 * session._NO_PROGRESS:
                self.clock.sleep(2 * session._NO_PROGRESS)
            # at a look of its own: the request may end before the look does, and then no time has passed in between
            else:
                self.first.opened.set()
        return found


class HalfMade:
    """A table in which moto has made a row and not yet filled it: it answers scans meanwhile."""

    def get_paginator(self, _: str) -> Self:
        return self

    def paginate(self, **_: Any) -> list[dict[str, Any]]:
        return [{"Items": [{"pk": {"S": "run#a"}, "sk": {"S": "scene"}}]}]


def test_a_row_that_is_being_made_is_nobodys_yet() -> None:
    view = LedgerView(HalfMade(), table="ledger")
    dropped = Dropped(uri="s3://scenes/item.json", called=frozenset({"item"}), before=frozenset())
    assert view.progress(dropped) == view.progress(None) == Progress(batches=None, settled=0)
    assert view.finished() == {}


@pytest.mark.pipeline
def test_waiting_lasts_while_the_endpoint_computes_and_ends_when_it_has_ended(
    tmp_path: Path, sample: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, first, second = ScriptedClock(), Gate(), Gate()
    monkeypatch.setattr(session, "time", clock)
    monkeypatch.setattr(session, "AsyncEndpoint", partial(GatedEndpoint, (first, second)))
    files = {key: tmp_path / Path(key).name for key in landsat(sample, row=600)}
    for key, body in landsat(sample, row=600).items():
        files[key].write_bytes(body)
    item = files.pop("scene/item.json")
    name = json.loads(item.read_bytes())["id"]
    scene = StagedScene(assets=tuple(files.items()), landing=("scene/item.json", item), item=name)
    folder = build_chained_folder(tmp_path / "models", sensors=SENSORS, gsd=30.0)
    seen: list[Progress] = []

    def look(found: Progress) -> None:
        seen.append(found)
        if found.settled == 1:
            second.opened.set()

    with (
        # 150 x 200 px that begin 47 px below and 43 px right of a lattice corner reach into 4 x 4 chips of 64 px: two
        LookedAt(clock, first, model=folder, parameters={"ChipsPerBatch": "8"}, logs=tmp_path / "logs") as running,
        first,
        second,
    ):
        detail = running.wait(running.drop(scene), progress=look)
        assert detail["status"] == "SceneEmbedded"
        assert [settled for settled, _ in groupby(found.settled for found in seen if found.batches == 2)] == [0, 1, 2]
        assert clock.now == 4 * session._NO_PROGRESS
        running._children["endpoint"].kill()
        with pytest.raises(LocalCloudError, match="endpoint ended in mid-scene"):
            running.wait("s3://nowhere/item.json")
