"""Cutting a scene into chips: against stacchip, against decoding alone, and the memory of a job of a very large scene.

    python benchmarks/cut.py [stacchip] [decode] [large] [--side 10980] [--large-side 40000] [--repeats 3]

The scene is tile.py's, ten bands of a real one mirrored up to size, one file a band as products come: four at full
size, six at half (20 m), deflate with a predictor in blocks of 512 px, on local disk and in the page cache for both.
Each measurement is a process of its own, by turns; the fastest of each counts.

"stacchip": its Chipper (0.1.38, in .venv-stacchip) gives every chip that it has; ours gives every chip, those at the
right and lower edge among them, which stacchip drops. "decode": every block of every file is decoded once and thrown
away, by as many threads as tile has, with GDAL's GTiff driver and with LIBERTIFF; the faster counts. Ours reads and
cuts the same scene, its chips ending with blocks, and on a lattice where none does. CPU time is told as well, for wall
time follows what else the machine does. "large": the largest tile job alone, with all that tile does to pixels, of a
scene of the given side and of ``--large-side``; the rest of the large files is left sparse, since no other job is run.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.windows import Window

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT)]

from benchmarks.tile import BANDS, BLOCK, CHIP, Work, mirror  # noqa: E402 - run as a script: the path comes first

from benchmarks import tile  # noqa: E402
from clayline.raster.cog import ReadSettings  # noqa: E402
from clayline.raster.part import BandSource  # noqa: E402

FULL = 4
"""Bands at full size."""
PARTS = ("stacchip", "decode", "large")
LATTICE = (-100, -77)
DRIVERS = ("GTiff", "LIBERTIFF")
STACCHIP = ROOT / ".venv-stacchip" / "bin" / "python"


def profile(side: int, factor: int) -> dict[str, Any]:
    """Give the profile of a band's file."""
    return {
        "driver": "GTiff",
        "width": side,
        "height": side,
        "count": 1,
        "dtype": "uint16",
        "crs": "EPSG:32633",
        "transform": rasterio.Affine(10 * factor, 0, 0, 0, -10 * factor, 0),
        "nodata": 0,
        "tiled": True,
        "blockxsize": BLOCK,
        "blockysize": BLOCK,
        "compress": "deflate",
        "predictor": 2,
        "zlevel": 6,
        "num_threads": 2,
    }


def write_bands(
    folder: Path, scene: NDArray[np.uint16], side: int, only: tuple[int, int, int, int] | None = None
) -> list[Path]:
    """Write the scene, one file a band; with ``only`` (row0, row1, col0, col1) the blocks of that part alone."""
    paths = []
    for number in range(BANDS):
        factor = 1 if number < FULL else 2
        width = -(-side // factor)
        paths.append(folder / f"b{number:02d}.tif")
        row0, row1, col0, col1 = (0, width, 0, width) if only is None else (at // factor for at in only)
        rows, cols = mirror(scene.shape[1], width), mirror(scene.shape[2], width)
        left, right = col0 // BLOCK * BLOCK, min(width, -(-col1 // BLOCK) * BLOCK)
        with rasterio.open(paths[-1], "w", SPARSE_OK=True, **profile(width, factor)) as dataset:
            for top in range(row0 // BLOCK * BLOCK, row1, BLOCK):
                part = scene[number][rows[top : top + BLOCK]][:, cols[left:right]]
                dataset.write(part, 1, window=Window(left, top, right - left, len(part)))
    return paths


def sources(folder: Path) -> list[BandSource]:
    """Give the scene's bands as plan would."""
    return [tile.band(path, 1) for path in sorted(folder.glob("b*.tif"))]


def decode(folder: Path, driver: str) -> dict[str, float]:
    """Decode every block once, and do nothing with it."""
    paths, threads = sorted(folder.glob("b*.tif")), ReadSettings().threads
    chunks = []
    for path in paths:
        with rasterio.open(path, driver=driver) as dataset:
            chunks += [(path, top, dataset.width, dataset.height) for top in range(0, dataset.height, BLOCK)]
    turn, lock = iter(chunks), threading.Lock()

    def work() -> None:
        opened: dict[Path, Any] = {}
        while True:
            with lock:
                chunk = next(turn, None)
            if chunk is None:
                break
            path, top, width, height = chunk
            if path not in opened:
                opened[path] = rasterio.open(path, driver=driver)
            opened[path].read(1, window=Window(0, top, width, min(BLOCK, height - top)))
        for dataset in opened.values():
            dataset.close()

    with rasterio.Env(GDAL_NUM_THREADS="1", GDAL_CACHEMAX=64 * 2**20):
        begun, cpu = time.perf_counter(), time.process_time()
        workers = [threading.Thread(target=work) for _ in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        return {
            "seconds": time.perf_counter() - begun,
            "cpu_seconds": time.process_time() - cpu,
            "threads": threads,
        }


def run(way: str, folder: Path, *, side: int = 0, work: Work | None = None) -> dict[str, float]:
    """Run one way in a process of its own."""
    if way == "stacchip":
        command = [str(STACCHIP), str(ROOT / "benchmarks" / "cut_stacchip.py"), str(folder), str(side)]
    else:
        told = work or Work()
        command = [sys.executable, __file__, str(folder), "--way", way]
        command += [f"--start={told.start[0]},{told.start[1]}"] if told.start else []
        command += [f"--{name}" for name in ("whole", "largest") if getattr(told, name)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def report(**line: Any) -> None:  # noqa: ANN401 - whatever JSON holds
    """Print one JSON line."""
    print(json.dumps({"benchmark": "cut", **line}), flush=True)


def against_stacchip(folder: Path, side: int, repeats: int, says: str) -> None:
    """Compare chips a second."""
    ours, theirs = [], []
    for _ in range(repeats):
        theirs.append(run("stacchip", folder, side=side))
        ours.append(run("jobs", folder))
    speed = max(done["chips_per_second"] for done in ours)
    plain = max(done["chips"] / done["seconds"] for done in theirs)
    side_chips = -(-side // CHIP)
    report(
        what=f"one file a band, {side} px, {CHIP} px chips, 20 m bands at half size, against stacchip 0.1.38",
        scene=says,
        chips=ours[0]["chips"],
        chips_of_stacchip=theirs[0]["chips"],
        every_edge_chip=ours[0]["chips"] == side_chips**2,
        chips_per_second=round(speed, 1),
        stacchip=round(plain, 1),
        ratio=round(speed / plain, 2),
        target=5,
        met=speed / plain >= 5 and ours[0]["chips"] == side_chips**2,
    )


def against_decoding(folder: Path, side: int, repeats: int) -> None:
    """Compare the time of all chips with that of decoding every block once."""
    works = {"aligned": Work(), "on a lattice": Work(start=LATTICE)}
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in (*DRIVERS, *works)}
    for _ in range(repeats):
        for driver in DRIVERS:
            runs[driver].append(run(driver, folder))
        for name, work in works.items():
            runs[name].append(run("jobs", folder, work=work))
    least, cpu = (
        {name: min(done[measured] for done in every) for name, every in runs.items()}
        for measured in ("seconds", "cpu_seconds")
    )
    plain, plain_cpu = (min(times[driver] for driver in DRIVERS) for times in (least, cpu))
    for name in works:
        report(
            what=f"one file a band, {side} px, chips {name}, against decoding every block once",
            seconds=round(least[name], 2),
            decoding={driver: round(least[driver], 2) for driver in DRIVERS},
            cpu_seconds=round(cpu[name], 2),
            decoding_cpu={driver: round(cpu[driver], 2) for driver in DRIVERS},
            threads=ReadSettings().threads,
            repeated=round(runs[name][-1]["repeated"], 3),
            ratio=round(plain / least[name], 3),
            ratio_by_cpu=round(plain_cpu / cpu[name], 3),
            target=0.8,
            met=plain / least[name] >= 0.8,
        )


def memory_of(folder: Path, scene: NDArray[np.uint16], side: int) -> dict[str, float]:
    """Run the largest job of a scene of this side, of whose pixels no others are there."""
    write_bands(folder, scene, side, only=(0, 1, 0, 1))
    work = Work(start=LATTICE, whole=True, largest=True)
    grid, _, jobs = tile.lay(sources(folder), None, work)
    largest = max(jobs, key=lambda job: tile.area(job, grid))
    write_bands(folder, scene, side, only=largest.pixel_window(grid))
    return {**run("jobs", folder, work=work), "jobs": len(jobs)}


def memory(scene: NDArray[np.uint16], sides: Sequence[int]) -> None:
    """Compare the peak memory of one job of scenes of different sizes."""
    peaks = []
    for side in sides:
        with tempfile.TemporaryDirectory() as folder:
            done = memory_of(Path(folder), scene, side)
        peaks.append(done["peak_mb"])
        report(
            what=f"peak memory of the largest job, {BANDS} bands, {side} px",
            jobs=done["jobs"],
            job_mb=round(done["largest_job_mb"]),
            peak_mb=round(done["peak_mb"]),
            target_mb=1000,
            met=done["peak_mb"] < 1000,
        )
    report(
        what=f"peak memory at {sides[-1]} px by that at {sides[0]} px",
        ratio=round(peaks[-1] / peaks[0], 3),
        target=tile.PEAK_MARGIN,
        met=peaks[-1] <= tile.PEAK_MARGIN * peaks[0],
    )


def main() -> None:
    """Run all of it, or in a child process one way."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=10_980)
    parser.add_argument("--large-side", type=int, default=40_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--way", choices=["jobs", *DRIVERS], help="for child processes, as what follows")
    parser.add_argument("--start", type=lambda text: tuple(map(int, text.split(","))))
    parser.add_argument("--whole", action="store_true")
    parser.add_argument("--largest", action="store_true")
    parser.add_argument("what", nargs="*", help="parts to run; with --way: the scene's folder")
    chosen = parser.parse_args()
    if chosen.way:
        folder = Path(chosen.what[0])
        work = Work(start=chosen.start, whole=chosen.whole, largest=chosen.largest)
        done = tile.run_jobs(sources(folder), None, work) if chosen.way == "jobs" else decode(folder, chosen.way)
        print(json.dumps(done))
        return
    parts = chosen.what or PARTS
    if unknown := set(parts) - set(PARTS):
        parser.error(f"no such part: {' '.join(sorted(unknown))}; there are {' '.join(PARTS)}")
    scene, says = tile.real_scene()
    if {"stacchip", "decode"} & set(parts):
        with tempfile.TemporaryDirectory() as name:
            write_bands(Path(name), scene, chosen.side)
            if "stacchip" in parts:
                against_stacchip(Path(name), chosen.side, chosen.repeats, says)
            if "decode" in parts:
                against_decoding(Path(name), chosen.side, chosen.repeats)
    if "large" in parts:
        memory(scene, (chosen.side, chosen.large_side))


if __name__ == "__main__":
    main()
