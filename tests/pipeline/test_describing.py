"""A dataset's Collections and data cards: what the rules accept, and what its scenes are."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import shapely
import yaml
from tests.dataset.world import Memory
from tests.outputs.published import card_problems, problems
from tests.pipeline import scenes
from tests.pipeline.harness import Pipeline

from clayline.dataset.scene_row import Box, SceneRow
from clayline.errors import DatasetError
from clayline.steps.describing import COLLECTION, LOOKED_AT, NAME, describe
from clayline.table.scene_rows import encode_rows

TOKEN = "tiny-v1.0-test"
ROW = SceneRow(
    token=TOKEN,
    digest="sha256:" + "1" * 64,
    scene="0" * 12,
    revision=1,
    run="a" * 32,
    status="SceneEmbedded",
    item_id="one",
    instrument="landsat8-oli-l1",
    start=datetime(2024, 6, 1, 10, tzinfo=UTC),
    end=datetime(2024, 6, 1, 10, tzinfo=UTC),
    created=datetime(2024, 6, 2, tzinfo=UTC),
    box=Box(west=10.0, south=1.0, east=11.0, north=2.0),
    geometry=shapely.to_wkb(shapely.box(10, 1, 11, 2)),
    gsd=30.0,
    square="32NKF",
    rows=12,
    size=4_000,
    etag="e",
    dimensions=8,
    href=f"{TOKEN}/{'0' * 12}/32NKF_20240601_20240601_v001.parquet",
)


def row(number: int, **said: Any) -> SceneRow:
    scene = f"{number:012x}"
    href = f"{said.get('token', TOKEN)}/{scene}/32NKF_20240601_20240601_v001.parquet"
    at = ROW.created + timedelta(days=number)
    return replace(ROW, **{"scene": scene, "item_id": f"item-{number}", "href": href, "created": at, **said})


def item(*, source: str = "s3://scenes/a/item.json", layout: str = "regular_grid") -> dict[str, Any]:
    return {
        "properties": {
            "emb:runtime_parameters": {
                "chip_layout": {"layout_type": layout, "chip_size": [64, 64], "stride": [64, 64], "grid_id": "g"},
                "untrained": False,
                "source_collection": "landsat-c2l1",
                "source_creator": "the tests",
            }
        },
        "links": [{"rel": "emb:source-data", "href": source}],
    }


def dataset(rows: list[SceneRow], **said: Any) -> Memory:
    root = Memory()
    for number, each in enumerate(rows):
        body = item(**{"source": f"s3://scenes/{number}/item.json", **said})
        root.replace(each.href.removesuffix(".parquet") + ".json", json.dumps(body).encode(), etag=None)
    return root


def read(root: Memory, key: str) -> Any:
    return json.loads(root.get(key, most=1 << 20)[0])


def test_what_is_written_of_real_scenes_is_valid_and_leads_from_the_items(
    make_pipeline: Callable[..., Pipeline], sample: Path
) -> None:
    pipeline = make_pipeline()
    for key, body in scenes.landsat(sample).items():
        pipeline.put(key, body)
    pipeline.run("scene/item.json")
    root = Memory()
    for key, body in pipeline.outputs().items():
        root.replace(key, body, etag=None)
    [key] = [key for key in root.objects if key.endswith(".parquet")]
    receipt = pipeline.receipt()
    written = describe(root, [row(1, href=key, digest=pipeline.manifest.entries[0].digest, rows=12)])
    assert set(written) == {COLLECTION, f"{TOKEN}/collection.json", f"{TOKEN}/card.json", f"{TOKEN}/card.md"}
    collection = read(root, f"{TOKEN}/collection.json")
    assert problems(collection) == []
    assert problems(read(root, COLLECTION)) == []
    card = read(root, f"{TOKEN}/card.json")
    assert card_problems(card) == []
    made = read(root, key.removesuffix(".parquet") + ".json")
    assert (made["collection"], collection["emb:dimensions"]) == (collection["id"], 8)
    parent = next(link["href"] for link in made["links"] if link["rel"] == "collection")
    assert parent == "../collection.json"
    source = next(link["href"] for link in collection["links"] if link["rel"] == "emb:source-data")
    assert source == receipt["source_uri"]
    assert collection["emb:chip_layout"] == made["properties"]["emb:runtime_parameters"]["chip_layout"]
    assert card["creator"] == "the tests"
    text = root.get(f"{TOKEN}/card.md", most=1 << 20)[0].decode()
    head = re.match(r"---\n(.*?)\n---\n", text, re.DOTALL)
    assert head
    assert yaml.safe_load(head[1]) == card


def test_many_scenes_of_two_models_over_the_antimeridian() -> None:
    west = Box(west=179.0, south=-3.0, east=-179.5, north=-2.0)
    rows = [
        row(1, box=west),
        row(2, box=Box(west=-179.0, south=0.0, east=-178.0, north=1.0), gsd=10.0),
        row(3, token="other-v2-x", dimensions=16, start=ROW.start - timedelta(days=400)),
    ]
    root = dataset(rows)
    describe(root, rows)
    collection, whole = read(root, f"{TOKEN}/collection.json"), read(root, COLLECTION)
    assert [problems(each) for each in (collection, whole, read(root, "other-v2-x/collection.json"))] == [[], [], []]
    assert collection["extent"]["spatial"]["bbox"] == [[179.0, -3.0, -178.0, 1.0]]
    assert "gsd" not in collection
    assert collection["summaries"]["gsd"] == {"minimum": 10.0, "maximum": 30.0}
    source = next(link["href"] for link in collection["links"] if link["rel"] == "emb:source-data")
    assert source == "s3://scenes/"
    children = [link["href"] for link in whole["links"] if link["rel"] == "child"]
    assert children == ["../other-v2-x/collection.json", f"../{TOKEN}/collection.json"]
    assert whole["extent"]["temporal"]["interval"][0][0].startswith("2023-04")
    assert read(root, "other-v2-x/collection.json")["emb:dimensions"] == 16
    card = read(root, f"{TOKEN}/card.json")
    assert card_problems(card) == []
    assert card["grid_spacing"] == [[640.0, 640.0], [1920.0, 1920.0]]
    assert whole["id"] == NAME
    assert pq.read_table(BytesIO(encode_rows(rows))).column("collection").to_pylist() == [
        made.token for made in sorted(rows, key=lambda made: (made.square, made.start, made.token, made.scene))
    ]


@pytest.mark.parametrize("scenes_there", [LOOKED_AT, LOOKED_AT + 1, 1_200])
def test_a_models_description_costs_the_same_however_many_scenes_it_has(scenes_there: int) -> None:
    rows = [row(number) for number in range(scenes_there)]
    root = dataset(rows)
    root.requests.clear()
    describe(root, rows)
    assert root.requests["get"] <= LOOKED_AT + 1 + 4
    collection = read(root, f"{TOKEN}/collection.json")
    assert problems(collection) == []
    assert collection["emb:chip_layout"]["layout_type"] == (
        "regular_grid" if scenes_there <= LOOKED_AT else "variable_grid"
    )
    linked = [link for link in collection["links"] if link["rel"] == "item"]
    assert len(linked) == (scenes_there if scenes_there <= 1_000 else 0)


def test_what_is_there_already_is_not_written_again() -> None:
    rows = [row(1), row(2)]
    root = dataset(rows)
    assert len(describe(root, rows)) == 4
    assert describe(root, rows) == []
    assert len(describe(root, rows[:1])) == 4


def test_a_model_whose_items_are_gone_is_left_out_and_one_that_is_none_is_told() -> None:
    rows = [row(1), row(2, token="other-v2-x")]
    root = dataset(rows[:1])
    assert not any(key.startswith("other") for key in describe(root, rows))
    root.replace(rows[1].href.removesuffix(".parquet") + ".json", b'{"properties": {}}', etag=None)
    with pytest.raises(DatasetError, match="other-v2-x"):
        describe(root, rows)


def test_the_rules_find_what_a_collection_lacks() -> None:
    rows = [row(1)]
    root = dataset(rows)
    describe(root, rows)
    collection = read(root, f"{TOKEN}/collection.json")
    for name in ("emb:dimensions", "data_type", "emb:type", "extent"):
        assert problems({key: value for key, value in collection.items() if key != name}), name
    assert problems({**collection, "links": [link for link in collection["links"] if link["rel"] != "emb:model"]})
    card = read(root, f"{TOKEN}/card.json")
    for name in ("grid_spacing", "model_link", "creator", "embedding_temporal_type"):
        assert card_problems({key: value for key, value in card.items() if key != name}), name
