"""Every kind of scene gives an Item, and every model one, that the published rules accept and that say what is."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rasterio import Affine
from shapely.geometry import shape
from tests.outputs.published import problems
from tests.pipeline import scenes
from tests.pipeline.harness import OUT, Pipeline

from clayline.errors import OutputConflictError
from clayline.model.manifest import Checkpoint, read_manifest
from clayline.model.vector import WORDS, Vector
from clayline.outputs.model_item import DIGEST, model_item
from clayline.run.keys import model_item_name
from clayline.run.names import AS_THEY_LIE
from clayline.run.plan import PlannedModel
from clayline_local.repository import STARTER

NAMES = ("red", "green", "blue")
LANDSAT = "cog/LC08_L1TP_001002_20200518_x.tif"
SENTINEL = "cog/S2A_MSIL2A_20190416T100031_N0211_R122_T32UQD_20190416T101112.tif"
DEGREES = 0.000_27
"""About 30 m."""
OF_LANDSAT: dict[str, Any] = {"any_gsd": True}
OF_SENTINEL: dict[str, Any] = {"model": {"sensor": "sentinel-2-l2a", "gsd": 10.0}}
CUSTOM = (
    'PROJCS["mine",GEOGCS["WGS 84",DATUM["WGS_1984",SPHEROID["WGS 84",6378137,298.257223563]],PRIMEM["Greenwich",0],'
    'UNIT["degree",0.0174532925199433]],PROJECTION["Lambert_Azimuthal_Equal_Area"],PARAMETER["latitude_of_center",50],'
    'PARAMETER["longitude_of_center",11],PARAMETER["false_easting",0],PARAMETER["false_northing",0],UNIT["metre",1]]'
)


def item_of(pipeline: Pipeline, key: str) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Embed a scene; give its Item, and all outputs by kind."""
    pipeline.run(key)
    [event] = pipeline.announced()
    assert event["type"] == "SceneEmbedded", event
    found = pipeline.outputs()
    files = {kind: found[uri.removeprefix(f"s3://{OUT}/")] for kind, uri in event["outputs"].items()}
    assert set(files) == {"parquet", "metadata", "model", "item", "receipt"}
    return json.loads(files["item"]), files


def tile_window(make: Callable[..., Pipeline], *, side: int) -> tuple[Pipeline, str]:
    pipeline = make(**OF_SENTINEL)
    grid = scenes.utm_grid(origin=(699_960.0, 5_900_040.0))
    body = scenes.geotiff(
        scenes.noise(bands=3, height=side, width=128), crs="EPSG:32632", transform=grid, nodata=0, names=NAMES
    )
    pipeline.put(SENTINEL, body)
    return pipeline, SENTINEL


def cog(make: Callable[..., Pipeline], *, crs: str, transform: Affine, width: int = 140) -> tuple[Pipeline, str]:
    pipeline = make(**OF_LANDSAT)
    pixels = scenes.noise(bands=3, height=76, width=width)
    pipeline.put(LANDSAT, scenes.geotiff(pixels, crs=crs, transform=transform, nodata=None, names=NAMES))
    return pipeline, LANDSAT


def bundled(make: Callable[..., Pipeline], sample: Path) -> tuple[Pipeline, str]:
    pipeline = make()
    for key, body in scenes.landsat(sample).items():
        pipeline.put(key, body)
    return pipeline, "scene/item.json"


MAKERS: dict[str, Callable[[Callable[..., Pipeline], Path], tuple[Pipeline, str]]] = {
    "window-whole": lambda make, _: tile_window(make, side=128),
    "window-shifted": lambda make, _: tile_window(make, side=150),
    "window-smaller-than-a-chip": lambda make, _: tile_window(make, side=40),
    "lattice-of-an-item": bundled,
    "own-grid": lambda make, _: cog(make, crs="EPSG:32621", transform=scenes.utm_grid(gsd=0.3004)),
    "over-the-antimeridian": lambda make, _: cog(
        make, crs="EPSG:4326", transform=Affine(DEGREES, 0, 180 - 70 * DEGREES, 0, -DEGREES, 5.0)
    ),
    "a-crs-without-a-code": lambda make, _: cog(make, crs=CUSTOM, transform=Affine(30, 0, 30_000, 0, -30, 60_000)),
}
LAYOUTS = {
    "window-whole": ("regular_grid", "mgrs-32UQD"),
    "window-shifted": ("variable_grid", "mgrs-32UQD"),
    "window-smaller-than-a-chip": ("regular_grid", "mgrs-32UQD"),
    "own-grid": ("variable_grid", None),
}


@pytest.mark.parametrize("kind", MAKERS)
def test_each_kind_of_scene(make_pipeline: Callable[..., Pipeline], sample: Path, kind: str) -> None:
    pipeline, key = MAKERS[kind](make_pipeline, sample)
    item, files = item_of(pipeline, key)
    assert problems(item) == []
    assert problems(json.loads(files["model"])) == []
    properties, links = item["properties"], {link["rel"]: link["href"] for link in item["links"]}
    said = pipeline.receipt()["outputs"]
    assert (links["self"], item["collection"]) == (said["item"], pipeline.manifest.entries[0].token)
    folder = said["item"].rpartition("/")[0]
    assert links["emb:model"] == f"../{model_item_name(pipeline.manifest.entries[0].digest)}"
    assert said["model"] == f"{folder.rpartition('/')[0]}/{model_item_name(pipeline.manifest.entries[0].digest)}"
    assert (links["collection"], links["derived_from"]) == ("../collection.json", links["emb:source-data"])
    asset = item["assets"]["embeddings"]
    assert asset["file:size"] == len(files["parquet"])
    assert asset["file:checksum"] == "1220" + hashlib.sha256(files["parquet"]).hexdigest()
    layout = properties["emb:runtime_parameters"]["chip_layout"]
    if kind in LAYOUTS:
        name, grid = LAYOUTS[kind]
        assert layout["layout_type"] == name
        assert grid is None or layout["grid_id"] == grid
    else:
        assert layout["layout_type"] == "regular_grid"
    west, south, east, north = item["bbox"]
    assert (west > east) is (kind == "over-the-antimeridian")
    assert item["geometry"]["type"] == ("MultiPolygon" if west > east else "Polygon")
    assert shape(item["geometry"]).is_valid
    assert south < north
    assert (properties["datetime"] is None) is not key.startswith("cog/S2")
    code = properties["proj:code"]
    assert (code is None) is (kind == "a-crs-without-a-code")
    assert code is not None or properties["proj:wkt2"].startswith("PROJCRS")


def test_the_bbox_in_the_scenes_crs_holds_all_chips_and_nothing_else(make_pipeline: Callable[..., Pipeline]) -> None:
    pipeline, key = tile_window(make_pipeline, side=150)
    item, _ = item_of(pipeline, key)
    assert item["properties"]["proj:bbox"] == [699_960.0, 5_900_040.0 - 1_500.0, 699_960.0 + 1_280.0, 5_900_040.0]


def test_a_models_item_is_written_once_for_all_its_scenes(make_pipeline: Callable[..., Pipeline], sample: Path) -> None:
    pipeline, key = bundled(make_pipeline, sample)
    _, files = item_of(pipeline, key)
    for again, body in scenes.landsat(sample, folder="other", row=300).items():
        content = body.replace(b"LC08_L1TP_224078_20200518_20200518_01_RT", b"LC08_L1TP_224078_20200518_20200518_01_T1")
        pipeline.put(again, content if again.endswith(".json") else body)
    pipeline.run("other/item.json")
    [event] = pipeline.announced()
    assert event["type"] == "SceneEmbedded"
    assert pipeline.objects.get(event["outputs"]["model"]) == files["model"]
    item = json.loads(files["model"])
    entry = pipeline.manifest.entries[0]
    assert item["properties"][DIGEST] == entry.digest
    assert {name: asset["file:checksum"] for name, asset in item["assets"].items()} == {
        name: f"1220{pipeline.manifest.files[name].removeprefix('sha256:')}" for name in entry.files
    }


def test_what_lies_where_the_models_item_belongs_and_is_none_ends_in_an_error(
    make_pipeline: Callable[..., Pipeline], sample: Path
) -> None:
    pipeline, key = bundled(make_pipeline, sample)
    other = {"properties": {DIGEST: "sha256:" + "0" * 64}}
    entry = pipeline.manifest.entries[0]
    where = f"{entry.token}/{model_item_name(entry.digest)}"
    pipeline.s3.put_object(Bucket=OUT, Key=where, Body=json.dumps(other).encode())
    with pytest.raises(OutputConflictError, match="Move that object away"):
        pipeline.run(key)
    assert not [name for name in pipeline.outputs() if name.endswith("_receipt.json")]


def test_a_file_that_an_earlier_try_wrote_is_the_one_that_the_item_states(
    make_pipeline: Callable[..., Pipeline], sample: Path
) -> None:
    """Killed between Parquet and Item; what lies there is what counts, be it other bytes than the retry would write."""
    pipeline, key = bundled(make_pipeline, sample)
    first, files = item_of(pipeline, key)
    pipeline, key = bundled(make_pipeline, sample)
    run, stored = json.loads(files["receipt"])["run"], files["parquet"] + b" "
    assert pipeline.plan(key).run == run
    at = first["links"][0]["href"].removeprefix(f"s3://{OUT}/").removesuffix(".json")
    pipeline.s3.put_object(Bucket=OUT, Key=f"{at}.parquet", Body=stored, Metadata={"run-id": run})
    pipeline.drain()
    asset = json.loads(pipeline.objects.get(first["links"][0]["href"]))["assets"]["embeddings"]
    assert (asset["file:size"], asset["file:checksum"]) == (len(stored), f"1220{hashlib.sha256(stored).hexdigest()}")


MANIFEST = read_manifest((STARTER / "manifest.json").read_bytes(), source="the starter")
CHECKPOINTS = (
    None,
    Checkpoint(architecture="clay-v1.5-large", file="clay.ckpt", digest="sha256:" + "1" * 64),
    Checkpoint(architecture="clay-v1.5-tiny", seed=7),
)


@pytest.mark.parametrize("token", [entry.token for entry in MANIFEST.entries])
def test_each_model_of_the_starter_has_an_item_that_the_rules_accept(token: str) -> None:
    entry = MANIFEST.entry(token)
    model = PlannedModel(
        folder=MANIFEST.folder, entry=entry, licence=MANIFEST.licence, files={n: MANIFEST.files[n] for n in entry.files}
    )
    item = json.loads(model_item(model, AS_THEY_LIE, uri=f"s3://out/{token}/model.json"))
    assert problems(item) == []
    assert item["properties"]["license"] == "Apache-2.0"
    assert item["properties"]["mlm:input"][0]["bands"] == list(entry.bands)
    assert {name for name, asset in item["assets"].items() if "mlm:model" in asset["roles"]} == set(entry.graphs)


@pytest.mark.parametrize("vector", [None, *WORDS])
def test_a_models_item_says_what_its_vector_is_made_from(vector: Vector | None) -> None:
    entry = MANIFEST.entries[0]
    entry = entry.model_copy(update={"options": entry.options.model_copy(update={"vector": vector})})
    item = json.loads(model_item(PlannedModel(folder="x-v1", entry=entry), AS_THEY_LIE, uri="s3://out/x/model.json"))
    assert problems(item) == []
    assert item["properties"]["mlm:hyperparameters"].get("vector") == vector
    assert item["properties"]["mlm:output"][0].get("description") == (WORDS[vector] if vector else None)


@pytest.mark.parametrize("checkpoint", CHECKPOINTS)
def test_models_with_place_and_time_trained_or_not(checkpoint: Checkpoint | None) -> None:
    entry = MANIFEST.entries[0].model_copy(
        update={
            "inputs": ("pixels", "time", "latlon"),
            "normalisation": dict.fromkeys(MANIFEST.entries[0].bands, (1.0, 2.0)),
        }
    )
    licence = "Apache 2.0 for the code, see LICENSE"
    model = PlannedModel(folder="x-v1", entry=entry, checkpoint=checkpoint, licence=licence)
    item = json.loads(model_item(model, AS_THEY_LIE, uri="s3://out/x/model.json"))
    assert problems(item) == []
    untrained = checkpoint is not None and checkpoint.seed is not None
    assert item["properties"]["mlm:pretrained"] is not untrained
    assert ("Untrained weights" in item["properties"]["description"]) is untrained
    assert item["properties"]["license"] == "other"


def broken(item: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Give Items each of which breaks one rule, with a word of what is said then."""
    properties, assets = item["properties"], item["assets"]

    def other(**said: Any) -> dict[str, Any]:
        return {**item, **said}

    return [
        ("stac_version", other(stac_version="1.0.0")),
        ("item.json", {name: value for name, value in item.items() if name != "bbox"}),
        ("emb", other(properties={**properties, "emb:dimensions": 8})),
        ("emb-v0.0.1", other(assets={"other": assets["embeddings"]})),
        ("file-v2.1.0", other(assets={**assets, "embeddings": {**assets["embeddings"], "file:checksum": "ab"}})),
        ("projection", other(properties={**properties, "proj:bbox": [1.0, 2.0]})),
        ("processing", other(properties={**properties, "processing:level": 4})),
        ("not declared", other(stac_extensions=item["stac_extensions"][:-1])),
    ]


def test_the_rules_find_what_is_wrong(make_pipeline: Callable[..., Pipeline], sample: Path) -> None:
    pipeline, key = bundled(make_pipeline, sample)
    item, files = item_of(pipeline, key)
    for word, wrong in broken(item):
        assert any(word in each for each in problems(wrong)), word
    model = json.loads(files["model"])
    model["assets"] = {"card": {"href": "./card.md"}}
    assert any("mlm-v1.6.0" in each for each in problems(model))
    model["properties"]["mlm:tasks"] = ["dreaming"]
    assert any("stac-model" in each for each in problems(model))
