"""Which runs somebody means: by a run's name, a scene's, or what landed."""

import json
import re
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from clayline.aws.ledger import DynamoLedger
from clayline.run.keys import parse_s3_uri
from clayline_cli.errors import CommandError
from clayline_cli.operating.running import Running
from clayline_cli.operating.runs import Listed, Runs, followed
from clayline_local.scene_keys import file_key, named

_ITEM: Final = (".json", ".geojson")
_MOST: Final = 16 << 20
"""Bytes of an Item that is read for its id."""
_AT_ONCE: Final = 16


def is_run(given: str) -> bool:
    """Whether that is a run's name."""
    return re.fullmatch(r"[0-9a-f]{32}", given) is not None


def runs_of(given: str, running: Running) -> list[Listed]:
    """Give every run of a scene that is meant, in the order in which they began.

    Raises CommandError if there is none.
    """
    names = _names(given, running)
    found = Runs(running.table).of_scene(names)
    if not found:
        called = " or ".join(sorted(names))
        msg = (
            f"the {running.name} knows no scene {called}. Give a run, the Item's id, or what landed; plan may not have"
            " come to it yet, or have ignored it: its log says so."
        )
        raise CommandError(msg)
    return found


def superseded(runs: Iterable[Listed], running: Running) -> frozenset[str]:
    """Give those of some runs whose scene has a later one among them: they want nothing any more.

    An Item that could not be used was refused under its URI, and computed later under its id: such Items are read.
    """
    runs = list(runs)
    past = followed(runs, called={})
    items = [
        run
        for run in runs
        if run.kind == "refused" and run.run not in past and "://" in run.scene and run.scene.lower().endswith(_ITEM)
    ]
    if not items:
        return past
    s3, landed = running.client("s3"), [_landed(run, running) for run in items]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        found = [_id(content) for content in pool.map(lambda uri: _remote(uri, s3), landed)]
    called = {run.run: identity or _id(_beside(run.scene)) for run, identity in zip(items, found, strict=True)}
    return followed(runs, called={run: identity for run, identity in called.items() if identity})


def _landed(run: Listed, running: Running) -> str:
    """Give the URI of what landed: its name, unless it was landed from somewhere else."""
    if run.scene.startswith("s3://"):
        return run.scene
    row = DynamoLedger(running.table).run(run.run)
    try:
        origin = json.loads(row.origin) if row else {}
        return f"s3://{origin['bucket']}/{origin['key']}"
    except (ValueError, KeyError):  # refused before it was noted from where
        return run.scene


def _beside(uri: str) -> bytes:
    """Read the Item of a ``file:`` URI, if it is there."""
    path = Path.from_uri(uri) if uri.startswith("file:///") else None
    return _local(path) if path and path.is_file() else b""


def _names(given: str, running: Running) -> set[str]:
    """Give what the ledger may call it: a COG by its URI, another scene by its Item's id."""
    path = Path(given.removeprefix("file://"))
    names, content = {given}, b""
    if path.is_file():
        names.add(named(file_key(path)))
        content = _local(path)
    elif given.startswith("s3://") and given.lower().endswith(_ITEM):
        content = _remote(given, running.client("s3"))
    identity = _id(content)
    return {*names, identity} if identity else names


def _local(path: Path) -> bytes:
    with path.open("rb") as stream:
        return stream.read(_MOST) if path.suffix.lower() in _ITEM else b""


def _remote(uri: str, s3: Any) -> bytes:  # noqa: ANN401 - boto3's clients are generated
    """Read an Item for its id; one that is gone, or that these credentials may not read, says nothing."""
    try:
        bucket, key = parse_s3_uri(uri)
        answer: Any = s3.get_object(Bucket=bucket, Key=key, Range=f"bytes=0-{_MOST - 1}")
        body: bytes = answer["Body"].read()
    except (ValueError, ClientError, BotoCoreError):
        return b""
    return body


def _id(content: bytes) -> str | None:
    try:
        item = json.loads(content)
    except ValueError:
        return None
    identity = item.get("id") if isinstance(item, dict) else None
    return identity if isinstance(identity, str) else None
