"""``clayline vectors``: what a vector bucket lacks is found and sent, on moto."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import pytest
from moto import mock_aws
from tests.dataset.scenes import MadeUp
from tests.dataset.world import TOKEN

from clayline.dataset.folder import FolderRoot
from clayline.model.statistics import FolderStatistics, VectorStatistics
from clayline_cli.program import main

SCENES = [MadeUp(number=number) for number in range(3)]


@pytest.fixture
def s3vectors(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with mock_aws():
        session: Any = boto3.session.Session()
        client = session.client("s3vectors")
        client.create_vector_bucket(vectorBucketName="my-vectors")
        yield client


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for scene in SCENES:
        scene.land(FolderRoot(tmp_path / "out"))
    return tmp_path / "out"


@pytest.fixture
def model_folder(tmp_path: Path) -> Path:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "manifest.json").write_text("{}")
    measured = VectorStatistics.measure([SCENES[0].vectors()], digest=SCENES[0].row.digest, scenes=["a"])
    body = FolderStatistics(entries={TOKEN: measured}).model_dump_json(by_alias=True)
    (tmp_path / "model" / "statistics.json").write_text(body)
    return tmp_path / "model"


def call(root: Path, *more: object) -> list[str]:
    return ["vectors", str(root), "--vector-bucket", "my-vectors", *map(str, more)]


def test_what_is_missing_is_looked_at_then_sent(
    s3vectors: Any, root: Path, model_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(call(root, "--look")) == 0
    assert capsys.readouterr().out == "3 scenes missing\n"
    assert main(call(root, "--model-folder", model_folder, "--json")) == 0
    states = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert states == [{"scene": scene.file.parquet, "state": "sent", "message": None} for scene in SCENES]
    [index] = s3vectors.list_indexes(vectorBucketName="my-vectors")["indexes"]
    listed = s3vectors.list_vectors(vectorBucketName="my-vectors", indexName=index["indexName"], returnData=True)
    found = {each["key"]: each["data"]["float32"] for each in listed["vectors"]}
    assert sorted(found) == sorted(uci for scene in SCENES for uci in scene.ucis)
    away = SCENES[2].vectors() - SCENES[0].vectors().mean(axis=0)
    expected = away / np.linalg.norm(away, axis=1)[:, None]
    np.testing.assert_allclose([found[uci] for uci in SCENES[2].ucis], expected, atol=1e-6)
    assert main(call(root)) == 0
    assert capsys.readouterr().out == "0 scenes sent, 0 failed\n"


def test_what_another_sender_began_is_sent_and_told_until_that_one_is_over(
    s3vectors: Any, root: Path, model_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(call(root, "--model-folder", model_folder)) == 0
    begun = f"vectors/my-vectors/{TOKEN}/{SCENES[1].row.scene}_begun_aa.json"
    FolderRoot(root).put_new(begun, b"{}")
    assert main(call(root, "--look")) == 0
    capsys.readouterr()
    assert main(call(root, "--json")) == 1
    told = capsys.readouterr()
    [line] = [json.loads(line) for line in told.out.splitlines()]
    assert (line["scene"], line["state"]) == (SCENES[1].file.parquet, "sent beside another")
    assert "another sender has begun with it and not ended" in told.err
    hours_ago = (root / begun).stat().st_mtime - 7_200
    os.utime(root / begun, (hours_ago, hours_ago))
    assert main(call(root)) == 0
    assert main(call(root, "--look")) == 0
    assert capsys.readouterr().out == "1 scenes sent, 0 failed\n0 scenes missing\n"
    assert s3vectors.list_indexes(vectorBucketName="my-vectors")["indexes"]


def test_scenes_of_a_model_that_nobody_centres_are_told(
    s3vectors: Any, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(call(root)) == 1
    told = capsys.readouterr()
    assert told.out == "0 scenes sent, 3 failed\n"
    assert told.err.count("nobody states the centre of starter-v1.0-s2-rgb") == 3
    assert not s3vectors.list_indexes(vectorBucketName="my-vectors")["indexes"]


def test_what_can_never_work_is_not_tried_for_every_scene(
    s3vectors: Any, root: Path, model_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(3, 8):
        MadeUp(number=number).land(FolderRoot(root))
    s3vectors.delete_vector_bucket(vectorBucketName="my-vectors")
    assert main(call(root, "--model-folder", model_folder)) == 1
    told = capsys.readouterr()
    assert told.out == "0 scenes sent, 5 failed\n"
    assert "5 scenes in a row could not be sent: the other 3 were left" in told.err


def test_without_a_region_it_says_so(
    monkeypatch: pytest.MonkeyPatch, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    monkeypatch.delenv("AWS_REGION", raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    assert main(call(root)) == 2
    assert "no access to AWS: You must specify a region" in capsys.readouterr().err
