"""What a watch found in a scene: the receipt, written once, and the event that is made of it (docs/watches.md)."""

import json
import re
from datetime import datetime
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from clayline.errors import DatasetError

WATCHED: Final = "watched/"
"""Prefix of all receipts under a root."""
MATCHED: Final = "WatchMatched"
"""The event's type."""
MOST_SHOWN: Final = 100
"""Matches of which event and receipt tell all; the rest is identifier, cell and score in the receipt."""
MOST_EVENT_BYTES: Final = 200_000
"""Of the event's detail: EventBridge takes 256 KB with everything around it, and counts bytes of UTF-8."""
MOST_RECEIPT_BYTES: Final = 256 * 1024 * 1024
_KEY: Final = re.compile(
    r"watched/(?P<name>[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)/v[0-9]{3,6}/[0-9a-f]{32}_v[0-9]{3,6}\.json"
)
_FROZEN: Final = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


_REMEDY: Final = "Delete it: the scene is scored again when its message, or its announcement, comes again."


class Match(BaseModel):
    """A chip that matched."""

    model_config = _FROZEN
    uci: str
    cell: str | None
    index: int
    """Number of its window in the scene's grid."""
    score: float
    footprint: dict[str, Any]
    """GeoJSON, degrees."""


class Rest(BaseModel):
    """Further matches, the best first; columns of one length."""

    model_config = _FROZEN
    uci: tuple[str, ...] = ()
    cell: tuple[str | None, ...] = ()
    score: tuple[float, ...] = ()


class WatchReceipt(BaseModel):
    """What became of a scene's chips under one version of a watch. chips = scored + all left out."""

    model_config = _FROZEN
    format: Literal["clayline-watch-receipt/1"] = "clayline-watch-receipt/1"
    id: str
    """The same for every event about this: ``{watch}/v{NNN}/{run}_v{NNN}``."""
    watch: str
    version: int
    run: str
    generation: int
    """The scene's revision that the run wrote."""
    scene: str
    source_uri: str
    """What landed."""
    token: str
    digest: str
    instrument: str
    acquired: datetime
    at: datetime
    """When it was scored."""
    threshold: float
    chips: int
    """Rows of the scene's file."""
    scored: int
    left_out: dict[str, int]
    """By reason."""
    matched: int
    scores: dict[str, float]
    """Quantiles of all that took part, matched or not."""
    top: Annotated[tuple[Match, ...], Field(max_length=MOST_SHOWN)] = ()
    rest: Rest = Rest()
    embeddings: str
    """Where the scene's file lies."""
    receipt: str
    """Where this lies."""

    @classmethod
    def parse(cls, content: bytes, *, uri: str) -> "WatchReceipt":
        """Read one. Raises DatasetError."""
        try:
            return cls.model_validate_json(content)
        except ValidationError as error:
            msg = f"{uri} is no receipt of a watch that this version reads: {error.errors()[0]['msg']}. {_REMEDY}"
            raise DatasetError(msg) from error

    @property
    def key(self) -> str:
        """Where it belongs, relative to the root."""
        return f"{receipt_stem(self.watch, self.version, self.run, self.generation)}.json"

    def event(self) -> dict[str, Any]:
        """Give the event's detail: at most MOST_EVENT_BYTES, as many matches as fit; the receipt has all."""
        detail = self.model_dump(mode="json", exclude={"format", "rest", "top"})
        detail["sheet"] = sheet_key(self.receipt)
        top = self.model_dump(mode="json", include={"top"})["top"]
        while True:
            detail["matches"], detail["shown"] = top, len(top)
            if not top or len(json.dumps(detail).encode()) <= MOST_EVENT_BYTES:
                return detail
            top = top[: len(top) * 3 // 4]


def receipt_stem(name: str, version: int, run: str, generation: int) -> str:
    """Give what the keys of a receipt and of its mark begin with, relative to the root."""
    return f"{WATCHED}{name}/v{version:03d}/{run}_v{generation:03d}"


def is_receipt(key: str) -> bool:
    """Say whether a receipt may lie under a key."""
    return _KEY.fullmatch(key) is not None


def sheet_key(receipt: str) -> str:
    """Give the key, or the name, of the contact sheet beside a receipt: known before there is one."""
    return f"{receipt.removesuffix('.json')}_sheet.png"
