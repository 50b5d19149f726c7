"""Keys of the local scenes bucket: each file of this machine and each object of S3 has its own, which says where it is.

The names that people know of them come back from the keys.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from clayline.run.names import Names
from clayline_local.errors import LocalCloudError

MAX_KEY_BYTES: Final = 1024 - len("cog/")
"""S3's limit, less the longest prefix that a key may get."""
NAMES: Final[Mapping[str, str]] = {"file/": "file:///", "cog/file/": "file:///", "s3/": "s3://", "cog/s3/": "s3://"}
"""Prefixes of keys in the local scenes bucket, and what stands for each in the names that people know."""
_ANY: Final = "any"
"""A bucket: the names are those of its keys alone."""


def file_key(path: Path) -> str:
    """Give the key of a file of this machine. Raises LocalCloudError if S3 has no key for its path."""
    return _checked(f"file{absolute(path)}", str(path))


def object_key(bucket: str, key: str) -> str:
    """Give the key of an object of S3. Raises LocalCloudError if it grows too long."""
    return _checked(f"s3/{bucket}/{key}", f"s3://{bucket}/{key}")


def named(key: str) -> str:
    """Give the name that people know of what lies under a key of the local scenes bucket."""
    return Names(prefixes=tuple((f"s3://{_ANY}/{prefix}", name) for prefix, name in NAMES.items())).of(
        f"s3://{_ANY}/{key}"
    )


def names(*, scenes_bucket: str, embeddings_bucket: str, out: Path, folders: Mapping[str, Path]) -> Names:
    """Give what people call what lies in the local buckets, where outputs come to lie in the folder ``out``, and what
    begins with an URI of ``folders`` in that folder.
    """
    scenes = ((f"s3://{scenes_bucket}/{prefix}", name) for prefix, name in NAMES.items())
    others = ((uri, _file_uri(absolute(folder))) for uri, folder in folders.items())
    return Names(prefixes=(*scenes, (f"s3://{embeddings_bucket}/", _file_uri(out)), *others))


def _file_uri(folder: Path) -> str:
    key = "".join(f"{part}/" for part in folder.parts[1:])
    return Names(prefixes=((f"s3://{_ANY}/", "file:///"),)).of(f"s3://{_ANY}/{key}")


def absolute(path: Path) -> Path:
    """Give the path as the user said it, without dots; where it really leads, if dots behind a link lead elsewhere."""
    lexical = Path(os.path.abspath(path))  # noqa: PTH100 - Path has nothing that folds dots and keeps links
    try:
        if not path.exists() or (lexical.exists() and lexical.samefile(path)):
            return lexical
        return path.resolve()
    except (OSError, ValueError):  # no path that this machine can have
        return lexical


def _checked(key: str, called: str) -> str:
    try:
        size = len(key.encode())
    except UnicodeEncodeError as error:
        msg = f"{called!r} is not valid UTF-8. Rename it."
        raise LocalCloudError(msg) from error
    if size > MAX_KEY_BYTES:
        msg = f"{called} has a path of over {MAX_KEY_BYTES} bytes, which S3 has no key for. Move it to a shorter path."
        raise LocalCloudError(msg)
    return key
