"""The program ``clayline``: a call's errors and signals as sentences and exit statuses.

Loads nothing heavy before the arguments hold.
"""

import logging
import os
import sys
from collections.abc import Sequence
from typing import Final, NoReturn

from clayline.errors import ClaylineError, SceneError
from clayline.place import Place
from clayline_cli.command_line import parse
from clayline_cli.console import Console
from clayline_local.stopping import Stopped, catching, ignore

LOG: Final = logging.getLogger("clayline_cli.program")
_PIPE_CLOSED: Final = 141
"""As a shell gives SIGPIPE: whoever read what is printed, such as ``head``, has had enough."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command. Exit statuses: see ``embedding.help``.

    Raises SystemExit for --help, --version and a wrong option.
    """
    with catching():
        call = parse(arguments)
        console = Console(quiet=call.quiet)
        try:
            return call.run(console)
        except Stopped as stopped:
            console.end()
            console.error(f"stopped by {stopped.signal.name}. {call.stopped}")
            return stopped.exit_status
        except ClaylineError as error:
            console.end()
            # As a text, what is wrong with a scene speaks of a stack's parameters.
            console.error(error.at(Place.CLI) if isinstance(error, SceneError) else str(error))
            return 2
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else the interpreter complains as it ends
            return _PIPE_CLOSED
        except OSError as error:
            console.end()
            console.error(
                f"{error.strerror or error}{f' ({error.filename})' if error.filename else ''}. {_remedy(error)}"
            )
            return 2
        except Exception:
            console.end()
            LOG.exception("clayline: this is a mistake in Clayline, not yours; please report it with what follows")
            return 2  # else it were 1, and read as a chip that failed


def command() -> NoReturn:
    """Be the program ``clayline``.

    What it was told to do is done or left when ``main`` is back: no signal changes the status then.
    """
    status = main()
    ignore()
    sys.exit(status)


def _remedy(error: OSError) -> str:
    if isinstance(error, PermissionError):
        return "Check the permissions of what is named."
    return "Check space and limits of this machine: disk, TMPDIR, memory, open files."


if __name__ == "__main__":
    command()
