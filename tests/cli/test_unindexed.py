"""Scenes that were embedded after `clayline index` are told by every question to a folder, and never said not to lie
there.
"""

import json
from pathlib import Path

import pytest
from tests.dataset.scenes import MadeUp
from tests.dataset.world import NOON
from tests.likeness.watches import keep, watch_of

from clayline.api import Dataset, open_dataset
from clayline.dataset.folder import FolderRoot
from clayline_cli.program import main

FIRST, SECOND, LATE = MadeUp(number=0, rows=300), MadeUp(number=1, rows=300), MadeUp(number=10, rows=300)
"""The last lies where the first does, ten days later."""
SAID = "WARNING: 1 scene here has no row in the index, and no part in the answer: run `clayline index "


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two scenes with a row; one without, of which ``index`` knows nothing; one that is not written to its end."""
    path = tmp_path_factory.mktemp("dataset")
    folder = FolderRoot(path)
    for scene in (FIRST, SECOND):
        scene.land(folder)
    assert main(["index", str(path), "--quiet"]) == 0
    LATE.land(folder)
    unfinished = MadeUp(number=2)
    unfinished.land(folder)
    folder.discard([unfinished.file.receipt])
    keep(folder, watch_of(FIRST))
    return path


def test_every_command_tells_them_in_words_and_in_json(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    points = tmp_path / "points.csv"
    points.write_text(f"lon,lat\n{FIRST.row.box.west + 0.01},{FIRST.row.box.north - 0.01}\n", encoding="utf-8")
    days = [f"{NOON:%Y-%m-%d}", f"{LATE.row.start:%Y-%m-%d}"]
    asked = {
        "change": (["change", str(root), "--from", days[0], "--to", days[1]], 1),
        "search": (["search", str(root), "--like", FIRST.ucis[0]], 0),
        "watch": (["watch", "test", "pivots", str(root)], 0),
        "read": (["read", str(root), "--explain"], 0),
        "sample": (["sample", str(root), str(points), "--out", str(tmp_path / "sample.parquet")], 0),
    }
    for name, (arguments, status) in asked.items():
        capsys.readouterr()
        assert main([*arguments, "--json"]) == status, name
        told = capsys.readouterr()
        assert f"{SAID}{root}`" in told.err, name
        assert json.loads(told.out)["unindexed"] == 1, name
    assert main(asked["change"][0]) == 1
    told = capsys.readouterr()
    assert (
        "300  no-scene: of the scenes of the index, or files without one, none is of the other date there" in told.out
    )
    assert main(["search", str(root), "--like", LATE.ucis[0]]) == 2, "its example is there alone"
    assert SAID in capsys.readouterr().err


def test_look_tells_them_and_writes_nothing(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(root.rglob("*"))
    assert main(["index", str(root), "--look"]) == 1
    assert capsys.readouterr().out == (
        f"without-row: {LATE.file.parquet}\n"
        "1 scene without a row of the index, 0 scenes of the index without their file\n"
    )
    assert main(["index", str(root), "--look", "--json"]) == 1
    assert json.loads(capsys.readouterr().out) == {"scene": LATE.file.parquet, "state": "without-row"}
    assert sorted(root.rglob("*")) == before


def test_what_has_a_row_or_is_older_than_one_that_has_is_not_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = FolderRoot(tmp_path)
    for scene in (FIRST, SECOND):
        scene.land(folder)
    assert Dataset(folder, rows=()).unindexed() == (), "of files without an index every one is looked through"
    for command in ("index", "compact"):
        assert main([command, str(tmp_path), "--quiet"]) == 0
    assert open_dataset(tmp_path).unindexed() == ()
    newer = MadeUp(number=0, rows=300, revision=3)
    newer.land(folder)
    assert open_dataset(tmp_path).unindexed() == (newer.file.parquet,)
    assert main(["index", str(tmp_path), "--quiet"]) == 0
    MadeUp(number=0, rows=300, revision=2).land(folder)
    assert open_dataset(tmp_path).unindexed() == ()
    capsys.readouterr()
    assert main(["read", str(tmp_path), "--explain"]) == 0
    assert "WARNING" not in capsys.readouterr().err
