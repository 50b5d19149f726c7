"""A file is hostile input: whatever stands in it is a finding, never a crash and never memory without end."""

import json
import resource
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.verification.made import Made, check, make, wrong

from clayline.errors import TableError
from clayline.table import bounds
from clayline.table.thrift import Reader
from clayline.verification.sightings import Sightings, hashes


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make(tmp_path_factory.mktemp("good"))


@pytest.mark.parametrize("seed", range(12))
def test_bytes_that_were_changed_are_a_finding_or_harmless(seed: int, good: Made, tmp_path: Path) -> None:
    """Eight files a seed: bytes changed in the footer, in the pages, and the file cut off anywhere."""
    random = np.random.default_rng(seed)
    whole = good.parquet.read_bytes()
    footer = int.from_bytes(whole[-8:-4], "little")
    path = tmp_path / "a.parquet"
    for number in range(8):
        body = bytearray(whole)
        low = len(body) - 8 - footer if number % 2 else 4
        for at in random.integers(low, len(body), 1 + number).tolist():
            body[at] = int(random.integers(256))
        path.write_bytes(body[: int(random.integers(len(body)))] if number == 7 else body)
        verdict = check(path)
        assert verdict.rows <= 110
        for outcome in verdict.outcomes:
            assert len(outcome.line) < 20_000


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "no Parquet file"),
        (b"PAR1", "no Parquet file"),
        (b"{}" * 50, "no Parquet file"),
        (b"PAR1" + b"x" * 20, "cut off"),
        (b"PAR1" + (2**31).to_bytes(4, "little") + b"PAR1", "its footer says"),
        (b"PAR1" + b"\x00" * 40 + (40).to_bytes(4, "little") + b"PAR1", "no schema"),
        (b"PAR1" + b"\x19" * 40 + (40).to_bytes(4, "little") + b"PAR1", ""),
    ],
)
def test_what_is_no_parquet_file_is_told(body: bytes, says: str, tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(body)
    found = wrong(check(tmp_path / "a.parquet"))
    assert found.keys() == {"readable"}
    assert says in found["readable"]


def test_columns_nested_without_end_are_not_followed(tmp_path: Path) -> None:
    """Pyarrow goes down a schema by recursion."""
    kind: pa.DataType = pa.float32()
    for _ in range(40):
        kind = pa.struct([pa.field("x", kind)])
    pq.write_table(pa.table({"v": pa.array([None], kind)}), tmp_path / "a.parquet")
    assert "nested over 32 deep" in wrong(check(tmp_path / "a.parquet"))["readable"]


def test_a_page_that_is_far_larger_than_its_bytes_is_not_decoded(tmp_path: Path) -> None:
    """200 MB of zeros in some kB: the page's header says it, before anything is allocated for it."""
    zeros = pa.array([bytes(200_000_000)], pa.binary())
    table = pa.table({"geometry": zeros, "embedding": pa.array([[1.0, 2.0]], pa.list_(pa.float32()))})
    pq.write_table(table, tmp_path / "a.parquet", compression="zstd", use_dictionary=False, write_statistics=False)
    assert (tmp_path / "a.parquet").stat().st_size < 100_000
    del zeros, table
    assert "has a page of 20" in wrong(check(tmp_path / "a.parquet"))["readable"]


def test_constants_beyond_all_measure_are_not_unrolled(tmp_path: Path) -> None:
    """One row of fifty million numbers, in a page of a few bytes."""
    row = pa.ListArray.from_arrays(
        pa.array([0, 50_000_000], pa.int32()), pa.repeat(pa.scalar(0.0, pa.float32()), 50_000_000)
    )
    pq.write_table(pa.table({"embedding": row}), tmp_path / "a.parquet", compression="zstd")
    del row
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = wrong(check(tmp_path / "a.parquet"))
    assert "readable" in found
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000


@pytest.mark.parametrize(
    "text",
    ["[" * 100_000, "{}", "null", '{"primary_column": 3}', '{"primary_column": "geometry", "columns": []}',
     '{"primary_column": ["a"], "columns": {}}', '{"primary_column": "g", "columns": {"g": 3}}',
     '{"primary_column": "g", "columns": {"g": {"bbox": ["x"], "covering": {"bbox": 3}, "crs": 7}}}', "\x00", "1e999"],
)  # fmt: skip
def test_headers_of_any_content_are_told(text: str, good: Made, tmp_path: Path) -> None:
    table = pq.read_table(good.parquet)
    for key in (b"geo", b"clayline"):
        held = {**(table.schema.metadata or {}), key: text.encode()}
        pq.write_table(table.replace_schema_metadata(held), tmp_path / "a.parquet")
        assert wrong(check(tmp_path / "a.parquet"))


@pytest.mark.parametrize(
    "change",
    [{"transform": [0.0] * 6}, {"crs": "EPSG:999999"}, {"crs": "x" * 10_000}, {"height": 2**31 - 2**10, "rows": 1},
     {"lattice": {"name": "x"}}, {"identifier": "window", "mgrs_tile": "99ZZZ"}, {"gsd": 99_999.0}],
)  # fmt: skip
def test_a_provenance_of_any_numbers_is_told(change: dict[str, Any], good: Made, tmp_path: Path) -> None:
    table = pq.read_table(good.parquet)
    held = dict(table.schema.metadata or {})
    told = json.loads(held[b"clayline"])
    told["grid"] |= change
    held[b"clayline"] = json.dumps(told).encode()
    pq.write_table(table.replace_schema_metadata(held), tmp_path / "a.parquet")
    assert wrong(check(tmp_path / "a.parquet"))


@pytest.mark.parametrize(
    "body", [b"[]", b"null", b"{", b"[" * 100_000, b"\xff", b'{"assets": 3}', b'{"assets": {"a": 1}}']
)
def test_what_lies_beside_may_be_anything(body: bytes, tmp_path: Path) -> None:
    made = make(tmp_path)
    for path in (made.receipt, made.metadata, made.item):
        path.write_bytes(body)
    assert {"receipt", "companions"} <= wrong(check(made.parquet)).keys()


def test_a_number_or_a_list_without_end_ends() -> None:
    for body in (b"\x16" + b"\xff" * 50, b"\x19\xfc\xff\xff\xff\xff\x0f", b"\x1c" * 50, b"\x18\xff\xff\xff\x7f"):
        with pytest.raises(TableError):
            Reader(body).struct()


def test_hashes_on_disk_give_what_those_in_memory_give() -> None:
    random = np.random.default_rng(1)
    what = hashes([str(number).encode() for number in random.integers(0, 900, 3_000).tolist()])
    which = hashes([str(number).encode() for number in random.integers(0, 2, 3_000).tolist()])
    for other in (False, True):
        found = []
        for most in (10**9, 100):
            with Sightings(most=most) as seen:
                for part in np.split(np.arange(3_000), 30):
                    seen.add(what[part], which[part], part)
                found.append(sorted(seen.repeated(other=other)))
        assert found[0] == found[1]
        assert len(found[0]) > 100


def test_the_bounds_are_those_of_the_page() -> None:
    page = (Path(__file__).parents[2] / "docs" / "verify.md").read_text(encoding="utf-8")
    assert (
        f"| footer | {bounds.MAX_FOOTER >> 20} MiB, {bounds.MAX_COLUMNS:,} columns, {bounds.MAX_DEPTH} deep |" in page
    )
    assert f"{bounds.MAX_PAGE >> 20} MiB; {bounds.MAX_PAGES >> 20} MiB |" in page
