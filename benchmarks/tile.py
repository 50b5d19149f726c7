"""tile: chips a second against one rasterio read a chip, blocks decoded, memory, and the price of the lattice.

    python benchmarks/tile.py [ways] [memory] [price] [--side 5490] [--memory-side 10980] [--frame-side 7800]
        [--repeats 5]

The scene is a real one mirrored up to size: Aquileia (Sentinel-2, ten bands) where ../shared/data has it, else the
bundled Landsat sample, whose three bands are repeated, each time rolled. Each measurement runs in a process of its own,
alternating between the two ways, so that neither profits from the other's block cache; the file itself is in the page
cache for both. Bytes read are the process's own, from /proc/self/io.

The part "price" compares chips that end with the file's blocks to chips on a lattice that never does, in the same way.
There all that tile does to pixels is done, and CPU time judges: wall time follows what else the machine does. More
chips lie on the same ground there, for those at the edges reach over them: ``ratio_by_ground`` does not count these.
The Landsat frame is the bundled sample, whose three bands are repeated to six.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.windows import Window

from clayline.chips.batch import Job, block_grid, lay_batches, lay_jobs, repeated_fraction
from clayline.chips.chip import cut, fractions, prepare, valid_mask
from clayline.chips.cloud import SCL, find_cloud
from clayline.chips.cog import CogSource
from clayline.chips.grid import ChipGrid
from clayline.model.wire import BatchHeader, Request
from clayline.raster.cog import ReadSettings
from clayline.raster.headers import read_header
from clayline.raster.part import BandSource
from clayline.raster.tile import read_job

ROOT = Path(__file__).parents[1]
SHARED = Path(os.environ.get("CLAYLINE_SHARED", ROOT.parent / "shared")) / "data"
AQUILEIA = SHARED / "s2_aquileia_2019" / "S2_L2A_aquileia_20190416.tif"
SAMPLE = ROOT / "samples" / "landsat8_itaipu_2020"
BANDS, CHIP, BLOCK, CHIPS_PER_BATCH = 10, 256, 512, 64
MEMORY_BUDGET = 512_000_000
"""The default of clayline.aws.settings.PlanSettings."""
PARTS = ("ways", "memory", "price")
PEAK_MARGIN = 1.05
"""Peaks of the same work differ by so much."""


def real_scene() -> tuple[NDArray[np.uint16], str]:
    """Give ten bands of a real scene and what to say of them."""
    if AQUILEIA.exists():
        with rasterio.open(AQUILEIA) as dataset:
            return dataset.read(), f"Aquileia, Sentinel-2, {dataset.width} x {dataset.height} px, ten bands, mirrored"
    stack = landsat(BANDS)
    return stack, f"Itaipu, Landsat 8, {stack.shape[2]} x {stack.shape[1]} px, three bands repeated to ten, mirrored"


def landsat(count: int) -> NDArray[np.uint16]:
    """Give the bundled sample, its bands repeated to ``count``, each time rolled."""
    bands = [rasterio.open(path).read(1) for path in sorted(SAMPLE.glob("*.[tT][iI][fF]"))]
    return np.stack([np.roll(bands[number % len(bands)], 31 * number, axis=1) for number in range(count)])


def mirror(length: int, size: int) -> NDArray[np.int64]:
    """Give ``size`` positions that run to and fro over ``length`` pixels."""
    there_and_back = np.concatenate([np.arange(length), np.arange(length)[::-1]])
    return np.resize(there_and_back, size)


def write_scene(path: Path, scene: NDArray[np.uint16], side: int, interleave: str, *, block: int = BLOCK) -> Path:
    """Write the mirrored scene as tiled GeoTIFF, one block row at a time."""
    rows, cols = mirror(scene.shape[1], side), mirror(scene.shape[2], side)
    profile: dict[str, Any] = {
        "count": len(scene),
        "dtype": "uint16",
        "crs": "EPSG:32633",
        "transform": rasterio.Affine(10, 0, 0, 0, -10, 0),
    }
    profile |= {
        "tiled": True,
        "blockxsize": block,
        "blockysize": block,
        "compress": "deflate",
        "predictor": 2,
        "zlevel": 6,
    }
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        width=side,
        height=side,
        interleave=interleave,
        num_threads=2,
        nodata=0,
        BIGTIFF="YES",
        **profile,
    ) as dataset:
        for top in range(0, side, block):
            part = scene[:, rows[top : top + block]][:, :, cols]
            dataset.write(part, window=Window(0, top, side, part.shape[1]))
    return path


def write_classes(path: Path, scene: NDArray[np.uint16], side: int) -> Path:
    """Write twelve classes at 20 m, as SCL has them, made of the scene's first band."""
    half = -(-side // 2)
    classes = (scene[0][mirror(scene.shape[1], half)][:, mirror(scene.shape[2], half)] % 12).astype(np.uint8)
    profile: dict[str, Any] = {
        "crs": "EPSG:32633",
        "transform": rasterio.Affine(20, 0, 0, 0, -20, 0),
        "tiled": True,
        "compress": "deflate",
    }
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        width=half,
        height=half,
        count=1,
        dtype="uint8",
        blockxsize=BLOCK,
        blockysize=BLOCK,
        **profile,
    ) as dataset:
        dataset.write(classes, 1)
    return path


def bytes_read() -> int:
    """Give the bytes that this process has read by system calls."""
    return int(Path("/proc/self/io").read_text().splitlines()[0].split()[1])


def one_read_a_chip(path: Path) -> dict[str, float]:
    """Read every chip by itself, with rasterio as it comes."""
    with rasterio.open(path) as dataset:
        grid = ChipGrid(height=dataset.height, width=dataset.width, size=CHIP)
        before, start = bytes_read(), time.perf_counter()
        for window in grid:
            dataset.read(window=Window(window.col, window.row, CHIP, CHIP))
        seconds = time.perf_counter() - start
    return {"chips_per_second": len(grid) / seconds, "bytes_read": bytes_read() - before}


@dataclass(frozen=True, kw_only=True)
class Work:
    """What a process does to a scene."""

    bands: int = BANDS
    chip: int = CHIP
    start: tuple[int, int] | None = None
    """Of ChipGrid: chips lie on a lattice."""
    whole: bool = False
    """All that tile does to pixels, up to the request's bytes; else cutting alone."""
    largest: bool = False
    """The largest job alone."""


def jobs_along_blocks(path: Path, classes: Path | None, work: Work) -> dict[str, float]:
    """Read a file's bands job by job and cut."""
    bands = [band(path, number) for number in range(1, work.bands + 1)]
    return run_jobs(bands, None if classes is None else band(classes, 1), work)


def lay(
    bands: Sequence[BandSource], mask: BandSource | None, work: Work
) -> tuple[ChipGrid, list[Any], tuple[Job, ...]]:
    """Lay a scene's chips, blocks and jobs as plan does; the first band has the finest grid."""
    header = bands[0].header
    grid = ChipGrid(height=header.height, width=header.width, size=work.chip, start=work.start)
    blocks = {block_grid(each.header, finest=header.transform) for each in (*bands, mask) if each}
    jobs = lay_jobs(
        grid,
        sorted(blocks, key=str),
        bytes_per_pixel=2 * work.bands,
        memory_budget=MEMORY_BUDGET,
        chips_per_batch=CHIPS_PER_BATCH,
    )
    return grid, sorted(blocks, key=str), jobs


def area(job: Job, grid: ChipGrid) -> int:
    """Give the pixels of a job."""
    row0, row1, col0, col1 = job.pixel_window(grid)
    return (row1 - row0) * (col1 - col0)


def run_jobs(bands: Sequence[BandSource], mask: BandSource | None, work: Work) -> dict[str, float]:
    """Read job by job and cut."""
    settings, header = ReadSettings(), bands[0].header
    grid, blocks, jobs = lay(bands, mask, work)
    batches = lay_batches(jobs, CHIPS_PER_BATCH)
    before, start, cpu, decoded, sent, count = bytes_read(), time.perf_counter(), time.process_time(), 0, 0, 0
    for job in (max(jobs, key=lambda job: area(job, grid)),) if work.largest else jobs:
        window, windows = job.pixel_window(grid), job.windows(grid)
        read = read_job(bands, mask, transform=header.transform, window=window, settings=settings)
        decoded, count = decoded + read.decoded_blocks, count + len(windows)
        pixels, origin = read.pixels, (window[0], window[2])
        parts = [windows[batch.start : batch.stop] for batch in batches if batch.job == job.number]
        room = np.empty((CHIPS_PER_BATCH, work.bands, work.chip, work.chip), pixels.dtype)
        if work.whole:
            valid = valid_mask(pixels, [[0]] * work.bands)
            pixels = prepare(pixels, valid, offsets=[-1000] * work.bands, fill=0, dtype="uint16")
            cloud = None if read.mask is None else find_cloud(read.mask, SCL)
            for part in parts:
                fractions(valid, cloud, part, origin=origin)
                sent += len(request(cut(pixels, part, origin=origin, fill=0, room=room)))
        else:
            for part in parts:
                sent += cut(pixels, part, origin=origin, fill=0, room=room).nbytes
        del read, pixels, room
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    peak = next(
        int(line.split()[1]) for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")
    )
    assert sent >= count * work.bands * work.chip * work.chip * 2
    largest = max(area(job, grid) for job in jobs)
    return {
        "chips": count,
        "seconds": seconds,
        "cpu_seconds": cpu,
        "chips_per_second": count / seconds,
        "chips_per_cpu_second": count / cpu,
        "bytes_read": bytes_read() - before,
        "decoded_blocks": decoded,
        "jobs": len(jobs),
        "largest_job_mb": largest * 2 * work.bands / 1e6,
        "repeated": repeated_fraction(jobs, grid, blocks),
        "peak_mb": peak * 1024 / 1e6,
    }


def band(path: Path, number: int) -> BandSource:
    """Name one band of a local file."""
    source = CogSource(path=str(path), uri=str(path), size=path.stat().st_size)
    return BandSource(
        name=f"b{number}", source=source, header=read_header(source, ReadSettings()), band=number, nodata=0
    )


def request(chips: NDArray[Any]) -> bytes:
    """Serialise chips as tile does."""
    header = BatchHeader(run="0" * 32, batch="b00000", folder="f", token="t-v1-s", digest="sha256:0")  # noqa: S106 - a model's token
    return Request(header=header, index=np.arange(len(chips)), inputs={"pixels": chips}).to_bytes()


def measure(way: str, *paths: Path, work: Work | None = None) -> dict[str, float]:
    """Run one way in a process of its own."""
    told = work or Work()
    options = ["--bands", str(told.bands), "--chip", str(told.chip), *(["--whole"] if told.whole else [])]
    options += [f"--start={told.start[0]},{told.start[1]}"] if told.start else []
    done = subprocess.run(
        [sys.executable, __file__, *map(str, paths), "--way", way, *options], check=True, capture_output=True, text=True
    )
    result: dict[str, float] = json.loads(done.stdout)
    return result


def block_bytes(path: Path) -> tuple[int, int]:
    """Give the number of blocks in a file and their bytes, from its index."""
    with rasterio.open(path) as dataset:
        planes = [1] if dataset.profile["interleave"] == "pixel" else range(1, BANDS + 1)
        side = range(-(-dataset.width // BLOCK))
        sizes = [
            int(dataset.get_tag_item(f"BLOCK_SIZE_{x}_{y}", "TIFF", bidx=band))
            for band in planes
            for y in side
            for x in side
        ]
    return len(sizes), sum(sizes)


def report(**line: Any) -> None:  # noqa: ANN401 - whatever JSON holds
    """Print one JSON line."""
    print(json.dumps({"benchmark": "tile", **line}), flush=True)


def compare(path: Path, interleave: str, side: int, repeats: int, scene: str) -> None:
    """Alternate between the two ways and report the ratio of their fastest runs.

    What else runs on a machine only ever slows one down.
    """
    ours, theirs = [], []
    for _ in range(repeats):
        theirs.append(measure("chip", path))
        ours.append(measure("jobs", path))
    blocks, size = block_bytes(path)
    speed, plain = (max(run["chips_per_second"] for run in runs) for runs in (ours, theirs))
    medians = [statistics.median(run["chips_per_second"] for run in runs) for runs in (ours, theirs)]
    report(
        what=f"{BANDS} bands {interleave}-interleaved {side} px, {CHIP} px chips",
        scene=scene,
        chips_per_second=round(speed, 1),
        one_read_a_chip=round(plain, 1),
        ratio=round(speed / plain, 2),
        ratio_of_medians=round(medians[0] / medians[1], 2),
        target=1.3,
        met=speed / plain >= 1.3,
    )
    last = ours[-1]
    once = last["decoded_blocks"] == blocks and last["bytes_read"] < 1.02 * size
    report(
        what=f"blocks decoded, {interleave}-interleaved {side} px",
        blocks=blocks,
        decoded=last["decoded_blocks"],
        bytes_read_of_block_bytes=round(last["bytes_read"] / size, 3),
        one_read_a_chip_bytes_read=round(theirs[-1]["bytes_read"] / size, 3),
        met=once,
    )


def compare_memory(path: Path, classes: Path, interleave: str, side: int) -> None:
    """Report the peak memory of all that tile does."""
    run = measure("jobs", path, classes, work=Work(whole=True))
    report(
        what=f"peak memory of tile, {BANDS} bands {interleave}-interleaved {side} px and classes at 20 m",
        budget_mb=MEMORY_BUDGET // 10**6,
        peak_mb=round(run["peak_mb"]),
        jobs=run["jobs"],
        chips_per_second=round(run["chips_per_second"], 1),
        target_mb=1000,
        met=run["peak_mb"] < 1000,
    )


def price(what: str, paths: tuple[Path, ...], *, bands: int, chip: int, repeats: int) -> None:
    """Alternate between chips that end with blocks and chips on a lattice that never do; compare the fastest runs."""
    start = (-100 * chip // 256, -77 * chip // 256)
    works = [Work(bands=bands, chip=chip, start=at, whole=True) for at in (None, start)]
    runs: tuple[list[dict[str, float]], ...] = ([], [])
    for _ in range(repeats):
        for work, done in zip(works, runs, strict=True):
            done.append(measure("jobs", *paths, work=work))
    (by_cpu, cpu), (by_wall, wall) = (
        [max(run[measured] for run in done) for done in runs]
        for measured in ("chips_per_cpu_second", "chips_per_second")
    )
    (aligned, lattice), (least, peak) = (
        [done[-1] for done in runs],
        [statistics.median(run["peak_mb"] for run in done) for done in runs],
    )
    report(
        what=f"the lattice's price: {what}, {bands} bands, {chip} px chips",
        chips=[aligned["chips"], lattice["chips"]],
        chips_per_cpu_second=[round(by_cpu, 1), round(cpu, 1)],
        ratio=round(cpu / by_cpu, 3),
        ratio_by_wall_time=round(wall / by_wall, 3),
        ratio_by_ground=round(cpu / by_cpu * aligned["chips"] / lattice["chips"], 3),
        repeated=round(lattice["repeated"], 3),
        repeated_aligned=round(aligned["repeated"], 3),
        jobs=[aligned["jobs"], lattice["jobs"]],
        largest_job_mb=[round(run["largest_job_mb"]) for run in (aligned, lattice)],
        peak_mb=[round(least), round(peak)],
        met={
            "ratio 0.9": cpu / by_cpu >= 0.9,
            "repeated 0.1": lattice["repeated"] <= 0.1,
            "half the jobs": lattice["jobs"] >= aligned["jobs"] / 2,
            "peak as aligned": peak <= PEAK_MARGIN * least,
        },
    )


def prices(folder: Path, scene: NDArray[np.uint16], side: int, frame_side: int, repeats: int) -> None:
    """Report the lattice's price of a Sentinel-2-like scene and of a Landsat frame."""
    large = write_scene(folder / "large.tif", scene, side, "band")
    classes = write_classes(folder / "classes.tif", scene, side)
    blocks = f"{BLOCK} px blocks"
    price(f"{side} px, {blocks}", (large,), bands=BANDS, chip=CHIP, repeats=repeats)
    price(f"{side} px with classes at 20 m, {blocks}", (large, classes), bands=BANDS, chip=CHIP, repeats=repeats)
    large.unlink()
    frame = write_scene(folder / "frame.tif", landsat(6), frame_side, "band", block=256)
    for bands, chip in ((6, CHIP), (3, 64)):
        price(f"Landsat frame, {frame_side} px, 256 px blocks", (frame,), bands=bands, chip=chip, repeats=repeats)


def main() -> None:
    """Run all of it, or in a child process one way."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=5490)
    parser.add_argument("--memory-side", type=int, default=10_980, help="also the price's")
    parser.add_argument("--frame-side", type=int, default=7800)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--way", choices=["chip", "jobs"], help="for child processes, as what follows")
    parser.add_argument("--bands", type=int, default=BANDS)
    parser.add_argument("--chip", type=int, default=CHIP)
    parser.add_argument("--start", type=lambda text: tuple(map(int, text.split(","))))
    parser.add_argument("--whole", action="store_true")
    parser.add_argument("what", nargs="*", help="parts to run; with --way: the scene and, if any, its classes")
    chosen = parser.parse_args()
    if chosen.way:
        path, *classes = map(Path, chosen.what)
        work = Work(bands=chosen.bands, chip=chosen.chip, start=chosen.start, whole=chosen.whole)
        ours = chosen.way == "jobs"
        print(
            json.dumps(
                jobs_along_blocks(path, classes[0] if classes else None, work) if ours else one_read_a_chip(path)
            )
        )
        return
    parts = chosen.what or PARTS
    if unknown := set(parts) - set(PARTS):
        parser.error(f"no such part: {' '.join(sorted(unknown))}; there are {' '.join(PARTS)}")
    scene, says = real_scene()
    for interleave in ("pixel", "band"):
        if "ways" in parts:
            with tempfile.TemporaryDirectory() as folder:
                written = write_scene(Path(folder) / "scene.tif", scene, chosen.side, interleave)
                compare(written, interleave, chosen.side, chosen.repeats, says)
        if "memory" in parts:
            with tempfile.TemporaryDirectory() as folder:
                large = write_scene(Path(folder) / "large.tif", scene, chosen.memory_side, interleave)
                classes_of_large = write_classes(Path(folder) / "classes.tif", scene, chosen.memory_side)
                compare_memory(large, classes_of_large, interleave, chosen.memory_side)
    if "price" in parts:
        with tempfile.TemporaryDirectory() as folder:
            prices(Path(folder), scene, chosen.memory_side, chosen.frame_side, chosen.repeats)


if __name__ == "__main__":
    main()
