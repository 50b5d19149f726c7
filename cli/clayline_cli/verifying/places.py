"""Where files lie: on this machine, or in S3, of which ranges are read."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol, Self

from clayline.errors import ClaylineError
from clayline_cli.errors import CommandError
from clayline_cli.verifying.verify_options import VerifyOptions

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from clayline.aws.objects import S3Objects
    from clayline.dataset.ports import Root
    from clayline.ports import ObjectHead
    from clayline.table.inspected import Bytes
    from clayline_cli.staging.remote import Remote

TABLES: Final = (".parquet", ".gpq", ".geoparquet")
"""How names of files of embeddings end."""
MOST_BESIDE: Final = 512 << 20
"""Bytes of a receipt or an Item that is read."""


class Place(Protocol):
    """A file or a prefix."""

    @property
    def names(self) -> Sequence[str]:
        """URIs of all that lies there, sorted; of a file that alone."""
        ...

    def beside(self, name: str) -> bytes | None:
        """Give an object whole, None where there is none. Raises CommandError with the reason where it is not read."""
        ...

    @contextmanager
    def open(self, name: str) -> Iterator["Bytes"]:
        """Lend its bytes. Raises CommandError."""
        ...

    def root(self) -> "Root":
        """Give it as the root of a dataset."""
        ...


class _Local:
    """A file on this machine."""

    near = True
    sha256 = None

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self.size = os.fstat(self._file).st_size

    def read(self, start: int, stop: int) -> bytes:
        """Give a range."""
        parts = []
        while start < stop and (part := os.pread(self._file, min(stop - start, 1 << 30), start)):
            parts.append(part)
            start += len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def close(self) -> None:
        """Let go of it."""
        os.close(self._file)


class Folder:
    """A folder, or a file in one."""

    def __init__(self, path: Path) -> None:
        """Take it. Raises CommandError if there is nothing."""
        self._path = path.absolute()
        if not self._path.exists():
            raise CommandError(f"there is no {path}. Give a file or a folder of embeddings, or an s3:// URI.")

    @property
    def names(self) -> Sequence[str]:
        """URIs of all that lies there."""
        if self._path.is_file():
            return [self._path.as_uri()]
        found: list[Path] = []
        for folder, folders, files in os.walk(self._path):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            found += [Path(folder) / name for name in files if not name.startswith(".")]
        return sorted(path.as_uri() for path in found)

    def beside(self, name: str) -> bytes | None:
        """Read it whole."""
        path = Path.from_uri(name)
        if not path.is_file():
            return None
        if (size := path.stat().st_size) > MOST_BESIDE:
            raise CommandError(f"{path.name} has {size} bytes; {MOST_BESIDE} at most are read")
        return path.read_bytes()

    @contextmanager
    def open(self, name: str) -> Iterator["Bytes"]:
        """Lend its bytes."""
        file = _Local(Path.from_uri(name))
        try:
            yield file
        finally:
            file.close()

    def root(self) -> "Root":
        """Give it as the root of a dataset."""
        from clayline.api.opening import root_of  # noqa: PLC0415 - only a dataset needs it

        return root_of(self._path)


class _Object:
    """An object in S3 as it was when it was first asked for."""

    near = False

    def __init__(self, objects: "S3Objects", head: "ObjectHead", stated: Callable[[], str | None]) -> None:
        self._objects = objects
        self._head = head
        self._stated = stated
        self.size = head.size

    @property
    def sha256(self) -> str | None:
        """What S3 states."""
        return self._stated()

    def read(self, start: int, stop: int) -> bytes:
        """Ask for a range."""
        if stop <= start:
            return b""
        return self._objects.get_range(self._head.uri, start=start, stop=stop, etag=self._head.etag)


class Bucket:
    """A bucket's prefix, or an object in one."""

    def __init__(self, target: str, objects: "S3Objects", remote: "Remote", client: "S3Client") -> None:
        """Take its URI, and what reads and lists."""
        self._target = target
        self._client = client
        self._objects = objects
        self._remote = remote

    @classmethod
    def of(cls, options: VerifyOptions) -> Self:
        """Sign in: to the local cloud, or to AWS by the user's own credentials."""
        import boto3  # noqa: PLC0415 - a second of imports that only S3 needs

        from clayline.aws.objects import S3Objects  # noqa: PLC0415 - see above
        from clayline.run.access import Access  # noqa: PLC0415 - see above
        from clayline_cli.staging.remote import Remote  # noqa: PLC0415 - see above
        from clayline_local.clients import local_client  # noqa: PLC0415 - see above
        from clayline_local.cloud_file import CloudFile  # noqa: PLC0415 - see above

        if options.local is not None:
            cloud = CloudFile.read(options.local)
            client = local_client("s3", url=cloud.url, region=cloud.region)
        else:
            client = boto3.Session(profile_name=options.profile, region_name=options.region).client("s3")
        bucket = options.target.removeprefix("s3://").partition("/")[0]
        access = Access(requester_pays=frozenset({bucket}) if options.request_payer else frozenset())
        return cls(
            options.target,
            S3Objects(client, access=access),
            Remote(client, request_payer=options.request_payer),
            client,
        )

    def root(self) -> "Root":
        """Give it as the root of a dataset."""
        from clayline.api.opening import root_of  # noqa: PLC0415 - only a dataset needs it

        return root_of(self._target, client=self._client)

    @property
    def names(self) -> Sequence[str]:
        """URIs of all that lies there."""
        bucket, _, key = self._target.removeprefix("s3://").partition("/")
        if key.lower().endswith(TABLES):
            return [self._target]
        return [f"s3://{bucket}/{found}" for found in self._remote.keys(bucket, key)]

    def beside(self, name: str) -> bytes | None:
        """Read it whole."""
        from clayline.ports import ObjectMissingError  # noqa: PLC0415 - see above

        try:
            return self._objects.get(name, most=MOST_BESIDE)
        except ObjectMissingError:
            return None
        except ClaylineError as error:
            raise CommandError(str(error)) from error

    @contextmanager
    def open(self, name: str) -> Iterator["Bytes"]:
        """Lend its bytes."""
        bucket, _, key = name.removeprefix("s3://").partition("/")
        self._remote.head(bucket, key)  # says in a sentence what S3 refuses
        head = self._objects.head(name)
        yield _Object(self._objects, head, lambda: self._remote.sha256(bucket, key, etag=head.etag))


def place(options: VerifyOptions) -> Place:
    """Find the target. Raises CommandError, LocalCloudError."""
    if options.target.startswith("s3://"):
        return Bucket.of(options)
    if options.target.startswith("file:"):
        if not options.target.startswith("file:///"):
            raise CommandError(f"{options.target} is no URI of a file on this machine. Write file:///PATH.")
        return Folder(Path.from_uri(options.target))
    return Folder(Path(options.target))
