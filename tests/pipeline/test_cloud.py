"""Clouds through the whole chain: masks of every kind, their fill, and a threshold that cannot be applied."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray
from tests.pipeline import scenes
from tests.pipeline.harness import Pipeline, failed
from tests.pipeline.test_masks import COLOURS, HEIGHT, NAME, WIDTH, cog, provenance_of, rows_of, windows_of

from clayline.run.plan import Thresholds

TIFF = "image/tiff; application=geotiff; profile=cloud-optimized"
GRID: dict[str, Any] = {"crs": "EPSG:32621", "transform": scenes.utm_grid(gsd=30.0), "nodata": 0}


def landsat(assets: dict[str, dict[str, Any]]) -> dict[str, bytes]:
    """Give a Landsat scene of noise whose Item has these assets beside its bands."""
    pixels = scenes.noise(bands=3, height=HEIGHT, width=WIDTH)
    content = {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": "LC08_L1TP_224078_20200518_20200518_01_RT",
        "collection": "landsat-c2-l1",
        "geometry": None,
        "properties": {"datetime": "2020-05-18T13:35:00Z", "platform": "landsat-8"},
        "assets": {**{name: {"href": f"{name}.tif", "type": TIFF} for name in COLOURS}, **assets},
    }
    files = {f"scene/{name}.tif": scenes.geotiff(pixels[[at]], **GRID) for at, name in enumerate(COLOURS)}
    return {**files, "scene/item.json": json.dumps(content).encode()}


def run(
    make_pipeline: Callable[..., Pipeline], files: dict[str, bytes], key: str = "scene/item.json", **how: Any
) -> Pipeline:
    pipeline = make_pipeline(chips_per_batch=7, **how)
    for name, body in files.items():
        pipeline.put(name, body)
    pipeline.run(key)
    assert pipeline.receipt()["status"] == "SceneEmbedded", pipeline.receipt()["message"]
    return pipeline


def check(
    pipeline: Pipeline, cloudy: NDArray[np.bool_], known: NDArray[np.bool_], valid: NDArray[np.bool_] | None = None
) -> None:
    """Compare every row's fraction with numpy's."""
    valid = np.ones(cloudy.shape, np.bool_) if valid is None else valid
    window, nulls = windows_of(pipeline), 0
    for index, row in rows_of(pipeline).items():
        seen = window(valid, index)
        judged = seen & window(known, index)
        if judged.sum() < seen.sum() / 2:
            assert row["cloud_fraction"] is None
            nulls += 1
        else:
            assert row["cloud_fraction"] == pytest.approx((window(cloudy, index) & judged).sum() / judged.sum())
    assert 0 < nulls < len(rows_of(pipeline)) or known.all()


def quality() -> NDArray[np.uint16]:
    """Make USGS's numbers [h, w]: clear, then cloud, shadow, cirrus, dilated cloud, and fill in the lower left."""
    numbers = np.full((HEIGHT, WIDTH), 21824, np.uint16)
    numbers[:40, 60:130], numbers[40:60, 60:130] = 22280, 23888
    numbers[:60, 130:150], numbers[60:70, 60:150] = 54596, 21762
    numbers[64:, :90] = 1
    return numbers


def test_landsats_quality_band(make_pipeline: Callable[..., Pipeline]) -> None:
    files = landsat({"qa_pixel": {"href": "QA.tif", "type": TIFF, "roles": ["cloud", "cloud-shadow"]}})
    files = {"scene/QA.tif": scenes.geotiff(quality()[None], **{**GRID, "nodata": 1}), **files}
    pipeline = run(make_pipeline, files)
    check(pipeline, np.isin(quality(), (22280, 23888, 54596)), quality() != 1)
    said = provenance_of(pipeline)["cloud"]
    assert (said["mask"], said["chosen_by"]) == ("qa_pixel", "name")
    assert [(kind["meaning"], kind["bit"]) for kind in said["cloud"]] == [
        ("cirrus", 2),
        ("cloud", 3),
        ("cloud shadow", 4),
    ]


def test_a_redrive_takes_over_clouds_too(make_pipeline: Callable[..., Pipeline]) -> None:
    """Known and unknown fractions of the rows that are not computed again are those of a quiet run."""
    files = landsat({"qa_pixel": {"href": "QA.tif", "type": TIFF, "roles": ["cloud"]}})
    files = {"scene/QA.tif": scenes.geotiff(quality()[None], **{**GRID, "nodata": 1}), **files}
    quiet = rows_of(run(make_pipeline, files))
    pipeline = make_pipeline(chips_per_batch=7)
    for name, body in files.items():
        pipeline.put(name, body)

    def fail_first(sent: list[dict[str, Any]]) -> list[dict[str, Any]]:
        first = sent[0]
        return [failed(first["requestParameters"]["inputLocation"], first["inferenceId"]), *sent[1:]]

    pipeline.run("scene/item.json", change=fail_first)
    [event] = pipeline.announced()
    assert event["type"] == "ScenePartial"
    pipeline.order("redrive", event["run"])
    pipeline.drain()
    [event] = pipeline.announced()
    assert (event["type"], 0 < event["taken_over"] < event["counts"]["planned"]) == ("SceneEmbedded", True)
    assert rows_of(pipeline, "_v002.parquet") == quiet


def test_a_mask_that_covers_a_part_of_the_scene(make_pipeline: Callable[..., Pipeline]) -> None:
    """0 of a quality band would be a clear pixel; where there is no mask, nothing is known."""
    part = np.full((1, 80, WIDTH), 22280, np.uint16)
    files = {"scene/QA.tif": scenes.geotiff(part, **GRID), **landsat({"qa_pixel": {"href": "QA.tif", "type": TIFF}})}
    covered = np.zeros((HEIGHT, WIDTH), np.bool_)
    covered[:80] = True
    check(run(make_pipeline, files), covered, covered)


def test_a_mask_inside_the_cog(make_pipeline: Callable[..., Pipeline]) -> None:
    pixels = scenes.noise(bands=3, height=HEIGHT, width=WIDTH)
    for interleave in ("pixel", "band"):
        body = cog(np.concatenate([pixels, quality()[None]]), (*COLOURS, "QA_PIXEL"), interleave=interleave)
        pipeline = run(make_pipeline, {NAME: body}, NAME)
        check(pipeline, np.isin(quality(), (22280, 23888, 54596)), quality() != 1)
        assert provenance_of(pipeline)["cloud"]["chosen_by"] == "description"


def test_a_mask_by_its_role_and_one_by_its_classes(make_pipeline: Callable[..., Pipeline]) -> None:
    numbers = np.zeros((1, HEIGHT, WIDTH), np.uint8)
    numbers[0, :50], numbers[0, 100:, :120] = 1, 77
    classes = [{"value": 0, "name": "clear"}, {"value": 1, "name": "cloud"}]
    for described, chosen_by in (
        ({"roles": ["cloud"]}, "role"),
        ({"classification:classes": classes}, "classification"),
    ):
        assets = {"mine": {"href": "m.tif", "type": TIFF, **described}}
        files = {"scene/m.tif": scenes.geotiff(numbers, **{**GRID, "nodata": None}), **landsat(assets)}
        pipeline = run(make_pipeline, files)
        check(pipeline, numbers[0] == 1, numbers[0] != 77)
        assert provenance_of(pipeline)["cloud"]["chosen_by"] == chosen_by


def test_a_data_mask_of_the_item(make_pipeline: Callable[..., Pipeline]) -> None:
    numbers = np.ones((1, HEIGHT, WIDTH), np.uint8)
    numbers[0, :70, :90] = 0
    files = landsat({"valid": {"href": "v.tif", "type": TIFF, "roles": ["data-mask"]}})
    files = {"scene/v.tif": scenes.geotiff(numbers, **{**GRID, "nodata": None}), **files}
    pipeline = run(make_pipeline, files)
    window = windows_of(pipeline)
    for index, row in rows_of(pipeline).items():
        assert row["valid_fraction"] == pytest.approx(window(numbers[0] == 1, index).mean())
        assert row["cloud_fraction"] is None
    assert provenance_of(pipeline)["cloud"] is None
    assert [said["kind"] for said in provenance_of(pipeline)["source"]["validity"]] == ["data-mask"]


@pytest.mark.parametrize("limit", [1.0, 0.4])
def test_a_threshold_that_cannot_be_applied_is_told(make_pipeline: Callable[..., Pipeline], limit: float) -> None:
    pipeline = run(make_pipeline, landsat({}), thresholds=Thresholds(max_cloud_fraction=limit))
    expected = ["cloud-unknown"] if limit < 1 else []
    told = [warning for warning in pipeline.receipt()["warnings"] if warning["reason"] == "cloud-unknown"]
    assert [warning["reason"] for warning in told] == expected
    (event,) = pipeline.announced()
    assert [warning for warning in event["warnings"] if warning["reason"] == "cloud-unknown"] == told
    assert all("MaxCloudFraction" in warning["message"] for warning in told)


def test_a_threshold_leaves_out_what_is_known_to_be_cloudy(make_pipeline: Callable[..., Pipeline]) -> None:
    files = {
        "scene/QA.tif": scenes.geotiff(quality()[None], **GRID),
        **landsat({"qa_pixel": {"href": "QA.tif", "type": TIFF}}),
    }
    every = {index: row["cloud_fraction"] for index, row in rows_of(run(make_pipeline, files)).items()}
    pipeline = run(make_pipeline, files, thresholds=Thresholds(max_cloud_fraction=0.3))
    kept = {index for index, share in every.items() if share is None or share <= 0.3}
    assert set(rows_of(pipeline)) == kept < set(every)
    assert pipeline.receipt()["counts"]["skipped"]["cloud-above-threshold"] == len(every) - len(kept)
    assert not [warning for warning in pipeline.receipt()["warnings"] if warning["reason"] == "cloud-unknown"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"dtype": "float32"}, "unusable-mask"),
        ({"crs": "EPSG:32622"}, "mixed-crs"),
    ],
)
def test_a_mask_that_cannot_be_used_is_refused(
    make_pipeline: Callable[..., Pipeline], change: dict[str, Any], reason: str
) -> None:
    numbers = quality()[None].astype(change.get("dtype", "uint16"))
    files = landsat({"qa_pixel": {"href": "QA.tif", "type": TIFF}})
    files["scene/QA.tif"] = scenes.geotiff(numbers, **{**GRID, "crs": change.get("crs", GRID["crs"])})
    pipeline = make_pipeline()
    for name, body in files.items():
        pipeline.put(name, body)
    pipeline.run("scene/item.json")
    assert (pipeline.receipt()["status"], pipeline.receipt()["reason"]) == ("SceneFailed", reason)


def test_colombias_quality_band(make_pipeline: Callable[..., Pipeline], shared_data: Path) -> None:
    folder = shared_data / "landsat8_colombia_2019"
    (path,) = folder.glob("*_SR_stac.json")
    content = json.loads(path.read_bytes())
    files, planes, published = {}, [], content.pop("assets")
    content["assets"] = {}
    for key in ("SR_B4.TIF", "SR_B3.TIF", "SR_B2.TIF", "QA_PIXEL.TIF"):
        (file,) = folder.glob(f"*_{key}")
        files[f"scene/{key}"] = file.read_bytes()
        content["assets"][key] = {**published[key], "href": f"./{key}"}
        with rasterio.open(file) as dataset:
            planes.append(dataset.read(1))
    files["scene/item.json"] = json.dumps(content).encode()
    pipeline = run(
        make_pipeline, files, model={"sensor": "landsat-c2l2-sr", "gsd": 30.0}, any_gsd=True, any_pixel_shape=True
    )
    quality_band = planes.pop()
    valid = np.logical_and.reduce([plane != 0 for plane in planes])
    cloudy = (quality_band & 0b11100) > 0
    check(pipeline, cloudy, quality_band & 1 == 0, valid)


def test_at_the_limit_a_chip_is_not_above_it(make_pipeline: Callable[..., Pipeline]) -> None:
    """819 of 4,095 pixels are a fifth; as float32 that is a little more, and no reason to leave the chip out."""
    numbers = np.full((HEIGHT, WIDTH), 21824, np.uint16)
    pipeline = run(make_pipeline, _clouded(numbers))
    window = windows_of(pipeline)
    index = next(index for index in rows_of(pipeline) if window(np.ones_like(numbers), index).all())
    inside = window(np.arange(numbers.size).reshape(numbers.shape), index).ravel()
    assert len(inside) == 4_096
    for cloudy, taken in ((819, True), (820, False)):
        numbers.ravel()[inside] = 21824
        numbers.ravel()[inside[0]] = 1  # of no known class
        numbers.ravel()[inside[1 : cloudy + 1]] = 22280
        found = run(make_pipeline, _clouded(numbers), thresholds=Thresholds(max_cloud_fraction=0.2))
        assert (index in rows_of(found)) is taken
    assert found.receipt()["counts"]["skipped"] == {"cloud-above-threshold": 1}


def _clouded(numbers: NDArray[np.uint16]) -> dict[str, bytes]:
    files = landsat({"qa_pixel": {"href": "QA.tif", "type": TIFF, "roles": ["cloud"]}})
    return {"scene/QA.tif": scenes.geotiff(numbers[None], **{**GRID, "nodata": 1}), **files}
