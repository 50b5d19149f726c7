"""How the program ``clayline`` starts: it ends quietly by Ctrl-C while the rest of it is still being imported."""

import signal
from typing import NoReturn


def command() -> NoReturn:
    """Be the program ``clayline``.

    Until ``program`` handles signals there is nothing to put away, and Python would tell SIGINT as a traceback. One
    that is ignored, as in the background of a shell, stays ignored.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from clayline_cli.program import command as program  # noqa: PLC0415 - what takes long comes after

    program()


if __name__ == "__main__":
    command()
