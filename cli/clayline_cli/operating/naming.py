"""Which runs somebody means: by a run's name, a scene's, or what landed."""

import json
import re
from pathlib import Path
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from clayline.run.keys import parse_s3_uri
from clayline_cli.errors import CommandError
from clayline_cli.operating.running import Running
from clayline_cli.operating.runs import Listed, Runs
from clayline_local.scene_keys import file_key, named

_ITEM: Final = (".json", ".geojson")
_MOST: Final = 16 << 20
"""Bytes of an Item that is read for its id."""


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


def _names(given: str, running: Running) -> set[str]:
    """Give what the ledger may call it: a COG by its URI, another scene by its Item's id."""
    path = Path(given.removeprefix("file://"))
    names, content = {given}, b""
    if path.is_file():
        names.add(named(file_key(path)))
        content = _local(path)
    elif given.startswith("s3://") and given.lower().endswith(_ITEM):
        content = _remote(given, running)
    identity = _id(content)
    return {*names, identity} if identity else names


def _local(path: Path) -> bytes:
    with path.open("rb") as stream:
        return stream.read(_MOST) if path.suffix.lower() in _ITEM else b""


def _remote(uri: str, running: Running) -> bytes:
    """Read an Item for its id; one that is gone, or that these credentials may not read, says nothing."""
    try:
        bucket, key = parse_s3_uri(uri)
        answer: Any = running.client("s3").get_object(Bucket=bucket, Key=key, Range=f"bytes=0-{_MOST - 1}")
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
