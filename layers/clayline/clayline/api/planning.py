"""Which files, row groups and bytes answer what is asked of a dataset."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

import numpy as np

from clayline.dataset.asking import Asked4, Span, box_of
from clayline.dataset.choosing import Chosen
from clayline.dataset.counted import Asked
from clayline.dataset.figures import Figures
from clayline.dataset.manifest import Manifest
from clayline.dataset.scene_row import Box, Partition, SceneRow, flat_boxes
from clayline.outputs.region import Region
from clayline.table.chips import ChipSchema, ChipTable
from clayline.table.ranged import FileAt
from clayline.table.selecting import Wanted
from clayline.table.streaming import Piece, Source

_SCENE_GROUP_ROWS = 2048
"""Of a scene's own file (docs/schema.md, Settings)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """A reading, before its chips are read."""

    chosen: Chosen
    files: int
    """Whose footers were read."""
    pieces: tuple[Piece, ...]
    schema: ChipSchema
    """Of what comes out."""
    index: Asked
    footers: Asked
    places: Asked

    @property
    def foretold(self) -> Figures:
        """What it takes, to the byte: all but the chips was read for it."""
        ranges = [each for piece in self.pieces for each in piece.ranges]
        return self._figures(Asked(gets=len(ranges), size=sum(each.size for each in ranges)), measured=False)

    def measured(self, chips: Asked) -> Figures:
        """What it took."""
        return self._figures(chips, measured=True)

    def _figures(self, chips: Asked, *, measured: bool) -> Figures:
        return Figures(
            index=self.index,
            footers=self.footers,
            places=self.places,
            chips=chips,
            scenes=len(self.chosen.newest) + len(self.chosen.older),
            files=len({piece.file.at.key for piece in self.pieces}),
            row_groups=len(self.pieces),
            measured=measured,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Chips:
    """What was asked for, to be gone through once."""

    plan: Plan
    tables: Iterator[ChipTable]

    @property
    def schema(self) -> ChipSchema:
        """Of every table."""
        return self.plan.schema

    @property
    def foretold(self) -> Figures:
        """What going through them takes."""
        return self.plan.foretold

    @property
    def scenes(self) -> tuple[SceneRow, ...]:
        """The index's rows of all scenes that meet what was asked."""
        return (*self.plan.chosen.newest, *self.plan.chosen.older)

    def __iter__(self) -> Iterator[ChipTable]:
        """Give tables of at most a row group each, none empty."""
        return self.tables


def region_of(box: Asked4 | Box | None) -> Region | None:
    """Take the box that is asked for; None is everywhere. Raises DatasetError for what is none."""
    found = box_of(box)
    return None if found is None else Region.of_boxes(flat_boxes(found))


def meets(region: Region | None, box: Box) -> bool:
    """Say whether a box has something of a region; None is everywhere."""
    return region is None or bool(region.overlaps(np.array(flat_boxes(box))).any())


def sources(manifest: Manifest, chosen: Chosen, region: Region | None, span: Span) -> list[Source]:
    """Give the files that may hold what is asked for: those of the squares, then scenes that are in none yet.

    Rows say when their scene began, and are wanted where the scene is. So a span is as much longer at its beginning as
    the scenes of a file last; which of a square's scenes count stands in ``allowed``.
    """
    lasting: defaultdict[Partition, timedelta] = defaultdict(timedelta)
    for row in chosen.newest:
        if row.compacted:
            lasting[row.partition] = max(lasting[row.partition], row.end - row.start)
    allowed = chosen.allowed
    found = [
        Source(
            at=FileAt(key=file.file.href, size=file.file.size, rows=file.file.rows),
            wanted=Wanted(region=region, span=span.beginnings(lasting[file.partition]), allowed=allowed),
        )
        for file in manifest.files
        if file.partition in lasting
        and meets(region, file.extent.box)
        and span.meets(file.extent.start, file.extent.end)
    ]
    alone = [*(row for row in chosen.newest if not row.compacted), *chosen.older]
    return [*found, *(_of_scene(row, region, span) for row in alone)]


def _of_scene(row: SceneRow, region: Region | None, span: Span) -> Source:
    """Take a scene's own file. Its ETag is another one where the dataset was copied, so size and rows tell it."""
    at = FileAt(key=row.href, size=row.size, rows=row.rows, group_rows=_SCENE_GROUP_ROWS)
    begun = span.beginnings(row.end - row.start)
    return Source(at=at, wanted=Wanted(region=region, span=begun, allowed=None, scene=row.scene, revision=row.revision))
