"""``clayline read`` and ``clayline sample``: by the Python API, with the figures before and after."""

import json
from pathlib import Path
from typing import Any

from clayline.api.dataset import Dataset
from clayline.dataset.figures import Figures, told
from clayline.dataset.points import MOST_BYTES, Point, of_csv, of_geojson
from clayline.errors import DatasetError, shown
from clayline.run.prices import built_in
from clayline.table.exports import export
from clayline.table.geo_points import read_points
from clayline_cli.asking.opening import new_file, opened, tell_unindexed
from clayline_cli.console import Console
from clayline_cli.errors import CommandError
from clayline_cli.reading.options import PlaceOptions, ReadOptions, SampleOptions


def read(options: ReadOptions, console: Console) -> int:
    """Read a place, or tell what that takes; gives the exit status. Raises ClaylineError."""
    dataset = _open(options)
    missing = tell_unindexed(dataset, console)
    asked: dict[str, Any] = {
        "box": options.box,
        "time": options.time,
        "model": options.model,
        "columns": options.columns,
        "revisions": options.revisions,
    }
    if options.explain:
        _tell(dataset.explain(**asked), options, unindexed=missing)
        return 0
    out = _out(options)
    chips = dataset.batches(**asked)
    said = {"root": dataset.uri, "scenes": len(chips.scenes), **{name: value for name, value in asked.items() if value}}
    rows = export(chips, chips.schema, out, form=options.form, scenes=chips.scenes, said=said)
    figures = dataset.figures
    _tell(figures or chips.foretold, options, rows=rows, out=str(out), unindexed=missing)
    if not rows:
        console.notice("no chip meets what was asked: the file has no rows")
    return 0


def sample(options: SampleOptions, console: Console) -> int:
    """Read what lies at points, or tell what that takes.

    Gives the exit status: 1 where a point has no chip. Raises ClaylineError.
    """
    points = _points(options.points)
    dataset = _open(options)
    unindexed = tell_unindexed(dataset, console)
    asked: dict[str, Any] = {"time": options.time, "model": options.model, "columns": options.columns}
    if options.explain:
        _tell(dataset.explain_sample(points, **asked), options, unindexed=unindexed)
        return 0
    out = _out(options)
    found = dataset.sample(points, **asked)
    said = {"root": dataset.uri, "points": len(points), **{name: value for name, value in asked.items() if value}}
    rows = export([found.table], found.table.schema, out, form="geoparquet", scenes=(), said=said)
    missing = [
        {"point": each.point.name, "lon": each.point.lon, "lat": each.point.lat, "reason": each.code,
         "message": each.message}
        for each in found.missing
    ]  # fmt: skip
    _tell(found.figures, options, rows=rows, out=str(out), points=len(points), missing=missing, unindexed=unindexed)
    if not options.json:
        for each in found.missing:
            console.warn(shown(f"point {each.point.name}: {each.code}: {each.message}"))
    return 1 if missing else 0


def _open(options: PlaceOptions) -> Dataset:
    return opened(options.root, profile=options.profile, region=options.region)


def _out(options: PlaceOptions) -> Path:
    if options.out is None:
        msg = "--out lacks: give a file"
        raise CommandError(msg)
    return new_file(options.out)


def _points(path: Path) -> list[Point]:
    if path.suffix.lower() in {".parquet", ".geoparquet", ".gpq"}:
        return read_points(path)
    if path.stat().st_size > MOST_BYTES:
        msg = f"{path} is larger than {MOST_BYTES} bytes. Ask in parts."
        raise DatasetError(msg)
    content = path.read_bytes()
    if path.suffix.lower() in {".json", ".geojson"}:
        return of_geojson(content, source=str(path))
    return of_csv(content, source=str(path))


def _tell(figures: Figures, options: PlaceOptions, **more: Any) -> None:  # noqa: ANN401 - what JSON takes
    prices = built_in()
    if options.json:
        print(json.dumps({**more, **figures.values(prices)}), flush=True)
        return
    if "rows" in more:
        print(f"{more['rows']:,} chips in {more['out']}", flush=True)
    if options.explain or not options.quiet:
        print(told(figures, prices), flush=True)
