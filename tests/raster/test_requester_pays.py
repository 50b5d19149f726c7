"""Requester pays and other regions: what GDAL really sends, since moto holds nobody to it."""

import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.raster.geotiffs import TEN_METRES, texture, write

from clayline.raster.cog import ReadSettings
from clayline.raster.headers import read_header, s3_source
from clayline.raster.part import BandSource
from clayline.raster.tile import read_job
from clayline.run.access import Access

ACCESS = Access.parse(requester_pays="theirs, other", regions="theirs=us-west-2")


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[str, str | None, str]]]:
    """A server of one file; gives path, header x-amz-request-payer and signed region of each request."""
    content = write(tmp_path / "scene.tif", texture(2, 600, 600), blockxsize=64, blockysize=64).read_bytes()
    requests: list[tuple[str, str | None, str]] = []

    class Serve(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            signed = re.search(r"Credential=[^/]+/\d+/([^/]+)/s3", self.headers.get("Authorization", ""))
            requests.append((self.path, self.headers.get("x-amz-request-payer"), signed[1] if signed else ""))
            wanted = self.headers.get("Range")
            start, stop = (int(part) for part in wanted.removeprefix("bytes=").split("-")) if wanted else (0, 0)
            body = content[start : stop + 1] if wanted else b""
            self.send_response(206 if wanted else 404)
            self.send_header("Content-Length", str(len(body)))
            if wanted:
                self.send_header("Content-Range", f"bytes {start}-{start + len(body) - 1}/{len(content)}")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's name
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Serve) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        for name, value in {
            "AWS_S3_ENDPOINT": f"127.0.0.1:{server.server_address[1]}",
            "AWS_HTTPS": "NO",
            "AWS_VIRTUAL_HOSTING": "FALSE",
            "AWS_REGION": "eu-central-1",
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret",
        }.items():
            monkeypatch.setenv(name, value)
        yield requests
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("bucket", "sent"),
    [
        ("theirs", {("requester", "us-west-2")}),
        ("other", {("requester", "eu-central-1")}),
        ("ours", {(None, "eu-central-1")}),
    ],
)
def test_header_and_pixels_are_asked_as_the_bucket_wants(
    asked: list[tuple[str, str | None, str]], tmp_path: Path, bucket: str, sent: set[tuple[str | None, str]]
) -> None:
    settings = ReadSettings(retries=1, access=ACCESS)
    source = s3_source(f"s3://{bucket}/scene.tif", (tmp_path / "scene.tif").stat().st_size)
    header = read_header(source, settings)
    of_header = len(asked)
    band = BandSource(name="red", source=source, header=header, band=1, nodata=None)
    read = read_job([band], None, transform=TEN_METRES, window=(0, 600, 0, 600), settings=settings)
    np.testing.assert_array_equal(read.pixels[0], texture(2, 600, 600)[0])
    assert 0 < of_header < len(asked)
    assert {(payer, region) for _, payer, region in asked} == sent
