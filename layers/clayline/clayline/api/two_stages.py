"""Chips are read for a search: by their bits and then as candidates, or all of them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from clayline.dataset.counted import CountedRoot, Meter
from clayline.dataset.manifest import Manifest
from clayline.likeness.signs import Candidates, Signs
from clayline.likeness.taking_part import Filters
from clayline.table.bit_stage import choose_by_bits, open_tiered
from clayline.table.candidate_rows import read_candidates
from clayline.table.chips import ChipSchema
from clayline.table.ranged import FileAt
from clayline.table.ranking import LOOKED_AT, BestRows, Judge, sum_of
from clayline.table.selecting import Selected, Wanted
from clayline.table.streaming import Source, look, open_files, pieces, result_schema, shaped, stream

SHARE: Final = 0.01
"""Of the rows, those that the bits leave for the second stage."""
LEAST_CANDIDATES: Final = 1000
"""Whatever their share is: of a small dataset all are."""
COLUMNS: Final = (*LOOKED_AT, "scene", "revision")


@dataclass(frozen=True, kw_only=True, slots=True)
class WithBits:
    """A square's file that has bits to begin with."""

    file: FileAt
    bits: FileAt
    wanted: Wanted


def with_bits(manifest: Manifest, every: Sequence[Source], codebook: str) -> tuple[list[WithBits], list[Source]]:
    """Give the squares' files that have bits by this codebook, and all else."""
    files = {file.file.href: file for file in manifest.files}
    tiered, rest = [], []
    for source in every:
        file = files.get(source.at.key)
        tier = file.tiers.get("bits") if file else None
        if tier is None or tier.codebook != codebook:
            rest.append(source)
            continue
        bits = FileAt(key=tier.file.href, size=tier.file.size, rows=tier.file.rows)
        tiered.append(WithBits(file=source.at, bits=bits, wanted=source.wanted))
    return tiered, rest


def candidates_of(rows: int, *, count: int) -> int:
    """Say how many candidates the bits of some rows leave, where so many chips are asked for."""
    return max(LEAST_CANDIDATES, 20 * count, int(SHARE * rows))


@dataclass(kw_only=True)
class ChipReader:
    """Reads chips, lets them be judged, and counts what that takes."""

    root: CountedRoot
    meter: Meter
    stages: dict[str, str] = field(default_factory=dict)
    """What each file is read for, by key."""
    row_groups: int = 0
    """Of which something was read."""

    def sum(self, wanted: Sequence[Source], judge: Judge) -> tuple[NDArray[np.float64], int]:
        """Give the sum [D] and number of all vectors that take part. Raises DatasetError, TransientError."""
        found, schema = self._rows(wanted)
        return self.meter.of("chips", lambda: sum_of((shaped(each, schema) for each in found), judge))

    def exact(self, wanted: Sequence[Source], judge: Judge, best: BestRows) -> ChipSchema:
        """Let every chip be ranked; gives the rows' schema. Raises DatasetError, TransientError."""
        found, schema = self._rows(wanted)
        self.meter.of("chips", lambda: _rank(found, schema, judge, best))
        return schema

    def two_stages(
        self, found: Sequence[WithBits], signs: Signs, judge: Judge, best: BestRows
    ) -> tuple[int, ChipSchema]:
        """Let the bits choose, and what they chose be ranked; gives how many these were, and the rows' schema.

        Raises DatasetError, TransientError.
        """
        for each in found:
            self.stages |= {each.bits.key: "bits", each.file.key: "candidates"}
        tiered = self.meter.of(
            "footers", lambda: open_tiered(self.root, [(each.file, each.bits, each.wanted) for each in found])
        )
        rows = sum(each.file.at.rows for each in tiered)
        wanted = Candidates(signs=signs, count=candidates_of(rows, count=best.count))
        numbers = self.meter.of("places", lambda: choose_by_bits(self.root, tiered, judge, wanted))
        again = Judge(filters=Filters(valid_least=0))
        schema = result_schema([each.file for each in tiered], COLUMNS)
        read = read_candidates(self.root, tiered, numbers, COLUMNS)
        self.row_groups += sum(each.bits.groups for each in tiered)
        self.row_groups += self.meter.of("chips", lambda: _rank(read, schema, again, best))
        judge.left_out["not-finite"] += again.left_out["not-finite"]
        return len(numbers), schema

    def _rows(self, wanted: Sequence[Source]) -> tuple[Iterator[Selected], ChipSchema]:
        self.stages |= {source.at.key: "exact" for source in wanted}
        files = self.meter.of("footers", lambda: open_files(self.root, wanted))
        parts = self.meter.of("places", lambda: look(self.root, pieces(self.root, wanted, files, [*LOOKED_AT])))
        self.row_groups += len(parts)
        return stream(self.root, parts), result_schema(files, COLUMNS)


def _rank(found: Iterator[Selected], schema: ChipSchema, judge: Judge, best: BestRows) -> int:
    """Give how many row groups there were."""
    groups = 0
    for selected in found:
        groups += 1
        table = shaped(selected, schema)
        if lost := best.add(table, judge.judge(table)):
            judge.left_out["not-finite"] += lost
    return groups
