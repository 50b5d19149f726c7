"""``clayline search --s3-vectors``: a vector bucket in memory, in place of one that moto cannot ask."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.api.alike import DIGEST, TOKEN, Alike
from tests.likeness.vector_bucket import MemoryVectors
from tests.table.rows import DIMENSIONS

from clayline.api.opening import open_dataset
from clayline.dataset.folder import FolderRoot
from clayline.likeness.centring import Centre
from clayline.likeness.vector_index import VectorModel
from clayline.likeness.vector_records import puts
from clayline.table.scene_header import read_scene_header
from clayline.table.vector_columns import read_chips
from clayline_cli.program import main

CENTRE = Centre(values=np.full(DIMENSIONS, 2.5, np.float32), by="card")


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, MemoryVectors]:
    root = FolderRoot(tmp_path)
    row = Alike(root=root).scene(1)
    stored = root.head(row.href)
    parts = list(read_chips(root, stored, read_scene_header(root, stored)))
    model = VectorModel.by(CENTRE, token=TOKEN, digest=DIGEST)
    root.put_new(f"vectors/my-vectors/{TOKEN}/model_{'0' * 12}.json", model.model_dump_json().encode())
    bucket = MemoryVectors()
    for part in parts:
        for put in puts(part, model, scene=row.scene, instrument=row.instrument).requests:
            bucket.put(put)

    def asked(_: Any, *, bucket: str) -> MemoryVectors:
        assert bucket == "my-vectors"
        return vectors

    vectors = bucket
    monkeypatch.setattr("clayline_cli.searching.bucket.S3Vectors", asked)
    monkeypatch.setattr("clayline_cli.searching.bucket.vectors_client", lambda **_: None)
    return str(tmp_path), bucket


def _example(place: str) -> str:
    table = open_dataset(place).read()
    valid = np.flatnonzero(np.asarray(table.column("valid_fraction")) == 1)
    return str(table.column("uci")[int(valid[0])].as_py())


def test_it_ranks_as_the_files_do(world: tuple[str, MemoryVectors], capsys: pytest.CaptureFixture[str]) -> None:
    place, _ = world
    example = _example(place)
    call = ["search", place, "--like", example, "--count", "7", "--max-cloud", "0.5", "--json"]
    assert main([*call, "--s3-vectors", "my-vectors"]) == 0
    told = json.loads(capsys.readouterr().out)
    table = open_dataset(place).read()
    unit = CENTRE.unit(np.array(table.column("embeddings").to_pylist(), np.float32))
    names = table.column("uci").to_pylist()
    scores = unit @ unit[names.index(example)]
    valid = np.asarray(table.column("valid_fraction")).astype(np.float64) >= np.float32(0.9)
    cloud = np.array([np.nan if each is None else each for each in table.column("cloud_fraction").to_pylist()])
    taken = [at for at in np.argsort(-scores).tolist() if valid[at] and cloud[at] <= 0.5 and names[at] != example][:7]
    assert len(taken) == 7
    assert [each["uci"] for each in told["chips"]] == [names[at] for at in taken]
    assert [each["score"] for each in told["chips"]] == pytest.approx(scores[taken].tolist(), abs=1e-5)
    assert told["centred_by"] == "card"


def test_people_get_a_table(world: tuple[str, MemoryVectors], capsys: pytest.CaptureFixture[str]) -> None:
    place, _ = world
    assert main(["search", place, "--like", _example(place), "--count", "2", "--s3-vectors", "my-vectors"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert lines[-2] == f"1 index asked, approximate; {TOKEN}, centred by card"
    assert "does not say what they left out" in lines[-1]
    assert '{"valid": {"$gte": 0.9}}' in lines[-1]


def test_what_the_filters_left_out_is_said_to_be_unknown(
    world: tuple[str, MemoryVectors], capsys: pytest.CaptureFixture[str]
) -> None:
    place, _ = world
    call = ["search", place, "--like", _example(place), "--s3-vectors", "my-vectors"]
    assert main([*call, "--max-cloud", "0.5", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["chips"]
    assert (told["left_out"], told["looked_through"], told["nothing"]) == (None, None, None)
    assert {"cloud": {"$lte": 0.5}} in told["filters"]["$and"]
    nowhere = ["--time", "1999-01-01/1999-02-01"]
    assert main([*call, *nowhere]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "no chip came back"
    assert main([*call, *nowhere, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["chips"], told["left_out"]) == ([], None)
    assert "does not say what they left out" in told["nothing"]


def test_a_cell_and_a_place_are_examples_too(
    world: tuple[str, MemoryVectors], capsys: pytest.CaptureFixture[str]
) -> None:
    place, _ = world
    table = open_dataset(place).read(columns=["uci", "cell", "bbox"])
    at = table.column("uci").to_pylist().index(_example(place))
    box = table.column("bbox")[at].as_py()
    middle = f"{(box['xmin'] + box['xmax']) / 2},{(box['ymin'] + box['ymax']) / 2}"
    told = []
    for example in (_example(place), table.column("cell")[at].as_py(), middle):
        assert main(["search", place, "--like", example, "--count", "5", "--s3-vectors", "my-vectors", "--json"]) == 0
        told.append([each["uci"] for each in json.loads(capsys.readouterr().out)["chips"]])
    assert len(told[0]) == 5
    assert told == [told[0]] * 3


@pytest.mark.parametrize(
    ("named", "found"), [([], {"a", "b"}), (["--instrument", "s2-msi-l2a"], {"a", "b"}),
                         (["--instrument", "s2b-msi-l2a"], {"b"}), (["--across-instruments"], {"a", "b", "8"})],
)  # fmt: skip
def test_the_satellites_of_a_product_are_one_instrument(
    world: tuple[str, MemoryVectors], capsys: pytest.CaptureFixture[str], named: list[str], found: set[str]
) -> None:
    place, bucket = world
    flown = ("s2a-msi-l2a", "s2b-msi-l2a", "landsat8-oli-l1")
    [records] = bucket.there.values()
    for number, record in enumerate(records.values()):
        record.metadata["instrument"] = flown[number % 3]
    twin = Alike(root=FolderRoot(Path(place)))
    twin.scene(2, instrument="s2a-msi-l2a")
    like = next(name for name in twin.chips if twin.chips[name]["valid"] == 1)
    call = ["search", place, "--like", like, "--s3-vectors", "my-vectors", "--count", "30", "--json", *named]
    assert main(call) == 0
    told = json.loads(capsys.readouterr().out)["chips"]
    assert {each["instrument"].split("-")[0][-1] for each in told} == found


def test_instruments_of_two_kinds_are_refused_as_by_the_files(
    world: tuple[str, MemoryVectors], capsys: pytest.CaptureFixture[str]
) -> None:
    place, _ = world
    call = ["search", place, "--like", _example(place), "--s3-vectors", "my-vectors", "--instrument", "s2b-msi-l2a"]
    assert main(call) == 2
    assert "several instruments (landsat8-oli-c2l1, s2-msi-l2a)" in capsys.readouterr().err


def test_where_nothing_was_sent_it_says_what_to_do(
    world: tuple[str, MemoryVectors], capsys: pytest.CaptureFixture[str]
) -> None:
    place, _ = world
    assert main(["search", place, "--like", _example(place), "--s3-vectors", "another"]) == 2
    assert f"`clayline vectors {place} --vector-bucket another`" in capsys.readouterr().err
