"""Grids: the pixels' shape on the ground."""

from typing import Protocol

from clayline.chips.cog import CogHeader, stretch
from clayline.errors import SceneError
from clayline.place import Option

SQUARE_TOLERANCE = 0.01
"""Share by which a pixel may be longer than wide on the ground, as the longest of its ways over the shortest."""


class Measured(Protocol):
    """What has pixels that were measured on the ground: a header, a planned scene."""

    @property
    def pixel_width_m(self) -> float:
        """Metres; 0 where it was never measured."""

    @property
    def pixel_height_m(self) -> float:
        """Likewise."""

    @property
    def pixel_angle(self) -> float:
        """Between rows and columns, degrees."""


def is_square(pixels: Measured) -> bool:
    """Say whether pixels are square on the ground, within SQUARE_TOLERANCE."""
    width, height, angle = pixels.pixel_width_m, pixels.pixel_height_m, pixels.pixel_angle
    return not width or stretch(width, height, angle) <= 1 + SQUARE_TOLERANCE


def shape(pixels: Measured) -> str:
    """Say in words what pixels look like on the ground."""
    sides = f"its pixels are {pixels.pixel_width_m:.6g} m wide and {pixels.pixel_height_m:.6g} m high on the ground"
    leaning = abs(pixels.pixel_angle - 90)
    return sides if leaning < 0.1 else f"{sides}, and lean by {leaning:.1f} degrees"  # noqa: PLR2004 - what is worth a word


def check_square(scene: str, grid: CogHeader) -> None:
    """Refuse pixels that are not square on the ground. Raises SceneError (``not-square``)."""
    if is_square(grid):
        return
    msg = (
        f"scene {scene}: {shape(grid)}, more than {SQUARE_TOLERANCE:.0%} from square, which the model knows nothing of."
        " Reproject it to square pixels (its UTM zone: `gdalwarp -of COG -t_srs EPSG:326NN -tr METRES METRES IN OUT`),"
        f" or allow it with {Option.ANY_PIXEL_SHAPE}."
    )
    raise SceneError(msg, reason="not-square")
