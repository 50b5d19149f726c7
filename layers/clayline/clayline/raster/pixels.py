"""The port Pixels, by GDAL: a plan's job becomes pixels."""

from dataclasses import dataclass, field

from clayline.chips.batch import Job
from clayline.chips.cog import CogSource
from clayline.ports import JobPixels
from clayline.raster.cog import ReadSettings
from clayline.raster.headers import s3_source
from clayline.raster.part import BandSource
from clayline.raster.tile import read_job
from clayline.run.plan import Plan, PlannedBand


@dataclass(frozen=True, kw_only=True)
class GdalPixels:
    """Reads jobs from S3."""

    settings: ReadSettings = field(default_factory=ReadSettings)

    def read_job(self, plan: Plan, job: Job) -> JobPixels:
        """Read the job's pixels, each block decoded once: see ``tile.read_job``, whose errors it raises."""
        window = job.pixel_window(plan.grid)
        read = read_job(
            [self._band(band) for band in plan.bands],
            self._band(plan.mask) if plan.mask else None,
            validity=[self._band(band) for band in plan.validity],
            transform=plan.scene.transform,
            window=window,
            settings=self.settings,
        )
        return JobPixels(
            row=window[0],
            col=window[2],
            pixels=read.pixels,
            mask=read.mask,
            unclassified=read.unclassified,
            masked=read.masked,
            damaged=read.damaged,
            reading=read.reading,
        )

    def locate(self, uri: str, size: int) -> CogSource:
        """Say where GDAL finds an object."""
        return s3_source(uri, size)

    def _band(self, band: PlannedBand) -> BandSource:
        source = self.locate(band.uri, band.size)
        return BandSource(
            name=band.name,
            source=source,
            header=band.header,
            band=band.band,
            nodata=next(iter(band.nodata), None),
            directory=band.directory,
        )
