"""Real scenes as they lie on disk, and the one that comes with the repository."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from clay.sensor import find_sensor

if TYPE_CHECKING:
    from clay.sensor import BandSet

ROOT: Final = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, kw_only=True, slots=True)
class Scene:
    """One of them."""

    folder: Path
    sensor: str
    moment: str
    """ISO 8601."""
    gsd: float
    """Metres."""
    files: dict[str, tuple[str, int]]
    """By band: file and the band's number in it. The first file's pixels are the grid; another's may be twice as
    large."""
    decibel: bool = False
    """Whether its numbers are decibels, though Clay's are made from linear power."""

    @property
    def bands(self) -> BandSet:
        """The sensor with the bands that the scene has, in their order here, at its pixel size."""
        return find_sensor(self.sensor).select(tuple(self.files)).model_copy(update={"gsd": self.gsd})


BUNDLED: Final = Scene(
    folder=ROOT / "samples" / "landsat8_itaipu_2020",
    sensor="landsat-c2l1",
    moment="2020-05-18T13:36Z",
    gsd=30,
    files={"red": ("B4.tif", 1), "green": ("B3.tif", 1), "blue": ("B2.tif", 1)},
)
