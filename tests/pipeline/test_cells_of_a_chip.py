"""docs/how-to/publish-a-model.md: a scene embedded by 4 x 4 cells a chip, and the vectors cut up as the page says."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from moto import mock_aws
from tests.conftest import ROOT
from tests.pipeline import scenes
from tests.pipeline.harness import REGION, Pipeline
from tests.pipeline.test_examples import assert_prints, examples, run

from clay.entry import Request
from clay.export import export
from clay.sensor import find_sensor
from clay.weights import seeded_source

PAGE = "docs/how-to/publish-a-model.md"
SAMPLE = ROOT / "samples" / "landsat8_itaipu_2020"


def test_the_page_cuts_the_bundled_scenes_vectors_up(tmp_path: Path) -> None:
    request = Request(sensor=find_sensor("landsat-c2l1"), bands=("red", "green", "blue"), chip_size=64)
    models, scratch = tmp_path / "models", tmp_path / "scratch"
    scratch.mkdir()
    export(seeded_source("tiny", 0, loss=False), [request], models, vector="grid4")
    with pytest.MonkeyPatch.context() as patch, mock_aws():
        patch.setenv("AWS_DEFAULT_REGION", REGION)
        pipeline = Pipeline(models, scratch=scratch)
        for key, body in scenes.landsat(SAMPLE, height=192, width=256).items():
            pipeline.put(key, body)
        pipeline.run(key)
        for name, body in pipeline.outputs().items():
            path = tmp_path / "out" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(body)
    (example,) = examples(PAGE)
    assert_prints(example, run(example.program, tmp_path))
    [path] = (tmp_path / "out").glob("*/*/*.parquet")
    said = json.loads(pq.read_schema(path).metadata[b"clayline"])["model"]
    assert said["options"]["vector"] == "grid4"
