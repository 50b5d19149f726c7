"""The contact sheet: where chips stand, how they are stretched, and that one which cannot be read stands there too."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from clayline.errors import DatasetError
from clayline.likeness import sheet as module
from clayline.likeness.imagery import SceneImagery
from clayline.likeness.letters import letter_size, write
from clayline.likeness.sheet import SIDE, Shown, sheet
from clayline.outputs.provenance import IN_THE_CORNER

GREEN, EDGE, LACKING = (34, 139, 84), (200, 198, 192), (222, 220, 214)


def shown(value: float, *, scene: str = "a", bands: int = 3) -> Shown:
    pixels = np.full((bands, SIDE, SIDE), value, np.float32)
    pixels[:, :, :40] = 0
    pixels[:, :, -40:] = 1000
    return Shown(pixels=pixels, why="", scene=scene, lines=("1  0.900", "2020-05-18"))


def places(picture: np.ndarray, colour: tuple[int, int, int]) -> list[tuple[int, int]]:
    """Give the upper left of each frame of a colour."""
    there = (picture == colour).all(axis=2)
    corner = there & ~np.roll(there, 1, axis=0) & ~np.roll(there, 1, axis=1) & np.roll(there, -SIDE, axis=1)
    return [(int(row), int(col)) for row, col in np.argwhere(corner)]


def test_chips_stand_in_their_order_six_a_row_and_as_bright_as_their_scene_has_them() -> None:
    picture = sheet([shown(100 * number) for number in range(8)], title=["title"])
    found = places(picture, EDGE)
    assert len(found) == 8
    assert len({row for row, _ in found}) == 2
    middle = [int(picture[row + SIDE // 2, col + SIDE // 2].mean()) for row, col in found]
    assert middle == sorted(middle)
    assert middle[0] == 0
    assert middle[-1] == pytest.approx(255 * 0.7**0.8, abs=2)


def test_examples_have_an_edge_of_their_own_and_grey_is_one_band() -> None:
    like = Shown(pixels=shown(500).pixels, why="", scene="a", lines=("like",), kind="like")
    picture = sheet([like, shown(500, scene="b", bands=1)], title=["title"])
    [(row, col)] = places(picture, GREEN)
    assert picture[row + SIDE // 2, col + SIDE // 2].mean() > 100
    [(row, col)] = places(picture, EDGE)
    assert len(set(picture[row + SIDE // 2, col + SIDE // 2].tolist())) == 1


def test_a_chip_that_cannot_be_read_stands_in_its_place_with_the_reason() -> None:
    lost = Shown(pixels=None, why="B4.tif is not there any more", scene="a", lines=("2",))
    plain = Shown(pixels=None, why="", scene="a", lines=("2",))
    pictures = [sheet([shown(5), each, shown(5)], title=["title"]) for each in (lost, plain)]
    found = places(pictures[0], EDGE)
    assert len(found) == 3
    row, col = found[1]
    inner = [picture[row + 3 : row + 3 + SIDE, col + 3 : col + 3 + SIDE] for picture in pictures]
    assert tuple(inner[0][-1, -1]) == LACKING
    assert (inner[0] != inner[1]).any(), "the reason is not written"


def test_a_name_that_is_wider_than_its_chip_goes_on_below(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[tuple[str, int, int]] = []

    def keep(_: np.ndarray, text: str, *, row: int, col: int, **__: Any) -> None:
        written.append((text, row, col))

    monkeypatch.setattr(module, "write", keep)
    names = ("utm21-c64p30000-s1472e395", "32UQD-r00000c00256s256g10000", "21JYN36330545-s64g30000", "x" * 40)
    chips = [replace(shown(500), lines=("1", name, "2020-05-18")) for name in names]
    picture = sheet(chips, title=["title"])
    height, width = letter_size()
    below = [(text, row, col) for text, row, col in written if text != "title"]
    for at, name in enumerate(names):
        col = sorted({col for _, _, col in below})[at]
        texts = [text for text, _, each in below if each == col]
        rows = [row for _, row, each in below if each == col]
        assert (texts[0], "".join(texts[1:-1]), texts[-1]) == ("1", name, "2020-05-18")
        assert all(len(text) * width <= SIDE + 6 for text in texts)
        assert rows == list(range(rows[0], rows[0] + height * len(rows), height))
        assert rows[-1] + height <= picture.shape[0]
    assert [text for text, _, _ in below if "utm21" in text] == ["utm21-c64p30000-"]


def test_nodata_is_drawn_as_nothing_and_a_chip_of_nodata_alone_too() -> None:
    half, none = shown(500), shown(500)
    assert half.pixels is not None
    assert none.pixels is not None
    half.pixels[:, :64] = np.nan
    none.pixels[:] = np.nan
    for chip, drawn in ((half, True), (none, False)):
        picture = sheet([chip], title=["title"])
        [(row, col)] = places(picture, EDGE)
        assert tuple(picture[row + 20, col + 60]) == LACKING
        assert (tuple(picture[row + 100, col + 120]) != LACKING) == drawn


@pytest.mark.parametrize("count", [0, 1001])
def test_none_and_too_many_are_refused(count: int) -> None:
    with pytest.raises(ValueError, match="1 to 1000 chips"):
        sheet([shown(1)] * count, title=["title"])


def test_letters_are_those_of_the_font_that_matplotlib_brings() -> None:
    font = ImageFont.truetype(str(Path(mpl.get_data_path()) / "fonts/ttf/DejaVuSansMono.ttf"), 11)
    height, width = letter_size()
    for letter in map(chr, range(32, 127)):
        image = Image.new("L", (width, height))
        ImageDraw.Draw(image).text((0, 0), letter, font=font, fill=255)
        picture = np.zeros((height, width, 3), np.uint8)
        write(picture, letter, row=0, col=0, colour=(255, 255, 255))
        assert np.abs(picture[..., 0].astype(int) - np.asarray(image).astype(int)).max() <= 1, letter


def test_what_reaches_over_the_picture_is_cut_and_other_scripts_are_question_marks() -> None:
    picture = np.zeros((20, 30, 3), np.uint8)
    write(picture, "many letters", row=10, col=2, colour=(255, 255, 255))
    write(picture, "a", row=30, col=0, colour=(255, 255, 255))
    twice = [np.zeros((14, 7, 3), np.uint8) for _ in range(2)]
    for text, each in zip("?\u00e4", twice, strict=True):
        write(each, text, row=0, col=0, colour=(255, 255, 255))
    assert (twice[0] == twice[1]).all()


def test_provenance_without_imagery_is_told() -> None:
    grid = {"transform": [30, 0, 0, 0, -30, 0], "crs": "EPSG:32621", "chip_size": 64, "height": 64, "width": 192,
            "start": [0, 0], "edge": IN_THE_CORNER}  # fmt: skip
    for provenance in ({}, {"grid": grid, "source": {"assets": []}}, {"grid": grid, "source": {"assets": [{}]}},
                       {"grid": grid, "source": {"assets": [], "source_url": "file:///a.tif"}}):  # fmt: skip
        with pytest.raises(DatasetError, match=r"scene\.parquet: its provenance"):
            SceneImagery.of(provenance, name="scene.parquet")
