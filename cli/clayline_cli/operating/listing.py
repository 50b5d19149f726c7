"""``clayline list``: runs by state, reason and time, a line each."""

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Self

from clayline.errors import shown
from clayline_cli import arguments
from clayline_cli.console import Console
from clayline_cli.operating.moments import parsed
from clayline_cli.operating.where import Where, add_where

UNDER_WAY: Final = ("claimed", "waiting", "running", "settled", "committed")
"""States of a run that is not over (docs/states.md)."""
ENDED: Final = ("embedded", "partial", "failed", "refused")
"""How a run can have ended."""
WITH_REASON: Final = frozenset({"partial", "failed", "refused"})
"""Of which the receipt has reasons."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Chosen:
    """Which runs are meant."""

    states: tuple[str, ...]
    """Empty: all."""
    reasons: frozenset[str]
    since: datetime | None
    until: datetime | None

    @classmethod
    def of(cls, found: argparse.Namespace) -> Self:
        """Take what the parser found. Raises ArgumentTypeError."""
        since, until = (parsed(text) if text else None for text in (found.since, found.until))
        if since and until and since >= until:
            arguments.refuse("--since is not before --until")
        return cls(states=found.state, reasons=frozenset(found.reason), since=since, until=until)


EVERY: Final = Chosen(states=(), reasons=frozenset(), since=None, until=None)
"""Nothing was chosen: all runs."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ListOptions:
    """What a call was told."""

    where: Where
    chosen: Chosen
    json: bool

    @classmethod
    def of(cls, found: argparse.Namespace) -> Self:
        """Take what the parser found. Raises ArgumentTypeError."""
        return cls(where=Where.of(found), chosen=Chosen.of(found), json=found.json)


def one_of(known: Sequence[str]) -> Callable[[str], tuple[str, ...]]:
    """Give what takes names of states and of ends, comma separated."""

    def read(text: str) -> tuple[str, ...]:
        names = tuple(dict.fromkeys(name.strip() for name in text.split(",")))
        if unknown := [name for name in names if name not in known]:
            arguments.refuse(f"{unknown[0]!r} is none of {', '.join(known)}")
        return names

    return read


def add_chosen(parser: argparse.ArgumentParser, states: Sequence[str]) -> None:
    """Add what chooses runs, by ``states`` among others."""
    group = parser.add_argument_group("which runs")
    group.add_argument(
        "--state",
        type=one_of(states),
        default=(),
        metavar="STATE[,...]",
        help=f"of {', '.join(states)} (default: all of them)",
    )
    group.add_argument(
        "--reason",
        type=arguments.name,
        action="append",
        default=[],
        metavar="REASON",
        help="whose receipt names it, of the scene or of chips (docs/scenes.md); may be repeated",
    )
    group.add_argument("--since", type=arguments.moment, metavar="TIME", help="begun at that time, or day, or later")
    group.add_argument("--until", type=arguments.moment, metavar="TIME", help="begun before that time or day")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add all of them."""
    add_where(parser)
    add_chosen(parser, (*UNDER_WAY, *ENDED))
    parser.add_argument("--json", action="store_true", help="one JSON object a run and line")


def list_runs(options: ListOptions, console: Console) -> int:
    """Tell the runs; gives the exit status. Raises ClaylineError."""
    from clayline_cli.operating.choosing import chosen  # noqa: PLC0415 - seconds of imports, which a typo need not wait for
    from clayline_cli.operating.running import answering, find  # noqa: PLC0415 - see above

    running = find(options.where)
    with answering(f"reading the ledger of {running.name}"):
        found = chosen(options.chosen, running, console.notice)
    if options.json:
        for run in found:
            print(json.dumps(run.values()), flush=True)
    elif found:
        from clayline_cli.operating.telling import table  # noqa: PLC0415 - see above

        print(shown(table(_rows(found))), flush=True)
    return 0


def _rows(found: Sequence[Any]) -> list[Sequence[str]]:
    return [("begun", "state", "reasons", "run", "scene"), *(run.cells() for run in found)]
