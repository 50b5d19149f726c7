"""A scene whose objects go by other names: everything that is said of it names the user's files, and opens them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import rasterio
from tests.pipeline import scenes
from tests.pipeline.harness import OUT, SCENES, WORK, Pipeline, failed
from tests.pipeline.test_bad_input import CASES
from tests.test_place import FOREIGN

from clayline.place import Place
from clayline.run.keys import scene_hash
from clayline.run.names import Names
from clayline.run.plan import Plan, Thresholds
from clayline.steps.planning import Planned

COG = "LC08_L1TP_001002_20200518_x.tif"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Where the user's scenes lie; ``out`` is where results are fetched to."""
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


@pytest.fixture
def make_local(make_pipeline: Callable[..., Pipeline], home: Path) -> Callable[..., Pipeline]:
    """Give a maker of pipelines that are told of names and place as the local cloud tells them."""
    names = {
        f"s3://{SCENES}/file/": "file:///",
        f"s3://{SCENES}/cog/file/": "file:///",
        f"s3://{SCENES}/s3/": "s3://",
        f"s3://{OUT}/": f"{(home / 'out').as_uri()}/",
    }
    return lambda **options: make_pipeline(names=Names.parse(json.dumps(names)), place=Place.CLI, **options)


def _land(pipeline: Pipeline, home: Path, files: dict[str, bytes], *, under: str = "file") -> str:
    """Write the files to the user's disk and land the same bytes; gives the last one's key."""
    key = ""
    for name, body in files.items():
        path = home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
        key = f"{under}{path}"
        pipeline.put(key, body)
    return key


def _coarse(body: bytes) -> bytes:
    """Give every other pixel of a band."""
    with rasterio.MemoryFile(body) as memory, memory.open() as dataset:
        return scenes.geotiff(
            dataset.read()[:, ::2, ::2],
            crs=dataset.crs,
            transform=dataset.transform @ rasterio.Affine.scale(2),
            nodata=dataset.nodata,
        )


def _plan(pipeline: Pipeline, run: str) -> Plan:
    body = pipeline.s3.get_object(Bucket=WORK, Key=f"plans/{run}/plan.json")["Body"].read()
    return Plan.model_validate_json(body)


def _table(outputs: dict[str, bytes]) -> pa.Table:
    [body] = [body for key, body in outputs.items() if key.endswith(".parquet")]
    return pq.read_table(pa.BufferReader(body))


def _provenance(outputs: dict[str, bytes]) -> dict[str, Any]:
    [body] = [body for key, body in outputs.items() if key.endswith("_metadata.json")]
    content: dict[str, Any] = json.loads(body)["clayline"]
    return content


@pytest.mark.parametrize(("coarse", "finest"), [((), "B4"), (("B4",), "B3"), (("B4", "B3"), "B2")])
def test_source_url_opens_the_imagery_whose_grid_the_chips_lie_on(
    make_local: Callable[..., Pipeline], home: Path, sample: Path, coarse: tuple[str, ...], finest: str
) -> None:
    """The entry takes red, green, blue (B4, B3, B2): of equal grids, the first's."""
    files = scenes.landsat(sample)
    files |= {f"scene/{band}.tif": _coarse(files[f"scene/{band}.tif"]) for band in coarse}
    item = files.pop("scene/item.json")
    pipeline = make_local()
    pipeline.run(_land(pipeline, home, {**files, "scene/item.json": item}))
    receipt, outputs = pipeline.receipt(), pipeline.outputs()
    [source_url] = set(_table(outputs)["source_url"].to_pylist())
    assert source_url == (home / "scene" / f"{finest}.tif").as_uri()
    scene = _plan(pipeline, receipt["run"]).scene
    with rasterio.open(source_url) as dataset:
        assert tuple(dataset.transform)[:6] == scene.transform
        assert dataset.shape == (scene.height, scene.width)
    assert _provenance(outputs)["source"]["source_url"] == source_url


def test_everything_that_is_said_names_the_users_files(
    make_local: Callable[..., Pipeline], home: Path, sample: Path
) -> None:
    pipeline = make_local()
    key = _land(pipeline, home, scenes.landsat(sample, folder="my scene"))
    pipeline.run(key)
    receipt, outputs = pipeline.receipt(), pipeline.outputs()
    item_uri = (home / "my scene" / "item.json").as_uri()
    assert receipt["source_uri"] == item_uri
    assert {uri.rpartition(".")[2] for uri in receipt["outputs"].values()} == {"parquet", "json"}
    assert {(home / "out" / key).as_uri() for key in outputs} == set(receipt["outputs"].values())
    source = _provenance(outputs)["source"]
    assert source["uri"] == item_uri
    assert {asset["band"]: asset["uri"] for asset in source["assets"]} == {
        name: (home / "my scene" / f"{band}.tif").as_uri()
        for name, band in {"red": "B4", "green": "B3", "blue": "B2"}.items()
    }
    [stac] = [json.loads(body) for key, body in outputs.items() if key == _stem(outputs) + ".json"]
    assert next(link["href"] for link in stac["links"] if link["rel"] == "emb:source-data") == item_uri
    [event] = pipeline.announced()
    assert (event["source_uri"], event["outputs"]) == (item_uri, receipt["outputs"])
    # what is read stays what it is, and nothing tells of it
    plan = _plan(pipeline, receipt["run"])
    assert plan.scene.uri == f"s3://{SCENES}/{key}"
    assert {uri.partition("/my scene/")[0] for uri in plan.sources()} == {f"s3://{SCENES}/file{home}"}
    header = pq.read_metadata(pa.BufferReader(outputs[_stem(outputs) + ".parquet"])).metadata or {}
    said = [body for key, body in outputs.items() if key.endswith(".json")] + list(header.values())
    assert not [text for text in said if b"s3://" in text]


def _stem(outputs: dict[str, bytes]) -> str:
    [stem] = [key.removesuffix(".parquet") for key in outputs if key.endswith(".parquet")]
    return stem


def test_a_cogs_identity_is_its_name(make_local: Callable[..., Pipeline], home: Path) -> None:
    body = scenes.geotiff(
        scenes.noise(bands=3, height=80, width=80),
        crs="EPSG:32621",
        transform=scenes.utm_grid(gsd=30.0),
        nodata=0,
        names=("red", "green", "blue"),
    )
    pipeline = make_local()
    pipeline.run(_land(pipeline, home, {COG: body}, under="cog/file"))
    receipt, outputs = pipeline.receipt(), pipeline.outputs()
    name = (home / COG).as_uri()
    assert (receipt["scene"], receipt["source_uri"]) == (name, name)
    plan = _plan(pipeline, receipt["run"])
    assert (plan.scene.name, plan.scene.hash) == (name, scene_hash(collection=None, item=None, uri=name))
    assert f"/{plan.scene.hash}/" in receipt["outputs"]["parquet"]
    assert set(_table(outputs)["source_url"].to_pylist()) == {name}
    with rasterio.open(name) as dataset:
        assert tuple(dataset.transform)[:6] == plan.scene.transform


@pytest.mark.parametrize(
    ("published", "told"),
    [
        ("https://usgs.example/B4.TIF", "https://usgs.example/B4.TIF"),
        ("x" * 2048, "x" * 2048),
        ("x" * 2049, None),
        ({"href": "x"}, None),
        (None, None),
    ],
)
def test_the_published_href_of_a_file_found_elsewhere_is_told(
    make_local: Callable[..., Pipeline], home: Path, sample: Path, published: object, told: str | None
) -> None:
    files = scenes.landsat(sample)
    item = json.loads(files["scene/item.json"])
    item["assets"]["red"]["clayline:declared_href"] = published
    pipeline = make_local()
    pipeline.run(_land(pipeline, home, {**files, "scene/item.json": json.dumps(item).encode()}))
    assets = _provenance(pipeline.outputs())["source"]["assets"]
    assert {asset["band"]: asset["declared_href"] for asset in assets} == {"red": told, "green": None, "blue": None}


@pytest.mark.parametrize("name", CASES)
def test_a_refusal_speaks_the_command_lines_words(
    make_pipeline: Callable[..., Pipeline], sample: Path, name: str
) -> None:
    names = {f"s3://{SCENES}/scene/": "file:///data/my%20scene/", f"s3://{OUT}/": "file:///out/"}
    reason, spoil = CASES[name]
    pipeline = make_pipeline(names=Names.parse(json.dumps(names)), place=Place.CLI)
    for key, body in spoil(scenes.landsat(sample)).items():
        pipeline.put(key, body)
    outcome = pipeline.plan("scene/item.json")
    receipt = pipeline.receipt()
    assert (outcome.kind, receipt["reason"], outcome.message) == (Planned.FAILED, reason, receipt["message"])
    assert not FOREIGN[Place.CLI].search(receipt["message"]), receipt["message"]
    told = json.dumps(receipt).replace("s3://somebody-elses", "")  # as the Item has it
    assert not [hidden for hidden in ("s3://", "/vsis3/", str(pipeline.scratch)) if hidden in told], receipt
    assert receipt["source_uri"] == "file:///data/my%20scene/item.json"
    assert receipt["outputs"]["receipt"].startswith("file:///out/failed/")


def test_a_cog_that_nobody_knows_is_told_of_options(
    make_pipeline: Callable[..., Pipeline], make_local: Callable[..., Pipeline], home: Path
) -> None:
    body = scenes.geotiff(
        scenes.noise(bands=3, height=80, width=80),
        crs="EPSG:32621",
        transform=scenes.utm_grid(gsd=30.0),
        nodata=0,
        names=("red", "green", "blue"),
    )
    said = {}
    for place, make in ((Place.AWS, make_pipeline), (Place.CLI, make_local)):
        for file in ("x.tif", "LC08_L1TP_001002_x.tif"):
            pipeline = make()
            outcome = pipeline.plan(_land(pipeline, home, {file: body}, under="cog/file"))
            assert outcome.kind is Planned.FAILED
            said[place, file] = outcome.message
            assert not FOREIGN[place].search(outcome.message)
    assert "Set --sensor to one of" in said[Place.CLI, "x.tif"]
    assert "Set the object's metadata `sensor` to one of" in said[Place.AWS, "x.tif"]
    assert "set --datetime to an RFC 3339 time" in said[Place.CLI, "LC08_L1TP_001002_x.tif"]
    assert "set the object's metadata `datetime`" in said[Place.AWS, "LC08_L1TP_001002_x.tif"]


@pytest.mark.parametrize(
    ("place", "advice"), [(Place.AWS, "the stack's parameter MinValidFraction"), (Place.CLI, "--min-valid-fraction")]
)
def test_a_scene_of_skipped_chips_is_told_which_threshold(
    make_pipeline: Callable[..., Pipeline], place: Place, advice: str
) -> None:
    pixels = scenes.noise(bands=3, height=64, width=64)
    pixels[:, 1:] = 0
    body = scenes.geotiff(
        pixels, crs="EPSG:32621", transform=scenes.utm_grid(gsd=30.0), nodata=0, names=("red", "green", "blue")
    )
    pipeline = make_pipeline(place=place, thresholds=Thresholds(min_valid_fraction=0.5))
    pipeline.put(f"cog/{COG}", body)
    pipeline.run(f"cog/{COG}")
    receipt = pipeline.receipt()
    assert receipt["reason"] == "all-chips-skipped"
    assert f"Lower {advice} " in receipt["message"]
    assert "cloud" not in receipt["message"]


@pytest.mark.parametrize(("place", "advice"), [(Place.AWS, "Land it again"), (Place.CLI, "Run again with --retry")])
def test_a_scene_of_failed_chips_is_told_how_to_try_again(
    make_pipeline: Callable[..., Pipeline], sample: Path, place: Place, advice: str
) -> None:
    pipeline = make_pipeline(place=place)
    for key, body in scenes.landsat(sample).items():
        pipeline.put(key, body)
    pipeline.run(
        "scene/item.json",
        change=lambda sent: [failed(one["requestParameters"]["inputLocation"], one["inferenceId"]) for one in sent],
    )
    receipt = pipeline.receipt()
    assert receipt["reason"] == "inference-failed"
    assert advice in receipt["message"]
    assert "clayline redrive" in receipt["message"]


def test_a_plan_of_before_names_still_reads(make_pipeline: Callable[..., Pipeline], sample: Path) -> None:
    pipeline = make_pipeline()
    for key, body in scenes.landsat(sample).items():
        pipeline.put(key, body)
    run = str(pipeline.plan("scene/item.json").run)
    content = json.loads(_plan(pipeline, run).model_dump_json())
    for field in ("names", "place"):
        del content[field]
    for band in content["bands"]:
        del band["declared"]
    read = Plan.model_validate_json(json.dumps(content))
    assert read == _plan(pipeline, run)
    assert np.isclose(read.finest.header.pixel_area, 900)
