"""The command line's way in: ``clayline embed SCENE... --out DIR``. Loads nothing heavy before the arguments hold."""

import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Final

from clayline.errors import ClaylineError
from clayline_local.command.options import parse
from clayline_local.command.progress import Console
from clayline_local.command.scenes import look_at
from clayline_local.stopping import Stopped, catching, stoppable

_PIPE_CLOSED: Final = 141
"""As a shell gives SIGPIPE: whoever read what is printed, such as ``head``, has had enough."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command. Exit statuses: see ``command.help``. Raises SystemExit for --help, --version and a wrong option."""
    options = parse(arguments)
    console = Console(quiet=options.quiet)
    with catching(), ExitStack() as keep:
        try:
            with stoppable():
                scenes = look_at(options, keep)
                from clayline_local.command.embed import embed  # noqa: PLC0415 - seconds of imports, which a typo need not wait for
            return embed(options, scenes, console)
        except Stopped as stopped:
            console.end()
            console.error(f"stopped by {stopped.signal.name}. What was finished stays in {options.out}; run again to go on.")
            return stopped.exit_status
        except ClaylineError as error:
            console.end()
            console.error(str(error))
            return 2
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else the interpreter complains as it ends
            return _PIPE_CLOSED
        except OSError as error:
            console.end()
            console.error(f"{error.strerror or error}{f' ({error.filename})' if error.filename else ''}. {_remedy(error)}")
            return 2


def _remedy(error: OSError) -> str:
    if isinstance(error, PermissionError):
        return "Check the permissions of what is named."
    return "Check space and limits of this machine: disk, TMPDIR, memory, open files."


if __name__ == "__main__":
    sys.exit(main())
