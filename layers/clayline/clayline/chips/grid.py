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
    """Upper-left pixel row; negative where the window begins above the scene."""
    col: int
    """Upper-left pixel column; negative where the window begins left of the scene."""
    size: int
    """Side in pixels. The window may reach over the scene's edges, on all four sides: nodata stands there."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ChipGrid:
    """Square chips over a scene, stride = size.

    Without a ``start`` the first chip lies in the scene's corner, and the last row and column are shifted back so that
    they fit. With one (chips/lattice.py) no chip is shifted, and those at the edges reach over them.
    """

    height: int
    """Scene height in pixels."""
    width: int
    """Scene width in pixels."""
    size: int
    """Chip side in pixels."""
    start: tuple[int, int] | None = None
    """Pixel row and column of the first chip, each over -size and at most 0."""

    def __post_init__(self) -> None:
        """Refuse an empty scene or chip (a programming error here: scenes are checked when they are opened)."""
        if min(self.height, self.width, self.size) < 1:
            msg = f"a chip grid needs positive sides, got {self.height} x {self.width} px in chips of {self.size} px"
            raise ValueError(msg)
        if self.start and not all(-self.size < first <= 0 for first in self.start):
            msg = f"the first of chips of {self.size} px cannot start at {self.start}: it must hold the scene's corner"
            raise ValueError(msg)

    @property
    def rows(self) -> int:
        """Number of chip rows."""
        return ceil((self.height - self._first[0]) / self.size)

    @property
    def cols(self) -> int:
        """Number of chip columns."""
        return ceil((self.width - self._first[1]) / self.size)

    def __len__(self) -> int:
        """Count the chips."""
        return self.rows * self.cols

    def window(self, index: int) -> ChipWindow:
        """Give the window that ``index`` names. Raises IndexError outside the grid."""
        if not 0 <= index < len(self):
            msg = f"chip {index} is not in a grid of {self.rows} x {self.cols} chips"
            raise IndexError(msg)
        row, col = divmod(index, self.cols)
        return ChipWindow(index=index, row=self.row(row), col=self.col(col), size=self.size)

    def row(self, position: int) -> int:
        """Give the upper pixel row of the chip row at ``position``."""
        return self._pixel(position, self._first[0], self.height)

    def col(self, position: int) -> int:
        """Give the left pixel column of the chip column at ``position``."""
        return self._pixel(position, self._first[1], self.width)

    def __iter__(self) -> Iterator[ChipWindow]:
        """Go through all windows in the order of their index."""
        return (self.window(index) for index in range(len(self)))

    @property
    def _first(self) -> tuple[int, int]:
        return self.start or (0, 0)

    def _pixel(self, position: int, first: int, length: int) -> int:
        pixel = first + position * self.size
        return pixel if self.start else max(0, min(pixel, length - self.size))
