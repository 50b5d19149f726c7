"""A file's ETag as S3 gives it: what a scene's provenance notes of each file, and by which a changed one is known."""

import hashlib
import re
from pathlib import Path
from typing import Final

PART: Final = 8 * 2**20
"""Bytes from which boto3 uploads a file in parts, and of each."""
_PARTS: Final = tuple(mebibytes * 2**20 for mebibytes in (8, 5, 10, 15, 16, 32, 50, 64, 100, 128, 256, 512))
"""Bytes of a part, as tools that are in use make them."""
_ETAG: Final = re.compile(r"[0-9a-f]{32}(-(?P<parts>[0-9]+))?")


def etag_of(file: Path, *, part: int | None = None) -> str:
    """Give the ETag of an upload in one piece, the MD5 of the bytes; or in parts: the MD5 of their MD5s, their number.

    Raises OSError.
    """
    with file.open("rb") as stream:
        if part is None:
            return hashlib.file_digest(stream, "md5").hexdigest()
        parts = []
        while read := stream.read(part):
            parts.append(hashlib.md5(read, usedforsecurity=False).digest())
    return f"{hashlib.md5(b''.join(parts), usedforsecurity=False).hexdigest()}-{len(parts)}"


def is_changed(file: Path, etag: str) -> bool:
    """Say whether a file is another than the one of which the ETag was noted; False where an ETag says nothing of it.

    That is so of an ETag that is no MD5, and of an upload in parts of a size that no common tool makes. An object that
    S3 encrypts by a key of KMS has an ETag that is none of its bytes', and looks changed. Raises OSError.
    """
    found = _ETAG.fullmatch(etag)
    if not found:
        return False
    if found["parts"] is None:
        return etag_of(file) != etag
    size = file.stat().st_size
    likely = [part for part in _PARTS if -(-size // part) == int(found["parts"])]
    return bool(likely) and all(etag_of(file, part=part) != etag for part in likely)
