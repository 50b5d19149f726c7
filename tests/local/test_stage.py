"""What the command line uploads: a scene beside its Item, a COG, and either from S3."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws
from tests.pipeline.scenes import landsat

from clayline_local.errors import LocalCloudError
from clayline_local.stage import stage


@pytest.fixture
def scene(tmp_path: Path, sample: Path) -> Path:
    for key, body in landsat(sample).items():
        (tmp_path / Path(key).name).write_bytes(body)
    return tmp_path / "item.json"


@pytest.fixture
def s3() -> Iterator[Any]:
    with mock_aws():
        client = boto3.client("s3", region_name="eu-central-1")
        client.create_bucket(Bucket="theirs", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
        yield client


def test_an_item_brings_the_files_beside_it_and_lands_last(scene: Path) -> None:
    with stage(str(scene), metadata={}) as staged:
        assert sorted(key for key, _ in staged.assets) == ["item/B2.tif", "item/B3.tif", "item/B4.tif"]
        assert staged.landing == ("item/item.json", scene)


def test_what_is_missing_is_left_to_the_pipeline_to_say(scene: Path) -> None:
    (scene.parent / "B4.tif").unlink()
    with stage(str(scene), metadata={}) as staged:
        assert sorted(key for key, _ in staged.assets) == ["item/B2.tif", "item/B3.tif"]


def test_hrefs_that_lead_away_are_never_followed(scene: Path, tmp_path: Path) -> None:
    item = json.loads(scene.read_bytes())
    for href in ("/etc/passwd", "../secret.tif", "file:///etc/passwd", "https://example.com/B4.tif"):
        item["assets"]["red"]["href"] = href
        scene.write_text(json.dumps(item))
        with stage(str(scene), metadata={}) as staged:
            assert all(file.parent == tmp_path for _, file in staged.assets)
            assert len(staged.assets) == 2


def test_a_cog_lands_under_the_cog_prefix_with_its_metadata(scene: Path) -> None:
    with stage(str(scene.parent / "B4.tif"), metadata={"sensor": "landsat-c2l1"}) as staged:
        assert staged.landing == ("cog/B4.tif", scene.parent / "B4.tif")
        assert staged.metadata == {"sensor": "landsat-c2l1"}


def test_an_item_in_s3_is_fetched_with_its_bands(scene: Path, s3: Any) -> None:
    item = json.loads(scene.read_bytes())
    item["assets"]["red"]["href"] = "s3://theirs/elsewhere/B4.tif"
    s3.put_object(Bucket="theirs", Key="in/item.json", Body=json.dumps(item).encode())
    for key, name in (("in/B2.tif", "B2.tif"), ("in/B3.tif", "B3.tif"), ("elsewhere/B4.tif", "B4.tif")):
        s3.upload_file(str(scene.parent / name), "theirs", key)
    with stage("s3://theirs/in/item.json", metadata={}, remote=s3) as staged:
        bodies = {file.name.partition("-")[2]: file.read_bytes() for _, file in staged.assets}
        assert bodies == {name: (scene.parent / name).read_bytes() for name in ("B2.tif", "B3.tif", "B4.tif")}
        landed = json.loads(staged.landing[1].read_bytes())
        assert all(asset["href"].startswith("./") for asset in landed["assets"].values())
        folder = staged.landing[1].parent
    assert not folder.exists()


@pytest.mark.parametrize("target", ["nowhere.json", "README.md", "."])
def test_what_is_no_scene_is_refused(target: str) -> None:
    with pytest.raises(LocalCloudError, match=r"Give a STAC Item|neither a STAC Item"), stage(target, metadata={}):
        pass
