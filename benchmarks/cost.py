"""What embedding costs.

Dollars per million chips and per Sentinel-2 scene by instance type, and what a scene costs beside it.

`benchmarks/cost.py` prints a line of JSON a row, `--markdown` the tables of docs/cost.md, `--write` puts them there.
Nothing is measured here: prices are those of data/prices.json, arithmetic and measured times those of
`clayline plan-cost` (clayline/run/cost.py, speed.py), requests those that benchmarks/chain_calls.py counts. A test
holds the page to the program.
"""

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from math import ceil
from pathlib import Path
from typing import Any

from clayline.chips.batch import BlockGrid, lay_batches, lay_jobs
from clayline.chips.grid import ChipGrid
from clayline.chips.reading import Reading, reading_of
from clayline.run.calls import Calls, Work, sheet_calls, sheet_ranges, watch_calls
from clayline.run.cost import REQUEST_DAYS, Cost, compute, cost
from clayline.run.prices import Instance, built_in
from clayline.run.speed import CPU_SECONDS, Speed, speed_of
from clayline_cli.costing.deployed import Deployed

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/cost.md"
BEGIN, END = "<!-- begin: benchmarks/cost.py --markdown -->", "<!-- end -->"
MILLION = 1_000_000
CLAY = "clay-v1.5-large"
SIDE, CHIP, BLOCK, CHIPS_PER_BATCH, MEMORY_BUDGET = 10980, 256, 1024, 64, 512_000_000
BANDS = {10: 4, 20: 7}
"""Files by metres a pixel: ten bands, and SCL."""
BANDS_READ = 10
FILE_BYTES = 1.78 * (4 * SIDE**2 + 6 * (SIDE // 2) ** 2)
"""Of the bands' files: 1.78 bytes a pixel, as ../shared/data/s2_aquileia_2019 has them (deflate)."""
LONGEST_DAYS = 2
"""Of a request object whose scene comes to no receipt before (template.yaml, WorkBucket)."""
SCENES_AT_A_TIME = (1, 20, 200, 1000)
COLOURS = ("red", "green", "blue")
"""Of a sheet: a file each."""
TARGET = 0.006
"""Dollars of a scene beside the endpoint, at most."""


def sentinel_2() -> Work:
    """Lay a Sentinel-2 tile, four bands at 10 m, six and the classes at 20 m, as plan does. Its chips are windows of
    its MGRS tile, and its files' blocks lie row by row.
    """
    grid = ChipGrid(height=SIDE, width=SIDE, size=CHIP)
    scales = {metres: metres // 10 for metres in BANDS}
    blocks = [BlockGrid(height=BLOCK, width=BLOCK, scale_y=scale, scale_x=scale) for scale in scales.values()]
    bytes_per_pixel = 2 * BANDS_READ + 1
    jobs = lay_jobs(
        grid,
        blocks,
        bytes_per_pixel=bytes_per_pixel,
        memory_budget=MEMORY_BUDGET,
        chips_per_batch=CHIPS_PER_BATCH,
    )
    reading = Reading()
    for job in jobs:
        for metres, files in BANDS.items():
            row0, row1, col0, col1 = (at // scales[metres] for at in job.pixel_window(grid))
            across = ceil(SIDE / scales[metres] / BLOCK)
            rows, cols = range(row0 // BLOCK, ceil(row1 / BLOCK)), range(col0 // BLOCK, ceil(col1 / BLOCK))
            places = [((row * across + col) * 2**20, 2**20) for row in rows for col in cols]
            for _ in range(files):
                reading += reading_of(places) + Reading(files=1)
    files, band_pixels = sum(BANDS.values()), len(grid) * BANDS_READ * CHIP**2
    return Work(
        chips=len(grid),
        jobs=len(jobs),
        batches=len(lay_batches(jobs, CHIPS_PER_BATCH)),
        files=files,
        job_files=len(jobs) * files,
        read_requests=reading.requests,
        read_bytes=round(FILE_BYTES),
        request_bytes=2 * band_pixels,
        band_pixels=band_pixels,
        places=len(jobs),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """What an instance type costs with one precision."""

    instance: str
    processor: str
    precision: str
    chips_per_second: float
    basis: str
    """``measured``, ``projected`` (a GPU) or ``scaled`` (a CPU)."""
    dollars_per_hour: float
    dollars_per_million_chips: float
    dollars_per_scene: float
    scene_minutes: float
    dollars_per_wake_up: float


def rows() -> Iterator[Row]:
    """Give every row that is known."""
    chips = sentinel_2().chips
    for instance in built_in().instances:
        cpu = [precision for _, precision in CPU_SECONDS]
        for precision in ["fp16"] if instance.gpu else cpu:
            if speed := speed_of(instance, CLAY, precision):
                yield row(instance, precision, speed, chips)


def row(instance: Instance, precision: str, speed: Speed, chips: int) -> Row:
    """Work out a row, of a scene of ``chips``."""
    scene, million = compute(chips, instance, speed), compute(MILLION, instance, speed)
    return Row(
        instance=instance.name,
        processor=instance.gpu or f"{instance.vcpus} vCPU",
        precision=precision,
        chips_per_second=speed.chips_per_second,
        basis=speed.basis,
        dollars_per_hour=instance.dollars_per_hour,
        dollars_per_million_chips=million.dollars,
        dollars_per_scene=scene.dollars,
        scene_minutes=scene.hours * 60,
        dollars_per_wake_up=scene.wake_up_dollars,
    )


def cheapest(scenes: int) -> Row:
    """Give the row that embeds so many scenes after one wake-up for the fewest dollars."""
    return min(rows(), key=lambda row: row.dollars_per_wake_up + scenes * row.dollars_per_scene)


def scene_cost(*, request_days: float = REQUEST_DAYS) -> Cost:
    """Give what a Sentinel-2 scene costs, on the template's instance."""
    prices, deployed = built_in(), Deployed.read()
    instance = prices.instance(deployed.instance)
    assert instance is not None
    speed = speed_of(instance, CLAY, "fp16")
    return cost(
        sentinel_2(),
        prices=prices,
        functions=deployed.functions,
        instance=instance,
        speed=speed,
        request_days=request_days,
    )


def markdown() -> str:
    """Give the tables of docs/cost.md."""
    lines = [
        "| instance | | precision | chips/s | | $/hour | $/million chips | $/scene | scene, minutes | $/wake-up |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {each.instance} | {each.processor} | {each.precision} | {_digits(each.chips_per_second)} | {each.basis} |"
        f" {each.dollars_per_hour:g} | {_digits(each.dollars_per_million_chips)} | {_digits(each.dollars_per_scene)} |"
        f" {_digits(each.scene_minutes)} | {each.dollars_per_wake_up:.2f} |"
        for each in rows()
    ]
    lines += ["", "| scenes after one wake-up | cheapest | $/scene, the wake-up with it |", "|---|---|---|"]
    for scenes in SCENES_AT_A_TIME:
        found = cheapest(scenes)
        dollars = found.dollars_per_wake_up / scenes + found.dollars_per_scene
        lines += [f"| {scenes} | {found.instance} | {_digits(dollars)} |"]
    usual = scene_cost()
    lines += ["", *_beside(usual, scene_cost(request_days=LONGEST_DAYS)), "", *_calls(usual), "", *_watches()]
    lines += ["", "| instance | public lists with this price | peak, dense fp16 |", "|---|---|---|"]
    lines += [
        f"| {each.name} | {each.lists} |"
        f" {'' if each.peak_tflops is None else f'[{each.peak_tflops:g} TFLOP/s]({each.datasheet})'} |"
        for each in built_in().instances
    ]
    return "\n".join(lines) + "\n"


def _beside(usual: Cost, waits: Cost) -> Iterator[str]:
    yield f"| beside the endpoint, $/scene | | if it waits {LONGEST_DAYS} days for its receipt |"
    yield "|---|---|---|"
    names = {
        "functions": "Lambda",
        "s3_requests": "S3 requests",
        "s3_storage": "S3, request objects",
        "queues": "SQS, SNS, EventBridge",
        "ledger": "DynamoDB",
    }
    for field, name in names.items():
        yield f"| {name} | {getattr(usual.beside, field):.5f} | {getattr(waits.beside, field):.5f} |"
    totals = [
        f"**{each.beside.together:.4f}**{', met' if each.beside.together <= TARGET else ', missed'}"
        for each in (usual, waits)
    ]
    yield f"| together (target {TARGET:g}) | {' | '.join(totals)} |"


def _calls(found: Cost) -> Iterator[str]:
    work, calls = found.work, found.calls
    yield f"| of a scene of {work.chips:,} chips, {work.jobs} jobs, {work.batches} batches, {work.files} files | |"
    yield "|---|---|"
    names = {
        "s3_writes": "S3, writes",
        "s3_reads": "S3, reads",
        "sqs_requests": "SQS requests",
        "sns_publishes": "SNS publishes",
        "dynamodb_writes": "DynamoDB write units",
        "dynamodb_reads": "DynamoDB read units",
        "lambda_calls": "Lambda calls, at most",
    }
    for field, name in names.items():
        yield f"| {name} | {getattr(calls, field):,} |"


def _watches() -> Iterator[str]:
    yield "| a scene and its watches | S3, writes | reads | events | requests, $ |"
    yield "|---|---|---|---|---|"
    found = {
        "no watch": watch_calls(watches=0, matched=0),
        "one, which does not match": watch_calls(watches=1, matched=0),
        "one, which matches": watch_calls(watches=1, matched=1),
        "ten, which all match": watch_calls(watches=10, matched=10),
        "the sheet of a match of ten chips, at most": _sheet(10),
        "the sheet of a match of a hundred, at most": _sheet(100),
    }
    for name, calls in found.items():
        dollars = _digits(1e6 * _requests(calls))
        yield f"| {name} | {calls.s3_writes} | {calls.s3_reads:,} | {calls.events} | {dollars}e-6 |"


def _sheet(chips: int) -> Calls:
    return sheet_calls(files=len(COLOURS), ranges=sheet_ranges(chips=chips, bands=len(COLOURS)))


def _requests(calls: Calls) -> float:
    """Give the dollars of requests, of a call of Lambda too, without its time."""
    each = built_in().services
    return (
        calls.s3_writes * each.s3_write.each
        + calls.s3_reads * each.s3_read.each
        + calls.sqs_requests * each.sqs_request.each
        + calls.events * each.event.each
        + calls.lambda_calls * each.lambda_call.each
    )


def _digits(value: float) -> str:
    """Write three digits, which is more than projections are worth."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def write() -> None:
    """Put the tables into the page. Raises ValueError where it has no place for them."""
    text = PAGE.read_text(encoding="utf-8")
    start, stop = text.index(BEGIN) + len(BEGIN), text.index(END)
    PAGE.write_text(f"{text[:start]}\n{markdown()}{text[stop:]}", encoding="utf-8")


def main() -> None:
    """Print, or write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--markdown", action="store_true")
    parser.add_argument("--write", action="store_true", help="into docs/cost.md")
    options = parser.parse_args()
    if options.write:
        write()
    elif options.markdown:
        print(markdown(), end="")
    else:
        found = scene_cost()
        lines: list[dict[str, Any]] = [{"name": "cost", **asdict(each)} for each in rows()]
        lines += [{"name": "cost_beside", **asdict(found.beside)}, {"name": "cost_calls", **asdict(found.calls)}]
        for line in lines:
            said = {name: round(value, 6) if isinstance(value, float) else value for name, value in line.items()}
            print(json.dumps(said))


if __name__ == "__main__":
    main()
