"""How many chips a second a model is expected to do on an instance: measured where it was, else projected, else
unknown.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from clayline.model.manifest import Checkpoint, ModelEntry
from clayline.run.prices import Instance

MATMUL_OF_PEAK: Final = 798 / 989
"""Matmul rate over datasheet peak, assumed for every GPU: others noted 798 TFLOP/s on one H100 (PyTorch, bf16, 8192
cubed). Not ours."""
SHARE_OF_MATMUL: Final = 0.55
"""The goal for ``large`` fp16; not measured yet. benchmarks/clay_gpu.py measures it."""
MEASURED_GPU: Final[Mapping[tuple[str, str], float]] = {}
"""Chips a second, fp16, by architecture and instance type, where clay_gpu.py has run. None has been measured."""
CPU_SECONDS: Final[Mapping[tuple[str, str], float]] = {
    ("clay-v1.5-large", "fp32"): 10.5,
    ("clay-v1.5-large", "int8"): 7.0,
}
"""CPU seconds a chip, by architecture and precision: two cores, AMD EPYC, AVX2 without VNNI, 2026-11-22,
``benchmarks/clay_cpu.py``."""
GFLOP: Final[Mapping[str, tuple[float, float]]] = {
    "clay-v1.5-tiny": (7.46, 10.44),
    "clay-v1.5-small": (21.27, 32.87),
    "clay-v1.5-base": (198.5, 271.1),
    "clay-v1.5-large": (697.9, 886.2),
}
"""Operations a chip of 256 px and ten bands, 10**9, without the loss and with it (benchmarks/clay_operations.py)."""
COUNTED_PX: Final = 256

type Basis = Literal["measured", "projected", "scaled", "given"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Speed:
    """Chips a second of one instance, and what that rests on."""

    chips_per_second: float
    basis: Basis
    """``projected``: if a GPU reaches the goal. ``scaled``: from a CPU's seconds by the number of processors."""


def expected_speed(instance: Instance, entry: ModelEntry, checkpoint: Checkpoint | None) -> Speed | None:
    """Give what an instance is expected to do of a model's entry; None where nothing is known of the two together."""
    if checkpoint is None or entry.chip_size != COUNTED_PX:
        return None
    precision = entry.options.precision
    return speed_of(instance, checkpoint.architecture, precision, with_loss=entry.loss_metric is not None)


def speed_of(instance: Instance, architecture: str, precision: str, *, with_loss: bool = False) -> Speed | None:
    """Give the same for an architecture's chips of 256 px."""
    if instance.peak_tflops is None:
        seconds = CPU_SECONDS.get((architecture, precision))
        if seconds is None or with_loss:
            return None
        return Speed(chips_per_second=instance.vcpus / seconds, basis="scaled")
    if precision != "fp16" or architecture not in GFLOP:
        return None
    measured = MEASURED_GPU.get((architecture, instance.name))
    if measured is not None and not with_loss:
        return Speed(chips_per_second=measured, basis="measured")
    rate = instance.peak_tflops * 1000 * MATMUL_OF_PEAK * SHARE_OF_MATMUL
    return Speed(chips_per_second=rate / GFLOP[architecture][with_loss], basis="projected")
