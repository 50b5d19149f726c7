"""The dataset that is asked, and the file that the answer goes to."""

from pathlib import Path
from shlex import quote
from typing import Final

from clayline.api.dataset import Dataset
from clayline.api.opening import open_dataset, open_place, root_of
from clayline.aws.reading import reading_client
from clayline.dataset.ports import WritableRoot
from clayline.errors import TransientError, counted, shown
from clayline.ports import ObjectForbiddenError
from clayline_cli.console import Console
from clayline_cli.errors import CommandError

_S3: Final = "s3://"


def root_at(root: str, *, profile: str | None, region: str | None) -> WritableRoot:
    """Give the place of a dataset, perhaps to be written: a folder, or a bucket by a profile and region.

    Raises DatasetError.
    """
    if not root.startswith(_S3):
        return root_of(root)
    return root_of(root, client=reading_client(profile=profile, region=region))


def opened(root: str, *, profile: str | None, region: str | None) -> Dataset:
    """Open a folder, or a bucket by a profile and region. Raises DatasetError, CommandError."""
    if not root.startswith(_S3):
        return open_dataset(root)
    return open_dataset(root, client=reading_client(profile=profile, region=region))


def opened_place(root: str, *, profile: str | None, region: str | None) -> Dataset:
    """Open a dataset, or the scene files of a folder or prefix without an index. Raises DatasetError, CommandError."""
    if not root.startswith(_S3):
        return open_place(root)
    return open_place(root, client=reading_client(profile=profile, region=region))


def tell_unindexed(dataset: Dataset, console: Console) -> int | None:
    """Warn of scenes that the index lacks, and give their number; None where nobody knows: of a bucket not everything
    is listed at every question. Raises DatasetError.
    """
    if dataset.uri.startswith(_S3):
        return None
    try:
        found = dataset.unindexed()
    except (ObjectForbiddenError, TransientError) as error:
        console.warn(shown(f"whether every scene here has its row in the index is not known: {error}"))
        return None
    if found:
        has = f"{counted(len(found), 'scene')} here {'has' if len(found) == 1 else 'have'}"
        console.warn(
            shown(f"{has} no row in the index, and no part in the answer: run `clayline index {quote(dataset.uri)}`")
        )
    return len(found)


def new_file(out: Path, *, option: str = "--out") -> Path:
    """Give a path at which nothing is, in a folder that there is. Raises CommandError."""
    if not out.absolute().parent.is_dir():
        msg = f"{option} {out}: there is no folder {out.absolute().parent}. Make it first."
        raise CommandError(msg)
    if out.exists():
        msg = f"{option} {out} is there already, and nothing is overwritten. Give another, or move it away."
        raise CommandError(msg)
    return out
