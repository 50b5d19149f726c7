"""Bytes that lie elsewhere, as the file that pyarrow reads."""

import io
from collections.abc import Callable


class AsFile(io.RawIOBase):
    """``size`` bytes, of which each read asks ``give`` for those from a start up to a stop."""

    def __init__(self, size: int, give: Callable[[int, int], bytes]) -> None:
        super().__init__()
        self._size = size
        self._give = give
        self._at = 0

    def readable(self) -> bool:
        """Be so."""
        return True

    def seekable(self) -> bool:
        """Be so."""
        return True

    def tell(self) -> int:
        """Give the position."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a position, which may lie outside."""
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        return self._at

    def read(self, size: int | None = -1) -> bytes:
        """Read from the position on; nothing outside of the file is asked for."""
        stop = self._size if size is None or size < 0 else min(self._at + size, self._size)
        body = self._give(self._at, stop) if stop > self._at >= 0 else b""
        self._at += len(body)
        return body
