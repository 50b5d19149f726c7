"""What every scene of a call goes through, and what one that fails on the way leaves of it."""

import argparse
import errno
import json
import os
import signal
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, Self

import pytest
from tests.pipeline.scenes import BANDS, landsat

import clayline_cli.embedding.showing
from clayline.errors import TransientError
from clayline_cli.console import Console
from clayline_cli.embedding.embed_options import EmbedOptions, add_options
from clayline_cli.embedding.run import _Embedding
from clayline_cli.embedding.summary import exit_status
from clayline_cli.program import main
from clayline_local.errors import LocalCloudError
from clayline_local.staged_scene import StagedScene


@pytest.fixture
def item(tmp_path: Path, sample: Path) -> Path:
    folder = tmp_path / "scene"
    folder.mkdir()
    for key, body in landsat(sample, height=64, width=64).items():
        (folder / Path(key).name).write_bytes(body)
    return folder / "item.json"


class Answering:
    """A session that has embedded whatever is dropped."""

    def __init__(self, parquet: Path) -> None:
        self.detail: dict[str, Any] = {
            "status": "SceneEmbedded",
            "scene": "a",
            "reason": None,
            "message": None,
            "source_model": "m",
            "untrained": False,
            "warnings": [],
        }
        self.detail |= {"counts": {"planned": 1, "written": 1, "skipped": {}, "failed": {}}}
        self.files = {"parquet": parquet, "metadata": parquet.with_suffix(".json")}
        self.waits: list[str] = []

    def drop(self, scene: StagedScene) -> str:
        return scene.name

    def wait(self, uri: str, **_: Any) -> dict[str, Any]:
        self.waits.append(uri)
        return self.detail

    def fetch(self, *_: Any) -> dict[str, Path]:
        return dict(self.files)

    def save(self, *_: Any) -> None:
        """Keep nothing."""

    def answers(self, _: Any) -> list[Any]:
        """Be watched by nobody."""
        return []

    def sheets(self, _: Any) -> dict[str, Path]:
        """Have none."""
        return {}


def _embedding(tmp_path: Path, session: Any, *arguments: str) -> _Embedding:
    parser = argparse.ArgumentParser()
    add_options(parser)
    options = EmbedOptions.of(parser.parse_args(["x.json", "--out", str(tmp_path / "out"), *arguments]))
    return _Embedding(options=options, console=Console(quiet=True), kept=session, watches=session, session=session)


def _drawable(tmp_path: Path, item: Path) -> Answering:
    """What a run would leave, with the bands of the scene in it."""
    session = Answering(tmp_path / "x.parquet")
    assets = [
        {"band": band, "uri": (item.parent / f"{file}.tif").as_uri(), "file_band": 1} for band, file in BANDS.items()
    ]
    session.files["metadata"].write_text(json.dumps({"clayline": {"source": {"assets": assets}}}))
    return session


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), TransientError("B2.tif cannot be read")]
)
def test_a_picture_and_a_report_that_cannot_be_made_take_nothing_away(
    tmp_path: Path, item: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    session = _drawable(tmp_path, item)

    def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(clayline_cli.embedding.showing, "draw", fail)
    [outcome] = _embedding(tmp_path, session).run([str(item)])
    assert (outcome.exit_status, outcome.status, dict(outcome.files)) == (0, "SceneEmbedded", session.files)
    told = capsys.readouterr().err
    assert "WARNING: no picture of" in told
    assert "WARNING: no report of" in told  # there is no x.parquet


def test_a_picture_and_a_report_that_are_there_are_left(
    tmp_path: Path, item: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = _drawable(tmp_path, item)
    for suffix, maker in ((".png", "draw"), (".html", "write")):
        session.files["parquet"].with_suffix(suffix).write_text("mine")
        monkeypatch.setattr(clayline_cli.embedding.showing, maker, lambda *_, **__: pytest.fail("drawn"))
    [outcome] = _embedding(tmp_path, session).run([str(item)])
    assert outcome.files["picture"].read_text() == outcome.files["report"].read_text() == "mine"
    [outcome] = _embedding(tmp_path, session, "--no-picture", "--no-report").run([str(item)])
    assert not {"picture", "report"} & outcome.files.keys()


def test_a_scene_that_cannot_be_made_ready_keeps_no_other_from_it_and_a_lost_cloud_keeps_all(
    tmp_path: Path, item: Path
) -> None:
    session = _drawable(tmp_path, item)
    gone, there = _embedding(tmp_path, session).run([str(tmp_path / "gone.tif"), str(item)])
    assert (gone.status, gone.exit_status, there.exit_status, exit_status([gone, there])) == ("NotRun", 2, 0, 2)
    assert "is no file" in str(gone.error)

    def lost(*_: Any, **__: Any) -> None:
        session.waits.append("lost")
        raise LocalCloudError("nothing moved")

    session.waits.clear()
    session.wait = lost  # type: ignore[method-assign,assignment]
    first, second = _embedding(tmp_path, session).run([str(item), str(item)])
    assert (first.error, second.error) == ("nothing moved", "not tried: nothing moved")
    assert session.waits == ["lost"]


class Ending(Answering):
    """A session, and what is kept of it, that gets a signal as it ends."""

    def __init__(self, parquet: Path) -> None:
        super().__init__(parquet)
        self.ended = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        signal.raise_signal(signal.SIGTERM)
        self.ended = True

    def lock(self, *_: object) -> AbstractContextManager[None]:
        return nullcontext()

    def logs(self) -> None:
        """Have none."""

    def restore(self, *_: object) -> None:
        """Have nothing from before."""


def test_a_signal_as_everything_ends_lets_it_end_and_is_told(
    tmp_path: Path, item: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    session = Ending(tmp_path / "x.parquet")
    for name in ("Session", "Kept", "KeptWatches"):
        monkeypatch.setattr(clayline_cli.embedding.run, name, lambda *_, **__: session)
    assert main(["embed", str(item), "--out", str(tmp_path / "out"), "--no-picture"]) == 128 + signal.SIGTERM
    assert session.ended
    told = capsys.readouterr()
    assert "SceneEmbedded" in told.out
    assert told.err.splitlines()[-1].startswith("clayline: stopped by SIGTERM")
