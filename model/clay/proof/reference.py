"""Clay as published: claymodel 1.5.0 under torch, with our weights in it.

The exported graphs are measured against this.

Nothing here is shared with the exporter but the weights, the bands' figures and the mask's patch numbers.
"""

from __future__ import annotations

import importlib
import random
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any, Final
from unittest import mock

import numpy as np
import torch

from clay.architecture import PATCH, WAVE, Architecture
from clay.hyper_network import Embedding

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    from clay.chips import Chips
    from clay.mask import Mask
    from clay.sensor import BandSet

    Weights = Mapping[str, npt.NDArray[Any]]

CLAYMODEL: Final = Path(sys.prefix) / "claymodel"
"""Holds ``src``, as whose parts the wheel's modules import each other: `make setup-model` puts it there."""


class Published:
    """``ClayMAE`` of one size. Raises RuntimeError for a tensor missing, unknown or misshapen.

    ``claymodel``: the folder that holds claymodel's ``src``, of the first one that a process makes.
    """

    def __init__(self, architecture: Architecture, weights: Weights, claymodel: Path = CLAYMODEL) -> None:
        build = getattr(_module("model", claymodel), f"clay_mae_{architecture.size}")
        with torch.device("meta"):  # no time and memory for weights that are replaced at once
            self._model = build(
                mask_ratio=0.0,
                patch_size=PATCH,
                norm_pix_loss=False,
                shuffle=False,
                metadata={},
                teacher="none",
                dolls=[1],
                doll_weights=[1],
            )
        # The projection towards the teacher: no export has it, and the loss that it makes is not ours.
        projection = {"proj.weight": torch.zeros(1, architecture.encoder.dim), "proj.bias": torch.zeros(1)}
        tensors = {name: torch.from_numpy(value) for name, value in weights.items()}
        self._model.load_state_dict(tensors | projection, strict=True, assign=True)
        self._model.eval()

    @property
    def encoder(self) -> torch.nn.Module:
        """The encoder itself, from a cube of tensors to tokens [N, 1+L, dim], the first of a tuple."""
        encoder: torch.nn.Module = self._model.encoder
        return encoder

    def embeddings(self, bands: BandSet, chips: Chips, vector: str = "cls") -> npt.NDArray[np.float32]:
        """[N, D]: of the encoder's tokens, nothing masked or shuffled, the class token or what ``vector`` names."""
        encoder = self._model.encoder
        encoder.mask_ratio, encoder.shuffle = 0.0, False
        cube = _cube(bands, chips) | {"gsd": torch.tensor(bands.gsd), "waves": torch.tensor(bands.wavelengths)}
        with torch.inference_mode():
            tokens = encoder(cube)[0]
            first, patches = tokens[:, 0], tokens[:, 1:]
            pooled = {"cls": first, "mean": patches.mean(dim=1)}
            if vector == "both":
                pooled[vector] = torch.cat([first, patches.mean(dim=1)], dim=1)
            if vector == "grid4":  # as torch pools pictures: [N, dim, side, side] to [N, dim, 4, 4]
                side = int(patches.shape[1] ** 0.5)
                picture = patches.transpose(1, 2).unflatten(2, (side, side))
                cells = torch.nn.functional.adaptive_avg_pool2d(picture, 4)
                pooled[vector] = cells.permute(0, 2, 3, 1).flatten(1)
            found: npt.NDArray[np.float32] = pooled[vector].numpy()
        return found

    def losses(self, bands: BandSet, chips: Chips, mask: Mask) -> npt.NDArray[np.float64]:
        """[N]: what ``ClayMAE.forward`` gives as the reconstruction loss of each chip by itself, MODIS's tenth
        included.

        Two draws are replaced: the noise whose order masks patches, by one with the order of ``mask``; and whether to
        drop bands, which training does to a chip in three, by no.
        """
        model = self._model
        model.encoder.mask_ratio = model.decoder.mask_ratio = mask.ratio
        model.encoder.shuffle = True
        wavelength = {band.name: band.wavelength for band in bands.bands}
        model.metadata = {
            bands.name: SimpleNamespace(
                bands=SimpleNamespace(wavelength=wavelength), gsd=bands.gsd, rgb_indices=[0, 0, 0]
            )
        }
        cube = _cube(bands, chips)
        hidden, seen = mask.split((chips.pixels.shape[-1] // PATCH) ** 2)
        ranks = torch.from_numpy(np.argsort(np.concatenate([hidden, seen])).astype(np.float32))

        def noise(shape: tuple[int, int], *, device: torch.device) -> torch.Tensor:
            return ranks.to(device).expand(shape)

        with (
            torch.inference_mode(),
            mock.patch.object(torch, "randn", noise),
            mock.patch.object(random, "random", return_value=1.0),
        ):
            found = [
                model({name: value[chip : chip + 1] for name, value in cube.items()} | {"platform": [bands.name]})[1]
                for chip in range(len(chips.pixels))
            ]
        return np.array([float(loss) for loss in found])

    def save(self, file: Path) -> None:
        """Write a checkpoint as Lightning does.

        Tensors under ``model.``, a teacher's among them, beside what training kept.
        """
        state = {f"model.{name}": value for name, value in self._model.state_dict().items()}
        state["model.teacher.blocks.0.norm1.weight"] = torch.ones(3)
        torch.save(
            {"epoch": 76, "pytorch-lightning_version": "2.4.0", "state_dict": state, "hyper_parameters": {}}, file
        )

    def embedding(self, wavelengths: Sequence[float]) -> Embedding:
        """Give what its hyper-networks hand to the convolution of the patches and to the linear map back to pixels."""
        waves, functional = torch.tensor(wavelengths), _module("factory").F
        encoder, decoder = self._model.encoder.patch_embedding, self._model.decoder.embed_to_pixels
        with torch.inference_mode():
            with mock.patch.object(functional, "conv2d", wraps=functional.conv2d) as convolution:
                encoder(torch.zeros(1, len(waves), PATCH, PATCH), waves)
            with mock.patch.object(
                functional, "linear", wraps=functional.linear
            ) as linear:  # the layers' own calls come before it
                decoder(torch.zeros(1, 1, decoder.embed_dim), waves)
        kernel, bias, out = (
            convolution.call_args.args[1],
            convolution.call_args.kwargs["bias"],
            linear.call_args.args[1],
        )
        return Embedding(kernel=kernel.numpy(), bias=bias.numpy(), pixels_out=out.numpy(), shared={})


def published_positions(side: int, dim: int, *, gsd: float) -> npt.NDArray[np.float32]:
    """[side * side, dim]: ``posemb_sincos_2d_with_gsd``."""
    positions: npt.NDArray[np.float32] = (
        _module("utils").posemb_sincos_2d_with_gsd(h=side, w=side, dim=dim, gsd=torch.tensor(gsd)).numpy()
    )
    return positions


def published_frequencies(dim: int, *, gsd: float) -> npt.NDArray[np.float32]:
    """[dim / 4] of ``posemb_sincos_2d_with_gsd``, which does not give them: read from the angles of column 1 that it
    hands to ``sin``.
    """
    angles: list[torch.Tensor] = []

    def sine(given: torch.Tensor) -> torch.Tensor:
        angles.append(given)
        return torch.sin(given)

    with mock.patch.object(torch.Tensor, "sin", sine):
        _module("utils").posemb_sincos_2d_with_gsd(h=1, w=2, dim=dim, gsd=torch.tensor(gsd))
    frequencies: npt.NDArray[np.float32] = angles[0][1].numpy()
    return frequencies


def published_waves(wavelengths: Sequence[float]) -> npt.NDArray[np.float32]:
    """[C, 128]: ``posemb_sincos_1d``."""
    waves: npt.NDArray[np.float32] = _module("utils").posemb_sincos_1d(torch.tensor(wavelengths), WAVE).numpy()
    return waves


def _cube(bands: BandSet, chips: Chips) -> dict[str, torch.Tensor]:
    """Normalise as ``datamodule.py`` does: decibels where the sensor is Sentinel-1, then (x - mean) / std."""
    pixels = chips.pixels.astype(np.float32)
    if bands.decibel:
        pixels[pixels <= 0] = 1e-10
        pixels = 10 * np.log10(pixels)
    mean, std = (torch.tensor(each).reshape(1, -1, 1, 1) for each in (bands.mean, bands.std))
    return {
        "pixels": (torch.from_numpy(pixels) - mean) / std,
        "time": torch.from_numpy(chips.time),
        "latlon": torch.from_numpy(chips.latlon),
    }


def _module(name: str, claymodel: Path = CLAYMODEL) -> ModuleType:
    """Import one of claymodel's modules.

    Importing ``model`` sets torch's matrix products to "medium" precision, for the whole process.
    """
    if not (claymodel / "src").is_dir():
        raise ModuleNotFoundError(f"claymodel is not in {claymodel}: run `make setup-model`")
    if str(claymodel) not in sys.path:
        sys.path.append(str(claymodel))
    # Of timm it wants a DINOv2 teacher, of torchvision a resize for it: part of the training loss, of nothing that is
    # read here.
    timm, torchvision, transforms = (ModuleType(each) for each in ("timm", "torchvision", "torchvision.transforms"))
    vars(timm)["create_model"] = lambda *_, **__: _Teacher()
    vars(transforms)["v2"] = SimpleNamespace(Resize=lambda **_: lambda pixels: pixels)
    with mock.patch.dict(sys.modules):
        sys.modules.update({"timm": timm, "torchvision": torchvision, "torchvision.transforms": transforms})
        found = importlib.import_module(f"src.{name}")
        kept = {key: module for key, module in sys.modules.items() if key == "src" or key.startswith("src.")}
    sys.modules.update(kept)
    return found


class _Teacher:
    num_features = 1

    def parameters(self) -> tuple[()]:
        return ()

    def eval(self) -> None:
        pass

    def __call__(self, pixels: torch.Tensor) -> torch.Tensor:
        return torch.zeros(len(pixels), 1)
