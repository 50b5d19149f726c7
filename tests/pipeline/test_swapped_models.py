"""One model folder for another, between scenes and in the middle of one; and what files say of a folder's weights."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import onnx
import pyarrow.parquet as pq
import pytest
from tests.pipeline import scenes
from tests.pipeline.harness import WORK, Pipeline
from tests.server.model_folders import TRUNK, TRUNK_WEIGHTS, build_chained_folder, write_manifest

from clayline.run.plan import Plan

SENSORS = {"landsat-c2l1": ("red", "green", "blue")}
TOKENS = {"chained-v1.0-landsat-c2l1", "other-v2.0-landsat-c2l1"}


@pytest.fixture
def landed(make_pipeline: Callable[..., Pipeline], sample: Path) -> Pipeline:
    pipeline = make_pipeline(build=build_chained_folder)
    for key, body in scenes.landsat(sample).items():
        pipeline.put(key, body)
    return pipeline


def parquets(pipeline: Pipeline) -> dict[str, bytes]:
    return {key: body for key, body in pipeline.outputs().items() if key.endswith(".parquet")}


def test_another_folder_changes_run_prefix_source_model_and_identifier_by_itself(
    landed: Pipeline, tmp_path: Path
) -> None:
    landed.run("scene/item.json")
    landed.deploy(
        build_chained_folder(
            landed.endpoint.models, name="other", version="2.0", sensors=SENSORS, gsd=30.0, dimensions=12
        )
    )
    landed.run("scene/item.json")  # the very same event
    files = parquets(landed)
    assert {key.partition("/")[0] for key in files} == TOKENS
    assert len({event["run"] for event in landed.announced()}) == 2
    for key, body in files.items():
        (tmp_path / key.replace("/", "_")).write_bytes(body)
    query = (
        "SELECT source_model, uci, len(embeddings), split_part(filename, '/', -1) FROM read_parquet($files,"
        " filename=true)"
    )
    rows = duckdb.execute(query, {"files": [str(path) for path in tmp_path.glob("*.parquet")]}).fetchall()
    by_model: dict[str, set[str]] = {token: set() for token in TOKENS}
    for model, identifier, length, file in rows:
        head, _, last = identifier.rpartition("_")
        assert last == model == file.partition("_")[0]
        assert length == (12 if model.startswith("other") else 8)
        by_model[model].add(head)
    first, second = by_model.values()
    assert first == second  # the same places, time and instrument
    assert len(rows) == 2 * len(first) > 10


def change_weights(folder: Path) -> None:
    """Double the trunk's weights and write the manifest again: same folder, same tokens, another digest."""
    model = onnx.load(folder / TRUNK)
    weights = next(tensor for tensor in model.graph.initializer if tensor.name == "trunk_weights")
    weights.CopyFrom(onnx.numpy_helper.from_array(2 * onnx.numpy_helper.to_array(weights), weights.name))
    (folder / TRUNK_WEIGHTS).unlink()
    onnx.save_model(model, folder / TRUNK, save_as_external_data=True, location=TRUNK_WEIGHTS, size_threshold=64)
    entries: list[dict[str, Any]] = json.loads((folder / "manifest.json").read_bytes())["entries"]
    write_manifest(folder, entries, name="chained", version="1.0")


def test_a_folder_changed_in_mid_scene_is_refused_and_told(landed: Pipeline) -> None:
    folder = landed.endpoint.models / "chained-v1.0"
    answered = 0

    def change_after_the_first(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
        nonlocal answered
        if not answered:
            change_weights(folder)
            messages[1:] = [
                landed.endpoint.answer(landed.s3, message["requestParameters"]["inputLocation"], message["inferenceId"])
                for message in messages[1:]
            ]
        answered += len(messages)
        return messages

    landed.run("scene/item.json", change=change_after_the_first)
    receipt = landed.receipt()
    assert receipt["status"] == "ScenePartial"
    assert set(receipt["counts"]["failed"]) == {"model-changed"}
    assert receipt["counts"]["written"] > 0
    # The scene embedded again with the folder as it now is: another run and revision of the same token, every vector
    # its own.
    landed.deploy(folder)
    landed.run("scene/item.json")
    tables = {key.rpartition("_v")[2]: pq.read_table(io.BytesIO(body)) for key, body in parquets(landed).items()}
    assert tables.keys() == {"001.parquet", "002.parquet"}
    before, after = (
        {row["uci"]: np.array(row["embeddings"]) for row in tables[name].to_pylist()} for name in sorted(tables)
    )
    assert before.keys() < after.keys()
    for identifier, vector in before.items():
        np.testing.assert_allclose(after[identifier], 2 * vector, rtol=1e-5)
    assert len([name for name in landed.outputs() if "/model_" in name]) == 2, "an Item each: it states the digest"


@pytest.mark.parametrize("trained", [True, False])
def test_every_file_says_where_the_weights_come_from(
    make_pipeline: Callable[..., Pipeline], sample: Path, *, trained: bool
) -> None:
    pipeline = make_pipeline(build=build_chained_folder, model={"name": "untrained", "seed": 5})
    folder = pipeline.endpoint.models / "untrained-v1.0"
    origin = {
        "architecture": "tiny",
        **({"file": "tiny.ckpt", "digest": "sha256:" + "ab" * 32} if trained else {"seed": 5}),
    }
    manifest = json.loads((folder / "manifest.json").read_bytes()) | {
        "checkpoint": origin,
        "producer": {"exporter": "1.2.3"},
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    pipeline.deploy(folder)
    for key, body in scenes.landsat(sample).items():
        pipeline.put(key, body)
    outcome = pipeline.plan("scene/item.json")
    assert ("untrained" in outcome.message) is not trained
    pipeline.run("scene/item.json")
    files = {key.rpartition("_v001")[2]: body for key, body in pipeline.outputs().items()}
    in_file = json.loads((pq.read_metadata(io.BytesIO(files[".parquet"])).metadata or {})[b"clayline"])["model"]
    assert in_file == json.loads(files["_metadata.json"])["clayline"]["model"]
    assert (in_file["untrained"], in_file["checkpoint"], in_file["producer"]) == (
        not trained,
        origin,
        {"exporter": "1.2.3"},
    )
    item = json.loads(files[".json"])["properties"]
    assert item["emb:runtime_parameters"]["untrained"] is not trained
    assert ("seed 5" in item.get("description", "")) is not trained
    assert json.loads(files["_receipt.json"])["untrained"] is not trained
    assert [event["untrained"] for event in pipeline.announced()] == [not trained]


def test_a_plan_from_before_weights_were_recorded_is_read(landed: Pipeline) -> None:
    landed.plan("scene/item.json")
    (entry,) = [
        one
        for one in landed.s3.list_objects_v2(Bucket=WORK, Prefix="plans/")["Contents"]
        if one["Key"].endswith("plan.json")
    ]
    content = json.loads(landed.s3.get_object(Bucket=WORK, Key=entry["Key"])["Body"].read())
    del content["model"]["checkpoint"], content["model"]["producer"]
    for name in ("trunk", "tail", "wavelengths", "normalisation"):
        content["model"]["entry"].pop(name)
    landed.s3.put_object(Bucket=WORK, Key=entry["Key"], Body=json.dumps(content).encode())
    assert not Plan.model_validate(content).model.untrained
    landed.drain()
    assert landed.receipt()["status"] == "SceneEmbedded"
    assert landed.receipt()["untrained"] is False
