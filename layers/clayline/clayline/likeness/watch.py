"""A watch: a probe, a threshold and a place, kept under a name in versions that are written once (docs/watches.md)."""

import re
from datetime import datetime
from typing import Annotated, Any, Final, Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from clayline.dataset.asking import box_of
from clayline.dataset.scene_row import Box
from clayline.errors import DatasetError
from clayline.likeness.probe import Probe, StoredProbe
from clayline.likeness.taking_part import VALID_LEAST, Filters
from clayline.scene.instrument_family import families_of, family_of

WATCHES: Final = "watches/"
"""Prefix of all watches under a root."""
MOST_WATCH_BYTES: Final = 2 * 1024 * 1024
_KEY: Final = re.compile(r"watches/(?P<name>[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)/v(?P<version>[0-9]{3,6})\.json")
_FROZEN: Final = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
Name = Annotated[str, Field(pattern=r"^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\z")]
MOST_VERSIONS: Final = 999_999
"""Of one name. A key of a higher number is no version."""
Version = Annotated[int, Field(ge=1, le=MOST_VERSIONS)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Identifier = Annotated[str, Field(min_length=1, max_length=128)]


LEAST_SCORE: Final = -1.0


class Watch(BaseModel):
    """One version of what is watched for."""

    model_config = _FROZEN
    format: Literal["clayline-watch/1"] = "clayline-watch/1"
    name: Name
    version: Version
    created: datetime
    kind: Literal["mean", "linear"]
    """How the probe was made of the examples."""
    probe: StoredProbe
    threshold: Annotated[float, Field(ge=-1, le=1)] | None
    """From which score on a chip matches. None: a draft, which calls nobody."""
    box: tuple[float, float, float, float] | None = None
    """West, south, east, north, degrees: chips whose footprint meets it. None: everywhere."""
    instruments: tuple[str, ...] | None
    """Those of the examples: scenes of their families are looked at (``takes``). None: all of the model's."""
    valid_least: Fraction = VALID_LEAST
    cloud_most: Fraction | None = None
    loss_most: float | None = None
    like: tuple[Identifier, ...] = Field(min_length=1, max_length=1_000)
    unlike: tuple[Identifier, ...] = Field(default=(), max_length=1_000)

    @model_validator(mode="after")
    def _usable(self) -> Self:
        """Refuse numbers that are none while the watch is read, and not in the middle of a scene."""
        try:
            box_of(self.box)
            Probe.of(self.probe)
        except DatasetError as error:
            raise ValueError(str(error)) from error
        return self

    @property
    def filters(self) -> Filters:
        """What a chip has to be to take part."""
        return Filters(valid_least=self.valid_least, cloud_most=self.cloud_most, loss_most=self.loss_most)

    @property
    def place(self) -> Box | None:
        """Where chips have to be."""
        return box_of(self.box)

    @property
    def families(self) -> tuple[str, ...] | None:
        """Whose scenes are looked at: every satellite of these. None: of any instrument."""
        return None if self.instruments is None else families_of(self.instruments)

    def takes(self, instrument: str) -> bool:
        """Say whether scenes of an instrument are looked at."""
        return self.families is None or family_of(instrument) in self.families

    def ready(self) -> Probe:
        """Give the probe to score with."""
        return Probe.of(self.probe)


class Removed(BaseModel):
    """The version that says that nobody is called any more: what is the user's is never deleted."""

    model_config = _FROZEN
    format: Literal["clayline-watch-removed/1"] = "clayline-watch-removed/1"
    name: Name
    version: Version
    created: datetime


_EITHER: Final[TypeAdapter[Watch | Removed]] = TypeAdapter(Annotated[Watch | Removed, Field(discriminator="format")])


def version_key(name: str, version: int) -> str:
    """Give the key of a version, relative to the root."""
    return f"{WATCHES}{name}/v{version:03d}.json"


def key_of_version(key: str) -> tuple[str, int] | None:
    """Give name and version of a key; None for what is no version of a watch."""
    found = _KEY.fullmatch(key)
    if found is None or version_key(found["name"], int(found["version"])) != key:
        return None
    return found["name"], int(found["version"])


def parse(content: bytes, *, key: str, uri: str) -> Watch | Removed:
    """Read a version. Raises DatasetError for what is none, or another one than its key says."""
    try:
        found = _EITHER.validate_json(content)
    except ValidationError as error:
        first: Any = error.errors()[0]
        why = f"{'.'.join(map(str, first['loc']))}: {first['msg']}".strip(": ")
        msg = (
            f"the watch {uri} is damaged: {why}. Make its next version of examples (`clayline watch add` with"
            " `--like`), or remove it (`clayline watch remove`)."
        )
        raise DatasetError(msg) from error
    if (found.name, found.version) != key_of_version(key):
        msg = f"the watch {uri} says that it is {found.name} v{found.version:03d}. Move it to where it belongs."
        raise DatasetError(msg)
    return found


def check_threshold(threshold: float | None) -> None:
    """Refuse one that tells nothing apart, before a watch is made. Raises DatasetError."""
    if threshold is not None and threshold <= LEAST_SCORE:
        msg = (
            f"threshold {threshold:g}: no score is less, so every chip of every scene would match. Give a greater one"
            " (`clayline watch test` proposes one), or none: a draft calls nobody."
        )
        raise DatasetError(msg)


def quantiles(scores: "np.ndarray[Any, Any]") -> dict[str, float]:
    """Give what a person wants to know of scores [n]: empty for none."""
    if not len(scores):
        return {}
    shares = {"least": 0.0, "p50": 0.5, "p90": 0.9, "p99": 0.99, "p999": 0.999, "most": 1.0}
    found = np.quantile(scores.astype(np.float64), list(shares.values()))
    return dict(zip(shares, (round(float(value), 6) for value in found), strict=True))
