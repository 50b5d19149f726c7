"""``clayline verify`` against embedding the same file on the CPU, and its memory for files of two sizes.

The bundled scene is embedded by the starter (`clayline embed`, everything included, its own count of the seconds of
that scene), then verified, fastest of five; as whole commands too. Then synthetic files of 50,000 and 200,000 rows of
256 dimensions, for rows a second and peak memory. Prints a line of JSON a number.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import shapely

ROOT = Path(__file__).parents[1]
SCENE = ROOT / "samples" / "landsat8_itaipu_2020" / "LC08_L1TP_224078_20200518_20200518_01_RT.json"
ROUNDS, DIMENSIONS, SIZES = 5, 256, (50_000, 200_000)
TARGET_RATIO, TARGET_MEMORY = 20.0, 1.3
ONE = """
import sys, time, resource
from clayline_cli.program import main
times = []
for _ in range(int(sys.argv[2])):
    start = time.perf_counter()
    assert main(["verify", sys.argv[1], "--quiet"]) in (0, 1)
    times.append(time.perf_counter() - start)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
print(min(times[1:] or times), times[0], peak, file=sys.stderr)
"""


def say(name: str, value: float, target: str = "") -> None:
    """Print a number."""
    print(json.dumps({"number": f"verify.{name}", "value": round(value, 4), **({"target": target} if target else {})}))


def embedded(folder: Path) -> tuple[Path, float, float]:
    """Embed the bundled scene: where its file lies, its own seconds, those of the command."""
    start = time.perf_counter()
    command = [sys.executable, "-m", "clayline_cli.program", "embed", str(SCENE), "--out", str(folder)]
    told = subprocess.run(
        [*command, "--no-picture", "--json", "--quiet"], check=True, capture_output=True, text=True
    ).stdout
    seen = json.loads(told)
    return Path(seen["files"]["parquet"]), float(seen["seconds"]), time.perf_counter() - start


def verified(path: Path, rounds: int) -> tuple[float, float, float, float]:
    """Verify a file in a process of its own: fastest and first seconds, peak MB, and the command's seconds."""
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", ONE, str(path), str(rounds)], check=True, capture_output=True, text=True
    )
    fastest, first, peak = (float(number) for number in done.stderr.split()[-3:])
    return fastest, first, peak, time.perf_counter() - start


def synthetic(path: Path, rows: int) -> Path:
    """Write a file of others: points, vectors about a mean, row groups of 2,048."""
    schema = pa.schema(
        [("id", pa.string()), ("embedding", pa.list_(pa.float32(), DIMENSIONS)), ("geometry", pa.binary())],
        metadata={
            "geo": json.dumps(
                {
                    "version": "1.1.0",
                    "primary_column": "geometry",
                    "columns": {"geometry": {"encoding": "WKB", "geometry_types": ["Point"]}},
                }
            )
        },
    )
    with pq.ParquetWriter(path, schema, compression="zstd", compression_level=1) as writer:
        for start in range(0, rows, 2_048):
            n = min(2_048, rows - start)
            random = np.random.default_rng([3, start])
            made = random.standard_normal((n, DIMENSIONS), dtype=np.float32) + np.float32(2)
            where = shapely.points(random.uniform(-170, 170, n), random.uniform(-80, 80, n))
            writer.write_table(
                pa.table(
                    [
                        [f"made-up-{row}" for row in range(start, start + n)],
                        pa.FixedSizeListArray.from_arrays(pa.array(made.reshape(-1)), DIMENSIONS),
                        shapely.to_wkb(where).tolist(),
                    ],
                    schema=schema,
                )
            )
    return path


def main() -> int:
    """Measure; exit status 1 if a target is missed."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    with tempfile.TemporaryDirectory(prefix="clayline-bench-") as made:
        folder = Path(made)
        path, seconds, command = embedded(folder / "out")
        fastest, _, _, _ = verified(path, ROUNDS)
        whole = verified(path, 1)[3]
        say("embed_seconds", seconds)
        say("seconds", fastest)
        say("ratio", ratio := seconds / fastest, f"at least {TARGET_RATIO}")
        say("ratio_of_commands", command / whole)
        peaks = []
        for rows in SIZES:
            took, _, peak, _ = verified(synthetic(folder / f"{rows}.parquet", rows), 1)
            say(f"rows_a_second_{rows}", rows / took)
            say(f"peak_mb_{rows}", peak)
            peaks.append(peak)
        say("memory_ratio", memory := peaks[1] / peaks[0], f"at most {TARGET_MEMORY}")
    return int(ratio < TARGET_RATIO or memory > TARGET_MEMORY)


if __name__ == "__main__":
    sys.exit(main())
