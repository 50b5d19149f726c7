"""What is told of files that were checked: for people, and as JSON."""

from collections import defaultdict
from typing import Any, Final

from clayline.verification.files import FileVerdict
from clayline.verification.outcomes import Outcomes
from clayline.verification.sets import FilesTogether

_WORDS: Final = {True: "ERRORS", False: "no error"}


def paragraph(verdict: FileVerdict) -> str:
    """Tell a file: what is wrong, what could not be checked, what passed."""
    state = _WORDS[verdict.outcomes.is_wrong]
    head = f"{verdict.name}\n  {verdict.layout}, {verdict.rows:,} rows, {verdict.size:,} bytes: {state}"
    return "\n".join([head, *_lines(verdict.outcomes)])


def all_files(together: FilesTogether, files: int, rows: int, *, wrong: int) -> str:
    """Tell all files together; ``wrong``: how many have errors of their own."""
    if files == 1:
        alone, both = f"1 file, {rows:,} rows: {_WORDS[wrong > 0]}", "what lies about it"
    else:
        own = f"ERRORS in {wrong:,}" if wrong else "no error in any"
        alone, both = f"{files:,} files, {rows:,} rows: {own}", "all together"
    head = f"{alone}; {both}: {_WORDS[together.outcomes.is_wrong]}"
    return "\n".join([head, *_lines(together.outcomes)])


def values(verdict: FileVerdict) -> dict[str, Any]:
    """Give a file as JSON."""
    return {
        "file": verdict.name,
        "layout": verdict.layout,
        "rows": verdict.rows,
        "bytes": verdict.size,
        "wrong": verdict.outcomes.is_wrong,
        "checks": [outcome.values() for outcome in verdict.outcomes],
    }


def together(found: FilesTogether, files: int, rows: int, *, wrong: bool, several: bool) -> dict[str, Any]:
    """Give all files together as JSON; ``wrong``: any of them, or they together."""
    checks = [outcome.values() for outcome in found.outcomes] if several else []
    return {"files": files, "rows": rows, "wrong": wrong, "checks": checks}


def _lines(outcomes: Outcomes) -> list[str]:
    lines, passed, cannot = [], [], defaultdict(list)
    for outcome in outcomes:
        name = outcome.check.name
        lines += [f"  {finding.severity.value:<8} {name:<19} {finding.text}" for finding in outcome.findings]
        if outcome.reason:
            cannot[outcome.reason].append(name)
        elif not outcome.findings:
            passed.append(name)
    lines += [f"  not checkable: {', '.join(names)} ({reason})" for reason, names in cannot.items()]
    return [*lines, *([f"  passed: {', '.join(passed)}"] if passed else [])]
