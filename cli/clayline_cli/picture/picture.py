"""The picture of an embedded scene.

What the satellite saw, what the model made of each chip, how well each chip can be told back.
"""

import os
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

from clayline.chips.classes import Classes, Classification
from clayline.chips.cloud import SCL
from clayline.chips.grid import ChipGrid
from clayline_cli.picture.ground import Ground
from clayline_cli.picture.panel import INK, LINE, Frame, draw_scale_bar, fill_chips, finish
from clayline_cli.picture.rendering import Layer, picture_shape, see, stretch, zero_of
from clayline_local.stopping import temporary_folder

_BANDS = ("red", "green", "blue")
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
_CLOUDY = 0.2
"""Cloud fraction above which a chip is no judge of the ground."""
_WHOLE = 0.9
"""Valid fraction below which a chip, as at the scene's edge, is no judge of how the others differ."""
_FEWEST = 4
"""Chips that three components need."""


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
            return _place(finished, target)


def _place(finished: Path, target: Path) -> bool:
    """Give a finished file its name, unless that is taken."""
    try:
        os.link(finished, target)
    except FileExistsError:
        return False
    except OSError:  # a file system without links
        try:
            with target.open("xb") as file:
                file.write(finished.read_bytes())
        except FileExistsError:
            return False
    return True


def _figure(
    table: pa.Table, provenance: dict[str, Any], bands: Sequence[tuple[Path, int]], mask: tuple[Path, int] | None
) -> tuple[Figure, str]:
    described = provenance["grid"]
    start = tuple(described["start"]) if (described["lattice"] or {}).get("name") else None
    grid = ChipGrid(height=described["height"], width=described["width"], size=described["chip_size"], start=start)
    ground = Ground(crs=described["crs"], transform=tuple(described["transform"]), height=grid.height, width=grid.width)
    aspect = ground.metres_a_row() / ground.metres_a_column()
    ratio = grid.height / grid.width * aspect
    width = min(_WIDEST, max(_NARROWEST, _TALLEST / ratio))
    height = min(_TALLEST, width * ratio)
    graticule = ground.graticule(across=int(width / _TICK_EVERY), down=max(2, int(height / _TICK_EVERY)))
    frame = Frame(grid=grid, ground=ground, graticule=graticule, aspect=aspect)
    index = table["index"].to_numpy()
    vectors = pc.list_flatten(table["embeddings"]).to_numpy().reshape(len(table), -1).astype(np.float64)
    losses = table["loss"].to_numpy().astype(np.float64) if table["loss"].null_count < len(table) else None
    judges = _judges(table)
    title, colour = _title(table, provenance, grid)
    panels = 2 if losses is None else 3
    size = ((width + 0.75) * panels + (0.6 if losses is not None else 0), height + 1.5)
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(1, panels)
    _scene(axes[0], frame, table, provenance, bands, mask)
    _components(axes[1], frame, vectors, index, judges)
    if losses is not None:
        _losses(figure, axes[2], frame, losses, index, judges, str(table["loss_metric"][0]))
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
    assets = {asset["band"]: asset for asset in provenance["source"]["assets"]}
    layers = []
    for name, (path, number) in zip(_BANDS, bands, strict=True):
        asset = assets.get(name, {})
        zero = zero_of(provenance.get("sensor"), asset.get("offset") or 0.0)
        nodata, possible = tuple(asset.get("nodata") or ()), asset.get("possible")
        layers.append(Layer(path=path, number=number, nodata=nodata, possible=possible, zero=zero))
    grid = frame.grid
    shape = picture_shape(grid.height, grid.width)
    seen, valid, cloudy = see(
        layers, Layer(path=mask[0], number=mask[1]) if mask else None, shape, _classification(provenance)
    )
    if not mask:
        cloudy = _cloudy_chips(table, grid, shape)
    image = np.dstack([stretch(seen, valid, cloudy, [layer.zero for layer in layers]), valid])
    axes.imshow(image, extent=(0, grid.width, grid.height, 0), aspect=frame.aspect, interpolation="antialiased")
    finish(axes, frame, "The scene, red-green-blue", degrees_left=True)
    draw_scale_bar(axes, frame.ground)


def mask_of(provenance: dict[str, Any]) -> str:
    """Give the name of the mask that says where clouds are: the empty one without any."""
    return str((provenance.get("cloud") or {}).get("mask", ""))


def _classification(provenance: dict[str, Any]) -> Classification:
    """Give what the numbers of the scene's mask mean."""
    said = provenance.get("cloud")
    if not said:
        return SCL
    kinds = {kind: tuple(Classes(**each) for each in said[kind]) for kind in ("cloud", "clear", "unknown")}
    return Classification(**kinds)


def _cloudy_chips(table: pa.Table, grid: ChipGrid, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Mark the chips [h, w] that the table says are cloudy."""
    cloudy = np.zeros(shape, np.bool_)
    down, across = shape[0] / grid.height, shape[1] / grid.width
    for number in table.filter(pc.field("cloud_fraction") > _CLOUDY)["index"].to_numpy():
        window = grid.window(int(number))
        rows = slice(max(0, int(window.row * down)), round((window.row + window.size) * down))
        cloudy[rows, max(0, int(window.col * across)) : round((window.col + window.size) * across)] = True
    return cloudy


def _judges(table: pa.Table) -> NDArray[np.bool_]:
    """Mark the chips [N] that set colours: whole ones, unless they are too few to speak for the scene.

    What is padded tells more of its padding than of the ground, and differs from all else by it.
    """
    whole = np.asarray(table["valid_fraction"].to_numpy() >= _WHOLE)
    return whole if whole.sum() >= max(_FEWEST, len(whole) / 4) else np.ones(len(whole), np.bool_)


def _components(
    axes: Axes,
    frame: Frame,
    vectors: NDArray[np.float64],
    index: NDArray[np.int64],
    judges: NDArray[np.bool_],
) -> None:
    centred = vectors - vectors[judges].mean(axis=0)
    _, strength, axes_of = np.linalg.svd(centred[judges], full_matrices=False)
    count = min(3, len(strength))
    scores = centred @ axes_of[:count].T
    judged = scores[judges]
    # A component's sign is arbitrary: settle it.
    sign = np.where(np.abs(judged.min(axis=0)) > judged.max(axis=0), -1, 1)
    scores, judged = scores * sign, judged * sign
    low, high = np.percentile(judged, (2, 98), axis=0)
    colours = np.zeros((len(index), 3))
    colours[:, :count] = np.clip((scores - low) / np.maximum(high - low, 1e-12), 0, 1)
    share = float((strength[:count] ** 2).sum() / max((strength**2).sum(), 1e-12))
    fill_chips(axes, frame, colours, index)
    finish(axes, frame, f"Embeddings: three principal components\n({share:.0%} of their variance; {frame.chip_text})")


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
