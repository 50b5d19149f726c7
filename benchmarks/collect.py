"""The collector's writer against geopandas on the same rows in one run, and a very large scene in bounded memory.

`benchmarks/collect.py` runs everything, each measurement in a process of its own and one after the other, and prints a
line of JSON a number. `--row-groups` adds the table of row-group sizes that docs/schema.md shows.
"""

import argparse
import datetime as dt
import gc
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parents[1] / "layers" / "clayline"))

from clayline.outputs.embedding import EmbeddingRows, SceneColumns
from clayline.outputs.spool import VectorSpool
from clayline.run.encoding import VectorEncoding
from clayline.table.geoparquet import ROW_GROUP_ROWS, write_geoparquet

DIMENSIONS = 1024
ROWS = 100_000
LARGE_ROWS = 152_000
BATCH = 1_000
ROUNDS = 2
"""The best of these counts: a machine's other work only ever adds."""
WIDE = 390
"""Chips side by side in the scene."""
SIDE = 0.0023
"""Degrees, about 250 px of 1 m at 45 degrees."""

TARGET_RATIO, TARGET_SIZES, TARGET_PEAK_MB = 4.0, {VectorEncoding.PORTABLE: 0.94, VectorEncoding.COMPACT: 0.84}, 250


def vectors(start: int, count: int, *, isotropic: bool = False) -> NDArray[np.float32]:
    """Give unit vectors, the same ones for the same rows.

    As in the real v0 sample (417 x 768), nine tenths of their power is a mean that all chips share, and the dimensions'
    standard deviations are spread log-normally with sigma 1.07. ``isotropic`` vectors have neither: the worst that a
    compressor can meet.
    """
    made = np.random.default_rng([7, start]).standard_normal((count, DIMENSIONS), dtype=np.float32)
    if not isotropic:
        random = np.random.default_rng(3)
        mean = random.standard_normal(DIMENSIONS, dtype=np.float32)
        deviation = np.exp(1.07 * random.standard_normal(DIMENSIONS, dtype=np.float32))
        made = made * deviation / np.sqrt(np.mean(deviation**2)) * np.float32(0.1**0.5) + mean * np.float32(0.9**0.5)
    unit: NDArray[np.float32] = made / np.linalg.norm(made, axis=1, keepdims=True)
    return unit


def identifiers(start: int, stop: int) -> list[str]:
    """Give identifiers of a wide scene's chips, ascending."""
    return [
        f"14TPT-r{at // WIDE * 250:05d}c{at % WIDE * 250:05d}s250g1000_20260601T173031_naip-rgbir_bench-v1-cls"
        for at in range(start, stop)
    ]


def corners(start: int, stop: int) -> NDArray[np.float64]:
    """Give the corners of those chips."""
    at = np.arange(start, stop)
    west, north = -99 + at % WIDE * SIDE, 46 - at // WIDE * SIDE
    ring = [(west, north), (west + SIDE, north), (west + SIDE, north - SIDE), (west, north - SIDE)]
    return np.stack([np.stack(corner, axis=1) for corner in ring], axis=1)


def scene() -> SceneColumns:
    """Give what all rows share."""
    return SceneColumns(
        source_url="s3://scenes/naip/2026/m_4609963_se_14_1_20260601.tif",
        date=dt.date(2026, 6, 2),
        datetime=dt.datetime(2026, 6, 1, 17, 30, 31, tzinfo=dt.UTC),
        source_model="bench-v1-cls",
        loss_metric="mse",
        source_creator="clayline",
        dimensions=DIMENSIONS,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What the collector has in memory of each chip before it writes: identifiers and corners."""

    uci: list[str]
    corners: NDArray[np.float64]


def plan(rows: int) -> Plan:
    """Make the plan of a scene of ``rows`` chips."""
    return Plan(uci=identifiers(0, rows), corners=corners(0, rows))


def chunks(spool: VectorSpool, planned: Plan) -> Iterator[EmbeddingRows]:
    """Read rows as the collector does: in order from the spool, a row group at a time."""
    rows = len(planned.uci)
    for start in range(0, rows, ROW_GROUP_ROWS):
        stop = min(start + ROW_GROUP_ROWS, rows)
        n = stop - start
        yield EmbeddingRows(
            uci=planned.uci[start:stop],
            index=np.arange(start, stop),
            cell=[uci.partition("_")[0] for uci in planned.uci[start:stop]],
            corners=planned.corners[start:stop],
            embeddings=spool.read(start, stop),
            loss=np.linspace(0, 1, n, dtype=np.float32),
            valid_fraction=np.ones(n, dtype=np.float32),
            cloud_fraction=np.full(n, 0.25, dtype=np.float32),
        )


def fill(spool: VectorSpool, rows: int, *, isotropic: bool = False) -> None:
    """Put batches into the spool in an order that is not the rows'."""
    starts = list(range(0, rows, BATCH))
    for start in np.random.default_rng(1).permutation(starts).tolist():
        count = min(BATCH, rows - start)
        spool.put(np.arange(start, start + count), vectors(start, count, isotropic=isotropic))


def resident(key: str) -> float:
    """Read this process's ``VmRSS`` or ``VmHWM`` in MB."""
    line = next(
        line for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines() if line.startswith(key)
    )
    return int(line.split()[1]) * 1024 / 1e6


def measured_from_here() -> float:
    """Let the peak start at what is resident now, and give that in MB.

    Libraries, and the input where it lies in memory.
    """
    gc.collect()
    pa.default_memory_pool().release_unused()
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")
    return resident("VmRSS")


def ours(
    folder: Path,
    rows: int,
    row_group_rows: int,
    *,
    isotropic: bool = False,
    encoding: VectorEncoding = VectorEncoding.PORTABLE,
) -> dict[str, float]:
    """Write from the spool, reading included.

    A few rows go first: pyarrow imports pandas at its first array, where there is one.
    """
    path = folder / "ours.parquet"
    with VectorSpool(folder / "spool", 10, DIMENSIONS) as spool:
        fill(spool, 10)
        write_geoparquet(path, columns=scene(), chunks=chunks(spool, plan(10)), metadata={}, encoding=encoding)
    with VectorSpool(folder / "spool", rows, DIMENSIONS) as spool:
        fill(spool, rows, isotropic=isotropic)
        planned = plan(rows)
        os.sync()
        before = measured_from_here()
        start, cpu = time.perf_counter(), time.process_time()
        count = write_geoparquet(
            path,
            columns=scene(),
            chunks=chunks(spool, planned),
            metadata={},
            row_group_rows=row_group_rows,
            encoding=encoding,
        )
        seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
        peak = resident("VmHWM")
    assert count == rows
    size = path.stat().st_size
    window = window_bytes(path)
    return {
        "seconds": seconds,
        "cpu_seconds": cpu,
        "peak_mb": peak - before,
        "process_mb": peak,
        "bytes": size,
        "window_bytes": window,
    }


def geopandas_writer(folder: Path, rows: int) -> dict[str, float]:
    """Write the same rows from a GeoDataFrame, as a user of geopandas does.

    Its settings are the nearest to ours that it offers.
    """
    import geopandas as gpd  # noqa: PLC0415 - only the process that measures it pays for it
    import shapely  # noqa: PLC0415

    path = folder / "geopandas.parquet"
    embeddings = np.concatenate([vectors(start, min(BATCH, rows - start)) for start in range(0, rows, BATCH)])
    common = scene()
    frame = gpd.GeoDataFrame(
        {
            "uci": identifiers(0, rows),
            "source_url": common.source_url,
            "date": common.date,
            "datetime": common.datetime,
            "source_model": common.source_model,
            "loss": np.concatenate(
                [
                    np.linspace(0, 1, min(ROW_GROUP_ROWS, rows - at), dtype=np.float32)
                    for at in range(0, rows, ROW_GROUP_ROWS)
                ]
            ),
            "loss_metric": common.loss_metric,
            "source_creator": common.source_creator,
            "embeddings": list(embeddings),
            "index": np.arange(rows),
            "valid_fraction": np.ones(rows, dtype=np.float32),
            "cloud_fraction": np.full(rows, 0.25, dtype=np.float32),
        },
        geometry=shapely.polygons(corners(0, rows)[:, ::-1]),
        crs="OGC:CRS84",
    )
    options = {
        "index": False,
        "compression": "zstd",
        "compression_level": 1,
        "write_covering_bbox": True,
        "use_dictionary": ["source_url", "source_model", "loss_metric", "source_creator"],
        "column_encoding": {"embeddings.list.element": "PLAIN"},
    }
    frame.head(10).to_parquet(path, **options)
    os.sync()
    before = measured_from_here()
    start, cpu = time.perf_counter(), time.process_time()
    frame.to_parquet(path, **options)
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    peak = resident("VmHWM")
    return {
        "seconds": seconds,
        "cpu_seconds": cpu,
        "peak_mb": peak - before,
        "process_mb": peak,
        "bytes": path.stat().st_size,
    }


def window_bytes(path: Path) -> int:
    """Count the bytes of `embeddings` in the row groups that a reader of 22 x 22 chips in the file's middle must
    take.
    """
    metadata = pq.read_metadata(path)
    names = [metadata.schema.column(at).path for at in range(metadata.num_columns)]
    west = -99 + 184 * SIDE
    north = 46 - (metadata.num_rows // WIDE // 2 - 11) * SIDE
    east, south = west + 22 * SIDE, north - 22 * SIDE
    total = 0
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        ranges = {}
        for side in ("xmin", "ymin", "xmax", "ymax"):
            statistics = group.column(names.index(f"bbox.{side}")).statistics
            assert statistics is not None
            ranges[side] = (float(statistics.min or 0), float(statistics.max or 0))
        if (
            ranges["xmin"][0] < east
            and ranges["xmax"][1] > west
            and ranges["ymin"][0] < north
            and ranges["ymax"][1] > south
        ):
            total += group.column(names.index("embeddings.list.element")).total_compressed_size
    return total


def same_rows(ours_path: Path, theirs_path: Path) -> bool:
    """Compare the two files' identifiers and embeddings, a batch at a time.

    A benchmark of two different files would say nothing.
    """
    first, second = (
        pq.ParquetFile(path).iter_batches(batch_size=4096, columns=["uci", "embeddings"])
        for path in (ours_path, theirs_path)
    )
    for a, b in zip(first, second, strict=True):
        if a["uci"].to_pylist() != b["uci"].to_pylist() or not pc.list_flatten(a["embeddings"]).equals(
            pc.list_flatten(b["embeddings"])
        ):
            return False
    return True


def in_process(folder: Path, what: str, rows: int, row_group_rows: int = ROW_GROUP_ROWS) -> dict[str, float]:
    """Run one measurement in a fresh process."""
    command = [
        sys.executable,
        __file__,
        "--one",
        what,
        "--folder",
        str(folder),
        "--rows",
        str(rows),
        "--row-group-rows",
        str(row_group_rows),
    ]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    result: dict[str, float] = json.loads(done.stdout)
    return result


def compare(folder: Path) -> list[dict[str, object]]:
    """Measure and give one entry a number, with its target where there is one."""
    raw = ROWS * DIMENSIONS * 4
    rounds = [{what: in_process(folder, what, ROWS) for what in ("ours", "geopandas")} for _ in range(ROUNDS)]
    mine, theirs = (
        min((one[what] for one in rounds), key=lambda one: one["seconds"]) for what in ("ours", "geopandas")
    )
    assert same_rows(folder / "ours.parquet", folder / "geopandas.parquet")
    ratio, size = theirs["seconds"] / mine["seconds"], mine["bytes"] / raw
    (folder / "geopandas.parquet").unlink()
    worst = in_process(folder, "isotropic", ROWS)
    compact = in_process(folder, "compact", ROWS)
    most, least = TARGET_SIZES[VectorEncoding.PORTABLE], TARGET_SIZES[VectorEncoding.COMPACT]
    small = compact["bytes"] / raw
    large = in_process(folder, "ours", LARGE_ROWS)
    return [
        {"name": "collect.seconds", "value": round(mine["seconds"], 2)},
        {"name": "collect.geopandas_seconds", "value": round(theirs["seconds"], 2)},
        {
            "name": "collect.times_geopandas",
            "value": round(ratio, 2),
            "target": f">= {TARGET_RATIO}",
            "met": ratio >= TARGET_RATIO,
        },
        {"name": "collect.cpu_seconds", "value": round(mine["cpu_seconds"], 2)},
        {"name": "collect.times_geopandas_cpu", "value": round(theirs["cpu_seconds"] / mine["cpu_seconds"], 2)},
        {"name": "collect.size_of_raw", "value": round(size, 4), "target": f"<= {most}", "met": size <= most},
        {
            "name": "collect.compact_size_of_raw",
            "value": round(small, 4),
            "target": f"<= {least}",
            "met": small <= least,
        },
        {"name": "collect.compact_seconds", "value": round(compact["seconds"], 2)},
        {"name": "collect.size_of_raw_isotropic", "value": round(worst["bytes"] / raw, 4)},
        {"name": "collect.geopandas_size_of_raw", "value": round(theirs["bytes"] / raw, 4)},
        {
            "name": "collect.peak_mb_over_input",
            "value": round(mine["peak_mb"]),
            "target": f"< {TARGET_PEAK_MB}",
            "met": mine["peak_mb"] < TARGET_PEAK_MB,
        },
        {"name": "collect.geopandas_peak_mb_over_input", "value": round(theirs["peak_mb"])},
        {"name": "collect.process_mb", "value": round(mine["process_mb"])},
        {
            "name": "collect.large_peak_mb_over_input",
            "rows": LARGE_ROWS,
            "value": round(large["peak_mb"]),
            "target": f"< {TARGET_PEAK_MB}",
            "met": large["peak_mb"] < TARGET_PEAK_MB,
        },
        {"name": "collect.large_seconds", "rows": LARGE_ROWS, "value": round(large["seconds"], 2)},
    ]


def row_groups(folder: Path) -> list[dict[str, object]]:
    """Measure sizes of a row group.

    Seconds relative to the first, size, memory, and bytes that a small window needs.
    """
    results: list[dict[str, object]] = []
    first = 0.0
    for size in (ROW_GROUP_ROWS, 512, 1024, 4096, 16_384, ROWS):
        one = in_process(folder, "ours", ROWS, size)
        first = first or one["seconds"]
        results.append(
            {
                "name": "collect.row_group",
                "rows": size,
                "seconds_relative": round(one["seconds"] / first, 2),
                "size_of_raw": round(one["bytes"] / (ROWS * DIMENSIONS * 4), 4),
                "peak_mb_over_input": round(one["peak_mb"]),
                "window_mb": round(one["window_bytes"] / 1e6, 1),
            },
        )
    return results


def main() -> None:
    """Run, print, and fail where a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--row-groups", action="store_true")
    parser.add_argument("--one", choices=["ours", "isotropic", "compact", "geopandas"], help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--rows", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--row-group-rows", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        if arguments.one == "geopandas":
            one = geopandas_writer(arguments.folder, arguments.rows)
        else:
            encoding = VectorEncoding.COMPACT if arguments.one == "compact" else VectorEncoding.PORTABLE
            isotropic = arguments.one == "isotropic"
            one = ours(
                arguments.folder, arguments.rows, arguments.row_group_rows, isotropic=isotropic, encoding=encoding
            )
        print(json.dumps(one))
        return
    folder = Path(tempfile.mkdtemp(prefix="clayline-bench-"))
    try:
        results = [*compare(folder), *(row_groups(folder) if arguments.row_groups else [])]
    finally:
        shutil.rmtree(folder)
    for result in results:
        print(json.dumps(result))
    if any(result.get("met") is False for result in results):
        sys.exit("a target was missed")


if __name__ == "__main__":
    main()
