"""The sources of a backfill: a prefix of S3, a CSV, a STAC search's result, an S3 Inventory."""

import csv
import json
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import batched
from pathlib import Path
from typing import Any, Final

from clayline.scene.href import S3Object, locate
from clayline_cli.backfilling.found import Found, FoundItem, FoundObject, Source
from clayline_cli.backfilling.inventory import is_inventory, read_inventory
from clayline_cli.errors import CommandError
from clayline_cli.staging.remote import Remote

_S3: Final = "s3://"
_LINES: Final = (".ndjson", ".jsonl")
_WANTED: Final = (
    "Give a prefix of S3 that ends in a slash, a CSV (.csv), a STAC search's result (.json, .geojson, .ndjson), or the"
    " manifest.json of an S3 Inventory"
)
_AT_A_TIME: Final = 16
_LONGEST: Final = 2_000
"""Characters of a cell of a CSV: keys have 1,024 bytes."""


def open_source(called: str, remote: Remote, *, scratch: Path) -> Source:
    """Look what a source is; ``scratch`` is a folder for what is fetched. Raises CommandError."""
    bucket, _, key = called.removeprefix(_S3).partition("/")
    if called.startswith(_S3) and (not key or key.endswith("/")):
        return Source(kind="listing", called=called, found=_listing(bucket, key, remote))
    path = _fetched(called, remote, scratch) if called.startswith(_S3) else Path(called)
    name = called.lower()
    if not path.is_file():
        raise CommandError(f"{called} is no file. {_WANTED}.")
    if name.endswith(".csv"):
        return Source(kind="csv", called=called, found=_looked_up(_rows(path, called), remote))
    if name.endswith(_LINES):
        return Source(kind="search", called=called, found=_items(_json_lines(path, called), called))
    if not name.endswith((".json", ".geojson")):
        raise CommandError(f"{called} is none of what a backfill reads. {_WANTED}.")
    content = _json(path.read_bytes(), called)
    if is_inventory(content):
        if not called.startswith(_S3):
            raise CommandError(f"{called} is the manifest of an S3 Inventory. Name it where it lies, as s3://...")
        rows = read_inventory(content, bucket=bucket, called=called, remote=remote, scratch=scratch)
        return Source(kind="inventory", called=called, found=rows)
    if isinstance(content, dict) and content.get("type") == "FeatureCollection":
        features = content.get("features")
        if isinstance(features, list):
            return Source(kind="search", called=called, found=_items(enumerate(features, start=1), called))
    raise CommandError(f"{called} is neither a FeatureCollection nor the manifest of an S3 Inventory. {_WANTED}.")


def _fetched(called: str, remote: Remote, scratch: Path) -> Path:
    bucket, _, key = called.removeprefix(_S3).partition("/")
    path = scratch / "source"
    remote.fetch(bucket, key, path)
    return path


def _listing(bucket: str, prefix: str, remote: Remote) -> Iterator[Found]:
    for entry in remote.entries(bucket, prefix):
        yield FoundObject(bucket=bucket, key=entry.key, size=entry.size, etag=entry.etag)


def _rows(path: Path, called: str) -> Iterator[S3Object]:
    """Read URIs (in the first column, or in that called ``uri``), or the columns ``bucket`` and ``key``."""
    with path.open(encoding="utf-8-sig", newline="") as stream:
        rows = ((number, [cell.strip() for cell in row]) for number, row in enumerate(csv.reader(stream), start=1))
        try:
            columns: dict[str, int] | None = None
            for number, row in rows:
                if not any(row):
                    continue
                if columns is None:
                    columns = _columns(row, called)
                    if "://" not in row[columns.get("uri", 0)]:
                        continue  # it names the columns
                yield _named(row, columns, f"{called}, line {number}")
        except (UnicodeDecodeError, csv.Error) as error:
            raise CommandError(f"{called} is no CSV in UTF-8 ({error}). Export it again.") from error


def _columns(row: list[str], called: str) -> dict[str, int]:
    if "://" in row[0]:
        return {"uri": 0}
    names = {cell.lower(): number for number, cell in enumerate(row)}
    if "uri" in names or {"bucket", "key"} <= names.keys():
        return names
    raise CommandError(
        f"{called}: its first line is neither a URI nor names a column `uri`, or `bucket` and `key`. Name them."
    )


def _named(row: list[str], columns: Mapping[str, int], where: str) -> S3Object:
    cells = {name: row[number] if number < len(row) else "" for name, number in columns.items()}
    found: S3Object | str
    if (uri := cells.get("uri")) and "://" not in uri:
        found = "is no URI, such as s3://BUCKET/KEY"
    elif uri:
        found = locate(uri[:_LONGEST], "")
    elif cells.get("bucket") and cells.get("key"):
        found = S3Object(cells["bucket"], cells["key"])
    else:
        found = "is empty"
    if isinstance(found, str):
        raise CommandError(f"{where}: {cells.get('uri', '')[:_LONGEST]!r} {found}. Correct the line.")
    return found


def _looked_up(named: Iterator[S3Object], remote: Remote) -> Iterator[Found]:
    """Ask S3 for each object's size and ETag: one that is not there is told before anything is sent."""

    def look(one: S3Object) -> FoundObject:
        entry = remote.head(one.bucket, one.key)
        return FoundObject(bucket=one.bucket, key=one.key, size=entry.size, etag=entry.etag)

    with ThreadPoolExecutor(_AT_A_TIME) as pool:
        for some in batched(named, 1_000, strict=False):
            yield from pool.map(look, some)


def _items(values: Iterator[tuple[int, Any]], called: str) -> Iterator[Found]:
    for number, value in values:
        if not isinstance(value, dict) or value.get("type") != "Feature" or not isinstance(value.get("assets"), dict):
            raise CommandError(f"{called}: number {number} is no STAC Item. Search again, for Items.")
        yield FoundItem(content=value)


def _json_lines(path: Path, called: str) -> Iterator[tuple[int, Any]]:
    with path.open("rb") as stream:
        for number, line in enumerate(stream, start=1):
            if line.strip():
                yield number, _json(line, f"{called}, line {number}")


def _json(body: bytes, called: str) -> Any:  # noqa: ANN401 - JSON is anything
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise CommandError(f"{called} is no JSON ({error}). Export it again.") from error
