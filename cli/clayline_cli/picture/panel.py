"""A panel of the picture: chips and graticule over the ground, on the scene's own grid of pixels."""

from dataclasses import dataclass

import numpy as np
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from clayline.chips.grid import ChipGrid
from clayline_cli.picture.ground import Graticule, Ground, length_text

INK, LINE = "#1f2933", "#9aa5b1"
_SQUARE = 0.05
"""How far from square a pixel may be for its width to be told alone."""


@dataclass(frozen=True, kw_only=True)
class Frame:
    """What all panels of a picture share."""

    grid: ChipGrid
    ground: Ground
    graticule: Graticule
    aspect: float
    """Height of a pixel by its width, on the ground."""

    @property
    def chip_text(self) -> str:
        """Say how large chips are, in pixels and on the ground."""
        width = self.grid.size * self.ground.metres_a_column()
        sides = [width] if abs(self.aspect - 1) < _SQUARE else [width, width * self.aspect]
        return f"chips of {self.grid.size} px, {' by '.join(length_text(float(f'{side:.2g}')) for side in sides)}"


def fill_chips(axes: Axes, frame: Frame, colours: NDArray[np.float64], index: NDArray[np.int64]) -> None:
    """Fill each chip's own pixels, as far as they lie in the scene.

    A cell is a chip, but for a scene's own grid, where it is an eighth of a side: where the shifted last row overlaps,
    the later chip wins.
    """
    grid = frame.grid
    step = grid.size if grid.start else max(1, grid.size // 8)
    top, left = grid.start or (0, 0)
    rows, cols = -(-max(grid.height - top, grid.size) // step), -(-max(grid.width - left, grid.size) // step)
    canvas = np.zeros((rows, cols, 4))
    for colour, number in zip(colours, index.tolist(), strict=True):
        window = grid.window(number)
        row, col = window.row - top, window.col - left
        rows_of, cols_of = (slice(at // step, -(-(at + grid.size) // step)) for at in (row, col))
        canvas[rows_of, cols_of] = (*colour, 1.0)
    extent = (left, left + cols * step, top + rows * step, top)
    axes.imshow(canvas, extent=extent, aspect=frame.aspect, interpolation="nearest")


def finish(axes: Axes, frame: Frame, title: str, *, degrees_left: bool = False) -> None:
    """Put title and graticule on a panel."""
    net = frame.graticule
    for field, levels in ((net.lon, net.meridians), (net.lat, net.parallels)):
        if levels:
            axes.contour(
                net.cols,
                net.rows,
                _without_jump(field),
                levels=levels,
                colors="white",
                linewidths=0.6,
                linestyles="solid",
                alpha=0.55,
            )
    axes.set_title(title, fontsize=11)
    axes.set_xlim(0, frame.grid.width)
    axes.set_ylim(frame.grid.height, 0)
    axes.set_xticks(net.below.pixels, net.below.labels)
    axes.set_yticks(net.left.pixels, net.left.labels if degrees_left else [""] * len(net.left.labels))
    axes.tick_params(length=3, labelsize=8.5, color=LINE, labelcolor=INK)
    if degrees_left:
        for label in axes.get_yticklabels():
            label.set(rotation=90, verticalalignment="center")


def _without_jump(field: NDArray[np.float64]) -> NDArray[np.float64]:
    """Hide where longitude jumps by a turn, in the meridian beyond a pole: a contour would draw every level there."""
    hidden = np.zeros(field.shape, np.bool_)
    half_turn = 180
    for axis in (0, 1):
        jump = np.abs(np.diff(field, axis=axis)) > half_turn
        hidden |= np.insert(jump, 0, values=False, axis=axis) if axis else np.insert(jump, 0, values=False, axis=0)
    return np.where(hidden, np.nan, field)


def draw_scale_bar(axes: Axes, ground: Ground) -> None:
    """Draw a bar of a round length in the lower right corner, legible on any ground."""
    metres, columns = ground.scale_bar()
    thick, margin = ground.height * 0.012, 0.04
    right, lower = ground.width * (1 - margin), ground.height * (1 - margin)
    bar = Rectangle(
        (right - columns, lower - thick), columns, thick, facecolor="white", edgecolor=INK, linewidth=0.8, zorder=5
    )
    axes.add_patch(bar)
    halo = [patheffects.withStroke(linewidth=2.5, foreground=INK)]
    place = (right - columns / 2, lower - 1.6 * thick)
    axes.text(
        *place, length_text(metres), ha="center", va="bottom", color="white", fontsize=9.5, path_effects=halo, zorder=5
    )
