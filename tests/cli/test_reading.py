"""``clayline read`` and ``clayline sample``: a folder's dataset, and one in S3, with the figures before and after."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import geopandas
import moto
import numpy as np
import pyarrow.parquet as pq
import pytest
from tests.api.worlds import World

from clayline_cli.program import main

BOX = "-54.39,-25.3,-54.21,-25.11"


@pytest.fixture(scope="module")
def world() -> World:
    found = World()
    one = found.scene(1)
    found.compact(one)
    found.index(found.scene(2, day=10))
    return found


@pytest.fixture(scope="module")
def folder(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("dataset")
    for key, body in world.root.objects.items():
        (root / key).parent.mkdir(parents=True, exist_ok=True)
        (root / key).write_bytes(body)
    return root


def figures(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_a_window_is_explained_then_read_and_the_figures_agree(
    folder: Path, world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["read", str(folder), "--bbox", BOX, "--time", "2024-05-01/..", "--json"]
    assert main([*asked, "--explain"]) == 0
    foretold = figures(capsys)
    out = tmp_path / "window.parquet"
    assert main([*asked, "--out", str(out)]) == 0
    measured = figures(capsys)
    assert (foretold.pop("measured"), measured.pop("measured")) == (False, True)
    assert (measured.pop("rows"), measured.pop("out")) == (pq.read_metadata(out).num_rows, str(out))
    assert foretold == measured
    assert foretold["bytes"] > 10_000
    box = tuple(map(float, BOX.split(",")))
    assert set(geopandas.read_parquet(out)["uci"]) == world.expected(
        (box[0], box[1], box[2], box[3]), ("000000000001", 1), ("000000000002", 1)
    )


def test_people_are_told_files_requests_bytes_and_cents(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["read", str(folder), "--bbox", BOX, "--explain"]) == 0
    told = capsys.readouterr().out
    for word in (
        "2 files would be read",
        "index",
        "footers",
        "chips",
        "together",
        "cents for the requests",
        "transfer",
    ):
        assert word in told


def test_quiet_tells_no_figures_and_a_column_named_twice_comes_once(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "w.parquet"
    assert main(["read", str(folder), "--bbox", BOX, "--columns", "uci,uci", "--out", str(out), "-q"]) == 0
    told = capsys.readouterr()
    assert (told.out.count("\n"), told.err) == (1, "")
    assert pq.read_schema(out).names == ["uci"]


@pytest.mark.parametrize(("form", "name"), [("lgnd", "w.parquet"), ("lancedb", "w.lance"), ("numpy", "w.npy")])
def test_forms_are_an_option(folder: Path, tmp_path: Path, form: str, name: str) -> None:
    out = tmp_path / name
    assert main(["read", str(folder), "--bbox", BOX, "--as", form, "--out", str(out)]) == 0
    assert out.exists()
    if form == "numpy":
        assert np.load(out).shape[1] == 48


def test_points_of_a_table_get_their_chips_and_the_others_a_reason(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    points = tmp_path / "points.csv"
    points.write_text("id,lon,lat\nfarm,-54.3,-25.2001\nsea,0,0\n", encoding="utf-8")
    asked = ["sample", str(folder), str(points), "--json"]
    assert main([*asked, "--explain"]) == 0
    foretold = figures(capsys)
    out = tmp_path / "points.parquet"
    assert main([*asked, "--out", str(out)]) == 1
    measured = figures(capsys)
    assert measured["bytes"] == foretold["bytes"]
    assert measured["requests"] == foretold["requests"]
    assert [(each["point"], each["reason"]) for each in measured["missing"]] == [("sea", "no-scene")]
    table = pq.read_table(out)
    assert table["point"].to_pylist() == ["farm"] * table.num_rows
    assert len({moment.date() for moment in table["datetime"].to_pylist() if moment}) == 2


def test_points_of_geojson_and_geoparquet_are_the_same_points(folder: Path, tmp_path: Path) -> None:
    frame = geopandas.GeoDataFrame({"id": ["a"]}, geometry=geopandas.points_from_xy([-54.3], [-25.2001]), crs=4326)
    frame.to_parquet(tmp_path / "p.parquet")
    (tmp_path / "p.geojson").write_text(frame.to_json(), encoding="utf-8")
    tables = []
    for name in ("p.parquet", "p.geojson"):
        out = tmp_path / f"{name}.out.parquet"
        assert main(["sample", str(folder), str(tmp_path / name), "--time", "2024-05-19", "--out", str(out)]) == 0
        tables.append(pq.read_table(out))
    assert tables[0].num_rows == 1
    assert tables[0]["uci"].equals(tables[1]["uci"])


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["--bbox", "1,2,3", "--explain"], "is no box"),
        (["--bbox", BOX], "give --out FILE, or --explain"),
        (["--time", "2024-06-02/2024-06-01", "--explain"], "ends before it begins"),
        (["--as", "shapefile", "--explain"], "invalid choice"),
        (["--time", "2024-06-01,", "--explain"], "time '' is none"),
        (["--out", "s3://bucket/window.parquet"], "s3://bucket/window.parquet is no path on this machine"),
    ],
)
def test_what_is_mistyped_is_a_sentence(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], what: str
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["read", str(folder), *arguments])
    assert stopped.value.code == 2
    assert what in capsys.readouterr().err


def test_what_cannot_be_answered_is_a_sentence(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    there = tmp_path / "there.parquet"
    there.write_bytes(b"mine")
    for arguments, what in (
        ([str(folder), "--columns", "uci,vector", "--explain"], "there is no column vector"),
        ([str(folder), "--model", "starter-v9", "--explain"], "no scene of the model starter-v9"),
        ([str(tmp_path), "--explain"], "is no dataset"),
        (["s3://no bucket", "--explain"], "'no bucket' is no bucket's name"),
        (["https://example.org/x", "--explain"], "https://example.org/x is no place of a dataset"),
        ([str(folder), "--out", str(there)], "nothing is overwritten"),
        ([str(folder), "--out", str(tmp_path / "no" / "such.parquet")], "Make it first"),
        ([str(tmp_path / "nowhere"), "--explain"], "is no folder"),
    ):
        assert main(["read", *arguments]) == 2
        assert what in capsys.readouterr().err


@pytest.fixture
def bucket(world: World) -> Iterator[str]:
    with moto.mock_aws():
        client = boto3.client("s3")
        client.create_bucket(Bucket="kept", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
        for key, body in world.root.objects.items():
            client.put_object(Bucket="kept", Key=f"all/{key}", Body=body)
        yield "s3://kept/all"


def test_a_bucket_gives_what_the_folder_gives(bucket: str, folder: Path, tmp_path: Path) -> None:
    for root, name in ((bucket, "s3.parquet"), (str(folder), "folder.parquet")):
        assert main(["read", root, "--bbox", BOX, "--out", str(tmp_path / name)]) == 0
    assert pq.read_table(tmp_path / "s3.parquet").equals(pq.read_table(tmp_path / "folder.parquet"))
