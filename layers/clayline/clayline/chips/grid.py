"""The chip grid of a scene: every pixel lies in at least one chip."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil


@dataclass(frozen=True, kw_only=True, slots=True)
class ChipWindow:
    """One chip's pixel window in the scene's finest grid."""

    index: int
    """Number of the window in the full grid, row by row from the upper left: it names the window."""
    row: int
    """Upper-left pixel row."""
    col: int
    """Upper-left pixel column."""
    size: int
    """Side in pixels. Only a scene smaller than a chip has windows that reach over its edge (padded with nodata)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ChipGrid:
    """Square chips over a scene, stride = size, the last row and column shifted back so that they fit."""

    height: int
    """Scene height in pixels."""
    width: int
    """Scene width in pixels."""
    size: int
    """Chip side in pixels."""

    def __post_init__(self) -> None:
        """Refuse an empty scene or chip (a programming error here: scenes are checked when they are opened)."""
        if min(self.height, self.width, self.size) < 1:
            msg = f"a chip grid needs positive sides, got {self.height} x {self.width} px in chips of {self.size} px"
            raise ValueError(msg)

    @property
    def rows(self) -> int:
        """Number of chip rows."""
        return ceil(self.height / self.size)

    @property
    def cols(self) -> int:
        """Number of chip columns."""
        return ceil(self.width / self.size)

    def __len__(self) -> int:
        """Count the chips."""
        return self.rows * self.cols

    def window(self, index: int) -> ChipWindow:
        """Give the window that ``index`` names. Raises IndexError outside the grid."""
        if not 0 <= index < len(self):
            msg = f"chip {index} is not in a grid of {self.rows} x {self.cols} chips"
            raise IndexError(msg)
        row, col = divmod(index, self.cols)
        return ChipWindow(
            index=index, row=_start(row, self.height, self.size), col=_start(col, self.width, self.size), size=self.size
        )

    def __iter__(self) -> Iterator[ChipWindow]:
        """Go through all windows in the order of their index."""
        return (self.window(index) for index in range(len(self)))


def _start(position: int, length: int, size: int) -> int:
    return max(0, min(position * size, length - size))
