"""recall: how many of the ten nearest the bits of real vectors find, by how many vectors there are.

    python benchmarks/recall.py [--steps PX ...]

Chips of 64 px are cut from the scenes of `../shared/data` at steps of 64, 32, 16 and 8 px: the same imagery, and four
times as many chips from one line to the next. Those at less than 64 px share ground with their neighbours, which are
then among the nearest. The bundled starter embeds what is valid to 0.9. 300 chips ask for the ten nearest, themselves
left out; candidates are 1 % of the rows, at least eleven, chosen by bits as `clayline search` does.

Recall is the share of ten found that are as much alike as the exact tenth: of 5,000 chips of the same even water any
ten will do. Nothing in it is a time. A line of JSON a model and a step; exit status 1 if the target is missed where a
model has the most vectors.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parents[1] / "model"))

from clayline.dataset.codebook import Codebook
from clayline.likeness.centring import Centre
from clayline.likeness.probe import Probe
from clayline.likeness.scanning import Held, HeldBits
from clayline.likeness.signs import Signs
from clayline.likeness.taking_part import VALID_LEAST
from starter import inference, scenes

STARTER = Path(__file__).parents[1] / "model" / "starter" / "starter-v1.0"
MODELS = {"l1-rgb": ("itaipu-077", "itaipu-078"), "s2-rgb": ("sahara", "ireland", "aquileia")}
RGB = ("red", "green", "blue")
SIZE, TEN, ASKED = 64, 10, 300
STEPS = (64, 32, 16, 8)
SHARE, LEAST_OF_SEARCH = 0.01, 1000
"""Of the rows, and what `clayline search` takes at least."""
LEAST_RECALL = 0.99
SAME = 1e-12
"""Likeness, as float64, of the same vector adds up otherwise beside other rows."""
AT_ONCE = 2048
TOKEN, DIGEST = "starter-v1.0-real", "sha256:" + "0" * 64


def main() -> None:
    """Print a line of JSON a model and a step; exit status 1 if the target is missed where there are the most."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, nargs="+", default=STEPS)
    steps: list[int] = parser.parse_args().steps
    missed = []
    for entry, names in MODELS.items():
        for step in steps:
            rows = np.concatenate(list(embedded(entry, names, step)))
            found = recall_of(rows)
            print(json.dumps({"model": f"starter-v1.0-{entry}", "step_px": step, **found}), flush=True)
        if found["recall_10"]["1 %"] < LEAST_RECALL:
            missed.append(entry)
    sys.exit(f"missed by {', '.join(missed)}" if missed else 0)


def embedded(entry: str, names: tuple[str, ...], step: int) -> Iterator[NDArray[np.float32]]:
    """Give [n, 112] vectors of the scenes' chips that are valid enough, a part at a time."""
    opened = inference.session(STARTER / f"starter-v1.0-{entry}.onnx", threads=2)
    for name in names:
        bands = scenes.read(name, RGB)
        windows = list(scenes.windows(bands.shape[1], bands.shape[2], SIZE, step))
        for first in range(0, len(windows), AT_ONCE):
            part = windows[first : first + AT_ONCE]
            chips = np.stack([bands[:, top : top + SIZE, left : left + SIZE] for top, left in part])
            whole = chips[(chips != 0).all(axis=1).mean(axis=(1, 2)) >= VALID_LEAST]
            if len(whole):
                yield inference.embed(opened, whole)


def recall_of(rows: NDArray[np.float32]) -> dict[str, Any]:
    """Give recall on vectors [N, D]; the codebook is made from all of them, as a dataset's first one is."""
    book = Codebook.of(rows, token=TOKEN, digest=DIGEST)
    held, bits = Held.of(rows, Centre.of_codebook(book)), HeldBits.of([book.bits(rows)], len(rows))
    recalls: dict[str, list[float]] = {}
    for row in np.random.default_rng(2).permutation(len(rows))[:ASKED]:
        probe = Probe.of_examples(rows[row : row + 1], token=TOKEN, digest=DIGEST, centre=held.centre)
        exact, likeness = held.best(probe, TEN + 1)
        least_alike = likeness[exact != row][TEN - 1] - SAME
        for name, fewest in (("1 %", TEN + 1), ("as search does", LEAST_OF_SEARCH)):
            count = max(fewest, int(SHARE * len(rows)))
            candidates = bits.candidates(Signs.of(probe, book), count, weighed=True)
            found, likeness = held.best_of(probe, candidates, TEN + 1)
            as_alike = int((likeness[found != row] >= least_alike).sum())
            recalls.setdefault(name, []).append(min(as_alike, TEN) / TEN)
    return {"rows": len(rows), "recall_10": {name: round(float(np.mean(hits)), 4) for name, hits in recalls.items()}}


if __name__ == "__main__":
    main()
