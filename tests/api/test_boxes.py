"""Every door through which a box comes in refuses the same ones, in the same words."""

import argparse
from pathlib import Path

import pytest
from pydantic import ValidationError
from tests.dataset.scenes import MadeUp
from tests.likeness.watches import watch_of

from clayline.api.dataset import Dataset
from clayline.dataset.folder import FolderRoot
from clayline.dataset.scene_row import Box
from clayline.errors import DatasetError
from clayline.likeness.vector_query import VectorQuestion
from clayline_cli.asking.options import box as command_line_box

SIDES = ("west", "south", "east", "north")


@pytest.mark.parametrize(
    ("sides", "said"),
    [
        ((0, 2, 1, 1), "a south that is greater than its north. Give west, south, east, north in degrees"),
        ((-181, 0, 1, 1), "not on the globe"),
        ((0, 0, 1, 91), "not on the globe"),
        ((0, float("nan"), 1, 1), "finite"),
        ((-54, -26, -55, -25), "west and east the wrong way round, .* around 359 degrees of the globe. Swap them"),
    ],
)
def test_a_box_is_refused_in_the_same_words_in_whichever_form_it_comes(
    sides: tuple[float, float, float, float], said: str, tmp_path: Path
) -> None:
    dataset, box = Dataset(FolderRoot(tmp_path)), Box(**dict(zip(SIDES, sides, strict=True)))
    dates = ["2024-06-01", "2024-06-11"]
    for asked in (sides, box):
        with pytest.raises(DatasetError, match=said):
            dataset.search(["10,50"], box=asked)
        with pytest.raises(DatasetError, match=said):
            dataset.change(box=asked, dates=dates)
        with pytest.raises(DatasetError, match=said):
            dataset.read(box=asked)
        with pytest.raises(DatasetError, match=said):
            dataset.scenes(box=asked)
    with pytest.raises(DatasetError, match=said):
        VectorQuestion(box=box)
    with pytest.raises(ValidationError, match=said):  # parse tells it as a DatasetError
        watch_of(MadeUp(number=0, rows=4), box=sides)
    with pytest.raises(argparse.ArgumentTypeError, match=said):
        command_line_box(",".join(map(str, sides)))
