"""What reading takes: foretold from the files' indexes, it is what an S3 server is asked for."""

import itertools
import random
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import pytest
import rasterio
from hypothesis import given
from hypothesis import strategies as st
from moto.server import ThreadedMotoServer
from tests.raster.geotiffs import bands_of, header_of, spoil, write

import clayline.raster.reading
from clayline.chips.cog import CogSource
from clayline.chips.reading import BEGINNING, NEAR, Reading, reading_of, runs_of
from clayline.raster.cog import ReadSettings
from clayline.raster.headers import read_header, s3_source
from clayline.raster.part import BandSource
from clayline.raster.reading import readings
from clayline.raster.tile import PixelWindow, read_job

SETTINGS = ReadSettings()
WINDOWS: list[PixelWindow] = [(0, 700, 0, 900), (100, 650, 70, 500), (0, 64, 0, 900), (640, 700, 832, 900)]


class Counted:
    """A local S3 that notes which bytes of objects it is asked for."""

    def __init__(self, server: ThreadedMotoServer) -> None:
        server.start()
        self.host = ":".join(map(str, server.get_host_and_port()))
        self.asked: list[str] = []
        assert server._server
        app = server._server.app

        def noting(environment: dict[str, Any], start: Any) -> Any:
            if environment["REQUEST_METHOD"] in {"GET", "HEAD"}:
                self.asked.append(environment.get("HTTP_RANGE", ""))
            return app(environment, start)

        server._server.app = noting

    @property
    def bytes(self) -> int:
        """Asked for beyond files' beginnings."""
        ranges = [tuple(map(int, asked.removeprefix("bytes=").split("-"))) for asked in self.asked]
        return sum(stop - start + 1 for start, stop in ranges if start)


@pytest.fixture(scope="module")
def counted() -> Iterator[Counted]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    store = Counted(server)
    yield store
    server.stop()


@pytest.fixture
def put(counted: Counted, monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], list[BandSource]]:
    """Upload a file; gives its bands as they are read from S3."""
    for name, value in {"ENDPOINT": counted.host, "HTTPS": "NO", "VIRTUAL_HOSTING": "FALSE"}.items():
        monkeypatch.setenv(f"AWS_{'S3_' if name == 'ENDPOINT' else ''}{name}", value)
    client = boto3.client("s3", endpoint_url=f"http://{counted.host}", region_name="us-east-1")
    client.create_bucket(Bucket="scenes")

    def upload(path: Path) -> list[BandSource]:
        client.put_object(Bucket="scenes", Key=path.name, Body=path.read_bytes())
        source = s3_source(f"s3://scenes/{path.name}", path.stat().st_size)
        header = read_header(source, SETTINGS)
        return [
            BandSource(name=f"b{number}", source=source, header=header, band=number, nodata=0)
            for number in range(1, header.band_count + 1)
        ]

    return upload


def noise(bands: int) -> Any:
    """Pixels that no compression makes smaller, so that the file's beginning holds few blocks."""
    return np.random.default_rng(7).integers(1, 60_000, (bands, 700, 900), dtype=np.uint16)


LAYOUTS: dict[str, dict[str, Any]] = {
    "tiles": {"blockxsize": 64, "blockysize": 64},
    "large tiles": {"blockxsize": 256, "blockysize": 256},
    "strips": {"tiled": False, "blockysize": 8},
    "uncompressed": {"compress": "none", "blockxsize": 128, "blockysize": 128},
    "by pixel": {"interleave": "pixel", "blockxsize": 128, "blockysize": 128},
    "by band": {"interleave": "band", "blockxsize": 128, "blockysize": 128},
}


@pytest.mark.parametrize("window", WINDOWS, ids=str)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_requests_are_those_that_a_server_sees(
    counted: Counted, put: Callable[[Path], list[BandSource]], tmp_path: Path, layout: str, window: PixelWindow
) -> None:
    bands = put(write(tmp_path / "noise.tif", noise(3 if layout.startswith("by") else 1), **LAYOUTS[layout]))
    transform = bands[0].header.transform
    [foretold] = readings([bands], transform=transform, windows=[window], settings=SETTINGS) or []
    counted.asked.clear()
    read = read_job(bands, None, transform=transform, window=window, settings=SETTINGS)
    assert foretold.blocks == read.decoded_blocks
    assert read.reading == foretold, "what is reported when it is done"
    assert foretold.requests == len(counted.asked)
    rounded = 0 if foretold.blocks > 1 else 2 * 16_384
    assert foretold.bytes <= counted.bytes <= foretold.bytes + rounded


def test_files_of_a_scene_and_jobs_of_it_add_up(
    counted: Counted, put: Callable[[Path], list[BandSource]], tmp_path: Path
) -> None:
    """A band of half the pixels beside one of the whole, and a file of which a window touches nothing."""
    [fine] = put(write(tmp_path / "fine.tif", noise(1)))
    a, b, c, d, e, f = fine.header.transform
    [coarse] = put(write(tmp_path / "coarse.tif", noise(1)[:, :350, :450], transform=(2 * a, b, c, d, 2 * e, f)))
    [small] = put(write(tmp_path / "small.tif", noise(1)[:, :64, :64]))
    files = [[fine], [coarse], [small]]
    found = readings(files, transform=fine.header.transform, windows=WINDOWS[:2], settings=SETTINGS)
    assert found
    for window, foretold in zip(WINDOWS[:2], found, strict=True):
        counted.asked.clear()
        read = read_job([fine, coarse, small], None, transform=fine.header.transform, window=window, settings=SETTINGS)
        assert (foretold.blocks, foretold.requests) == (read.decoded_blocks, len(counted.asked))
        assert read.reading == foretold
    assert [(reading.files, reading.ranges) for reading in found] == [(3, 2), (2, len(counted.asked) - 2)]


@pytest.mark.parametrize(("gap", "requests"), [(NEAR, 1), (NEAR + 1, 25)])
def test_blocks_are_fetched_together_up_to_this_gap(
    counted: Counted, put: Callable[[Path], list[BandSource]], tmp_path: Path, gap: int, requests: int
) -> None:
    """What lies between the blocks is made by moving them apart, each by so many bytes."""
    path = write(tmp_path / "gaps.tif", np.full((1, 64, 1600), 7, np.uint8), compress="none")
    bands = put(move_apart(path, gap))
    window = (0, 64, 0, 1600)
    transform = bands[0].header.transform
    [foretold] = readings([bands], transform=transform, windows=[window], settings=SETTINGS) or []
    counted.asked.clear()
    read = read_job(bands, None, transform=transform, window=window, settings=SETTINGS)
    assert (read.pixels == 7).all()
    assert (foretold.ranges, len(counted.asked)) == (requests, 1 + requests)
    assert foretold.bytes == counted.bytes


def move_apart(path: Path, gap: int) -> Path:
    """Write the blocks of a file of one row of them again at its end, with ``gap`` bytes between."""
    with rasterio.open(path) as dataset:
        cols = range(dataset.width // 64)
        places = [
            tuple(int(dataset.get_tag_item(f"BLOCK_{what}_{col}_0", "TIFF", bidx=1)) for what in ("OFFSET", "SIZE"))
            for col in cols
        ]
    body = path.read_bytes()
    index = struct.pack(f"<{len(places)}I", *[offset for offset, _ in places])
    assert body.count(index) == 1
    start = len(body) + 40_000  # beyond what an opening fetches
    moved = [start + sum(size + gap for _, size in places[:number]) for number in range(len(places))]
    blocks = b"".join(body[offset : offset + size] + bytes(gap) for offset, size in places)
    body = body.replace(index, struct.pack(f"<{len(places)}I", *moved)) + bytes(40_000) + blocks
    path.write_bytes(body)
    return path


@given(
    sizes=st.lists(st.tuples(st.integers(0, 30), st.integers(1, 50)), max_size=30),
    shuffled=st.randoms(use_true_random=False),
)
def test_runs_hold_every_block_and_nothing_far_from_one(sizes: list[tuple[int, int]], shuffled: random.Random) -> None:
    """Blocks are given as gap and size; each run is counted byte by byte."""
    places, at = [], 0
    for gap, size in sizes:
        places.append((at + gap, size))
        at += gap + size
    bytes_of = {byte for offset, size in places for byte in range(offset, offset + size)}
    shuffled.shuffle(places)
    runs = list(runs_of(places))
    held = {byte for offset, size in runs for byte in range(offset, offset + size)}
    assert bytes_of <= held
    assert all(offset in bytes_of and offset + size - 1 in bytes_of for offset, size in runs)
    gaps = [later - (offset + size) for (offset, size), (later, _) in itertools.pairwise(runs)]
    assert all(gap > NEAR for gap in gaps)
    assert len(held - bytes_of) == sum(gap for gap, _ in sizes[1:] if gap <= NEAR)
    assert reading_of((BEGINNING + offset, size) for offset, size in places) == Reading(
        blocks=len(places), ranges=len(runs), bytes=len(held)
    )


def test_second_attempts_are_reported(tmp_path: Path) -> None:
    """A damaged block among 4 x 3: all at once, then by rows and blocks, then that block again."""
    path = spoil(write(tmp_path / "noise.tif", noise(1), blockxsize=256, blockysize=256), row=1, col=2)
    bands, transform = bands_of(path, 1), header_of(path).transform
    [foretold] = readings([bands], transform=transform, windows=WINDOWS[:1], settings=SETTINGS) or []
    read = read_job(bands, None, transform=transform, window=WINDOWS[0], settings=SETTINGS)
    assert read.damaged is not None
    assert (foretold.files, foretold.blocks) == (1, 12)
    assert read.reading.files == 3
    assert read.reading.blocks == 12 + 12 + 12 + 4 + 1


def test_an_opening_fetches_so_much() -> None:
    here = CogSource(path="/here.tif", uri="/here.tif", size=1)
    assert SETTINGS.gdal_options(here)["GDAL_INGESTED_BYTES_AT_OPEN"] == str(BEGINNING)


def test_too_many_blocks_are_not_looked_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = write(tmp_path / "noise.tif", noise(1))
    bands, transform = bands_of(path, 1), header_of(path).transform
    blocks = 11 * 15
    for most, known in ((blocks, True), (blocks - 1, False)):
        monkeypatch.setattr(clayline.raster.reading, "MOST_LOOKED_UP", most)
        found = readings([bands], transform=transform, windows=WINDOWS[:1], settings=SETTINGS)
        assert (found is not None) == known
