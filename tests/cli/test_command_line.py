"""``clayline embed`` as a user runs it: what comes out, what is told, and what is refused before anything starts."""

import argparse
import errno
import json
import os
import pkgutil
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import rasterio
from boto3.exceptions import S3UploadFailedError
from botocore.exceptions import ClientError, EndpointConnectionError
from PIL import Image
from tests.pipeline.scenes import landsat

import clayline_cli.commands
from clayline.errors import SceneError
from clayline.place import Option, Place
from clayline_cli.call import Parser
from clayline_cli.command_line import COMMANDS
from clayline_cli.embedding.help import EPILOG
from clayline_cli.kept.folder import Kept
from clayline_cli.program import main
from clayline_local.session import Session
from clayline_local.template import TEMPLATE

HEAVY = {
    "numpy",
    "boto3",
    "botocore",
    "rasterio",
    "pyarrow",
    "pydantic",
    "moto",
    "matplotlib",
    "samtranslator",
    "onnxruntime",
}


def _write(folder: Path, files: dict[str, bytes]) -> Path:
    folder.mkdir(exist_ok=True)
    for key, body in files.items():
        (folder / Path(key).name).write_bytes(body)
    return folder / "item.json"


@pytest.fixture
def nothing_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    def started(*_: object) -> None:
        pytest.fail("the local cloud was started")

    monkeypatch.setattr(Session, "__enter__", started)


@pytest.mark.pipeline
def test_a_scene_becomes_files_and_a_picture(tmp_path: Path, sample: Path, capsys: pytest.CaptureFixture[str]) -> None:
    item = _write(tmp_path / "scene", landsat(sample, row=600, col=400, height=200, width=260))
    assert main(["embed", str(item), "--out", str(tmp_path / "out"), "--creator", "somebody"]) == 0
    told = capsys.readouterr()
    assert "SceneEmbedded" in told.out
    assert "planned 20 = written 20" in told.out
    assert "WARNING" not in told.out + told.err
    assert "batches embedded" in told.err
    parquet = next((tmp_path / "out").rglob("*.parquet"))
    rows = pq.read_table(parquet)
    assert set(rows["source_creator"].to_pylist()) == {"somebody"}
    [source_url] = set(rows["source_url"].to_pylist())
    with rasterio.open(Path.from_uri(str(source_url))) as imagery:  # what the row says it was made from
        assert (imagery.height, imagery.width) == (200, 260)
    receipt = json.loads(next((tmp_path / "out").rglob("*_receipt.json")).read_bytes())
    assert receipt["source_uri"] == item.as_uri()
    assert Path.from_uri(receipt["outputs"]["parquet"]) == parquet
    outputs = [file for file in (tmp_path / "out").rglob("*.json") if ".clayline" not in file.parts]
    assert not [line for file in outputs for line in file.read_text().splitlines() if "s3://" in line]
    with Image.open(parquet.with_suffix(".png")) as picture:
        pixels = np.asarray(picture.convert("RGB"), dtype=float)
        assert "UNTRAINED" not in str(picture.info["Title"])
    report = parquet.with_suffix(".html")
    assert f"  report     {report}\n" in told.out
    assert report.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert pixels.shape[1] > 1000
    assert pixels.std() > 20  # something is drawn
    [log] = (tmp_path / "out" / "logs").glob("*/PlanFunction.log")
    assert log.stat().st_size


@pytest.mark.pipeline
def test_scenes_and_folders_share_a_session_and_each_has_its_answer(
    tmp_path: Path, sample: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One works, one lacks a band; one of S3 cannot be fetched: the worst of the three is the exit status."""
    good = _write(tmp_path / "good", landsat(sample, row=600, col=400, height=64, width=64))
    files = landsat(sample, height=64, width=128)
    files["scene/item.json"] = json.dumps({**json.loads(files["scene/item.json"]), "id": "another"}).encode()
    del files["scene/B4.tif"]
    _write(tmp_path / "bad", files)
    for name in list(os.environ):
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("HOME", str(tmp_path))
    started: list[int] = []
    enter = Session.__enter__

    def counted(session: Session) -> Session:
        started.append(1)
        return enter(session)

    monkeypatch.setattr(Session, "__enter__", counted)
    out = tmp_path / "out"
    assert main(["embed", str(tmp_path / "bad"), str(good), "--out", str(out)]) == 1
    told = capsys.readouterr()
    assert started == [1]
    assert "asset-missing" in told.out
    assert "--assets DIR" in told.out
    assert "1 of 2" in told.out.splitlines()[-1]
    assert len(list(out.rglob("*.parquet"))) == 1

    # The same again: one is there, one is refused again; a line of JSON each, and nothing else on standard output.
    before = {
        path: path.read_bytes()
        for path in out.rglob("*")
        if path.is_file() and "logs" not in path.parts and path.suffix != ".json"
    }
    assert main(["embed", str(tmp_path / "bad"), str(good), "--out", str(out), "--json", "--quiet"]) == 1
    told = capsys.readouterr()
    refused, there = (json.loads(line) for line in told.out.splitlines())
    assert (refused["status"], refused["exit_status"], refused["event"]["reason"]) == (
        "SceneFailed",
        1,
        "asset-missing",
    )
    assert (there["status"], there["exit_status"], there["already_there"]) == ("SceneEmbedded", 0, True)
    assert Path(there["files"]["parquet"]).is_file()
    assert told.err == ""
    assert {path: path.read_bytes() for path in before} == before


def test_what_cannot_be_read_exits_2_before_anything_starts(
    tmp_path: Path, sample: Path, capsys: pytest.CaptureFixture[str], nothing_starts: None
) -> None:
    del nothing_starts
    item = _write(tmp_path / "scene", landsat(sample, height=64, width=64))
    collection = tmp_path / "collection.json"
    collection.write_text('{"type": "FeatureCollection", "features": []}')
    cases = {
        (str(tmp_path / "nothing.tif"),): "is no file",
        (str(item), str(tmp_path / "nothing.tif")): "is no file",
        (str(collection),): "FeatureCollection",
        (str(item), "--datetime", "2020-05-18"): "Leave --datetime out",
        (str(item), "--sensor", "landsat-c2l1"): "Leave --sensor out",
        ("https://example.com/item.json",): "download first",
    }
    for arguments, said in cases.items():
        assert main(["embed", *arguments, "--out", str(tmp_path / "out")]) == 2
        told = capsys.readouterr()
        assert said in told.err
        assert told.err.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--model", "nowhere"], "nowhere is no model folder"),
        (["--batch-chips", "0"], "--batch-chips: 0 is not from 1 to 4096"),
        (["--batch-chips", "4097"], "4097 is not from 1 to 4096"),
        (["--min-valid-fraction", "1.5"], "1.5 is not from 0.0 to 1.0"),
        (["--max-cloud-fraction", "nan"], "nan is not from"),
        (["--datetime", "yesterday"], "no RFC 3339 time"),
        (["--datetime", "2020-02-31"], "no time '2020-02-31'"),
        (["--sensor", "landsat"], "no sensor that is known"),
        (["--allow-bucket", "s3://bucket"], "no bucket's name"),
        (["--assets", "nowhere"], "nowhere is no folder"),
        (["--creator", " "], "give a name"),
        (["--out", ""], "is empty: give a folder"),
        (["--any"], "unrecognized arguments: --any"),
    ],
)
def test_a_wrong_option_is_a_usage_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], said: str, nothing_starts: None
) -> None:
    del nothing_starts
    with pytest.raises(SystemExit) as caught:
        main(["embed", str(tmp_path / "item.json"), "--out", str(tmp_path / "out"), *options])
    assert caught.value.code == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (["watch", "add", "-x", "."], "clayline watch add: unrecognized arguments: -x\n`clayline watch add --help` "),
        (["watch", "add", "a", "."], "--min-valid, --max-cloud, --max-loss\n`clayline watch add --help` explains"),
        (["watch", "test", "a", ".", "--at-least=1"], "clayline watch test: unrecognized arguments: --at-least\n"),
        (["search", ".", "--like", "a"], "\n`clayline search --help` explains"),
        (["change", ".", "--from", "2020-05-18"], "\n`clayline change --help` explains"),
        (["frob"], "\n`clayline --help` explains"),
    ],
)
def test_a_usage_error_names_the_help_that_explains_it(
    call: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(call)
    assert caught.value.code == 2
    assert said in capsys.readouterr().err


def test_an_out_that_is_a_file_is_a_usage_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "out").write_text("mine")
    for out in (tmp_path / "out", tmp_path / "out" / "below"):
        with pytest.raises(SystemExit) as caught:
            main(["embed", "x.tif", "--out", str(out)])
        assert caught.value.code == 2
        assert "is a file. Give a folder" in capsys.readouterr().err
    assert (tmp_path / "out").read_text() == "mine"


def test_an_out_that_cannot_be_written_is_a_usage_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, nothing_starts: None
) -> None:
    del nothing_starts
    shut = tmp_path / "shut"
    shut.mkdir()
    monkeypatch.setattr(os, "access", lambda path, _: Path(path) != shut)  # to root, no permissions are shut
    with pytest.raises(SystemExit) as caught:
        main(["embed", "x.tif", "--out", str(shut / "out" / "below")])
    assert caught.value.code == 2
    assert f"{shut} cannot be written by you. Give another folder" in capsys.readouterr().err
    assert list(shut.iterdir()) == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["embed", "--help"],
        ["--version"],
        ["embed", "x.tif", "--out", "o", "--boa", "maybe"],
        ["embed", "x.tif", "--out", "o"],
        ["explain", "--help"],
        ["explain", "x.tif"],
        ["plan-cost", "--help"],
        ["plan-cost", "x.tif"],
        ["doctor", "--help"],
        ["doctor", "--model", "none"],
        ["read", "--help"],
        ["report", "--help"],
        ["report", "x.parquet", "--out", "x.parquet"],
        ["sample", "out", "points.csv"],
    ],
)
def test_help_and_mistakes_load_nothing_heavy(arguments: list[str], tmp_path: Path) -> None:
    """What makes them slow is imports; how long a machine takes is its own matter."""
    program = f"""
import sys
from clayline_cli.call import Parser
from clayline_cli.command_line import COMMANDS
from clayline_cli.program import main
try:
    status = main({arguments!r})
except SystemExit as ended:
    status = ended.code
print("loaded:", *sorted({HEAVY!r} & set(sys.modules)))
sys.exit(status)
"""
    path = os.pathsep.join(str(TEMPLATE.parent / part) for part in ("cli", "local", "layers/clayline"))
    environment = {"PATH": os.defpath, "PYTHONPATH": path}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.stdout.splitlines()[-1].strip() == "loaded:"
    assert done.returncode == (0 if arguments[-1].startswith("--") else 2)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["change", "o", "--out", "a.png"], "--out a.png: geoparquet is written there, which is no .png."),
        (["change", "o", "--picture", "a.parquet"], "--picture a.parquet: PNG is written there"),
        (["report", "x.parquet", "--out", "y.png"], "HTML is written there"),
        (["read", "o", "--out", "a.geojson"], "Name it a.parquet"),
        (["read", "o", "--as", "numpy", "--out", "a.parquet"], "Name it a.npy"),
        (["sample", "o", "points.csv", "--out", "a.csv"], "geoparquet is written there"),
        (["search", "o", "--like", "1,2", "--as", "sheet", "--out", "a.parquet"], "Name it a.png"),
    ],
)
def test_a_name_that_says_another_form_is_refused(
    arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Readers go by a file's ending: Parquet in a .png is a file that nothing opens."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert told in capsys.readouterr().err


def test_help_explains_everything(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["embed", "--help"])
    told = capsys.readouterr().out
    for option in Option:  # what a message advises is there to be given
        for flag in re.findall(r"--[a-z-]+", option.at(Place.CLI)):
            assert f"{flag} " in told or f"{flag}\n" in told, flag
    for status in ("  0 ", "  1 ", "  2 ", "130", "143", "129"):
        assert status in EPILOG
    assert all(action.help for action in _actions())


def _actions() -> Iterator[argparse.Action]:
    """Give every argument of every command."""
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(parser_class=Parser)
    for add in COMMANDS:
        add(commands)
    modules = {module.name.replace("_", "-") for module in pkgutil.iter_modules(clayline_cli.commands.__path__)}
    assert set(commands.choices) == modules
    yield from (action for found in commands.choices.values() for action in found._actions)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/full/disk"),
            "No space left on device (/full/disk). Check space",
        ),
        (
            PermissionError(errno.EACCES, os.strerror(errno.EACCES), "/shut"),
            "Permission denied (/shut). Check the permissions",
        ),
    ],
)
def test_what_the_machine_refuses_is_a_sentence(
    tmp_path: Path,
    sample: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    error: OSError,
    said: str,
) -> None:
    item = _write(tmp_path / "scene", landsat(sample, height=64, width=64))

    def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(Kept, "logs", fail)
    assert main(["embed", str(item), "--out", str(tmp_path / "out")]) == 2
    told = capsys.readouterr().err
    assert said in told
    assert "Traceback" not in told


def test_a_disk_that_is_full_where_outputs_go_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the place itself: ``Kept`` says which file, and that what is there stays."""

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "mkdir", full)
    with pytest.raises(Exception, match=r"the disk is full\. Free some space"):
        Kept(tmp_path / "out").logs()


def test_a_pipe_that_closes_is_no_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sample: Path) -> None:
    item = _write(tmp_path / "scene", landsat(sample, height=64, width=64))

    def closed(*_: Any, **__: Any) -> None:
        raise BrokenPipeError

    monkeypatch.setattr(Kept, "logs", closed)
    saved = os.dup(1)
    try:
        assert main(["embed", str(item), "--out", str(tmp_path / "out")]) == 141
    finally:
        os.dup2(saved, 1)
        os.close(saved)


def test_a_mistake_of_ours_is_no_failed_chip(
    tmp_path: Path,
    sample: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An uncaught error would exit with 1, which says that chips failed."""
    item = _write(tmp_path / "scene", landsat(sample, height=64, width=64))

    def fail(*_: Any) -> None:
        raise KeyError("oops")

    monkeypatch.setattr(Kept, "logs", fail)
    assert main(["embed", str(item), "--out", str(tmp_path / "out")]) == 2
    assert "a mistake in Clayline, not yours" in caplog.text
    assert "oops" in caplog.text
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    "error",
    [
        EndpointConnectionError(endpoint_url="http://127.0.0.1:1"),
        ClientError({"Error": {"Code": "500"}}, "PutObject"),
        S3UploadFailedError("no"),
    ],
)
def test_a_local_cloud_that_does_not_answer_is_a_sentence(
    tmp_path: Path, sample: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    item = _write(tmp_path / "scene", landsat(sample, height=64, width=64))

    def fail(*_: Any) -> None:
        raise error

    monkeypatch.setattr(Session, "__enter__", fail)
    assert main(["embed", str(item), "--out", str(tmp_path / "out"), "--quiet"]) == 2
    told = capsys.readouterr().err
    assert "the local cloud does not answer" in told
    assert told.count("\n") == 1


def test_what_is_wrong_with_a_scene_is_told_in_the_commands_words(
    tmp_path: Path, sample: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever it is raised: search refused a chip of its example's with the remedy of a stack."""
    item = _write(tmp_path / "scene", landsat(sample, height=64, width=64))

    def refuse(*_: Any) -> None:
        raise SceneError(f"scene a: its GSD is 5 m. Allow it with {Option.ANY_GSD}.", reason="gsd-mismatch")

    monkeypatch.setattr(Session, "__enter__", refuse)
    assert main(["embed", str(item), "--out", str(tmp_path / "out"), "--quiet"]) == 2
    assert capsys.readouterr().err.strip() == "clayline: scene a: its GSD is 5 m. Allow it with --any-gsd."
