"""What Lambda's image for Python 3.13 has, and what of this machine it has not.

The image is Amazon Linux 2023. Its documents say glibc 2.34 and gcc 11 ("Improved toolchain: gcc, binutils, and glibc"
in the AL2023 user guide). Which libraries a wheel may leave to the system is manylinux's list (auditwheel's
manylinux-policy.json, ``lib_whitelist``). Of that list only these stand here: libexpat.so.1 is on it too, and not in
the image (rasterio-wheels issue 136, eoapi-cdk issue 181). A name comes in here when it is known to be there.
"""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from tests.template.shared_libraries import SharedLibrary, read

LIBRARIES = frozenset(
    {
        *("libc.so.6", "libm.so.6", "libpthread.so.0", "libdl.so.2", "librt.so.1", "libutil.so.1"),  # glibc
        *("ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1"),  # its loader
        *("libgcc_s.so.1", "libstdc++.so.6", "libz.so.1"),
    }
)
NEWEST = {"GLIBC": (2, 34), "GCC": (11,), "GLIBCXX": (3, 4, 29), "CXXABI": (1, 3, 13), "ZLIB": (1, 2, 11)}
"""Newest symbols of these libraries: glibc 2.34, gcc 11, zlib 1.2.11."""


def shared_libraries(folders: Iterable[Path]) -> list[SharedLibrary]:
    """Read every ELF file below ``folders``."""
    files = (file for folder in folders for file in sorted(folder.rglob("*")) if file.is_file())
    return [library for library in map(read, files) if library is not None]


def missing(libraries: Collection[SharedLibrary]) -> dict[str, list[str]]:
    """Give what neither the image has nor a file finds among ``libraries`` where it looks, and who needs it."""
    there = {library.path.resolve() for library in libraries}
    absent: dict[str, list[str]] = {}
    for library in libraries:
        for name in library.needed:
            brought = any((folder / name).resolve() in there for folder in library.search)
            if not brought and name not in LIBRARIES:
                absent.setdefault(name, []).append(library.path.name)
    return absent


def too_new(library: SharedLibrary) -> list[str]:
    """Give the symbol versions that the image's libraries are too old for."""
    return sorted(version for version in library.versions if _too_new(version))


def _too_new(version: str) -> bool:
    name, _, number = version.partition("_")
    if name not in NEWEST:
        return False  # a library's own
    # GLIBC_ABI_DT_RELR and the like are marks of later releases.
    return not re.fullmatch(r"[0-9.]+", number) or tuple(map(int, number.split("."))) > NEWEST[name]


def hidden_files() -> list[Path]:
    """Give this machine's shared libraries that Lambda's image lacks, but for those that the interpreter needs."""
    path = os.pathsep.join((os.environ.get("PATH", ""), "/sbin", "/usr/sbin"))
    command = [shutil.which("ldconfig", path=path) or "ldconfig", "-p"]
    cache = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    known = {name: Path(where) for name, where in re.findall(r"^\s+(\S+) \(.*\) => (.+)$", cache, re.MULTILINE)}
    folders = {where.parent.resolve() for where in known.values()}
    everything = {file.resolve() for folder in folders for file in folder.glob("lib*.so*") if file.is_file()}
    kept = {known[name].resolve() for name in LIBRARIES if name in known} | set(_closure(_interpreter(), known))
    return sorted(file for file in everything - kept if read(file) is not None)


def _interpreter() -> Iterator[Path]:
    yield Path(sys.executable).resolve()
    # Tk is no part of Lambda's Python, and brings half a desktop with it, libexpat among that.
    modules = Path(sysconfig.get_config_var("DESTSHARED")).glob("*.so")
    yield from (file for file in modules if not file.name.startswith("_tkinter."))


def _closure(files: Iterable[Path], known: dict[str, Path]) -> set[Path]:
    found: set[Path] = set()
    waiting = list(files)
    while waiting:
        library = read(waiting.pop())
        for name in library.needed if library else ():
            file = known[name].resolve() if name in known else None
            if file and file not in found:
                found.add(file)
                waiting.append(file)
    return found
