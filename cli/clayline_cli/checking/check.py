"""A check and how it ended."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Status(StrEnum):
    """How a check ended."""

    OK = "ok"
    WARNING = "warning"
    """The deployment works, but not as well as it could, or not yet with an endpoint."""
    FAILED = "failed"
    """The deployment would fail, or what it deploys would not work."""
    UNKNOWN = "unknown"
    """It could not be found out."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """What was looked at, and what was found."""

    name: str
    status: Status
    said: str
    """What was found, without a full stop."""
    remedy: str = ""
    """What to do, unless all is well."""

    @classmethod
    def ok(cls, name: str, said: str) -> "Check":
        """Say that all is well."""
        return cls(name=name, status=Status.OK, said=said)

    @classmethod
    def warning(cls, name: str, said: str, remedy: str) -> "Check":
        """Say what could be better."""
        return cls(name=name, status=Status.WARNING, said=said, remedy=remedy)

    @classmethod
    def failed(cls, name: str, said: str, remedy: str) -> "Check":
        """Say what must be mended first."""
        return cls(name=name, status=Status.FAILED, said=said, remedy=remedy)

    @classmethod
    def unknown(cls, name: str, said: str, remedy: str) -> "Check":
        """Say what could not be found out."""
        return cls(name=name, status=Status.UNKNOWN, said=said, remedy=remedy)


def exit_status(checks: Iterable[Check]) -> int:
    """Give 1 if anything failed; what is unknown has not."""
    return int(any(check.status is Status.FAILED for check in checks))
