"""What is added to an fp16 folder brings no larger numbers into its trunk than the export's trial left room for."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clay.entry import Request
from clay.export import add, export
from clay.magnitude import check_tokens
from clay.sensor import BandSet, find_sensor
from clay.trial import Trial
from clay.weights import Source, seeded_source
from clayline.errors import ModelError

NAIP, LINZ = (Request(sensor=find_sensor(name), chip_size=64) for name in ("naip", "linz"))
RECORD = {"largest_in_tokens": 10.0, "largest_elsewhere": 160.0, "largest_in_residual": 1600.0, "safe": 16000.0}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Not to be changed."""
    trial = Trial.of([NAIP], None, lambda _: None)
    return export(source(), [NAIP], tmp_path_factory.mktemp("fp16"), precision="fp16", name="t", trial=trial).folder


def source() -> Source:
    return seeded_source("tiny", 0, loss=False)


def shifted(std: float) -> Request:
    """A sensor whose numbers lie far from its mean, by its small deviation."""
    naip = NAIP.sensor
    bands = [band.model_copy(update={"std": std}) for band in naip.bands]
    sensor: BandSet = naip.model_copy(update={"name": "narrow", "slug": "narrow", "bands": tuple(bands)})
    return Request(sensor=sensor, chip_size=64)


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def test_a_sensor_like_the_exports_own_is_added(folder: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(folder, tmp_path / folder.name)
    before = json.loads((copy / "metrics.json").read_text())
    assert add(copy, [LINZ]).added == ("t-untrained-fp16-v1.5-linz-c64",)
    assert json.loads((copy / "metrics.json").read_text())["range"] == before["range"]


def test_a_sensor_of_far_larger_numbers_is_refused(folder: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(folder, tmp_path / folder.name)
    with pytest.raises(
        ModelError,
        match=(
            r"t-untrained-fp16-v1\.5-narrow-c64 brings numbers of .* into the trunk; .*: export the folder with this"
            r" entry"
        ),
    ):
        add(copy, [shifted(0.01)], progress=lambda _: None)
    assert contents(copy) == contents(folder)


def test_a_folder_whose_trial_was_not_recorded_takes_no_more_entries(tmp_path: Path) -> None:
    untried = export(source(), [NAIP], tmp_path, precision="fp16", name="t").folder
    with pytest.raises(ModelError, match="report does not say how large fp16's numbers were"):
        add(untried, [LINZ])
    assert add(untried, [NAIP]).present == ("t-untrained-fp16-v1.5-naip-c64",)


def test_the_record_is_of_the_tokens_that_the_stem_gives(folder: Path, tmp_path: Path) -> None:
    found = json.loads((folder / "metrics.json").read_text())["range"]
    assert 0 < found["largest_in_tokens"] <= min(found["largest_in_residual"], found["largest_elsewhere"])
    trial = Trial.of([shifted(NAIP.sensor.bands[0].std / 4)], None, lambda _: None)
    other = export(source(), trial.requests, tmp_path, precision="fp16", name="t", trial=trial).folder
    larger = json.loads((other / "metrics.json").read_text())["range"]["largest_in_tokens"]
    assert larger > 2 * found["largest_in_tokens"]


@pytest.mark.parametrize(("residual", "room"), [("float16", 100.0), ("float32", 1000.0)])
def test_room_is_left_by_the_largest_number_that_is_float16(residual: str, room: float) -> None:
    record: dict[str, Any] = {**RECORD, "residual": residual}
    check_tokens("t", room, record)
    for largest in (room * 1.01, np.inf, np.nan):
        with pytest.raises(ModelError, match=f"has room for {room:g}"):
            check_tokens("t", largest, record)
