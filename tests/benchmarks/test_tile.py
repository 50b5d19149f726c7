"""benchmarks/tile.py compares the same ground, aligned and on the lattice, and judges what it says it judges."""

import json
from pathlib import Path

import pytest

from benchmarks import tile


def test_the_price_is_that_of_the_same_scene_on_a_lattice(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scene = tile.write_scene(tmp_path / "scene.tif", tile.landsat(2), 520, "band", block=256)
    tile.price("a small frame", (scene,), bands=2, chip=64, repeats=1)
    line = json.loads(capsys.readouterr().out)
    assert line["chips"] == [81, 81]
    assert (line["repeated"], line["repeated_aligned"], line["jobs"]) == (0, 0, [1, 1])
    assert line["ratio_by_ground"] == line["ratio"] > 0
    assert set(line["met"]) == {"ratio 0.9", "repeated 0.1", "half the jobs", "peak as aligned"}
    assert line["met"]["repeated 0.1"] is line["met"]["half the jobs"] is True


def test_both_ways_of_laying_chips_decode_what_the_jobs_count(tmp_path: Path) -> None:
    scene = tile.write_scene(tmp_path / "scene.tif", tile.landsat(2), 520, "band", block=256)
    works = [tile.Work(bands=2, chip=64, start=start, whole=True) for start in (None, (-25, -20))]
    aligned, lattice = (tile.measure("jobs", scene, work=work) for work in works)
    assert aligned["decoded_blocks"] == lattice["decoded_blocks"] == 2 * 9
