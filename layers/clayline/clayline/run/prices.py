"""Prices of what a scene uses, read from ``data/prices.json``: each with its date and where it was read."""

from functools import cache
from importlib.resources import files
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

_FROZEN = ConfigDict(frozen=True, extra="forbid")


class Price(BaseModel):
    """Of one kind of request, time or space."""

    model_config = _FROZEN
    dollars: float = Field(gt=0)
    per: int = Field(ge=1)
    """So many of them cost ``dollars``."""
    of: str
    """What is counted."""
    read: str
    """Year and month."""
    source: str

    @property
    def each(self) -> float:
        """Dollars of one."""
        return self.dollars / self.per


class Services(BaseModel):
    """What is paid by use."""

    model_config = _FROZEN
    lambda_gb_second: Price
    lambda_call: Price
    s3_write: Price
    s3_read: Price
    s3_gb_month: Price
    s3_gb_out: Price
    s3_vectors_gb_put: Price
    s3_vectors_gb_month: Price
    s3_vectors_query: Price
    sqs_request: Price
    sns_publish: Price
    event: Price
    dynamodb_write: Price
    dynamodb_read: Price


class Instance(BaseModel):
    """A SageMaker instance type: on demand, real-time and asynchronous hosting."""

    model_config = _FROZEN
    name: str
    dollars_per_hour: float = Field(gt=0)
    lists: Literal["one", "several"]
    """How many public price lists were found with this price."""
    read: str
    """Year and month."""
    vcpus: int
    gpu: str | None = None
    peak_tflops: float | None = None
    """Datasheet, dense fp16."""
    datasheet: str | None = None


class Prices(BaseModel):
    """All of them, of one region."""

    model_config = _FROZEN
    region: str
    currency: Literal["USD"]
    services: Services
    instances: tuple[Instance, ...]

    def instance(self, name: str) -> Instance | None:
        """Give the instance type of this name; None if its price is not known."""
        return next((each for each in self.instances if each.name == name), None)


@cache
def built_in() -> Prices:
    """Give the prices that come with the package."""
    return Prices.model_validate_json((files("clayline") / "data" / "prices.json").read_bytes())
