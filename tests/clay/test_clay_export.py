"""The exporter's folders.

The same bytes each time, accepted by their readers, never half there, never another under the same token.
"""

import filecmp
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

from clay import entry as clay_entry
from clay.__main__ import main
from clay.entry import Request
from clay.export import add, export
from clay.mask import Mask
from clay.sensor import find_sensor
from clay.weights import seeded_source
from clayline.errors import ModelError
from clayline.model.manifest import Manifest, read_manifest
from publish.folder import read_folder
from server.folders import load_folders

ROOT = Path(__file__).resolve().parents[2]
NAME = "untrained-tiny-v1.5"
S2 = Request(sensor=find_sensor("sentinel-2-l2a"), bands=("red", "green", "blue"), chip_size=64)
NAIP = Request(sensor=find_sensor("naip"), chip_size=64)


def exported(out: Path, *requests: Request, seed: int = 0) -> Path:
    loss = any(request.mask for request in requests)
    return export(seeded_source("tiny", seed, loss=loss), requests, out).folder


def manifest_of(folder: Path) -> Manifest:
    return read_manifest((folder / "manifest.json").read_bytes(), source=str(folder))


def names_in(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two sensors. Not to be changed."""
    return exported(tmp_path_factory.mktemp("both"), S2, NAIP)


@pytest.fixture
def changeable(both: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return shutil.copytree(both, tmp_path / both.name)


@pytest.fixture(scope="module")
def with_loss(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a loss. Not to be changed."""
    return exported(tmp_path_factory.mktemp("loss"), Request(sensor=find_sensor("linz"), chip_size=64, mask=Mask()))


def test_the_same_export_gives_the_same_bytes(both: Path, tmp_path: Path) -> None:
    again = exported(tmp_path, S2, NAIP)
    names = names_in(both)
    assert names_in(again) == names
    assert filecmp.cmpfiles(both, again, names, shallow=False) == (names, [], [])


def test_the_manifest_says_what_the_graphs_were_made_for(both: Path) -> None:
    manifest = manifest_of(both)
    assert manifest.folder == both.name == NAME
    assert manifest.untrained
    assert manifest.producer is not None
    assert {"clayline-exporter", "numpy", "onnx", "onnxruntime"} == set(manifest.producer)
    entry = manifest.entry(f"{NAME}-s2-l2a-c64-rgb")
    assert (entry.sensor, entry.bands, entry.dtype, entry.gsd, entry.chip_size) == (
        "sentinel-2-l2a",
        S2.bands,
        "uint16",
        10.0,
        64,
    )
    assert entry.wavelengths == {"red": 0.665, "green": 0.56, "blue": 0.493}
    assert entry.normalisation == {"red": (1552.0, 1888.0), "green": (1355.0, 1757.0), "blue": (1105.0, 1809.0)}
    said = entry.options.model_dump(exclude_unset=True)
    assert said == {"precision": "fp32", "coordinate_order": "lonlat", "hour": "noon"}
    assert entry.inputs == ("pixels", "time", "latlon")
    assert set(entry.files) == {entry.graph, "trunk.onnx", "trunk.weights"}
    assert set(manifest.files) == {*entry.files, f"{NAME}-naip-c64.onnx", "hyper.onnx"}


def test_the_card_says_first_that_the_weights_are_random(both: Path) -> None:
    assert (both / "card.md").read_text().splitlines()[0].startswith("**RANDOM WEIGHTS")


def test_the_server_and_the_publisher_accept_the_folder(both: Path, with_loss: Path, tmp_path: Path) -> None:
    for folder in (both, with_loss):
        shutil.copytree(folder, tmp_path / folder.name)
        assert read_folder(folder).manifest == manifest_of(folder)
    loaded = load_folders(tmp_path, threads=1)
    found = {}
    for each in loaded.all():
        feed = {"pixels": np.full((2, len(each.entry.bands), 64, 64), 200, each.entry.dtype)}
        feed |= {name: np.zeros((2, 4), np.float32) for name in ("time", "latlon")}
        found[each.entry.token] = [result.shape for result in each.chain.run(feed)]
    assert found == {
        f"{NAME}-s2-l2a-c64-rgb": [(2, 192)],
        f"{NAME}-naip-c64": [(2, 192)],
        "untrained-tiny-loss-v1.5-linz-c64": [(2, 192), (2,)],
    }


def test_the_graphs_pass_the_checker(with_loss: Path) -> None:
    files = sorted(with_loss.glob("*.onnx"))
    assert len(files) == 4
    for file in files:
        onnx.checker.check_model(
            str(file), full_check=file.name != "trunk.onnx"
        )  # no shapes are known of com.microsoft's operators


def test_an_export_without_a_trial_needs_neither_rasters_nor_torch() -> None:
    """Benchmarks make folders where there is little more than ONNX Runtime."""
    script = "import sys; sys.modules.update(rasterio=None, torch=None); import clay.export"
    subprocess.run([sys.executable, "-c", script], check=True, cwd=ROOT, env={"PYTHONPATH": "model:layers/clayline"})


def test_an_export_that_is_there_already_changes_nothing(changeable: Path) -> None:
    before = {file.name: file.stat().st_mtime_ns for file in changeable.iterdir()}
    outcome = export(seeded_source("tiny", 0, loss=False), [NAIP], changeable.parent)
    assert (outcome.added, outcome.present) == ((), (f"{NAME}-naip-c64",))
    assert {file.name: file.stat().st_mtime_ns for file in changeable.iterdir()} == before
    assert names_in(changeable.parent) == [NAME]


def test_other_weights_get_no_place_in_a_folder(changeable: Path) -> None:
    before = contents(changeable)
    with pytest.raises(ModelError, match=r"weights of clay-v1.5-tiny, seed 0; these are of clay-v1.5-tiny, seed 1"):
        export(seeded_source("tiny", 1, loss=False), [NAIP], changeable.parent, name="untrained-tiny")
    assert contents(changeable) == before
    assert names_in(changeable.parent) == [NAME]


def test_a_token_keeps_its_digest(changeable: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = contents(changeable)
    monkeypatch.setattr(clay_entry, "PREPROCESSING", "2")
    for attempt in (lambda: exported(changeable.parent, NAIP), lambda: add(changeable, [NAIP])):
        with pytest.raises(ModelError, match=f"{NAME}-naip-c64 has another digest"):
            attempt()
    assert contents(changeable) == before


def test_another_trunk_is_refused(changeable: Path) -> None:
    content = json.loads((changeable / "manifest.json").read_text())
    (naip,) = (entry for entry in content["entries"] if "naip" in entry["token"])
    content["entries"] = [naip]
    content["files"]["hyper.onnx"] = "sha256:" + "0" * 64
    (changeable / "manifest.json").write_text(json.dumps(content))
    with pytest.raises(ModelError, match=r"is there already, with another hyper\.onnx"):
        exported(changeable.parent, S2)
    with pytest.raises(ModelError, match=r"hyper\.onnx is not what its manifest says"):
        add(changeable, [S2])


@pytest.mark.parametrize("way", ["add", "export"])
def test_what_is_added_later_is_as_if_exported_at_once(both: Path, tmp_path: Path, way: str) -> None:
    folder = exported(tmp_path, S2)
    first = manifest_of(folder).entries[0]
    outcome = add(folder, [NAIP]) if way == "add" else export(seeded_source("tiny", 0, loss=False), [NAIP], tmp_path)
    assert outcome.added == (f"{NAME}-naip-c64",)
    assert manifest_of(folder).entries[0] == first
    assert contents(folder) == contents(both)
    assert names_in(tmp_path) == [NAME]


def test_an_addition_that_was_killed_before_its_last_step_can_be_made_again(both: Path, tmp_path: Path) -> None:
    folder = exported(tmp_path, S2)
    (folder / f"{NAME}-naip-c64.onnx").write_bytes(b"of an earlier exporter")
    add(folder, [NAIP])
    assert contents(folder) == contents(both)


def test_a_folder_with_a_loss_gives_what_is_added_one(with_loss: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(with_loss, tmp_path / with_loss.name)
    lines: list[str] = []
    add(folder, [Request(sensor=find_sensor("naip"), chip_size=64, mask=Mask(ratio=0.5))], progress=lines.append)
    entry = manifest_of(folder).entries[-1]
    assert (entry.token, entry.loss_metric) == ("untrained-tiny-loss-v1.5-naip-c64-m5", "masked-l1-m0.5-k1-s0")
    assert entry.tail in entry.files
    assert len(lines) == 1, "one chip was to be run"
    with pytest.raises(ModelError, match="have a loss: ask for the same"):
        add(folder, [S2])


def test_a_place_that_is_taken_otherwise_stays(tmp_path: Path) -> None:
    (tmp_path / NAME).mkdir()
    (tmp_path / NAME / "diary.txt").write_text("mine")
    with pytest.raises(ModelError, match=r"exists without a readable manifest\.json"):
        exported(tmp_path, NAIP)
    assert names_in(tmp_path / NAME) == ["diary.txt"]
    with pytest.raises(ModelError, match="exists without a readable"):
        add(tmp_path / NAME, [NAIP])
    with pytest.raises(ModelError, match="there is no folder"):
        add(tmp_path / "nothing-v1.5", [NAIP])
    assert names_in(tmp_path) == [NAME]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--sensor", "naip", "--name", "a-name-that-is-rather-too-long"],
            "the name a-name-that-is-rather-too-long-untrained must be",
        ),
        (
            ["--sensor", "naip", "--name", "a-rather-long-untrained-one", "--version", "1.2.3.4.5.6.7.8", "--gsd", "2"],
            "a shorter --name",
        ),
        (["--sensor", "naip", "--name", "Clay"], "the name Clay-untrained must be lower-case"),
        (["--sensor", "naip", "--version", "one"], "the version one must be numbers"),
        (["--sensor", "naip", "--chip", "100"], "a multiple of 8"),
        (["--sensor", "naip", "--bands", "red,infrared"], "naip has no band infrared"),
        (["--sensor", "naip", "--bands", "red,nir,red"], "band red is asked for twice"),
        (["--sensor", "landsat-9"], "no sensor landsat-9"),
        (["--sensor", "naip", "--sensor", "naip"], "asked for twice"),
        (["--sensor", "naip", "--size", "huge"], "there is no size huge"),
        (["--sensor", "naip", "--mask-ratio", "0.5"], "leave --mask-ratio and --mask-seed out, or export with --loss"),
        (["--sensor", "naip", "--loss", "--mask-ratio", "1"], "the ratio is between 0 and 1"),
        (["--sensor", "naip", "--loss", "--mask-ratio", "0.01", "--chip", "8"], "all of a chip's patches or none"),
        (["--sensor", "naip", "--gsd", "-1"], "give metres"),
    ],
)
def test_what_cannot_be_exported_is_refused_in_words(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    size = [] if "--size" in arguments else ["--size", "tiny"]
    assert main(["export", *size, "--out", str(tmp_path), *arguments]) == 1
    said = capsys.readouterr().err
    assert said.startswith("refused: ")
    assert message in said
    assert names_in(tmp_path) == []


def test_the_command_line_exports_and_adds_a_users_own_sensor(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = str(ROOT / "model" / "clay" / "sensors-example.yaml")
    assert main(["export", "--size", "tiny", "--sensor", mine, "--chip", "64", "--out", str(tmp_path)]) == 0
    assert main(["add", str(tmp_path / NAME), "--sensor", mine, "--bands", "red,nir"]) == 0
    assert capsys.readouterr().out.splitlines()[-2:] == [f"{NAME}-example-c64-rn: written", str(tmp_path / NAME)]
    entries = manifest_of(tmp_path / NAME).entries
    assert [(entry.token, entry.sensor, entry.gsd) for entry in entries] == [
        (f"{NAME}-example-c64", "example-sr", 3.7),
        (f"{NAME}-example-c64-rn", "example-sr", 3.7),
    ]
