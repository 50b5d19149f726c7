"""In which order folders are loaded and warmed up, and that a broken one leaves no memory taken to the next."""

import gc
import json
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnxruntime
import pytest
from tests.server.model_folders import build_chained_folder, build_model_folder, write_manifest
from tests.server.test_memory import Faltering, faltering_entry

from server import folders
from server.app import EndpointApp
from server.folders import ModelFolders, load_folders
from server.sessions import open_session


def nobody() -> None:
    raise AssertionError("given up")


@pytest.fixture
def app() -> EndpointApp:
    return EndpointApp(micro_batch=None, concurrency=None, give_up=nobody)


@pytest.fixture
def no_chance_collection() -> Iterator[None]:
    """Python's own search for cycles might come at the right moment by chance."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def test_the_required_folder_is_loaded_and_warm_before_any_other_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("first", "made-for", "other"):
        build_model_folder(tmp_path, name=name)
    events: list[str] = []

    def noted(path: Path, **options: Any) -> onnxruntime.InferenceSession:
        events.append(f"load {path.parent.name}")
        return open_session(path, **options)

    def warm_up(loaded: ModelFolders) -> None:
        events.extend(f"warm up {name}" for name in loaded.entries)

    monkeypatch.setattr(folders, "open_session", noted)
    usable = load_folders(tmp_path, threads=1, required="made-for-v1.0", warm_up=warm_up)
    order = ["made-for-v1.0", "first-v1.0", "other-v1.0"]
    assert events == [f"{what} {name}" for name in order for what in ("load", "warm up")]
    assert list(usable.entries) == order


def folder_on(tmp_path: Path, device: str) -> ModelFolders:
    loaded = faltering_entry(tmp_path / device, Faltering(16, device=device))
    return ModelFolders(entries={device: {loaded.entry.token: loaded}})


@pytest.mark.parametrize(("first", "second", "at_once"), [("cuda", "cpu", 2), ("cpu", "cuda", 1)])
def test_the_first_folder_says_how_many_requests_compute_at_once(
    tmp_path: Path, app: EndpointApp, first: str, second: str, at_once: int
) -> None:
    app.warm_up(folder_on(tmp_path, first))
    other = folder_on(tmp_path, second)
    assert app.turns(other).count == at_once
    app.warm_up(other)  # on as many threads as there are


def without_tail(folder: Path) -> None:
    """Damage the last graph of the first entry, with a good digest."""
    entries = json.loads((folder / "manifest.json").read_text())["entries"]
    (folder / entries[0]["tail"]).write_bytes(b"no graph")
    write_manifest(folder, entries, name="broken", version="1.0")


def with_other_dimensions(folder: Path) -> None:
    """Claim what only a run can tell."""
    entries = json.loads((folder / "manifest.json").read_text())["entries"]
    for entry in entries:
        entry["dimensions"] += 1
    write_manifest(folder, entries, name="broken", version="1.0")


@pytest.mark.usefixtures("no_chance_collection")
@pytest.mark.parametrize("damage", [without_tail, with_other_dimensions])
def test_a_broken_folders_sessions_are_gone_before_the_next_one_is_loaded(
    tmp_path: Path, app: EndpointApp, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, damage: Any
) -> None:
    damage(build_chained_folder(tmp_path, name="broken"))
    build_model_folder(tmp_path, name="made-for")
    build_model_folder(tmp_path, name="next")
    opened: list[weakref.ref[onnxruntime.InferenceSession]] = []
    left: list[int] = []

    def noted(path: Path, **options: Any) -> onnxruntime.InferenceSession:
        if path.parent.name == "next-v1.0":
            left.append(sum(reference() is not None for reference in opened))
        session = open_session(path, **options)
        if path.parent.name == "broken-v1.0":
            opened.append(weakref.ref(session))
        return session

    monkeypatch.setattr(folders, "open_session", noted)
    usable = load_folders(tmp_path, threads=1, required="made-for-v1.0", warm_up=app.warm_up)
    assert list(usable.entries) == ["made-for-v1.0", "next-v1.0"]
    assert len(opened) >= 2
    assert left == [0]
    assert [vars(record)["folder"] for record in caplog.records if record.levelname == "ERROR"] == ["broken-v1.0"]
