"""What the page knows of the scene, as JSON: numbers as short as they can be, so that a page stays small."""

import base64
from collections.abc import Sequence
from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clayline.likeness.outliers import FAR
from clayline.likeness.taking_part import VALID_LEAST
from clayline_cli.picture.components import components, judges
from clayline_cli.reporting.imagery import Imagery
from clayline_cli.reporting.outliers import loss_outliers
from clayline_cli.reporting.scene_chips import SceneChips
from clayline_cli.reporting.vectors import PageVectors


def content(chips: SceneChips, imagery: Imagery, vectors: PageVectors | str) -> dict[str, Any]:
    """Give it. The vectors themselves, and the picture, stand elsewhere in the page."""
    traits = chips.traits
    judging = judges(traits.valid)
    coloured = components(chips.vectors.astype(np.float64), judging)
    outliers = loss_outliers(traits)
    windows = [chips.grid.window(number) for number in chips.index.tolist()]
    rows, cols = ([getattr(window, name) for window in windows] for name in ("row", "col"))
    half = chips.grid.size / 2
    lon, lat = chips.ground.lonlat(np.array(cols, np.float64) + half, np.array(rows, np.float64) + half)
    wide = chips.ground.metres_a_column()
    compared = vectors if isinstance(vectors, PageVectors) else None
    return {
        "scene": {
            "name": chips.scene, "day": chips.day, "model": chips.model, "instrument": chips.instrument,
            "file": chips.name, "untrained": chips.untrained, "lossMetric": chips.loss_metric,
        },
        "grid": {
            "height": chips.grid.height, "width": chips.grid.width, "size": chips.grid.size,
            "cell": chips.grid.size if chips.grid.start else max(1, chips.grid.size // 8),
            "start": list(chips.grid.start or (0, 0)),
            "windows": len(chips.grid),
            "metres": wide, "aspect": chips.ground.metres_a_row() / wide,
        },
        "picture": {
            "width": imagery.width, "height": imagery.height, "missing": imagery.missing, "changed": imagery.changed,
        },
        "chips": {
            "uci": _texts(chips.uci),
            "index": chips.index.tolist(), "row": rows, "col": cols,
            "lon": _short(lon, 5), "lat": _short(lat, 5),
            "loss": _digits(traits.loss), "cloud": _digits(traits.cloud), "valid": _digits(traits.valid),
        },
        "components": {
            "share": round(coloured.share, 4), "ofWhole": not judging.all(),
            "colours": base64.b64encode(np.round(coloured.colours * 255).astype(np.uint8).tobytes()).decode(),
        },
        "likeness": {
            "form": compared.form if compared else None,
            "dimensions": chips.vectors.shape[1],
            "centredBy": compared.centred_by if compared else None,
            "refused": None if compared else vectors,
            "validLeast": VALID_LEAST,
        },
        "outliers": {
            "rows": outliers.rows.tolist(), "scores": _short(outliers.scores, 1), "far": FAR,
            "median": _digits(np.array([outliers.median]))[0], "judged": outliers.judged,
        },
    }  # fmt: skip


def _texts(texts: tuple[str, ...]) -> dict[str, Any]:
    """Give texts without what all begin and end with."""
    before = _common(texts)
    rest = [text[len(before) :] for text in texts]
    after = _common([text[::-1] for text in rest])[::-1]
    return {"before": before, "after": after, "each": [text[: len(text) - len(after)] for text in rest]}


def _common(texts: Sequence[str]) -> str:
    """Give what all begin with: the least and the greatest have no more in common than all."""
    least, most = min(texts), max(texts)
    differs = (at for at, (one, other) in enumerate(zip(least, most, strict=False)) if one != other)
    return least[: next(differs, min(len(least), len(most)))]


def _short(values: NDArray[np.float64], decimals: int) -> list[float | None]:
    """Give so many decimals of each; None for what is no finite number, which JSON has no word for."""
    return [round(value, decimals) if isfinite(value) else None for value in values.tolist()]


def _digits(values: NDArray[np.floating]) -> list[float | None]:
    """Give four digits of each; None for what is no finite number."""
    return [float(f"{value:.4g}") if isfinite(value) else None for value in values.tolist()]
