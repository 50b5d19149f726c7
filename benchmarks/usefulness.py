"""usefulness: does a vector find its place again? The starter and Clay's vectors against plain descriptors.

    python benchmarks/usefulness.py [--only naip|itaipu] [--no-clay]

Pairs of chips of the same ground, from the scenes of `../shared/data`:

* `naip`: North Dakota, 2015 and 2020, 64 px at 5 m. Each chip asks among all of the other year's, both ways.
* `itaipu-0`, `itaipu-16`: rows 077 and 078 of one pass over Itaipu, 30 m. In their overlap the pixels are nearly the
  same, so `itaipu-0` only shows what a pipeline must not lose; in `itaipu-16` the second row's chips lie 16 px further
  down and to the right, as on another grid, and share 56 % of their ground with their partner, 19 % or 6 % with its
  three neighbours there.

Chips of which less than 0.9 is valid take no part (`VALID_LEAST` of search). Recall@k is the share of chips whose
partner is among the k most similar, both ways; a tie counts against it. Each descriptor is compared `raw` (cosine),
`centred` as `clayline search` does it (the mean of the model's card, where it has one; else of both dates' chips), and
`whitened`: centred, then each number divided by its deviation, of the card or of the chips likewise.

Clay's weights are random numbers here (`tiny`, seed 0): trained ones were not at hand. What such a network keeps of a
chip is what any projection keeps; it says how the pooling acts, and nothing of Clay.

A line of JSON a comparison.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import rasterio
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parents[1] / "model"))

from clay.accuracy import Runner
from clay.chips import Chips
from clay.entry import Request
from clay.export import export
from clay.sensor import find_sensor
from clay.weights import seeded_source
from clayline.likeness.taking_part import VALID_LEAST
from clayline.model.manifest import read_manifest
from clayline.model.statistics import VectorStatistics, read_statistics
from clayline.model.vector import PARTS
from starter import inference, neighbours, scenes

STARTER = Path(__file__).parents[1] / "model" / "starter" / "starter-v1.0"
RGB = ("red", "green", "blue")
SIZE = 64
POINT_MAP = 4
"""Side of the starter's feature map for chips of 64 px."""
SHIFT = 16
Floats = NDArray[np.floating]


@dataclass(frozen=True, kw_only=True)
class Pairs:
    """Chips [N, 3, 64, 64] of one ground in two scenes, row by row."""

    name: str
    entry: str
    """The starter's."""
    sensor: str
    one: NDArray[Any]
    other: NDArray[Any]


def naip() -> Pairs:
    """Cut both years' chips."""
    both = [scenes.chips(name, RGB)[0] for name in ("naip-2015", "naip-2020")]
    whole = np.logical_and(*(valid_fraction(chips) >= VALID_LEAST for chips in both))
    return Pairs(name="naip", entry="naip-rgb", sensor="naip", one=both[0][whole], other=both[1][whole])


def itaipu(shift: int) -> Pairs:
    """Cut the overlap of both rows, the second's chips ``shift`` px further down and to the right."""
    rows = {name: scenes.read(name, RGB) for name in ("itaipu-077", "itaipu-078")}
    places = {name: corner(name) for name in rows}
    (upper, left), (lower, right) = places["itaipu-077"], places["itaipu-078"]
    one, other = [], []
    height, width = rows["itaipu-077"].shape[1:]
    for top, start in scenes.windows(height, width, SIZE, SIZE):
        down, across = top + upper - lower + shift, start + left - right + shift
        if min(down, across) < 0:
            continue
        pair = (
            rows["itaipu-077"][:, top : top + SIZE, start : start + SIZE],
            rows["itaipu-078"][:, down : down + SIZE, across : across + SIZE],
        )
        if pair[1].shape == pair[0].shape and min(valid_fraction(np.stack(pair))) >= VALID_LEAST:
            one.append(pair[0])
            other.append(pair[1])
    return Pairs(
        name=f"itaipu-{shift}", entry="l1-rgb", sensor="landsat-c2l1", one=np.stack(one), other=np.stack(other)
    )


def corner(name: str) -> tuple[int, int]:
    """Row and column, in pixels, of a scene's upper left corner on the grid that both rows share."""
    with rasterio.open(scenes.SHARED / scenes.SCENES[name].bands["red"][0], driver="GTiff") as source:
        return round(-source.transform.f / source.res[1]), round(source.transform.c / source.res[0])


def valid_fraction(chips: NDArray[Any]) -> Floats:
    """[N]: of the pixels of [N, C, H, W] chips, those that are 0 in no band."""
    found: Floats = (chips != 0).all(axis=1).mean(axis=(1, 2))
    return found


def starter_maps(entry: str, chips: NDArray[Any]) -> Floats:
    """Give the starter's feature maps [N, 112, 4, 4], of which its embedding is the average."""
    model = onnx.load(STARTER / f"starter-v1.0-{entry}.onnx")
    (pool,) = (node for node in model.graph.node if node.op_type == "GlobalAveragePool")
    model.graph.output.append(onnx.helper.make_tensor_value_info(pool.input[0], onnx.TensorProto.FLOAT, None))
    opened = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return inference.embed(opened, chips, pool.input[0])


def pooled(maps: Floats, side: int) -> Floats:
    """Average [N, D, 4, 4] in ``side`` x ``side`` cells: [N, side * side * D], rows from the top."""
    step = POINT_MAP // side
    cells = maps.reshape(len(maps), -1, side, step, side, step).mean(axis=(3, 5))
    return cells.transpose(0, 2, 3, 1).reshape(len(maps), -1)


def clay_vectors(pairs: Pairs, folder: Path) -> Iterator[tuple[str, list[Floats]]]:
    """Give each of Clay's vectors, with random weights, of both scenes' chips."""
    source = seeded_source("tiny", 0, loss=False)
    request = Request(sensor=find_sensor(pairs.sensor), bands=RGB, chip_size=SIZE)
    nowhere = np.zeros((len(pairs.one), 4), np.float32)
    for vector in PARTS:
        made = export(source, [request], folder, vector=vector).folder
        (entry,) = read_manifest((made / "manifest.json").read_bytes(), source=made.name).entries
        runner = Runner(paths=(made,), progress=lambda _: None)
        answers = [
            runner.run(
                entry.model_dump(), Chips(pixels=chips, time=nowhere, latlon=nowhere), what="benchmark", together=16
            )
            for chips in (pairs.one, pairs.other)
        ]
        yield f"clay-untrained-tiny-{vector}", [answer.embeddings for answer in answers]


def descriptors(pairs: Pairs, folder: Path | None) -> Iterator[tuple[str, list[Floats], VectorStatistics | None]]:
    """Give what is compared, by name, for both scenes' chips, and what the model's card states of it."""
    both = (pairs.one, pairs.other)
    yield "spectrum", [neighbours.spectrum(chips) for chips in both], None
    yield "thumbnail", [neighbours.thumbnail(chips) for chips in both], None
    maps = [starter_maps(pairs.entry, chips) for chips in both]
    yield "starter", [pooled(each, 1) for each in maps], card(f"starter-v1.0-{pairs.entry}")
    yield "starter, 2 x 2", [pooled(each, 2) for each in maps], None
    yield "starter, 4 x 4", [pooled(each, 4) for each in maps], None
    if folder is not None:
        for name, vectors in clay_vectors(pairs, folder):
            yield name, vectors, None


def card(token: str) -> VectorStatistics | None:
    """Give what the starter's folder states of an entry's vectors."""
    manifest = read_manifest((STARTER / "manifest.json").read_bytes(), source="starter")
    stated = read_statistics((STARTER / "statistics.json").read_bytes(), source="starter")
    return stated.of(token, manifest.entry(token).digest)


def compare(vectors: Sequence[Floats], stated: VectorStatistics | None) -> dict[str, list[float]]:
    """Give recall@1 and @5 raw, centred and whitened."""
    one, other = (each.astype(np.float64) for each in vectors)
    together = np.concatenate([one, other])
    mean, deviation = (
        (together.mean(axis=0), together.std(axis=0))
        if stated is None
        else (np.array(stated.mean), np.array(stated.deviation))
    )
    ways = {
        "raw": (np.zeros_like(mean), np.ones_like(mean)),
        "centred": (mean, np.ones_like(mean)),
        "whitened": (mean, np.where(deviation > 0, deviation, 1)),
    }
    return {
        way: [
            round(neighbours.recall(unit((one - centre) / scale), unit((other - centre) / scale), depth), 3)
            for depth in (1, 5)
        ]
        for way, (centre, scale) in ways.items()
    }


def unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scale rows to length 1; one of zeros stays."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(lengths > 0, lengths, 1)


def main() -> None:
    """Print a line a comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=("naip", "itaipu"))
    parser.add_argument("--no-clay", action="store_true", help="leave the random Clay out")
    options = parser.parse_args()
    sets = [naip()] if options.only != "itaipu" else []
    if options.only != "naip":
        sets += [itaipu(0), itaipu(SHIFT)]
    for pairs in sets:
        with tempfile.TemporaryDirectory() as temporary:
            for name, vectors, stated in descriptors(pairs, None if options.no_clay else Path(temporary)):
                line = {"pairs": pairs.name, "chips": len(pairs.one), "vector": name, "numbers": vectors[0].shape[1]}
                centre = "card" if stated else "chips"
                print(json.dumps({**line, "centre": centre, **compare(vectors, stated)}), flush=True)


if __name__ == "__main__":
    main()
