"""Indexes of a vector bucket: their names, and which of them a box asks."""

import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clayline.dataset.scene_row import Box
from clayline.errors import DatasetError
from clayline.identity import mgrs
from clayline.identity import uci as identifiers
from clayline.identity.location import point_from_lonlat
from clayline.likeness.centring import Centre
from clayline.likeness.vector_index import VectorModel, shard, shards_meeting

TOKEN = "clay-v1.5-cls"
CENTRE = Centre(values=np.arange(8, dtype=np.float32), by="card")
REST = "_20240601T103031_s2a-msi-l2a_clay-v1.5-cls"
NAME = re.compile(r"[a-z0-9][a-z0-9-.]{1,61}[a-z0-9]")
"""AWS's service model."""


def model(centre: Centre = CENTRE, *, token: str = TOKEN, digest: str = "0") -> VectorModel:
    return VectorModel.by(centre, token=token, digest=f"sha256:{digest * 64}")


def test_each_model_and_each_centre_has_indexes_of_its_own() -> None:
    other = replace(CENTRE, values=CENTRE.values + np.float32(1e-6))
    stems = {model().stem, model(digest="1").stem, model(other).stem, model(token="clay-v1.5-mean").stem}
    assert len(stems) == 4
    assert model(replace(CENTRE, by="codebook")).stem == model().stem  # the same numbers, whoever states them


def test_the_longest_name_is_one_that_s3_vectors_takes() -> None:
    token = f"{'a' * 41}-v1-cls"
    assert len(token) == 48
    name = model(token=token).index(f"32UQD-r00000c00256s256g10000{REST}")
    assert NAME.fullmatch(name)
    assert len(name) == 62


@pytest.mark.parametrize(
    ("location", "expected"),
    [("32UQD-r00000c00256s256g10000", "32"), ("AYP58674132-s64g30000", "ua"), ("01CDK12341234-s64g30000", "01")],
)
def test_a_shard_is_the_zone(location: str, expected: str) -> None:
    assert shard(location + REST) == expected


@pytest.mark.parametrize("text", ["", "x", "3", "٣٢UQD", "MUQD"])
def test_what_is_no_identifier_has_no_shard(text: str) -> None:
    with pytest.raises(DatasetError, match="no zone"):
        shard(text)


@given(lon=st.floats(-180, 180), lat=st.floats(-90, 90))
def test_a_box_asks_the_shard_of_every_point_in_it(lon: float, lat: float) -> None:
    place = point_from_lonlat(lon, lat, size=64, gsd_mm=30_000)
    assert shard(f"{place}{REST}") in shards_meeting(Box(west=lon, south=lat, east=lon, north=lat))


@pytest.mark.parametrize("lat", [-79, -60, -0.5, 45, 58, 63, 73, 79, 83.5])
@pytest.mark.parametrize("lon", [-179.99, -174.01, 0.01, 2.99, 5.99, 11.99, 20.99, 179.99])
def test_a_box_asks_the_shard_of_a_window_that_lies_in_a_neighbouring_zone(lon: float, lat: float) -> None:
    tile = mgrs.from_lonlat(lon, lat, 0)
    for corner in ("r00000c00000", "r00000c10700", "r10700c00000", "r10700c10700"):
        text = f"{tile}-{corner}s256g10000{REST}"
        ring = identifiers.footprint(text).lonlat
        lon, lat = (sum(corner[side] for corner in ring[:-1]) / 4 for side in (0, 1))
        lon = (lon + 180) % 360 - 180
        assert shard(text) in shards_meeting(Box(west=lon, south=lat, east=lon, north=lat))


def test_a_box_over_the_antimeridian_asks_both_ends() -> None:
    asked = shards_meeting(Box(west=179, south=10, east=-179, north=11))
    assert {"60", "01"} <= asked
    assert "30" not in asked
    assert not {name for name in asked if name.startswith("u")}


def test_a_small_box_asks_few_of_the_indexes_that_are_there() -> None:
    own = [f"{model().stem}.{zone:02d}" for zone in range(1, 61)]
    there = frozenset([*own, f"{model(digest='1').stem}.32"])
    asked = model().indexes_meeting(Box(west=8, south=50, east=8.1, north=50.1), there)
    assert asked == own[29:34]
    assert model().indexes_meeting(None, there) == own


def test_what_says_how_vectors_are_centred_is_read_back() -> None:
    body = model().model_dump_json().encode()
    assert VectorModel.parse(body, where="x") == model()
    np.testing.assert_array_equal(VectorModel.parse(body, where="x").centred().values, CENTRE.values)


@pytest.mark.parametrize("body", [b"{}", b"no JSON", model().model_dump_json().replace("AAA", "A?A", 1).encode()])
def test_what_says_nothing_of_the_kind_is_refused(body: bytes) -> None:
    with pytest.raises(DatasetError, match=r"memory/vectors/x does not say how vectors are centred"):
        VectorModel.parse(body, where="memory/vectors/x")
