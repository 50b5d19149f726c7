"""The picture of an embedded scene: what the satellite saw, what the model made of each chip, and how well each chip can be told back."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import rasterio
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from rasterio.enums import Resampling

from clayline.grid import ChipGrid

_SIDE = 900
"""Pixels of the drawn scene's longer side."""
_INK = "#1f2933"
_WARNING = "#b42318"


def draw(parquet: Path, provenance: dict[str, object], bands: Sequence[tuple[Path, int]], target: Path) -> None:
    """Draw scene, principal components and loss side by side; ``bands`` are file and band number of red, green and blue."""
    table = pq.read_table(parquet, columns=["index", "embeddings", "loss", "source_model", "loss_metric", "datetime"])
    grid_of = provenance["grid"]
    if not isinstance(grid_of, dict):
        msg = f"{parquet}: its provenance has no grid"
        raise TypeError(msg)
    grid = ChipGrid(height=grid_of["height"], width=grid_of["width"], size=grid_of["chip_size"])
    index = table["index"].to_numpy()
    vectors = pc.list_flatten(table["embeddings"]).to_numpy().reshape(len(table), -1).astype(np.float64)
    losses = table["loss"].to_numpy().astype(np.float64) if table["loss"].null_count < len(table) else None
    aspect = abs(grid_of["transform"][4] / grid_of["transform"][0])
    mpl.rcParams.update({"font.family": "DejaVu Sans", "font.size": 10, "text.color": _INK, "axes.edgecolor": "#9aa5b1"})
    panels = 2 if losses is None else 3
    figure, axes = plt.subplots(1, panels, figsize=(5.6 * panels, 4.9 * grid.height / grid.width * aspect + 1.2), layout="constrained")
    _scene(axes[0], bands, grid, aspect)
    _components(axes[1], vectors, index, grid, aspect)
    if losses is not None:
        _losses(figure, axes[2], losses, index, grid, aspect, str(table["loss_metric"][0]))
    source, model = provenance["source"], provenance["model"]
    name = source.get("id") if isinstance(source, dict) else ""
    day = table["datetime"][0].as_py().date()
    title = f"{name}   ·   {day}   ·   {len(index):,} of {len(grid):,} chips   ·   {table['source_model'][0]}"
    colour = _INK
    if isinstance(model, dict) and model.get("untrained"):
        title, colour = f"{title}\nUNTRAINED weights: random numbers, these embeddings mean nothing", _WARNING
    figure.suptitle(title, color=colour)
    figure.savefig(target, dpi=110, facecolor="white", metadata={"Title": title})
    plt.close(figure)


def _scene(axes: Axes, bands: Sequence[tuple[Path, int]], grid: ChipGrid, aspect: float) -> None:
    layers = []
    scale = max(grid.height, grid.width) / _SIDE
    shape = (max(1, round(grid.height / scale)), max(1, round(grid.width / scale)))
    for path, number in bands:
        with rasterio.open(path, driver="GTiff") as dataset:
            layers.append(dataset.read(number, out_shape=shape, resampling=Resampling.average).astype(np.float64))
    stack = np.stack(layers, axis=-1)
    seen = (stack > 0).all(axis=-1)
    low, high = np.percentile(stack[seen], (1, 99), axis=0) if seen.any() else (0.0, 1.0)
    image = np.where(seen[..., None], np.clip((stack - low) / np.maximum(high - low, 1e-9), 0, 1) ** 0.8, 1.0)
    axes.imshow(image, extent=(0, grid.width, grid.height, 0), aspect=aspect, interpolation="bilinear")
    _finish(axes, grid, "The scene, red-green-blue")


def _components(axes: Axes, vectors: NDArray[np.float64], index: NDArray[np.int64], grid: ChipGrid, aspect: float) -> None:
    centred = vectors - vectors.mean(axis=0)
    _, strength, axes_of = np.linalg.svd(centred, full_matrices=False)
    count = min(3, len(strength))
    scores = centred @ axes_of[:count].T
    scores *= np.where(np.abs(scores.min(axis=0)) > scores.max(axis=0), -1, 1)  # a component's sign is arbitrary: settle it
    low, high = np.percentile(scores, (2, 98), axis=0)
    colours = np.zeros((len(index), 3))
    colours[:, :count] = np.clip((scores - low) / np.maximum(high - low, 1e-12), 0, 1)
    share = float((strength[:count] ** 2).sum() / max((strength**2).sum(), 1e-12))
    canvas, extent = _paint(colours, index, grid)
    axes.imshow(canvas, extent=extent, aspect=aspect, interpolation="nearest")
    _finish(axes, grid, f"The embeddings' first three principal components\n({share:.0%} of their variance)")


def _losses(
    figure: Figure, axes: Axes, losses: NDArray[np.float64], index: NDArray[np.int64], grid: ChipGrid, aspect: float, name: str
) -> None:
    low, high = np.percentile(losses, (1, 99))
    colours = mpl.colormaps["viridis"](np.clip((losses - low) / max(high - low, 1e-12), 0, 1))[:, :3]
    canvas, extent = _paint(colours, index, grid)
    axes.imshow(canvas, extent=extent, aspect=aspect, interpolation="nearest")
    mappable = mpl.cm.ScalarMappable(norm=mpl.colors.Normalize(low, high), cmap="viridis")
    figure.colorbar(mappable, ax=axes, shrink=0.7, pad=0.02)
    _finish(axes, grid, f"Loss, {name}\n(confounded with texture: smooth is low)")


def _paint(colours: NDArray[np.float64], index: NDArray[np.int64], grid: ChipGrid) -> tuple[NDArray[np.float64], tuple[int, int, int, int]]:
    """Fill each chip's own pixels, eight cells a side; where the shifted last row overlaps, the later chip wins. Beside it the extent."""
    step = max(1, grid.size // 8)
    rows, cols = -(-max(grid.height, grid.size) // step), -(-max(grid.width, grid.size) // step)
    canvas = np.ones((rows, cols, 3))
    for colour, number in zip(colours, index.tolist(), strict=True):
        window = grid.window(number)
        down = slice(window.row // step, -(-(window.row + window.size) // step))
        canvas[down, window.col // step : -(-(window.col + window.size) // step)] = colour
    return canvas, (0, cols * step, rows * step, 0)


def _finish(axes: Axes, grid: ChipGrid, title: str) -> None:
    axes.set_title(title, fontsize=11)
    axes.set_xlim(0, grid.width)
    axes.set_ylim(grid.height, 0)
    axes.set_xlabel(f"pixel column, chips of {grid.size} px")
    axes.tick_params(length=2, labelsize=8)
