"""What ended is started again: a worker at once, the endpoint after its time; without moto there is nothing to keep."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

from clayline_local.cloud_file import CloudFile
from clayline_local.container import Container
from clayline_local.errors import LocalCloudError
from clayline_local.keeper import Keeper
from clayline_local.template import LOCAL_PARAMETERS, TEMPLATE, expand

if TYPE_CHECKING:
    from clayline_local.session import Session


@dataclass
class Process:
    pid: int
    status: int | None = None

    def poll(self) -> int | None:
        return self.status


@dataclass
class Server:
    process: Process
    url: str

    def wait(self, *, seconds: float, notice: Any) -> None:
        assert seconds > 0
        assert notice


@dataclass
class Endpoint:
    container: Container = field(default_factory=lambda: Container("http://127.0.0.1:1", supervised=True))


@dataclass
class FakeSession:
    """A session of processes that a test ends by hand."""

    cloud_is_up: bool = True
    endpoint: Endpoint = field(default_factory=Endpoint)
    children: dict[str, Process] = field(default_factory=lambda: {"endpoint": Process(1), "PlanFunction": Process(2)})

    @property
    def fleet(self) -> "FakeSession":
        return self

    @property
    def stack(self) -> Any:
        return expand(TEMPLATE, LOCAL_PARAMETERS)

    def start(self, name: str) -> None:
        self.children[name] = Process(self.children[name].pid + 100)

    def start_endpoint(self) -> Server:
        self.start("endpoint")
        return Server(self.children["endpoint"], "http://127.0.0.1:2")


@dataclass
class Kept:
    session: FakeSession = field(default_factory=FakeSession)
    now: float = 0.0
    told: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.keeper = Keeper(
            cast("Session", self.session), endpoint_down=60, tell=self.told.append, clock=lambda: self.now
        )


def test_nothing_is_done_while_all_run() -> None:
    kept = Kept()
    assert not kept.keeper.look()
    assert kept.told == []


def test_a_worker_is_started_again_at_once() -> None:
    kept = Kept()
    kept.session.children["PlanFunction"].status = -9
    assert kept.keeper.look()
    assert kept.session.children["PlanFunction"].pid == 102
    assert kept.told == ["PlanFunction ended (SIGKILL); it is started again"]
    assert not kept.keeper.look()


def test_a_worker_that_ends_at_its_start_waits_longer_each_time() -> None:
    kept = Kept()
    waits = []
    for _ in range(9):
        kept.session.children["PlanFunction"].status = 1
        ended, process = kept.now, kept.session.children["PlanFunction"].pid
        while kept.session.children["PlanFunction"].pid == process:
            kept.keeper.look()
            kept.now += 0.5
        waits.append(kept.now - 0.5 - ended)
    assert waits == [0, 1, 2, 4, 8, 16, 32, 60, 60]
    assert len(kept.told) == len(waits), "each end is told once"
    assert kept.told[1] == (
        "PlanFunction ended (exit status 1); it is started again in 1 s: it had run for 0 s. Its log says why"
    )
    kept.now += 10
    kept.session.children["PlanFunction"].status = 1
    assert kept.keeper.look(), "it ran for a while: at once"
    assert kept.told[-1] == "PlanFunction ended (exit status 1); it is started again"


def test_the_endpoint_is_away_for_its_time() -> None:
    kept = Kept()
    container = kept.session.endpoint.container
    kept.session.children["endpoint"].status = 1
    assert kept.keeper.look()
    assert container.found_gone.is_set()
    kept.now = 59
    assert not kept.keeper.look()
    assert container.found_gone.is_set()
    kept.now = 60
    assert kept.keeper.look()
    assert (container.url, container.found_gone.is_set()) == ("http://127.0.0.1:2", False)
    assert [what.split(":")[0] for what in kept.told] == [
        "the endpoint ended (exit status 1)",
        "the endpoint is back, process 101",
    ]
    assert not kept.keeper.look()


def test_without_moto_there_is_nothing_to_keep() -> None:
    kept = Kept(session=FakeSession(cloud_is_up=False))
    with pytest.raises(LocalCloudError, match="moto ended"):
        kept.keeper.look()


def _file(process: int) -> CloudFile:
    nothing: dict[str, str] = {}
    return CloudFile(
        process=process,
        url="http://127.0.0.1:1",
        region="eu-central-1",
        resources=nothing,
        outputs=nothing,
        parameters=nothing,
        environment=nothing,
        processes={},
    )


def test_a_cloud_is_found_while_it_is_up_and_takes_back_its_own_word_alone(tmp_path: Path) -> None:
    (tmp_path / ".clayline").mkdir()
    mine, gone = _file(1), _file(2**22)  # process 1 always runs; so high a number no process has
    mine.write(tmp_path)
    assert CloudFile.read(tmp_path) == mine
    _file(3).remove(tmp_path)
    assert CloudFile.read(tmp_path) == mine
    mine.remove(tmp_path)
    with pytest.raises(LocalCloudError, match=f"no local cloud is up in {tmp_path}"):
        CloudFile.read(tmp_path)
    gone.write(tmp_path)
    with pytest.raises(LocalCloudError, match="was killed"):
        CloudFile.read(tmp_path)
    (tmp_path / ".clayline" / "cloud.json").write_text("{}")
    with pytest.raises(LocalCloudError, match="cannot be read"):
        CloudFile.read(tmp_path)
