"""tiers: how small the compact tiers are, and how many neighbours they still find.

    python benchmarks/tiers.py [ROOT ...]

Each ROOT is a folder of embeddings; without any, the bundled scene and, where they are at hand, the scenes of
`../shared/data` are embedded first. Of every model with at least 512 vectors the codebook is made from half of them,
drawn at random (seed 1), as a codebook never knows the vectors to come; then up to 1,000 vectors, as float32, ask for
their ten nearest by cosine after centring, among all float32 vectors and among those that a tier stands for. Recall is
the share of the exact ten that are found. Of bits, the candidates are those with the fewest bits apart, and float32
decides among them. Sizes are those of the vectors' column in the file, against 4 bytes a number; at 1,024 dimensions
the vectors are synthetic (those of `benchmarks/collect.py`), because no such model is bundled.
"""

import argparse
import json
import sys
import tempfile
from collections import defaultdict
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import rasterio
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.collect import vectors

from clayline.dataset.codebook import Codebook
from clayline.dataset.manifest import TierName
from clayline.table.tiers import COLUMN, read_small, write_tier
from clayline_cli.program import main as clayline

SHARED = Path(__file__).parents[2] / "shared" / "data"
SAMPLE = Path(__file__).parents[1] / "samples" / "landsat8_itaipu_2020"
SCENES = (
    "s2_29RKH_sahara_2020",
    "s2_29UNU_ireland_2022_60m",
    "s2_aquileia_2019",
    "landsat8_colombia_2019",
    "naip_north_dakota",
)
SYNTHETIC = "synthetic-v1.0-1024"
"""Random numbers about one mean: none is like another, so neighbours mean nothing, and recall on them is no target."""
LEAST, TEN, ROWS = 512, 10, 20_000
SHARES = (0.01, 0.02, 0.05)
"""Of the rows, candidates by bits."""
TARGET_SIZE, TARGET_RECALL, TARGET_BITS = 0.27, 0.985, 128


def main() -> None:
    """Print a line of JSON a model; exit status 1 if a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("roots", type=Path, nargs="*", metavar="ROOT")
    roots = parser.parse_args().roots
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        lines = [measure(*found, place) for found in embedded(roots or [_embed(place / "out")])]
        lines.append(measure(SYNTHETIC, "none", np.concatenate(_synthetic()), place))
    for line in lines:
        print(json.dumps(line))
    missed = [
        line["model"]
        for line in lines
        if line["int8_of_raw"] > TARGET_SIZE
        or (line["model"] != SYNTHETIC and line["int8_recall_10"] < TARGET_RECALL)
        or (line["model"] == SYNTHETIC and line["bits_bytes"] > TARGET_BITS)
    ]
    sys.exit(f"missed by {', '.join(missed)}" if missed else 0)


def embedded(roots: list[Path]) -> list[tuple[str, str, NDArray[np.float32]]]:
    """Give token, digest and [N, D] vectors of every model of which there are enough."""
    found: dict[tuple[str, str], list[NDArray[np.float32]]] = defaultdict(list)
    for path in sorted(path for root in roots for path in root.glob("*-v*/*/*.parquet")):
        model = json.loads((pq.read_metadata(path).metadata or {})[b"clayline"])["model"]
        column: Any = pq.read_table(path, columns=["embeddings"]).column(0).combine_chunks()
        found[model["token"], model["digest"]].append(column.flatten().to_numpy().reshape(len(column), -1))
    joined = {model: np.concatenate(parts) for model, parts in found.items()}
    return [(*model, rows) for model, rows in joined.items() if len(rows) >= LEAST]


def measure(token: str, digest: str, rows: NDArray[np.float32], place: Path) -> dict[str, Any]:
    """Give a model's sizes and recalls."""
    half = np.random.default_rng(1).permutation(len(rows))[: len(rows) // 2]
    book = Codebook.of(rows[half], token=token, digest=digest)
    asked = rows[np.random.default_rng(2).permutation(len(rows))[:1000]]
    exact = _nearest(rows, asked, book)
    steps = book.int8(rows)
    beyond = float(np.mean(np.abs((rows - book.centre) / book.scale) > 127.5))
    near = _nearest(book.floats(steps), asked, book)
    by_bits = _by_bits(rows, asked, book)
    sizes = {tier: _stored(rows, book, tier, place) for tier in ("int8", "bits")}
    return {
        "model": token,
        "vectors": len(rows),
        "dimensions": book.dimensions,
        "int8_of_raw": round(sizes["int8"] / rows.nbytes, 4),
        "int8_recall_10": round(_recall(exact, near), 4),
        "int8_beyond_the_steps": beyond,
        "bits_bytes": round(book.bits(rows[:1]).nbytes, 1),
        "bits_of_raw": round(sizes["bits"] / rows.nbytes, 4),
        "bits_recall_10": {
            f"{share:.0%}": round(_recall(exact, by_bits[:, : max(TEN + 1, int(share * len(rows)))]), 4)
            for share in SHARES
        },
    }


def _nearest(rows: NDArray[np.float32], asked: NDArray[np.float32], book: Codebook) -> NDArray[np.int64]:
    """Give [Q, 11] the nearest by cosine after centring: the one that asks is among them."""

    def unit(found: NDArray[np.float32]) -> NDArray[np.float32]:
        away: NDArray[np.float32] = found - book.centre
        length = np.linalg.norm(away, axis=1, keepdims=True)
        return (away / np.maximum(length, 1e-12)).astype(np.float32)

    return np.argsort(-(unit(asked) @ unit(rows).T), axis=1, kind="stable")[:, : TEN + 1]


def _by_bits(rows: NDArray[np.float32], asked: NDArray[np.float32], book: Codebook) -> NDArray[np.int64]:
    known = book.bits(rows)
    apart = np.stack([np.bitwise_count(known ^ one).sum(axis=1, dtype=np.int64) for one in book.bits(asked)])
    return np.argsort(apart, axis=1, kind="stable")


def _recall(exact: NDArray[np.int64], found: NDArray[np.int64]) -> float:
    """Of the eleven: the one that asks is in either, which would flatter; it is left out of both."""
    hits = [len(set(wanted[1:]) & set(got)) / TEN for wanted, got in zip(exact.tolist(), found.tolist(), strict=True)]
    return float(np.mean(hits))


def _stored(rows: NDArray[np.float32], book: Codebook, tier: TierName, place: Path) -> int:
    """Give the bytes of the vectors' column in a tier's file, and check that it holds them."""
    source, target = place / "source.parquet", place / f"{tier}.parquet"
    table = pa.table(
        {
            "uci": [f"{at:08d}" for at in range(len(rows))],
            "source_model": [book.token] * len(rows),
            "embeddings": pa.FixedSizeListArray.from_arrays(pa.array(rows.ravel()), book.dimensions),
        }
    )
    pq.write_table(table, source, row_group_size=1024)
    write_tier(source, target, codebook=book, tier=tier, link="codebook.json")
    found = read_small(pq.read_table(target, columns=[COLUMN[tier]]), tier)
    assert np.array_equal(found, book.int8(rows) if tier == "int8" else book.bits(rows))
    metadata = pq.read_metadata(target)
    at = metadata.row_group(0).num_columns - 1
    return sum(metadata.row_group(group).column(at).total_compressed_size for group in range(metadata.num_row_groups))


def _synthetic() -> list[NDArray[np.float32]]:
    return [vectors(start, 1000) for start in range(0, ROWS, 1000)]


def stacked(folder: Path) -> Path:
    """Write row 077 of Itaipu, three files under one bare name each, as one file that says its bands; give its path."""
    name = "LC08_L1TP_224077_20200518_20200518_01_RT"
    target = folder / f"{name}.tif"
    bands = ("B4", "B3", "B2")
    pixels = []
    for band in bands:
        with rasterio.open(SHARED / "landsat8_itaipu_2020" / f"{name}_{band}.TIF", driver="GTiff") as source:
            profile = source.profile
            pixels.append(source.read(1))
    with rasterio.open(target, "w", **{**profile, "count": len(bands)}) as made:
        made.write(np.stack(pixels))
        made.descriptions = bands
    return target


def _embed(out: Path, *more: Path) -> Path:
    """Embed what is at hand, and ``more``."""
    scenes = [str(SAMPLE), *(str(SHARED / name) for name in SCENES if (SHARED / name).is_dir()), *map(str, more)]
    options = ["--any-gsd", "--any-pixel-shape", "--no-picture", "--quiet", "--out", str(out)]
    print("embedding", len(scenes), "folders", file=sys.stderr)
    with redirect_stdout(sys.stderr):
        clayline(["embed", *scenes, *options])
    return out


if __name__ == "__main__":
    main()
