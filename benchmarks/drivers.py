"""GTiff against LIBERTIFF, GDAL's other driver of GeoTIFFs: what each opens, whether pixels are equal, how long reading
takes and how many requests it makes, in one run.

`python benchmarks/drivers.py [FOLDER]` reads every GeoTIFF under FOLDER (default: the bundled sample, and the shared
scenes if they are there); requests are counted by a server on 127.0.0.1 that serves ranges as S3 does.
"""

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import rasterio
from rasterio.env import Env
from rasterio.errors import RasterioIOError

ROOT = Path(__file__).resolve().parents[1]
SHARED = Path(os.environ.get("CLAYLINE_SHARED", ROOT.parent / "shared")) / "data"
DRIVERS = "GTiff", "LIBERTIFF"
ROUNDS = 3
OPTIONS = {
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_PAM_ENABLED": "NO",
    "GDAL_INGESTED_BYTES_AT_OPEN": "32768",
}


def read(path: str, driver: str, *, threads: int) -> Any:  # noqa: ANN401 - an array, and None where it does not open
    """Read all bands by one driver; None where it does not open the file."""
    with Env(GDAL_NUM_THREADS=str(threads), CPL_VSIL_CURL_NON_CACHED="/vsicurl/", **OPTIONS):
        try:
            with rasterio.open(path, driver=driver, sharing=False) as dataset:
                return dataset.read(), tuple(dataset.descriptions), dataset.nodata, dataset.crs, dataset.transform
        except RasterioIOError:
            return None


def seconds(path: str, driver: str, *, threads: int) -> float:
    """Give the median time of reading all bands."""
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        read(path, driver, threads=threads)
        times.append(time.perf_counter() - start)
    return median(times)


class Served(ThreadingHTTPServer):
    """A server of one folder's files by range, which counts requests."""

    daemon_threads = True
    count = 0


class Handler(BaseHTTPRequestHandler):
    """Ranges of files."""

    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        """Say how long a file is."""
        self._answer(send=False)

    def do_GET(self) -> None:
        """Give a range, or all."""
        self._answer(send=True)

    def _answer(self, *, send: bool) -> None:
        assert isinstance(self.server, Served)
        self.server.count += 1
        body = Path(self.path).read_bytes()
        first, last = 0, len(body) - 1
        if wanted := self.headers.get("Range"):
            start, _, stop = wanted.removeprefix("bytes=").partition("-")
            first, last = int(start), min(int(stop or last), last)
        self.send_response(206 if wanted else 200)
        self.send_header("Content-Length", str(last - first + 1))
        self.send_header("Accept-Ranges", "bytes")
        if wanted:
            self.send_header("Content-Range", f"bytes {first}-{last}/{len(body)}")
        self.end_headers()
        if send:
            self.wfile.write(body[first : last + 1])

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def served() -> Iterator[Served]:
    """Serve files for as long as the context lasts."""
    server = Served(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()


def requests(server: Served, path: Path, driver: str) -> int:
    """Count the requests of reading a file."""
    server.count = 0
    read(f"/vsicurl/http://127.0.0.1:{server.server_address[1]}{path}", driver, threads=2)
    return server.count


def main() -> None:
    """Compare every file, and print a line for each."""
    folders = [Path(sys.argv[1])] if len(sys.argv) > 1 else [ROOT / "samples", SHARED]
    files = sorted(path.resolve() for folder in folders if folder.is_dir() for path in folder.rglob("*.tif"))
    print(f"{len(files)} files; seconds GTiff / LIBERTIFF by one and two threads; requests GTiff, LIBERTIFF")
    total = {(driver, threads): 0.0 for driver in DRIVERS for threads in (1, 2)}
    counts = dict.fromkeys(DRIVERS, 0)
    alike = opened = 0
    with served() as server:
        for path in files:
            ours, theirs = (read(str(path), driver, threads=2) for driver in DRIVERS)
            if ours is None or theirs is None:
                print(f"  {path.name}: opens by GTiff {ours is not None}, by LIBERTIFF {theirs is not None}")
                continue
            opened += 1
            same = np.array_equal(ours[0], theirs[0], equal_nan=ours[0].dtype.kind == "f") and repr(ours[1:]) == repr(
                theirs[1:]
            )
            alike += same
            for key in total:
                total[key] += seconds(str(path), key[0], threads=key[1])
            made = [requests(server, path, driver) for driver in DRIVERS]
            counts = {driver: counts[driver] + number for driver, number in zip(DRIVERS, made, strict=True)}
            if not same or made[1] > made[0]:
                print(f"  {path.name}: alike {same}, requests {made[0]}, {made[1]}")
    for threads in (1, 2):
        ours, theirs = (total[driver, threads] for driver in DRIVERS)
        print(f"{threads} thread(s): {ours:.2f} s / {theirs:.2f} s = {ours / theirs:.2f}x")
    asked = ", ".join(map(str, counts.values()))
    print(f"alike in pixels, names, nodata and place: {alike} of {opened}; requests {asked}")


if __name__ == "__main__":
    main()
