"""What a picture takes from a file's provenance: the grid of its chips, the ground, and where its bands lie."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from clayline.chips.classes import Classes, Classification
from clayline.chips.cloud import SCL
from clayline.chips.grid import ChipGrid
from clayline_cli.picture.ground import Ground
from clayline_cli.picture.rendering import Layer, Look, see, stretch, zero_of

BANDS: Final = ("red", "green", "blue")
_CLOUDY: Final = 0.2
"""Cloud fraction above which a chip is no judge of the ground."""


def grid_of(provenance: dict[str, Any]) -> ChipGrid:
    """Give the grid of the scene's chips."""
    described = provenance["grid"]
    start = tuple(described["start"]) if (described["lattice"] or {}).get("name") else None
    return ChipGrid(height=described["height"], width=described["width"], size=described["chip_size"], start=start)


def ground_of(provenance: dict[str, Any]) -> Ground:
    """Give the ground under it."""
    described = provenance["grid"]
    return Ground(
        crs=described["crs"],
        transform=tuple(described["transform"]),
        height=described["height"],
        width=described["width"],
    )


def mask_of(provenance: dict[str, Any]) -> str:
    """Give the name of the mask that says where clouds are: the empty one without any."""
    return str((provenance.get("cloud") or {}).get("mask", ""))


def scene_image(
    provenance: dict[str, Any],
    bands: Sequence[tuple[Path, int]],
    mask: tuple[Path, int] | None,
    cloudy_chips: NDArray[np.int64],
    look: Look,
) -> NDArray[np.float32]:
    """Give the scene in red, green, blue and opacity, [h, w, 4] from 0 to 1.

    ``bands`` are file and band number of red, green and blue. ``cloudy_chips`` [N], numbers of windows, are no ground
    to judge by where there is no mask. Raises SceneError, TransientError (unreadable bands) and OSError.
    """
    assets = {asset["band"]: asset for asset in provenance["source"]["assets"]}
    layers = []
    for name, (path, number) in zip(BANDS, bands, strict=True):
        asset = assets.get(name, {})
        zero = zero_of(provenance.get("sensor"), asset.get("offset") or 0.0)
        nodata, possible = tuple(asset.get("nodata") or ()), asset.get("possible")
        layers.append(Layer(path=path, number=number, nodata=nodata, possible=possible, zero=zero))
    classes = Layer(path=mask[0], number=mask[1]) if mask else None
    seen, valid, cloudy = see(layers, classes, look, _classification(provenance))
    if not mask:
        cloudy = _under(cloudy_chips, grid_of(provenance), look.shape)
    return np.dstack([stretch(seen, valid, cloudy, [layer.zero for layer in layers]), valid.astype(np.float32)])


def cloudy_chips(index: NDArray[np.int64], cloud: NDArray[np.floating]) -> NDArray[np.int64]:
    """Give the numbers of windows, of ``index`` [N], that are cloudy by their fractions [N], NaN where unknown."""
    return index[cloud > _CLOUDY]


def _classification(provenance: dict[str, Any]) -> Classification:
    """Give what the numbers of the scene's mask mean."""
    said = provenance.get("cloud")
    if not said:
        return SCL
    kinds = {kind: tuple(Classes(**each) for each in said[kind]) for kind in ("cloud", "clear", "unknown")}
    return Classification(**kinds)


def _under(chips: NDArray[np.int64], grid: ChipGrid, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Mark the pixels [h, w] of chips."""
    marked = np.zeros(shape, np.bool_)
    down, across = shape[0] / grid.height, shape[1] / grid.width
    for number in chips.tolist():
        window = grid.window(number)
        rows = slice(max(0, int(window.row * down)), round((window.row + window.size) * down))
        marked[rows, max(0, int(window.col * across)) : round((window.col + window.size) * across)] = True
    return marked
