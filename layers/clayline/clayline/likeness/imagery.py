"""Where a chip's own pixels lie, by what its file says of itself: to show it to people (docs/search.md, The sheet)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from clayline.chips.cog import Affine
from clayline.errors import DatasetError

_COLOURS: Final = ("red", "green", "blue")


@dataclass(frozen=True, kw_only=True, slots=True)
class ShownBand:
    """A band that is shown."""

    name: str
    uri: str
    """``file:///`` or ``s3://``."""
    number: int
    """Of the band in the file, from 1."""
    nodata: tuple[float, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class SceneImagery:
    """The bands of a scene that are shown: red, green and blue, else one as grey; and where its chips lie in them."""

    bands: tuple[ShownBand, ...]
    """Three, or one."""
    crs: str
    transform: Affine
    """Of the finest band, turned north-up."""
    chip_size: int
    """Pixels."""
    stride: int
    start: tuple[int, int]
    cols: int

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
                chip_size=int(grid["chip_size"]),
                stride=int(grid["stride"]),
                start=(int(grid["start"][0]), int(grid["start"][1])),
                cols=int(grid["cols"]),
            )
        except (KeyError, TypeError, ValueError, IndexError) as error:
            msg = f"{name}: its provenance does not say where its imagery lies ({error!r})."
            raise DatasetError(msg) from error
        if not found.bands or found.cols < 1 or not 1 <= found.chip_size <= 1 << 16:
            msg = f"{name}: its provenance names no band of its imagery."
            raise DatasetError(msg)
        return found

    def bounds(self, index: int) -> tuple[float, float, float, float]:
        """Give left, bottom, right, top of the chip ``index``, in units of the CRS."""
        row = self.start[0] + index // self.cols * self.stride
        col = self.start[1] + index % self.cols * self.stride
        a, _, c, _, e, f = self.transform
        side = self.chip_size
        return a * col + c, e * (row + side) + f, a * (col + side) + c, e * row + f
