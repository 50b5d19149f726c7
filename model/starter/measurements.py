"""What the starter's card says, measured on the shared scenes: places found again, cover agreed on, losses."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import rasterio

from starter import decoder, inference, neighbours, scenes
from starter.entries import ENTRIES, Entry

if TYPE_CHECKING:
    import numpy.typing as npt

FOLDER = Path(__file__).resolve().parent / "starter-v1.0"
SCL_FILE = "s2_29UNU_ireland_2022_60m/SCL_60m.tif"
SHARE = 0.5
MEASURED = {
    "s2": ("aquileia", "sahara", "ireland"),
    "l1": ("itaipu-077", "itaipu-078"),
    "l2": ("colombia",),
    "naip": ("naip-2015", "naip-2020"),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One line of the table of neighbours."""

    model: str
    """What was compared."""
    figures: tuple[float, ...]
    """In the order of the table's columns."""


def entry(short: str) -> Entry:
    """The entry whose token ends in `short`."""
    return next(found for found in ENTRIES if found.token.endswith(f"-{short}"))


def embed(short: str, chips: npt.NDArray[np.uint16 | np.uint8], output: str = "embeddings") -> npt.NDArray[np.float32]:
    """Run chips through a committed graph."""
    return inference.embed(inference.session(FOLDER / f"{entry(short).token}.onnx", threads=2), chips, output)


def by_scene(chips: npt.NDArray[np.uint16 | np.uint8], taken: Entry) -> npt.NDArray[np.uint16 | np.uint8]:
    """Move chips so that the graph's fixed stretch shows the 2nd to 98th percentile of these chips' own valid pixels.

    That is the stretch by scene of the trials that chose this network.
    """
    moved = chips.copy()
    for index, band in enumerate(taken.bands):
        low, high = taken.stretch[band]
        values = chips[:, index]
        valid = values[values > 0]
        dark, bright = np.percentile(valid, [2, 98])
        level = np.clip((values.astype(np.float64) - dark) / (bright - dark), 0, 1)
        moved[:, index] = np.where(values > 0, np.rint(low + level * (high - low)), 0)
    return moved


def places(shared: Path) -> tuple[int, list[Row]]:
    """NAIP 2015 against 2020: recall at 1 and 5, centred by date, then centred over both dates."""
    taken = entry("naip-rgb")
    one, other = (scenes.chips(name, taken.bands, shared=shared)[0] for name in ("naip-2015", "naip-2020"))
    candidates: dict[str, list[npt.NDArray[np.floating]]] = {
        "spectrum (RGB)": [neighbours.spectrum(chips) for chips in (one, other)],
        "thumbnail (RGB)": [neighbours.thumbnail(chips) for chips in (one, other)],
        "**starter, RGB**": [embed("naip-rgb", chips) for chips in (one, other)],
        "starter, RGB, stretched by scene": [embed("naip-rgb", by_scene(chips, taken)) for chips in (one, other)],
    }
    rows = []
    for model, (first, second) in candidates.items():
        apart = neighbours.normalised(first), neighbours.normalised(second)
        both = neighbours.normalised(np.concatenate([first, second]))
        together = both[: len(first)], both[len(first) :]
        rows.append(
            Row(
                model=model,
                figures=tuple(neighbours.recall(*pair, depth) for pair in (apart, together) for depth in (1, 5)),
            )
        )
    return len(one), rows


def majority(classes: npt.NDArray[np.uint8], row: int, column: int, size: int) -> tuple[int, float]:
    """Most frequent SCL class of a window but 0 (nodata), and its share of the window's pixels."""
    counts = np.bincount(classes[row : row + size, column : column + size].ravel(), minlength=12)
    counts[0] = 0
    label = int(counts.argmax())
    return label, float(counts[label] / size**2)


def classes_of(shared: Path) -> npt.NDArray[np.uint8]:
    """The Irish scene's SCL, [1830, 1830]."""
    with rasterio.open(shared / SCL_FILE, driver="GTiff") as source:
        read: npt.NDArray[np.uint8] = source.read(1)
    return read


def cover(shared: Path) -> tuple[dict[int, int], list[Row]]:
    """The Irish scene: 5-NN agreement with SCL, plain and balanced, over all other chips, then without the eight that
    touch.
    """
    taken = entry("s2-rgbns")
    chips, offsets = scenes.chips("ireland", taken.bands, shared=shared)
    scl = classes_of(shared)
    found = [majority(scl, row, column, taken.chip_size) for row, column in offsets.tolist()]
    kept = np.array([share >= SHARE for _, share in found])
    chips, offsets, labels = chips[kept], offsets[kept], np.array([label for label, _ in found], dtype=np.int64)[kept]
    rgb = chips[:, :3]
    candidates: dict[str, npt.NDArray[np.floating]] = {
        "spectrum (RGB)": neighbours.spectrum(rgb),
        "spectrum (5 bands)": neighbours.spectrum(chips),
        "thumbnail (RGB)": neighbours.thumbnail(rgb),
        "thumbnail (5 bands)": neighbours.thumbnail(chips),
        "**starter, RGB**": embed("s2-rgb", rgb),
        "**starter, RGB and SWIR/NIR/red**": embed("s2-rgbns", chips),
        "starter, RGB and SWIR/NIR/red, stretched by scene": embed("s2-rgbns", by_scene(chips, taken)),
    }
    oneself = np.eye(len(labels), dtype=bool)
    touching = (np.abs(offsets[:, None] - offsets[None]).max(axis=2) <= taken.chip_size).astype(bool)
    constant = np.full_like(labels, np.bincount(labels).argmax())
    rows = [Row(model="always the most frequent class", figures=neighbours.agreement(constant, labels) * 2)]
    for model, vectors in candidates.items():
        unit = neighbours.normalised(vectors)
        votes = [neighbours.vote(unit, labels, barred) for barred in (oneself, touching)]
        rows.append(
            Row(
                model=model,
                figures=tuple(figure for guesses in votes for figure in neighbours.agreement(guesses, labels)),
            )
        )
    present = {int(label): int((labels == label).sum()) for label in np.unique(labels)}
    return present, rows


@cache
def _decoding(token: str, name: str, shared: Path) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float64]]:
    """Embeddings and thumbnails of a scene's half-overlapping chips through one graph (several entries are measured on
    the same scene).
    """
    taken = next(found for found in ENTRIES if found.token == token)
    chips = scenes.chips(name, taken.bands, stride=32, shared=shared)[0]
    graph = inference.session(FOLDER / f"{token}.onnx", threads=2)
    return inference.embed(graph, chips), inference.targets(chips, taken.bands, taken.stretch)


def losses(shared: Path) -> list[tuple[str, str, int, tuple[float, ...]]]:
    """Entry, scene, number of chips and six figures, for each entry with a loss on each scene.

    The graph's median, 5th and 95th percentile; then, over the scene's half-overlapping chips, the mean loss of a
    decoder fitted on the entry's other scenes, of their mean thumbnail, and of the chip's own band means.
    """
    lines = []
    for short in ("s2-rgbns", "s2-rgb", "l1-rgb", "l2-rgbns", "l2-rgb", "naip-rgb"):
        names = MEASURED[short.split("-", maxsplit=1)[0]]
        data: dict[str, tuple[npt.NDArray[np.float32], npt.NDArray[np.float64]]] = {}
        for name in {*names, *entry(short).fit}:
            sensor = scenes.SCENES[name].sensor
            source = next(other for other in ENTRIES if other.bands == entry(short).bands and other.sensor == sensor)
            data[name] = _decoding(source.token, name, shared)
        for name in names:
            others = [other for other in entry(short).fit if other != name]
            targets = np.concatenate([data[other][1] for other in others])
            fitted = decoder.fit(np.concatenate([data[other][0] for other in others]), targets)
            truth = data[name][1]
            planes = truth.reshape(len(truth), -1, 64)
            chips = scenes.chips(name, entry(short).bands, shared=shared)[0]
            shipped = embed(short, chips, "loss")
            figures = (
                *np.percentile(shipped, [50, 5, 95]).tolist(),
                float(decoder.losses(fitted, data[name][0], truth).mean()),
                float(np.abs(truth - targets.mean(axis=0)).mean()),
                float(np.abs(planes - planes.mean(axis=2, keepdims=True)).mean()),
            )
            lines.append((short, name, len(chips), figures))
    return lines
