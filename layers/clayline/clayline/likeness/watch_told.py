"""What EventBridge delivers when a watch has matched: watch's own event, read by the function behind it."""

from collections.abc import Mapping
from typing import Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from clayline.run.announced import UnknownEventError

_MOST_NAME: Final = 2_048


class Told(BaseModel):
    """A match as its event tells it; of what the detail has, that which names the receipt."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    receipt: str = Field(max_length=_MOST_NAME)
    """Name of the receipt, which has all matches."""

    @property
    def about(self) -> Mapping[str, str]:
        """What log lines name it by."""
        return {"receipt": self.receipt}

    @classmethod
    def parse(cls, body: str) -> Self:
        """Read a message's body: EventBridge's event. Raises UnknownEventError for what is none of a watch."""
        try:
            return cls.model_validate(_Event.model_validate_json(body).detail)
        except ValidationError as error:
            raise UnknownEventError.of(error, "watch") from error


class _Event(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")
    source: Literal["clayline"]
    kind: Literal["WatchMatched"] = Field(alias="detail-type")
    detail: dict[str, Any]
