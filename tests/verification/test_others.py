"""Files of others: Clay's v0 as it was published, and made-up files in the layouts of LGND and Earth Index.

No published file of the latter two is at hand. Theirs are made here after what is published of their columns: LGND's
`chips_id, cell_id, rasters_id, stac_item_id, collection, datetime, embedding, bbox, geometry`, Earth Index's
`id, embedding, geometry` with points.
"""

import datetime as dt
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely
from tests.verification.made import TOKEN, check, make, state_item, vectors, wrong

from clayline.verification.files import FileVerdict
from clayline.verification.layouts import OURS

V0 = "03WVN_20220610_20220610_v001.gpq"
ROWS = 60


@pytest.fixture
def v0(shared_data: Path) -> Path:
    return shared_data / "clay_v0_sample" / V0


def results(verdict: FileVerdict) -> dict[str, str]:
    return {outcome.check.name: outcome.result for outcome in verdict.outcomes}


def _geo(path: Path, table: pa.Table, kind: str) -> Path:
    geo = {"version": "1.1.0", "primary_column": "geometry"}
    column = {"encoding": "WKB", "geometry_types": [kind]}
    held = {"geo": json.dumps({**geo, "columns": {"geometry": column}})}
    pq.write_table(table.replace_schema_metadata(held), path)
    return path


def lgnd(path: Path, **change: Any) -> Path:
    """Write a made-up file in LGND's layout."""
    boxes = [(10 + k * 0.02, 45.0, 10 + k * 0.02 + 0.02, 45.02) for k in range(ROWS)]
    columns: dict[str, Any] = {
        "chips_id": [f"chip-{k}" for k in range(ROWS)],
        "cell_id": [f"0_{k}" for k in range(ROWS)],
        "stac_item_id": ["made-up"] * ROWS,
        "datetime": pa.array([dt.datetime(2024, 6, 3, tzinfo=dt.UTC)] * ROWS, pa.timestamp("us", tz="UTC")),
        "embedding": pa.array(vectors(ROWS).tolist(), pa.list_(pa.float32())),
        "bbox": [dict(zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True)) for box in boxes],
        "geometry": [shapely.to_wkb(shapely.box(*box)) for box in boxes],
    }
    return _geo(path, pa.table({**columns, **change}), "Polygon")


def earth_index(path: Path, **change: Any) -> Path:
    """Write a made-up file in Earth Index's layout."""
    columns: dict[str, Any] = {
        "id": [f"made-up-{k}" for k in range(ROWS)],
        "embedding": pa.array(vectors(ROWS).tolist(), pa.list_(pa.float32())),
        "geometry": [shapely.to_wkb(shapely.Point(10 + k * 0.003, 45.0)) for k in range(ROWS)],
    }
    return _geo(path, pa.table({**columns, **change}), "Point")


def test_the_half_pixel_and_the_gaps_of_the_real_v0_sample_are_found(v0: Path) -> None:
    verdict = check(v0)
    found = wrong(verdict)
    assert (verdict.layout, verdict.rows, set(found)) == ("clay-v0", 417, {"tile-grid", "coverage"})
    assert "5.00 m west and 5.00 m north, 0.50 of its 10 m pixels (417)" in found["tile-grid"]
    assert "of 21 x 21 windows of tile 03WVN these have no row, and nothing says why (24)" in found["coverage"]
    assert "a strip of 2,280 m" in found["coverage"]


def test_a_v0_file_on_its_pixels_passes_and_one_of_another_day_does_not(v0: Path, tmp_path: Path) -> None:
    """The sample, moved back to where its chips lie: in the tile's zone, 5 m east and south."""
    from clayline.raster.projection import from_lonlat, to_lonlat  # noqa: PLC0415 - PROJ, which two tests need

    table = pq.read_table(v0)

    def moved(ring: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        x, y = from_lonlat("EPSG:32603", ring[:, 0], ring[:, 1])
        return np.stack(to_lonlat("EPSG:32603", x + 5, y - 5), axis=1)

    shapes = shapely.transform(shapely.from_wkb(table["geometry"].to_pylist()), moved)
    held = dict(table.schema.metadata or {})
    geo = json.loads(held[b"geo"])
    geo["columns"]["geometry"]["bbox"] = shapely.total_bounds(shapes).tolist()
    held[b"geo"] = json.dumps(geo).encode()
    table = table.set_column(4, "geometry", pa.array(shapely.to_wkb(shapes).tolist(), pa.binary()))
    for name in (V0, V0.replace("20220610", "20220611")):
        pq.write_table(table.replace_schema_metadata(held), tmp_path / name)
    assert wrong(check(tmp_path / V0)).keys() == {"coverage"}
    assert wrong(check(tmp_path / V0.replace("20220610", "20220611"))).keys() == {"coverage", "dates"}


def test_what_of_lgnds_layout_can_be_checked_is(tmp_path: Path) -> None:
    verdict = check(lgnd(tmp_path / "a.parquet"))
    assert (verdict.layout, wrong(verdict)) == ("lgnd", {})
    passed = {outcome.check.name for outcome in verdict.outcomes if outcome.result == "passed"}
    assert {"identifiers-unique", "geometry", "boxes", "windows", "dates", "vectors-distinct"} <= passed
    assert all(outcome.reason for outcome in verdict.outcomes if outcome.result == "not checkable")
    bad = np.array(vectors(ROWS))
    bad[3], bad[5], bad[7] = 0, bad[6], np.nan
    mutant = lgnd(
        tmp_path / "b.parquet",
        chips_id=["chip-0", *(f"chip-{k}" for k in range(ROWS - 1))],
        embedding=pa.array(bad.tolist(), pa.list_(pa.float32())),
    )
    expected = {"identifiers-unique", "vectors-constant", "vectors-distinct", "vectors-finite"}
    assert wrong(check(mutant)).keys() == expected


def test_what_of_earth_indexes_layout_can_be_checked_is(tmp_path: Path) -> None:
    verdict = check(earth_index(tmp_path / "21MNT_2023-01-01_2024-01-01.parquet"))
    assert (verdict.layout, wrong(verdict)) == ("earth-index", {})
    reasons = {outcome.check.name: outcome.reason for outcome in verdict.outcomes if outcome.reason}
    assert reasons["dates"] == "there is no column of times"
    again = earth_index(tmp_path / "b.parquet", id=["made-up-1"] * ROWS)
    assert wrong(check(again)).keys() == {"identifiers-unique"}


@pytest.mark.parametrize(
    ("columns", "layout", "found"),
    [
        ({"a": [1, 2]}, "parquet", {"geo-metadata", "schema"}),
        ({"v": pa.array([[1.0, 2.0], [2.0, 1.0]], pa.list_(pa.float64(), 2))}, "parquet", {"geo-metadata", "schema"}),
        ({"embedding": pa.array([None, None], pa.list_(pa.float32()))}, "parquet",
         {"geo-metadata", "schema", "vectors-shape"}),
        ({"embedding": pa.array([[], [1.0]], pa.list_(pa.float32()))}, "parquet",
         {"geo-metadata", "schema", "vectors-shape", "vectors-constant"}),
    ],
)  # fmt: skip
def test_any_parquet_file_is_told_what_it_lacks(
    columns: dict[str, Any], layout: str, found: set[str], tmp_path: Path
) -> None:
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    verdict = check(tmp_path / "a.parquet")
    assert (verdict.layout, set(wrong(verdict))) == (layout, found)


@pytest.mark.parametrize("column", [*(name for name, *_ in OURS), "all but uci and source_model"])
def test_a_file_of_ours_that_lacks_a_column_is_told_what_and_not_judged_as_anothers(
    column: str, tmp_path: Path
) -> None:
    made = make(tmp_path)
    table = pq.read_table(made.parquet)
    dropped = [column] if column in table.column_names else table.column_names[5:]
    pq.write_table(table.drop_columns(dropped), made.parquet)
    verdict = check(made.parquet)
    found = wrong(verdict)
    assert verdict.layout == "clayline"
    assert f"column {dropped[0]} is missing" in found["schema"]
    assert found.keys() <= {"schema", "geo-metadata", "companions", "checksums"}, found
    assert "checksums" in found
    nothing = {name for name, result in results(verdict).items() if result == "not checkable"}
    assert {"embeddings": "vectors-shape", "index": "footprint", "uci": "receipt", "geometry": "geometry"}.get(
        column, "tile-grid"
    ) in nothing


@pytest.mark.parametrize("left", ["header", "receipt", "place", "columns"])
def test_a_file_of_ours_without_its_metadata_or_vectors_is_ours_by_whatever_is_left(left: str, tmp_path: Path) -> None:
    made = make(tmp_path / (f"{TOKEN}/0123456789ab" if left == "place" else "x"))
    table = pq.read_table(made.parquet)
    if left == "columns":
        table = table.drop_columns(["embeddings", "geometry"])
    else:
        table = table.select(["uci", "index", "datetime"])
    if left != "header":
        table = table.replace_schema_metadata({})
    pq.write_table(table, made.parquet)
    if left != "receipt":
        made.receipt.unlink()
    verdict = check(made.parquet)
    found = wrong(verdict)
    assert verdict.layout == "clayline"
    assert "column embeddings is missing" in found["schema"]
    assert "checksums" in found
    assert ("provenance" in found) is (left != "header")
    assert "tile-grid" not in found
    assert "coverage" not in found or left == "header"


def test_a_scenes_file_without_its_header_has_no_false_findings(tmp_path: Path) -> None:
    made = make(tmp_path)
    pq.write_table(pq.read_table(made.parquet).replace_schema_metadata({}), made.parquet)
    state_item(made)
    assert set(wrong(check(made.parquet))) == {"geo-metadata", "provenance", "companions"}


def test_columns_that_were_asked_for_are_all_that_a_read_needs(tmp_path: Path) -> None:
    made = make(tmp_path / "made")
    said = {"clayline": json.dumps({"format": "clayline-read/1", "root": "x", "columns": ["uci", "geometry"]})}
    table = pq.read_table(made.parquet).select(["uci", "geometry"])
    held = {"geo": json.dumps({"version": "1.1.0", "primary_column": "geometry", "columns": {
        "geometry": {"encoding": "WKB", "geometry_types": ["Polygon"]}}})}  # fmt: skip
    pq.write_table(table.replace_schema_metadata({**held, **said}), tmp_path / "window.parquet")
    verdict = check(tmp_path / "window.parquet")
    assert (verdict.layout, wrong(verdict)) == ("clayline-rows", {})


def test_rows_of_several_scenes_need_no_provenance_and_no_order(tmp_path: Path) -> None:
    table = pq.read_table(make(tmp_path).parquet)
    header = {b"geo": (table.schema.metadata or {})[b"geo"]}
    backwards = table.take(list(range(table.num_rows))[::-1]).replace_schema_metadata(header)
    names = pa.array(["0123456789ab", "ba9876543210"] * (table.num_rows // 2))
    rows = backwards.append_column(pa.field("scene", pa.string(), nullable=False), names)
    rows = rows.append_column(
        pa.field("revision", pa.int32(), nullable=False), pa.array([1] * table.num_rows, pa.int32())
    )
    pq.write_table(rows, tmp_path / "rows.parquet")
    verdict = check(tmp_path / "rows.parquet")
    assert (verdict.layout, wrong(verdict)) == ("clayline-rows", {})
    pq.write_table(pa.concat_tables([rows, rows.slice(3, 1)]), tmp_path / "twice.parquet")
    assert "identifiers-unique" in wrong(check(tmp_path / "twice.parquet"))
    other = [*rows.column("source_model").to_pylist()[:-1], "other-v1.0-x"]
    mixed = rows.set_column(rows.schema.get_field_index("source_model"), rows.schema.field("source_model"), [other])
    pq.write_table(mixed, tmp_path / "mixed.parquet")
    assert wrong(check(tmp_path / "mixed.parquet")).keys() == {"versions"}
