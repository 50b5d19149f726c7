"""``clayline index`` and ``clayline compact``: a folder of scenes becomes a dataset."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import boto3
import pytest
from moto import mock_aws
from tests.dataset.compactors import expected, read
from tests.dataset.scenes import MadeUp

from clayline.aws.dataset_root import S3Root
from clayline.dataset.folder import FolderRoot
from clayline.table.index_reading import read_manifest
from clayline_cli.program import main

if TYPE_CHECKING:
    from tests.dataset.world import Memory

SCENES = [MadeUp(number=number) for number in range(5)]


def test_a_folder_of_scenes_becomes_a_dataset(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = FolderRoot(tmp_path)
    for scene in SCENES:
        scene.land(root)
    assert main(["index", str(tmp_path)]) == 0
    told = capsys.readouterr()
    assert told.out == "5 scenes indexed, 0 without a file of embeddings, 0 failed\n"
    assert "5 receipts without a row" in told.err
    assert main(["compact", str(tmp_path), "--json"]) == 0
    told = capsys.readouterr()
    lines = [json.loads(line) for line in told.out.splitlines()]
    assert lines[0] == {"pass": 1, "taken_in": 5, "deleted": 0, "chips": 80, "square": "32UQD 2024", "tiered": False}
    assert lines[-1]["taken_in"] == 0
    assert read(cast("Memory", root)) == expected(*SCENES)
    assert main(["index", str(tmp_path), "--quiet"]) == 0
    assert capsys.readouterr().out.startswith("0 scenes indexed")
    assert main(["compact", str(tmp_path), "--quiet"]) == 0
    assert capsys.readouterr().out == "5 scenes, 80 chips in 1 files\n"


def test_a_scene_that_is_not_whole_is_named_and_the_others_are_indexed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = FolderRoot(tmp_path)
    for scene in SCENES:
        scene.land(root)
    root.discard([SCENES[2].file.item])
    assert main(["index", str(tmp_path), "--json"]) == 1
    told = capsys.readouterr()
    states = {each["scene"]: each["state"] for each in map(json.loads, told.out.splitlines())}
    assert states == {scene.file.parquet: "indexed" for scene in SCENES} | {SCENES[2].file.parquet: "failed"}
    assert SCENES[2].file.item in told.err


def test_a_scene_whose_file_is_lost_is_told_left_out_and_forgotten(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = FolderRoot(tmp_path)
    for scene in SCENES:
        scene.land(root)
    assert main(["index", str(tmp_path), "--quiet"]) == 0
    lost = SCENES[2].file.parquet
    (tmp_path / lost).unlink()
    capsys.readouterr()
    remedy = f"clayline index {tmp_path} --forget-lost"
    assert main(["read", str(tmp_path), "--out", str(tmp_path / "window.parquet")]) == 2
    assert f"`clayline index ROOT --forget-lost` (ROOT is {tmp_path})" in capsys.readouterr().err
    assert main(["compact", str(tmp_path), "--quiet"]) == 1
    told = capsys.readouterr()
    assert told.out == "5 scenes, 64 chips in 1 files, 1 left out\n"
    assert f"left out: {lost}: there is no" in told.err
    assert main(["index", str(tmp_path), "--quiet"]) == 1
    told = capsys.readouterr()
    assert told.out.endswith("0 failed, 1 row without their file\n")
    assert lost in told.err
    assert remedy in told.err
    assert main(["index", str(tmp_path), "--forget-lost", "--json"]) == 1  # its receipt still says that there was one
    told = capsys.readouterr()
    assert [json.loads(line)["state"] for line in told.out.splitlines()] == ["forgotten", "failed"]
    assert "embed the scene again" in told.err
    assert main(["compact", str(tmp_path), "--quiet"]) == 0
    assert read(cast("Memory", root)) == expected(*(scene for scene in SCENES if scene.number != 2))
    SCENES[2].land(root)
    assert main(["index", str(tmp_path), "--quiet"]) == 0
    assert read(cast("Memory", root)) == expected(*SCENES)


def test_a_bucket_does_as_a_folder_does(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with mock_aws():
        client: Any = boto3.client("s3")
        client.create_bucket(Bucket="embeddings")
        root = S3Root(client, bucket="embeddings", prefix="a/b")
        for scene in SCENES:
            scene.land(root)
        assert main(["index", "s3://embeddings/a/b"]) == 0
        assert main(["compact", "s3://embeddings/a/b/"]) == 0
        assert capsys.readouterr().out.endswith("5 scenes, 80 chips in 1 files\n")
        assert read(cast("Memory", root)) == expected(*SCENES)
        assert read_manifest(root)[0].version == 2


@pytest.mark.parametrize("name", ["nothing/there", "gs://bucket", "s3://B", "s3://"])
def test_what_is_no_root_is_refused(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("index", "compact"):
        with pytest.raises(SystemExit) as stopped:
            main([command, name])
        assert stopped.value.code == 2
        assert "argument ROOT" in capsys.readouterr().err
