"""Which centre a model's vectors have: the card's, the codebook's, or that of the rows (docs/likeness.md)."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from clayline.dataset.codebook import Codebook
from clayline.dataset.manifest import Manifest
from clayline.dataset.ports import Root
from clayline.dataset.terms import check_kind
from clayline.errors import DatasetError, ModelError
from clayline.likeness.centring import Centre
from clayline.model.starter import starter_folder
from clayline.model.statistics import STATISTICS_FILE, FolderStatistics, read_statistics
from clayline.ports import ObjectMissingError

_MOST_CODEBOOK: Final = 64 * 1024 * 1024


def centre_of[OfRows: Centre | None](
    token: str,
    digest: str,
    *,
    statistics: FolderStatistics | None,
    codebook: Callable[[], Codebook | None],
    rows: Callable[[], OfRows],
) -> Centre | OfRows:
    """Give the first that there is: of the model folder's ``statistics``, of the dataset's codebook, of its rows.

    Raises what the two callables raise, which are asked only when it is their turn.
    """
    if statistics and (stated := statistics.of(token, digest)):
        return Centre.of_card(stated)
    found = codebook()
    return rows() if found is None else Centre.of_codebook(found)


def read_codebook(root: Root, href: str) -> Codebook:
    """Read a codebook of a dataset. Raises DatasetError, also where the dataset was changed since, TransientError."""
    try:
        content, _ = root.get(href, most=_MOST_CODEBOOK)
    except ObjectMissingError as error:
        msg = f"{error}: the dataset was changed since it was opened. Open it again (`refresh()`)."
        raise DatasetError(msg) from error
    return Codebook.parse(content, uri=f"{root.uri}/{href}")


def codebook_of(root: Root, manifest: Manifest, *, token: str, digest: str) -> Codebook | None:
    """Read the dataset's codebook of a model, if it has one. Raises DatasetError, TransientError."""
    hrefs = {tier.codebook for file in manifest.files if file.token == token for tier in file.tiers.values()}
    for href in sorted(hrefs):
        found = read_codebook(root, href)
        if found.digest == digest:
            return found
    return None


def statistics_of(folder: Path | None) -> FolderStatistics | None:
    """Read what a model folder states of its vectors; None where it states nothing. Raises DatasetError."""
    path = folder / STATISTICS_FILE if folder else None
    if path is None or not path.is_file():
        return None
    try:
        return read_statistics(path.read_bytes(), source=str(path))
    except (OSError, ModelError) as error:
        raise DatasetError(str(error)) from error


def known_statistics(given: FolderStatistics | None) -> FolderStatistics | None:
    """Give them, or the bundled starter's, where those are at hand. Raises DatasetError for another kind of thing."""
    if given is not None:
        check_kind(given, FolderStatistics, name="statistics")
    return given or statistics_of(starter_folder())
