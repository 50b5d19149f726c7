"""Bounds of a whole scene: what a later function has no room for is refused in plan, before anything is paid."""

from collections.abc import Callable
from pathlib import Path

import pytest
import rasterio
from tests.conftest import ROOT
from tests.pipeline import scenes
from tests.pipeline.harness import WORK, Pipeline

from clayline.aws.settings import PlanSettings
from clayline.chips.batch import Batch
from clayline.errors import SceneError
from clayline.model.manifest import ModelEntry, read_manifest
from clayline.place import Place
from clayline.steps.bounds import PLAN_SECONDS, Bounds, check_batches, check_chips
from clayline.steps.planning import Planned
from clayline_cli.choosing.options import CHIPS_OF_A_SCENE
from clayline_local.template import LOCAL_PARAMETERS, TEMPLATE, expand

NAMES = ("red", "green", "blue")
COG = "cog/LC08_L1TP_001002_20200518_x.tif"
SIDE = 66_000
"""Pixels: over 1,000,000 chips of 64."""


@pytest.fixture
def entry() -> ModelEntry:
    """The starter's entry for three bands of Landsat, as if it had Clay's 1,024 numbers."""
    folder = ROOT / "model" / "starter" / "starter-v1.0"
    manifest = read_manifest((folder / "manifest.json").read_bytes(), source="starter")
    return manifest.entry("starter-v1.0-l1-rgb").model_copy(update={"dimensions": 1024})


@pytest.fixture
def sparse(tmp_path: Path) -> bytes:
    """A file of some kilobytes that declares a giant: no block of it exists."""
    path = tmp_path / "sparse.tif"
    with rasterio.open(
        path, "w", driver="GTiff", count=3, height=SIDE, width=SIDE, dtype="uint16", crs="EPSG:32621", sparse_ok=True,
        transform=scenes.utm_grid(gsd=30.0), nodata=0, tiled=True, blockxsize=4096, blockysize=4096, compress="deflate",
    ) as dataset:  # fmt: skip
        for number, name in enumerate(NAMES, start=1):
            dataset.set_band_description(number, name)
    return path.read_bytes()


def test_a_small_file_that_declares_a_giant_is_refused_at_once(
    make_pipeline: Callable[..., Pipeline], monkeypatch: pytest.MonkeyPatch, sparse: bytes
) -> None:
    """Before its chips are placed, which would take longer than plan has."""
    assert len(sparse) < 50_000
    monkeypatch.setattr("clayline.steps.drafting.lay_jobs", lambda *_, **__: pytest.fail("jobs were laid"))
    monkeypatch.setattr("clayline.steps.drafting.place", lambda *_, **__: pytest.fail("chips were placed"))
    pipeline = make_pipeline()
    pipeline.put(COG, sparse)
    assert pipeline.plan(COG).kind is Planned.FAILED
    receipt = pipeline.receipt()
    assert (receipt["status"], receipt["reason"]) == ("SceneFailed", "too-many-chips")
    assert "over the 400000 that are allowed" in receipt["message"]
    assert "the stack's parameter MaxChips" in receipt["message"]
    assert not pipeline.s3.list_objects_v2(Bucket=WORK)["KeyCount"]


def test_what_was_refused_is_taken_once_the_limit_is_raised(
    make_pipeline: Callable[..., Pipeline], sample: Path
) -> None:
    pipeline = make_pipeline(bounds=Bounds(max_chips=11))
    for key, body in scenes.landsat(sample).items():
        pipeline.put(key, body)
    assert pipeline.plan("scene/item.json").kind is Planned.FAILED
    assert pipeline.receipt()["reason"] == "too-many-chips"
    pipeline.choose(bounds=Bounds(max_chips=12))
    pipeline.put("scene/item.json", scenes.landsat(sample)["scene/item.json"])
    assert pipeline.plan("scene/item.json").kind is Planned.ENQUEUED


def test_a_batch_that_tile_cannot_hold_is_refused(make_pipeline: Callable[..., Pipeline], sample: Path) -> None:
    pipeline = make_pipeline(bounds=Bounds(tile_memory_mb=128))
    for key, body in scenes.landsat(sample).items():
        pipeline.put(key, body)
    assert pipeline.plan("scene/item.json").kind is Planned.FAILED
    receipt = pipeline.receipt()
    assert receipt["reason"] == "batch-too-large"
    assert receipt["message"].endswith("Lower the stack's parameter ChipsPerBatch.")


@pytest.mark.parametrize(
    ("chips", "bounds", "says"),
    [
        (400_001, Bounds(), "over the 400000 that are allowed"),
        (700_000, Bounds(max_chips=10**7), "take plan about 280 s of its 240"),
        (500_000, Bounds(max_chips=10**7), "would take collect 4352 MB of scratch; it has 4096 MiB"),
        (400_000, Bounds(collect_memory_mb=1024), "would take collect 1140 MB of memory; it has 1024 MiB"),
    ],
    ids=["chips", "seconds", "scratch", "memory"],
)
def test_each_resource_has_its_bound(entry: ModelEntry, chips: int, bounds: Bounds, says: str) -> None:
    with pytest.raises(SceneError) as caught:
        check_chips("x", chips, entry, bounds)
    assert caught.value.reason == "too-many-chips"
    assert says in str(caught.value)
    for place in Place:
        assert "nto tiles" in caught.value.at(place)


def test_the_scene_that_was_measured_has_room(entry: ModelEntry) -> None:
    """152,881 chips of 1,024 numbers; and the most that the chips' limit allows fits every other one."""
    check_chips("x", 152_881, entry, Bounds())
    check_chips("x", Bounds().max_chips, entry, Bounds())


@pytest.mark.parametrize(
    ("chips", "dimensions", "says"),
    [(4096, 1024, "can be cut and sent"), (700, 65_536, "that collect would hold at once")],
    ids=["request", "response"],
)
def test_a_batch_has_its_bounds(entry: ModelEntry, chips: int, dimensions: int, says: str) -> None:
    wide = entry.model_copy(update={"dimensions": dimensions, "chip_size": 256 if chips > 1000 else 64})
    batches = (Batch(name="b00000", job=0, start=0, stop=3), Batch(name="b00001", job=0, start=3, stop=3 + chips))
    with pytest.raises(SceneError, match=says) as caught:
        check_batches("x", batches, wide, Bounds(), job_bytes=128_000_000)
    assert caught.value.reason == "batch-too-large"
    check_batches("x", batches[:1], wide, Bounds(), job_bytes=128_000_000)


def test_the_bounds_are_those_of_the_template() -> None:
    """Plan's settings, the command's default and the template say the same; the functions have what plan counts on."""
    stack = expand(TEMPLATE, LOCAL_PARAMETERS)
    plan, collect = (stack.resources[f"{name}Function"].properties for name in ("Plan", "Collect"))
    given = {name: str(value) for name, value in plan["Environment"]["Variables"].items()}
    fields, bounds = PlanSettings.model_fields, Bounds()
    for setting, value in {
        "max_chips": bounds.max_chips,
        "collect_scratch_mb": bounds.scratch_mb,
        "collect_memory_mb": bounds.collect_memory_mb,
        "tile_memory_mb": bounds.tile_memory_mb,
    }.items():
        assert fields[setting].default == value
        assert given[f"CLAYLINE_{setting.upper()}"] == str(value)
    assert bounds.max_chips == CHIPS_OF_A_SCENE
    assert plan["Timeout"] == PLAN_SECONDS
    assert int(collect["EphemeralStorage"]["Size"]) == bounds.scratch_mb
    assert int(collect["MemorySize"]) == bounds.collect_memory_mb
    assert int(stack.resources["TileFunction"].properties["MemorySize"]) == bounds.tile_memory_mb
