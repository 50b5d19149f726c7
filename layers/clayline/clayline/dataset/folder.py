"""A dataset in a folder of this machine: whole files only, written once or swapped under a lock."""

import fcntl
import os
import secrets
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from clayline.dataset.ports import Stored
from clayline.errors import TransientError
from clayline.ports import ObjectForbiddenError, ObjectMissingError, ObjectTooLargeError

_LOCK: Final = ".lock"


class FolderRoot:
    """A WritableRoot over a folder. Names that begin with a dot are its own (unfinished files, locks), never objects.

    An ETag is the moment of the last change and the size; ``replace`` sees to it that the moment grows.
    """

    def __init__(self, path: Path) -> None:
        """Take the folder."""
        self._path = path.absolute()

    @property
    def uri(self) -> str:
        """Its path; empty for that of all files, so that a key after a slash is a path too."""
        return str(self._path).removesuffix("/")

    def list(self, prefix: str) -> Iterator[Stored]:
        """Give the files under a prefix, by key. Raises ObjectForbiddenError, TransientError."""
        start = prefix.rpartition("/")[0]
        top = self._file(start) if start else self._path
        found: list[str] = []
        with _told(top):
            for folder, folders, names in os.walk(top, onerror=_unless_gone):
                folders[:] = [name for name in folders if not name.startswith(".")]
                at = Path(folder).relative_to(self._path)
                found += [(at / name).as_posix() for name in names if not name.startswith(".")]
        yield from filter(None, map(self._there, sorted(key for key in found if key.startswith(prefix))))

    def head(self, key: str) -> Stored:
        """Raises ObjectMissingError, ObjectForbiddenError, TransientError."""
        path = self._file(key)
        with _told(path):
            return _stored(key, path.stat())

    def get(self, key: str, *, most: int) -> tuple[bytes, str]:
        """Raises ObjectMissingError, ObjectTooLargeError, ObjectForbiddenError, TransientError."""
        path = self._file(key)
        with _told(path), path.open("rb") as file:
            stored = _stored(key, os.fstat(file.fileno()))
            if stored.size > most:
                msg = f"{path} has {stored.size} bytes; at most {most} are read"
                raise ObjectTooLargeError(msg)
            return file.read(), stored.etag

    def get_range(self, key: str, *, start: int, stop: int, etag: str | None = None) -> bytes:
        """Raises ObjectMissingError, also where the file was changed, ObjectForbiddenError, TransientError."""
        path = self._file(key)
        with _told(path), path.open("rb") as file:
            if etag is not None and _stored(key, os.fstat(file.fileno())).etag != etag:
                msg = f"{path} was changed"
                raise ObjectMissingError(msg)
            file.seek(start)
            return file.read(stop - start)

    def put_new(self, key: str, body: bytes | Path) -> bool:
        """Write if nothing is there; False if something is. Raises TransientError."""
        path = self._file(key)
        with _told(path):
            if path.exists():
                return False
            with self._whole(path, body) as whole:
                return _linked(whole, path)

    def replace(self, key: str, body: bytes, *, etag: str | None) -> bool:
        """Write over the file that has this ETag (None: where there is none); False if there is another by now.

        Raises TransientError.
        """
        path = self._file(key)
        with _told(path), self._whole(path, body) as whole, _locked(path.parent):
            try:
                there = path.stat()
            except FileNotFoundError:
                there = None
            if (etag is None) != (there is None) or (there and _stored(key, there).etag != etag):
                return False
            if there:  # two swaps within a tick of the clock must not have one ETag
                moment = max(whole.stat().st_mtime_ns, there.st_mtime_ns + 1)
                os.utime(whole, ns=(moment, moment))
            whole.replace(path)
            _sync_folder(path.parent)
            return True

    def discard(self, keys: Sequence[str]) -> None:
        """Delete files, those that are there. Raises TransientError."""
        for key in keys:
            path = self._file(key)
            with _told(path):
                path.unlink(missing_ok=True)

    def _there(self, key: str) -> Stored | None:
        """Give a file, unless it was deleted since it was listed."""
        try:
            return self.head(key)
        except ObjectMissingError:
            return None

    def _file(self, key: str) -> Path:
        """Give a key's path. Raises ObjectMissingError for what leads out of the folder or is none of its objects."""
        parts = key.split("/")
        if any(not part or part.startswith(".") or "\0" in part for part in parts):
            msg = f"there is no object {key!r} in {self._path}"
            raise ObjectMissingError(msg)
        return self._path.joinpath(*parts)

    @contextmanager
    def _whole(self, path: Path, body: bytes | Path) -> Iterator[Path]:
        """Lend a hidden file beside ``path`` that is whole and on the disk."""
        path.parent.mkdir(parents=True, exist_ok=True)
        whole = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        try:
            with whole.open("xb") as file:
                if isinstance(body, Path):
                    with body.open("rb") as source:
                        shutil.copyfileobj(source, file)
                else:
                    file.write(body)
                file.flush()
                os.fsync(file.fileno())
            yield whole
        finally:
            whole.unlink(missing_ok=True)


def _stored(key: str, found: os.stat_result) -> Stored:
    return Stored(
        key=key,
        size=found.st_size,
        etag=f"{found.st_mtime_ns:x}-{found.st_size:x}",
        modified=datetime.fromtimestamp(found.st_mtime_ns / 1e9, UTC),
    )


def _linked(whole: Path, path: Path) -> bool:
    """Give a whole file its name, unless that is taken: a link is made or not, where a rename would replace."""
    try:
        os.link(whole, path)
    except FileExistsError:
        return False
    except PermissionError:  # a file system without links, such as exFAT
        with _locked(path.parent):
            if path.exists():
                return False
            whole.replace(path)
    _sync_folder(path.parent)
    return True


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the folder's lock, which ends with the process."""
    held = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield
    finally:
        os.close(held)


def _sync_folder(folder: Path) -> None:
    """Bring a folder's names to the disk."""
    opened = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def _unless_gone(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Turn what the system says into the errors of the port."""
    try:
        yield
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        msg = f"there is no file {path}"
        raise ObjectMissingError(msg) from error
    except PermissionError as error:
        msg = f"{path} may not be read or written: {error.strerror}. Change its permissions."
        raise ObjectForbiddenError(msg) from error
    except OSError as error:
        msg = f"{path}: {error.strerror or error}"
        raise TransientError(msg) from error
