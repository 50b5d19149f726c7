"""The card's tables are what the shared scenes give."""

import csv
import re

import numpy as np
import pytest
import rasterio

from starter import measurements, scenes
from starter.evaluate import BEGIN, END, report

pytestmark = pytest.mark.skipif(
    not scenes.SHARED.is_dir(), reason=f"needs the shared scenes, not found at {scenes.SHARED}"
)
NAMES = {
    3: "cloud_shadow",
    4: "vegetation",
    5: "bare",
    6: "water",
    7: "unclassified",
    8: "cloud_med",
    9: "cloud_high",
    10: "cirrus",
}


def figures(text: str) -> list[tuple[str, list[float]]]:
    """Rows of the tables: first cell, and every number after it."""
    lines = [
        line for line in text.splitlines() if line.startswith("| ") and not line.startswith(("| model |", "| entry |"))
    ]
    rows = [line.strip("| ").split(" | ") for line in lines]
    return [
        (row[0], [float(number) for number in re.findall(r"(?<![\w-])\d+(?:\.\d+)?(?![\w-])", " ".join(row[1:]))])
        for row in rows
    ]


def test_the_cards_figures_are_measured_again() -> None:
    card = (measurements.FOLDER / "MODEL_CARD.md").read_text()
    written = figures(card.split(BEGIN)[1].split(END)[0])
    found = figures(report(scenes.SHARED))
    assert len(written) == 4 + 8 + 12
    assert [name for name, _ in written] == [name for name, _ in found]
    for (name, old), (_, new) in zip(written, found, strict=True):
        # Another processor's last bits may tip chips, and each of the six water chips is 0.028 of a balanced figure; a
        # loss tips nowhere.
        np.testing.assert_allclose(new, old, rtol=0, atol=0.0021 if name.startswith("`") else 0.057, err_msg=name)


def test_what_the_card_concludes_follows_from_its_tables() -> None:
    tables = figures((measurements.FOLDER / "MODEL_CARD.md").read_text().split(BEGIN)[1].split(END)[0])
    place, cover = dict(tables[:4]), dict(tables[4:12])
    assert place["**starter, RGB**"][0] > place["thumbnail (RGB)"][0] > place["spectrum (RGB)"][0]
    assert place["**starter, RGB**"] >= place["starter, RGB, stretched by scene"]
    both = "**starter, RGB and SWIR/NIR/red**"
    assert cover["spectrum (5 bands)"][1] > cover[both][1] > cover["thumbnail (5 bands)"][1]
    assert cover[both] >= cover["starter, RGB and SWIR/NIR/red, stretched by scene"]


def test_scl_majorities_are_those_of_the_scenes_own_label_file() -> None:
    classes = measurements.classes_of(scenes.SHARED)
    with (scenes.SHARED / "s2_29UNU_ireland_2022_60m" / "chip_labels_scl_32px.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) > 1000
    for row in rows:
        label, share = measurements.majority(classes, int(row["row_off"]), int(row["col_off"]), int(row["size"]))
        assert NAMES[label] == row["label"]
        assert share == pytest.approx(float(row["fraction"]), abs=6e-4)  # three decimals


def test_the_irish_offset_is_taken_off_after_nodata() -> None:
    with rasterio.open(scenes.SHARED / "s2_29UNU_ireland_2022_60m" / "B02.tif") as source:
        raw = source.read(1).astype(int)
    (found,) = scenes.read("ireland", ("blue",))
    assert (found[raw == 0] == 0).all()
    assert (found[(raw > 0) & (raw <= 1001)] == 1).all()
    assert (found[raw > 1001] == raw[raw > 1001] - 1000).all()


def test_coarser_bands_are_brought_to_the_first_bands_grid() -> None:
    red, swir = scenes.read("sahara", ("red", "swir16"))
    with rasterio.open(scenes.SHARED / "s2_29RKH_sahara_2020" / "B11.tif") as source:
        coarse = source.read(1)
    assert red.shape == swir.shape == (1098, 1098)
    assert (swir[1::2, ::2] == coarse).all()
