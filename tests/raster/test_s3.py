"""COGs in S3: keys as they come, replaced objects, and networks that fail without a file's fault."""

import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import boto3
import numpy as np
import pytest
from moto.server import ThreadedMotoServer
from tests.raster.geotiffs import TEN_METRES, texture, write

from clayline.aws.objects import S3Objects
from clayline.chips.batch import Job
from clayline.chips.cog import CogHeader
from clayline.chips.grid import ChipGrid
from clayline.errors import BatchError, SceneError, TransientError
from clayline.ports import ObjectHead
from clayline.raster.cog import ReadSettings
from clayline.raster.headers import GdalHeaders, read_header, s3_source
from clayline.raster.part import BandSource
from clayline.raster.pixels import GdalPixels
from clayline.raster.tile import TilePixels, read_job
from clayline.run.names import Names
from clayline.run.plan import Plan, PlannedBand

SETTINGS = ReadSettings(retries=1)


def point_gdal_at(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    """Tell GDAL where S3 is, as local/ does."""
    for name, value in {
        "AWS_S3_ENDPOINT": address,
        "AWS_HTTPS": "NO",
        "AWS_VIRTUAL_HOSTING": "FALSE",
        "AWS_REGION": "eu-central-1",
    }.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    """A local S3; gives its host and port."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"{host}:{port}"
    server.stop()


@pytest.fixture
def put(moto: str, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Path], ObjectHead]:
    """Upload a file under a key of the bucket ``scenes``."""
    point_gdal_at(monkeypatch, moto)
    client = boto3.client("s3", endpoint_url=f"http://{moto}", region_name="us-east-1")
    client.create_bucket(Bucket="scenes")

    def upload(key: str, path: Path) -> ObjectHead:
        etag = client.put_object(Bucket="scenes", Key=key, Body=path.read_bytes())["ETag"].strip('"')
        return ObjectHead(uri=f"s3://scenes/{key}", size=path.stat().st_size, etag=etag, metadata={})

    return upload


@pytest.fixture
def objects(moto: str) -> S3Objects:
    """The store, read by boto3."""
    return S3Objects(boto3.client("s3", endpoint_url=f"http://{moto}", region_name="us-east-1"))


def planned(head: ObjectHead, header: CogHeader, band: int) -> PlannedBand:
    return PlannedBand(
        name=f"b{band}", uri=head.uri, etag=head.etag, size=head.size, band=band, header=header, nodata=(0.0,), offset=0
    )


@pytest.mark.parametrize(
    "key",
    [
        "plain.tif",
        "a+b c%2F ü.tif",
        "deep/er/100%/?x=1&y=#2.tif",
        "no-extension",
        "double//slash.TIF",
        "q'u\"o[t]e{s}.tif",
    ],
)
def test_any_key_is_read_as_it_is(
    put: Callable[[str, Path], ObjectHead], objects: S3Objects, tmp_path: Path, key: str
) -> None:
    pixels = texture(3, 200, 150)
    head = put(key, write(tmp_path / "scene.tif", pixels))
    headers = GdalHeaders(settings=SETTINGS, objects=objects)
    header = headers.read_header(headers.source(head))
    assert (header.height, header.width, header.sparse) == (200, 150, False)
    plan = SimpleNamespace(
        bands=[planned(head, header, 3), planned(head, header, 1)],
        mask=planned(head, header, 2),
        scene=SimpleNamespace(transform=TEN_METRES),
        grid=ChipGrid(height=200, width=150, size=64),
    )
    job = Job(number=0, row_start=1, row_stop=4, col_start=0, col_stop=2)
    read = GdalPixels(settings=SETTINGS).read_job(cast("Plan", plan), job)
    assert (read.row, read.col) == (64, 0)
    np.testing.assert_array_equal(read.pixels, pixels[[2, 0], 64:, :128])
    np.testing.assert_array_equal(read.mask, pixels[1, 64:, :128])


def test_a_replaced_object_is_seen_by_the_same_process(put: Callable[[str, Path], ObjectHead], tmp_path: Path) -> None:
    for value in (1, 2):
        head = put("replaced.tif", write(tmp_path / "scene.tif", np.full((1, 64, 64), value, np.uint16)))
        source = s3_source(head.uri, head.size)
        header = read_header(source, SETTINGS)
        band = BandSource(name="red", source=source, header=header, band=1, nodata=None)
        assert (
            read_job([band], None, transform=TEN_METRES, window=(0, 64, 0, 64), settings=SETTINGS).pixels == value
        ).all()


@pytest.mark.usefixtures("put")
@pytest.mark.parametrize("uri", ["s3://scenes/gone.tif", "s3://no-such-bucket/gone.tif"])
def test_an_object_that_is_not_there(uri: str) -> None:
    with pytest.raises(SceneError) as caught:
        read_header(s3_source(uri, 1000), SETTINGS)
    assert caught.value.reason == "source-missing"
    assert uri in str(caught.value)


@pytest.mark.parametrize("key", ["a/../../secret/x.tif", "./x.tif", "..", "a.tif\0b.tif", "a\nb.tif", "a\x7f.tif"])
def test_a_key_that_clients_would_resolve_is_refused(key: str) -> None:
    with pytest.raises(SceneError) as caught:
        s3_source(f"s3://scenes/{key}", 1000)
    assert caught.value.reason == "unusable-key"


def test_what_is_no_tiff_in_s3(put: Callable[[str, Path], ObjectHead], tmp_path: Path) -> None:
    (tmp_path / "scene.tif").write_text("no image " * 100)
    head = put("text.tif", tmp_path / "scene.tif")
    with pytest.raises(SceneError) as caught:
        read_header(s3_source(head.uri, head.size), SETTINGS)
    assert caught.value.reason == "not-a-geotiff"


@pytest.mark.parametrize("body", [b"no image " * 100, b"II*\0\x08\0\0\0", b""], ids=["text", "cut off", "empty"])
def test_what_is_said_of_an_object_calls_it_by_its_name(
    put: Callable[[str, Path], ObjectHead], objects: S3Objects, tmp_path: Path, body: bytes
) -> None:
    """GDAL's own words quote the path that it was given."""
    (tmp_path / "scene.tif").write_bytes(body)
    head = put("file/data/my scene/100%.tif", tmp_path / "scene.tif")
    names = Names(prefixes=(("s3://scenes/file/", "file:///"),))
    headers = GdalHeaders(settings=SETTINGS, names=names, objects=objects)
    with pytest.raises(SceneError) as caught:
        headers.read_header(headers.source(head))
    assert "file:///data/my%20scene/100%25.tif" in str(caught.value)
    assert "scenes" not in str(caught.value)
    assert "vsis3" not in str(caught.value)


ANSWERS = {
    "403": (
        b'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>AccessDenied</Code><Message>Access'
        b" Denied</Message></Error>"
    ),
    "503": (
        b'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>SlowDown</Code><Message>Reduce your request'
        b" rate.</Message></Error>"
    ),
}
"""What S3 says with these statuses."""


@dataclass
class FaultyStore:
    """A server that answers ranges of one file, except where told to fail."""

    content: bytes = b""
    fails: Callable[[int], str | None] = lambda _: None
    """From the number of the request (from 1) to a fault: an HTTP status, ``cut`` (half a body) or ``drop`` (none)."""
    requests: list[str | None] = field(default_factory=list)

    def serve(self, content: bytes, fails: Callable[[int], str | None]) -> None:
        """Start over."""
        self.content, self.fails = content, fails
        self.requests.clear()


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyStore]:
    """The faulty server, with GDAL pointed at it."""
    state = FaultyStore()

    class Serve(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            wanted = self.headers.get("Range")
            if wanted is None:  # GDAL asks whether a key is a folder
                self._answer(404, b"")
                return
            state.requests.append(wanted)
            fault = state.fails(len(state.requests))
            start, stop = (int(part) for part in wanted.removeprefix("bytes=").split("-"))
            body = state.content[start : stop + 1]
            if fault is None:
                self._answer(206, body, start=start)
            elif fault == "cut":
                self._answer(206, body[: len(body) // 2], start=start, length=len(body))
                self.close_connection = True
            elif fault == "drop":
                self.close_connection = True
            else:
                self._answer(int(fault), ANSWERS.get(fault, ANSWERS["503"]))

        def _answer(self, status: int, body: bytes, *, start: int = 0, length: int | None = None) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body) if length is None else length))
            self.send_header("ETag", '"one"')
            if status == 206:
                self.send_header("Content-Range", f"bytes {start}-{start + len(body) - 1}/{len(state.content)}")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's name
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Serve) as server:
        server.handle_error = lambda *_: None  # type: ignore[method-assign] # a client that hangs up is part of the test
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        point_gdal_at(monkeypatch, f"127.0.0.1:{server.server_address[1]}")
        yield state
        server.shutdown()
        thread.join()


def always(fault: str, *, after: int = 0) -> Callable[[int], str | None]:
    """Fail every request after the first ``after``."""
    return lambda number: fault if number > after else None


FLAWLESS = always("nothing", after=10**9)


def header_from(store: FaultyStore) -> CogHeader:
    return read_header(s3_source("s3://scenes/scene.tif", len(store.content)), SETTINGS)


@pytest.fixture
def large(tmp_path: Path) -> bytes:
    """A file whose tags and index lie far behind its start, so that they take requests of their own."""
    noise = np.random.default_rng(3).integers(1, 60_000, (2, 512, 512)).astype(np.uint16)
    path = write(tmp_path / "large.tif", noise, blockxsize=16, blockysize=16, interleave="band")
    assert path.stat().st_size > 1_000_000
    return path.read_bytes()


@pytest.mark.parametrize("fault", ["503", "500", "429", "drop"])
def test_a_server_that_only_fails_is_tried_again_later(store: FaultyStore, large: bytes, fault: str) -> None:
    store.serve(large, always(fault))
    with pytest.raises(TransientError, match=r"s3://scenes/scene\.tif"):
        header_from(store)


def test_nobody_at_the_address(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as unheard:  # bound, so that nobody else answers there, but it does not listen
        unheard.bind(("127.0.0.1", 0))
        point_gdal_at(monkeypatch, f"127.0.0.1:{unheard.getsockname()[1]}")
        with pytest.raises(TransientError):
            read_header(s3_source("s3://scenes/scene.tif", 1000), SETTINGS)


def test_a_forbidden_object(store: FaultyStore, large: bytes) -> None:
    store.serve(large, always("403"))
    with pytest.raises(SceneError) as caught:
        header_from(store)
    assert caught.value.reason == "source-forbidden"


@pytest.mark.parametrize("fault", ["503", "drop", "cut"])
@pytest.mark.parametrize("after", [1, 2, 3])
def test_a_header_that_arrives_in_part_is_never_taken_for_the_file(
    store: FaultyStore, large: bytes, fault: str, after: int
) -> None:
    store.serve(large, FLAWLESS)
    whole = header_from(store)
    needed = len(store.requests)
    store.serve(large, always(fault, after=after))
    if after >= needed:
        assert header_from(store) == whole
        return
    with pytest.raises((TransientError, SceneError)) as caught:
        header_from(store)
    if fault != "cut":  # a body cut short by every request is a file cut short, as far as anyone can tell
        assert isinstance(caught.value, TransientError)


@pytest.mark.parametrize("fault", ["503", "drop", "cut"])
def test_one_failed_request_does_no_harm(store: FaultyStore, large: bytes, fault: str) -> None:
    store.serve(large, FLAWLESS)
    whole = header_from(store)
    for failing in range(1, len(store.requests) + 1):
        store.serve(large, lambda number, failing=failing: fault if number == failing else None)  # type: ignore[misc] # bound per round
        assert header_from(store) == whole


def read_from(
    store: FaultyStore, header: CogHeader, window: tuple[int, int, int, int], settings: ReadSettings = SETTINGS
) -> TilePixels:
    source = s3_source("s3://scenes/scene.tif", len(store.content))
    bands = [BandSource(name=f"b{band}", source=source, header=header, band=band, nodata=None) for band in (1, 2)]
    return read_job(bands, None, transform=TEN_METRES, window=window, settings=settings)


def test_a_job_takes_a_request_a_band_and_one_for_the_header(store: FaultyStore, large: bytes) -> None:
    store.serve(large, FLAWLESS)
    header = header_from(store)
    store.requests.clear()
    read = read_from(store, header, (0, 512, 0, 512))
    assert read.decoded_blocks == 2 * 32 * 32
    assert len(store.requests) <= 2 + 3


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("fault", ["503", "drop"])
def test_pixels_that_do_not_arrive_are_a_matter_of_the_network(
    store: FaultyStore, large: bytes, fault: str, threads: int
) -> None:
    settings = ReadSettings(retries=1, threads=threads)
    store.serve(large, FLAWLESS)
    header = header_from(store)
    store.requests.clear()
    pixels = read_from(store, header, (0, 300, 0, 512), settings).pixels
    needed = len(store.requests)
    for after in range(needed):
        store.serve(large, always(fault, after=after))
        with pytest.raises(TransientError):
            read_from(store, header, (0, 300, 0, 512), settings)
    store.serve(large, lambda number: fault if number == needed else None)
    np.testing.assert_array_equal(read_from(store, header, (0, 300, 0, 512), settings).pixels, pixels)


@pytest.fixture
def damaged(large: bytes) -> bytes:
    """The same with 50 kB in its middle overwritten: a hundred blocks of the first band."""
    middle = len(large) // 4
    return large[:middle] + bytes(50_000) + large[middle + 50_000 :]


def test_a_damaged_object_is_told_from_a_bad_network(store: FaultyStore, large: bytes, damaged: bytes) -> None:
    store.serve(large, FLAWLESS)
    header = header_from(store)
    expected = read_from(store, header, (0, 512, 0, 512))
    assert expected.damaged is None
    needed = len(store.requests)
    store.serve(damaged, FLAWLESS)
    read = read_from(store, header, (0, 512, 0, 512))
    assert read.damaged is not None
    blocks = read.damaged.reshape(32, 16, 32, 16).any(axis=(1, 3))
    assert 80 < blocks.sum() < 120
    np.testing.assert_array_equal(read.damaged, blocks.repeat(16, axis=0).repeat(16, axis=1))
    np.testing.assert_array_equal(read.pixels[:, ~read.damaged], expected.pixels[:, ~read.damaged])
    # far from a request a block: neighbours come together
    assert len(store.requests) < 8 * needed


@pytest.mark.parametrize("fault", ["503", "drop", "cut"])
def test_a_network_that_fails_over_a_damaged_object_is_no_damage(
    store: FaultyStore, large: bytes, damaged: bytes, fault: str
) -> None:
    """GDAL does not warn of every response that is cut short or missing: then the bytes that did not come tell."""
    settings = ReadSettings(retries=0)
    store.serve(large, FLAWLESS)
    header = header_from(store)
    store.serve(damaged, FLAWLESS)
    truth = read_from(store, header, (0, 512, 0, 512), settings)
    assert truth.damaged is not None
    refused = 0
    for after in range(1, 100):
        store.serve(damaged, always(fault, after=after))
        # A header cut short by every request is a file cut short, as far as anyone can tell.
        expected = (TransientError, BatchError) if fault == "cut" else TransientError
        try:
            read = read_from(store, header, (0, 512, 0, 512), settings)
        except expected:
            refused += 1
            continue
        assert read.damaged is not None
        np.testing.assert_array_equal(read.damaged, truth.damaged)
        np.testing.assert_array_equal(read.pixels, truth.pixels)
        break
    assert refused > 4


def test_a_body_cut_short_once_or_twice_is_no_damage(store: FaultyStore, large: bytes) -> None:
    store.serve(large, FLAWLESS)
    header = header_from(store)
    store.requests.clear()
    expected = read_from(store, header, (0, 512, 0, 512)).pixels
    needed = len(store.requests)
    whole = 0
    for cut in [{first, first + gap} for first in range(1, needed + 1) for gap in range(needed + 1)]:
        store.serve(large, lambda number, cut=cut: "cut" if number in cut else None)  # type: ignore[misc] # bound per round
        try:
            read = read_from(store, header, (0, 512, 0, 512))
        except TransientError:
            continue
        whole += 1
        assert read.damaged is None
        np.testing.assert_array_equal(read.pixels, expected)
    assert whole


def test_blocks_beyond_the_end_of_an_object_are_damage(store: FaultyStore, large: bytes) -> None:
    """Plan refuses such a file, but of a huge index it looks at a part."""
    store.serve(large, FLAWLESS)
    header = header_from(store)
    expected = read_from(store, header, (0, 512, 0, 512)).pixels
    store.serve(large[:-3000], FLAWLESS)
    read = read_from(store, header, (0, 512, 0, 512))
    assert read.damaged is not None
    assert 0 < read.damaged.sum() < 10 * 16 * 16
    assert read.damaged[-16:, -16:].all()
    np.testing.assert_array_equal(read.pixels[:, ~read.damaged], expected[:, ~read.damaged])
