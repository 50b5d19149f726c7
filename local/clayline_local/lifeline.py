"""The program of every child.

``python -P lifeline.py FD MODULE ARGUMENT...`` runs a module, for as long as its parent lives.

FD reads from a pipe of which the parent alone has the other end, and into which it never writes: reading ends when the
parent has ended, also by SIGKILL, which no handler sees. Whatever the child then has in hand, nobody would fetch it.
"""

import os
import runpy
import signal
import sys
import threading


def main() -> None:
    """Watch, and run the module as ``python -m`` does."""
    _, lifeline, module, *arguments = sys.argv
    threading.Thread(target=_end_with_parent, args=(int(lifeline),), name="lifeline", daemon=True).start()
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def _end_with_parent(lifeline: int) -> None:
    os.read(lifeline, 1)
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main()
