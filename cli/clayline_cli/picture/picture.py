"""The picture of an embedded scene.

What the satellite saw, what the model made of each chip, how well each chip can be told back.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray

from clayline.chips.grid import ChipGrid
from clayline_cli.picture.components import Components, components, judges
from clayline_cli.picture.from_provenance import cloudy_chips, grid_of, ground_of, scene_image
from clayline_cli.picture.panel import INK, LINE, Frame, draw_scale_bar, fill_chips, finish
from clayline_cli.picture.placing import place
from clayline_cli.picture.rendering import Look, picture_shape
from clayline_local.stopping import temporary_folder

_PAPER = "#e4e7eb"
_WARNING = "#b42318"
_STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "text.color": INK,
    "axes.edgecolor": LINE,
    "axes.facecolor": _PAPER,
}
_WIDEST, _TALLEST, _NARROWEST = 5.0, 6.2, 2.2
"""Inches of one panel."""
_TICK_EVERY = 0.75
"""Inches that a label needs."""
_DPI = 100


def draw(
    parquet: Path,
    provenance: dict[str, Any],
    bands: Sequence[tuple[Path, int]],
    target: Path,
    *,
    mask: tuple[Path, int] | None = None,
) -> bool:
    """Draw scene, principal components and loss side by side as ``target``, a PNG.

    Nothing that exists there is overwritten.

    ``bands`` are file and band number of red, green and blue, ``mask`` those of the mask that says where clouds
    are, if there is one. Gives whether the picture was drawn: False if something is at ``target`` already. Raises
    SceneError, TransientError (unreadable bands) and OSError.
    """
    if target.exists():
        return False
    columns = ["index", "embeddings", "loss", "source_model", "loss_metric", "datetime", "valid_fraction"]
    columns.append("cloud_fraction")
    table = pq.read_table(parquet, columns=columns)
    with mpl.rc_context():
        mpl.rcParams.update(_STYLE)
        figure, title = _figure(table, provenance, bands, mask)
        with temporary_folder(".picture-", within=target.parent) as folder:
            finished = folder / target.name
            figure.savefig(finished, format="png", dpi=_DPI, facecolor="white", metadata={"Title": title})
            return place(finished, target)


def _figure(
    table: pa.Table, provenance: dict[str, Any], bands: Sequence[tuple[Path, int]], mask: tuple[Path, int] | None
) -> tuple[Figure, str]:
    grid, ground = grid_of(provenance), ground_of(provenance)
    aspect = ground.metres_a_row() / ground.metres_a_column()
    ratio = grid.height / grid.width * aspect
    width = min(_WIDEST, max(_NARROWEST, _TALLEST / ratio))
    height = min(_TALLEST, width * ratio)
    graticule = ground.graticule(across=int(width / _TICK_EVERY), down=max(2, int(height / _TICK_EVERY)))
    frame = Frame(grid=grid, ground=ground, graticule=graticule, aspect=aspect)
    index = table["index"].to_numpy()
    vectors = pc.list_flatten(table["embeddings"]).to_numpy().reshape(len(table), -1).astype(np.float64)
    losses = table["loss"].to_numpy().astype(np.float64) if table["loss"].null_count < len(table) else None
    judging = judges(table["valid_fraction"].to_numpy())
    title, colour = _title(table, provenance, grid)
    panels = 2 if losses is None else 3
    size = ((width + 0.75) * panels + (0.6 if losses is not None else 0), height + 1.5)
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(1, panels)
    _scene(axes[0], frame, table, provenance, bands, mask)
    _components(axes[1], frame, components(vectors, judging), index)
    if losses is not None:
        _losses(figure, axes[2], frame, losses, index, judging, str(table["loss_metric"][0]))
    longest = max(len(line) for line in title.split("\n"))
    figure.suptitle(title, color=colour, fontsize=min(12.0, size[0] * 72 / longest / 0.65))
    return figure, title


def _title(table: pa.Table, provenance: dict[str, Any], grid: ChipGrid) -> tuple[str, str]:
    name = str(provenance["source"].get("id") or "").rpartition("/")[2]
    day = table["datetime"][0].as_py().date()
    title = f"{name}   ·   {day}   ·   {len(table):,} of {len(grid):,} chips   ·   {table['source_model'][0]}"
    if provenance["model"].get("untrained"):
        return f"{title}\nUNTRAINED weights: random numbers, these embeddings mean nothing", _WARNING
    return title, INK


def _scene(
    axes: Axes,
    frame: Frame,
    table: pa.Table,
    provenance: dict[str, Any],
    bands: Sequence[tuple[Path, int]],
    mask: tuple[Path, int] | None,
) -> None:
    grid = frame.grid
    index, cloud = table["index"].to_numpy(), table["cloud_fraction"].to_numpy()
    look = Look(shape=picture_shape(grid.height, grid.width))
    image = scene_image(provenance, bands, mask, cloudy_chips(index, cloud), look)
    axes.imshow(image, extent=(0, grid.width, grid.height, 0), aspect=frame.aspect, interpolation="antialiased")
    finish(axes, frame, "The scene, red-green-blue", degrees_left=True)
    draw_scale_bar(axes, frame.ground)


def _components(axes: Axes, frame: Frame, found: Components, index: NDArray[np.int64]) -> None:
    fill_chips(axes, frame, found.colours, index)
    title = f"Embeddings: three principal components\n({found.share:.0%} of their variance; {frame.chip_text})"
    finish(axes, frame, title)


def _losses(
    figure: Figure,
    axes: Axes,
    frame: Frame,
    losses: NDArray[np.float64],
    index: NDArray[np.int64],
    judges: NDArray[np.bool_],
    name: str,
) -> None:
    low, high = np.percentile(losses[judges], (1, 99))
    colours = mpl.colormaps["viridis"](np.clip((losses - low) / max(high - low, 1e-12), 0, 1))[:, :3]
    fill_chips(axes, frame, colours, index)
    figure.colorbar(
        ScalarMappable(norm=Normalize(low, high), cmap="viridis"), ax=axes, shrink=0.7, pad=0.02
    ).outline.set_visible(False)
    finish(axes, frame, f"Loss, {name}\n(confounded with texture: smooth is low)")
