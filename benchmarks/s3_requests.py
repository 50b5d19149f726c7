"""requests: what tile's jobs ask of S3, against the ranges that they need.

    python benchmarks/s3_requests.py [--budget MB ...]

The bundled scene is cut into jobs by plan's dry run, once for each memory budget, and every job is read from a local S3
(moto) that counts. What is needed is found by rasterio's own block windows, not by our reader: the file's beginning,
and the blocks under the job, of which those that lie at most 8 bytes apart are one range. Target: at most 1.2 requests
a range.
"""

import argparse
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

import boto3
import rasterio
from moto.server import ThreadedMotoServer
from rasterio.windows import Window, intersect

from clayline.raster.cog import ReadSettings
from clayline.raster.headers import s3_source
from clayline.raster.part import BandSource
from clayline.raster.tile import read_job
from clayline.run.keys import parse_s3_uri
from clayline_cli.choosing.options import SceneOptions, add_reading, add_record, add_scenes, add_telling
from clayline_cli.choosing.planning import plan_options
from clayline_cli.staging.stage import stage
from clayline_local.dry_run import DryRun, dry_run
from clayline_local.model_folder import ModelFolder
from clayline_local.repository import STARTER

SAMPLE = Path(__file__).parents[1] / "samples" / "landsat8_itaipu_2020"
NEAR = 8
"""Bytes between the blocks of a COG."""
TARGET = 1.2


def main() -> None:
    """Print a line of JSON a budget; exit status 1 if a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--budget", type=float, nargs="+", default=[512.0, 4.0, 1.0], metavar="MB")
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        asked = _count(server)
        address = ":".join(map(str, server.get_host_and_port()))
        os.environ |= {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "eu-central-1"}
        os.environ |= {"AWS_S3_ENDPOINT": address, "AWS_HTTPS": "NO", "AWS_VIRTUAL_HOSTING": "FALSE"}
        client = boto3.client("s3", endpoint_url=f"http://{address}", region_name="us-east-1")
        found = []
        for budget in parser.parse_args().budget:
            found.append(measure(client, asked, budget=round(budget * 1e6)))
            print(json.dumps(found[-1]), flush=True)
    finally:
        server.stop()
    sys.exit(0 if all(line["met"] for line in found) else 1)


def measure(client: Any, asked: list[str], *, budget: int) -> dict[str, object]:  # noqa: ANN401 - boto3's clients are generated
    """Read all jobs of the bundled scene; give requests, ranges and their ratio."""
    with stage(str(next(SAMPLE.glob("*.json")))) as staged:
        found = planned(staged, budget=budget)
        assert found.draft
        assert found.reading is not None
        draft, files = found.draft, dict(staged.assets)
        bucket = parse_s3_uri(draft.bands[0].uri)[0]
        client.create_bucket(Bucket=bucket)
        for key, file in files.items():
            client.put_object(Bucket=bucket, Key=key, Body=file.read_bytes())
        bands = [
            BandSource(name=band.name, source=s3_source(band.uri, band.size), header=band.header, band=1, nodata=0)
            for band in draft.bands
        ]
        paths = [files[parse_s3_uri(band.uri)[1]] for band in draft.bands]
        asked.clear()
        needed = reported = 0
        for job in draft.jobs:
            window = job.pixel_window(draft.grid)
            read = read_job(bands, None, transform=draft.scene.transform, window=window, settings=ReadSettings())
            reported += read.reading.requests
            needed += sum(1 + ranges(path, window) for path in paths)
    ratio = len(asked) / needed
    return {
        "benchmark": "requests",
        "memory_budget_mb": budget / 1e6,
        "jobs": len(draft.jobs),
        "requests": len(asked),
        "foretold": sum(reading.requests for reading in found.reading),
        "reported": reported,
        "ranges_needed": needed,
        "ratio": round(ratio, 3),
        "target": TARGET,
        "met": ratio <= TARGET,
    }


def planned(staged: Any, *, budget: int) -> DryRun:  # noqa: ANN401 - a staged scene
    """Plan dry as the command does, within a memory budget."""
    parser = argparse.ArgumentParser()
    add_scenes(parser, done="read")
    add_reading(parser)
    add_record(parser.add_argument_group("record"))
    add_telling(parser)
    model = ModelFolder.read(STARTER)
    options = plan_options(SceneOptions.of(parser.parse_args(["x"])), model)
    return dry_run(staged, manifest=model.manifest, options=replace(options, memory_budget=budget))


def ranges(path: Path, window: tuple[int, int, int, int]) -> int:
    """Count the ranges of a file that a window (row0, row1, col0, col1) needs, by rasterio's own block windows."""
    row0, row1, col0, col1 = window
    wanted = Window(col0, row0, col1 - col0, row1 - row0)
    with rasterio.open(path) as dataset:
        places = sorted(
            tuple(int(dataset.get_tag_item(f"BLOCK_{what}_{col}_{row}", "TIFF", bidx=1)) for what in ("OFFSET", "SIZE"))
            for (row, col), block in dataset.block_windows(1)
            if intersect([wanted, block])
        )
    return sum(1 for _ in groupby(_runs(places)))


def _runs(places: list[tuple[int, ...]]) -> Iterator[int]:
    """Number the runs of blocks that lie together, a number a block."""
    run, stop = 0, -1
    for offset, size in places:
        run += stop >= 0 and offset > stop + NEAR
        stop = offset + size
        yield run


def _count(server: ThreadedMotoServer) -> list[str]:
    """Note each GET or HEAD of the server in the list that is given."""
    assert server._server  # noqa: SLF001 - where moto keeps its WSGI application
    app, asked = server._server.app, []  # noqa: SLF001

    def noting(environment: dict[str, Any], start: Any) -> Any:  # noqa: ANN401 - WSGI
        if environment["REQUEST_METHOD"] in {"GET", "HEAD"}:
            asked.append(environment.get("HTTP_RANGE", ""))
        return app(environment, start)

    server._server.app = noting  # noqa: SLF001
    return asked


if __name__ == "__main__":
    main()
