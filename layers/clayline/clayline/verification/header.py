"""What a file's header says: GeoParquet's `geo`, and our provenance."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from clayline.chips.grid import ChipGrid
from clayline.outputs.provenance import ON_THE_LATTICE
from clayline.verification.outcomes import Outcomes

MAX_JSON: Final = 4 << 20
"""Characters of a header's value that is read."""
_VERSIONS: Final = frozenset({"1.0.0", "1.1.0", "1.2.0-dev", "2.0.0"})
_CRS84: Final = {("OGC", "CRS84"), ("EPSG", "4326")}
_TYPES: Final = frozenset({"Polygon", "MultiPolygon", "Point", "Polygon Z", "MultiPolygon Z", "Point Z"})
_BOUNDS: Final = ("xmin", "ymin", "xmax", "ymax")
_MOST_CHIPS: Final = 100_000_000
Side = Annotated[int, Field(ge=1, le=2_000_000_000)]
Number = Annotated[float, Field(allow_inf_nan=False)]


class _Loose(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class LatticeHeader(_Loose):
    """Of the provenance's grid."""

    name: str | None
    first_cell: tuple[int, int] | None = None


class Grid(_Loose):
    """Where pixels and chips lie (docs/schema.md, Provenance)."""

    crs: str
    transform: tuple[Number, Number, Number, Number, Number, Number]
    height: Side
    width: Side
    gsd: Annotated[Number, Field(gt=0, le=100_000)]
    chip_size: Annotated[int, Field(ge=1, le=99_999)]
    rows: Side
    cols: Side
    start: tuple[int, int]
    edge: str
    lattice: LatticeHeader | None
    mgrs_tile: str | None
    identifier: str

    def chips(self) -> ChipGrid:
        """Give the grid of windows. Raises ValueError where the numbers are no grid's."""
        start = self.start if self.edge == ON_THE_LATTICE else None
        grid = ChipGrid(height=self.height, width=self.width, size=self.chip_size, start=start)
        if (grid.rows, grid.cols) != (self.rows, self.cols) or len(grid) > _MOST_CHIPS:
            msg = f"{self.rows} x {self.cols} chips are said, its pixels give {grid.rows} x {grid.cols}"
            raise ValueError(msg)
        return grid


class _Source(_Loose):
    uri: str
    source_url: str


class _Model(_Loose):
    token: str
    digest: str
    folder: str
    loss_metric: str | None
    untrained: bool = False


class _Acquired(_Loose):
    start: datetime
    end: datetime


class Provenance(_Loose):
    """The header `clayline`, as far as it is compared."""

    run: str
    revision: int
    created: datetime
    creator: str
    source: _Source
    acquired: _Acquired
    instrument: str
    grid: Grid
    model: _Model


def read_json(text: str) -> Any:  # noqa: ANN401 - whatever stands there
    """Read a header's value. Raises ValueError for none, also for one too large or too deep."""
    if len(text) > MAX_JSON:
        msg = f"it has {len(text)} characters, {MAX_JSON} at most are read"
        raise ValueError(msg)
    try:
        return json.loads(text)
    except RecursionError as error:
        msg = "it is nested too deep"
        raise ValueError(msg) from error


def provenance_of(header: Mapping[str, str], outcomes: Outcomes) -> Provenance | None:
    """Read the provenance, and say what is wrong with it."""
    text = header.get("clayline")
    if text is None:
        outcomes.found("provenance", "the header has no `clayline`: nothing says how the file was made")
        return None
    try:
        found = Provenance.model_validate(read_json(text))
        found.grid.chips()
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        outcomes.found("provenance", f"the header `clayline` cannot be used: {where}: {first['msg']}")
        return None
    except ValueError as error:
        outcomes.found("provenance", f"the header `clayline` cannot be used: {error}")
        return None
    return found


def geo_column(header: Mapping[str, str], names: frozenset[str], outcomes: Outcomes) -> tuple[str | None, Any]:
    """Check the `geo` header, and give the primary column's name and what is said of it."""
    text = header.get("geo")
    if text is None:
        outcomes.found("geo-metadata", "the header has no `geo`: readers find no geometry and no CRS")
        return None, None
    try:
        geo = read_json(text)
        primary, column = geo["primary_column"], geo["columns"][geo["primary_column"]]
        version = geo.get("version")
        encoding = column.get("encoding")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        outcomes.found("geo-metadata", f"the header `geo` is not GeoParquet's ({type(error).__name__}: {error})")
        return None, None
    if not isinstance(primary, str):
        outcomes.found("geo-metadata", "`primary_column` is no text")
        return None, None
    problems = []
    if version not in _VERSIONS:
        problems.append(f"version {version!r} is none of GeoParquet's")
    if primary not in names:
        problems.append(f"the primary column {primary!r} is not in the file")
    if encoding != "WKB":
        problems.append(f"encoding {encoding!r} is not WKB")
    problems += _about_types(column)
    problems += _about_crs(column)
    problems += _about_covering(column, names)
    for problem in problems:
        outcomes.found("geo-metadata", problem[:300])
    return primary, column


def _about_types(column: Mapping[str, Any]) -> list[str]:
    types = column.get("geometry_types")
    if not isinstance(types, list) or any(not isinstance(one, str) or one not in _TYPES for one in types):
        return [f"geometry_types {types!r} are not polygons or points"]
    if column.get("edges", "planar") not in {"planar", "spherical"}:
        return [f"edges {column.get('edges')!r} is neither planar nor spherical"]
    return []


def _about_crs(column: Mapping[str, Any]) -> list[str]:
    crs = column.get("crs", "absent")
    if crs == "absent":  # by GeoParquet, OGC:CRS84
        return []
    if crs is None:
        return ["the CRS is null: nobody can say where the footprints lie"]
    identity = crs.get("id") if isinstance(crs, dict) else None
    if not isinstance(identity, dict):
        return ["the CRS has no id"]
    code = (str(identity.get("authority")), str(identity.get("code")))
    return [] if code in _CRS84 else [f"the CRS is {':'.join(code)}, not longitude and latitude (OGC:CRS84)"]


def _about_covering(column: Mapping[str, Any], names: frozenset[str]) -> list[str]:
    covering = column.get("covering")
    if covering is None:
        return []
    try:
        paths = [covering["bbox"][side] for side in _BOUNDS]
        good = all(isinstance(path, list) and path[0] in names for path in paths)
    except (KeyError, TypeError, IndexError):
        good = False
    return [] if good else ["the covering names columns that are not there"]
