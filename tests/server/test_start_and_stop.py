"""What the container's program refuses to start with, when it says it is ready, and how it ends."""

import errno
import hashlib
import http.client
import json
import os
import shutil
import socket
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import safetensors.numpy
from tests.server.container import ROOT, Container, listening_container, log_lines, running_container, start_process
from tests.server.model_folders import GRAPH, build_model_folder, tiny_oracle
from tests.server.scripted_chains import SECONDS, Gated
from tests.server.serving import serving

from clayline.model.manifest import ModelEntry, entry_digest


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
    header = {"clayline": "request/2", "run": "0" * 32, "batch": "b00000", "folder": folder.name}
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
    assert "lacks the model folder other-v1.0" in refusal_of(
        tmp_path / "models", tmp_path / "log", "--model-folder", "other-v1.0"
    )


def test_a_folder_that_was_copied_without_its_name_is_served_under_it(tmp_path: Path) -> None:
    """As SageMaker copies models/tiny-v1.0/: what lies below the prefix lies in /opt/ml/model itself."""
    folder = build_model_folder(tmp_path / "models")
    pixels = np.full((2, 3, 64, 64), 300, np.uint16)
    body = body_for(folder, pixels)
    copied = folder.rename(tmp_path / "model")
    with running_container(copied, tmp_path / "log", "--model-folder", "tiny-v1.0") as container:
        reply = safetensors.numpy.load(container.invoke(body).body)
        np.testing.assert_allclose(reply["embeddings"], tiny_oracle(pixels, 8)[0], rtol=0, atol=2e-6)
    lacks = refusal_of(copied, tmp_path / "log", "--model-folder", "other-v1.0")
    assert "lacks the model folder other-v1.0" in lacks


@pytest.mark.parametrize(
    ("fault", "words"), [("digest", "has sha256:"), ("outputs", "its manifest says"), ("manifest", "manifest.json")]
)
def test_a_broken_folder_does_not_stop_the_one_that_the_endpoint_was_made_for(
    tmp_path: Path, fault: str, words: str
) -> None:
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


@pytest.mark.parametrize(
    ("claimed", "words"), [({"chip_size": 32}, "the graph's inputs"), ({"dimensions": 9}, "its manifest says")]
)
def test_a_graph_that_does_not_fit_its_entry_is_refused(tmp_path: Path, claimed: dict[str, int], words: str) -> None:
    folder = build_model_folder(tmp_path / "models")
    other = build_model_folder(
        tmp_path / "other", chip_size=claimed.get("chip_size", 64), dimensions=claimed.get("dimensions", 8)
    )
    manifest = json.loads((other / "manifest.json").read_text())
    # The other graph's manifest over this folder's graph, digests and all: only loading the graph can tell.
    manifest["files"] = json.loads((folder / "manifest.json").read_text())["files"]
    (folder / "manifest.json").write_text(with_digests(manifest))
    assert words in refusal_of(tmp_path / "models", tmp_path / "log")


def open_to_write(pipe: Path) -> int:
    """Open a named pipe once somebody opens it to read. Raises OSError where nobody does."""
    deadline = time.monotonic() + SECONDS
    while True:
        try:
            return os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
        except OSError as error:
            if error.errno != errno.ENXIO or time.monotonic() > deadline:
                raise
        time.sleep(0.01)


@contextmanager
def loading(models: Path, log: Path) -> Iterator[tuple[Container, Callable[[], None]]]:
    """Start the program on a folder whose manifest does not end.

    What comes with the container ends it, and with it the loading.

    The manifest is a pipe: this program opens its end once the other one is opened to be read, so the folder is being
    loaded then.
    """
    manifest = build_model_folder(models) / "manifest.json"
    text = manifest.read_bytes()
    manifest.unlink()
    os.mkfifo(manifest)
    with listening_container(models, log) as container, os.fdopen(open_to_write(manifest), "wb") as end:

        def finish() -> None:
            end.write(text)
            end.close()

        yield container, finish


def test_ping_is_503_until_everything_is_warm(tmp_path: Path) -> None:
    with loading(tmp_path / "models", tmp_path / "log") as (container, finish_loading):
        for _ in range(3):
            assert container.request("GET", "/ping").status == 503
        assert container.invoke(b"x").status == 503
        assert [line["message"] for line in container.lines()] == ["listening"]
        finish_loading()
        container.wait_until_ready()
        assert container.request("GET", "/ping").status == 200
        assert container.invoke(b"x").status == 400
        assert container.terminate() == 0


def test_sigterm_while_a_model_is_loaded_ends_without_it(tmp_path: Path) -> None:
    with loading(tmp_path / "models", tmp_path / "log") as (container, _never_called):
        assert container.request("GET", "/ping").status == 503
        assert container.terminate() == 0
        assert [line["message"] for line in container.lines()] == ["listening", "stopped"]


def wait_until_refused(port: int) -> None:
    """Connect until nobody listens any more. Raises AssertionError where somebody goes on to."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=SECONDS).close()
        except ConnectionRefusedError:
            return
        except ConnectionResetError:  # as the listening socket was closed
            continue
        time.sleep(0.01)
    raise AssertionError("it goes on to listen")


def test_what_was_accepted_is_finished_and_nothing_more_is_accepted(tmp_path: Path) -> None:
    chain = Gated(1)
    with serving(tmp_path, chain) as server, ThreadPoolExecutor(3) as pool:
        idle = http.client.HTTPConnection("127.0.0.1", server.listener.port, timeout=SECONDS)
        idle.request("GET", "/ping")
        idle.getresponse().read()  # and stays connected, which must keep nothing from ending
        answers = [pool.submit(server.ask, f"b0000{number}") for number in range(3)]
        server.log.wait_for("batch parsed", times=3)
        chain.gates[0].wait_until_entered()  # the first computes, two wait
        server.listener.stop()
        wait_until_refused(server.listener.port)
        assert not server.ended.done()
        assert not any(answer.done() for answer in answers)
        chain.release()
        assert [answer.result() for answer in answers] == [(200, "")] * 3
        assert server.ended.result(SECONDS) is True
        idle.close()


def test_sigterm_finishes_what_was_accepted(tmp_path: Path) -> None:
    folder = build_model_folder(tmp_path / "models", busy_loops=100)
    pixels = np.random.default_rng(0).integers(0, 3000, (2, 3, 64, 64)).astype(np.uint16)
    flags = ("--cpu-threads", "1", "--grace", "60", "--log-level", "DEBUG")
    with running_container(tmp_path / "models", tmp_path / "log", *flags) as container:
        with ThreadPoolExecutor(3) as pool:
            answers = [pool.submit(container.invoke, body_for(folder, pixels)) for _ in range(3)]
            container.wait_for("batch parsed", times=3)
            assert container.terminate() == 0
            replies = [answer.result() for answer in answers]
        assert container.lines()[-1]["message"] == "stopped"
        assert container.lines()[-1]["finished"] is True
    assert [reply.status for reply in replies] == [200] * 3
    for reply in replies:
        np.testing.assert_allclose(
            safetensors.numpy.load(reply.body)["embeddings"], tiny_oracle(pixels, 8)[0], rtol=0, atol=2e-6
        )


def test_sigterm_does_not_wait_longer_than_the_grace(tmp_path: Path) -> None:
    folder = build_model_folder(tmp_path / "models", busy_loops=100)
    pixels = np.ones((300, 3, 64, 64), np.uint16)  # work for far longer than any stall
    flags = ("--cpu-threads", "1", "--micro-batch", "1", "--grace", "0.5", "--log-level", "DEBUG")
    with running_container(tmp_path / "models", tmp_path / "log", *flags) as container:
        with ThreadPoolExecutor(1) as sender:
            broken = sender.submit(container.invoke, body_for(folder, pixels))
            container.wait_for("batch begun")
            assert container.terminate() == 1
            assert isinstance(broken.exception(), OSError | http.client.HTTPException)
        assert container.lines()[-1]["finished"] is False


def test_serve_is_the_same_program_and_takes_its_flags(tmp_path: Path) -> None:
    build_model_folder(tmp_path / "models")
    program = (
        "/usr/bin/env",
        f"PATH={Path(sys.executable).parent}:{os.environ['PATH']}",
        str(ROOT / "model/server/serve"),
    )
    flags = ("--concurrency", "3", "--micro-batch", "5")
    with listening_container(tmp_path / "models", tmp_path / "log", *flags, program=program) as container:
        container.wait_until_ready()
        (ready,) = [line for line in container.lines() if line["message"] == "ready"]
        assert (ready["concurrency"], ready["micro_batch"]) == (3, {"tiny-v1.0-test": 5})
        assert container.terminate() == 0


@pytest.mark.parametrize(
    "flag",
    ["--micro-batch", "--concurrency", "--threads", "--cpu-threads", "--body-limit", "--body-memory", "--connections"],
)
def test_a_flag_that_makes_no_sense_is_refused(tmp_path: Path, flag: str) -> None:
    process = start_process(tmp_path, tmp_path / "log", flag, "0")
    assert process.wait(timeout=60) == 2
    assert "must be at least 1" in (tmp_path / "log").read_text()
