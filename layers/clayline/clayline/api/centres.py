"""Which centre a model's vectors have: the card's, the codebook's, or that of the rows (docs/likeness.md)."""

from clayline.api.dataset import Dataset
from clayline.api.examples import vectors_sum
from clayline.dataset.codebook import Codebook
from clayline.dataset.ports import Root
from clayline.likeness.centring import Centre
from clayline.model.statistics import FolderStatistics
from clayline.table.index_reading import read_manifest

_MOST_CODEBOOK = 64 * 1024 * 1024


def centre_of(
    dataset: Dataset, root: Root, *, token: str, digest: str, statistics: FolderStatistics | None = None
) -> Centre:
    """Give the first that there is; the last reads every vector of the model, which a dataset with tiers never needs.

    Raises DatasetError where there are too few rows, TransientError.
    """
    if statistics and (stated := statistics.of(token, digest)):
        return Centre.of_card(stated)
    manifest, _ = read_manifest(root)
    for href in {tier.codebook for file in manifest.files if file.token == token for tier in file.tiers.values()}:
        codebook = Codebook.parse(root.get(href, most=_MOST_CODEBOOK)[0], uri=f"{root.uri}/{href}")
        if codebook.digest == digest:
            return Centre.of_codebook(codebook)
    total, count = vectors_sum(dataset.batches(model=f"{token}@{digest}", columns=["embeddings"]))
    return Centre.of_rows(total, count, name=f"{dataset.uri}, {token}")
