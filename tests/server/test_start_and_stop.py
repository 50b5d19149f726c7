"""What the container's program refuses to start with, when it says it is ready, and how it ends."""

import hashlib
import http.client
import json
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import safetensors.numpy
from tests.server.container import ROOT, Container, Reply, listening_port, log_lines, running_container, start_process
from tests.server.model_folders import GRAPH, build_model_folder, tiny_oracle

from clayline.manifest import ModelEntry, entry_digest


def refusal_of(models: Path, log: Path, *flags: str) -> str:
    """Start the program, which must end by itself with status 1, and give its last words."""
    process = start_process(models, log, *flags)
    try:
        assert process.wait(timeout=60) == 1
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    messages = [str(line["message"]) for line in log_lines(log) if line["level"] == "CRITICAL"]
    assert len(messages) == 1
    return messages[0]


def body_for(folder: Path, pixels: np.typing.NDArray[np.uint16]) -> bytes:
    entry = json.loads((folder / "manifest.json").read_text())["entries"][0]
    header = {"clayline": "request/1", "run": "0" * 32, "batch": "b00000", "attempt": "1", "folder": folder.name}
    header |= {"token": entry["token"], "digest": entry["digest"]}
    return safetensors.numpy.save({"index": np.arange(len(pixels)), "pixels": pixels}, metadata=header)


def with_digests(manifest: dict[str, Any]) -> str:
    """Give the manifest's JSON with each entry's digest computed anew."""
    for entry in manifest["entries"]:
        entry["digest"] = entry_digest(ModelEntry.model_validate(entry), manifest["files"])
    return json.dumps(manifest)


def test_a_file_with_other_bytes_is_refused(tmp_path: Path) -> None:
    folder = build_model_folder(tmp_path / "models")
    with (folder / GRAPH).open("ab") as graph:
        graph.write(b"\0")
    assert f"{GRAPH} has sha256:" in refusal_of(tmp_path / "models", tmp_path / "log")


def test_an_entry_that_was_edited_is_refused(tmp_path: Path) -> None:
    folder = build_model_folder(tmp_path / "models")
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["entries"][0]["bands"] = ["blue", "green", "red"]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    assert "tiny-v1.0-test has digest" in refusal_of(tmp_path / "models", tmp_path / "log")


def test_a_folder_with_another_name_is_refused(tmp_path: Path) -> None:
    folder = build_model_folder(tmp_path / "models")
    folder.rename(folder.with_name("tiny-v2.0"))
    assert "must be named tiny-v1.0" in refusal_of(tmp_path / "models", tmp_path / "log")


def test_weights_that_the_entrys_digest_does_not_cover_are_refused(tmp_path: Path) -> None:
    folder = build_model_folder(tmp_path / "models")
    graph = onnx.load(folder / GRAPH)
    onnx.save_model(graph, folder / GRAPH, save_as_external_data=True, location="weights.bin", size_threshold=100)
    assert (folder / "weights.bin").stat().st_size > 0
    manifest = json.loads((folder / "manifest.json").read_text())
    for name, listed in ((GRAPH, True), ("weights.bin", False)):
        manifest["files"][name] = "sha256:" + hashlib.sha256((folder / name).read_bytes()).hexdigest()
        assert (name in manifest["entries"][0]["files"]) is listed
    (folder / "manifest.json").write_text(with_digests(manifest))
    assert "names the file weights.bin" in refusal_of(tmp_path / "models", tmp_path / "log")
    manifest["entries"][0]["files"].append("weights.bin")
    (folder / "manifest.json").write_text(with_digests(manifest))
    with running_container(tmp_path / "models", tmp_path / "log") as container:
        pixels = np.random.default_rng(0).integers(0, 3000, (2, 3, 64, 64)).astype(np.uint16)
        reply = safetensors.numpy.load(container.invoke(body_for(folder, pixels)).body)
        np.testing.assert_allclose(reply["embeddings"], tiny_oracle(pixels, 8)[0], rtol=0, atol=2e-6)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    folder = build_model_folder(tmp_path / "models")
    (folder / "card.md").unlink()
    assert "lacks card.md" in refusal_of(tmp_path / "models", tmp_path / "log")


def test_a_folder_on_its_way_up_does_not_keep_the_others_from_serving(tmp_path: Path) -> None:
    build_model_folder(tmp_path / "models")
    (tmp_path / "models" / "other-v1.0").mkdir()
    (tmp_path / "models" / "other-v1.0" / "trunk.weights").write_bytes(b"half of it")
    build_model_folder(tmp_path / "models" / ".partial")
    with running_container(tmp_path / "models", tmp_path / "log") as container:
        warnings = [line for line in container.lines() if line["level"] == "WARNING"]
        assert [(line["folder"], line["message"].split(":")[0]) for line in warnings] == [("other-v1.0", "passed over")]
    shutil.rmtree(tmp_path / "models" / "tiny-v1.0")
    assert "holds no model folder" in refusal_of(tmp_path / "models", tmp_path / "log")


def test_the_folder_that_the_endpoint_was_made_for_must_be_there(tmp_path: Path) -> None:
    build_model_folder(tmp_path / "models")
    (tmp_path / "models" / "other-v1.0").mkdir()
    with running_container(tmp_path / "models", tmp_path / "log", "--model-folder", "tiny-v1.0") as container:
        assert container.request("GET", "/ping").status == 200
    assert "lacks the model folder other-v1.0" in refusal_of(tmp_path / "models", tmp_path / "log", "--model-folder", "other-v1.0")


@pytest.mark.parametrize(("fault", "words"), [("digest", "has sha256:"), ("outputs", "its manifest says"), ("manifest", "manifest.json")])
def test_a_broken_folder_does_not_stop_the_one_that_the_endpoint_was_made_for(tmp_path: Path, fault: str, words: str) -> None:
    models = tmp_path / "models"
    good = build_model_folder(models)
    broken = build_model_folder(models, name="broken")
    if fault == "digest":
        with (broken / GRAPH).open("ab") as graph:
            graph.write(b"\0")
    elif fault == "outputs":
        manifest = json.loads((broken / "manifest.json").read_text())
        manifest["entries"][0]["dimensions"] = 9
        (broken / "manifest.json").write_text(with_digests(manifest))  # only the warm-up can tell
    else:
        (broken / "manifest.json").write_text("{}")
    with running_container(models, tmp_path / "log", "--model-folder", good.name) as container:
        pixels = np.ones((2, 3, 64, 64), np.uint16)
        assert container.invoke(body_for(good, pixels)).status == 200
        if fault != "manifest":
            assert container.invoke(body_for(broken, pixels)).reason == "unknown-model"
        (line,) = [line for line in container.lines() if line["level"] == "ERROR"]
        assert line["folder"] == broken.name
        assert words in line["message"]
    for flags in ((), ("--model-folder", broken.name)):
        assert words in refusal_of(models, tmp_path / "log", *flags)


@pytest.mark.parametrize("exists", [True, False])
def test_no_folder_at_all_is_refused(tmp_path: Path, exists: bool) -> None:  # noqa: FBT001 - pytest's parameter
    if exists:
        (tmp_path / "models").mkdir()
    assert "--models" in refusal_of(tmp_path / "models", tmp_path / "log")


@pytest.mark.parametrize(("claimed", "words"), [({"chip_size": 32}, "the graph's inputs"), ({"dimensions": 9}, "its manifest says")])
def test_a_graph_that_does_not_fit_its_entry_is_refused(tmp_path: Path, claimed: dict[str, int], words: str) -> None:
    folder = build_model_folder(tmp_path / "models")
    other = build_model_folder(tmp_path / "other", chip_size=claimed.get("chip_size", 64), dimensions=claimed.get("dimensions", 8))
    manifest = json.loads((other / "manifest.json").read_text())
    # The other graph's manifest over this folder's graph, digests and all: only loading the graph can tell.
    manifest["files"] = json.loads((folder / "manifest.json").read_text())["files"]
    (folder / "manifest.json").write_text(with_digests(manifest))
    assert words in refusal_of(tmp_path / "models", tmp_path / "log")


def test_ping_is_503_until_everything_is_warm(tmp_path: Path) -> None:
    build_model_folder(tmp_path / "models", busy_loops=400)
    process = start_process(tmp_path / "models", tmp_path / "log")
    try:
        container = Container(process=process, log=tmp_path / "log", port=listening_port(process, tmp_path / "log"))
        statuses = [container.request("GET", "/ping").status]
        assert container.request("POST", "/invocations", b"x").status == statuses[0] == 503
        deadline = time.monotonic() + 60
        while statuses[-1] != 200 and time.monotonic() < deadline:
            time.sleep(0.05)
            statuses.append(container.request("GET", "/ping").status)
        assert set(statuses[:-1]) == {503}
        assert statuses[-1] == 200
        assert "ready" in [line["message"] for line in container.lines()]
        assert container.terminate() == 0
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def test_sigterm_while_a_model_is_loaded_ends_at_once(tmp_path: Path) -> None:
    build_model_folder(tmp_path / "models", busy_loops=4000)
    process = start_process(tmp_path / "models", tmp_path / "log", "--cpu-threads", "1")
    container = Container(process=process, log=tmp_path / "log", port=listening_port(process, tmp_path / "log"))
    time.sleep(0.5)
    assert container.request("GET", "/ping").status == 503
    started = time.monotonic()
    assert container.terminate() == 0
    assert time.monotonic() - started < 10


def ask_while(condition: Callable[[], bool], container: Container) -> None:
    while condition():
        with suppress(ConnectionResetError):  # connected but not yet accepted when the listening socket was closed
            container.request("GET", "/ping")


def test_sigterm_finishes_what_was_accepted_and_accepts_nothing_more(tmp_path: Path) -> None:
    folder = build_model_folder(tmp_path / "models", busy_loops=300)
    pixels = np.random.default_rng(0).integers(0, 3000, (2, 3, 64, 64)).astype(np.uint16)
    replies: list[Reply] = []
    flags = ("--cpu-threads", "1", "--log-level", "DEBUG")
    with running_container(tmp_path / "models", tmp_path / "log", *flags) as container:
        threads = [threading.Thread(target=lambda: replies.append(container.invoke(body_for(folder, pixels)))) for _ in range(3)]
        idle = http.client.HTTPConnection("127.0.0.1", container.port, timeout=20)
        idle.request("GET", "/ping")
        idle.getresponse().read()
        for thread in threads:
            thread.start()
        container.wait_for("batch parsed", times=3)  # sent, the first computes, two wait
        assert not replies
        container.process.send_signal(signal.SIGTERM)
        with pytest.raises(ConnectionRefusedError):
            ask_while(lambda: not replies, container)
        for thread in threads:
            thread.join()
        assert container.process.wait(timeout=30) == 0
        idle.close()
        assert container.lines()[-1]["message"] == "stopped"
        assert container.lines()[-1]["finished"] is True
    assert [reply.status for reply in replies] == [200] * 3
    for reply in replies:
        np.testing.assert_allclose(safetensors.numpy.load(reply.body)["embeddings"], tiny_oracle(pixels, 8)[0], rtol=0, atol=2e-6)


def test_sigterm_does_not_wait_longer_than_the_grace(tmp_path: Path) -> None:
    folder = build_model_folder(tmp_path / "models", busy_loops=100)
    pixels = np.ones((60, 3, 64, 64), np.uint16)
    flags = ("--cpu-threads", "1", "--micro-batch", "1", "--grace", "0.5", "--log-level", "DEBUG")
    with running_container(tmp_path / "models", tmp_path / "log", *flags) as container:
        with ThreadPoolExecutor(1) as sender:
            broken = sender.submit(container.invoke, body_for(folder, pixels))
            container.wait_for("batch begun")
            started = time.monotonic()
            assert container.terminate() == 1
            assert time.monotonic() - started < 10
            assert isinstance(broken.exception(), OSError | http.client.HTTPException)
        assert container.lines()[-1]["finished"] is False


def test_serve_is_the_same_program(tmp_path: Path) -> None:
    build_model_folder(tmp_path / "models")
    program = ("/usr/bin/env", f"PATH={Path(sys.executable).parent}:{os.environ['PATH']}", str(ROOT / "model/server/serve"))
    process = start_process(tmp_path / "models", tmp_path / "log", program=program)
    try:
        container = Container(process=process, log=tmp_path / "log", port=listening_port(process, tmp_path / "log"))
        container.wait_until_ready()
        assert container.terminate() == 0
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


@pytest.mark.parametrize(
    "flag", ["--micro-batch", "--concurrency", "--threads", "--cpu-threads", "--body-limit", "--body-memory", "--connections"]
)
def test_a_flag_that_makes_no_sense_is_refused(tmp_path: Path, flag: str) -> None:
    process = start_process(tmp_path, tmp_path / "log", flag, "0")
    assert process.wait(timeout=60) == 2
    assert "must be at least 1" in (tmp_path / "log").read_text()
