"""The dataset that is asked, and the file that the answer goes to."""

from pathlib import Path

from clayline.api.dataset import Dataset
from clayline.api.opening import open_dataset, open_place, root_of
from clayline.aws.reading import reading_client
from clayline.dataset.ports import WritableRoot
from clayline_cli.errors import CommandError


def root_at(root: str, *, profile: str | None, region: str | None) -> WritableRoot:
    """Give the place of a dataset, perhaps to be written: a folder, or a bucket by a profile and region.

    Raises DatasetError.
    """
    if not root.startswith("s3://"):
        return root_of(root)
    return root_of(root, client=reading_client(profile=profile, region=region))


def opened(root: str, *, profile: str | None, region: str | None) -> Dataset:
    """Open a folder, or a bucket by a profile and region. Raises DatasetError, CommandError."""
    if not root.startswith("s3://"):
        return open_dataset(root)
    return open_dataset(root, client=reading_client(profile=profile, region=region))


def opened_place(root: str, *, profile: str | None, region: str | None) -> Dataset:
    """Open a dataset, or the scene files of a folder or prefix without an index. Raises DatasetError, CommandError."""
    if not root.startswith("s3://"):
        return open_place(root)
    return open_place(root, client=reading_client(profile=profile, region=region))


def new_file(out: Path, *, option: str = "--out") -> Path:
    """Give a path at which nothing is, in a folder that there is. Raises CommandError."""
    if not out.absolute().parent.is_dir():
        msg = f"{option} {out}: there is no folder {out.absolute().parent}. Make it first."
        raise CommandError(msg)
    if out.exists():
        msg = f"{option} {out} is there already, and nothing is overwritten. Give another, or move it away."
        raise CommandError(msg)
    return out
