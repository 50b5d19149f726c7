"""``clayline explain``: what is told of scenes, with which exit status, and that its options are those of plan."""

import argparse
import dataclasses
import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import boto3
import pytest
from moto import mock_aws
from tests.pipeline.scenes import landsat

from clayline_cli.choosing.planning import plan_options
from clayline_cli.explaining.explain_options import ExplainOptions, add_options
from clayline_cli.explaining.page import page
from clayline_cli.program import main
from clayline_local.model_folder import ModelFolder
from clayline_local.repository import ROOT, STARTER
from clayline_local.session import Session
from clayline_local.staged_objects import SCENE_NAMES, SCENES_BUCKET, StagedObjects
from clayline_local.staged_scene import StagedScene
from clayline_local.template import LOCAL_PARAMETERS, TEMPLATE, expand


@pytest.fixture(autouse=True)
def nothing_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    def started(*_: object) -> None:
        pytest.fail("the local cloud was started")

    monkeypatch.setattr(Session, "__enter__", started)


def _write(folder: Path, files: dict[str, bytes]) -> Path:
    folder.mkdir(parents=True)
    for key, body in files.items():
        (folder / Path(key).name).write_bytes(body)
    return folder / "item.json"


def _told(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_the_bundled_scene_is_explained(sample: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", str(sample)]) == 0
    told = capsys.readouterr()
    lines = told.out.splitlines()
    assert lines[0] == "WouldEmbed: LC08_L1TP_224078_20200518_20200518_01_RT"
    for part in (
        "landsat-c2l1 (product landsat-oli-l1), by collection landsat-c1-l1",
        "landsat8-oli-l1, platform landsat-8",
        "30 rows x 33 columns = 990 of 64 px (1,920 m)",
        "starter-v1.0-l1-rgb takes uint16 [red green blue] at 30 m",
        "starter-v1.0-l1-rgbns takes more bands, of which nir08 swir16 are not there",
        "16 batches of 61 to 62 chips",
        "12.6 MB of the 17.0 MB in 3 file(s), in 6 requests of S3",
        "192 blocks, each once",
    ):
        assert part in told.out
    [row] = [line.split() for line in lines if line.strip().startswith("red ")]
    assert row == [
        "red",
        "B4.tif",
        "1",
        "of",
        "1",
        "uint16",
        "2041",
        "x",
        "1860",
        "30",
        "m",
        "256",
        "x",
        "256",
        "0",
        "0",
    ]
    assert max(map(len, lines)) <= 120
    assert told.err == ""


def test_scenes_of_several_kinds_one_after_the_other(
    tmp_path: Path, sample: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    good = _write(tmp_path / "good", landsat(sample))
    lacking = _write(tmp_path / "lacking", landsat(sample))
    (lacking.parent / "B4.tif").unlink()
    before = sorted(tmp_path.rglob("*"))
    assert main(["explain", str(good.parent), str(lacking), "--json"]) == 1
    out, err = capsys.readouterr()
    first, second = map(json.loads, out.splitlines())
    assert (first["status"], first["exit_status"], first["reason"]) == ("WouldEmbed", 0, None)
    assert (second["status"], second["exit_status"], second["reason"]) == ("WouldRefuse", 1, "asset-missing")
    assert "--assets DIR" in second["message"]
    assert second["taken_for"] == first["taken_for"]
    assert second["model"]["entry"]["token"] == "starter-v1.0-l1-rgb"
    assert (first["plan"]["grid"]["chips"], second["plan"]) == (12, None)
    assert [band["name"] for band in first["plan"]["bands"]] == ["red", "green", "blue"]
    assert (first["reading"]["in_all"]["files"], len(first["reading"]["jobs"])) == (3, len(first["plan"]["jobs"]))
    assert second["reading"] is None
    assert first["plan"]["bands"][0]["uri"] == (good.parent / "B4.tif").as_uri()
    assert err.splitlines() == ["1 of 2  item.json", "2 of 2  item.json"]
    assert sorted(tmp_path.rglob("*")) == before, "something was written"
    assert main(["explain", str(good), str(lacking), "--quiet"]) == 1
    out, err = capsys.readouterr()
    assert "asset-missing" in out
    assert out.splitlines()[-1].split() == ["12", "1", "of", "2", "would", "be", "embedded"]
    assert err == ""


def test_what_cannot_be_tried_is_status_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", str(tmp_path / "none.json")]) == 2
    assert "there is none of that name" in capsys.readouterr().err


def test_a_run_is_told_if_it_is_asked_for(tmp_path: Path, sample: Path, capsys: pytest.CaptureFixture[str]) -> None:
    item = _write(tmp_path / "scene", landsat(sample))
    main(["explain", str(item), "--json"])
    [without] = _told(capsys)
    runs = []
    for more in ([], [], ["--creator", "somebody"]):
        main(["explain", str(item), "--json", "--identity", *more])
        [told] = _told(capsys)
        runs.append(told["run"])
    assert without["run"] is None
    assert "etag" not in without["plan"]["bands"][0]
    assert runs[0] == runs[1]
    assert len(set(runs)) == 2
    assert all(len(run) == 32 for run in runs)
    assert told["plan"]["bands"][0]["etag"]


def test_a_field_that_is_new_in_the_plan_is_told_by_its_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, sample: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever adds one need not know of this command."""
    monkeypatch.setattr(
        "clayline_cli.explaining.page._OF_A_ROW", frozenset({"uri", "etag", "size", "header", "offset"})
    )
    monkeypatch.setattr("clayline_cli.explaining.page._OF_A_SECTION", frozenset({"lattice", "acquired", "transform"}))
    main(["explain", str(_write(tmp_path / "scene", landsat(sample)))])
    out = capsys.readouterr().out
    assert "name red, band 1, nodata 0" in out
    assert "location    point" in out
    assert page.__doc__


def _wired_options(monkeypatch: pytest.MonkeyPatch, parameters: dict[str, str]) -> Any:
    """Give plan's options as template.yaml, plan's settings and its app make them of the stack's parameters."""
    stack = expand(TEMPLATE, {**LOCAL_PARAMETERS, **parameters, "ModelFolder": "starter-v1.0"})
    environment = stack.functions()["PlanFunction"].environment
    environment |= {"CLAYLINE_PLACE": "cli", "CLAYLINE_NAMES": json.dumps(dict(SCENE_NAMES.prefixes))}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    spec = importlib.util.spec_from_file_location("plan_app", ROOT / "functions" / "plan" / "app.py")
    assert spec
    assert spec.loader
    app = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "plan_app", app)
    spec.loader.exec_module(app)
    monkeypatch.setattr(app, "S3Objects", lambda *_, **__: Manifests())
    return _planning(app).options


def _planning(app: ModuleType) -> Any:
    return app.receiving().planning


class Manifests:
    def get(self, _: str) -> bytes:
        return (STARTER / "manifest.json").read_bytes()


def _every_option(parser: argparse.ArgumentParser) -> list[str]:
    """Give a value that is not the default to each option that may be one of plan's."""
    given = {"--batch-chips": "7", "--max-chips": "77", "--creator": "somebody"}
    given |= {"--min-valid-fraction": "0.25", "--max-cloud-fraction": "0.123456789"}
    where = {"--model", "--assets", "--allow-bucket", "--datetime", "--sensor", "--help", "--version"}
    arguments = []
    for action in parser._actions:
        flag = next((name for name in action.option_strings if name.startswith("--")), None)
        if flag is None or flag in where or (action.choices is None and action.nargs != 0 and flag not in given):
            continue
        other = [str(choice) for choice in action.choices or () if choice != action.default][-1:]
        arguments += [flag, *([] if action.nargs == 0 else other or [given[flag]])]
    return arguments


_AWS_ALONE = {"work_bucket", "embeddings_bucket", "retry_failed", "model_uri"}
"""Options that say where things lie, not what comes out."""


@pytest.mark.parametrize("is_every", [False, True], ids=["defaults", "every option"])
def test_plan_is_told_the_same(monkeypatch: pytest.MonkeyPatch, *, is_every: bool) -> None:
    """Of the same options, ``embed``'s way through the template ends where ``explain``'s begins."""
    parser = argparse.ArgumentParser()
    add_options(parser)
    arguments = _every_option(parser) if is_every else []
    assert len(arguments) == 0 or {"--boa", "--any-gsd", "--untrained-sensors", "--max-chips"} <= set(arguments)
    options = ExplainOptions.of(parser.parse_args(["x.json", *arguments]))
    model = ModelFolder.read(STARTER)
    chips = model.chips_per_batch if options.batch_chips is None else options.batch_chips
    wired = _wired_options(monkeypatch, options.parameters(chips_per_batch=chips))
    mine = plan_options(options, model)
    decides = {field.name for field in dataclasses.fields(mine)} - _AWS_ALONE
    assert {name: getattr(mine, name) for name in decides} == {name: getattr(wired, name) for name in decides}


def test_etags_are_those_of_an_upload(tmp_path: Path) -> None:
    """What boto3 uploads in parts has another ETag than what it puts as a whole, as landings are."""
    part = 8 * 2**20
    sizes = {"small": 1000, "below": part - 1, "part": part, "parts": 2 * part + 5}
    for name, size in sizes.items():
        (tmp_path / name).write_bytes(bytes(range(251)) * (size // 251) + bytes(size % 251))
    large = tmp_path / "parts"
    scene = StagedScene(assets=tuple((name, tmp_path / name) for name in sizes), landing=("item.json", large))
    objects = StagedObjects(scene=scene, digest=True)
    with mock_aws():
        s3 = boto3.client("s3", region_name="us-east-1")
        s3.create_bucket(Bucket="scenes")
        for name in sizes:
            s3.upload_file(str(tmp_path / name), "scenes", name)
            uploaded = s3.head_object(Bucket="scenes", Key=name)["ETag"].strip('"')
            landed = dataclasses.replace(scene, landing=("item.json", tmp_path / "other"))
            assert StagedObjects(scene=landed, digest=True).head(f"s3://{SCENES_BUCKET}/{name}").etag == uploaded
        with large.open("rb") as body:
            put = s3.put_object(Bucket="scenes", Key="whole", Body=body)["ETag"].strip('"')
    assert objects.head(f"s3://{SCENES_BUCKET}/item.json").etag == put
    with pytest.raises(RuntimeError, match="dry run"):
        objects.put_new("s3://b/x", b"", run="r", content_type="text/plain")


def test_the_bucket_is_the_local_clouds() -> None:
    environment = expand(TEMPLATE, {**LOCAL_PARAMETERS, "ModelFolder": "starter-v1.0"}).functions()["PlanFunction"]
    assert environment.environment["CLAYLINE_SCENES_BUCKET"] == SCENES_BUCKET


def test_help_tells_statuses(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["explain", "--help"])
    assert ended.value.code == 0
    told = capsys.readouterr().out
    for part in ("  0 ", "  1 ", "  2 ", "dry run", "--any-gsd", "--identity"):
        assert part in told
    assert "--out" not in told


def test_an_item_does_not_command_the_terminal(
    sample: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    item = _write(tmp_path / "scene", landsat(sample, row=600, col=400, height=640, width=640))
    said = json.loads(item.read_text())
    said["properties"]["platform"] = "landsat-8 \x1b[31m\u202e"
    item.write_text(json.dumps(said))
    main(["explain", str(item)])
    main(["sensors", "--why", str(item)])
    assert not {"\x1b", "\u202e"} & set(capsys.readouterr().out)
