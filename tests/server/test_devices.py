"""Where values lie between the graphs, and what is asked of CUDA.

No GPU is at hand: sessions that only note what is bound stand for it.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnxruntime import OrtValue
from tests.server.model_folders import build_chained_folder, chained_oracle, write_manifest
from tests.server.requests import chips

from server.app import EndpointApp, default_concurrency
from server.chain import Chain, Stage
from server.folders import LoadedEntry, ModelFolders, load_folders
from server.sessions import CPU_PROVIDER, CUDA_OPTIONS, CUDA_PROVIDER, providers


def loaded_chain(tmp_path: Path) -> LoadedEntry:
    build_chained_folder(tmp_path)
    return load_folders(tmp_path, threads=1).all()[0]


def test_only_embeddings_and_losses_become_arrays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chain = loaded_chain(tmp_path).chain
    made: list[tuple[int, ...]] = []
    to_numpy = OrtValue.numpy

    def noted(value: OrtValue) -> NDArray[Any]:
        array: NDArray[Any] = to_numpy(value)
        made.append(array.shape)
        return array

    monkeypatch.setattr(OrtValue, "numpy", noted)
    pixels = chips(3)
    embeddings, losses = chain.run({"pixels": pixels})
    assert made == [(3, 8), (3,)]
    expected, expected_losses = chained_oracle(pixels, 8)
    np.testing.assert_allclose(embeddings, expected, rtol=0, atol=5e-6)
    np.testing.assert_allclose(losses, expected_losses, rtol=0, atol=5e-6)


def test_results_outlive_the_next_run(tmp_path: Path) -> None:
    """They are copies: ONNX Runtime may give the memory of its outputs to the next run."""
    chain = loaded_chain(tmp_path).chain
    first, _ = chain.run({"pixels": chips(3)})
    before = first.copy()
    for seed in range(1, 6):
        chain.run({"pixels": chips(3, seed=seed)})
    np.testing.assert_array_equal(first, before)


def test_pixels_that_cannot_be_written_are_fed_as_they_lie(tmp_path: Path) -> None:
    chain = loaded_chain(tmp_path).chain
    pixels = chips(6)
    expected = chain.run({"pixels": pixels[2:5]})[0]
    pixels.flags.writeable = False
    np.testing.assert_array_equal(chain.run({"pixels": pixels[2:5]})[0], expected)


@dataclass
class Binding:
    """Notes what is bound, and gives for each output its name's length, on the CPU."""

    inputs: dict[str, OrtValue] = field(default_factory=dict)
    outputs: dict[str, str] = field(default_factory=dict)

    def bind_ortvalue_input(self, name: str, value: OrtValue) -> None:
        self.inputs[name] = value

    def bind_output(self, name: str, device: str) -> None:
        self.outputs[name] = device

    def get_outputs(self) -> list[OrtValue]:
        return [OrtValue.ortvalue_from_numpy(np.array([len(name)], np.float16)) for name in self.outputs]


@dataclass
class Session:
    """Stands for a session on ``got``."""

    got: tuple[str, ...]
    binding: Binding = field(default_factory=Binding)
    runs: int = 0

    def get_providers(self) -> list[str]:
        return list(self.got)

    def io_binding(self) -> Binding:
        return self.binding

    def run_with_iobinding(self, binding: Binding) -> None:
        assert binding is self.binding
        self.runs += 1


@pytest.mark.parametrize(("got", "device"), [((CUDA_PROVIDER, CPU_PROVIDER), "cuda"), ((CPU_PROVIDER,), "cpu")])
def test_what_passes_between_graphs_stays_on_their_device(got: tuple[str, ...], device: str) -> None:
    stem, trunk, tail = Session(got), Session(got), Session(got)
    chain = Chain(
        stages=(
            Stage(session=stem, inputs=("pixels", "time"), passed=("tokens", "visible"), results=()),
            Stage(session=trunk, inputs=("tokens", "visible"), passed=("decoded",), results=("embeddings",)),
            Stage(session=tail, inputs=("decoded", "pixels"), passed=(), results=("loss",)),
        )
    )
    embeddings, losses = chain.run({"pixels": np.zeros((1, 2), np.uint16), "time": np.zeros((1, 4), np.float32)})
    assert stem.binding.outputs == {"tokens": device, "visible": device}
    assert trunk.binding.outputs == {"decoded": device, "embeddings": "cpu"}
    assert tail.binding.outputs == {"loss": "cpu"}
    assert list(trunk.binding.inputs) == ["tokens", "visible"]
    assert trunk.binding.inputs["visible"].numpy().tolist() == [len("visible")]
    assert tail.binding.inputs["decoded"].numpy().tolist() == [len("decoded")]
    assert tail.binding.inputs["pixels"] is stem.binding.inputs["pixels"]
    assert [session.runs for session in (stem, trunk, tail)] == [1, 1, 1]
    assert (embeddings.dtype.name, embeddings.tolist(), losses.tolist()) == (
        "float32",
        [len("embeddings")],
        [len("loss")],
    )
    assert chain.device == device


@pytest.mark.parametrize(("got", "at_once"), [((CUDA_PROVIDER, CPU_PROVIDER), 2), ((CPU_PROVIDER,), 1)])
def test_two_compute_at_once_on_cuda_and_one_on_the_cpu(tmp_path: Path, got: tuple[str, ...], at_once: int) -> None:
    loaded = loaded_chain(tmp_path)
    chain = Chain(stages=(Stage(session=Session(got), inputs=("pixels",), passed=(), results=("embeddings",)),))
    other = LoadedEntry(folder="other-v1.0", entry=loaded.entry, chain=chain, advised=None, untrained=False)
    folders = ModelFolders(entries={"chained-v1.0": {"a": loaded}, "other-v1.0": {"b": other}})
    assert default_concurrency(folders) == at_once
    with EndpointApp(micro_batch=None, concurrency=None, give_up=lambda: None).turns(folders).take() as turn:
        assert (turn.worker is not None) == (CUDA_PROVIDER in got)  # threads of their own are there for cuDNN


def test_cuda_is_asked_for_before_the_cpu_with_options_only_where_it_is_built_in() -> None:
    assert providers(["TensorrtExecutionProvider", CUDA_PROVIDER, CPU_PROVIDER]) == [
        (CUDA_PROVIDER, dict(CUDA_OPTIONS)),
        (CPU_PROVIDER, {}),
    ]
    assert providers(["AzureExecutionProvider", CPU_PROVIDER]) == [(CPU_PROVIDER, {})]
    assert all(isinstance(value, str) for value in CUDA_OPTIONS.values())
    assert providers([CUDA_PROVIDER, CPU_PROVIDER], cpu_only=True) == [(CPU_PROVIDER, {})]


@pytest.mark.parametrize("precision", ["int8", "fp16"])
def test_int8_is_opened_for_the_cpu_alone_where_there_is_cuda(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, precision: str
) -> None:
    folder = build_chained_folder(tmp_path)
    manifest = json.loads((folder / "manifest.json").read_text())
    first, second = manifest["entries"]
    first["options"]["precision"] = precision
    write_manifest(folder, [first, second], name="chained", version="1.0")
    asked: list[list[str]] = []
    make = onnxruntime.InferenceSession

    def noted(path: str, options: onnxruntime.SessionOptions, *, providers: list[tuple[str, dict[str, str]]]) -> Any:
        asked.append([Path(path).name, *(name for name, _ in providers)])
        return make(path, options, providers=[CPU_PROVIDER])

    monkeypatch.setattr(onnxruntime, "InferenceSession", noted)
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CUDA_PROVIDER, CPU_PROVIDER])
    load_folders(tmp_path, threads=1)
    both = [CUDA_PROVIDER, CPU_PROVIDER]
    on_first = [CPU_PROVIDER] if precision == "int8" else both
    expected = [[first[role], *on_first] for role in ("graph", "trunk", "tail")]
    # A trunk that an int8 entry shares with another is there twice, once for each device.
    expected += [[second[role], *both] for role in ("graph", "trunk", "tail") if precision == "int8" or role != "trunk"]
    assert asked == expected
    warned = [vars(record)["tokens"] for record in caplog.records if record.message.startswith("int8 runs on the CPU")]
    assert warned == ([[first["token"]]] if precision == "int8" else [])
