"""Assets that a scene has and that are not read: a plain dataclass, which the command can load without pydantic."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class PassedOver:
    """An asset that holds a band which is read from another."""

    band: str
    asset: str
    """Its key in the Item."""
    why: str
