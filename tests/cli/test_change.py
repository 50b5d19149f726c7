"""``clayline change``: told, written, drawn; and what the exit status says."""

import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import boto3
import duckdb
import geopandas
import moto
import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image
from tests.api.alike import Alike
from tests.api.grounds import DIMENSIONS, JULY, JUNE, MAY, Chips, Ground

from clayline.dataset.folder import FolderRoot
from clayline.likeness import pairing, taking_part
from clayline.model.statistics import STATISTICS_FILE, FolderStatistics, VectorStatistics, read_statistics
from clayline_cli.changing import options
from clayline_cli.changing.telling import _WHY
from clayline_cli.program import main
from clayline_local.repository import STARTER

WIDE, HIGH = 25, 20
ASKED = ["--from", "2020-05-18", "--to", "2020-06-18"]


def vectors(seed: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.random.default_rng(seed).standard_normal((WIDE * HIGH, DIMENSIONS), np.float32)


def folder_of(ground: Ground, folder: Path) -> Path:
    for key, body in ground.root.objects.items():
        (folder / key).parent.mkdir(parents=True, exist_ok=True)
        (folder / key).write_bytes(body)
    return folder


def ground() -> Ground:
    """Give two dates whose north-west corner changed, of which a column is cloudy."""
    found = Ground()
    later = vectors(1).copy()
    changed = [row * WIDE + col for row in range(5) for col in range(5)]
    later[changed] = -later[changed]
    cloud = np.where(np.arange(WIDE * HIGH) % WIDE == WIDE - 1, 0.8, 0.0).astype(np.float32)
    found.land(1, MAY, Chips(wide=WIDE, high=HIGH, vectors=vectors(1)))
    found.land(2, JUNE, Chips(wide=WIDE, high=HIGH, vectors=later, cloud=cloud))
    return found


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folder_of(ground(), tmp_path_factory.mktemp("dataset"))


@pytest.fixture(scope="module")
def with_a_loss(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, and a third date whose file is lost."""
    found = ground()
    july = found.land(3, JULY, Chips(wide=WIDE, high=HIGH, vectors=vectors(1)))
    del found.root.objects[july.href]
    return folder_of(found, tmp_path_factory.mktemp("with-a-loss"))


def test_it_is_told_written_and_drawn(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, picture = tmp_path / "change.parquet", tmp_path / "change.png"
    assert main(["change", str(root), *ASKED, "--out", str(out), "--picture", str(picture), "--top", "3"]) == 0
    told = capsys.readouterr().out
    assert "480 pairs compared, 480 of them calibrated by the dataset's own pairs in 21JYM" in told
    assert "20 cells not compared, which is not the same as unchanged:" in told
    assert "20  cloud: too cloudy" in told
    assert told.count("utm21-c64p30000-s150") == 3
    assert told.count("2020-05-18  2020-06-18  -54.") == 3, "each cell with its dates"
    assert told.endswith(f"\n500 rows in {out}\na map in {picture}\n")

    frame = geopandas.read_parquet(out)
    assert frame.crs == "OGC:CRS84"
    assert len(frame) == 500
    assert set(frame[frame["percentile"] >= 94]["cell"]) == {
        f"utm21-c64p30000-s{1500 + row}e{col}" for row in range(5) for col in range(5)
    }
    [(compared, cloudy, most)] = (
        duckdb.read_parquet(str(out))
        .aggregate("count(*) FILTER (compared), count(*) FILTER (reason = 'cloud'), max(distance)")
        .fetchall()
    )
    assert (compared, cloudy) == (480, 20)
    assert most > 1.5
    said = json.loads((pq.read_metadata(out).metadata or {})[b"clayline"])
    assert (said["format"], said["rows"], said["compared"]) == ("clayline-change/1", 500, 480)
    assert (said["not_compared"], said["centred_by"], said["cloud_most"]) == ({"cloud": 20}, "rows", 0.2)

    with Image.open(picture) as image:
        pixels = np.asarray(image.convert("RGB")).reshape(-1, 3).astype(int)
    dark_red = (np.abs(pixels - (128, 0, 38)) < 40).all(axis=1).sum()
    pale = (np.abs(pixels - (255, 255, 204)) < 12).all(axis=1).sum()
    grey = (np.abs(pixels - (213, 218, 224)) < 6).all(axis=1).sum()
    assert pale > 10 * dark_red > 10_000, "455 cells of the ground are as they were, 25 are not"
    assert grey > 2_000, "20 cells are hatched"


def test_what_was_not_compared_at_a_cells_own_dates_is_counted_by_chip(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["change", str(root), "--top", "0"]) == 0
    assert re.search(r"\d chips? not compared, which is not the same as unchanged:", capsys.readouterr().out)


def test_json_says_the_same(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["change", str(root), *ASKED, "--json", "--top", "30", "--max-cloud", "1"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["compared"], told["uncalibrated"], told["not_compared"]) == (500, 0, {})
    assert told["pairs_of_dates"] == [["2020-05-18", "2020-06-18"]]
    first = told["most_changed"][0]
    assert (len(told["most_changed"]), first["calibrated"], first["days"]) == (30, "square", 31.0)
    assert (first["from_datetime"], first["to_datetime"]) == (MAY.isoformat(), JUNE.isoformat())
    assert {"out", "picture"}.isdisjoint(told), "nothing was written"
    assert (first["percentile"], told["most_changed"][24]["percentile"]) == (99.8, 95.0)
    assert told["most_changed"][25]["distance"] == 0.0
    assert first["lon"] < -54.37
    assert told["requests"] > 0


def test_a_file_that_is_lost_is_said_and_the_status_is_1(
    with_a_loss: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = tmp_path / "c.png"
    asked = ["change", str(with_a_loss), "--time", "2020-05-18,2020-06-18,2020-07-18", "--picture", str(picture)]
    assert main(asked) == 1
    said = capsys.readouterr()
    assert "501  unreadable: a file could not be read" in said.out
    assert "520 cells and 1 file not compared" in said.out
    assert "21JYM_v001.parquet" in said.err
    assert "480 pairs compared" in said.out
    assert main(["change", str(with_a_loss), *ASKED]) == 1, "its pairs would calibrate"
    with Image.open(picture) as image:
        pixels = np.asarray(image.convert("RGB")).reshape(-1, 3).astype(int)
    assert (np.abs(pixels - (180, 35, 24)) < 30).all(axis=1).sum() > 200, "where it lies has an outline"


def test_several_dates_are_drawn_of_the_same_ground_with_a_legend_that_is_whole(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two panels in a row; nothing is cut at an edge. A panel's reasons are hatched as the other panels' are."""
    found = ground()
    half = np.where(np.arange(WIDE * HIGH) // WIDE < 3, 0.5, 1).astype(np.float32)
    found.land(3, JULY, Chips(wide=WIDE, high=HIGH, vectors=vectors(2), valid=half, without=(80, 81, 82)))
    found.land(4, JULY + timedelta(days=31), Chips(wide=WIDE, high=HIGH, vectors=vectors(1), east=4))
    picture = tmp_path / "several.png"
    dates = "2020-05-18,2020-06-18,2020-07-18,2020-08-18"
    assert main(["change", str(folder_of(found, tmp_path / "d")), "--time", dates, "--picture", str(picture)]) == 0
    capsys.readouterr()
    with Image.open(picture) as image:
        pixels = np.asarray(image.convert("RGB")).astype(int)
    high, wide = pixels.shape[:2]
    assert (wide < 1_500, high > 900) == (True, True)
    for name, edge in {"top": pixels[:3], "foot": pixels[-3:], "left": pixels[:, :3], "right": pixels[:, -3:]}.items():
        assert (edge == 255).all(), f"something is cut at the {name}"


def test_a_bucket_gives_the_answer_that_the_folder_gives(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    told, tables = [], []
    with moto.mock_aws():
        client = boto3.client("s3")
        client.create_bucket(Bucket="embeddings")
        keys = {path: f"a/b/{path.relative_to(root).as_posix()}" for path in sorted(root.rglob("*")) if path.is_file()}
        for path, key in keys.items():
            client.upload_file(str(path), "embeddings", key)
        for name, place in (("folder", str(root)), ("bucket", "s3://embeddings/a/b")):
            out = tmp_path / f"{name}.parquet"
            assert main(["change", place, *ASKED, "--json", "--out", str(out)]) == 0
            told.append(json.loads(capsys.readouterr().out))
            tables.append(pq.read_table(out))
        [june] = [key for key in keys.values() if key.endswith(".parquet") and "/000000000002/" in key]
        client.delete_object(Bucket="embeddings", Key=june)
        assert main(["change", "s3://embeddings/a/b", *ASKED]) == 1
    assert [each.pop("root") for each in told] == [str(root), "s3://embeddings/a/b"]
    assert [each.pop("unindexed") for each in told] == [0, None], "nobody lists a bucket at every question"
    assert [Path(each.pop("out")).stem for each in told] == ["folder", "bucket"]
    assert told[0] == told[1]
    assert tables[0].equals(tables[1])
    said = capsys.readouterr()
    assert "WARNING: nothing was compared" in said.err
    assert f"could not be read, and is no part of the answer: {june.removeprefix('a/b/')}" in said.err


def test_where_nothing_is_compared_the_status_is_1(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["change", str(root), "--time", "2019-05-18,2020-06-18"]) == 1
    said = capsys.readouterr()
    assert "480  no-scene" in said.out or "500  no-scene" in said.out
    assert "says nothing of whether anything changed" in said.err
    assert "starter-v1.0-rgb: 2019-05-18 to 2020-06-18\n  0 pairs compared" in said.out, "nothing was centred"
    picture, out = tmp_path / "none.png", tmp_path / "none.parquet"
    asked = ["change", str(root), *ASKED, "--bbox", "-10,10,-9,11", "--picture", str(picture)]
    assert main([*asked, "--out", str(out), "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert (told["out"], "picture" in told, pq.read_metadata(out).num_rows) == (str(out), False, 0)
    out.unlink()
    assert main([*asked, "--out", str(out)]) == 1
    told = capsys.readouterr()
    assert told.out.endswith(f"\n0 rows in {out}\n")
    out.unlink()
    assert main(asked) == 1
    assert "no scene that was looked through meets the place and the dates" in capsys.readouterr().out
    assert not picture.exists()


def test_a_comparison_explains_itself_when_it_is_asked(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["change", str(root), *ASKED, "--explain"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "  scenes    2 meant; passed over: none" in lines
    assert "  read      2 files" in lines
    assert len([line for line in lines if ": chips that were compared, " in line]) == 2
    assert any(line.startswith("  together ") for line in lines)
    assert main(["change", str(root), "--from", "2020-06-18", "--to", "2020-07-18", "--explain", "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    explained = told["explain"]
    assert (explained["scenes_meant"], explained["scenes_passed_over"]) == (1, {"time": 1})
    [over] = explained["files_passed_over"]
    assert over["why"] == "time"
    [read] = explained["files_read"]
    assert read["file"] != over["file"]
    assert 0 < read["bytes"] < explained["bytes"] == told["bytes"]
    assert main(["change", str(root), *ASKED, "--json"]) == 0
    assert "explain" not in json.loads(capsys.readouterr().out)


def test_scene_files_without_an_index_are_compared_alike(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = []
    for name in ("indexed", "bare"):
        (tmp_path / name).mkdir()
        world = Alike(root=FolderRoot(tmp_path / name))
        for number in (1, 2):
            world.scene(number, place=1, indexed=name == "indexed")
        assert (tmp_path / name / "dataset").exists() == (name == "indexed")
        assert main(["change", str(tmp_path / name), "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        told.append({name: found[name] for name in ("compared", "not_compared", "most_changed", "uncalibrated")})
    assert told[0]["compared"] > 0
    assert told[0] == told[1]


def test_few_pairs_are_uncalibrated_and_drawn_by_distance(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ground = Ground()
    for number, when in ((1, MAY), (2, JUNE)):
        first = ground.land(number, when, Chips(wide=10, high=10, vectors=vectors(number)[:100]))
    measured = VectorStatistics.measure([vectors(1)], digest=first.digest, scenes=["a"])
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "manifest.json").write_text("{}", encoding="utf-8")
    dataset = folder_of(ground, tmp_path / "dataset")
    asked = ["change", str(dataset), *ASKED, "--model-folder", str(folder)]
    assert main(asked) == 2
    assert "has no statistics.json" in capsys.readouterr().err
    statistics = FolderStatistics(entries={first.token: measured})
    (folder / "statistics.json").write_text(statistics.model_dump_json(by_alias=True), encoding="utf-8")
    assert main([*asked, "--picture", str(tmp_path / "c.png")]) == 0
    told = capsys.readouterr().out
    assert "centred by card" in told
    assert "uncalibrated: of no kind the dataset has 200 pairs" in told
    assert (tmp_path / "c.png").stat().st_size > 10_000


def test_the_starters_vectors_are_centred_by_its_card_as_a_search_does(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Few chips, no codebook: without the card there were nothing to centre by."""
    token, card = next(iter(read_statistics((STARTER / STATISTICS_FILE).read_bytes(), source="it").entries.items()))
    random = np.random.default_rng(3)
    ground = Ground()
    for number, when in ((1, MAY), (2, JUNE)):
        near = np.array(card.mean, np.float32) + random.standard_normal((100, len(card.mean)), np.float32)
        ground.land(number, when, Chips(wide=10, high=10, vectors=near), token=token, digest=card.digest)
    root = folder_of(ground, tmp_path)
    assert main(["change", str(root), *ASKED, "--json", "--top", "100"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["centred_by"], told["compared"]) == ("card", 100)
    assert np.mean([each["distance"] for each in told["most_changed"]]) == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["--from", "2020-05-18"], "give both --from and --to"),
        ([*ASKED, "--time", "2020-05-18,2020-06-18"], "not both"),
        (["--time", "2020-05-18"], "two or more"),
        (["--from", "yesterday", "--to", "2020-06-18"], "yesterday"),
        (["--max-cloud", "20"], "is not from 0.0 to 1.0"),
        (["--bbox", "1,2,3"], "is no box"),
        (["--bbox=-54,-26,-55,-25"], "west and east the wrong way round"),
    ],
)
def test_what_is_mistyped_is_a_sentence(
    root: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], what: str
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["change", str(root), *arguments])
    assert stopped.value.code == 2
    assert what in capsys.readouterr().err


def test_nothing_is_overwritten(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for option in ("--out", "--picture"):
        there = tmp_path / "there"
        there.write_bytes(b"mine")
        assert main(["change", str(root), *ASKED, option, str(there)]) == 2
        assert f"{option} {there} is there already" in capsys.readouterr().err
        assert there.read_bytes() == b"mine"


def test_the_command_and_the_package_have_the_same_limits_and_reasons() -> None:
    assert (options.CLOUD_MOST, options.VALID_LEAST) == (pairing.CLOUD_MOST, taking_part.VALID_LEAST)
    assert set(_WHY) == {reason.value for reason in pairing.Reason}
    page = (Path(__file__).parents[2] / "docs" / "change.md").read_text(encoding="utf-8")
    for reason in pairing.Reason:
        assert f"| `{reason.value}` |" in page


def test_one_pair_and_one_cell_are_no_several(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ground = Ground()
    near = np.ones((2, DIMENSIONS), np.float32)
    for number, when, chips in ((1, MAY, 2), (2, JUNE, 1)):
        first = ground.land(number, when, Chips(wide=chips, high=1, vectors=near[:chips] * number))
    folder = tmp_path / "model"
    folder.mkdir()
    measured = VectorStatistics.measure([vectors(1)], digest=first.digest, scenes=["a"])
    statistics = FolderStatistics(entries={first.token: measured})
    (folder / "manifest.json").write_text("{}", encoding="utf-8")
    (folder / "statistics.json").write_text(statistics.model_dump_json(by_alias=True), encoding="utf-8")
    asked = ["change", str(folder_of(ground, tmp_path / "dataset")), "--model-folder", str(folder)]
    assert main([*asked, *ASKED, "--out", str(tmp_path / "one.parquet")]) == 0
    told = capsys.readouterr().out
    assert "  1 pair compared, uncalibrated" in told
    assert "  1 cell not compared, which" in told
    assert told.endswith(f"\n2 rows in {tmp_path / 'one.parquet'}\n")
    assert main(asked) == 0
    told = capsys.readouterr().out
    assert "  1 chip not compared, which" in told
    assert "2020-05-18  2020-06-18" in told, "of its own dates each cell's are told"
