"""Run a command in a mount namespace where the files that a list names are empty.

python hide_libraries.py LIST COMMAND...
"""

import contextlib
import ctypes
import os
import sys
from pathlib import Path

_BIND, _RECURSIVE, _PRIVATE = 0x1000, 0x4000, 0x40000


def enter() -> None:
    """Leave this machine's mount namespace for a copy. Raises OSError where that is refused."""
    user, group = os.geteuid(), os.getegid()
    with contextlib.suppress(PermissionError):
        os.unshare(os.CLONE_NEWNS)
        return
    os.unshare(os.CLONE_NEWUSER | os.CLONE_NEWNS)
    for name, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
        Path(f"/proc/self/{name}").write_text(text, encoding="ascii")


def mount(source: bytes | None, target: bytes, flags: int) -> None:
    """Put ``source`` over ``target`` as the system call does, or only set ``flags``. Raises OSError."""
    if ctypes.CDLL(None, use_errno=True).mount(source, target, None, ctypes.c_ulong(flags), None):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), os.fsdecode(target))


def main() -> None:
    """Hide, and become the command."""
    enter()
    mount(None, b"/", _RECURSIVE | _PRIVATE)
    for line in Path(sys.argv[1]).read_bytes().splitlines():
        mount(b"/dev/null", line, _BIND)
    os.execvp(sys.argv[2], sys.argv[2:])  # noqa: S606 -- it becomes the command


if __name__ == "__main__":
    main()
