"""What was asked of an entry, and what its folder's other entries say where nothing was."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from clay.entry import CHIP_SIZE, Request
from clay.mask import Mask
from clayline.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from clay.sensor import BandSet
    from clayline.model.manifest import Manifest

_FLAGS: Final = {
    "chip_size": "--chip",
    "gsd": "--gsd",
    "coordinate_order": "--coordinate-order",
    "hour": "--hour",
    "mask_ratio": "--mask-ratio",
    "mask_seed": "--mask-seed",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Choices:
    """The command line's, for each sensor that it names; None where it says nothing."""

    bands: tuple[str, ...] | None = None
    """None: all of the sensor's."""
    chip_size: int | None = None
    gsd: float | None = None
    coordinate_order: str | None = None
    hour: str | None = None
    mask_ratio: float | None = None
    mask_seed: int | None = None

    def request(self, sensor: BandSet, *, loss: bool) -> Request:
        """Ask for an entry, with what is usual where nothing was said. Raises ModelError for a mask without a loss."""
        usual = Mask()
        if not loss and (self.mask_ratio, self.mask_seed) != (None, None):
            raise ModelError(
                "a mask is the loss's, and there is none: leave --mask-ratio and --mask-seed out, or export with --loss"
            )
        mask = Mask(
            ratio=usual.ratio if self.mask_ratio is None else self.mask_ratio,
            seed=usual.seed if self.mask_seed is None else self.mask_seed,
        )
        return Request(
            sensor=sensor,
            bands=self.bands,
            chip_size=CHIP_SIZE if self.chip_size is None else self.chip_size,
            gsd=self.gsd,
            mask=mask if loss else None,
            coordinate_order=self.coordinate_order or "lonlat",
            hour=self.hour or "noon",
        )

    def addition(self, sensor: BandSet, manifest: Manifest) -> tuple[Request, str]:
        """Ask for an entry beside a folder's others, with what those have where nothing was said.

        Give also the flags that would say it.

        Chip size and GSD are those of the sensor's own entries; where it has none, the chip size is that of all, the
        GSD the sensor's. Raises ModelError where entries differ in what was not said.
        """
        entries = manifest.entries
        own = [entry for entry in entries if entry.sensor == sensor.name]
        masks = {entry.token: Mask.of(entry.loss_metric) for entry in entries if entry.loss_metric is not None}
        theirs: dict[str, Mapping[str, object]] = {
            "chip_size": {entry.token: entry.chip_size for entry in own or entries},
            "gsd": {entry.token: entry.gsd for entry in own},
            "coordinate_order": {entry.token: entry.options.coordinate_order for entry in entries},
            "hour": {entry.token: entry.options.hour for entry in entries},
            "mask_ratio": {token: mask.ratio for token, mask in masks.items()},
            "mask_seed": {token: mask.seed for token, mask in masks.items()},
        }
        taken: dict[str, Any] = {
            name: _agreed(_FLAGS[name], values)
            for name, values in theirs.items()
            if values and getattr(self, name) is None
        }
        said = " ".join(
            f"{_FLAGS[name]} {f'{value:g}' if isinstance(value, float) else value}" for name, value in taken.items()
        )
        return replace(self, **taken).request(sensor, loss=bool(masks)), said


def _agreed(flag: str, values: Mapping[str, object]) -> object:
    """Give the one value that all entries have, by token. Raises ModelError, naming two that differ."""
    (token, first), *others = values.items()
    for other, value in others:
        if value != first:
            raise ModelError(f"{token} has {flag} {first}, {other} has {value}: say which with {flag}")
    return first
