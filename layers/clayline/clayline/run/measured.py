"""What a run took, measured: frozen with its verdict, told by its receipt."""

from dataclasses import dataclass
from typing import Self

from pydantic import BaseModel, ConfigDict, Field

from clayline.run.prices import built_in

_FROZEN = ConfigDict(frozen=True, extra="forbid")


class PaidInstance(BaseModel):
    """The endpoint's instance type that is deployed, and its price where ``data/prices.json`` has one."""

    model_config = _FROZEN
    type: str
    dollars_per_hour: float | None
    """On demand, of ``region``, as it was read; None: not known."""
    region: str | None = None
    read: str | None = None
    """Year and month in which the price was read."""

    @classmethod
    def of(cls, name: str) -> Self:
        """Look its price up."""
        prices = built_in()
        found = prices.instance(name)
        if found is None:
            return cls(type=name, dollars_per_hour=None)
        return cls(type=name, dollars_per_hour=found.dollars_per_hour, region=prices.region, read=found.read)


class Measured(BaseModel):
    """Of what this run computed itself; what it took over is not in it. None: nobody measured it."""

    model_config = _FROZEN
    chips: int
    """Of which the endpoint gave a vector that counts, be it one that is not finite."""
    requests: int
    """Batches of which an attempt was begun: sent to the endpoint, but where a run was ended in between."""
    attempts: int | None
    """That were begun: each counts, also one that the endpoint refused or never answered, or whose function was killed
    before it called."""
    request_bytes: int | None
    """Of the request objects, each once, however many attempts it took."""
    response_bytes: int
    """Of the answers that count."""
    compute_seconds: float | None = Field(ge=0)
    """That the endpoint computed for the answers that count, by its own clock: no waiting, no other attempt, no start.
    While two requests compute at once each counts half, so that no second of an instance counts twice."""
    claimed_to_settled_seconds: float
    """From plan's first claim until the last batch had ended, all waiting in it."""
    instance: PaidInstance | None = None
    """None where none is paid for, or which it is is not known."""
    instance_hours: float | None = None
    """``compute_seconds``, as hours of one instance."""
    instance_dollars: float | None = None
    """Their price: without waking up, idling, and all beside the endpoint."""

    def told(self) -> str:
        """Say it in one line, for people."""
        said = f"{self.requests} request(s)"
        if self.attempts is not None and self.attempts != self.requests:
            said += f" in {self.attempts} attempts"
        if self.request_bytes is not None:
            said += f", {self.request_bytes / 1e6:.1f} MB there and {self.response_bytes / 1e6:.1f} MB back"
        if self.compute_seconds is not None:
            said += f"; {self.compute_seconds:.1f} s of the endpoint's computing"
        if self.instance_dollars is not None and self.instance is not None:
            said += f", ${self.instance_dollars:.4f} of {self.instance.type}"
        return said


@dataclass(kw_only=True, slots=True)
class Answers:
    """A tally of the answers that count."""

    chips: int = 0
    bytes: int = 0
    seconds: float | None = 0.0
    """None where one of them does not say."""

    def add(self, *, chips: int, size: int, seconds: float | None) -> None:
        """Count one."""
        self.chips += chips
        self.bytes += size
        self.seconds = None if self.seconds is None or seconds is None else self.seconds + seconds
