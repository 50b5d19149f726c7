"""``clayline search``: a folder's dataset, one in S3, scene files; what comes out, and what is refused in a line."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import geopandas
import matplotlib.pyplot as plt
import moto
import numpy as np
import pyarrow.parquet as pq
import pytest
import rasterio
from rasterio.warp import transform
from tests.api.alike import DIGEST, TOKEN, Alike

from clayline.api import open_dataset
from clayline.aws.dataset_root import S3Root
from clayline.dataset.folder import FolderRoot
from clayline.likeness.imagery import SceneImagery
from clayline.likeness.letters import letter_size
from clayline.likeness.sheet import SIDE, Shown, sheet
from clayline_cli.asking import imagery
from clayline_cli.asking.imagery import tell_outside
from clayline_cli.console import Console
from clayline_cli.errors import CommandError
from clayline_cli.program import main
from clayline_cli.searching import pictures
from clayline_cli.searching.pictures import Places
from clayline_local.one_chip import OneChip, embed_one


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Alike:
    found = Alike(root=FolderRoot(tmp_path_factory.mktemp("dataset")))
    found.scene(1)
    return found


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with moto.mock_aws():
        client = boto3.client("s3")
        client.create_bucket(Bucket="embeddings")
        yield client


def like(world: Alike) -> str:
    return next(name for name in sorted(world.chips) if world.chips[name]["valid"] == 1)


def test_people_get_a_table_and_what_it_rests_on(world: Alike, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["search", world.root.uri, "--like", like(world), "--count", "3"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[:4]] == ["score", "1", "2", "3"]
    assert lines[4].startswith("600 chips looked through; left out: 1 given as example, ")
    assert lines[4].endswith(" less valid than asked (0.9)")
    assert lines[5] == "starter-v1.0-rgb, centred by the mean of what was looked through"


def test_json_geojson_and_geoparquet_say_the_same(
    world: Alike, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["search", world.root.uri, "--like", like(world), "--count", "5", "--json"]
    told = []
    for name in ("a.geojson", "a.parquet"):
        assert main([*asked, "--out", str(tmp_path / name)]) == 0
        told.append(json.loads(capsys.readouterr().out))
    expected = [(chip["uci"], chip["score"]) for chip in told[0]["chips"]]
    assert [chip["rank"] for chip in told[0]["chips"]] == [1, 2, 3, 4, 5]
    collection = json.loads((tmp_path / "a.geojson").read_text())
    assert [(each["id"], each["properties"]["score"]) for each in collection["features"]] == expected
    assert collection["features"][0]["geometry"]["type"] == "Polygon"
    assert collection["clayline"]["left_out"] == told[1]["left_out"]
    frame = geopandas.read_parquet(tmp_path / "a.parquet")
    assert list(zip(frame["uci"], frame["score"], strict=True)) == expected
    assert frame.geometry.is_valid.all()
    assert main([*asked, "--out", str(tmp_path / "a.parquet")]) == 2
    assert "nothing is overwritten" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "why"),
    [
        (["--bbox", "10,50,11,51"], "no chip meets what is asked: 1 outside of the place"),
        (["--time", "2030-01-01/.."], "no chip meets what is asked: 1 of another time"),
        (["--instrument", "s2a-msi-l2a", "--across-instruments"], "1 of another instrument"),
        (["--max-cloud", "0"], "none takes part: "),
    ],
)
def test_that_nothing_is_there_is_an_answer_with_its_reason(
    world: Alike, more: list[str], why: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["search", world.root.uri, "--like", like(world), *more]
    for name in ("a.geojson", "a.parquet", "a.png"):
        assert main([*asked, "--out", str(tmp_path / name)]) == 0
        told = capsys.readouterr().out.splitlines()
        assert told[0] == "no chip takes part"
        assert why in told[1]
    assert json.loads((tmp_path / "a.geojson").read_text())["features"] == []
    frame = geopandas.read_parquet(tmp_path / "a.parquet")
    assert (len(frame), frame.crs) == (0, "OGC:CRS84")
    assert plt.imread(tmp_path / "a.png").shape[2] == 3
    assert main([*asked, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["chips"], found["model"]) == ([], "starter-v1.0-rgb")
    assert why in found["nothing"]


def test_a_chip_at_the_very_limit_is_not_told_to_be_outside(world: Alike, capsys: pytest.CaptureFixture[str]) -> None:
    """0.9 as a file has it is less than 0.9; and of one's own imagery it was said when it was embedded."""
    [half], _ = open_dataset(world.root.uri).examples(
        [next(name for name in sorted(world.chips) if world.chips[name]["valid"] == 0.5)]
    )
    assert half.facts
    limit = replace(half, facts=replace(half.facts, valid=float(np.float32(0.9))))
    for examples, told in (([half], 1), ([limit], 0), ([replace(half, scene=None)], 0)):
        tell_outside(examples, Console(quiet=False), valid_least=0.9)
        assert capsys.readouterr().err.count("padding") == told


def test_an_example_that_is_mostly_outside_of_its_scene_is_told(
    world: Alike, capsys: pytest.CaptureFixture[str]
) -> None:
    half = next(name for name in sorted(world.chips) if world.chips[name]["valid"] == 0.5)
    for name, warned in ((half, f"WARNING: example {half} is 50% valid"), (like(world), "")):
        assert main(["search", world.root.uri, "--like", name]) == 0
        err = capsys.readouterr().err
        assert warned in err
        assert ("padding" in err) == bool(warned)


def test_an_example_that_is_given_as_both_is_refused(world: Alike, capsys: pytest.CaptureFixture[str]) -> None:
    example = like(world)
    cell = world.chips[example]["cell"]
    asked = ["search", world.root.uri, "--like", example, "--unlike"]
    with pytest.raises(SystemExit, match="2"):  # told by the words alone, before anything is embedded
        main([*asked, example])
    told = [capsys.readouterr().err]
    assert main([*asked, cell]) == 2
    told.append(capsys.readouterr().err)
    for each in told:
        assert f"{example} is given as like it and as not" in each
        assert "Leave it out of one of the two" in each


def test_an_answer_explains_itself_when_it_is_asked(world: Alike, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["search", world.root.uri, "--like", like(world), "--explain"]
    assert main(asked) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "  scenes    1 meant; passed over: none" in lines
    [read] = [line for line in lines if line.startswith("    starter-v1.0-rgb/")]
    assert ".parquet: every chip that takes part, " in read
    assert "  read      1 file" in lines
    assert any(line.startswith("  together ") for line in lines)
    assert main([*asked, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["explain"]
    assert (told["scenes_meant"], told["scenes_passed_over"], told["scenes"]) == (1, {}, 1)
    assert [(each["stage"], each["bytes"] > 0) for each in told["files_read"]] == [("exact", True)]
    assert told["measured"] is True
    assert main(["search", world.root.uri, "--like", like(world), "--json"]) == 0
    assert "explain" not in json.loads(capsys.readouterr().out)


def test_a_place_in_the_west_is_no_option(world: Alike, capsys: pytest.CaptureFixture[str]) -> None:
    chip = world.chips[like(world)]
    place = f"{chip['lon']},{chip['lat']}"
    assert main(["search", world.root.uri, "--like", place, "--unlike", "-53.5,-25.15", "--min-valid", "0"]) == 0
    told = capsys.readouterr().out
    assert "2 given as examples" in told
    head = told.splitlines()[:3]
    assert head[0] == f"like   {like(world)} for {place}", "the chip that stands for the place"
    assert head[1].startswith("unlike ")
    assert head[1].endswith(" for -53.5,-25.15")
    assert head[2].split()[0] == "score"


def test_a_bucket_is_searched_with_and_without_an_index(bucket: Any, capsys: pytest.CaptureFixture[str]) -> None:
    told = []
    for prefix, indexed in (("a/b", True), ("c", False)):
        world = Alike(root=S3Root(bucket, bucket="embeddings", prefix=prefix))
        row = world.scene(1, indexed=indexed)
        for place in (f"s3://embeddings/{prefix}", f"s3://embeddings/{prefix}/{row.href}"):
            assert main(["search", place, "--like", like(world), "--json"]) == 0
            told.append(json.loads(capsys.readouterr().out)["chips"])
    assert len(told[0]) == 10
    assert told == [told[0]] * 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--count", "3"], "say what to look for"),
        (["--unlike", "-54,-25"], "counter-examples alone cannot be asked"),
        (["--like", "-54,-25", "-q", "--as", "geojson"], "\n`clayline search --help` explains every option."),
        (["--like", "nonsense"], "no identifier, cell"),
        (["--like", "181,0"], "no such place"),
        (["--like", "-54,-25", "--as", "geojson"], "needs --out"),
        (["--like", "-54,-25", "--out", "a.txt"], "say --as"),
        (["--like", "-54,-25", "--count", "0"], "not from 1"),
        (["--like", "-54,-25", "--min-valid", "2"], "not from 0"),
        (["--like", "-54,-25", "--bbox", "1,2"], "no box"),
        (["--like", "-54,-25", "--time", "June"], "time 'June'"),
        (["--like", "-54,-25", "--model-folder", "nowhere"], "no model folder"),
    ],
)
def test_a_mistake_is_told_at_once(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["search", str(tmp_path), *arguments])
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("places", "arguments", "message"),
    [
        (["{}"], ["--like", "10,50"], "no scene"),
        (
            ["{}"],
            ["--like", "21JYM59377473-s64g30000_20200518-20200518_a-b_c-v1-d"],
            "has no scene of the model c-v1-d",
        ),
        (["{}", "{}"], ["--like", "10,50"], "not all are scene files"),
        (["{}/none.parquet"], ["--like", "10,50"], "there is no such file"),
        (["{}/no.parquet"], ["--like", "10,50"], "clayline: {}/no.parquet is no whole Parquet file. Embed"),
        (["{}/broken.parquet"], ["--like", "-53.5,-25.15"], "deserialize thrift"),
        (["{}/was-read.parquet"], ["--like", "10,50"], "(it was read out of a dataset (`clayline read`, `sample`"),
        (["{}/other.parquet"], ["--like", "10,50"], "(its header lacks `clayline`)"),
        (["{}/empty"], ["--like", "10,50"], "no embeddings"),
        (["gs://bucket"], ["--like", "10,50"], "no place of a dataset"),
        (["{}"], ["--like", "-53.5,-25.15", "--out", "{}/none/a.geojson"], "there is no folder"),
        (["{}"], ["--like", "{}/none.tif@-53.5,-25.15"], "none.tif"),
    ],
)
def test_what_cannot_be_answered_is_told_in_a_line(
    world: Alike, places: list[str], arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    root = Path(world.root.uri)
    (root / "empty").mkdir(exist_ok=True)
    (root / "no.parquet").write_bytes(b"PAR1 nothing")
    own = next(root.glob("starter*/*/*.parquet"))
    body = bytearray(own.read_bytes())
    end = len(body) - 8 - int.from_bytes(body[-8:-4], "little")
    for at in range(4, end, 64):
        body[at : at + 20] = b"\x0f" * 20  # headers of pages that are none: Thrift tells that over several lines
    (root / "broken.parquet").write_bytes(body)
    table = pq.read_table(own)
    said = {"clayline": json.dumps({"format": "clayline-read/1"})}
    pq.write_table(table.replace_schema_metadata(said), root / "was-read.parquet")
    pq.write_table(table.replace_schema_metadata({}), root / "other.parquet")
    assert main(["search", "--quiet", *(each.format(root) for each in (*places, *arguments))]) == 2
    told = capsys.readouterr().err.strip()
    assert message.format(root) in told
    assert "\n" not in told
    assert "Traceback" not in told


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (["--bbox", "1,2,3,4"], "in what was given no chip meets what is asked"),
        (["--like", "10,50"], "example 10,50: what was given has no scene there"),
    ],
)
def test_messages_of_named_files_name_no_root_of_all(
    world: Alike, capsys: pytest.CaptureFixture[str], asked: list[str], told: str
) -> None:
    own = next(path for path in sorted(Path(world.root.uri).glob("*/*/*.parquet")) if "dataset" not in path.parts)
    main(["search", str(own), "--like", like(world), *asked])
    said = capsys.readouterr()
    assert told in said.out + said.err


def test_named_files_of_another_model_are_told(
    world: Alike, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever names files means all of them."""
    other = tmp_path / Alike(root=FolderRoot(tmp_path)).scene(2, rows=9, token="other-v1.0-rgb").href
    own = next(path for path in sorted(Path(world.root.uri).glob("*/*/*.parquet")) if "dataset" not in path.parts)
    assert main(["search", str(own), str(other), "--like", like(world), "--count", "2"]) == 0
    told = capsys.readouterr().err
    assert f"1 file of another model, not looked through: {other}" in told
    assert own.name not in told


def test_a_sheet_shows_every_chip_or_says_why_not(
    world: Alike, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "alike.png"
    assert main(["search", world.root.uri, "--like", like(world), "--count", "4", "--out", str(out)]) == 0
    told = capsys.readouterr()
    assert "4 chips in" in told.out
    assert "5 of 5 chips not shown" in told.err
    assert "its provenance does not say where its imagery lies" in told.err
    picture = plt.imread(out)
    assert picture.shape[2] == 3


def test_a_sheet_shows_an_example_of_ones_own_imagery_as_its_file_has_it(
    world: Alike, tmp_path: Path, sample: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is embedded is the bundled scene, by the bundled model; the world's vectors are made up, so the chip gets
    one of those.
    """
    chip = like(world)

    def embedded(*given: Any, **said: Any) -> OneChip:
        real = embed_one(*given, **said)
        entry = real.entry.model_copy(update={"token": TOKEN, "digest": DIGEST})
        return replace(real, vector=world.vectors[chip], entry=entry, instrument="landsat8-oli-c2l1")

    monkeypatch.setattr(imagery, "embed_one", embedded)
    drawn: list[Shown] = []

    def keep(chips: Sequence[Shown], *, title: Sequence[str]) -> Any:
        drawn.extend(chips)
        return sheet(chips, title=title)

    monkeypatch.setattr(pictures, "sheet", keep)
    other = next(name for name in sorted(world.chips) if name > chip)
    [item] = sample.glob("*.json")
    asked = ["search", world.root.uri, "--like", f"{item}@-54.5383,-25.2987", "--unlike", other, "--count", "2"]
    assert main([*asked, "--out", str(tmp_path / "own.png")]) == 0
    own = drawn[0]
    place = own.lines[2]
    assert own.lines == ("like", "2020-05-18", place, item.name)
    assert own.pixels is not None, own.why
    with rasterio.open(sample / "B4.tif") as red:
        xs, ys = transform("EPSG:4326", red.crs, [-54.5383], [-25.2987])
        row, _ = red.index(xs[0], ys[0])
        shown = own.pixels[0, ::2, ::2]  # a chip of 64 pixels at 128
        every = np.lib.stride_tricks.sliding_window_view(red.read(1)[row - 64 : row + 64], (64, 64))
        assert (every == shown).all(axis=(2, 3)).any(), "no chip of the file around that place"
    assert "3 of 4 chips not shown" in capsys.readouterr().err, "the others' imagery is made up"


def test_a_caption_is_a_line_for_each_thing_that_it_says(
    world: Alike, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rank, score and cloud together were wider than a chip from the tenth on."""
    drawn: list[Shown] = []

    def keep(chips: Sequence[Shown], *, title: Sequence[str]) -> Any:
        drawn.extend(chips)
        return sheet(chips, title=title)

    monkeypatch.setattr(pictures, "sheet", keep)
    out = tmp_path / "alike.png"
    assert main(["search", world.root.uri, "--like", like(world), "--count", "12", "--out", str(out)]) == 0
    letters = (SIDE + 6) // letter_size()[1]
    found = [each for each in drawn if each.kind == "found"]
    assert any(line.startswith("cloud ") for each in found for line in each.lines)
    for rank, each in enumerate(found, start=1):
        assert each.lines[0].split()[0] == str(rank)
        assert all(len(line) <= letters for line in (*each.lines[:2], *each.lines[3:])), each.lines


def test_a_sheet_counts_in_words_as_people_do(world: Alike, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    titles: list[str] = []

    def keep(chips: Sequence[Shown], *, title: Sequence[str]) -> Any:
        titles.append(title[0])
        return sheet(chips, title=title)

    monkeypatch.setattr(pictures, "sheet", keep)
    one, other = [name for name in sorted(world.chips) if world.chips[name]["valid"] == 1][:2]
    for name, more in (("a.png", ["--count", "1"]), ("b.png", ["--count", "2", "--like", other])):
        assert main(["search", world.root.uri, "--like", one, *more, "--out", str(tmp_path / name)]) == 0
    assert titles == ["1 chip like 1 example", "2 chips like 2 examples"]


@pytest.mark.parametrize(
    ("places", "uri", "message"),
    [
        (Places(local=False, buckets=frozenset()), "file:///etc/passwd", "a file of another machine"),
        (Places(local=True, buckets=frozenset()), "file:///none/there.tif", "not in /none any more"),
        (Places(local=True, buckets=frozenset()), "s3://scenes/a.tif", "--allow-bucket scenes"),
        (Places(local=True, buckets=frozenset()), "https://example.com/a.tif", "neither in S3 nor a file"),
        (Places(local=True, buckets=frozenset()), "/vsicurl/x", "neither in S3 nor a file"),
    ],
)
def test_imagery_is_read_only_where_that_is_allowed(places: Places, uri: str, message: str) -> None:
    with pytest.raises(CommandError, match=message):
        places.locate(uri)


def test_an_object_of_an_allowed_bucket_is_found(bucket: Any) -> None:
    bucket.put_object(Bucket="embeddings", Key="a.tif", Body=b"12345")
    places = Places(local=False, buckets=frozenset({"embeddings"}), client=bucket)
    found = places.locate("s3://embeddings/a.tif")
    assert (found.path, found.size) == ("/vsis3/embeddings/a.tif", 5)
    with pytest.raises(CommandError, match="cannot be read"):
        places.locate("s3://embeddings/b.tif")


def _imagery(uri: str, etag: str) -> SceneImagery:
    assets = [{"band": "red", "uri": uri, "file_band": 1, "nodata": [0], "etag": etag}]
    grid = {
        "transform": [10, 0, 0, 0, -10, 0], "crs": "EPSG:32632", "height": 8, "width": 8, "chip_size": 8, "stride": 8,
        "start": [0, 0], "cols": 1, "edge": "outside",
    }  # fmt: skip
    return SceneImagery.of({"grid": grid, "source": {"assets": assets, "source_url": uri}}, name="scene")


def test_imagery_that_was_replaced_is_not_shown_as_what_was_embedded(bucket: Any, tmp_path: Path) -> None:
    bucket.put_object(Bucket="embeddings", Key="a.tif", Body=b"12345")
    (tmp_path / "a.tif").write_bytes(b"12345")
    places = Places(local=True, buckets=frozenset({"embeddings"}), client=bucket)
    etag = hashlib.md5(b"12345", usedforsecurity=False).hexdigest()
    uris = ("s3://embeddings/a.tif", (tmp_path / "a.tif").as_uri())
    for uri in uris:
        places.check(_imagery(uri, etag))
    bucket.put_object(Bucket="embeddings", Key="a.tif", Body=b"54321")
    (tmp_path / "a.tif").write_bytes(b"54321")
    for uri in uris:
        with pytest.raises(CommandError, match=r"a\.tif was replaced since it was embedded"):
            places.check(_imagery(uri, etag))
        places.check(_imagery(uri, ""))  # nobody noted what it was


def test_a_sheet_leaves_out_imagery_that_was_replaced_and_says_so(
    world: Alike, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.tif").write_bytes(b"another")
    replaced = _imagery((tmp_path / "a.tif").as_uri(), "0" * 32)
    monkeypatch.setattr(SceneImagery, "of", lambda *_, **__: replaced)
    out = tmp_path / "alike.png"
    assert main(["search", world.root.uri, "--like", like(world), "--count", "4", "--out", str(out)]) == 0
    assert "5 of 5 chips not shown: a.tif was replaced since it was embedded" in capsys.readouterr().err
