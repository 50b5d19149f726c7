"""The directory in which an export builds its folder: one export at a time, and nobody else's files are touched."""

import fcntl
from pathlib import Path

import pytest

from clay import export as clay_export
from clay.entry import Request
from clay.export import export
from clay.folder import workshop
from clay.sensor import find_sensor
from clay.weights import seeded_source
from clayline.errors import ModelError

NAME = "untrained-tiny-v1.5"


def exported(out: Path) -> Path:
    return export(seeded_source("tiny", 0, loss=False), [Request(sensor=find_sensor("naip"), chip_size=64)], out).folder


def test_nothing_is_left_of_an_export_that_breaks_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(clay_export, "write_entry", interrupted)
    with pytest.raises(KeyboardInterrupt):
        exported(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_export_left_is_removed(tmp_path: Path) -> None:
    remains = tmp_path / f".{NAME}.partial"
    (remains / "float32").mkdir(parents=True)
    for stray in ("stray.onnx", "float32/stray.onnx"):
        (remains / stray).write_bytes(b"half")
    folder = exported(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == [NAME]
    assert not list(folder.rglob("stray.onnx"))


def test_a_refused_export_leaves_the_living_one_its_files(tmp_path: Path) -> None:
    with workshop(tmp_path / NAME) as path:
        (path / "trunk.onnx").write_bytes(b"half")
        with pytest.raises(ModelError, match="another export is writing"):
            exported(tmp_path)
        assert (path / "trunk.onnx").read_bytes() == b"half"
    assert not path.exists()


def test_a_workshop_that_was_moved_before_it_was_locked_is_nobodys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the second export would empty the finished folder of the first, which the locked directory has become."""
    finished = tmp_path / NAME

    def late(*_: object) -> None:
        (tmp_path / f".{NAME}.partial").rename(finished)
        (finished / "manifest.json").write_bytes(b"{}")

    monkeypatch.setattr(fcntl, "flock", late)
    with pytest.raises(ModelError, match="has just written"), workshop(finished):
        pytest.fail("nothing was locked")
    assert (finished / "manifest.json").read_bytes() == b"{}"
