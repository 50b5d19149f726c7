"""The vectors in the page: centred, of length 1, and small (docs/report.md, Vectors)."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from clayline.errors import DatasetError
from clayline.likeness.centring import Centre
from clayline.likeness.taking_part import Filters
from clayline.model.statistics import STATISTICS_FILE, read_statistics
from clayline_cli.reporting.scene_chips import SceneChips

MOST_BYTES: Final = 9_000_000
"""Of vectors as bytes: more become bits, one a component. In base64 they are a third more."""
_MOST: Final = 127


@dataclass(frozen=True, kw_only=True)
class PageVectors:
    """What the page compares."""

    form: Literal["int8", "bits"]
    body: bytes
    """[N, D], row by row: int8 (each row by its own scale, which a cosine does not see), or the components' signs, the
    first one the highest bit of the first byte, each row from a new byte."""
    dimensions: int
    centred_by: str


def centre_of(chips: SceneChips, folders: Sequence[Path]) -> Centre:
    """Find the centre: the card's of a model folder with this digest, else the rows' (docs/likeness.md).

    Raises DatasetError where there is no card and too few rows, ModelError for statistics that cannot be used.
    """
    for folder in folders:
        path = folder / STATISTICS_FILE
        if path.is_file():
            statistics = read_statistics(path.read_bytes(), source=str(path)).of(chips.model, chips.digest)
            if statistics is not None:
                return Centre.of_card(statistics)
    whole, _ = Filters().judge(chips.traits)
    total = chips.vectors[whole].sum(axis=0, dtype=np.float64)
    return Centre.of_rows(total, int(whole.sum()), name=f"{chips.name} (chips valid to 0.9 alone)")


def page_vectors(chips: SceneChips, folders: Sequence[Path]) -> PageVectors | str:
    """Give the vectors, or why nothing can be compared."""
    try:
        centre = centre_of(chips, folders)
        unit = centre.unit(chips.vectors)
    except DatasetError as error:
        return str(error)
    form: Literal["int8", "bits"] = "int8" if unit.size <= MOST_BYTES else "bits"
    body = _bytes(unit) if form == "int8" else np.packbits(unit > 0, axis=1)
    return PageVectors(form=form, body=body.tobytes(), dimensions=unit.shape[1], centred_by=centre.by)


def _bytes(unit: NDArray[np.float32]) -> NDArray[np.int8]:
    most = np.abs(unit).max(axis=1, keepdims=True)
    return np.round(unit * (_MOST / np.where(most > 0, most, 1))).astype(np.int8)
