"""A file's ETag: S3's own of an upload in one piece or in parts, and a changed file known by it."""

import hashlib
from pathlib import Path

import pytest

from clayline_local.etags import PART, etag_of, is_changed


def md5(body: bytes) -> "hashlib._Hash":
    return hashlib.md5(body, usedforsecurity=False)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("etags") / "scene.tif"
    path.write_bytes(bytes(range(256)) * 45_000)  # over one part of boto3's, under two
    return path


def test_it_is_the_md5_of_the_bytes_or_of_the_parts_md5s(file: Path) -> None:
    body = file.read_bytes()
    assert etag_of(file) == md5(body).hexdigest()
    parts = md5(body[:PART]).digest() + md5(body[PART:]).digest()
    assert etag_of(file, part=PART) == f"{md5(parts).hexdigest()}-2"


@pytest.mark.parametrize("part", [None, PART, 5 * 2**20, 16 * 2**20])
def test_a_changed_file_is_known_and_the_same_one_is(file: Path, tmp_path: Path, part: int | None) -> None:
    etag = etag_of(file, part=part)
    assert not is_changed(file, etag)
    other = tmp_path / "other.tif"
    other.write_bytes(file.read_bytes()[:-1] + b"!")
    assert is_changed(other, etag)


@pytest.mark.parametrize("etag", ["", "0x8DCA", "W/1", f"{'0' * 32}-2000"])
def test_an_etag_that_says_nothing_of_the_bytes_is_no_proof(file: Path, etag: str) -> None:
    assert not is_changed(file, etag)
