"""The vectors' encoding is a choice of the plan.

It decides the bytes, so it decides the run, and a later deployment changes neither.
"""

import dataclasses
import io
import json
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
from tests.pipeline import scenes
from tests.pipeline.harness import Pipeline

from clayline.run.encoding import VectorEncoding
from clayline.steps.planning import Planned


def _said(files: dict[str, bytes], revision: str) -> tuple[set[str], str, str]:
    """Give what a revision's vectors are encoded by, and what the file and the JSON beside it say of that."""
    parts = {key.rpartition(revision)[2]: body for key, body in files.items() if revision in key}
    metadata = pq.read_metadata(io.BytesIO(parts[".parquet"]))
    columns = [metadata.row_group(0).column(at) for at in range(metadata.num_columns)]
    [vectors] = [column for column in columns if column.path_in_schema == "embeddings.list.element"]
    in_file = json.loads((metadata.metadata or {})[b"clayline"])
    assert in_file["options"]["vector_encoding"] == in_file["encoding"]
    return set(vectors.encodings), in_file["encoding"], json.loads(parts["_metadata.json"])["clayline"]["encoding"]


def test_a_scene_keeps_the_encoding_it_was_planned_with(make_pipeline: Callable[..., Pipeline], sample: Path) -> None:
    pipeline = make_pipeline(encoding=VectorEncoding.COMPACT)
    for key, body in scenes.landsat(sample).items():
        pipeline.put(key, body)
    assert pipeline.plan("scene/item.json").kind is Planned.ENQUEUED
    pipeline.options = dataclasses.replace(
        pipeline.options, encoding=VectorEncoding.PORTABLE
    )  # deployed again before it is collected
    pipeline.drain()
    encodings, in_file, beside = _said(pipeline.outputs(), "_v001")
    assert "BYTE_STREAM_SPLIT" in encodings
    assert (in_file, beside) == ("compact", "compact")

    pipeline.run("scene/item.json")  # landed again: another choice is another run, and the file before stays
    encodings, in_file, beside = _said(pipeline.outputs(), "_v002")
    assert "BYTE_STREAM_SPLIT" not in encodings
    assert (in_file, beside) == ("portable", "portable")
    assert _said(pipeline.outputs(), "_v001")[1] == "compact"
