"""A file of a folder without an index whose end cannot be read: change tells it, other questions stop at it."""

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from tests.api.alike import TOKEN, Alike

from clayline.api import open_place, open_scene_files
from clayline.dataset.folder import FolderRoot
from clayline.errors import DatasetError
from clayline_cli.program import main

PLACE = (-54.5, -25.3)
DAYS = ["--from", "2024-05-19", "--to", "2024-05-20"]


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-500])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def other(path: Path) -> None:
    """Leave a Parquet file of somebody else's under the name."""
    pq.write_table(pq.read_table(path).replace_schema_metadata({}), path)


def folder(path: Path, harm: Callable[[Path], None], *, item: bool = True) -> Path:
    """Give two dates of one place, of which the second is damaged, and be it with its Item."""
    world = Alike(root=FolderRoot(path))
    for number in (1, 2):
        row = world.scene(number, place=0, indexed=False)
    if item:
        box = [row.box.west, row.box.south, row.box.east, row.box.north]
        (path / row.href).with_suffix(".json").write_text(json.dumps({"bbox": box}), encoding="utf-8")
    harm(path / row.href)
    return path / row.href


@pytest.mark.parametrize("harm", [cut, empty, other])
@pytest.mark.parametrize("box", ["item", "square"])
def test_change_names_and_counts_it_and_its_ground_is_not_told_as_unseen(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], harm: Callable[[Path], None], box: str
) -> None:
    lost = folder(tmp_path, harm, item=box == "item")
    assert main(["change", str(tmp_path), *DAYS, "--json"]) == 1
    told = capsys.readouterr()
    said = json.loads(told.out)
    assert said["compared"] == 0
    if box == "item":
        assert said["not_compared"] == {"unreadable": 601}
    else:  # the ground beyond the square that the name says is known to nobody
        assert said["not_compared"]["unreadable"] > 100
    key = lost.relative_to(tmp_path).as_posix()
    assert [each["file"] for each in said["unread"]] == [key]
    assert f"could not be read, and is no part of the answer: {key}" in told.err
    assert main(["change", str(tmp_path), "--json"]) == 1, "also where each cell has its own dates"
    assert json.loads(capsys.readouterr().out)["not_compared"]["unreadable"] > 100


def test_what_does_not_touch_it_is_answered(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder(tmp_path, cut)
    [found] = open_place(tmp_path).change(box=(-40, -26, -39, -25)).lost
    assert "is no whole Parquet file" in found.message
    said = open_place(tmp_path).change(dates=["2024-05-19", "2024-06-20"])
    assert (said.reasons, len(said.lost)) == ({"no-scene": 600}, 1), "its name says that it is of neither date"
    capsys.readouterr()
    assert main(["search", str(tmp_path), "--like", ",".join(map(str, PLACE)), "--time", "2024-05-19"]) == 2
    read = open_place(tmp_path).read(time="2024-05-19", columns=["uci"])
    assert read.num_rows == 600
    assert open_place(tmp_path).read(model=TOKEN, box=(-40, -26, -39, -25)).num_rows == 0


@pytest.mark.parametrize(
    "arguments",
    [["search", "--like", "-54.5,-25.3"], ["watch", "add", "w", "--like", "-54.5,-25.3"]],
    ids=["search", "watch"],
)
def test_a_question_that_it_may_answer_stops_at_it_and_names_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    lost = folder(tmp_path, cut)
    at = 3 if arguments[0] == "watch" else 1
    assert main([*arguments[:at], str(tmp_path), *arguments[at:]]) == 2
    said = capsys.readouterr().err
    assert str(lost) in said
    assert "Embed its scene again, or leave it out" in said


def test_a_newer_revision_makes_up_for_it_and_a_folder_of_nothing_else_is_an_error(tmp_path: Path) -> None:
    lost = folder(tmp_path, cut)
    other_scene = lost.parent.parent / "000000000001"
    whole = next(other_scene.glob("*.parquet"))
    whole.with_name(whole.name.replace("v001", "v002")).write_bytes(whole.read_bytes())
    cut(whole)
    lost.unlink()
    found = open_place(tmp_path).read(columns=["uci"])
    assert found.num_rows == 600
    with pytest.raises(DatasetError, match="no whole Parquet file"):
        open_scene_files([whole])
    for each in other_scene.glob("*.parquet"):
        empty(each)
    with pytest.raises(DatasetError, match="no whole Parquet file"):
        open_place(tmp_path)
