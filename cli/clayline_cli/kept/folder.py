"""What is kept under OUT from call to call: a ledger of finished runs, a lock, logs; and how outputs get there."""

import errno
import fcntl
import filecmp
import json
import os
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from clayline_cli.errors import CommandError
from clayline_cli.kept.ledger import KeptLedger, KeptRun, inside
from clayline_local.scene_keys import absolute

if TYPE_CHECKING:
    from clayline_local.session import Session

RUN_ID: Final = "run-id"
"""Metadata by which an object's run is known (clayline.aws.objects)."""
_NO_LINKS: Final = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}
"""What file systems without hard links answer: FAT, and some of networks."""
_FOLDER: Final = ".clayline"


class Kept:
    """The folder that a user gave as ``--out``. Nothing that this call did not write is removed or overwritten."""

    def __init__(self, out: Path) -> None:
        """Touch nothing yet."""
        self.out = absolute(out)
        self.ledger = self.out / _FOLDER / "ledger.json"
        """Of finished runs."""

    @contextmanager
    def lock(self, notice: Callable[[str], None] = lambda _: None) -> Iterator[None]:
        """Be the only call that uses OUT, which is made if need be; a second call tells ``notice`` so and waits.

        Raises CommandError if OUT is no folder or cannot be written.
        """
        try:
            str(self.out).encode()
        except UnicodeEncodeError as error:
            msg = f"--out {str(self.out)!r} is not valid UTF-8, and outputs could not say where they are. Rename it."
            raise CommandError(msg) from error
        with told(self.out):
            self.ledger.parent.mkdir(parents=True, exist_ok=True)
            stream = (self.ledger.parent / "lock").open("a")
        with stream:  # closing it, or this process's end, gives the lock back
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                notice(f"another call is writing to {self.out}: waiting until it has ended")
                fcntl.flock(stream, fcntl.LOCK_EX)
            except OSError as error:
                msg = f"{self.out} is on a file system that has no locks ({error.strerror}). Give --out on another one."
                raise CommandError(msg) from error
            yield

    def logs(self) -> Path:
        """Make and give a folder of this call's own, ``OUT/logs/UTCSTART-PID``. Raises CommandError."""
        name = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{os.getpid()}"
        number = 1
        with told(self.out):
            (self.out / "logs").mkdir(parents=True, exist_ok=True)
            while True:
                folder = self.out / "logs" / (name if number == 1 else f"{name}-{number}")
                with suppress(FileExistsError):
                    folder.mkdir()
                    return folder
                number += 1

    def restore(self, session: "Session") -> None:
        """Put what earlier calls finished into the session's cloud, before anything is dropped. Raises CommandError.

        A run whose receipt or other outputs are gone is not finished any more; its revision stays taken, and so does
        that of a file which no call has noted, because it was killed.
        """
        kept = KeptLedger.read(self.ledger)
        dynamo, whole = session.client("dynamodb"), kept.whole(self.out)
        for run, entry in whole.items():
            kinds = {"receipt", "model"}  # a model's Item is written once, by whichever scene comes first
            if entry.failed:
                kinds.add("parquet")  # of which rows are taken over
            for key in (entry.outputs[kind] for kind in sorted(kinds & entry.outputs.keys())):
                session.s3.upload_file(
                    str(inside(self.out, key)), session.embeddings_bucket, key, ExtraArgs={"Metadata": {RUN_ID: run}}
                )
            dynamo.put_item(TableName=session.ledger_table, Item=dict(entry.row))
        for pk, listed in kept.revisions(self.out, whole).items():
            item = {"pk": {"S": pk}, "sk": {"S": "runs"}, "runs": {"L": [{"S": run} for run in listed]}}
            dynamo.put_item(TableName=session.ledger_table, Item=item)

    def save(self, session: "Session") -> None:
        """Keep the runs whose outputs were fetched, and every revision that was given. Raises CommandError."""
        kept = KeptLedger.read(self.ledger)
        finished = session.finished()
        known = {entry.outputs["receipt"] for entry in kept.runs.values()}
        for run, outputs in self._delivered(session, known=known).items():
            if run not in finished:
                continue
            entry = KeptRun(row=finished[run], outputs=outputs)
            if entry.is_whole(self.out, run):
                kept.runs[run] = entry
        for row in session.ledger_rows("runs"):
            kept.scenes[row["pk"]["S"]] = [run["S"] for run in row["runs"]["L"]]
        with told(self.out):
            kept.write(self.ledger)

    def fetch(self, session: "Session", detail: Mapping[str, Any]) -> dict[str, Path]:
        """Download the outputs of an event's ``detail`` to their places under OUT, the receipt last; give them by kind.

        What an earlier call delivered stays as it is. Raises CommandError, naming the file, if something else
        is in an output's place.
        """
        known = KeptLedger.read(self.ledger).runs.get(detail["run"])
        files = {}
        for kind, uri in sorted(detail["outputs"].items(), key=lambda pair: pair[0] == "receipt"):
            key = session.output_key(uri) or (known.outputs.get(kind) if known else None)  # None: OUT was moved since
            if key is None:
                msg = f"{uri} does not lie in {self.out}. Give the folder as --out in which it lies."
                raise CommandError(msg)
            try:
                files[kind] = inside(self.out, key)
            except ValueError as error:
                msg = f"the {kind} {uri} would lie outside of {self.out}, and was not fetched: {error}"
                raise CommandError(msg) from error
            with told(files[kind]):
                self.deliver(session, key, files[kind])
        return files

    def deliver(self, session: "Session", key: str, target: Path) -> None:
        """Download an object of the embeddings bucket to its place. Raises CommandError, OSError."""
        from botocore.exceptions import ClientError  # noqa: PLC0415 - the lock and a look at OUT need none of it

        try:
            body = session.s3.get_object(Bucket=session.embeddings_bucket, Key=key)["Body"]
        except ClientError as error:
            if target.is_file():  # an earlier call's, of which this one has only the receipt
                return
            msg = f"{target} is gone since this call began. Run again."
            raise CommandError(msg) from error
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
        try:
            with part.open("xb") as stream:
                shutil.copyfileobj(body, stream, 1 << 20)
                stream.flush()
                os.fsync(stream.fileno())
            _place(part, target)
        finally:
            part.unlink(missing_ok=True)
            body.close()
        _sync(target.parent)

    def _delivered(self, session: "Session", *, known: AbstractSet[str]) -> dict[str, dict[str, str]]:
        """Give the keys of the outputs of each run of this session's cloud whose receipt is in its place under OUT.

        Receipts whose keys are ``known`` are kept already: each scene of a long call asks about its own, not about all
        before it.
        """
        found = {}
        pages = session.s3.get_paginator("list_objects_v2").paginate(Bucket=session.embeddings_bucket)
        keys_there = (entry["Key"] for page in pages for entry in page.get("Contents", ()))
        for key in (key for key in keys_there if key.endswith("_receipt.json") and key not in known):
            run = session.s3.head_object(Bucket=session.embeddings_bucket, Key=key)["Metadata"][RUN_ID]
            with suppress(OSError, ValueError):
                outputs = json.loads(inside(self.out, key).read_bytes())["outputs"]
                keys = {kind: session.output_key(uri) for kind, uri in outputs.items()}
                if all(keys.values()):  # else OUT was moved since, and what was kept before says where they lie
                    found[run] = {kind: str(place) for kind, place in keys.items()}
        return found


def _place(part: Path, target: Path) -> None:
    """Give a whole file its name, unless something has it: of the same bytes it is the same, of others the user's."""
    try:
        os.link(part, target)
    except FileExistsError:
        _check_same(part, target)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        _copy(part, target)


def _check_same(part: Path, target: Path) -> None:
    if not target.is_file() or not filecmp.cmp(part, target, shallow=False):
        msg = f"{target} exists and is not what this run wrote. It was left as it is: move it away, and run again."
        raise CommandError(msg) from None


def _copy(part: Path, target: Path) -> None:
    """Copy where there are no links: under the name from the start, and never over anything."""
    try:
        stream = target.open("xb")
    except FileExistsError:
        _check_same(part, target)
        return
    try:
        with stream, part.open("rb") as source:
            shutil.copyfileobj(source, stream, 1 << 20)
            stream.flush()
            os.fsync(stream.fileno())
    except BaseException:
        target.unlink(missing_ok=True)  # half a file, and this call's own
        raise


def _sync(folder: Path) -> None:
    """Have the names on the disk too; what does not know how to do that is not asked to."""
    with suppress(OSError):
        number = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)


@contextmanager
def told(path: Path) -> Iterator[None]:
    """Say in a sentence why a place cannot be written."""
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            msg = (
                f"{path} cannot be written: the disk is full. Free some space, or give --out on another disk. What is"
                " there already stays."
            )
        elif isinstance(error, FileExistsError | NotADirectoryError):
            there = next((part for part in (path, *path.parents) if part.exists() and not part.is_dir()), path)
            msg = f"{path} cannot be made: {there} is a file. Give a folder as --out."
        else:
            msg = f"{path} cannot be written ({error.strerror or error}). Check permissions, or give another --out."
        raise CommandError(msg) from error


@contextmanager
def unused(out: Path) -> Iterator[None]:
    """Keep a folder from the calls that use one as OUT, while its watches are changed: those read them as they begin.

    A folder that no call has used yet has no lock, and needs none. Raises CommandError if one is using it.
    """
    path = absolute(out) / _FOLDER / "lock"
    if not path.is_file():
        yield
        return
    with told(path):
        stream = path.open("a")
    with stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            msg = (
                f"{out} is in use by `clayline embed` or `clayline local-cloud`, which read its watches when they"
                " began. Wait until embed has ended. A cloud that is up has its watches in its own bucket: change them"
                " there (docs/how-to/be-told.md), or stop it first."
            )
            raise CommandError(msg) from error
        yield
