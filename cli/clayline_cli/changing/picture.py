"""The map of a comparison: how unusual each cell's change is, and which cells were not compared, with why."""

from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
import numpy as np
import shapely
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import PolyCollection
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from clayline.api.changing import Changed

_INK, _PAPER, _EDGE, _GREY = "#1f2933", "#f5f7fa", "#9aa5b1", "#d5dae0"
_LOST: Final = "#b42318"
_COLOURS: Final = "YlOrRd"
_HATCHES: Final = ("////", "....", "\\\\\\\\", "xxxx", "||||", "----", "oooo", "++++", "**", "//..", "xx..")
_MOST_PANELS: Final = 4
_WIDE: Final = 5.4
"""Inches of a panel."""
_STYLE: Final[dict[Any, Any]] = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "text.color": _INK,
    "axes.edgecolor": _EDGE,
    "axes.facecolor": _PAPER,
    "hatch.linewidth": 0.5,
}
_HALF_TURN: Final = 180.0


def draw(found: Changed, target: Path, *, uri: str) -> None:
    """Write a PNG: a panel of each two dates, or one of the greatest change where there are more than four.

    Raises OSError; FileExistsError where something is there.
    """
    rows = found.table.select(["cell", "compared", "reason", "pair", "distance", "percentile", "geometry"])
    panels = _panels(found, rows)
    calibrated = found.compared > found.uncalibrated
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(_WIDE * len(panels) + 1.4, 0.9 * _WIDE * _shape(rows) + 1.6), layout="constrained")
        axes = np.atleast_1d(figure.subplots(1, len(panels)))
        distances = _numbers(rows, "distance")
        largest = float(np.nanmax(distances)) if found.compared else 0.0
        scale = Normalize(0, 100) if calibrated else Normalize(0, largest or 1.0)
        for axis, (title, numbers) in zip(axes, panels, strict=True):
            _panel(axis, rows.take(numbers), scale, "percentile" if calibrated else "distance", title)
        label = (
            "percentile among the dataset's own pairs" if calibrated else "distance (uncalibrated: too few pairs to say"
            " what is unusual)"
        )  # fmt: skip
        figure.colorbar(ScalarMappable(norm=scale, cmap=_COLOURS), ax=axes.tolist(), shrink=0.7, label=label)
        figure.suptitle(f"What changed: {found.token}, centred by {found.centred_by or 'nothing'}\n{uri}", fontsize=10)
        with target.open("xb") as file:
            figure.savefig(file, format="png", dpi=110, facecolor="white")


def _shape(rows: Any) -> float:  # noqa: ANN401 - a table
    """Give how high the ground is to its width, as far as a picture can be."""
    west, south, east, north = shapely.total_bounds(shapely.from_wkb(rows.column("geometry").to_pylist()))
    if east - west > _HALF_TURN:
        return 0.8
    wide = max((east - west) * max(np.cos(np.radians((south + north) / 2)), 0.05), 1e-9)
    return float(np.clip((north - south) / wide, 0.35, 1.6))


def _panels(found: Changed, rows: Any) -> list[tuple[str, NDArray[np.int64]]]:  # noqa: ANN401 - a table
    """Give title and rows of each panel: by date pair, or each cell's greatest change."""
    everything = np.arange(rows.num_rows)
    if len(found.dates) == 1:
        return [(f"{found.dates[0][0]} to {found.dates[0][1]}", everything)]
    if found.dates and len(found.dates) <= _MOST_PANELS:
        steps = np.nan_to_num(_numbers(rows, "pair"), nan=-1)  # a file that was not read is of every pair
        return [
            (f"{first} to {second}", everything[(steps == step) | (steps < 0)])
            for step, (first, second) in enumerate(found.dates)
        ]
    cells: list[str | None] = rows.column("cell").to_pylist()
    best: dict[str, int] = {}
    order = np.lexsort([-np.nan_to_num(_numbers(rows, "distance"), nan=-1.0), -_known(rows)])
    for number in order.tolist():
        best.setdefault(cells[number] or f" {number}", number)
    title = f"{len(found.dates)} pairs of dates" if found.dates else "each cell's own dates"
    return [(f"{title}: the greatest change of each cell", np.array(sorted(best.values())))]


def _panel(axes: Axes, rows: Any, scale: Normalize, by: str, title: str) -> None:  # noqa: ANN401 - a table
    shapes, owner = shapely.get_parts(shapely.from_wkb(rows.column("geometry").to_pylist()), return_index=True)
    west, south, east, north = shapely.total_bounds(shapes)
    turned = east - west > _HALF_TURN
    rings = [_ring(shape, turned=turned) for shape in shapes.tolist()]
    value, compared = _numbers(rows, by), np.array(rows.column("compared").to_pylist(), np.bool_)
    reasons: list[str | None] = rows.column("reason").to_pylist()
    told = compared & ~np.isnan(value)
    handles = []
    colours = mpl.colormaps[_COLOURS](scale(np.nan_to_num(value)))
    parts = [number for number, at in enumerate(owner.tolist()) if told[at]]
    axes.add_collection(
        PolyCollection([rings[part] for part in parts], facecolors=colours[owner[parts]], edgecolors="none")
    )
    handles.append(Patch(facecolor=mpl.colormaps[_COLOURS](0.5), label=f"{int(told.sum()):,} compared"))
    if (unknown := compared & ~told).any():
        parts = [number for number, at in enumerate(owner.tolist()) if unknown[at]]
        axes.add_collection(
            PolyCollection([rings[part] for part in parts], facecolors="#b7c9e2", edgecolors="white", linewidths=0.2)
        )
        handles.append(Patch(facecolor="#b7c9e2", label=f"{int(unknown.sum()):,} compared, uncalibrated"))
    names = sorted({each for each in reasons if each is not None})
    for hatch, name in zip(_HATCHES, names, strict=False):
        parts = [number for number, at in enumerate(owner.tolist()) if reasons[at] == name]
        style: dict[str, Any] = {"facecolors": _GREY, "edgecolors": "#7b8794", "linewidths": 0.2, "hatch": hatch}
        if name == "unreadable":
            style |= {"facecolors": "none", "edgecolors": _LOST, "linewidths": 1.2}
        axes.add_collection(PolyCollection([rings[part] for part in parts], **style))
        count = sum(each == name for each in reasons)
        handles.append(
            Patch(
                facecolor="none" if name == "unreadable" else _GREY,
                edgecolor=_LOST if name == "unreadable" else "#7b8794",
                hatch=hatch,
                label=f"{count:,} not compared: {name}",
            )
        )
    every = np.concatenate(rings)
    least, most = every.min(axis=0), every.max(axis=0)
    margin = 0.02 * (most - least)
    axes.set_xlim(least[0] - margin[0], most[0] + margin[0])
    axes.set_ylim(least[1] - margin[1], most[1] + margin[1])
    axes.set_aspect(1 / max(np.cos(np.radians((south + north) / 2)), 0.05))
    axes.set_title(title)
    axes.set_xlabel("longitude")
    axes.set_ylabel("latitude")
    axes.ticklabel_format(useOffset=False)
    axes.tick_params(color=_EDGE, labelcolor=_INK, labelsize=8)
    axes.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, -0.12), fontsize=8, frameon=False, ncols=2)


def _ring(shape: Any, *, turned: bool) -> NDArray[np.float64]:  # noqa: ANN401 - a polygon
    ring = np.asarray(shapely.get_coordinates(shape.exterior))
    if turned:
        ring[:, 0] = np.where(ring[:, 0] < 0, ring[:, 0] + 2 * _HALF_TURN, ring[:, 0])
    return ring


def _numbers(rows: Any, name: str) -> NDArray[np.float64]:  # noqa: ANN401 - a table
    return np.asarray(rows.column(name).to_numpy(), np.float64)


def _known(rows: Any) -> NDArray[np.float64]:  # noqa: ANN401 - a table
    """Give the percentile; behind all, what was compared without one, then what was not."""
    compared = np.array(rows.column("compared").to_pylist(), np.float64)
    return np.where(np.isnan(_numbers(rows, "percentile")), compared - 2, _numbers(rows, "percentile"))
