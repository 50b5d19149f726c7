"""What a vector bucket keeps of a chip, within the limits of S3 Vectors."""

import json
from dataclasses import replace

import numpy as np
import pytest

from clayline.errors import DatasetError
from clayline.likeness.centring import Centre
from clayline.likeness.vector_index import VectorModel
from clayline.likeness.vector_records import ChipColumns, Put, puts

REST = "_20240601T103031_s2a-msi-l2a_clay-v1.5-cls"
DIGEST = "sha256:" + "0" * 64


def model(dimensions: int) -> VectorModel:
    centre = Centre(values=np.full(dimensions, 0.5, np.float32), by="card")
    return VectorModel.by(centre, token="clay-v1.5-cls", digest=DIGEST)


def chips(count: int, dimensions: int, *, zones: int = 1) -> ChipColumns:
    random = np.random.default_rng(count)
    return ChipColumns(
        uci=[f"{32 + row % zones}UQD-r{row:05d}c00256s256g10000{REST}" for row in range(count)],
        cell=[f"{32 + row % zones}UQD-r{row:05d}c00256s256g10000" for row in range(count)],
        epoch=np.full(count, 1_717_237_831),
        centres=np.tile([9.123456789, 48.5], (count, 1)),
        valid=np.full(count, 0.9, np.float32),
        cloud=np.full(count, 0.1, np.float32),
        loss=np.full(count, 0.07, np.float32),
        vectors=random.standard_normal((count, dimensions), dtype=np.float32),
    )


def sent(columns: ChipColumns, dimensions: int) -> list[Put]:
    return list(puts(columns, model(dimensions), scene="0" * 12, instrument="s2a-msi-l2a").requests)


def test_a_vector_is_centred_and_of_length_one() -> None:
    columns = chips(3, 8)
    [put] = sent(columns, 8)
    assert put.index == f"{model(8).stem}.32"
    away = columns.vectors.astype(np.float64) - 0.5
    expected = away / np.linalg.norm(away, axis=1)[:, None]
    np.testing.assert_allclose([record.data for record in put.records], expected, atol=2e-7)
    assert [record.key for record in put.records] == columns.uci


def test_filters_find_numbers_and_texts() -> None:
    [put] = sent(chips(1, 8), 8)
    assert put.records[0].metadata == {
        "uci": f"32UQD-r00000c00256s256g10000{REST}",
        "cell": "32UQD-r00000c00256s256g10000",
        "scene": "0" * 12,
        "instrument": "s2a-msi-l2a",
        "epoch": 1_717_237_831,
        "lon": 9.1234568,
        "lat": 48.5,
        "valid": 0.9,
        "cloud": 0.1,
        "loss": 0.07,
    }


def test_what_is_unknown_is_not_there() -> None:
    unknown = np.full(1, np.nan, np.float32)
    [put] = sent(replace(chips(1, 8), cell=[None], cloud=unknown, loss=unknown), 8)
    assert put.records[0].metadata.keys().isdisjoint({"cell", "cloud", "loss"})


def test_a_vector_without_a_direction_is_left_out() -> None:
    columns = chips(3, 8)
    columns.vectors[1] = 0.5
    assert [record.key for put in sent(columns, 8) for record in put.records] == [columns.uci[0], columns.uci[2]]
    found = puts(columns, model(8), scene="0" * 12, instrument="i")
    assert (found.without_direction, found.not_finite) == (1, 0)


def test_a_vector_that_is_not_finite_is_left_out_and_the_others_are_put() -> None:
    columns = chips(9, 8)
    wrong: list[float] = [np.nan, np.inf, -np.inf]
    for row, number in enumerate(wrong):
        columns.vectors[row, 3] = number
    columns.vectors[3] = np.nan
    columns.vectors[4] = 0.5
    columns.vectors[5] = np.finfo(np.float32).max
    found = puts(columns, model(8), scene="0" * 12, instrument="i")
    records = [record for put in found.requests for record in put.records]
    assert [record.key for record in records] == columns.uci[6:]
    assert np.isfinite([record.data for record in records]).all()
    assert found.not_finite + found.without_direction == 6
    assert found.not_finite >= 4


def test_metadata_has_finite_numbers_alone() -> None:
    """S3 Vectors' numbers are JSON's: a footprint of a foreign file that is none would have its request refused."""
    [put] = sent(replace(chips(1, 8), centres=np.array([[np.nan, 48.5]]), loss=np.full(1, np.inf, np.float32)), 8)
    assert put.records[0].metadata.keys().isdisjoint({"lon", "loss"})
    assert put.records[0].metadata["lat"] == 48.5


@pytest.mark.parametrize(("dimensions", "most"), [(8, 500), (1_024, 500), (4_096, 500)])
def test_a_request_keeps_within_the_limits(dimensions: int, most: int) -> None:
    put = max(sent(chips(600, dimensions), dimensions), key=lambda each: len(each.records))
    assert len(put.records) <= most
    body = {
        "vectors": [
            {"key": each.key, "data": {"float32": each.data}, "metadata": each.metadata} for each in put.records
        ]
    }
    assert len(json.dumps(body)) < 20 * 2**20
    assert max(len(json.dumps(each.metadata)) for each in put.records) < 2_048


def test_chips_of_several_zones_go_into_several_indexes_each_once() -> None:
    columns = chips(1_100, 8, zones=2)
    found = sent(columns, 8)
    assert [(put.index[-2:], len(put.records)) for put in found] == [("32", 500), ("32", 50), ("33", 500), ("33", 50)]
    assert sorted(record.key for put in found for record in put.records) == sorted(columns.uci)


def test_vectors_of_another_length_are_refused() -> None:
    with pytest.raises(DatasetError, match="the centre has 8 dimensions"):
        sent(chips(1, 9), 8)
