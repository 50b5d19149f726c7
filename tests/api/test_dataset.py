"""What a dataset gives, against brute force over its scenes; and what that takes, foretold and measured."""

import re
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import boto3
import geopandas
import moto
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.api.worlds import CHIPS, FIRST, TOKEN, World
from tests.table.rows import SIDE

import clayline
from clayline.api import Dataset, open_dataset
from clayline.dataset.manifest import MANIFEST, Manifest
from clayline.errors import DatasetError
from clayline.run.prices import built_in
from clayline.table import streaming

BOX = (-54.39, -25.19, -54.21, -25.11)


@pytest.fixture(scope="module")
def mixed() -> World:
    """Scene 1 and 2 in the square's file; of 2 a newer revision, and scene 3, in none yet."""
    world = World()
    one, two = world.scene(1), world.scene(2, day=10)
    world.compact(one, two)
    world.index(world.scene(2, day=10, revision=2), world.scene(3, day=20))
    return world


def ucis(table: pa.Table) -> list[str | None]:
    found: list[str | None] = table["uci"].to_pylist()
    return found


SCENES = [(f"{number:012x}", revision) for number, revision in ((1, 1), (2, 2), (3, 1))]


@pytest.mark.parametrize("box", [BOX, None, (-54.6, -25.3, -54.6, -25.3), (10, 10, 11, 11)])
def test_chips_of_squares_and_of_scenes_come_once_each_and_the_newest_alone(
    mixed: World, box: tuple[float, float, float, float] | None
) -> None:
    table = Dataset(mixed.root).read(box=box)
    assert len(ucis(table)) == len(set(ucis(table)))
    assert set(ucis(table)) == mixed.expected(box, *SCENES)
    revisions = set(zip(table["scene"].to_pylist(), table["revision"].to_pylist(), strict=True))
    assert revisions == (set(SCENES) if table.num_rows else set())


def test_values_are_those_of_the_scenes_own_files(mixed: World) -> None:
    table = Dataset(mixed.root).read(box=BOX).sort_by("uci")
    own = pa.concat_tables([mixed.tables[key] for key in SCENES])
    own = own.filter(pa.compute.is_in(own["uci"], pa.array(ucis(table)))).sort_by("uci")
    assert table.drop_columns(["scene", "revision"]).cast(own.schema).equals(own)


def test_every_revision_is_given_where_it_is_asked_for(mixed: World) -> None:
    dataset = Dataset(mixed.root)
    table = dataset.read(box=BOX, revisions="all", columns=["uci", "scene", "revision"])
    assert table.num_rows == len(mixed.expected(BOX, *SCENES)) + len(mixed.expected(BOX, ("000000000002", 1)))
    assert set(zip(table["scene"].to_pylist(), table["revision"].to_pylist(), strict=True)) == {
        *SCENES,
        ("000000000002", 1),
    }
    assert [row.revision for row in dataset.scenes(revisions="all") if row.scene == "000000000002"] == [2, 1]


def test_revisions_of_the_history_are_read_from_their_scenes_files() -> None:
    world = World()
    old, new = world.scene(1), world.scene(1, revision=2)
    world.compact(old, new)
    dataset = Dataset(world.root)
    assert set(dataset.read(columns=["revision"])["revision"].to_pylist()) == {2}
    assert dataset.read(revisions="all", columns=["revision"])["revision"].to_pylist() == [2] * CHIPS + [1] * CHIPS


@pytest.mark.parametrize(
    ("time", "scenes"),
    [
        ("2024-05-18", SCENES[:1]),
        ("2024-05-19/..", SCENES[1:]),
        ("../2024-05-28", SCENES[:2]),
        ("2024-05-18,2024-06-07", SCENES[::2]),
        ("2020-01-01", []),
    ],
)
def test_the_time_chooses(mixed: World, time: str, scenes: list[tuple[str, int]]) -> None:
    dataset = Dataset(mixed.root)
    assert set(ucis(dataset.read(box=BOX, time=time))) == mixed.expected(BOX, *scenes)
    assert {(row.scene, row.revision) for row in dataset.scenes(box=BOX, time=time)} == set(scenes)


@pytest.mark.parametrize("columns", [None, ["uci"], ["scene", "uci", "embeddings"]])
@pytest.mark.parametrize("box", [BOX, None])
def test_what_is_foretold_is_what_is_measured(mixed: World, columns: list[str] | None, box: Any) -> None:
    foretold = Dataset(mixed.root).explain(box=box, columns=columns)
    dataset = Dataset(mixed.root)
    table = dataset.read(box=box, columns=columns)
    assert columns is None or table.column_names == columns
    assert dataset.figures == replace(foretold, measured=True)
    assert foretold.chips.size > 0
    values = foretold.values(built_in())
    assert values["requests"] == values["index_requests"] + values["footers_requests"] + values["chips_requests"]
    assert values["request_cents"] == pytest.approx(100 * (5e-6 + 4e-7 * (values["requests"] - 1)))


def test_large_row_groups_are_looked_at_before_they_are_read(mixed: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a group of 200 chips, two dates of 100, the box holds the window and no chip of it meets it."""
    box = (BOX[0], -25.139, BOX[0] + 0.01, -25.121)
    straight = Dataset(mixed.root)
    expected = straight.read(box=box)
    monkeypatch.setattr(streaming, "LOOK_FROM", 0)
    dataset = Dataset(mixed.root)
    foretold = Dataset(mixed.root).explain(box=box)
    assert dataset.read(box=box).equals(expected)
    assert dataset.figures == replace(foretold, measured=True)
    assert foretold.places.requests > 0
    assert Dataset(mixed.root).explain().places.requests == 0
    monkeypatch.setattr(streaming, "rows_wanted", lambda *_: np.array([], dtype=np.int64))
    assert Dataset(mixed.root).read(box=box).num_rows == 0


def test_models_are_never_mixed() -> None:
    world = World()
    world.scene(1)
    world.scene(2, token="starter-v1.0-other", loss=False)
    world.index()
    dataset = Dataset(world.root)
    with pytest.raises(DatasetError, match=r"2 models.*starter-v1\.0-other, starter-v1\.0-rgb"):
        dataset.read(box=BOX)
    assert set(dataset.read(model=TOKEN, columns=["source_model"])["source_model"].to_pylist()) == {TOKEN}
    assert len(dataset.scenes()) == 2
    with pytest.raises(DatasetError, match=r"no scene of the model starter-v9, but of: starter-v1\.0-other, "):
        dataset.read(model="starter-v9")
    known = rf"no scene of the model {TOKEN}@sha256:ff, but of: starter-v1\.0-other@sha256:.*, {TOKEN}@sha256"
    with pytest.raises(DatasetError, match=known):
        dataset.explain(model=f"{TOKEN}@sha256:ff")
    assert dataset.read(model=f"{TOKEN}@{world.rows[0].digest}", columns=["uci"]).num_rows == CHIPS


def test_a_place_without_an_index_is_no_dataset_and_not_an_empty_one(tmp_path: Path) -> None:
    for ask in (Dataset.read, Dataset.explain, Dataset.scenes):
        with pytest.raises(DatasetError, match=rf"{tmp_path} is no dataset.*`clayline index {tmp_path}`"):
            ask(open_dataset(tmp_path))
    with pytest.raises(DatasetError, match="is no dataset"):
        open_dataset(tmp_path).sample([(0, 0)])


@pytest.mark.parametrize(
    ("asked", "what"),
    [
        ({"columns": "uci"}, "columns 'uci' are none"),
        ({"columns": []}, "columns"),
        ({"columns": [1]}, "columns"),
        ({"revisions": "foo"}, "revisions 'foo' are none"),
        ({"time": ""}, "time '' is none"),
        ({"time": []}, "time"),
        ({"time": "2024-05-18,"}, "time '' is none"),
        ({"time": ("2024-05-18",)}, "time"),
        ({"time": 5}, "time 5 is none"),
        ({"time": ("2024-05-18", 5)}, "time 5"),
        ({"model": ""}, "model '' is none"),
        ({"model": f"{TOKEN}@"}, "model"),
        ({"model": 5}, "model 5 is none"),
        ({"box": "1,2,3,4"}, "box '1,2,3,4' is none"),
        ({"box": 5}, "box 5 is none"),
        ({"box": (1, 2, None, 4)}, "box"),
    ],
)
def test_what_was_asked_wrongly_is_an_error_that_says_what_to_give(
    mixed: World, asked: dict[str, Any], what: str
) -> None:
    dataset = Dataset(mixed.root)
    for ask in (dataset.read, dataset.explain, dataset.batches, dataset.read_geo):
        with pytest.raises(DatasetError, match=f"{re.escape(what)}.*[Gg]ive"):
            ask(**asked)
    if not {"columns"} & asked.keys():
        with pytest.raises(DatasetError, match=r"[Gg]ive"):
            dataset.scenes(**asked)


def test_a_column_that_is_named_twice_comes_once(mixed: World) -> None:
    dataset = Dataset(mixed.root)
    assert dataset.read(box=BOX, columns=["uci", "uci"]).column_names == ["uci"]
    assert dataset.sample([(-54.3, -25.2)], columns=["uci", "uci"]).table.column_names[3:] == ["uci"]
    assert list(dataset.read_geo(box=BOX, columns=["uci", "uci"]).columns) == ["uci", "geometry"]


def test_a_box_over_the_antimeridian_finds_both_sides() -> None:
    world = World()
    world.scene(1, west=179.5)
    world.index()
    dataset = Dataset(world.root)
    both = dataset.read(box=(179.9, -25.3, -179.9, -25.1), columns=["uci", "bbox"])
    west = dataset.read(box=(179.9, -25.3, 180, -25.1), columns=["uci"])
    east = dataset.read(box=(-180, -25.3, -179.9, -25.1), columns=["uci"])
    assert set(ucis(both)) == set(ucis(west)) | set(ucis(east))
    assert 0 < west.num_rows < both.num_rows
    assert dataset.read(box=(0, -25.3, 10, -25.1), columns=["uci"]).num_rows == 0


def test_an_empty_place_gives_an_empty_table_with_the_columns() -> None:
    world = World()
    world.root.objects[MANIFEST] = Manifest(version=1).model_dump_json().encode()
    table = Dataset(world.root).read(box=BOX)
    assert table.num_rows == 0
    assert table.column_names[:3] == ["uci", "source_url", "date"]
    assert table.column_names[-2:] == ["scene", "revision"]


def test_geopandas_gets_the_same_chips(mixed: World) -> None:
    dataset = Dataset(mixed.root)
    frame = dataset.read_geo(box=BOX, columns=["uci", "embeddings"])
    assert isinstance(frame, geopandas.GeoDataFrame)
    assert (frame.crs.to_string(), frame.geometry.is_valid.all()) == ("OGC:CRS84", True)
    assert set(frame["uci"]) == mixed.expected(BOX, *SCENES)
    assert frame.geometry.intersects(geopandas.GeoSeries.from_wkt([f"POINT({BOX[0]} {BOX[1]})"])[0]).sum() == 3


def test_geopandas_that_is_not_installed_is_told(mixed: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "geopandas", None)
    with pytest.raises(DatasetError, match="pip install geopandas"):
        Dataset(mixed.root).read_geo(box=BOX)


def test_a_bucket_is_read_by_a_client_that_is_given(mixed: World) -> None:
    with moto.mock_aws():
        client = boto3.client("s3", region_name="eu-central-1")
        client.create_bucket(Bucket="kept", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
        for key, body in mixed.root.objects.items():
            client.put_object(Bucket="kept", Key=key, Body=body)
        dataset = open_dataset("s3://kept", client=client)
        assert set(ucis(dataset.read(box=BOX, columns=["uci"]))) == mixed.expected(BOX, *SCENES)


def test_batches_stream_the_same_rows(mixed: World) -> None:
    dataset = Dataset(mixed.root)
    chips = dataset.batches(box=BOX)
    tables = list(chips)
    assert len(tables) > 3
    assert pa.concat_tables(tables).equals(Dataset(mixed.root).read(box=BOX))
    assert dataset.figures == replace(chips.foretold, measured=True)


def test_a_reader_sees_one_state_until_it_refreshes(mixed: World) -> None:
    world = World(root=replace(mixed.root, objects=dict(mixed.root.objects)))
    dataset = Dataset(world.root)
    before = dataset.read(columns=["uci"])
    world.index(world.scene(9, day=30))
    assert dataset.read(columns=["uci"]).num_rows == before.num_rows
    dataset.refresh()
    assert dataset.read(columns=["uci"]).num_rows == before.num_rows + CHIPS


def test_a_part_that_is_gone_says_to_open_again() -> None:
    world = World()
    world.scene(1)
    manifest = world.compact()
    del world.root.objects[manifest.parts[0].file.href]
    with pytest.raises(DatasetError, match="Open it again"):
        Dataset(world.root).read(box=BOX)


@settings(max_examples=40)
@given(west=st.floats(-54.7, -53.5), south=st.floats(-25.4, -25.0), wide=st.floats(0, 0.3), high=st.floats(0, 0.2))
def test_any_box_gives_what_brute_force_gives(
    mixed: World, west: float, south: float, wide: float, high: float
) -> None:
    box = (west, south, west + wide, south + high)
    assert set(ucis(Dataset(mixed.root).read(box=box, columns=["uci"]))) == mixed.expected(box, *SCENES)


def test_it_is_opened_by_the_packages_own_name_and_loads_nothing_before(tmp_path: Path) -> None:
    heavy = "import clayline, sys; print([m for m in ('pyarrow', 'shapely', 'boto3', 'numpy') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", heavy], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert clayline.open_dataset(tmp_path).uri == str(tmp_path)
    assert open_dataset(tmp_path.as_uri()).uri == str(tmp_path)
    with pytest.raises(AttributeError, match="no_such"):
        clayline.no_such  # type: ignore[attr-defined]  # noqa: B018 - asking is the test


@pytest.mark.parametrize(
    "root", ["s3://", "s3://b c/x", "https://example.org/x", "file://relative", "/no/such", "", " ", None]
)
def test_a_name_that_is_no_place_is_refused(root: Any) -> None:
    with pytest.raises(DatasetError, match=r"give|Give"):
        open_dataset(root)


def test_points_get_their_chips_at_every_date_or_are_listed_with_the_reason(mixed: World) -> None:
    dataset = Dataset(mixed.root)
    inside = (-54.6 + 3.5 * SIDE, -25.1 - 2.5 * SIDE)
    found = dataset.sample([inside, (10, 10), (float("nan"), 0), {"lon": -54.3, "lat": -25.105, "id": "b"}])
    assert [each.code for each in found.missing] == ["no-scene", "not-on-globe"]
    points = found.table["point"].to_pylist()
    assert points.count("0") == 3
    assert set(points) == {"0", "b"}
    of_first = [row for row in found.table.to_pylist() if row["point"] == "0"]
    assert [row["index"] for row in of_first] == [3 * (2 * 50 + 3)] * 3
    assert [row["datetime"] for row in of_first] == sorted(row["datetime"] for row in of_first)
    assert Dataset(mixed.root).explain_sample([inside]).chips.size > 0


def test_a_point_between_scenes_and_times_says_which(mixed: World) -> None:
    world = World(root=replace(mixed.root, objects=dict(mixed.root.objects)), rows=list(mixed.rows))
    lonely = replace(world.scene(7, day=40, west=-50.0), box=replace(mixed.rows[0].box, west=-50, east=-40))
    world.index(lonely)
    found = Dataset(world.root).sample([(-41, -25.2), (-54.3, -25.2)], time="2024-06-20/2024-06-30")
    assert [each.code for each in found.missing] == ["no-chip", "no-scene-then"]
    assert "_receipt.json" in found.missing[0].message
    assert "2024-05-18" in found.missing[1].message


@pytest.mark.parametrize(("time", "day"), [("2024-05-18", 0), ("2024-05-30", 10), ("2030-01-01", 20), ("nearest", 10)])
def test_the_nearest_date_gives_one_chip_a_point(mixed: World, time: str, day: int) -> None:
    corner = {"lon": -54.6 + 3 * SIDE, "lat": -25.1 - 2 * SIDE, "datetime": "2024-05-29"}
    found = Dataset(mixed.root).sample([corner, {**corner, "lon": -54.3}], time=time)
    assert found.table["point"].to_pylist() == ["0", "1"]
    assert {row["datetime"].date() for row in found.table.to_pylist()} == {(FIRST + timedelta(days=day)).date()}


@pytest.mark.parametrize("points", [None, "points.csv", {"lon": 1, "lat": 2}, 5, [5]])
def test_points_that_are_none_are_refused(mixed: World, points: Any) -> None:
    with pytest.raises(DatasetError, match="give"):
        Dataset(mixed.root).sample(points)


def test_the_nearest_date_needs_one(mixed: World) -> None:
    with pytest.raises(DatasetError, match="point 0 says no time"):
        Dataset(mixed.root).sample([(-54.3, -25.2)], time="nearest")
