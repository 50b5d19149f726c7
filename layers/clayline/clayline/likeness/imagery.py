"""Where a chip's own pixels lie, by what its file says of itself: to show it to people (docs/search.md, The sheet)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from clayline.chips.cog import Affine
from clayline.chips.grid import ChipGrid
from clayline.errors import DatasetError
from clayline.outputs.provenance import IN_THE_CORNER
from clayline.run.plan import Plan

_COLOURS: Final = ("red", "green", "blue")
_MOST_SIDE: Final = 1 << 16
"""Pixels of a chip's side."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ShownBand:
    """A band that is shown."""

    name: str
    uri: str
    """``file:///`` or ``s3://``."""
    number: int
    """Of the band in the file, from 1."""
    nodata: tuple[float, ...]
    etag: str = ""
    """Of the object that was embedded; empty where nobody noted it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SceneImagery:
    """The bands of a scene that are shown: red, green and blue, else one as grey; and where its chips lie in them."""

    bands: tuple[ShownBand, ...]
    """Three, or one."""
    crs: str
    transform: Affine
    """Of the finest band, turned north-up."""
    grid: ChipGrid
    """Of the chips, in pixels of that band."""

    @classmethod
    def of(cls, provenance: Mapping[str, Any], *, name: str) -> Self:
        """Read a scene file's provenance (docs/schema.md). Raises DatasetError naming the scene."""
        try:
            grid, assets = provenance["grid"], provenance["source"]["assets"]
            bands = {
                str(each["band"]): ShownBand(
                    name=str(each["band"]),
                    uri=str(each["uri"]),
                    number=int(each["file_band"]),
                    nodata=tuple(float(value) for value in each["nodata"]),
                    etag=str(each.get("etag") or ""),
                )
                for each in assets
                if each["band"]
            }
            shown = [bands[each] for each in _COLOURS if each in bands]
            if len(shown) < len(_COLOURS):
                source = str(provenance["source"]["source_url"])
                shown = [each for each in bands.values() if each.uri == source][:1]
            a, b, c, d, e, f = (float(value) for value in grid["transform"])
            found = cls(
                bands=tuple(shown),
                crs=str(grid["crs"]),
                transform=(a, b, c, d, e, f),
                grid=ChipGrid(
                    height=int(grid["height"]),
                    width=int(grid["width"]),
                    size=int(grid["chip_size"]),
                    start=None if grid["edge"] == IN_THE_CORNER else (int(grid["start"][0]), int(grid["start"][1])),
                ),
            )
        except (KeyError, TypeError, ValueError, IndexError) as error:
            msg = f"{name}: its provenance does not say where its imagery lies ({error!r})."
            raise DatasetError(msg) from error
        if not found.bands or found.grid.size > _MOST_SIDE:
            msg = f"{name}: its provenance names no band of its imagery."
            raise DatasetError(msg)
        return found

    @classmethod
    def planned(cls, plan: Plan) -> Self:
        """Take them from a run's plan, as it read them itself: bands where they lie, and not as people call them."""
        bands = {
            band.name: ShownBand(name=band.name, uri=band.uri, number=band.band, nodata=band.nodata, etag=band.etag)
            for band in plan.bands
        }
        shown = [bands[each] for each in _COLOURS if each in bands]
        if len(shown) < len(_COLOURS):
            shown = [bands[plan.finest.name]]
        return cls(bands=tuple(shown), crs=plan.scene.crs, transform=plan.scene.transform, grid=plan.grid)

    def bounds(self, index: int) -> tuple[float, float, float, float]:
        """Give left, bottom, right, top of the chip ``index``, in units of the CRS. Raises DatasetError for none."""
        try:
            window = self.grid.window(index)
        except IndexError as error:
            msg = f"the scene has no such chip: {error}"
            raise DatasetError(msg) from error
        a, _, c, _, e, f = self.transform
        bottom, right = window.row + window.size, window.col + window.size
        return a * window.col + c, e * bottom + f, a * right + c, e * window.row + f
