"""What reading a scene will take, looked up in its files."""

from collections.abc import Sequence
from dataclasses import dataclass

from clayline.chips.cog import Affine
from clayline.chips.reading import Reading
from clayline.raster.pixels import GdalPixels
from clayline.raster.reading import readings
from clayline.raster.tile import PixelWindow, openings
from clayline.run.plan import PlannedBand


@dataclass(frozen=True, kw_only=True)
class LookedUpPixels(GdalPixels):
    """GdalPixels that say beforehand what reading takes."""

    def readings(
        self,
        bands: Sequence[PlannedBand],
        mask: PlannedBand | None,
        validity: Sequence[PlannedBand],
        *,
        transform: Affine,
        windows: Sequence[PixelWindow],
    ) -> list[Reading] | None:
        """Give for each window what reading it will take: see ``raster.reading``, whose errors it raises."""
        opened = openings(
            [self._band(band) for band in bands],
            self._band(mask) if mask else None,
            [self._band(band) for band in validity],
        )
        files = [[wanted.band for wanted in opening.wanted] for opening in opened]
        return readings(files, transform=transform, windows=windows, settings=self.settings)
