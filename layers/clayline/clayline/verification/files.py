"""All checks of one file, row by row."""

import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

import numpy as np

from clayline.errors import InvalidIdentifierError, TableError
from clayline.model.statistics import VectorStatistics
from clayline.verification.accounts import Accounts, Companions
from clayline.verification.checks import FILE_CHECKS
from clayline.verification.ground import Ground, Projector
from clayline.verification.header import Provenance, geo_column, provenance_of
from clayline.verification.layouts import OURS, SCENES_COLUMNS, Column, Layout, columns_asked, layout_of, told_by
from clayline.verification.outcomes import Outcomes
from clayline.verification.rows import Rows
from clayline.verification.shapes import Shapes, read_shapes
from clayline.verification.sightings import Sightings, hashes
from clayline.verification.tiles import TileGrid, tile_of
from clayline.verification.values import Values
from clayline.verification.vectors import Vectors, pixels

_WITHOUT: Final[Mapping[str, tuple[str, tuple[str, ...]]]] = {
    "id": (
        "there is no column of identifiers",
        ("identifiers-parse", "identifiers-unique", "identifiers-sorted", "identifiers-agree"),
    ),
    "index": (
        "there is no column index, which says the window",
        ("identifiers-agree", "windows", "footprint", "cell", "coverage"),
    ),
    "cell": ("there is no column of cells", ("cell",)),
    "vector": ("there are no vectors", tuple(each.name for each in FILE_CHECKS if each.name.startswith("vectors-"))),
    "geometry": ("there are no footprints", ("geometry", "boxes", "footprint", "tile-grid", "windows")),
}
"""What cannot be checked without a column, by its role."""
_OF_A_SCENE: Final = frozenset({"index", "cell"})
"""Columns without which only a scene's file of ours misses anything."""
_NEED_PROVENANCE: Final = ("provenance", "identifiers-agree", "footprint", "model-digest")


class Table(Protocol):
    """A file of rows, open."""

    columns: Sequence[Column]
    header: Mapping[str, str]
    size: int

    def rows(self, layout: Layout) -> Iterator[Rows]:
        """Give the rows, part by part. Raises TableError."""
        ...

    def checksum(self) -> str | None:
        """Give the SHA-256 of the whole, hex; None where that would mean to read it all again from afar."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class KnownModel:
    """A model's entry, of a folder at hand."""

    digest: str
    statistics: VectorStatistics | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Circumstances:
    """What a file is checked by."""

    project: Projector
    now: dt.datetime
    models: Mapping[str, KnownModel]
    """By token."""
    back: Projector
    """Longitude and latitude to a CRS."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FileVerdict:
    """What was found of a file."""

    name: str
    """Its URI."""
    layout: str
    rows: int
    size: int
    outcomes: Outcomes
    provenance: Provenance | None = None
    receipt: bool = False
    """Whether a receipt lies beside it."""
    source: str | None = field(default=None)
    """What tells its scene from others, for files without provenance."""


def unreadable(name: str, why: str, *, size: int = 0) -> FileVerdict:
    """Give the verdict on a file that cannot be read at all."""
    outcomes = Outcomes(FILE_CHECKS)
    outcomes.found("readable", why)
    outcomes.cannot_any([check.name for check in FILE_CHECKS if check.name != "readable"], "the file cannot be read")
    return FileVerdict(name=name, layout="unknown", rows=0, size=size, outcomes=outcomes)


class FileVerification:
    """Checks one file."""

    def __init__(self, name: str, table: Table, companions: Companions, by: Circumstances) -> None:
        """Take the file's URI, the open file, what lies beside it, and what to check it by."""
        self._name = name
        self._table = table
        self._by = by
        self._companions = companions
        self.outcomes = Outcomes(FILE_CHECKS)
        names = frozenset(column.name for column in table.columns)
        primary, self._column = geo_column(table.header, names, self.outcomes)
        told = told_by(name, table.header, receipt=companions.receipt is not None)
        self.layout = layout_of(table.columns, primary=primary, ours=told)
        self._asked = columns_asked(table.header) if self.layout.several else None
        self.provenance: Provenance | None = None
        if self.layout.ours:
            if not self.layout.several:
                self.provenance = provenance_of(table.header, self.outcomes)
            self._schema()
        self._not_there()
        self._spread = self._model()

    def run(
        self, each: Sightings | None = None, *, number: int = 0, took: Callable[[Rows], None] = lambda _: None
    ) -> Iterator[int]:
        """Check all rows; gives how many are done, part by part. ``each`` takes the identifiers of file ``number``,
        ``took`` the rows.

        Raises OSError where temporary space runs out.
        """
        outcomes, provenance = self.outcomes, self.provenance
        tile = tile_of(self._name.rpartition("/")[2]) if provenance is None else None
        others = not self.layout.ours and not self.layout.points
        grid = TileGrid(tile[0], self._by.back, outcomes) if tile and others else None
        if grid is None:
            reason = "the file's name says no MGRS tile with its days"
            if self.layout.ours:
                reason = "footprint says it" if provenance else "our grids begin where the scene does: see provenance"
            outcomes.cannot("tile-grid", reason)
        values = Values(outcomes, self.layout, now=self._by.now, provenance=provenance, days=tile[1:] if tile else None)
        accounts = Accounts(outcomes, provenance, self._companions) if self._of_a_scene else None
        ground = self._ground()
        done = 0
        with Sightings() as pairs, Sightings() as chips, Sightings() as ids:
            vectors, shapes = Vectors(outcomes, self._spread, pairs), Shapes(outcomes, self._column)
            try:
                for rows in self._table.rows(self.layout):
                    self._part(rows, vectors=vectors, shapes=shapes, values=values, ground=ground, grid=grid)
                    if accounts:
                        accounts.check(rows)
                    self._remember(rows, chips, ids, each, number)
                    took(rows)
                    done += rows.count
                    yield done
            except TableError as error:
                outcomes.found("readable", str(error))
            vectors.end()
            shapes.end()
            values.end()
            if grid:
                grid.end()
            elif accounts is None:
                outcomes.cannot("coverage", "nothing says which windows there should be")
            if accounts:
                name = self._name.rpartition("/")[2]
                accounts.end(self._table.header, size=self._table.size, checksum=self._table.checksum(), name=name)
            self._tell(pairs, "vectors-distinct", "chips of other pixels have equal vectors", other=True)
            self._tell(chips, "windows", "the chip stands more than once", other=False)
            self._tell(ids, "identifiers-unique", "the identifier stands more than once", other=False)
        self.done = done

    def verdict(self) -> FileVerdict:
        """Give what was found; after ``run``."""
        return FileVerdict(
            name=self._name,
            layout=self.layout.name,
            rows=self.done,
            size=self._table.size,
            outcomes=self.outcomes,
            provenance=self.provenance,
            receipt=self._companions.receipt is not None,
        )

    def _part(
        self,
        rows: Rows,
        *,
        vectors: Vectors,
        shapes: Shapes,
        values: Values,
        ground: Ground | None,
        grid: TileGrid | None,
    ) -> None:
        decoded = read_shapes(rows, self.outcomes)
        if decoded is not None:
            shapes.check(rows, decoded)
            if grid:
                grid.check(rows, decoded)
        vectors.check(rows)
        values.check(rows)
        if ground:
            ground.check(rows, decoded)

    def _remember(self, rows: Rows, chips: Sightings, ids: Sightings, each: Sightings | None, number: int) -> None:
        where = rows.first + np.arange(rows.count)
        if rows.shapes is not None:
            what = hashes([self._chip(rows, row) for row in range(rows.count)])
            chips.add(what, what, where)
        if rows.ids is not None:
            known = [row for row, text in enumerate(rows.ids) if text]
            what = hashes([(rows.ids[row] or "").encode() for row in known])
            ids.add(what, what, where[known])
            if each is not None:
                each.add(what, hashes([str(number).encode()] * len(known)), np.full(len(known), number))

    def _chip(self, rows: Rows, row: int) -> bytes:
        """Give what makes a chip: its pixels, and whatever the layout tells scenes of one moment apart by."""
        source = rows.texts.get("source_url", frozenset())
        several = len(source) > 1 and rows.index is not None
        return pixels(rows, row) + (str(rows.index[row]).encode() if several and rows.index is not None else b"")

    def _tell(self, seen: Sightings, check: str, message: str, *, other: bool) -> None:
        for where in seen.repeated(other=other):
            named = [f"rows {', '.join(map(str, where[:4]))}{' ...' if len(where) > 4 else ''}"]  # noqa: PLR2004 - a few
            self.outcomes.found(check, message, named, count=len(where))

    @property
    def _of_a_scene(self) -> bool:
        """Whether it is one scene's file of ours, which has a provenance, a receipt and an order."""
        return self.layout.ours and not self.layout.several

    def _ground(self) -> Ground | None:
        if self.provenance is None:
            return None
        try:
            return Ground(self.provenance, self._by.project, self.outcomes)
        except (InvalidIdentifierError, ValueError) as error:
            self.outcomes.found("provenance", f"its times make no identifier: {error}"[:300])
            return None

    def _schema(self) -> None:
        columns = {column.name: column for column in self._table.columns}
        for name, kind, nullable in OURS:
            column = columns.get(name)
            if column is None:
                if self._asked is None or name in self._asked:
                    self.outcomes.found("schema", f"column {name} is missing")
            elif not column.type.startswith(kind) or (kind.endswith("]") and column.type != kind):
                self.outcomes.found("schema", f"column {name} is {column.type[:100]}, not {kind.rstrip('[')}")
            elif column.nullable and not nullable:
                self.outcomes.found("schema", f"column {name} may be null")
        known = {ours for ours, *_ in OURS} | ({*SCENES_COLUMNS} if self.layout.several else set())
        if strange := [name for name in columns if name not in known]:
            self.outcomes.found("schema", f"there are columns that docs/schema.md does not have: {strange[0][:100]}")
        elif [name for name in columns if name not in SCENES_COLUMNS] != [n for n, *_ in OURS if n in columns]:
            self.outcomes.found("schema", "the columns are not in their order")

    def _not_there(self) -> None:
        """Name what this layout cannot show."""
        roles, outcomes = self.layout.roles, self.outcomes
        if not self._of_a_scene:
            outcomes.cannot_any(_NEED_PROVENANCE, f"a {self.layout.name} file has no provenance of ours")
            outcomes.cannot_any(("receipt", "companions", "checksums"), f"a {self.layout.name} file has no receipt")
            outcomes.cannot("cell", "no lattice is told, by which a cell could be made again")
            outcomes.cannot("identifiers-sorted", "only a scene's file of ours promises an order")
        if not self.layout.ours:
            outcomes.cannot("versions", "no column or header of ours says model and source")
            if "id" in roles:
                outcomes.cannot(
                    "identifiers-parse",
                    "the grammar of others' identifiers is not told: only that none is null was checked",
                )
            outcomes.cannot("values", "there is no column of fractions or losses")
        self._no_column()

    def _no_column(self) -> None:
        """Name what cannot be said without a column."""
        roles, outcomes = self.layout.roles, self.outcomes
        for role, (reason, checks) in _WITHOUT.items():
            if role not in roles and (role not in _OF_A_SCENE or self._of_a_scene):
                outcomes.cannot_any(checks, reason)
        if not self.layout.ours:  # of ours, the schema says what is missing
            for role, what in (("vector", "vectors"), ("geometry", "footprints")):
                if role not in roles:
                    outcomes.found("schema", f"there is no column of {what}")
        if "geometry" in roles and "bbox" not in roles and not isinstance((self._column or {}).get("bbox"), list):
            outcomes.cannot("boxes", "neither a column nor the header has boxes")
        if "date" not in roles and "datetime" not in roles:
            outcomes.cannot("dates", "there is no column of times")

    def _model(self) -> VectorStatistics | None:
        """Find the model, and what its card states of vectors."""
        model = self.provenance.model if self.provenance else None
        known = self._by.models.get(model.token) if model else None
        if model is None or known is None:
            which = f"no model folder that was given has {model.token[:60]}" if model else "no provenance names a model"
            self.outcomes.cannot("model-digest", which)
            self.outcomes.cannot("vectors-spread", f"{which}: no card states a spread")
            return None
        if known.digest != model.digest:
            self.outcomes.found(
                "model-digest", f"{model.token} is {known.digest} at hand, the file says {model.digest[:80]}"
            )
            self.outcomes.cannot("vectors-spread", "the model is not the one at hand")
            return None
        if known.statistics is None:
            self.outcomes.cannot("vectors-spread", "the model's card states no spread")
        return known.statistics
