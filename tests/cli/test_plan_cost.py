"""``clayline plan-cost``: what scenes would cost, by the dry run of plan, with unknown called unknown."""

import json
from pathlib import Path
from typing import Any

import boto3
import pytest
from benchmarks.chain_calls import counting
from tests.cli.explained import explained
from tests.pipeline.scenes import landsat

from clayline.run.prices import built_in
from clayline_cli.costing.deployed import Deployed
from clayline_cli.program import main
from clayline_cli.staging.remote import Remote
from clayline_local.template import LOCAL_PARAMETERS, TEMPLATE, expand

pytestmark = pytest.mark.usefixtures("nothing_starts")


def _write(folder: Path, sample: Path, *, without: str | None = None) -> Path:
    folder.mkdir(parents=True)
    for key, body in landsat(sample, row=600, col=400).items():
        if Path(key).stem != without:
            (folder / Path(key).name).write_bytes(body)
    return folder


def _told(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, list[dict[str, Any]], str]:
    status = main(["plan-cost", *map(str, arguments), "--json", "--quiet"])
    out, err = capsys.readouterr()
    return status, [json.loads(line) for line in out.splitlines()], err


def test_a_scene_is_counted_as_it_is_planned(sample: Path, capsys: pytest.CaptureFixture[str]) -> None:
    [plan] = explained(capsys, sample, "--batch-chips", "64")
    status, [scene, total], err = _told(capsys, sample, "--chips-per-second", "99")
    assert (status, err) == (0, "")
    work = scene["work"]
    assert (work["chips"], work["jobs"], work["batches"]) == (990, len(plan["plan"]["jobs"]), plan["plan"]["batches"])
    assert work["read_requests"] == plan["reading"]["in_all"]["requests"]
    assert scene["endpoint"]["basis"] == "given"
    assert scene["endpoint"]["hours"] == pytest.approx(10 / 3600)
    price = built_in().instance(scene["endpoint"]["instance"])
    assert price
    assert scene["dollars"]["endpoint"] == pytest.approx(10 / 3600 * price.dollars_per_hour)
    assert scene["dollars"]["in_all"] == pytest.approx(
        scene["dollars"]["endpoint"] + scene["dollars"]["beside_endpoint"]
    )
    assert total["total"]
    assert total["calls"] == scene["calls"]


def test_scenes_of_a_folder_are_added_up_and_what_is_refused_is_named(
    tmp_path: Path, sample: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, two = _write(tmp_path / "one", sample), _write(tmp_path / "two", sample)
    lacking = _write(tmp_path / "lacking", sample, without="B4")
    status, told, err = _told(capsys, one, two, lacking, "--batch-chips", "4", "--chips-per-second", "50")
    assert status == 1
    first, second, refused, total = told
    assert (refused["status"], refused["reason"]) == ("WouldRefuse", "asset-missing")
    assert "asset" in err
    assert "work" not in refused
    assert total["scenes"] == 2
    assert total["work"]["chips"] == first["work"]["chips"] + second["work"]["chips"] == 32
    assert total["calls"]["s3_writes"] == 2 * first["calls"]["s3_writes"]
    assert total["endpoint"]["hours"] == pytest.approx(2 * first["endpoint"]["hours"])
    assert total["endpoint"]["wake_up_dollars"] == first["endpoint"]["wake_up_dollars"]  # once: they gather
    assert main(["plan-cost", str(one), str(lacking), "--quiet"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split()[:3] == ["16", "1", "1"]
    assert "WouldRefuse, asset-missing" in lines[2]
    assert max(map(len, lines[3:])) <= 120


def test_a_model_of_which_no_speed_is_known_costs_an_unknown_sum(
    sample: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, [scene, total], _ = _told(capsys, sample)
    assert status == 0
    for told in (scene, total):
        assert told["endpoint"]["basis"] == "unknown"
        assert told["endpoint"]["hours"] is told["dollars"]["endpoint"] is told["dollars"]["in_all"] is None
        assert told["dollars"]["beside_endpoint"] > 0
    assert main(["plan-cost", str(sample)]) == 0
    said = f"unknown: nobody has measured this model on {Deployed.read().instance}. Give --chips-per-second"
    assert said in capsys.readouterr().out


def test_an_instance_without_a_price_is_refused(sample: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan-cost", str(sample), "--instance", "ml.none.xlarge"]) == 2
    assert "the price of ml.none.xlarge is not known. Give --instance one of ml.g4dn.xlarge" in capsys.readouterr().err


def test_scenes_under_a_prefix_of_s3_are_planned_where_they_lie(
    tmp_path: Path, sample: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Remote, "fetch", lambda *_: pytest.fail("a file was fetched whole"))
    folder = _write(tmp_path / "one", sample)
    _, [local, _], _ = _told(capsys, folder, "--batch-chips", "4", "--chips-per-second", "50")
    with counting():
        s3 = boto3.client("s3", region_name="eu-central-1")
        s3.create_bucket(Bucket="ours", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
        for name in ("a", "b"):
            for file in folder.iterdir():
                s3.put_object(Bucket="ours", Key=f"2026/{name}/{file.name}", Body=file.read_bytes())
        s3.put_object(Bucket="ours", Key="2026/a/other.json", Body=b"{}")
        s3.put_object(Bucket="ours", Key="2025/readme.txt", Body=b"none")
        status, [one, two, total], err = _told(
            capsys, "s3://ours/2026/", "--batch-chips", "4", "--chips-per-second", "50"
        )
        assert (status, err, total["scenes"]) == (0, "", 2)
        assert [one["scene"], two["scene"]] == ["s3://ours/2026/a/item.json", "s3://ours/2026/b/item.json"]
        assert one["work"] == two["work"] == local["work"]
        assert one["dollars"] == local["dollars"]
        status, [single, _], _ = _told(capsys, "s3://ours/2026/a/item.json", "--batch-chips", "4")
        assert (status, single["work"]) == (0, local["work"])
        for wrong, why in (
            ("s3://ours/2026/a/other.json", "Give the scene's STAC Item"),
            ("s3://ours/2026/none.json", "there is no such object"),
            ("s3://ours/2025/", "holds no STAC Item"),
            ("s3://theirs/", "there is no such bucket"),
        ):
            assert main(["plan-cost", wrong, "--quiet"]) == 2
            assert why in capsys.readouterr().err


def test_what_is_deployed_is_read_from_the_template() -> None:
    deployed, stack = Deployed.read(), expand(TEMPLATE, LOCAL_PARAMETERS)
    assert {"plan", "tile", "settle", "collect"} <= set(deployed.functions)
    assert deployed.functions["tile"].memory_mb == int(str(stack.parameters["TileMemory"]))
    assert deployed.functions["tile"].at_once == int(str(stack.parameters["TileConcurrency"]))
    assert deployed.instance == stack.parameters["InstanceType"]
