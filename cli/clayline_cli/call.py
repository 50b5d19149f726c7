"""What a command and the program agree on: the parser on which a command puts itself, and a call that can be run."""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn, override

from clayline_cli.console import Console
from clayline_local.stopping import stoppable


class Parser(argparse.ArgumentParser):
    """Says what is wrong in a line, without the whole usage."""

    @override
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}\n`{self.prog} --help` explains every option.\n")

    def asked(self, found: argparse.Namespace) -> "Parser":
        """Give the parser of the command, and of its word, that was asked for: its help has the options."""
        words = self._words()
        return words.choices[getattr(found, words.dest)].asked(found) if words else self

    @override
    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Refuse an option that there is not before anything else: what follows it would be told to be a wrong name."""
        given = () if self._words() else tuple(args or ())
        for each in given[: given.index("--")] if "--" in given else given:
            if each.startswith("-") and not self._is_known(each):
                self.error(f"unrecognized arguments: {each.partition('=')[0]}")
        return super().parse_known_args(args, namespace)

    def _is_known(self, text: str) -> bool:
        """Say whether what begins with a minus is an option, several short ones, a number, or a text with spaces."""
        known = self._option_string_actions
        is_short = not text.startswith("--") and (len(text) == 1 or text[:2] in known)
        is_value = " " in text or bool(self._negative_number_matcher.match(text))
        return text.partition("=")[0] in known or is_short or is_value

    def _words(self) -> "argparse._SubParsersAction[Parser] | None":
        actions = self._subparsers._group_actions if self._subparsers else ()  # noqa: SLF001 - argparse has no other way
        return next((each for each in actions if isinstance(each, argparse._SubParsersAction)), None)  # noqa: SLF001


type Commands = argparse._SubParsersAction[Parser]  # noqa: SLF001 - argparse has no other name for it
"""Of the program's parser. A command adds its own, whose default ``call`` takes the arguments and gives a Call."""


def command_parser(
    commands: Commands, name: str, *, summary: str, description: str, epilog: str | None = None
) -> Parser:
    """Put a command on the program's parser: its texts are told as they are written, its options in full alone."""
    return commands.add_parser(
        name,
        help=summary,
        description=description,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """A command line that holds: what it does, and what is said around that."""

    run: Callable[[Console], int]
    """Gives the exit status. May raise ClaylineError, OSError and Stopped, which the program tells."""
    quiet: bool
    """Whether progress and notices are left out."""
    stopped: str
    """What remains when a signal ends it, and how to go on: a sentence."""


def sent_call(send: Callable[[Console], int]) -> Call:
    """Give the call of a command that sends messages of which each counts once; a signal may stop it."""

    def run(console: Console) -> int:
        with stoppable():
            return send(console)

    return Call(run=run, quiet=False, stopped="Run it again: nothing is done twice.")
