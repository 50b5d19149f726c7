"""A folder whose entries are a stem, a shared trunk and a tail.

What it computes, what it loads, and what the server refuses of it.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import safetensors.numpy
from numpy.typing import NDArray
from onnx import TensorProto, helper
from tests.server.container import running_container
from tests.server.model_folders import (
    CHAINED_SENSORS,
    TRUNK,
    TRUNK_WEIGHTS,
    build_chained_folder,
    build_model_folder,
    chained_oracle,
    write_manifest,
)
from tests.server.requests import chips, request_body
from tests.server.test_start_and_stop import refusal_of

from clayline.errors import ModelError
from server.folders import load_folders

S2, LANDSAT = (f"chained-v1.0-{sensor}" for sensor in CHAINED_SENSORS)


def pixels_for(token: str, count: int) -> NDArray[Any]:
    return chips(count, bands=len(CHAINED_SENSORS[token.removeprefix("chained-v1.0-")]))


def test_each_sensor_gets_its_stem_and_its_tail_around_the_one_trunk(tmp_path: Path) -> None:
    folder = build_chained_folder(tmp_path / "models")
    with running_container(tmp_path / "models", tmp_path / "log", "--micro-batch", "3") as container:
        for token, count in ((S2, 7), (LANDSAT, 4), (S2, 1)):
            pixels = pixels_for(token, count)
            reply = container.invoke(request_body(folder, pixels, token=token))
            assert reply.status == 200, reply.body
            tensors = safetensors.numpy.load(reply.body)
            embeddings, losses = chained_oracle(pixels, 8)
            np.testing.assert_allclose(tensors["embeddings"], embeddings, rtol=0, atol=5e-6)
            np.testing.assert_allclose(tensors["loss"], losses, rtol=0, atol=5e-6)
        ready = next(line for line in container.lines() if line["message"] == "ready")
        assert ready["tokens"][S2] == [["CPUExecutionProvider"]] * 3
        assert (ready["untrained"], ready["concurrency"]) == (False, 1)


def test_time_and_latlon_go_through_the_stem_and_no_loss_needs_no_tail(tmp_path: Path) -> None:
    folder = build_chained_folder(tmp_path / "models", inputs=("pixels", "time", "latlon"), loss=False)
    located = {name: np.random.default_rng(1).normal(size=(5, 4)).astype(np.float32) for name in ("time", "latlon")}
    pixels = pixels_for(LANDSAT, 5)
    with running_container(tmp_path / "models", tmp_path / "log", "--micro-batch", "2") as container:
        reply = container.invoke(request_body(folder, pixels, token=LANDSAT, tensors=located))
    tensors = safetensors.numpy.load(reply.body)
    assert "loss" not in tensors
    expected, _ = chained_oracle(pixels, 8, located=located["time"].sum(axis=1) + located["latlon"].sum(axis=1))
    np.testing.assert_allclose(tensors["embeddings"], expected, rtol=0, atol=1e-5)


def test_half_precision_between_the_graphs_ends_in_float32(tmp_path: Path) -> None:
    folder = build_chained_folder(tmp_path / "models", half=True, nan_when_first_pixel=7)
    pixels = pixels_for(S2, 4)
    pixels[2, 0, 0, 0] = 7
    with running_container(tmp_path / "models", tmp_path / "log") as container:
        tensors = safetensors.numpy.load(container.invoke(request_body(folder, pixels, token=S2)).body)
    assert (tensors["embeddings"].dtype.name, tensors["loss"].dtype.name) == ("float32", "float32")
    assert tensors["status"].tolist() == [0, 0, 1, 0]
    good = [0, 1, 3]
    embeddings, losses = chained_oracle(pixels[good], 8)
    np.testing.assert_allclose(tensors["embeddings"][good], embeddings, rtol=0, atol=2e-2)
    np.testing.assert_allclose(tensors["loss"][good], losses, rtol=0, atol=2e-2)
    assert np.abs(tensors["embeddings"][good] - embeddings).max() > 1e-5, "this folder does not compute in float16"


def test_the_trunk_is_loaded_once_however_many_entries_share_it(tmp_path: Path) -> None:
    build_chained_folder(tmp_path)
    loaded = load_folders(tmp_path, threads=1)
    first, second = (loaded.entries["chained-v1.0"][token].chain.stages for token in (S2, LANDSAT))
    assert first[1].session is second[1].session
    assert len({id(stage.session) for stage in (*first, *second)}) == 5


def test_only_what_a_later_graph_takes_leaves_a_graph(tmp_path: Path) -> None:
    build_chained_folder(tmp_path)
    stem, trunk, tail = load_folders(tmp_path, threads=1).entries["chained-v1.0"][S2].chain.stages
    assert (stem.passed, stem.results) == (("tokens", "visible"), ())
    assert (trunk.passed, trunk.results) == (("decoded",), ("embeddings",))
    assert (set(tail.inputs), tail.passed, tail.results) == ({"decoded", "pixels"}, (), ("loss",))


def test_one_byte_of_the_trunks_weights_changed_is_refused(tmp_path: Path) -> None:
    folder = build_chained_folder(tmp_path / "models")
    weights = bytearray((folder / TRUNK_WEIGHTS).read_bytes())
    weights[100] ^= 1
    (folder / TRUNK_WEIGHTS).write_bytes(weights)
    assert f"{TRUNK_WEIGHTS} has sha256:" in refusal_of(tmp_path / "models", tmp_path / "log")


def rewritten(folder: Path, entries: list[dict[str, Any]]) -> None:
    """Write the manifest again with changed entries and files, every digest good."""
    write_manifest(folder, entries, name="chained", version="1.0")


def entries_of(folder: Path) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = json.loads((folder / "manifest.json").read_text())["entries"]
    return entries


def test_a_trunks_weights_that_an_entry_does_not_list_are_refused(tmp_path: Path) -> None:
    folder = build_chained_folder(tmp_path)
    entries = entries_of(folder)
    entries[1]["files"].remove(TRUNK_WEIGHTS)
    rewritten(folder, entries)
    with pytest.raises(ModelError, match=rf"entry {LANDSAT} .*graph {TRUNK} names the file {TRUNK_WEIGHTS}"):
        load_folders(tmp_path, threads=1)


@pytest.mark.parametrize("distance", [0, 1, 4, 9, 10, 11])
def test_a_name_is_found_wherever_it_stands_in_a_large_graph(tmp_path: Path, distance: int) -> None:
    """Also across the border of two blocks: here the tail of a graph of over 1 MiB, cut in the middle of the name."""
    folder = build_chained_folder(tmp_path)
    graph = onnx.load(folder / TRUNK, load_external_data=False)
    graph.doc_string = "x" * ((1 << 20) + 100)
    start = graph.SerializeToString().index(b"xxxx")
    graph.doc_string = "x" * ((1 << 20) - start - distance) + "other.bin" + "x" * 100
    (folder / TRUNK).write_bytes(graph.SerializeToString())
    assert (folder / TRUNK).read_bytes().index(b"other.bin") == (1 << 20) - distance
    (folder / "other.bin").write_bytes(b"weights")
    rewritten(folder, entries_of(folder))
    with pytest.raises(ModelError, match=f"{TRUNK} names the file other.bin"):
        load_folders(tmp_path, threads=1)


def with_renamed(path: Path, old: str, new: str) -> None:
    """Rename a value of a graph."""
    model = onnx.load(path, load_external_data=False)
    for node in model.graph.node:
        node.input[:] = [new if name == old else name for name in node.input]
        node.output[:] = [new if name == old else name for name in node.output]
    for value in (*model.graph.input, *model.graph.output):
        value.name = new if value.name == old else value.name
    path.write_bytes(model.SerializeToString())


def with_output(path: Path, name: str, *, element: int, shape: list[str | int]) -> None:
    """Cast one output to another type."""
    model = onnx.load(path, load_external_data=False)
    before = f"{name}_before"
    for node in model.graph.node:
        node.output[:] = [before if each == name else each for each in node.output]
    model.graph.node.append(helper.make_node("Cast", [before], [name], to=element))
    for value in model.graph.output:
        if value.name == name:
            value.CopyFrom(helper.make_tensor_value_info(name, element, shape))
    path.write_bytes(model.SerializeToString())


def test_a_trunk_that_takes_what_no_stem_gives_is_refused(tmp_path: Path) -> None:
    folder = build_chained_folder(tmp_path)
    with_renamed(folder / TRUNK, "visible", "seen")
    rewritten(folder, entries_of(folder))
    with pytest.raises(
        ModelError,
        match=rf"entry {S2} of .*{TRUNK} takes seen, which no graph before it gives.*export the folder again",
    ):
        load_folders(tmp_path, threads=1)


def test_a_tail_that_takes_what_nothing_gives_is_refused(tmp_path: Path) -> None:
    folder = build_chained_folder(tmp_path)
    with_renamed(folder / "tail-landsat-c2l1.onnx", "decoded", "undone")
    rewritten(folder, entries_of(folder))
    with pytest.raises(ModelError, match=rf"entry {LANDSAT} of .* takes undone, which no graph before it gives"):
        load_folders(tmp_path, threads=1)


@pytest.mark.parametrize(
    ("element", "shape", "words"),
    [
        (TensorProto.FLOAT16, ["N", 2, 12], r"takes tokens as tensor\(float\).*it is given tensor\(float16\)"),
        (TensorProto.DOUBLE, ["N", 2, 12], r"takes tokens as tensor\(float\).*it is given tensor\(double\)"),
    ],
)
def test_tokens_of_another_type_than_the_trunks_are_refused(
    tmp_path: Path, element: int, shape: list[str | int], words: str
) -> None:
    folder = build_chained_folder(tmp_path)
    with_output(folder / "stem-sentinel-2-l2a.onnx", "tokens", element=element, shape=shape)
    rewritten(folder, entries_of(folder))
    with pytest.raises(ModelError, match=words):
        load_folders(tmp_path, threads=1)


def test_a_trunk_of_another_width_is_refused(tmp_path: Path) -> None:
    folder = build_chained_folder(tmp_path)
    model = onnx.load(folder / TRUNK, load_external_data=False)
    for value in model.graph.input:
        if value.name == "tokens":
            value.CopyFrom(helper.make_tensor_value_info("tokens", TensorProto.FLOAT, ["N", 3, 8]))
    (folder / TRUNK).write_bytes(model.SerializeToString())
    rewritten(folder, entries_of(folder))
    with pytest.raises(ModelError, match=r"takes tokens as .*\['N', 3, 8\], it is given .*\['N', 2, 12\]"):
        load_folders(tmp_path, threads=1)


def test_a_stem_that_does_not_take_its_entrys_pixels_is_refused(tmp_path: Path) -> None:
    folder = build_chained_folder(tmp_path)
    entries = entries_of(folder)
    for role in ("graph", "tail"):
        entries[0][role] = entries[1][role]
    entries[0]["files"] = entries[1]["files"]
    rewritten(folder, entries)
    with pytest.raises(ModelError, match=rf"entry {S2} of .*the graph's inputs"):
        load_folders(tmp_path, threads=1)


def test_a_name_that_both_graphs_give_is_refused(tmp_path: Path) -> None:
    folder = build_chained_folder(tmp_path)
    stem = onnx.load(folder / "stem-sentinel-2-l2a.onnx")
    stem.graph.node.append(helper.make_node("Identity", ["visible"], ["decoded"]))
    stem.graph.output.append(helper.make_tensor_value_info("decoded", TensorProto.FLOAT, ["N", 1, 12]))
    (folder / "stem-sentinel-2-l2a.onnx").write_bytes(stem.SerializeToString())
    rewritten(folder, entries_of(folder))
    with pytest.raises(ModelError, match=r"both give \['decoded'\].*rename one"):
        load_folders(tmp_path, threads=1)


@pytest.mark.parametrize("graph", ["stem-sentinel-2-l2a.onnx", TRUNK])
def test_a_fixed_number_of_chips_is_refused(tmp_path: Path, graph: str) -> None:
    folder = build_chained_folder(tmp_path, loss=False)
    model = onnx.load(folder / graph, load_external_data=False)
    for value in model.graph.input:
        value.type.tensor_type.shape.dim[0].dim_value = 4
    (folder / graph).write_bytes(model.SerializeToString())
    rewritten(folder, entries_of(folder))
    with pytest.raises(ModelError, match=rf"{graph} fixes the number of chips"):
        load_folders(tmp_path, threads=1)


def test_untrained_weights_are_said_and_the_folders_advice_is_taken(tmp_path: Path) -> None:
    build_chained_folder(tmp_path / "models", name="untrained", seed=1, micro_batch={"cpu": 2, "cuda": 64})
    build_model_folder(tmp_path / "models")
    with running_container(tmp_path / "models", tmp_path / "log") as container:
        lines = container.lines()
    ready = next(line for line in lines if line["message"] == "ready")
    assert ready["untrained"] is True
    assert ready["micro_batch"] == {
        **{f"untrained-v1.0-{sensor}": 2 for sensor in CHAINED_SENSORS},
        "tiny-v1.0-test": 16,
    }
    assert [(line["level"], line["folder"]) for line in lines if "untrained" in line["message"]] == [
        ("WARNING", "untrained-v1.0")
    ]


def test_the_flag_overrides_the_advice(tmp_path: Path) -> None:
    folder = build_chained_folder(tmp_path / "models", micro_batch={"cpu": 2})
    with running_container(tmp_path / "models", tmp_path / "log", "--micro-batch", "5") as container:
        assert container.invoke(request_body(folder, pixels_for(S2, 6), token=S2)).status == 200
        lines = container.lines()
    assert next(line for line in lines if line["message"] == "ready")["micro_batch"] == {S2: 5, LANDSAT: 5}
    assert next(line for line in lines if line["message"] == "batch computed")["micro_batch"] == 5
