"""What an export must know of a sensor: Clay's own eight, or a user's from a YAML file."""

from pathlib import Path
from typing import Annotated, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from clayline.errors import ModelError
from clayline.model.manifest import BandName
from clayline.scene.recognition import sensors

Slug = Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*\z", max_length=16)]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class SensorBand(_Strict):
    """One band."""

    name: BandName
    mean: float
    """Of what the model is fed: digital numbers, or decibels."""
    std: float = Field(gt=0)
    wavelength: float = Field(gt=0, lt=1_000_000)
    """Micrometres. (Clay's stand-ins for radar: 3.5 for VV, 4.0 for VH.)"""


class BandSet(_Strict):
    """A sensor, or a subset of its bands, as one entry of a model folder takes it."""

    name: str = Field(pattern=r"^[A-Za-z0-9]+(-[A-Za-z0-9]+)*\z", max_length=64)
    """In the sensor registry."""
    slug: Slug
    """Short, for the token."""
    gsd: float = Field(gt=0)
    """Metres."""
    dtype: Literal["uint8", "uint16", "float32"]
    """Of the digital numbers."""
    bands: tuple[SensorBand, ...] = Field(min_length=1, max_length=64)
    """In the order of the channel axis."""
    decibel: bool = False
    """Linear power comes in, and 10 log10 of it is what the model was trained on."""
    nodata_fill: float = 0.0
    """The value that stands for nodata."""
    loss_scale: float = Field(default=1.0, gt=0)
    """Factor of the loss (claymodel takes a tenth for MODIS)."""

    @field_validator("bands")
    @classmethod
    def _distinct(cls, bands: tuple[SensorBand, ...]) -> tuple[SensorBand, ...]:
        if len({band.name for band in bands}) != len(bands):
            msg = "two bands have the same name"
            raise ValueError(msg)
        return bands

    @model_validator(mode="after")
    def _micrometres(self) -> Self:
        if any(band.wavelength >= 100 for band in self.bands):  # noqa: PLR2004 - no imager sees beyond 100 um; nanometres begin at 100
            msg = "wavelengths are in micrometres (0.493), these look like nanometres"
            raise ValueError(msg)
        return self

    @property
    def mean(self) -> tuple[float, ...]:
        """By band."""
        return tuple(band.mean for band in self.bands)

    @property
    def std(self) -> tuple[float, ...]:
        """By band."""
        return tuple(band.std for band in self.bands)

    @property
    def wavelengths(self) -> tuple[float, ...]:
        """By band, micrometres."""
        return tuple(band.wavelength for band in self.bands)

    @property
    def names(self) -> tuple[str, ...]:
        """Of the bands."""
        return tuple(band.name for band in self.bands)

    def select(self, names: tuple[str, ...]) -> Self:
        """Give a subset in this order. Raises ModelError for a band that the sensor lacks, or that is named twice."""
        by_name = {band.name: band for band in self.bands}
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ModelError(f"band {', '.join(twice)} is asked for twice")
        if unknown := [name for name in names if name not in by_name]:
            msg = f"sensor {self.name} has no band {', '.join(unknown)}; it has {', '.join(by_name)}"
            raise ModelError(msg)
        return self.model_validate({**self.model_dump(), "bands": [by_name[name].model_dump() for name in names]})


_TRAITS: dict[str, tuple[str, str, bool, float]] = {
    "sentinel-2-l2a": ("s2-l2a", "uint16", False, 1.0),
    "planetscope-sr": ("ps-sr", "uint16", False, 1.0),
    "landsat-c2l1": ("ls-c2l1", "uint16", False, 1.0),
    "landsat-c2l2-sr": ("ls-c2l2", "uint16", False, 1.0),
    "naip": ("naip", "uint8", False, 1.0),
    "linz": ("linz", "uint8", False, 1.0),
    "sentinel-1-rtc": ("s1-rtc", "float32", True, 1.0),
    "modis": ("modis", "float32", False, 0.1),
    "satellogic-MSI-L1D": ("sg-l1d", "uint16", False, 1.0),
}
"""Slug, type of the digital numbers, decibels, factor of the loss. MODIS goes below zero (int16), which float32 holds
exactly."""


def known_sensors() -> dict[str, BandSet]:
    """Clay's own, by name: bands, statistics, wavelengths and GSD from claymodel 1.5's metadata."""
    return {
        name: BandSet.model_validate(
            {
                "name": name,
                "slug": slug,
                "gsd": sensors()[name].gsd,
                "dtype": dtype,
                "decibel": decibel,
                "loss_scale": scale,
                "bands": [
                    {"name": band.name, "mean": band.mean, "std": band.std, "wavelength": band.wavelength}
                    for band in sensors()[name].bands
                ],
            }
        )
        for name, (slug, dtype, decibel, scale) in _TRAITS.items()
    }


def find_sensor(name_or_file: str) -> BandSet:
    """Give one of Clay's sensors by name, or the one that a YAML file describes. Raises ModelError."""
    known = known_sensors()
    if name_or_file in known:
        return known[name_or_file]
    path = Path(name_or_file)
    if path.suffix not in {".yaml", ".yml"}:
        msg = f"no sensor {name_or_file}: name one of {', '.join(known)}, or a YAML file"
        raise ModelError(msg)
    try:
        return BandSet.model_validate(yaml.safe_load(path.read_text()))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, ValidationError) as error:
        msg = f"sensor file {path} cannot be used: {error}"
        raise ModelError(msg) from error
