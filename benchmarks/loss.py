"""loss: what a chip's loss goes with, over every shared scene that has one.

    python benchmarks/loss.py [ROOT ...] [--no-clay]

Each ROOT is a folder of embeddings; without any, the bundled scene and those of `../shared/data` are embedded first,
row 077 of Itaipu from its three files stacked. The loss, and the fractions that are valid and cloudy, are the files'
own columns; texture and evenness are measured on the pixels of the finest band's file (`source_url`), which a chip's
`index` finds:

* `texture`: mean absolute difference of neighbouring valid pixels;
* `uneven`: mean absolute difference of the 8 x 8 block means from their mean, over whole blocks;
* `bright`: mean of the valid pixels.

Spearman's correlations with the loss, of chips of which at least 0.9 is valid (`valid` itself: of all). `cloud_given`
is the partial one: of cloud with the loss, both less what follows linearly from the ranks of `uneven`. `ranks_cloud` is
the chance that a chip at least half cloudy has a higher loss than one under a tenth (0.5: no word on cloud). Outliers
are `clayline.likeness.outliers`'. A scene that nobody's mask says anything of has no cloud.

Clay: 5-band chips of 64 px of three Sentinel-2 scenes through `tiny` with random weights, the masked loss under four
mask seeds, then under one mask with three seeds of weights: how alike chips are ranked. `level` is the correlation with
the chip's own mean of |pixel - mean| / deviation, by Clay's figures: what the loss is for a decoder that says 0.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import rasterio
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[1] / "model"))

from benchmarks.tiers import SHARED, _embed, stacked

from clay.accuracy import Runner
from clay.chips import Chips
from clay.entry import Request
from clay.export import export
from clay.mask import Mask
from clay.sensor import find_sensor
from clay.weights import seeded_source
from clayline.likeness.outliers import standing
from clayline.likeness.taking_part import VALID_LEAST
from clayline.model.manifest import read_manifest
from starter import scenes

BLOCKS = 8
CLOUDY, CLEAR = 0.5, 0.1
LEAST = 10
"""Chips of each kind that a comparison of cloudy and clear ones takes."""
BANDS = ("red", "green", "blue", "nir08", "swir16")
MASKS, WEIGHTS = (0, 1, 2, 3), (0, 1, 2)
Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Measured:
    """N chips of one scene and model."""

    scene: str
    token: str
    columns: dict[str, Floats]
    """By name, [N]: loss, valid, cloud (NaN: unknown), texture, uneven, bright."""


def files(roots: list[Path]) -> Iterator[Measured]:
    """Read every file of embeddings that has a loss."""
    for path in sorted(path for root in roots for path in root.glob("**/*-v*/*/*.parquet")):
        told = json.loads((pq.read_metadata(path).metadata or {})[b"clayline"])
        table = pq.read_table(path, columns=["index", "loss", "valid_fraction", "cloud_fraction", "source_url"])
        if table.column("loss").null_count:
            continue
        index = table.column("index").to_numpy()
        pixels = pixels_of(table.column("source_url")[0].as_py())
        looks = look(pixels, told["grid"], index)
        columns = {
            name: table.column(column).to_numpy().astype(np.float64)
            for name, column in (("loss", "loss"), ("valid", "valid_fraction"), ("cloud", "cloud_fraction"))
        }
        scene = (told["source"]["id"] or told["source"]["source_url"]).rpartition("/")[2]
        yield Measured(scene=scene, token=told["model"]["token"], columns=columns | looks)


def pixels_of(url: str) -> Floats:
    """[H, W]: a file's first bands, three at most, averaged."""
    with rasterio.open(Path.from_uri(url), driver="GTiff") as source:
        bands: Floats = source.read(list(range(1, min(3, source.count) + 1))).astype(np.float64)
    return np.where((bands != 0).all(axis=0), bands.mean(axis=0), 0)


def look(pixels: Floats, grid: dict[str, Any], index: NDArray[np.int64]) -> dict[str, Floats]:
    """Measure the chips with these numbers: texture, unevenness and brightness."""
    size, stride = grid["chip_size"], grid["stride"]
    padded = np.pad(pixels, size)
    found: dict[str, list[float]] = {"texture": [], "uneven": [], "bright": []}
    for number in index.tolist():
        row = grid["start"][0] + number // grid["cols"] * stride + size
        column = grid["start"][1] + number % grid["cols"] * stride + size
        for name, value in describe(padded[row : row + size, column : column + size]).items():
            found[name].append(value)
    return {name: np.array(values) for name, values in found.items()}


def describe(chip: Floats) -> dict[str, float]:
    """Measure one chip [H, W] in which 0 is nodata; NaN where nothing of a kind is valid."""
    valid = chip != 0
    across = np.abs(chip[:, 1:] - chip[:, :-1])[valid[:, 1:] & valid[:, :-1]]
    down = np.abs(chip[1:] - chip[:-1])[valid[1:] & valid[:-1]]
    side = len(chip) // BLOCKS
    blocks = chip.reshape(BLOCKS, side, BLOCKS, side).transpose(0, 2, 1, 3).reshape(BLOCKS * BLOCKS, -1)
    means = blocks[(blocks != 0).all(axis=1)].mean(axis=1)
    return {
        "texture": mean(np.concatenate([across, down])),
        "uneven": mean(np.abs(means - mean(means))),
        "bright": mean(chip[valid]),
    }


def mean(values: Floats) -> float:
    """NaN of nothing."""
    return float(values.mean()) if values.size else float("nan")


def ranks(values: Floats) -> Floats:
    """[N], from 1; equals share the mean of theirs."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    found: Floats = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    return found


def spearman(one: Floats, other: Floats, given: Floats | None = None) -> float | None:
    """Rank correlation of what is known in all; None where that is too little or does not vary.

    With ``given``, the partial one.
    """
    known = np.isfinite(one) & np.isfinite(other) & (True if given is None else np.isfinite(given))
    if known.sum() < LEAST:
        return None
    pair = [ranks(values[known]) for values in (one, other)]
    if given is not None:
        base = ranks(given[known])
        base = base - base.mean()
        pair = [values - values.mean() - base * (values @ base) / (base @ base) for values in pair]
    if min(float(np.ptp(values)) for values in pair) == 0:
        return None
    one, other = (values - values.mean() for values in pair)
    return round(float(one @ other / np.sqrt((one @ one) * (other @ other))), 2)


def ranks_cloud(loss: Floats, cloud: Floats) -> float | None:
    """Chance that a cloudy chip's loss is over a clear one's; None where there are too few of either."""
    cloudy, clear = loss[cloud >= CLOUDY], loss[cloud < CLEAR]
    if min(len(cloudy), len(clear)) < LEAST:
        return None
    over = ranks(np.concatenate([cloudy, clear]))[: len(cloudy)].sum() - len(cloudy) * (len(cloudy) + 1) / 2
    return round(float(over / (len(cloudy) * len(clear))), 2)


def against(measured: Measured) -> dict[str, Any]:
    """Give a scene's line."""
    columns = measured.columns
    whole = columns["valid"] >= VALID_LEAST
    inside = {name: values[whole] for name, values in columns.items()}
    marks = standing(columns["loss"], columns["valid"])
    cloudy = columns["cloud"] >= CLOUDY
    return {
        "scene": measured.scene,
        "token": measured.token,
        "chips": int(whole.sum()),
        "mostly_outside": int((~whole).sum()),
        "texture": spearman(inside["loss"], inside["texture"]),
        "uneven": spearman(inside["loss"], inside["uneven"]),
        "bright": spearman(inside["loss"], inside["bright"]),
        "cloudy": int((inside["cloud"] >= CLOUDY).sum()),
        "clear": int((inside["cloud"] < CLEAR).sum()),
        "cloud": spearman(inside["loss"], inside["cloud"]),
        "cloud_given_uneven": spearman(inside["loss"], inside["cloud"], inside["uneven"]),
        "ranks_cloud": ranks_cloud(inside["loss"], inside["cloud"]),
        "valid": spearman(columns["loss"], columns["valid"]),
        "outliers_high": int(marks.high.sum()),
        "outliers_low": int(marks.low.sum()),
        "of_them_cloudy": int((cloudy & (marks.high | marks.low)).sum())
        if np.isfinite(columns["cloud"]).any()
        else None,
    }


def clay(name: str, folder: Path) -> dict[str, Any]:
    """Give how alike Clay's masked loss, with random weights, ranks a scene's chips from seed to seed."""
    pixels, _ = scenes.chips(name, BANDS)
    pixels = pixels[(pixels != 0).all(axis=1).mean(axis=(1, 2)) >= VALID_LEAST]
    uneven = np.array([describe(chip.mean(axis=0))["uneven"] for chip in pixels.astype(np.float64)])
    bands = find_sensor("sentinel-2-l2a").select(BANDS)
    mean, std = (np.array(each).reshape(1, -1, 1, 1) for each in (bands.mean, bands.std))
    level = np.abs((pixels - mean) / std).mean(axis=(1, 2, 3))
    by_mask = [masked_losses(pixels, folder, weights=0, mask=mask) for mask in MASKS]
    by_weights = [by_mask[0], *(masked_losses(pixels, folder, weights=seed, mask=0) for seed in WEIGHTS[1:])]
    return {
        "scene": name,
        "token": "clay-untrained-tiny, masked-l1-m0.75-k1",
        "chips": len(pixels),
        "between_masks": least(by_mask),
        "between_weights": least(by_weights),
        "mask_spread_of_chips_spread": round(float(np.std(by_mask, axis=0).mean() / np.mean(by_mask, axis=0).std()), 3),
        "level": spearman(by_mask[0], level),
        "uneven": spearman(by_mask[0], uneven),
    }


def masked_losses(pixels: NDArray[Any], folder: Path, *, weights: int, mask: int) -> Floats:
    """[N]: Clay's loss of chips, with weights and a mask drawn from these seeds."""
    request = Request(sensor=find_sensor("sentinel-2-l2a"), bands=BANDS, chip_size=64, mask=Mask(seed=mask))
    made = export(seeded_source("tiny", weights, loss=True), [request], folder).folder
    entry = read_manifest((made / "manifest.json").read_bytes(), source=made.name).entry(request.token(made.name))
    nowhere = np.zeros((len(pixels), 4), np.float32)
    answer = Runner(paths=(made,), progress=lambda _: None).run(
        entry.model_dump(), Chips(pixels=pixels, time=nowhere, latlon=nowhere), what="benchmark", together=16
    )
    assert answer.losses is not None
    return answer.losses


def least(losses: list[Floats]) -> float | None:
    """Give the least rank correlation of two."""
    found = [spearman(one, other) for at, one in enumerate(losses) for other in losses[:at]]
    return None if None in found else min(each for each in found if each is not None)


def main() -> None:
    """Print a line a scene."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("roots", type=Path, nargs="*", metavar="ROOT")
    parser.add_argument("--no-clay", action="store_true", help="leave the random Clay out")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        roots = options.roots or [_embed(place / "out", *([stacked(place)] if SHARED.is_dir() else []))]
        for measured in files(roots):
            print(json.dumps(against(measured)), flush=True)
        if not options.no_clay:
            for name in ("aquileia", "sahara", "ireland"):
                print(json.dumps(clay(name, place)), flush=True)


if __name__ == "__main__":
    main()
