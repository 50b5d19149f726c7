"""S3 Inventory: a manifest names files of rows, an object a row.

Its CSV is read: names of objects are URL-encoded in it (S3 User Guide, Amazon S3 Inventory list).
"""

import csv
import gzip
import hashlib
import io
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote_plus

from clayline_cli.backfilling.found import Found, FoundObject
from clayline_cli.errors import CommandError
from clayline_cli.staging.remote import Remote

_NEEDED: Final = ("sourceBucket", "fileFormat", "fileSchema", "files")
_PIECE: Final = 1 << 20


def is_inventory(content: object) -> bool:
    """Tell a manifest of S3 Inventory from other JSON."""
    return isinstance(content, dict) and all(name in content for name in _NEEDED)


def read_inventory(
    content: Mapping[str, Any], *, bucket: str, called: str, remote: Remote, scratch: Path
) -> Iterator[Found]:
    """Give the objects that are there: neither delete markers nor older versions.

    ``bucket`` is the manifest's own, in which its files lie. Raises CommandError.
    """
    if content["fileFormat"] != "CSV":
        raise CommandError(
            f"{called}: the inventory is written as {content['fileFormat']}, and CSV is read. Set its output format"
            " to CSV, or give a CSV of the URIs."
        )
    columns = {name.strip(): number for number, name in enumerate(str(content["fileSchema"]).split(","))}
    if not {"Bucket", "Key"} <= columns.keys():
        raise CommandError(f"{called}: its fileSchema names no Bucket and Key. Is it a manifest of S3 Inventory?")
    for file in content["files"]:
        yield from _rows(_fetched(file, bucket, called, remote, scratch), columns, f"s3://{bucket}/{file['key']}")


def _fetched(file: Mapping[str, Any], bucket: str, called: str, remote: Remote, scratch: Path) -> Path:
    """Fetch a file of rows, and hold it against its checksum in the manifest."""
    if not isinstance(file, dict) or not isinstance(file.get("key"), str):
        raise CommandError(f"{called}: an entry of its files has no key. Is it a manifest of S3 Inventory?")
    path = scratch / "rows"
    remote.fetch(bucket, file["key"], path)
    wanted = file.get("MD5checksum")
    if wanted:
        digest = hashlib.md5(usedforsecurity=False)
        with path.open("rb") as stream:
            while piece := stream.read(_PIECE):
                digest.update(piece)
        if digest.hexdigest() != wanted:
            raise CommandError(
                f"s3://{bucket}/{file['key']} is not what {called} says (MD5). Wait for the next inventory."
            )
    return path


def _rows(path: Path, columns: Mapping[str, int], called: str) -> Iterator[Found]:
    try:
        with gzip.open(path) as packed, io.TextIOWrapper(packed, encoding="utf-8", newline="") as stream:
            for row in csv.reader(stream):
                cells = {name: row[number] for name, number in columns.items()}
                if cells.get("IsLatest", "true").lower() != "true" or cells.get("IsDeleteMarker", "").lower() == "true":
                    continue
                yield FoundObject(
                    bucket=cells["Bucket"],
                    key=unquote_plus(cells["Key"], errors="strict"),
                    size=int(cells.get("Size") or 0),
                    etag=cells.get("ETag", ""),
                )
    except (OSError, EOFError, zlib.error, ValueError, IndexError, csv.Error) as error:
        raise CommandError(f"{called} cannot be read as rows of an inventory ({error}). Fetch it anew.") from error
