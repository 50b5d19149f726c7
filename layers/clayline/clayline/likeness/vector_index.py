"""Which index of a vector bucket a chip's vector lies in, and by which centre it was centred (docs/vectors.md)."""

import hashlib
from typing import Final, Literal, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from clayline.dataset.scene_row import Box, flat_boxes
from clayline.errors import DatasetError
from clayline.likeness.centring import Centre, CentredBy
from clayline.likeness.probe import Floats, floats_of, floats_text
from clayline.model.manifest import Digest, Token

_HASHED: Final = 10
"""Hex digits: with the longest token and a shard an index's name has 62 of the 63 characters that it may have."""
_ZONES: Final = 60
_ZONE_DEGREES: Final = 6
_BESIDE: Final = 2
"""Zones on either side: a tile reaches 110 km into its neighbours, and Norway's and Svalbard's zones are wider."""
_POLAR_NORTH: Final = 83
_POLAR_SOUTH: Final = -79
"""A degree before UPS begins."""
_POLAR: Final = frozenset("ABYZ")


class VectorModel(BaseModel):
    """A model's vectors in a vector bucket: by which centre all of them are centred. Written once."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    format: Literal["clayline-vector-model/1"] = "clayline-vector-model/1"
    token: Token
    digest: Digest
    centre: Floats
    centred_by: CentredBy

    @classmethod
    def by(cls, centre: Centre, *, token: str, digest: str) -> Self:
        """Take the centre that a model's vectors get."""
        return cls(token=token, digest=digest, centre=floats_text(centre.values), centred_by=centre.by)

    @classmethod
    def parse(cls, content: bytes, *, where: str) -> Self:
        """Read the object; ``where`` names it. Raises DatasetError for what is none."""
        try:
            found = cls.model_validate_json(content)
            found.centred()
        except (ValidationError, DatasetError) as error:
            why = error.errors()[0]["msg"] if isinstance(error, ValidationError) else error
            msg = f"{where} does not say how vectors are centred, as docs/vectors.md has it: {why}"
            raise DatasetError(msg) from error
        return found

    def centred(self) -> Centre:
        """Give the centre. Raises DatasetError for numbers that are none."""
        return Centre(values=floats_of(self.centre), by=self.centred_by)

    @property
    def stem(self) -> str:
        """What the names of its indexes begin with: another digest, or another centre, has another one."""
        seen = hashlib.sha256(f"{self.digest}\n{self.centre}".encode())
        return f"{self.token}.{seen.hexdigest()[:_HASHED]}"

    def index(self, uci: str) -> str:
        """Give the name of the index in which a chip's vector lies. Raises DatasetError for what is no identifier."""
        return f"{self.stem}.{shard(uci)}"

    def is_index(self, name: str) -> bool:
        """Say whether this is one of its indexes."""
        return name.startswith(f"{self.stem}.")

    def indexes_meeting(self, box: Box | None, there: frozenset[str]) -> list[str]:
        """Give those of the indexes ``there`` that can hold a chip whose centre is in a box; None is everywhere."""
        own = sorted(name for name in there if self.is_index(name))
        if box is None:
            return own
        wanted = shards_meeting(box)
        return [name for name in own if name.rpartition(".")[2] in wanted]


def shard(uci: str) -> str:
    """Give the shard of an identifier: its UTM zone, ``01`` to ``60``, or ``u`` and the letter of UPS.

    It follows from the identifier alone, so a chip that comes twice comes to the same index. Raises DatasetError.
    """
    zone = uci[:2]
    if len(zone) == 2 and zone.isascii() and zone.isdigit():  # noqa: PLR2004 - digits of a zone
        return zone
    if zone[:1] in _POLAR:
        return f"u{zone[0].lower()}"
    msg = f"{uci!r} is no identifier as docs/uci.md has it: it begins with no zone"
    raise DatasetError(msg)


def shards_meeting(box: Box) -> frozenset[str]:
    """Give the shards that can hold a chip whose centre is in a box."""
    found: set[str] = set()
    for west, south, east, north in flat_boxes(box):
        first, last = (int((side + 180) // _ZONE_DEGREES) for side in (west, east))
        for zone in range(first - _BESIDE, last + _BESIDE + 1):
            found.add(f"{zone % _ZONES + 1:02d}")
        if north > _POLAR_NORTH:
            found |= {"uy", "uz"}
        if south < _POLAR_SOUTH:
            found |= {"ua", "ub"}
    return frozenset(found)
