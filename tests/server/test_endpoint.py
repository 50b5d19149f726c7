"""The container's contract over real HTTP: what it answers to good, bad and awkward requests."""

import json
import shutil
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import safetensors.numpy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from tests.server.container import ROOT, Container, running_container
from tests.server.model_folders import LOSS_METRIC, build_model_folder, tiny_oracle
from tests.server.scripted_chains import Gated
from tests.server.serving import serving

NAN_AT, FAIL_AT = 7, 9
MICRO_BATCH = 4
BODY_LIMIT = 2_000_000


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three folders: plain, faulty on purpose, and with all inputs."""
    root = tmp_path_factory.mktemp("models")
    build_model_folder(root)
    build_model_folder(root, name="faulty", nan_when_first_pixel=NAN_AT, fail_when_first_pixel=FAIL_AT)
    build_model_folder(
        root,
        name="located",
        version="2.1",
        inputs=("pixels", "time", "latlon"),
        loss=False,
        dtype="float32",
        chip_size=32,
    )
    return root


@pytest.fixture(scope="module")
def container(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Container]:
    log = tmp_path_factory.mktemp("log") / "server.log"
    with running_container(models, log, "--micro-batch", str(MICRO_BATCH), "--body-limit", str(BODY_LIMIT)) as running:
        yield running


def entry_of(models: Path, folder: str) -> dict[str, Any]:
    entry: dict[str, Any] = json.loads((models / folder / "manifest.json").read_text())["entries"][0]
    return entry


def chips(count: int, *, seed: int = 0, dtype: str = "uint16", size: int = 64) -> NDArray[Any]:
    return np.random.default_rng(seed).integers(100, 3000, (count, 3, size, size)).astype(dtype)


def request_body(
    models: Path,
    pixels: NDArray[Any],
    *,
    folder: str = "tiny-v1.0",
    tensors: dict[str, NDArray[Any]] | None = None,
    **metadata: str,
) -> bytes:
    """Write a request as docs/wire.md says, without clayline.model.wire."""
    entry = entry_of(models, folder)
    header = {"clayline": "request/2", "run": "0a" * 16, "batch": "b00042", "folder": folder}
    header |= {"token": entry["token"], "digest": entry["digest"]} | metadata
    index = np.arange(len(pixels), dtype=np.int64) * 3 + 5
    return safetensors.numpy.save({"index": index, "pixels": pixels, **(tensors or {})}, metadata=header)


def metadata_of(body: bytes) -> dict[str, str]:
    length = int.from_bytes(body[:8], "little")
    metadata: dict[str, str] = json.loads(body[8 : 8 + length])["__metadata__"]
    return metadata


def tensor_bytes(body: bytes) -> bytes:
    return body[8 + int.from_bytes(body[:8], "little") :]


@pytest.mark.parametrize("count", [1, MICRO_BATCH, 2 * MICRO_BATCH + 3])
def test_embeddings_and_losses_are_the_graphs(container: Container, models: Path, count: int) -> None:
    pixels = chips(count)
    reply = container.invoke(request_body(models, pixels))
    assert reply.status == 200
    assert reply.headers["content-type"] == "application/x-safetensors"
    assert int(reply.headers["content-length"]) == len(reply.body)
    assert "transfer-encoding" not in reply.headers
    tensors = safetensors.numpy.load(reply.body)
    assert tensors.keys() == {"index", "embeddings", "status", "loss"}
    embeddings, loss = tiny_oracle(pixels, 8)
    np.testing.assert_allclose(tensors["embeddings"], embeddings, rtol=0, atol=2e-6)
    np.testing.assert_allclose(tensors["loss"], loss, rtol=0, atol=2e-6)
    assert (tensors["embeddings"].dtype.name, tensors["loss"].dtype.name) == ("float32", "float32")
    assert (tensors["status"].dtype.name, tensors["status"].tolist()) == ("uint8", [0] * count)
    assert (tensors["index"].dtype.name, tensors["index"].tolist()) == (
        "int64",
        [5 + 3 * number for number in range(count)],
    )
    entry = entry_of(models, "tiny-v1.0")
    said = metadata_of(reply.body)
    assert float(said.pop("compute_seconds")) > 0
    assert said == {
        "clayline": "response/2",
        "run": "0a" * 16,
        "batch": "b00042",
        "folder": "tiny-v1.0",
        "token": entry["token"],
        "digest": entry["digest"],
        "loss_metric": LOSS_METRIC,
    }


def test_the_same_request_gives_the_same_response(container: Container, models: Path) -> None:
    body = request_body(models, chips(9))
    first, second = container.invoke(body).body, container.invoke(body).body
    # Not the same bytes: safetensors writes metadata in the order of a hash table. The tensors follow the header, bit
    # for bit.
    said = [metadata_of(body) for body in (first, second)]
    assert all(float(each.pop("compute_seconds")) > 0 for each in said)
    assert said[0] == said[1]
    assert tensor_bytes(first) == tensor_bytes(second)


def test_only_the_inputs_that_the_manifest_names_are_fed(container: Container, models: Path) -> None:
    extra = {"time": np.ones((2, 4), np.float32), "latlon": np.ones((2, 4), np.float32)}
    plain = container.invoke(request_body(models, chips(2)))
    assert tensor_bytes(container.invoke(request_body(models, chips(2), tensors=extra)).body) == tensor_bytes(
        plain.body
    )


def test_time_and_latlon_reach_a_graph_that_takes_them_and_a_model_without_loss_gives_none(
    container: Container, models: Path
) -> None:
    pixels = chips(MICRO_BATCH + 1, dtype="float32", size=32)
    rng = np.random.default_rng(3)
    located = {name: rng.normal(size=(len(pixels), 4)).astype(np.float32) for name in ("time", "latlon")}
    reply = container.invoke(request_body(models, pixels, folder="located-v2.1", tensors=located))
    assert reply.status == 200
    tensors = safetensors.numpy.load(reply.body)
    assert "loss" not in tensors
    assert metadata_of(reply.body)["loss_metric"] == ""
    expected = tiny_oracle(pixels, 8)[0] + (located["time"].sum(axis=1) + located["latlon"].sum(axis=1))[:, None]
    np.testing.assert_allclose(tensors["embeddings"], expected, rtol=0, atol=1e-5)


def test_a_non_finite_vector_fails_its_chip_only(container: Container, models: Path) -> None:
    pixels = chips(6)
    pixels[[1, 4], 0, 0, 0] = NAN_AT
    reply = container.invoke(request_body(models, pixels, folder="faulty-v1.0"))
    assert reply.status == 200
    tensors = safetensors.numpy.load(reply.body)
    assert tensors["status"].tolist() == [0, 1, 0, 0, 1, 0]
    assert not tensors["embeddings"][[1, 4]].any()
    assert not tensors["loss"][[1, 4]].any()
    good = [0, 2, 3, 5]
    np.testing.assert_allclose(tensors["embeddings"][good], tiny_oracle(pixels[good], 8)[0], rtol=0, atol=2e-6)


def test_a_non_finite_input_fails_its_chip_only(container: Container, models: Path) -> None:
    pixels = chips(3, dtype="float32", size=32)
    pixels[1, 2, 5, 5] = np.nan
    zeros = {name: np.zeros((3, 4), np.float32) for name in ("time", "latlon")}
    tensors = safetensors.numpy.load(
        container.invoke(request_body(models, pixels, folder="located-v2.1", tensors=zeros)).body
    )
    assert tensors["status"].tolist() == [0, 1, 0]


def test_a_graph_that_fails_is_a_500_and_the_server_lives_on(container: Container, models: Path) -> None:
    pixels = chips(2)
    pixels[0, 0, 0, 0] = FAIL_AT
    reply = container.invoke(request_body(models, pixels, folder="faulty-v1.0", batch="b00500"))
    assert (reply.status, reply.reason) == (500, "inference-failed")
    assert [line["message"].split(":")[0] for line in container.lines() if line.get("batch") == "b00500"] == [
        "inference failed",
        "RuntimeError",
    ]
    assert reply.headers["content-type"] == "application/json"
    assert container.invoke(request_body(models, chips(2), folder="faulty-v1.0")).status == 200
    assert container.request("GET", "/ping").status == 200


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"folder": "elsewhere-v1.0"}, "unknown-model"),
        ({"folder": "../tiny-v1.0"}, "unknown-model"),
        ({"token": "tiny-v1.0-other"}, "unknown-model"),
        ({"digest": "sha256:" + "0" * 64}, "model-changed"),
        ({"clayline": "request/1"}, "malformed"),
        ({"clayline": "response/2"}, "malformed"),
    ],
)
def test_metadata_that_can_never_work_is_a_400(
    container: Container, models: Path, changed: dict[str, str], reason: str
) -> None:
    header = {"clayline": "request/2", "run": "0a" * 16, "batch": "b00042", "folder": "tiny-v1.0"}
    entry = entry_of(models, "tiny-v1.0")
    header |= {"token": entry["token"], "digest": entry["digest"]} | changed
    reply = container.invoke(safetensors.numpy.save({"index": np.arange(1), "pixels": chips(1)}, metadata=header))
    assert (reply.status, reply.reason) == (400, reason)


@pytest.mark.parametrize("name", ["run", "batch", "folder", "token", "digest"])
def test_missing_metadata_is_malformed(container: Container, models: Path, name: str) -> None:
    header = metadata_of(request_body(models, chips(1)))
    del header[name]
    reply = container.invoke(safetensors.numpy.save({"index": np.arange(1), "pixels": chips(1)}, metadata=header))
    assert (reply.status, reply.reason) == (400, "malformed")


@pytest.mark.parametrize(
    ("pixels", "reason"),
    [
        (chips(1, size=32), "wrong-shape"),
        (chips(1)[:, :2], "wrong-shape"),
        (chips(1, dtype="uint8"), "wrong-shape"),
        (chips(1, dtype="float64"), "wrong-shape"),
        (chips(1)[0], "malformed"),
        (chips(0), "malformed"),
    ],
)
def test_pixels_that_do_not_fit_are_a_400(
    container: Container, models: Path, pixels: NDArray[Any], reason: str
) -> None:
    reply = container.invoke(request_body(models, np.ascontiguousarray(pixels)))
    assert (reply.status, reply.reason) == (400, reason)


@pytest.mark.parametrize("time_shape", [None, (2, 3), (2, 4, 1)])
def test_an_input_that_is_missing_or_misshapen_is_a_400(
    container: Container, models: Path, time_shape: tuple[int, ...] | None
) -> None:
    tensors: dict[str, NDArray[Any]] = {"latlon": np.zeros((2, 4), np.float32)}
    if time_shape:
        tensors["time"] = np.zeros(time_shape, np.float32)
    reply = container.invoke(
        request_body(models, chips(2, dtype="float32", size=32), folder="located-v2.1", tensors=tensors)
    )
    assert (reply.status, reply.reason) == (400, "wrong-shape")


@pytest.mark.parametrize(
    "body", [b"", b"\0" * 7, b"GIF89a", (10**9).to_bytes(8, "little") + b"{}", (2).to_bytes(8, "little") + b"{}"]
)
def test_what_is_no_safetensors_is_malformed(container: Container, body: bytes) -> None:
    reply = container.invoke(body)
    assert (reply.status, reply.reason) == (400, "malformed")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_damaged_request_is_a_400_or_still_valid_never_a_500(
    container: Container, models: Path, data: st.DataObject
) -> None:
    body = bytearray(request_body(models, chips(1)))
    header_end = 8 + int.from_bytes(body[:8], "little")
    for _ in range(data.draw(st.integers(1, 3))):
        body[data.draw(st.integers(0, header_end + 20))] = data.draw(st.integers(0, 255))
    reply = container.invoke(bytes(body[: data.draw(st.one_of(st.just(len(body)), st.integers(0, len(body))))]))
    assert reply.status == 200 or (reply.status == 400 and reply.reason), reply


def test_a_body_over_the_limit_is_a_400_that_the_client_can_read(container: Container, models: Path) -> None:
    reply = container.invoke(b"\1" * (40 * BODY_LIMIT))
    assert (reply.status, reply.reason) == (400, "too-large")
    assert container.invoke(b"\1" * (BODY_LIMIT + 1)).reason == "too-large"
    assert container.invoke(b"\1" * BODY_LIMIT).reason == "malformed"
    assert container.invoke(request_body(models, chips(1))).status == 200


def test_a_client_that_waits_for_100_continue_is_told_before_it_sends(container: Container) -> None:
    with socket.create_connection(("127.0.0.1", container.port), timeout=20) as client:
        head = (
            f"POST /invocations HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: {BODY_LIMIT + 1}\r\n\r\n"
        )
        client.sendall(head.encode())
        assert client.recv(4096).startswith(b"HTTP/1.1 400 ")


def test_what_is_no_http_is_a_400_in_the_same_form(container: Container) -> None:
    with socket.create_connection(("127.0.0.1", container.port), timeout=20) as client:
        client.sendall(b"POST /invocations HTTP/1.1\r\nContent-Length: many\r\n\r\n")
        head, _, body = client.makefile("rb").read().partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert json.loads(body)["reason"] == "malformed"


def test_a_body_that_breaks_off_computes_nothing_and_hurts_nobody(container: Container, models: Path) -> None:
    body = request_body(models, chips(3), batch="b77777")
    with socket.create_connection(("127.0.0.1", container.port), timeout=20) as client:
        client.sendall(
            f"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body[:-100]
        )
    assert container.invoke(request_body(models, chips(3), batch="b77778")).status == 200
    batches = [line.get("batch") for line in container.lines()]
    assert "b77778" in batches
    assert "b77777" not in batches


def test_other_routes_are_404(container: Container) -> None:
    assert container.request("GET", "/").status == 404
    assert container.request("GET", "/invocations").status == 404
    reply = container.request("POST", "/ping", b"")
    assert (reply.status, reply.reason) == (404, "not-found")


def test_requests_at_once_get_their_own_answers(container: Container, models: Path) -> None:
    batches = [chips(1 + number % 6, seed=number) for number in range(24)]
    with ThreadPoolExecutor(6) as pool:
        replies = list(pool.map(lambda pixels: container.invoke(request_body(models, pixels)), batches))
    for pixels, reply in zip(batches, replies, strict=True):
        np.testing.assert_allclose(
            safetensors.numpy.load(reply.body)["embeddings"], tiny_oracle(pixels, 8)[0], rtol=0, atol=2e-6
        )


def test_ping_answers_while_requests_wait_for_the_model(tmp_path: Path) -> None:
    chain = Gated(1)
    with serving(tmp_path, chain) as server, ThreadPoolExecutor(3) as pool:
        answers = [pool.submit(server.ask, f"b0000{number}") for number in range(3)]
        server.log.wait_for("batch parsed", times=3)
        chain.gates[0].wait_until_entered()  # one computes, two wait
        assert server.ping() == 200
        assert not any(answer.done() for answer in answers)
        chain.release()
        assert [answer.result() for answer in answers] == [(200, "")] * 3


def test_a_connection_is_kept_for_the_next_request(container: Container, models: Path) -> None:
    body = request_body(models, chips(2))
    head = f"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    with socket.create_connection(("127.0.0.1", container.port), timeout=20) as client:
        for _ in range(2):
            client.sendall(head + body)
            answer = b""
            while b"\r\n\r\n" not in answer:
                answer += client.recv(65536)
            top, _, rest = answer.partition(b"\r\n\r\n")
            assert top.startswith(b"HTTP/1.1 200 ")
            length = next(
                int(line.split(b":")[1]) for line in top.split(b"\r\n") if line.lower().startswith(b"content-length")
            )
            while len(rest) < length:
                rest += client.recv(65536)
            assert safetensors.numpy.load(rest)["status"].tolist() == [0, 0]


def test_a_batch_is_one_json_line(container: Container, models: Path) -> None:
    container.invoke(request_body(models, chips(5), batch="b00815"))
    (line,) = [line for line in container.lines() if line.get("batch") == "b00815"]
    assert line["run"] == "0a" * 16
    assert (line["chips"], line["token"], line["non_finite"]) == (5, "tiny-v1.0-test", 0)
    assert 0 < line["seconds_computing"] <= line["seconds"]


STARTER = ROOT / "model/starter/starter-v1.0"


@pytest.mark.skipif(not (STARTER / "manifest.json").exists(), reason="model/starter/starter-v1.0 is not built")
def test_every_entry_of_the_starter_gives_what_the_bare_session_gives(tmp_path: Path) -> None:
    manifest = json.loads((STARTER / "manifest.json").read_text())
    folder = f"{manifest['name']}-v{manifest['version']}"
    shutil.copytree(STARTER, tmp_path / "models" / folder)
    with running_container(tmp_path / "models", tmp_path / "log", "--micro-batch", "5") as container:
        for number, entry in enumerate(manifest["entries"]):
            shape = (12, len(entry["bands"]), entry["chip_size"], entry["chip_size"])
            pixels = (
                np.random.default_rng(number)
                .integers(0, 255 if entry["dtype"] == "uint8" else 4000, shape)
                .astype(entry["dtype"])
            )
            reply = container.invoke(
                request_body(tmp_path / "models", pixels, folder=folder, token=entry["token"], digest=entry["digest"])
            )
            assert reply.status == 200, reply.body
            tensors = safetensors.numpy.load(reply.body)
            session = onnxruntime.InferenceSession(STARTER / entry["graph"], providers=["CPUExecutionProvider"])
            outputs = session.run(None, {"pixels": pixels})
            assert tensors["embeddings"].shape == (12, entry["dimensions"])
            np.testing.assert_allclose(tensors["embeddings"], outputs[0], rtol=1e-4, atol=1e-5)
            assert ("loss" in tensors) == (entry["loss_metric"] is not None)
            if entry["loss_metric"]:
                np.testing.assert_allclose(tensors["loss"], outputs[1], rtol=1e-4, atol=1e-5)
            assert metadata_of(reply.body)["loss_metric"] == (entry["loss_metric"] or "")
            assert not tensors["status"].any()
