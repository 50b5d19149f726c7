"""A good file passes with no finding; each mutant of it has one defect, and the check that is named finds it.

Published failures among them (shared model notes, Clay-foundation/model#363, geotessera): chips embedded twice, wrong
polygons, silent gaps, mixed versions, absurd values, NaN and zero rows, chips shifted.
"""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import shapely
from tests.verification.made import DIMENSIONS, NAME, TOKEN, Made, check, make, state_item, wrong

type Mutate = Callable[[Made], None]


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make(tmp_path_factory.mktemp("good") / TOKEN / "0123456789ab")


def rewritten(change: Callable[[pa.Table], pa.Table], *, honest: bool = True) -> Mutate:
    """Write the file again from a changed table; ``honest``: the Item states the new file's size."""

    def mutate(made: Made) -> None:
        table = pq.read_table(made.parquet)
        pq.write_table(change(table), made.parquet, row_group_size=40)
        if honest:
            state_item(made)

    return mutate


def values(name: str, change: Callable[[list[Any]], list[Any]]) -> Mutate:
    """Change a column."""

    def mutate(table: pa.Table) -> pa.Table:
        at = table.schema.get_field_index(name)
        field = table.schema.field(at)
        return table.set_column(at, field, pa.array(change(table[name].to_pylist()), field.type))

    return rewritten(mutate)


def at(row: int, value: Any) -> Callable[[list[Any]], list[Any]]:
    """Put a value into a row."""
    return lambda held: [*held[:row], value(held[row]) if callable(value) else value, *held[row + 1 :]]


def shifted(east: float, north: float) -> Callable[[list[Any]], list[Any]]:
    """Move all footprints, degrees."""
    return lambda held: [
        shapely.to_wkb(shapely.transform(shapely.from_wkb(one), lambda xy: xy + np.array([east, north])))
        for one in held
    ]


def both(*mutates: Mutate) -> Mutate:
    """Do one after the other."""

    def mutate(made: Made) -> None:
        for each in mutates:
            each(made)

    return mutate


def header(key: str, change: Callable[[Any], None]) -> Mutate:
    """Change a value of the header, and of the metadata JSON with it."""

    def mutate(made: Made) -> None:
        table = pq.read_table(made.parquet)
        held = dict(table.schema.metadata or {})
        content = json.loads(held[key.encode()])
        change(content)
        held[key.encode()] = json.dumps(content).encode()
        pq.write_table(table.replace_schema_metadata(held), made.parquet, row_group_size=40)
        beside = json.loads(made.metadata.read_text(encoding="utf-8"))
        made.metadata.write_text(json.dumps({**beside, key: content}), encoding="utf-8")
        state_item(made)

    return mutate


def receipt(change: Callable[[dict[str, Any]], None]) -> Mutate:
    """Change the receipt."""

    def mutate(made: Made) -> None:
        content = json.loads(made.receipt.read_text(encoding="utf-8"))
        change(content)
        made.receipt.write_text(json.dumps(content), encoding="utf-8")

    return mutate


def beside(path: Callable[[Made], Path], old: str, new: str) -> Mutate:
    """Change the text of a file beside it."""

    def mutate(made: Made) -> None:
        text = path(made).read_text(encoding="utf-8")
        assert old in text
        path(made).write_text(text.replace(old, new), encoding="utf-8")

    return mutate


def cut(made: Made) -> None:
    """Leave half of the file."""
    body = made.parquet.read_bytes()
    made.parquet.write_bytes(body[: len(body) // 2])


def _without(name: str) -> Callable[[pa.Table], pa.Table]:
    return lambda table: table.drop_columns([name])


def _boxes(table: pa.Table) -> pa.Table:
    """Make each box that of its footprint again."""
    bounds = shapely.bounds(shapely.from_wkb(table["geometry"].to_pylist()))
    sides = [pa.array(bounds[:, side]) for side in range(4)]
    field = table.schema.field("bbox")
    boxes = pa.StructArray.from_arrays(sides, fields=list(field.type))
    return table.set_column(table.schema.get_field_index("bbox"), field, boxes)


def _extent(geo: dict[str, Any], east: float, north: float) -> None:
    box = geo["columns"]["geometry"]["bbox"]
    geo["columns"]["geometry"]["bbox"] = [box[0] + east, box[1] + north, box[2] + east, box[3] + north]


def _doubled(table: pa.Table) -> pa.Table:
    """Clay's bug: every chip from the 50th on twice."""
    return pa.concat_tables([table, table.slice(50)])


def _shortened(table: pa.Table) -> pa.Table:
    """Take a component off one vector."""
    held: list[Any] = table["embeddings"].to_pylist()
    held[4] = held[4][:-1]
    return table.set_column(8, "embeddings", pa.array(held, pa.list_(pa.float32())))


def _dropped(content: dict[str, Any]) -> None:
    """Let the receipt forget ten windows, its counts honest."""
    content["chips"] = [chip for chip in content["chips"] if chip["state"] == "written"]
    content["counts"] = {
        "planned": len(content["chips"]),
        "written": len(content["chips"]),
        "skipped": {},
        "failed": {},
    }


def _gone(content: dict[str, Any]) -> None:
    content["chips"][5]["state"] = "failed"
    content["chips"][5]["reason"] = "x"


HALF: Final = (-15 / 111_320 / 0.904, 15 / 111_320)
"""Half a pixel of 30 m west and north, at 25 degrees south."""
MUTANTS: Final[dict[str, tuple[Mutate, str]]] = {
    "a file cut off": (cut, "readable"),
    "a column missing": (rewritten(_without("cloud_fraction")), "schema"),
    "a column of another type": (
        rewritten(lambda t: t.set_column(10, "index", pc.cast(t["index"], pa.int32()))), "schema"),
    "no geo header": (rewritten(lambda t: t.replace_schema_metadata(
        {k: v for k, v in (t.schema.metadata or {}).items() if k != b"geo"})), "geo-metadata"),
    "a CRS that is null (published failure 3)": (
        header("geo", lambda geo: geo["columns"]["geometry"].update(crs=None)), "geo-metadata"),
    "a provenance without a grid": (header("clayline", lambda told: told.pop("grid")), "provenance"),
    "a source that the header does not say": (
        values("source_url", lambda held: ["s3://elsewhere/x.tif"] * len(held)), "provenance"),
    "a footprint that crosses itself": (values("geometry", at(3, shapely.to_wkb(
        shapely.Polygon([(0, 0), (1, 1), (1, 0), (0, 1)])))), "geometry"),
    "a footprint that is null": (rewritten(lambda t: t.set_column(
        9, "geometry", pa.array([None, *t["geometry"].to_pylist()[1:]], pa.binary()))), "geometry"),
    "a box that is not the footprint's": (
        values("bbox", at(7, lambda box: {**box, "xmax": box["xmax"] + 0.01})), "boxes"),
    "an extent that is not the rows'": (header("geo", lambda geo: _extent(geo, 0.5, 0)), "boxes"),
    "text in place of an identifier": (values("uci", at(4, "20;not an identifier")), "identifiers-parse"),
    "an identifier twice": (values("uci", lambda held: [held[0], held[0], *held[2:]]), "identifiers-unique"),
    "rows in another order": (rewritten(lambda t: t.take(np.arange(t.num_rows)[::-1])), "identifiers-sorted"),
    "an identifier of another day": (
        values("uci", at(9, lambda text: text.replace("20200518T", "20200519T"))), "identifiers-agree"),
    "identifiers of neighbours exchanged": (
        values("uci", lambda held: [held[1], held[0], *held[2:]]), "identifiers-agree"),
    "every chip from the 50th on twice (published failure 1)": (rewritten(_doubled), "windows"),
    "an index beyond the grid": (values("index", at(2, 10_000)), "windows"),
    "chips shifted by half a pixel (published failure 5)": (both(
        values("geometry", shifted(*HALF)), rewritten(_boxes), header("geo", lambda geo: _extent(geo, *HALF))),
        "footprint"),
    "polygons of another pixel size (published failure 2)": (values("geometry", lambda held: [
        shapely.to_wkb(shapely.box(*(bounds := shapely.from_wkb(one).bounds)[:2], bounds[0] + 0.04, bounds[1] + 0.04))
        for one in held]), "footprint"),
    "a cell of the neighbour": (values("cell", lambda held: [held[1], *held[1:]]), "cell"),
    "an acquisition in the future": (values("datetime", lambda held: [
        moment.replace(year=2031) for moment in held]), "dates"),
    "a day of creation before the acquisition": (values("date", lambda held: [
        day.replace(year=2019) for day in held]), "dates"),
    "a fraction of percent": (values("valid_fraction", at(0, 87.0)), "values"),
    "a loss without its metric": (values("loss", lambda held: [0.5] * len(held)), "values"),
    "vectors of two lengths": (rewritten(_shortened), "vectors-shape"),
    "NaN in a vector": (values("embeddings", at(6, lambda row: [float("nan"), *row[1:]])), "vectors-finite"),
    "a row of infinities": (values("embeddings", at(6, [float("inf")] * DIMENSIONS)), "vectors-finite"),
    "a zero vector": (values("embeddings", at(11, [0.0] * DIMENSIONS)), "vectors-constant"),
    "a vector of one number": (values("embeddings", at(11, [0.7] * DIMENSIONS)), "vectors-constant"),
    "two chips with one vector": (values("embeddings", lambda held: [held[40], *held[1:]]), "vectors-distinct"),
    "a component in wrong units": (
        values("embeddings", at(8, lambda row: [row[0] + 60.0, *row[1:]])), "vectors-spread"),
    "absurd values": (values("embeddings", at(8, lambda row: [x * 1e6 for x in row])), "vectors-scale"),
    "two models in a file": (
        values("source_model", lambda held: [*held[:-5], *["other-v2.0-x"] * 5]), "versions"),
    "another digest than the token's": (
        header("clayline", lambda told: told["model"].update(digest=f"sha256:{'b' * 64}")), "model-digest"),
    "rows that the receipt does not have": (receipt(_gone), "receipt"),
    "a row lost": (rewritten(lambda t: pa.concat_tables([t.slice(0, 20), t.slice(21)])), "receipt"),
    "windows that nobody accounts for (published failure 4)": (receipt(_dropped), "coverage"),
    "no receipt, and windows without a row": (lambda made: made.receipt.unlink(), "coverage"),
    "a metadata JSON of another file": (beside(lambda made: made.metadata, '"tests"', '"somebody"'), "companions"),
    "an Item of another model": (beside(lambda made: made.item, "sha256:aaaa", "sha256:cccc"), "companions"),
    "a file that was changed after its Item": (rewritten(lambda t: t, honest=False), "checksums"),
}  # fmt: skip


def test_a_good_file_has_no_finding_and_everything_is_checked(good: Made) -> None:
    verdict = check(good.parquet)
    assert (verdict.rows, wrong(verdict)) == (110, {})
    left = {outcome.check.name for outcome in verdict.outcomes if outcome.result == "not checkable"}
    assert left == {"tile-grid"}  # footprint says more


def test_a_copy_by_another_writer_has_no_finding(good: Made, tmp_path: Path) -> None:
    """What mutants are found by is their defect, and not that they were written again."""
    folder = tmp_path / TOKEN / "0123456789ab"
    shutil.copytree(good.parquet.parent, folder)
    made = Made(parquet=folder / f"{NAME}.parquet")
    rewritten(lambda table: table)(made)
    assert wrong(check(made.parquet)) == {}


@pytest.mark.parametrize("name", MUTANTS)
def test_each_defect_is_found_by_its_check(name: str, good: Made, tmp_path: Path) -> None:
    mutate, expected = MUTANTS[name]
    folder = tmp_path / TOKEN / "0123456789ab"
    shutil.copytree(good.parquet.parent, folder)
    made = Made(parquet=folder / f"{NAME}.parquet")
    mutate(made)
    found = wrong(check(made.parquet))
    assert expected in found, found
    assert str(tmp_path) not in found[expected]
