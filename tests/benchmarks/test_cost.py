"""docs/cost.md says what the program says, and the program's arithmetic is right."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from benchmarks.clay_operations import block_products, chip_operations

from benchmarks import cost
from clay.architecture import ARCHITECTURES
from clayline.run import speed
from clayline.run.prices import Instance, built_in
from clayline.run.speed import Speed
from clayline_cli.costing.deployed import Deployed

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("as_shipped", "loss", "gflop"),
    [(False, False, 697.9), (True, False, 723.7), (True, True, 912)],
)
def test_operations_of_large_are_those_of_the_model_contract(as_shipped: bool, loss: bool, gflop: float) -> None:  # noqa: FBT001
    counted = chip_operations(ARCHITECTURES["large"], bands=10, chip_size=256, as_shipped=as_shipped, loss=loss)
    assert counted / 1e9 == pytest.approx(gflop, abs=0.5)


def test_products_of_the_blocks_are_the_linear_operations_of_the_contract() -> None:
    stack = ARCHITECTURES["large"].encoder
    linear = stack.depth * sum(2 * rows * inner * columns for rows, inner, columns in block_products(stack, 1025))
    assert linear / 1e9 == pytest.approx(619.1, abs=0.1)


def test_the_page_shows_what_the_program_prints() -> None:
    program = [sys.executable, str(ROOT / "benchmarks/cost.py"), "--markdown"]
    printed = subprocess.run(program, check=True, capture_output=True, text=True, env={"PATH": ""}).stdout
    page = (ROOT / "docs/cost.md").read_text(encoding="utf-8")
    shown = page.split("<!-- begin: benchmarks/cost.py --markdown -->\n")[1].split("<!-- end -->")[0]
    assert shown == printed


def test_dollars_follow_from_price_and_speed() -> None:
    instance = Instance(name="ml.test", dollars_per_hour=3.6, lists="one", read="2026-11", vcpus=4)
    row = cost.row(instance, "fp16", Speed(chips_per_second=50.0, basis="measured"), chips=1849)
    assert row.dollars_per_million_chips == pytest.approx(20)  # 20,000 s at a thousandth of a dollar
    assert row.dollars_per_scene == pytest.approx(0.03698)
    assert row.scene_minutes == pytest.approx(0.6163, abs=1e-4)
    assert row.dollars_per_wake_up == pytest.approx(1.5)


def test_a_gpu_that_was_not_measured_is_called_projected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed, "MEASURED_GPU", {(cost.CLAY, "ml.g5.xlarge"): 30.0})
    rows = {row.instance: row for row in cost.rows() if row.precision == "fp16"}
    assert (rows["ml.g5.xlarge"].basis, rows["ml.g5.xlarge"].chips_per_second) == ("measured", 30.0)
    assert rows["ml.p5.4xlarge"].basis == "projected"
    # 989 TFLOP/s, of which 0.807 in a product, of which 0.55, for 0.6979 TFLOP a chip.
    assert rows["ml.p5.4xlarge"].chips_per_second == pytest.approx(629, abs=1)


def test_the_default_instance_is_the_cheapest_for_a_scene_that_wakes_it() -> None:
    default = Deployed.read().instance
    assert cost.cheapest(1).instance == default
    # 0.7364 against 1.127 dollars an hour for 25 minutes, and 4.95 against 4.07 a million chips: 100 scenes are even.
    assert {cost.cheapest(scenes).instance for scenes in (99, 101)} == {default, "ml.g6.xlarge"}


@pytest.mark.parametrize("size", list(ARCHITECTURES))
def test_operations_that_speeds_rest_on_are_those_of_the_architecture(size: str) -> None:
    counted = [
        chip_operations(ARCHITECTURES[size], bands=10, chip_size=speed.COUNTED_PX, loss=loss) / 1e9
        for loss in (False, True)
    ]
    assert speed.GFLOP[f"clay-v1.5-{size}"] == pytest.approx(counted, rel=1e-3)


def test_a_sentinel_2_scene_is_laid_as_plan_lays_it() -> None:
    """The layout of Earth Search's files: blocks of 1024 px."""
    work = cost.sentinel_2()
    assert (work.chips, work.jobs, work.batches, work.files) == (1849, 30, 35, 11)
    assert work.request_bytes == 1849 * 10 * 256**2 * 2


def test_beside_the_endpoint_a_scene_meets_the_target() -> None:
    assert cost.scene_cost().beside.together <= cost.TARGET


def test_every_priced_instance_is_one_that_a_package_is_registered_for() -> None:
    """Read, not imported: SageMaker's SDK is in an environment of its own."""
    registry = ast.parse((ROOT / "model" / "publish" / "registry.py").read_text())
    (types,) = (
        ast.literal_eval(node.value)
        for node in registry.body
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == "INSTANCE_TYPES" and node.value is not None
    )
    assert {instance.name for instance in built_in().instances} <= set(types)
