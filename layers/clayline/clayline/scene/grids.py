"""Grids: the pixels' shape on the ground, and whether a scene's files share any of it."""

from collections.abc import Mapping
from itertools import combinations
from math import ceil
from typing import Protocol

from clayline.chips.cog import CogHeader, stretch
from clayline.errors import SceneError
from clayline.place import Option
from clayline.run.receipt import SceneWarning

SQUARE_TOLERANCE = 0.01
"""Share by which a pixel may be longer than wide on the ground, as the longest of its ways over the shortest."""


LONG_STRIP = 1_024
"""Pixels from which a strip costs more than a tile: narrower scenes are read whole, however they are stored."""


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


def strips(scene: str, files: Mapping[str, CogHeader]) -> tuple[SceneWarning, ...]:
    """Warn of files whose blocks are rows across the whole scene: jobs beside each other decode each of them again."""
    found = [name for name, header in files.items() if header.block_width == header.width >= LONG_STRIP]
    if not found:
        return ()
    message = (
        f"scene {scene}: {', '.join(found)[:200]}: stored in strips across the whole scene, not in tiles, and read more"
        " slowly. Deliver Cloud Optimized GeoTIFFs to read less: `gdal_translate -of COG IN OUT`."
    )
    return (SceneWarning(reason="strips", message=message),)


def check_overlap(scene: str, grid: CogHeader, files: Mapping[str, CogHeader]) -> None:
    """Refuse files of a scene of which two share no pixel: nowhere would all of them have a value.

    ``files`` are headers by what messages call the bands, ``grid`` is the finest of them. Rectangles that meet in pairs
    meet all together (Helly's theorem, for boxes). Raises SceneError (``mixed-crs``, ``no-overlap``).
    """
    for name, header in files.items():
        if header.crs != grid.crs:
            msg = f"scene {scene}: {name} has another CRS than its finest band. Deliver all files in one CRS."
            raise SceneError(msg, reason="mixed-crs")
    for (one, here), (other, there) in combinations(files.items(), 2):
        if not _share_a_centre(grid, here, there):
            msg = (
                f"scene {scene}: {one} ({_extent(here)}) and {other} ({_extent(there)}) do not overlap (west, south,"
                f" east, north in {here.crs[:60]}). Deliver files of one place, or correct the georeference of the one"
                " that is wrong."
            )
            raise SceneError(msg, reason="no-overlap")


def _share_a_centre(grid: CogHeader, one: CogHeader, other: CogHeader) -> bool:
    """Say whether the centre of a pixel of the grid lies in both files."""
    a, _, c, _, e, f = grid.transform
    lefts, bottoms, rights, tops = zip(one.bounds, other.bounds, strict=True)
    cols = (max(lefts) - c) / a, (min(rights) - c) / a
    rows = (min(tops) - f) / e, (max(bottoms) - f) / e
    return all(ceil(start - 0.5) + 0.5 < stop for start, stop in (cols, rows))


def _extent(header: CogHeader) -> str:
    return ", ".join(f"{value:.10g}" for value in header.bounds)
