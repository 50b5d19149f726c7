"""From declared bands to a scene on one pixel grid: the finest band's, never reprojected."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from clayline.chips.cog import CogHeader
from clayline.chips.conversion import Conversion
from clayline.chips.grid import ChipGrid
from clayline.chips.lattice import GEOGRAPHIC, METRIC, MOST_DRIFT, Lattice, lay_lattice
from clayline.errors import InvalidIdentifierError, SceneError
from clayline.identity import mgrs, uci
from clayline.identity.ground import grid_family
from clayline.model.manifest import ModelEntry
from clayline.place import Option
from clayline.ports import Headers, ObjectHead
from clayline.run.plan import PlannedBand, PlannedScene, PlannedTime
from clayline.run.receipt import SceneWarning
from clayline.scene.grids import check_square, is_square, shape
from clayline.scene.item import BandAsset
from clayline.scene.radiometry import BoaDecision
from clayline.scene.sensor import Product
from clayline.scene.source import SceneSource

GSD_TOLERANCE = 0.1
"""Share by which a scene's GSD may differ from the model entry's unless any GSD is allowed."""
_PIXEL_DRIFT = 1e-7
"""Metres; 1 mm over the widest tile."""
_HALF_TURN = 180.0
_POLE = 90.0
_DRIFTS = (
    f"its pixel size, taken to a thousandth of the CRS's unit or a billionth of a degree, moves the lattice by over"
    f" {MOST_DRIFT} pixels"
)
_LEAVES_THE_GLOBE = "chips on the lattice would reach beyond what the CRS can place"


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenedBand:
    """A band's asset, object and header."""

    asset: BandAsset
    head: ObjectHead
    header: CogHeader
    called: str
    """The file's name in messages."""

    def planned(
        self,
        *,
        nodata: tuple[float, ...],
        offset: int,
        conversion: Conversion | None = None,
        possible: tuple[float, float] | None = None,
    ) -> PlannedBand:
        """Give the band as the plan keeps it; the file's own nodata and the product's both count."""
        if not 1 <= self.asset.band <= self.header.band_count:
            msg = (
                f"{self.called} has {self.header.band_count} band(s), not the {self.asset.band} that the Item counts."
                " Correct the Item."
            )
            raise SceneError(msg, reason="missing-band")
        own = () if self.header.nodata is None else (self.header.nodata,)
        return PlannedBand(
            name=self.asset.name,
            uri=self.asset.uri,
            etag=self.head.etag,
            size=self.head.size,
            band=self.asset.band,
            header=self.header,
            nodata=tuple(dict.fromkeys((*own, *nodata))),
            offset=offset,
            declared=self.asset.declared,
            conversion=conversion,
            possible=possible,
            alternate=self.asset.alternate,
        )


def finest(bands: Sequence[OpenedBand]) -> CogHeader:
    """Give the header of the band with the smallest pixel, the first of equal ones: its grid is the scene's."""
    return min((band.header for band in bands), key=lambda header: header.pixel_area)


def describe(
    source: SceneSource,
    grid: CogHeader,
    entry: ModelEntry,
    headers: Headers,
    *,
    any_gsd: bool,
    any_pixel_shape: bool,
    boa: BoaDecision | None,
) -> PlannedScene:
    """Settle the scene's GSD, place and form of identifier.

    Pixels need not be square on the ground if ``any_pixel_shape`` allows that, or if the grid is in the product's own
    projection.

    Raises SceneError (``wrong-gsd``, ``not-square``, or what projecting raises).
    """
    if not (any_pixel_shape or in_own_projection(source.product, grid.crs, headers)):
        check_square(source.name, grid)
    gsd = grid.pixel_size_m
    if not any_gsd and abs(gsd - entry.gsd) > GSD_TOLERANCE * entry.gsd:
        msg = (
            f"scene {source.name}: its GSD is {gsd:.3f} m, model entry {entry.token} was made for {entry.gsd:g} m, and"
            f" more than {GSD_TOLERANCE:.0%} off gives other embeddings. Deliver it at {entry.gsd:g} m, or allow it"
            f" with {Option.ANY_GSD}."
        )
        raise SceneError(msg, reason="wrong-gsd")
    fits = source.tile is not None and _fits(source.tile, grid, source.name)
    lattice, own_grid = (None, None) if fits else _lay(grid, entry.chip_size, headers)
    return PlannedScene(
        name=source.name,
        hash=source.hash,
        uri=source.uri,
        etag=source.etag,
        collection=source.collection,
        sensor=source.product.sensor,
        product=source.product.name,
        trained=source.trained,
        passed_over=source.passed_over,
        instrument=source.product.instrument_token(source.platform),
        acquired=PlannedTime(start=source.acquired.start, end=source.acquired.end, source=source.acquired.source),
        tile=source.tile,
        mgrs=source.tile or _square(grid, headers),
        location="window" if fits else "point",
        crs=grid.crs,
        epsg=grid.epsg,
        transform=grid.transform,
        height=grid.height,
        width=grid.width,
        gsd=gsd,
        pixel_width_m=grid.pixel_width_m,
        pixel_height_m=grid.pixel_height_m,
        pixel_angle=grid.pixel_angle,
        lattice=lattice,
        own_grid=own_grid,
        boa_decided_by=boa.decided_by if boa else None,
        boa_said=boa.said if boa else (),
    )


def in_own_projection(product: Product, crs: str, headers: Headers) -> bool:
    """Say whether a scene lies in the projection that its product defines. Raises SceneError (``crs-unusable``)."""
    return product.projection is not None and headers.is_same_crs(crs, product.projection)


def warnings_of(scene: PlannedScene, *, any_shape_is_right: bool = False) -> tuple[SceneWarning, ...]:
    """Say what is to be said of a scene that is embedded all the same; ``any_shape_is_right`` in the product's own
    projection.
    """
    warnings = []
    if scene.own_grid:
        message = (
            f"scene {scene.name}: its chips lie on its own grid and have no cell, so that they cannot be compared with"
            f" those of other dates: {scene.own_grid}."
        )
        warnings.append(SceneWarning(reason="own-grid", message=message))
    if not (any_shape_is_right or is_square(scene)):
        message = (
            f"scene {scene.name}: {shape(scene)}. It was embedded all the same ({Option.ANY_PIXEL_SHAPE}): the model"
            " knows the ground in squares, and its vectors may differ from those of the same place in square pixels."
        )
        warnings.append(SceneWarning(reason="not-square", message=message))
    if not scene.trained:
        message = (
            f"scene {scene.name}: it is of {scene.instrument} ({scene.product}), on which models of {scene.sensor} were"
            " not trained: judge its embeddings before you trust them."
        )
        warnings.append(SceneWarning(reason="untrained-sensor", message=message))
    return tuple(warnings)


def _fits(tile: str, grid: CogHeader, scene: str) -> bool:
    try:
        a, _, c, _, e, f = grid.transform
        square = abs(a + e) < _PIXEL_DRIFT
        return grid.epsg is not None and square and uci.fits_tile(tile, epsg=grid.epsg, origin_x=c, origin_y=f, gsd=a)
    except InvalidIdentifierError as error:
        msg = (
            f"scene {scene}: it declares MGRS tile {tile!r}, which is none ({error}). Correct the Item, or the file's"
            " name."
        )
        raise SceneError(msg, reason="invalid-item") from error


def _lay(grid: CogHeader, chip_size: int, headers: Headers) -> tuple[Lattice | None, str | None]:
    """Lay a scene of points on its lattice, or say why its chips lie on the scene's own grid."""
    family, false_northing = grid_family(grid.crs, grid.epsg)
    lattice = lay_lattice(
        grid.transform,
        height=grid.height,
        width=grid.width,
        size=chip_size,
        units=GEOGRAPHIC if grid.geographic else METRIC,
        family=family,
        false_northing=false_northing,
    )
    if lattice is None:
        return None, _DRIFTS
    return (lattice, None) if _is_on_the_globe(grid, lattice, headers) else (None, _LEAVES_THE_GLOBE)


def _is_on_the_globe(grid: CogHeader, lattice: Lattice, headers: Headers) -> bool:
    """Say whether the corners of all outer chips are places: chips on a lattice reach over the scene's edge."""
    chips = ChipGrid(height=grid.height, width=grid.width, size=lattice.size, start=(lattice.row, lattice.col))
    rows = np.array([chips.row(at) for at in range(chips.rows + 1)], np.float64)
    cols = np.array([chips.col(at) for at in range(chips.cols + 1)], np.float64)
    across, down = np.ones(len(cols)), np.ones(len(rows))
    row = np.concatenate([rows[0] * across, rows[-1] * across, rows, rows])
    col = np.concatenate([cols, cols, cols[0] * down, cols[-1] * down])
    a, _, c, _, e, f = grid.transform
    try:
        lon, lat = headers.to_lonlat(grid.crs, a * col + c, e * row + f)
    except SceneError:
        return False
    return bool((np.abs(lon) <= _HALF_TURN).all() and (np.abs(lat) <= _POLE).all())


def _square(grid: CogHeader, headers: Headers) -> str:
    """Give the MGRS 100 km square of the scene's centre."""
    a, b, c, d, e, f = grid.transform
    col, row = grid.width / 2, grid.height / 2
    lon, lat = headers.to_lonlat(grid.crs, np.array([a * col + b * row + c]), np.array([d * col + e * row + f]))
    return mgrs.square_of(float(lon[0]), float(lat[0]))
