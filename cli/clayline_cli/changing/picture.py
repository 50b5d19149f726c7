"""The map of a comparison: how unusual each cell's change is, and which cells were not compared, with why."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import matplotlib as mpl
import numpy as np
import shapely
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import PolyCollection
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from clayline.api.changing import Changed
from clayline_cli.changing.telling import centred

_INK, _PAPER, _EDGE, _GREY = "#1f2933", "#f5f7fa", "#9aa5b1", "#d5dae0"
_LOST: Final = "#b42318"
_COLOURS: Final = "YlOrRd"
_HATCHES: Final = ("////", "....", "\\\\\\\\", "xxxx", "||||", "----", "oooo", "++++", "**", "//..", "xx..")
_MOST_PANELS: Final = 4
_MOST_ACROSS: Final = 2
"""Panels in a row: of three or four side by side nothing can be read."""
_UNKNOWN, _LINE = "#b7c9e2", "#7b8794"
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

    All panels show the same ground, and a reason is hatched alike in each. Raises OSError; FileExistsError where
    something is there.
    """
    rows = found.table.select(["cell", "compared", "reason", "pair", "distance", "percentile", "geometry"])
    panels = _panels(found, rows)
    calibrated = found.compared > found.uncalibrated
    across = min(len(panels), _MOST_ACROSS)
    down = -(-len(panels) // across)
    ground = _Ground.of(rows)
    with mpl.rc_context(_STYLE):
        figure = Figure(
            figsize=(_WIDE * across + 1.4, down * (0.9 * _WIDE * ground.shape + 0.7) + 1.5), layout="constrained"
        )
        grid = figure.subplots(down, across, squeeze=False)
        largest = float(np.nanmax(_numbers(rows, "distance"))) if found.compared else 0.0
        scale = Normalize(0, 100) if calibrated else Normalize(0, largest or 1.0)
        handles: dict[str, Patch] = {}
        for axis, (title, numbers) in zip(grid.flat, panels, strict=False):
            part = rows.take(numbers)
            handles |= _panel(axis, part, scale, "percentile" if calibrated else "distance", ground)
            compared = int(np.count_nonzero(part.column("compared").to_numpy()))
            axis.set_title(f"{title}\n{compared:,} cells compared, {part.num_rows - compared:,} not", fontsize=9)
        for number, axis in enumerate(grid.flat):
            axis.set_visible(number < len(panels))
        for axis in grid[:, 0]:
            axis.set_ylabel("latitude")
        for number in range(max(0, len(panels) - across), len(panels)):
            grid.flat[number].set_xlabel("longitude")
        label = (
            "percentile among the dataset's own pairs" if calibrated else "distance (uncalibrated: too few pairs to say"
            " what is unusual)"
        )  # fmt: skip
        shown = grid.ravel()[: len(panels)].tolist()
        figure.colorbar(ScalarMappable(norm=scale, cmap=_COLOURS), ax=shown, shrink=0.7, label=label)
        figure.suptitle(f"What changed: {found.token or 'no model'}{centred(found)}\n{uri}", fontsize=10)
        if handles:
            ordered = [handles[name] for name in sorted(handles)]
            figure.legend(
                handles=ordered, loc="outside lower center", fontsize=8, frameon=False, ncols=min(3, len(ordered))
            )
        with target.open("xb") as file:
            figure.savefig(file, format="png", dpi=110, facecolor="white")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Ground:
    """What every panel shows, and how each reason is drawn."""

    west: float
    south: float
    east: float
    north: float
    turned: bool
    """Whether it lies over the antimeridian: then west of it is drawn beyond 180 degrees."""
    hatches: dict[str, str]

    @classmethod
    def of(cls, rows: Any) -> Self:  # noqa: ANN401 - a table
        """Measure the footprints of all rows."""
        shapes = shapely.from_wkb(rows.column("geometry").to_pylist())
        bounds = shapely.total_bounds(shapes)
        turned = bool(bounds[2] - bounds[0] > _HALF_TURN)
        lons = np.asarray(shapely.get_coordinates(shapes))[:, 0]
        lons = np.where(lons < 0, lons + 2 * _HALF_TURN, lons) if turned else lons
        names = sorted({each for each in rows.column("reason").to_pylist() if each is not None})
        return cls(
            west=float(lons.min()),
            south=float(bounds[1]),
            east=float(lons.max()),
            north=float(bounds[3]),
            turned=turned,
            hatches=dict(zip(names, _HATCHES, strict=False)),
        )

    @property
    def narrowing(self) -> float:
        """How much shorter a degree of longitude is than one of latitude."""
        return max(float(np.cos(np.radians((self.south + self.north) / 2))), 0.05)

    @property
    def shape(self) -> float:
        """How high it is to its width, as far as a picture can be."""
        wide = max((self.east - self.west) * self.narrowing, 1e-9)
        return float(np.clip((self.north - self.south) / wide, 0.35, 1.6))


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


def _panel(axes: Axes, rows: Any, scale: Normalize, by: str, ground: _Ground) -> dict[str, Patch]:  # noqa: ANN401 - a table
    """Draw a panel; gives what its legend says beside the colours, by reason."""
    shapes, owner = shapely.get_parts(shapely.from_wkb(rows.column("geometry").to_pylist()), return_index=True)
    rings = [_ring(shape, turned=ground.turned) for shape in shapes.tolist()]
    value, compared = _numbers(rows, by), np.array(rows.column("compared").to_pylist(), np.bool_)
    reasons: list[str | None] = rows.column("reason").to_pylist()
    told = compared & ~np.isnan(value)
    handles = {}
    colours = mpl.colormaps[_COLOURS](scale(np.nan_to_num(value)))
    parts = [number for number, at in enumerate(owner.tolist()) if told[at]]
    axes.add_collection(
        PolyCollection([rings[part] for part in parts], facecolors=colours[owner[parts]], edgecolors="none")
    )
    if (unknown := compared & ~told).any():
        parts = [number for number, at in enumerate(owner.tolist()) if unknown[at]]
        axes.add_collection(
            PolyCollection([rings[part] for part in parts], facecolors=_UNKNOWN, edgecolors="white", linewidths=0.2)
        )
        handles[""] = Patch(facecolor=_UNKNOWN, label="compared, uncalibrated")
    for name in sorted({each for each in reasons if each is not None}):
        parts = [number for number, at in enumerate(owner.tolist()) if reasons[at] == name]
        is_lost, hatch = name == "unreadable", ground.hatches.get(name)
        style: dict[str, Any] = {
            "facecolor": "none" if is_lost else _GREY, "edgecolor": _LOST if is_lost else _LINE, "hatch": hatch,
        }  # fmt: skip
        axes.add_collection(
            PolyCollection([rings[part] for part in parts], linewidths=1.2 if is_lost else 0.2, **style)
        )
        handles[name] = Patch(label=f"not compared: {name}", **style)
    wide, high = 0.02 * (ground.east - ground.west), 0.02 * (ground.north - ground.south)
    axes.set_xlim(ground.west - wide, ground.east + wide)
    axes.set_ylim(ground.south - high, ground.north + high)
    axes.set_aspect(1 / ground.narrowing)
    axes.ticklabel_format(useOffset=False)
    axes.tick_params(color=_EDGE, labelcolor=_INK, labelsize=8)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    return handles


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
