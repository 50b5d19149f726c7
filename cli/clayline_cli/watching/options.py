"""The options of ``clayline watch``. Importing this loads nothing heavy: --help and a typo answer at once."""

import argparse
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, Self

from clayline_cli import arguments
from clayline_cli.asking.examples import FORMS, add_examples, add_imagery, check_examples, imagery_of
from clayline_cli.asking.options import NEGATIVE, add_model, box, time
from clayline_cli.call import Commands, Parser
from clayline_cli.choosing.options import SceneOptions
from clayline_cli.compacting.place import HELP, root
from clayline_cli.watching.help import EPILOGS
from clayline_local.repository import STARTER

_NAME: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_NONE: Final = "none"
"""What takes a box, a filter or a threshold back."""
_TAKEN_BACK: Final = ("threshold", "box", "cloud_most", "loss_most")
type Doing = Literal["add", "list", "show", "remove", "test"]


@dataclass(frozen=True, kw_only=True, slots=True)
class WatchOptions:
    """What a call of ``clayline watch`` was told."""

    doing: Doing
    name: str
    """Empty for ``list``."""
    root: str
    profile: str | None
    region: str | None
    json: bool
    quiet: bool
    like: tuple[str, ...] = ()
    unlike: tuple[str, ...] = ()
    box: tuple[float, float, float, float] | None = None
    threshold: float | None = None
    linear: bool = False
    across_instruments: bool = False
    cloud_most: float | None = None
    loss_most: float | None = None
    valid_least: float | None = None
    model: str | None = None
    model_folder: Path = STARTER
    taken_back: tuple[str, ...] = ()
    """Fields of a watch that the next version is to have no more: of what is None else the version before is asked."""
    imagery: SceneOptions | None = None
    """How imagery that is an example is found and read; None but for ``add``."""

    @classmethod
    def of(cls, found: argparse.Namespace) -> Self:
        """Take what the parser found."""
        names = [name for name in cls.__dataclass_fields__ if hasattr(found, name)]
        values: dict[str, Any] = {name: getattr(found, name) for name in names}
        back = tuple(name for name, value in values.items() if value == _NONE and name in _TAKEN_BACK)
        values |= dict.fromkeys(back)
        return cls(**values, taken_back=back, imagery=imagery_of(found) if found.doing == "add" else None)


@dataclass(frozen=True, kw_only=True, slots=True)
class TestOptions(WatchOptions):
    """What ``clayline watch test`` was told."""

    __test__ = False
    time: str | None
    at_most: float


def add_options(parser: Parser) -> None:
    """Add what is done, and the options of each."""
    doing = parser.add_subparsers(
        dest="doing",
        required=True,
        metavar="add|list|show|remove|test",
        parser_class=Parser,
        help="what to do with watches",
    )
    added = _word(doing, "add", "keep a watch, or the next version of one")
    _place(added)
    group = added.add_argument_group("what is looked for")
    add_examples(group, more=" (without one, the version before is taken over)")
    add_model(group)
    group.add_argument(
        "--linear", action="store_true",
        help="tell the two apart by a linear separation (at least two of each) instead of by their means",
    )  # fmt: skip
    group.add_argument(
        "--across-instruments",
        action="store_true",
        help="look at scenes of any instrument (default: every satellite of the examples' families)",
    )
    group = added.add_argument_group(
        "when it calls",
        "Without --like what is not given stays as the version before has it. `none` takes it back: --in none,"
        " --max-cloud none, --max-loss none; --threshold none makes a draft again.",
    )
    group.add_argument(
        "--threshold", type=_or_none(arguments.number(float, -1.0, 1.0)), metavar="T",
        help="from which score on a chip matches, over -1 to 1 (default: none: a draft, which calls nobody)",
    )  # fmt: skip
    group.add_argument(
        "--in", dest="box", type=_or_none(box), metavar="W,S,E,N", help="only chips that meet this box; degrees"
    )
    group.add_argument(
        "--min-valid", dest="valid_least", type=arguments.fraction, metavar="F", help="valid fraction (default: 0.9)"
    )
    group.add_argument(
        "--max-cloud",
        dest="cloud_most",
        type=_or_none(arguments.fraction),
        metavar="F",
        help="cloud fraction (default: any)",
    )
    group.add_argument(
        "--max-loss",
        dest="loss_most",
        type=_or_none(arguments.number(float, 0.0, 1e30)),
        metavar="L",
        help="loss (default: any)",
    )
    add_imagery(added)
    _place(_word(doing, "list", "the newest version of each watch"), named=False)
    _place(_word(doing, "show", "one watch, with its versions"))
    _place(_word(doing, "remove", "call nobody any more; what was kept stays"))
    tested = _word(doing, "test", "how often it would have called over ROOT's scenes")
    _place(tested)
    tested.add_argument("--time", type=time, metavar="A/B", help="scenes acquired from A to B (default: all)")
    tested.add_argument(
        "--threshold", type=arguments.number(float, -1.0, 1.0), metavar="T", help="to try (default: the watch's own)"
    )
    tested.add_argument(
        "--at-most", type=arguments.fraction, default=0.05, metavar="F",
        help="share of the scenes that the proposed threshold lets call (default: 0.05)",
    )  # fmt: skip
    tested.set_defaults(box=None)


def refuse_what_does_not_fit(found: argparse.Namespace) -> None:
    """Say what only all options together can tell. Raises ArgumentTypeError."""
    if found.doing != "add":
        return
    found.like, found.unlike = tuple(found.like), tuple(found.unlike)
    check_examples(found.like, found.unlike)
    if found.like:
        return
    if found.unlike or found.linear or found.model or found.model_folder != STARTER or found.across_instruments:
        arguments.refuse(f"--like is missing: a new probe needs at least one example. Give {FORMS}")
    if all(value is None for value in (found.threshold, found.box, *_filters(found))):
        arguments.refuse(
            "give --like EXAMPLE, or what is to change: --threshold, --in, --min-valid, --max-cloud, --max-loss"
        )


def _filters(found: argparse.Namespace) -> tuple[float | None, ...]:
    return (found.valid_least, found.cloud_most, found.loss_most)


def _word(doing: Commands, name: str, summary: str) -> Parser:
    """Add what is done with watches, with its own examples and exit statuses."""
    return doing.add_parser(
        name, help=summary, description=f"{summary[0].upper()}{summary[1:]} (docs/watches.md).", epilog=EPILOGS[name],
        formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False,
    )  # fmt: skip


def _place(parser: Parser, *, named: bool = True) -> None:
    parser._negative_number_matcher = NEGATIVE  # noqa: SLF001 - argparse would take a box in the west for an option
    if named:
        parser.add_argument("name", type=_name, metavar="NAME", help="of the watch")
    else:
        parser.set_defaults(name="")
    parser.add_argument("root", type=root, metavar="ROOT", help=HELP)
    arguments.add_reach(parser)
    parser.add_argument("--json", action="store_true", help="tell it as JSON")
    parser.add_argument("-q", "--quiet", action="store_true", help="no notices")


def _or_none[Value](read: Callable[[str], Value]) -> Callable[[str], Value | str]:
    """Give what takes ``none`` as well, which takes back what the version before has."""
    return lambda text: text if text == _NONE else read(text)


def _name(text: str) -> str:
    if not _NAME.fullmatch(text):
        arguments.refuse(f"{text!r} is no name of a watch: lower case letters, digits and hyphens, at most 63")
    return text
