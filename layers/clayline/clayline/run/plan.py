"""The plan of a run: everything that later steps need, written before any work starts and never changed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal, Self

import numpy as np
import safetensors
import safetensors.numpy
from numpy.typing import NDArray
from pydantic import BaseModel, BeforeValidator, ConfigDict

from clayline.chips.batch import Batch, Job
from clayline.chips.classes import Classification
from clayline.chips.cog import CogHeader
from clayline.chips.conversion import Conversion
from clayline.chips.grid import ChipGrid, ChipWindow
from clayline.chips.lattice import Lattice
from clayline.errors import WireError
from clayline.identity.ground import cell_name
from clayline.identity.location import Window
from clayline.model.manifest import Checkpoint, ModelEntry
from clayline.place import Place
from clayline.run.carried import Carried, part
from clayline.run.encoding import VectorEncoding
from clayline.run.keys import OutputObjects
from clayline.run.names import AS_THEY_LIE, Names
from clayline.run.passed_over import PassedOver
from clayline.run.receipt import SceneWarning

_FROZEN = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants")  # a float band's nodata may be NaN
_UCI_BYTES = 128


class Thresholds(BaseModel):
    """Which chips are skipped beside those without a valid pixel. The defaults skip none."""

    model_config = _FROZEN
    min_valid_fraction: float = 0.0
    """Chips below are skipped(``valid-below-threshold``)."""
    max_cloud_fraction: float = 1.0
    """Chips above are skipped(``cloud-above-threshold``); chips of unknown cloud fraction are not."""


def _several(nodata: object) -> object:
    """Take one value, or none, as plans had it before there could be several."""
    if nodata is None:
        return ()
    return (nodata,) if isinstance(nodata, int | float) else nodata


class PlannedBand(BaseModel):
    """One band (or a mask) as it was when the plan was made."""

    model_config = _FROZEN
    name: str
    uri: str
    etag: str
    size: int
    """Bytes of the object."""
    band: int
    """1-based number in the file."""
    header: CogHeader
    nodata: Annotated[tuple[float, ...], BeforeValidator(_several)]
    """The file's own and the product's: each says that there is no value."""
    offset: int
    """Added to valid digital numbers (BOA), after the conversion."""
    declared: str | None = None
    """The href that the Item's publisher gave, where the file was found elsewhere."""
    conversion: Conversion | None = None
    """What brings valid digital numbers to the model's; None where they are these already."""
    possible: tuple[float, float] | None = None
    """Least and most that a number can be, by its unit: what is beyond has no value. None: nothing is, or who knows."""
    alternate: str | None = None
    """Name of the alternate href by which the file was found."""
    directory: int | None = None
    """Of a mask that a file carries: its directory in the file."""


class PlannedTime(BaseModel):
    """When the scene was taken."""

    model_config = _FROZEN
    start: datetime
    end: datetime
    source: str


class PlannedScene(BaseModel):
    """What is embedded."""

    model_config = _FROZEN
    name: str
    """Item id, or the name of the COG's URI: what people call it."""
    hash: str
    """scene12."""
    uri: str
    """The landed object, where it is read."""
    etag: str
    collection: str | None
    sensor: str
    product: str = ""
    """Name of the product family in the sensor's file."""
    instrument: str
    trained: bool = True
    """Whether the sensor's statistics hold for the platform: False is embedded only where that was allowed."""
    passed_over: tuple[PassedOver, ...] = ()
    """Assets of bands that are read from others."""
    acquired: PlannedTime
    tile: str | None
    """MGRS tile that the product declares; identifiers are windows of it only if the grid really is the tile's
    (``location``)."""
    mgrs: str
    """Tile, or the 100 km square of the scene's centre: the file's first name part."""
    location: Literal["window", "point"]
    """Form of the chips' identifiers."""
    crs: str
    epsg: int | None
    transform: tuple[float, float, float, float, float, float]
    """Affine of the finest grid: x = a*col + b*row + c, y = d*col + e*row + f."""
    height: int
    width: int
    gsd: float
    """Metres, at the scene's centre."""
    pixel_width_m: float = 0.0
    """On the ground at the scene's centre, metres. 0 in plans from before it was kept."""
    pixel_height_m: float = 0.0
    """Likewise."""
    pixel_angle: float = 90.0
    """Between rows and columns on the ground, degrees."""
    lattice: Lattice | None
    """Where the chips of a scene of points lie; None where they lie on the scene's own grid."""
    own_grid: str | None = None
    """Why a scene of points lies on its own grid."""
    boa_decided_by: str | None
    boa_said: tuple[str, ...] = ()
    """Every statement on the BOA offset, as it was made."""

    @property
    def gsd_mm(self) -> int:
        """The GSD as identifiers say it, millimetres."""
        return round(self.gsd * 1000)

    def tile_window(self, window: ChipWindow) -> Window:
        """Place a window of a scene that is cut to an MGRS tile. Raises InvalidIdentifierError."""
        return Window(tile=self.tile or "", row=window.row, col=window.col, size=window.size, gsd_mm=self.gsd_mm)


class PlannedModel(BaseModel):
    """Which graph computes, and under which options."""

    model_config = _FROZEN
    folder: str
    entry: ModelEntry
    checkpoint: Checkpoint | None = None
    """The manifest's; None for a model that has none, and in plans from before this was kept."""
    producer: dict[str, str] | None = None
    """The manifest's."""
    licence: str | None = None
    """The manifest's; None in plans from before this was kept, as the next two are."""
    files: dict[str, str] = {}
    """Digest of each of the entry's files, by name."""
    uri: str | None = None
    """Where the folder lies, up to a slash."""

    @property
    def untrained(self) -> bool:
        """Whether the weights are random numbers."""
        return self.checkpoint is not None and self.checkpoint.seed is not None


class Plan(BaseModel):
    """A run's plan."""

    model_config = _FROZEN
    format: Literal["clayline-plan/1"] = "clayline-plan/1"
    run: str
    created: datetime
    """Frozen here, so that a retry writes the same ``date``."""
    creator: str
    revision: int
    predecessor: str | None = None
    """The run of the same content before this one: chips of it failed, or other content came in between."""
    carried: Carried | None = None
    """What is taken over from it."""
    landed_uri: str | None = None
    """The object whose landing made this plan."""
    scene: PlannedScene
    bands: tuple[PlannedBand, ...]
    """In the order of the model entry's bands."""
    mask: PlannedBand | None
    """What says where clouds are."""
    classification: Classification | None = None
    """What its numbers mean; None without a mask, and in plans from before this was kept, whose mask is SCL."""
    mask_chosen_by: str | None = None
    """What says that it is the mask: its name, its description, its classification or its role."""
    validity: tuple[PlannedBand, ...] = ()
    """Alpha bands and masks, in which 0 says that there is no value."""
    model: PlannedModel
    options: dict[str, Any]
    """Everything a user chose that changes the outcome; part of the run's identity."""
    thresholds: Thresholds
    encoding: VectorEncoding
    """Of the file's vectors: kept here, so that a retry writes the same bytes whatever is deployed by then."""
    warnings: tuple[SceneWarning, ...] = ()
    """What is said of the scene beside its outcome: the receipt and the event repeat it."""
    jobs: tuple[Job, ...]
    batches: tuple[Batch, ...]
    output_prefix: str
    names: Names = AS_THEY_LIE
    """What is said about objects calls them so; URIs elsewhere in the plan are where they lie."""
    place: Place = Place.AWS
    """Where what is said is read."""

    @property
    def grid(self) -> ChipGrid:
        """The chip grid."""
        return scene_grid(self.scene, self.model.entry.chip_size)

    @property
    def outputs(self) -> OutputObjects:
        """Where the outputs go."""
        return OutputObjects(prefix=self.output_prefix)

    @property
    def finest(self) -> PlannedBand:
        """The band whose grid is the scene's: the smallest pixel, the first in the entry's order among equals."""
        return min(self.bands, key=lambda band: band.header.pixel_area)

    @property
    def source_url(self) -> str:
        """Name of the file on whose grid the chips lie: opened as imagery, it has the scene's transform and size."""
        return self.names.of(self.finest.uri)

    def sources(self) -> dict[str, PlannedBand]:
        """Give one band for each distinct file, by URI: what is pinned."""
        every = (*self.bands, *self.validity, *((self.mask,) if self.mask else ()))
        return {band.uri: band for band in every}

    @property
    def open_batches(self) -> tuple[Batch, ...]:
        """Those that this run computes: all that are not taken over."""
        return part(self.batches, self.carried)[0]

    @property
    def carried_batches(self) -> tuple[Batch, ...]:
        """Those that it takes over."""
        return part(self.batches, self.carried)[1]

    def job_batches(self, job: int) -> tuple[Batch, ...]:
        """Give the batches that one tile job makes."""
        return tuple(batch for batch in self.open_batches if batch.job == job)

    def cells(self, indexes: Sequence[int]) -> list[str | None]:
        """Name the ground of the chips ``indexes``; None for each where the scene lies on its own grid."""
        grid, lattice = self.grid, self.scene.lattice
        if self.scene.location == "window":
            return [str(self.scene.tile_window(grid.window(index))) for index in indexes]
        if lattice is None:
            return [None] * len(indexes)
        return [cell_name(lattice, row=index // grid.cols, col=index % grid.cols) for index in indexes]

    def indexes(self, batch: Batch) -> list[int]:
        """Give the windows of a batch in the full grid."""
        job, all_cols = self.jobs[batch.job], self.grid.cols
        cols = job.col_stop - job.col_start
        return [
            (job.row_start + chip // cols) * all_cols + job.col_start + chip % cols
            for chip in range(batch.start, batch.stop)
        ]


def scene_grid(scene: PlannedScene, chip_size: int) -> ChipGrid:
    """Give the chip grid of a scene."""
    start = (scene.lattice.row, scene.lattice.col) if scene.lattice else None
    return ChipGrid(height=scene.height, width=scene.width, size=chip_size, start=start)


@dataclass(frozen=True, kw_only=True, slots=True)
class PlannedChips:
    """Identifier and footprint of every chip, in the order of the grid's index."""

    uci: tuple[str, ...]
    corners: NDArray[np.float64]
    """[N, 4, 2] longitude and latitude, degrees WGS84: upper left, upper right, lower right, lower left."""

    def to_bytes(self) -> bytes:
        """Serialise as safetensors: identifiers as NUL-padded ASCII, [N, 128] bytes."""
        text = np.array([uci.encode("ascii") for uci in self.uci], dtype=f"S{_UCI_BYTES}")
        return safetensors.numpy.save(
            {"uci": text.view(np.uint8).reshape(-1, _UCI_BYTES), "corners": np.ascontiguousarray(self.corners)}
        )

    @classmethod
    def from_bytes(cls, body: bytes) -> Self:
        """Parse. Raises WireError."""
        try:
            tensors = safetensors.numpy.load(body)
            text = np.ascontiguousarray(tensors["uci"]).view(f"S{_UCI_BYTES}").reshape(-1)
            return cls(uci=tuple(value.decode("ascii") for value in text.tolist()), corners=tensors["corners"])
        except (safetensors.SafetensorError, KeyError, ValueError) as error:
            msg = f"the plan's chips cannot be read: {error}"
            raise WireError(msg) from error


def duplicates(identifiers: Sequence[str]) -> list[str]:
    """Give the identifiers that stand more than once."""
    seen: set[str] = set()
    return sorted({uci for uci in identifiers if uci in seen or seen.add(uci)})  # type: ignore[func-returns-value]
