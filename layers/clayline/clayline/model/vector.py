"""What of a transformer's tokens an embedding is made from, in words and in lengths."""

from typing import Final, Literal

Vector = Literal["cls", "mean", "both", "grid4"]
CLS: Final = "cls"
GRID: Final = 4
"""Cells a side of ``grid4``."""
PARTS: Final[dict[Vector, int]] = {"cls": 1, "mean": 1, "both": 2, "grid4": GRID * GRID}
"""How many vectors of the encoder's width lie one after the other in one embedding."""
WORDS: Final[dict[Vector, str]] = {
    "cls": "The class token.",
    "mean": "The mean of the patches' tokens.",
    "both": "The class token, then the mean of the patches' tokens.",
    "grid4": (
        "The means of the patches' tokens in 4 x 4 cells of the chip, one after the other: row by row from its top left"
        " corner, each row from left to right."
    ),
}
"""The layout, for whoever cuts an embedding up; all tokens are those after the last normalisation."""
