"""What a shared library asks of the machine that loads it, read from the file: any architecture, nothing run."""

import struct
from dataclasses import dataclass
from pathlib import Path

_LOAD, _DYNAMIC = 1, 2
_NEEDED, _STRINGS, _RPATH, _RUNPATH, _VERSIONS, _VERSION_COUNT = 1, 5, 15, 29, 0x6FFFFFFE, 0x6FFFFFFF


@dataclass(frozen=True, kw_only=True, slots=True)
class SharedLibrary:
    """One 64-bit little-endian ELF file."""

    path: Path
    machine: int
    """ELF's e_machine."""
    needed: tuple[str, ...]
    """Names of the libraries that must be found for this one to load."""
    search: tuple[Path, ...]
    """Folders that the file itself says to look in, with $ORIGIN resolved."""
    versions: frozenset[str]
    """Versioned symbol sets that it wants of them, such as ``GLIBC_2.17``."""


def read(path: Path) -> SharedLibrary | None:
    """Read ``path``; None if it is no ELF file. Statically linked ones need nothing."""
    with path.open("rb") as file:
        if file.read(4) != b"\x7fELF":
            return None
    data = path.read_bytes()
    assert data[4:6] == b"\x02\x01", f"{path} is not 64-bit little-endian"
    machine: int = struct.unpack_from("<H", data, 18)[0]
    headers, size, count = struct.unpack_from("<Q", data, 32)[0], *struct.unpack_from("<HH", data, 54)
    segments = [struct.unpack_from("<IIQQQQ", data, headers + index * size) for index in range(count)]
    loads: list[tuple[int, int, int]] = [(each[3], each[2], each[5]) for each in segments if each[0] == _LOAD]

    def place(address: int) -> int:
        return next(offset + address - start for start, offset, length in loads if start <= address < start + length)

    def text(offset: int) -> str:
        return data[offset : data.index(b"\0", offset)].decode()

    entries: list[tuple[int, int]] = []
    for kind, _, offset, _, _, length in segments:
        if kind == _DYNAMIC:
            entries += struct.iter_unpack("<qQ", data[offset : offset + length])
    values = dict(entries)
    strings = place(values[_STRINGS]) if entries else 0
    folders = [text(strings + value) for tag, value in entries if tag in (_RPATH, _RUNPATH)]
    origin = str(path.resolve().parent)
    versions: set[str] = set()
    at = place(values[_VERSIONS]) if _VERSIONS in values else 0
    for _ in range(values.get(_VERSION_COUNT, 0)):
        _, names, _, first, following = struct.unpack_from("<HHIII", data, at)
        name = at + first
        for _ in range(names):
            _, _, _, string, step = struct.unpack_from("<IHHII", data, name)
            versions.add(text(strings + string))
            name += step
        at += following
    return SharedLibrary(
        path=path,
        machine=machine,
        needed=tuple(text(strings + value) for tag, value in entries if tag == _NEEDED),
        search=tuple(Path(folder.replace("$ORIGIN", origin)) for folder in ":".join(folders).split(":") if folder),
        versions=frozenset(versions),
    )
