"""What Lambda would know of a function.

Apart from template.py, because a worker needs it without the SAM translator's two seconds.
"""

from pathlib import Path

from pydantic import BaseModel, ConfigDict


class QueueSource(BaseModel):
    """The queue that a function is mapped to."""

    model_config = ConfigDict(frozen=True)
    arn: str
    batch_size: int
    enabled: bool


class FunctionSpec(BaseModel):
    """What Lambda would know of a function. A pydantic model, because it travels to the worker process as JSON."""

    model_config = ConfigDict(frozen=True)
    name: str
    """Logical id."""
    arn: str
    handler: str
    code: Path
    """Folder of its code."""
    layers: tuple[Path, ...]
    """Folders of its layers, as in the template: sources, or what `sam build` made of them."""
    environment: dict[str, str]
    timeout: int
    """Seconds."""
    memory: int
    """MB."""
    region: str
    source: QueueSource | None
    every: int | None = None
    """Seconds between calls by the clock; None for a function that a queue calls, or whose schedule is off."""

    @property
    def is_called(self) -> bool:
        """Whether anything calls it: a queue, be its mapping off, or the clock."""
        return self.source is not None or self.every is not None

    @property
    def search_path(self) -> tuple[Path, ...]:
        """Folders of sys.path in Lambda's order.

        The function, then ``python`` of each layer (a layer's source has no such folder).
        """
        return (self.code, *(layer / "python" if (layer / "python").is_dir() else layer for layer in self.layers))
