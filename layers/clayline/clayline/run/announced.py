"""What EventBridge delivers when a scene has ended: collect's and plan's own events, read by functions behind them."""

from collections.abc import Mapping
from typing import Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, ValidationError

SOURCE: Final = "clayline"
"""Of every event."""


class UnknownEventError(ValueError):
    """A message that is no event of a scene, or of a watch; nothing could ever cure it."""

    @classmethod
    def of(cls, error: ValidationError, kind: str) -> Self:
        """Say what is wrong first; ``kind`` is what it would be an event of."""
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the body"
        return cls(f"no event of a {kind}: {where}: {first['msg']}")


class Announced(BaseModel):
    """The end of a scene, as its event tells it; of what the detail has, that which functions use."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    run: str
    status: Literal["SceneEmbedded", "ScenePartial", "SceneFailed"]
    scene: str
    outputs: dict[str, str]
    """Where each output lies, by the name that people know."""
    landed_uri: str
    """The landing that is answered."""
    repeated: bool
    """Whether it was announced before."""

    @classmethod
    def parse(cls, body: str) -> Self:
        """Read a message's body: EventBridge's event. Raises UnknownEventError for what is none of a scene."""
        try:
            event = _Event.model_validate_json(body)
            return cls.model_validate(event.detail)
        except ValidationError as error:
            raise UnknownEventError.of(error, "scene") from error

    @property
    def about(self) -> Mapping[str, str]:
        """What log lines name it by."""
        return {"run": self.run}

    @property
    def receipt(self) -> str:
        """Name of the receipt, which every scene has; empty where an event lacks it."""
        return self.outputs.get("receipt", "")


class _Event(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")
    source: Literal["clayline"]
    detail: dict[str, Any]
