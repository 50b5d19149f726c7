"""The dry run says what plan does: the same draft, the same run, the same refusal, of files that no cloud has seen."""

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.pipeline import scenes
from tests.pipeline.harness import WORK, Pipeline

from clayline.place import Place
from clayline.run.encoding import VectorEncoding
from clayline.run.keys import WorkObjects
from clayline.run.plan import PlannedChips, Thresholds
from clayline.run.stored_plan import load_plan
from clayline.scene.radiometry import BoaOverride
from clayline.steps.planning import Planned
from clayline_cli.staging.stage import Staging, stage
from clayline_local.dry_run import DryRun, dry_run
from clayline_local.staged_objects import SCENE_NAMES, SCENES_BUCKET

NAMES = ("red", "green", "blue")
LANDSAT = "LC08_L1TP_001002_20200518_x.tif"
METADATA = {"sensor": "landsat-c2l1", "datetime": "2020-05-18"}


@pytest.fixture(autouse=True)
def same_bucket(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let both have the same URIs: they are part of a run's identity."""
    monkeypatch.setattr("tests.pipeline.harness.SCENES", SCENES_BUCKET)


def both(
    pipeline: Pipeline, target: Path, *, assets: Path | None = None, metadata: Mapping[str, str] | None = None
) -> tuple[DryRun, Planned, str]:
    """Plan a scene and plan it dry; gives also what plan did and the key that landed."""
    pipeline.choose(names=SCENE_NAMES, place=Place.CLI)
    with stage(str(target), staging=Staging(assets=assets), metadata=metadata) as staged:
        found = dry_run(staged, manifest=pipeline.manifest, options=pipeline.options, digest=True)
        for key, file in staged.assets:
            pipeline.put(key, file.read_bytes())
        key, file = staged.landing
        pipeline.put(key, file.read_bytes(), **staged.metadata)
        return found, pipeline.plan(key).kind, key


def assert_same(pipeline: Pipeline, found: DryRun, kind: Planned) -> None:
    assert kind is Planned.ENQUEUED
    assert found.refused is None
    assert found.landed is not None
    assert found.draft is not None
    [row] = [row for row in pipeline.table.scan()["Items"] if row["sk"] == "scene"]
    work = WorkObjects(bucket=WORK, run=str(row["pk"]).removeprefix("run#"))
    plan, chips = load_plan(pipeline.objects, work), PlannedChips.from_bytes(pipeline.objects.get(work.chips))
    draft = found.draft
    assert found.landed.run == plan.run
    assert found.landed.options == plan.options
    assert found.entry == plan.model.entry
    assert (draft.scene, draft.bands) == (plan.scene, plan.bands)
    assert (draft.mask, draft.validity) == (plan.mask, plan.validity)
    assert (draft.grid, draft.jobs, draft.batches) == (plan.grid, plan.jobs, plan.batches)
    assert draft.warnings == plan.warnings
    assert draft.chips.uci == chips.uci
    np.testing.assert_array_equal(draft.chips.corners, chips.corners)


def written(folder: Path, files: Mapping[str, bytes]) -> Path:
    """Write files side by side; gives the last."""
    folder.mkdir()
    for key, body in files.items():
        (folder / Path(key).name).write_bytes(body)
    return folder / Path(list(files)[-1]).name


def sentinel(**properties: Any) -> dict[str, bytes]:
    """Give a scene of three bands of 10 m, the classes at 20 m, its Item last."""
    pixels = scenes.noise(bands=3, height=150, width=200)
    grid: dict[str, Any] = {"crs": "EPSG:32632", "transform": scenes.utm_grid(), "nodata": 0}
    coarse: dict[str, Any] = {"crs": "EPSG:32632", "transform": scenes.utm_grid(gsd=20.0), "nodata": 0}
    files = {f"{name}.tif": scenes.geotiff(pixels[[at]], **grid) for at, name in enumerate(NAMES)}
    files["scl.tif"] = scenes.geotiff(np.full((1, 75, 100), 4, np.uint8), **coarse)
    item = {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": "S2A_x",
        "collection": "sentinel-2-l2a",
        "geometry": None,
        "properties": {"datetime": "2020-02-19T11:06:00Z", **properties},
        "assets": {
            name.removesuffix(".tif"): {"href": f"./{name}", "type": "image/tiff; application=geotiff"}
            for name in files
        },
    }
    return {**files, "item.json": json.dumps(item).encode()}


def cog(*, gsd: float = 30.0, dtype: str = "uint16", names: tuple[str, ...] = NAMES, side: int = 192) -> bytes:
    pixels = scenes.noise(bands=len(names), height=side, width=side).astype(dtype)
    return scenes.geotiff(pixels, crs="EPSG:32621", transform=scenes.utm_grid(gsd=gsd), nodata=0, names=names)


def test_the_bundled_scene(make_pipeline: Callable[..., Pipeline], sample: Path) -> None:
    pipeline = make_pipeline(chips_per_batch=64)
    found, kind, _ = both(pipeline, next(sample.glob("*.json")))
    assert_same(pipeline, found, kind)
    assert found.draft
    assert len(found.draft.grid) == 990


def test_files_that_lie_elsewhere(make_pipeline: Callable[..., Pipeline], sample: Path, tmp_path: Path) -> None:
    """What is relinked and where it was published is the same in both."""
    files = scenes.landsat(sample)
    item = json.loads(files.pop("scene/item.json"))
    for asset in item["assets"].values():
        asset["href"] = f"https://example.org/published/{Path(asset['href']).name}"
    written(tmp_path / "files", files)
    target = written(tmp_path / "item", {"item.json": json.dumps(item).encode()})
    pipeline = make_pipeline()
    found, kind, _ = both(pipeline, target, assets=tmp_path / "files")
    assert_same(pipeline, found, kind)
    assert found.draft
    assert {band.declared for band in found.draft.bands} == {
        f"https://example.org/published/B{n}.tif" for n in (2, 3, 4)
    }


@pytest.mark.parametrize(
    "options",
    [
        {"chips_per_batch": 1},
        {"boa": BoaOverride.NOT_APPLIED},
        {"thresholds": Thresholds(max_cloud_fraction=0.5), "encoding": VectorEncoding.COMPACT, "creator": "somebody"},
        {"memory_budget": 100_000},
    ],
    ids=["batches", "boa", "identity", "jobs"],
)
def test_a_scene_with_classes_under_other_options(
    make_pipeline: Callable[..., Pipeline], tmp_path: Path, options: dict[str, Any]
) -> None:
    pipeline = make_pipeline(model={"sensor": "sentinel-2-l2a", "gsd": 10.0}, **options)
    found, kind, _ = both(pipeline, written(tmp_path / "scene", sentinel()))
    assert_same(pipeline, found, kind)
    assert found.draft
    assert found.draft.mask


def test_a_geotiff_of_which_options_say_what_it_is(make_pipeline: Callable[..., Pipeline], tmp_path: Path) -> None:
    pipeline = make_pipeline()
    found, kind, _ = both(pipeline, written(tmp_path / "scene", {"field.tif": cog()}), metadata=METADATA)
    assert_same(pipeline, found, kind)
    assert found.source
    assert found.source.identity == METADATA


def test_a_warning_is_told_before(make_pipeline: Callable[..., Pipeline], tmp_path: Path) -> None:
    pipeline = make_pipeline(any_gsd=True)
    found, kind, _ = both(pipeline, written(tmp_path / "scene", {LANDSAT: cog(gsd=0.3004, side=76)}))
    assert_same(pipeline, found, kind)
    assert found.draft
    assert [warning.reason for warning in found.draft.warnings] == ["own-grid"]


SHORT = cog()[:3000]
REFUSED: dict[str, dict[str, bytes]] = {
    "wrong-gsd": {LANDSAT: cog(gsd=20.0)},
    "unknown-units": {LANDSAT: cog(dtype="float32")},
    "no-model-entry": {LANDSAT: cog(names=("nir08",))},
    "no-bands": {LANDSAT: cog(names=("a", "b"))},
    "unknown-product": {"field.tif": cog()},
    "no-acquisition-time": {"LC08_L1TP_001002_x.tif": cog()},
    "truncated": {LANDSAT: SHORT},
    "asset-missing": {name: body for name, body in sentinel().items() if name != "green.tif"},
    "boa-contradiction": sentinel(**{"s2:boa_add_offset": -1000, "earthsearch:boa_offset_applied": True}),
    "boa-unknown": sentinel(datetime="2023-02-19T11:06:00Z"),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_a_refusal_is_the_same(make_pipeline: Callable[..., Pipeline], tmp_path: Path, reason: str) -> None:
    is_item = "item.json" in REFUSED[reason]
    pipeline = make_pipeline(model={"sensor": "sentinel-2-l2a", "gsd": 10.0} if is_item else {})
    found, kind, _ = both(pipeline, written(tmp_path / "scene", REFUSED[reason]))
    assert kind is Planned.FAILED
    assert found.draft is None
    assert found.refused
    receipt = pipeline.receipt()
    assert (found.refused.reason, found.refused.reason) == (receipt["reason"], reason)
    # GDAL's own words have the name of the file that it opened, which the harness fetches under another.
    said = re.sub(r"\(\d+\.tif:", f"({LANDSAT}:", receipt["message"])
    assert found.refused.at(Place.CLI) == said
