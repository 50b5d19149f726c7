"""What the checks of one file, or of files together, came to."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from clayline.errors import bounded
from clayline.verification.checks import CHECKS, Check, Severity

_EXAMPLES = 3
"""Of a finding, that are named."""

type Result = Literal["passed", "error", "warning", "not checkable"]


@dataclass(slots=True)
class Finding:
    """One thing that is wrong, with all the rows of which it is."""

    check: str
    severity: Severity
    message: str
    count: int = 0
    """Rows, files or windows."""
    examples: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """Tell it in a line."""
        named = f": {', '.join(self.examples)}{', ...' if self.count > len(self.examples) else ''}"
        return bounded(f"{self.message}{f' ({self.count})' if self.count > 1 else ''}{named if self.examples else ''}")

    def values(self) -> dict[str, Any]:
        """Give it for JSON."""
        return {
            "severity": self.severity.value,
            "message": bounded(self.message),
            "count": self.count,
            "examples": [bounded(example) for example in self.examples],
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What one check came to."""

    check: Check
    result: Result
    findings: tuple[Finding, ...]
    reason: str | None
    """Why it, or a part of it, is not checkable."""

    @property
    def line(self) -> str:
        """Tell it in a line, without the check's name."""
        said = [finding.text for finding in self.findings]
        return "; ".join([*said, *([self.reason] if self.reason else [])]) or self.check.says

    def values(self) -> dict[str, Any]:
        """Give it for JSON."""
        return {
            "check": self.check.name,
            "result": self.result,
            "findings": [finding.values() for finding in self.findings],
            "reason": self.reason,
        }


class Outcomes:
    """Gathers findings while rows pass. Memory does not grow with them."""

    def __init__(self, checks: Sequence[Check]) -> None:
        """Take the checks that are asked; what nobody says anything of has passed."""
        self._checks = checks
        self._found: dict[tuple[str, str], Finding] = {}
        self._cannot: dict[str, str] = {}

    def found(
        self,
        check: str,
        message: str,
        examples: Iterable[str] = (),
        *,
        count: int = 1,
        severity: Severity | None = None,
    ) -> None:
        """Take a finding; of equal ``message`` it is one, its rows counted together."""
        known = self._found.setdefault(
            (check, message),
            Finding(check=check, severity=severity or CHECKS[check].severity, message=message),
        )
        known.count += count
        for example in examples:
            if len(known.examples) >= _EXAMPLES:
                break
            if example not in known.examples:
                known.examples.append(example)

    def cannot(self, check: str, reason: str) -> None:
        """Say why a check, or a part of it, is not checkable: the first reason stands."""
        self._cannot.setdefault(check, reason)

    def cannot_any(self, checks: Iterable[str], reason: str) -> None:
        """Say it of several."""
        for check in checks:
            self.cannot(check, reason)

    @property
    def is_wrong(self) -> bool:
        """Whether there is an error."""
        return any(finding.severity is Severity.ERROR for finding in self._found.values())

    def __iter__(self) -> Iterator[Outcome]:
        """Give each check's outcome."""
        for check in self._checks:
            findings = tuple(finding for (name, _), finding in self._found.items() if name == check.name)
            reason = self._cannot.get(check.name)
            result: Result = "not checkable" if reason else "passed"
            if findings:
                worst = any(finding.severity is Severity.ERROR for finding in findings)
                result = "error" if worst else "warning"
            yield Outcome(check=check, result=result, findings=findings, reason=reason)
