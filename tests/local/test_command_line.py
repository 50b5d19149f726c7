"""``clayline embed`` as a user runs it."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image
from tests.pipeline.scenes import landsat

from clayline_local.cli import main


def _write(folder: Path, files: dict[str, bytes]) -> Path:
    for key, body in files.items():
        (folder / Path(key).name).write_bytes(body)
    return folder / "item.json"


@pytest.mark.pipeline
def test_a_scene_becomes_files_and_a_picture(tmp_path: Path, sample: Path, capsys: pytest.CaptureFixture[str]) -> None:
    item = _write(tmp_path, landsat(sample, row=600, col=400, height=200, width=260))
    assert main(["embed", str(item), "--out", str(tmp_path / "out"), "--creator", "somebody"]) == 0
    told = capsys.readouterr().out
    assert "SceneEmbedded" in told
    assert "planned 20 = written 20" in told
    assert "WARNING" not in told
    parquet = next((tmp_path / "out").rglob("*.parquet"))
    assert set(pq.read_table(parquet)["source_creator"].to_pylist()) == {"somebody"}
    with Image.open(parquet.with_suffix(".png")) as picture:
        pixels = np.asarray(picture.convert("RGB"), dtype=float)
        assert "UNTRAINED" not in str(picture.info["Title"])
    assert pixels.shape[1] > 1000
    assert pixels.std() > 20  # something is drawn
    assert (tmp_path / "out" / "logs" / "PlanFunction.log").stat().st_size


@pytest.mark.pipeline
def test_a_scene_that_cannot_work_says_why_and_exits_1(tmp_path: Path, sample: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = landsat(sample)
    del files["scene/B4.tif"]
    assert main(["embed", str(_write(tmp_path, files)), "--out", str(tmp_path / "out")]) == 1
    told = capsys.readouterr().out
    assert "SceneFailed" in told
    assert "asset-missing" in told
    receipt = json.loads(next((tmp_path / "out").rglob("*_receipt.json")).read_bytes())
    assert receipt["reason"] == "asset-missing"


def test_nothing_to_embed_exits_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["embed", str(tmp_path / "nothing.tif"), "--out", str(tmp_path / "out")]) == 2
    assert "is no file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--model", "nowhere"], "nowhere is no model folder"),
        (["--batch-chips", "0"], "--batch-chips 0: from 1 to 4096"),
        (["--batch-chips", "4097"], "--batch-chips 4097: from 1 to 4096"),
    ],
)
def test_what_cannot_be_started_exits_2(tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], said: str) -> None:
    assert main(["embed", str(tmp_path / "item.json"), "--out", str(tmp_path / "out"), *options]) == 2
    assert said in capsys.readouterr().err
