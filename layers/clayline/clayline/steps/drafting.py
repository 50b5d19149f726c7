"""Drafting: what plan decides of a landed scene, and writes nothing. The dry run of plan is this."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from clayline.chips.batch import Batch, Job, block_grid, lay_batches, lay_jobs
from clayline.chips.classes import Classification
from clayline.chips.grid import ChipGrid
from clayline.errors import SceneError
from clayline.model.manifest import Manifest, ModelEntry
from clayline.place import Option, words
from clayline.ports import Headers, ObjectForbiddenError, ObjectHead, ObjectMissingError, Objects
from clayline.run.plan import PlannedBand, PlannedChips, PlannedScene, scene_grid
from clayline.run.receipt import SceneWarning
from clayline.scene.band_files import check_bands
from clayline.scene.boa_statements import statements
from clayline.scene.declared import disagreements
from clayline.scene.declared_numbers import nodata_of
from clayline.scene.describe import (
    OpenedBand,
    describe,
    finest,
    in_own_projection,
    warnings_of,
)
from clayline.scene.doubt import OnImplausible
from clayline.scene.grids import check_overlap, strips
from clayline.scene.intake import Landing
from clayline.scene.item import BandAsset
from clayline.scene.landed import read_source
from clayline.scene.numbers import brought
from clayline.scene.plausible import told
from clayline.scene.radiometry import BoaDecision, decide_boa
from clayline.scene.rivals import settle_rivals
from clayline.scene.shortfall import fewer_bands, what_was_found
from clayline.scene.source import LandedScene, SceneSource
from clayline.scene.validity import check_classes, cloud_warnings, validity_of
from clayline.steps.bounds import check_batches, check_chips
from clayline.steps.options import PlanOptions
from clayline.steps.placement import place
from clayline.steps.sampling import look

MAX_BATCHES = 40_000
"""Of one scene: their names in the run's settled set must stay under DynamoDB's 400 KB an item."""


ASSET_MISSING: Final = "asset-missing"


@dataclass(frozen=True, kw_only=True, slots=True)
class Draft:
    """A plan but for its run: what will be embedded, and how."""

    scene: PlannedScene
    grid: ChipGrid
    bands: tuple[PlannedBand, ...]
    """In the order of the model entry's bands."""
    mask: PlannedBand | None
    classification: Classification | None
    mask_chosen_by: str | None
    validity: tuple[PlannedBand, ...]
    jobs: tuple[Job, ...]
    batches: tuple[Batch, ...]
    chips: PlannedChips
    warnings: tuple[SceneWarning, ...]


@dataclass(frozen=True, kw_only=True)
class Drafting:
    """Ports of what plan decides: objects and headers are read, nothing is written."""

    objects: Objects
    headers: Headers
    manifest: Manifest
    options: PlanOptions

    def read(self, landing: Landing) -> LandedScene | str:
        """Read what landed and choose the model's entry. Gives the sentence that says why other JSON starts nothing.

        Raises SceneError, TransientError.
        """
        source = self.source(landing)
        return source if isinstance(source, str) else self.land(landing, source, self.entry(source))

    def source(self, landing: Landing) -> SceneSource | str:
        """Read what landed, or say why other JSON starts nothing. Raises SceneError, TransientError."""
        return read_source(
            landing,
            objects=self.objects,
            headers=self.headers,
            allowed_buckets=self.options.allowed_buckets,
            tiff_datetime=self.options.tiff_datetime,
            names=self.options.names,
            products=self.options.sensors.products if self.options.sensors else None,
        )

    def entry(self, source: SceneSource) -> ModelEntry:
        """Choose the model's entry. Raises SceneError."""
        if not source.trained and not self.options.untrained_sensors:
            msg = (
                f"scene {source.name}: it is of {source.product.instrument_token(source.platform)}"
                f" ({source.product.name}), on which models of {source.product.sensor} were not trained. Deliver a"
                f" product that they know, or allow it with {Option.UNTRAINED_SENSORS}."
            )
            raise SceneError(msg, reason="untrained-sensor")
        return self.manifest.choose(
            scene=source.name,
            sensor=source.product.sensor,
            bands=frozenset(band.name for band in source.bands),
            hint=what_was_found(source) if source.unrecognised else "",
        )

    def land(self, landing: Landing, source: SceneSource, entry: ModelEntry) -> LandedScene:
        """Look up every file that the entry needs; where several assets hold a band, settle which is read.

        Raises SceneError, TransientError.
        """
        if source.rivals:
            source = settle_rivals(source, entry, self._pixel(source))
        return LandedScene(
            landing=landing,
            landed_uri=self.options.names.of(landing.uri),
            source=source,
            entry=entry,
            heads=self._heads(source, entry),
            options=self.options.identity(source),
        )

    def draft(self, landed: LandedScene) -> Draft:
        """Read headers, lay the grid, cut it into jobs and batches, place its chips.

        Raises SceneError, TransientError.
        """
        source, entry, heads = landed.source, landed.entry, landed.heads
        opened = {band.name: self._open(band, heads) for band in source.bands if band.name in entry.bands}
        bands = tuple(opened[name] for name in entry.bands)
        check_bands(source, bands)
        mask = self._open(source.mask.asset, heads) if source.mask else None
        data_masks = tuple(self._open(asset, heads) for asset in source.data_masks)
        masks = (*((mask,) if mask else ()), *data_masks)
        check_classes(source, masks)
        files = {f"band {band.asset.name}": band.header for band in bands}
        files |= {f"its mask {each.asset.name}": each.header for each in masks}
        check_overlap(source.name, finest(bands), files)
        boa = self._boa(source, bands)
        scene = describe(
            source,
            finest(bands),
            entry,
            self.headers,
            any_gsd=self.options.any_gsd,
            any_pixel_shape=self.options.any_pixel_shape,
            boa=boa,
        )
        numbers = [brought(source.name, band, source.product.numbers, target=entry.dtype, boa=boa) for band in bands]
        planned = tuple(
            band.planned(
                nodata=(*source.product.nodata, *nodata_of(band.asset.numbers, source.name, band.asset.name)),
                offset=made.offset,
                conversion=made.conversion,
                possible=made.possible,
            )
            for band, made in zip(bands, numbers, strict=True)
        )
        planned_mask = mask.planned(nodata=(), offset=0) if mask else None
        validity = validity_of(bands, source.bands, data_masks)
        grid = scene_grid(scene, entry.chip_size)
        check_chips(source.name, len(grid), entry, self.options.bounds)
        jobs = self._jobs(scene, grid, (*planned, *((planned_mask,) if planned_mask else ())), validity)
        batches = self._batches(source.name, jobs)
        read = _bytes_per_pixel((*planned, *((planned_mask,) if planned_mask else ()), *validity))
        job_bytes = max(job.chips for job in jobs) * entry.chip_size**2 * read
        check_batches(source.name, batches, entry, self.options.bounds, job_bytes=job_bytes)
        doubts = self._doubts(source, planned, entry)
        return Draft(
            scene=scene,
            grid=grid,
            bands=planned,
            mask=planned_mask,
            classification=source.mask.classification if source.mask else None,
            mask_chosen_by=source.mask.chosen_by if source.mask else None,
            validity=validity,
            jobs=jobs,
            batches=batches,
            chips=place(scene, grid, token=entry.token, headers=self.headers),
            warnings=tuple(
                warning.model_copy(update={"message": words(warning.message, self.options.place)})
                for warning in (
                    *warnings_of(scene, any_shape_is_right=in_own_projection(source.product, scene.crs, self.headers)),
                    *cloud_warnings(source, self.options.thresholds),
                    *strips(source.name, files),
                    *fewer_bands(source, entry, self.manifest.entries),
                    *_disagreements(source.name, bands),
                    *doubts,
                )
            ),
        )

    def _doubts(
        self, source: SceneSource, bands: tuple[PlannedBand, ...], entry: ModelEntry
    ) -> tuple[SceneWarning, ...]:
        """Look at some pixels. Raises SceneError (``implausible-units``, if the options want that)."""
        found = look(source, bands, entry, self.headers)
        if found is None:
            return ()
        message = told(source.name, source.product.sensor, found)
        if self.options.implausible_units is OnImplausible.FAIL:
            raise SceneError(message, reason="implausible-units")
        return (SceneWarning(reason="implausible-units", message=message),)

    def _batches(self, scene: str, jobs: tuple[Job, ...]) -> tuple[Batch, ...]:
        batches = lay_batches(jobs, self.options.chips_per_batch)
        if len(batches) > MAX_BATCHES:
            msg = (
                f"scene {scene}: {len(batches)} batches are over the {MAX_BATCHES} that the ledger holds of one"
                f" scene. Raise {Option.CHIPS_PER_BATCH} ({self.options.chips_per_batch}), or cut the scene into tiles."
            )
            raise SceneError(msg, reason="too-many-batches")
        return batches

    def _jobs(
        self, scene: PlannedScene, grid: ChipGrid, bands: tuple[PlannedBand, ...], validity: tuple[PlannedBand, ...]
    ) -> tuple[Job, ...]:
        every = (*bands, *validity)
        blocks = {block_grid(band.header, finest=scene.transform) for band in every}
        itemsize = _bytes_per_pixel(every) + (1 if validity else 0)  # what all masks together say
        return lay_jobs(
            grid,
            tuple(sorted(blocks, key=str)),
            bytes_per_pixel=itemsize,
            memory_budget=self.options.memory_budget,
            chips_per_batch=self.options.chips_per_batch,
        )

    def _heads(self, source: SceneSource, entry: ModelEntry) -> dict[str, ObjectHead]:
        """Ask for the ETag of every file that will be read."""
        used = [*(band for band in source.bands if band.name in entry.bands), *source.masks]
        return {asset.uri: self._head(asset, source) for asset in used}

    def _head(self, asset: BandAsset, source: SceneSource) -> ObjectHead:
        try:
            return self.objects.head(asset.uri)
        except ObjectMissingError as error:
            msg = (
                f"scene {source.name}: band {asset.name} should be {self.options.names.of(asset.uri)}, and nothing"
                f" is there. {Option.FIND_ASSETS}"
            )
            raise SceneError(msg, reason=ASSET_MISSING) from error
        except ObjectForbiddenError as error:
            msg = (
                f"scene {source.name}: {self.options.names.of(asset.uri)}, band {asset.name}, may not be read (S3"
                " also says so of a missing key to who may not list). Check the bucket's policy; if its owner has"
                f" readers pay, name the bucket in {Option.REQUESTER_PAYS}."
            )
            raise SceneError(msg, reason="source-forbidden") from error

    def _pixel(self, source: SceneSource) -> Callable[[BandAsset], float]:
        """Give what reads a file's pixel size, metres."""
        return lambda asset: self._open(asset, {asset.uri: self._head(asset, source)}).header.pixel_size_m

    def _open(self, asset: BandAsset, heads: Mapping[str, ObjectHead]) -> OpenedBand:
        head = heads[asset.uri]
        found = self.headers.source(head)
        return OpenedBand(asset=asset, head=head, header=self.headers.read_header(found), called=found.uri)

    def _boa(self, source: SceneSource, bands: tuple[OpenedBand, ...]) -> BoaDecision | None:
        if not source.product.boa:
            return None
        hrefs = [href for band in bands for href in (band.called, band.asset.declared) if href]
        said = statements(
            properties=source.properties,
            collection=source.collection,
            item=None if source.is_file else source.name,
            files=hrefs,
            tags=[band.header.tags for band in bands],
        )
        return decide_boa(scene=source.name, said=said, acquired=source.acquired.start, override=self.options.boa)


def _bytes_per_pixel(bands: tuple[PlannedBand, ...]) -> int:
    return sum({"uint8": 1, "uint16": 2}.get(band.header.dtype, 4) for band in bands)


def _disagreements(scene: str, bands: tuple[OpenedBand, ...]) -> tuple[SceneWarning, ...]:
    """Say where the Item is wrong about the files that are read, each once."""
    files = {band.asset.uri: (band.asset.name, band.asset.grid, band.header) for band in bands}
    return disagreements(scene, tuple(files.values()))
