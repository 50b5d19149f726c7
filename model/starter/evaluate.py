"""Measure the starter on the shared scenes and print the tables of its card, whatever they say.

    .venv/bin/python model/starter/evaluate.py [--write-card]

Needs ONNX Runtime and rasterio, no torch. The figures come from the committed graphs, except for the held-out losses,
whose decoders are fitted again without the scene they are measured on.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(
    0, str(Path(__file__).resolve().parents[1])
)  # run as a script: the package `starter` lies one folder up

from starter import scenes
from starter.measurements import FOLDER, Row, cover, losses, places

BEGIN, END = "<!-- evaluation: begin (written by evaluate.py) -->", "<!-- evaluation: end -->"
PLACE_HEAD = ("model", "R@1 / R@5, each date centred on its own mean", "both dates on one mean")
COVER_HEAD = ("model", "5-NN agreement, plain / balanced", "without the 8 touching chips")
LOSS_HEAD = (
    "entry",
    "scene",
    "chips",
    "median",
    "5 %",
    "95 %",
    "held out",
    "held out, always the mean thumbnail",
    "the chip's own band means",
)


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> list[str]:
    return [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}", *(f"| {' | '.join(row)} |" for row in rows)]


def _pairs(row: Row) -> tuple[str, ...]:
    values = [f"{figure:.2f}" for figure in row.figures]
    return (row.model, *(f"{one} / {two}" for one, two in zip(values[::2], values[1::2], strict=True)))


def report(shared: Path) -> str:
    """All tables as Markdown."""
    count, place_rows = places(shared)
    present, cover_rows = cover(shared)
    loss_rows = [
        (f"`{short}`", name, str(chips), *(f"{value:.3f}" for value in figures))
        for short, name, chips, figures in losses(shared)
    ]
    classes = ", ".join(f"SCL {label}: {number}" for label, number in present.items())
    return "\n".join(
        [
            (
                f"**The same place at another date** (NAIP, North Dakota, 2015 and 2020, 5 m; {count} places, chance at"
                f" 1 is {1 / count:.3f}):"
            ),
            "",
            *_table(PLACE_HEAD, [_pairs(row) for row in place_rows]),
            "",
            (
                f"**Land and cloud cover** (Sentinel-2, Ireland, 60 m; {sum(present.values())} chips, each half or more"
                f" one class: {classes}):"
            ),
            "",
            *_table(COVER_HEAD, [_pairs(row) for row in cover_rows]),
            "",
            (
                "**Loss** (chips of 64 px; held out: means over half-overlapping chips of a scene that the decoder did"
                " not see):"
            ),
            "",
            *_table(LOSS_HEAD, loss_rows),
        ]
    )


def main() -> int:
    """Print the report; with --write-card, put it between the card's marks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write-card", action="store_true", help="replace the tables in the folder's MODEL_CARD.md")
    options = parser.parse_args()
    text = report(scenes.SHARED)
    print(text)
    if options.write_card:
        card = FOLDER / "MODEL_CARD.md"
        before, rest = card.read_text().split(BEGIN)
        after = rest.split(END)[1]
        card.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
