"""Which run a landing is about: everything that was read of it decides, whatever the objects' bytes are."""

import dataclasses
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from clayline.model.manifest import read_manifest
from clayline.ports import ObjectHead
from clayline.scene import acquisition, recognition
from clayline.scene.intake import Landing, Mode
from clayline.scene.item import BandAsset
from clayline.scene.source import LandedScene, SceneSource

STARTER = Path(__file__).parents[2] / "model" / "starter" / "starter-v1.0" / "manifest.json"
NAME = "LC08_L1TP_224078_20200518_20200518_01_RT.tif"
URI = f"s3://scenes/cog/{NAME}"


@pytest.fixture
def landed() -> LandedScene:
    product = recognition.of_file_name(NAME)
    assert product is not None
    source = SceneSource(
        name=URI,
        hash="0123456789ab",
        uri=URI,
        etag="etag",
        collection=None,
        product=product,
        platform=NAME,
        properties={},
        acquired=acquisition.from_cog(scene=URI, metadata={}, file_name=NAME, tags={}, tiff_datetime=False),
        bands=(BandAsset(name="red", uri=URI, band=1),),
        mask=None,
        tile=None,
        identity={},
    )
    manifest = read_manifest(STARTER.read_bytes(), source=str(STARTER))
    entry = manifest.choose(scene=URI, sensor=product.sensor, bands=frozenset({"red", "green", "blue"}))
    landing = Landing(mode=Mode.COG, bucket="scenes", key=f"cog/{NAME}", size=1, etag="etag", landing="0" * 32)
    heads = {URI: ObjectHead(uri=URI, size=1, etag="etag", metadata={})}
    return LandedScene(
        landing=landing, landed_uri=URI, source=source, entry=entry, heads=heads, options={"boa": "auto"}
    )


def _read_otherwise(source: SceneSource) -> dict[str, Any]:
    """Give, by what was read, a source that differs in that alone: URI and bytes are the same."""
    days = {edge: getattr(source.acquired, edge) + timedelta(days=1) for edge in ("start", "end")}
    other = next(product for product in recognition.products() if product.sensor != source.product.sensor)
    changes: dict[str, dict[str, Any]] = {
        "date": {"acquired": dataclasses.replace(source.acquired, **days)},
        "where the date was read": {"acquired": dataclasses.replace(source.acquired, source="tiff-tag")},
        "satellite": {"platform": NAME.replace("LC08", "LC09")},
        "product": {"product": other},
        "scene": {"hash": "ba9876543210"},
        "bytes": {"etag": "another"},
    }
    return {name: dataclasses.replace(source, **change) for name, change in changes.items()}


@pytest.mark.parametrize("what", ["date", "where the date was read", "satellite", "product", "scene", "bytes"])
def test_what_was_read_decides_the_run(landed: LandedScene, what: str) -> None:
    other = dataclasses.replace(landed, source=_read_otherwise(landed.source)[what])
    assert other.run != landed.run


def test_the_same_is_the_same_run_wherever_it_landed(landed: LandedScene) -> None:
    assert dataclasses.replace(landed, landed_uri="s3://scenes/elsewhere.tif").run == landed.run
