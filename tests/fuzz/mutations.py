"""Mutations: of bytes, and of what JSON says. All of chance comes from the generator that is given."""

import copy
from typing import Any, Final

from numpy.random import Generator

ODD: Final[tuple[Any, ...]] = (
    None, True, False, 0, -1, 1, 2**31, 2**63, 10**400, -0.0, 1e308, float("inf"), float("-inf"), float("nan"), "", " ",
    "\x00", "a\nb", "\ud800", "\U0001f6f0", "../..", "/", "s3://", "s3://scenes/a.tif", "https://[", "file:///etc/passwd",
    "9999-12-31T23:59:59.999999999Z", "0001-01-01", "2024-02-30", "24:00", "x" * 5000, [], {}, [None], [[]], [{}],
    {"": None}, {"name": 5}, [{"name": "red"}] * 3,
)  # fmt: skip
"""Values that somebody might write where another is expected."""


def mutate_bytes(chance: Generator, body: bytes, places: range) -> bytes:
    """Change a few bytes within ``places``: single ones, a run, or a number of four bytes; or cut the end off."""
    out = bytearray(body)
    for _ in range(int(chance.integers(1, 4))):
        at = int(chance.integers(places.start, places.stop))
        match int(chance.integers(5)):
            case 0:
                out[at] = int(chance.integers(256))
            case 1:
                out[at] ^= 1 << int(chance.integers(8))
            case 2:
                length = int(chance.integers(1, 32))
                out[at : at + length] = chance.bytes(len(out[at : at + length]))
            case 3:
                number = int(chance.choice([0, 1, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1]))
                out[at : at + 4] = number.to_bytes(4, "little")[: len(out[at : at + 4])]
            case _:
                if chance.random() < 0.1:
                    del out[max(at, 16) :]
                    return bytes(out)
                out[at] = (out[at] + 1) % 256
    return bytes(out)


def mutate_json(chance: Generator, content: Any) -> Any:
    """Change a few values of a JSON document, anywhere: replaced by odd ones, removed, repeated, moved."""
    out = copy.deepcopy(content)
    for _ in range(int(chance.integers(1, 4))):
        spots = list(_spots(out))
        if not spots:
            return out
        holder, key = spots[int(chance.integers(len(spots)))]
        match int(chance.integers(6)):
            case 0 | 1 | 2:
                holder[key] = copy.deepcopy(ODD[int(chance.integers(len(ODD)))])
            case 3:
                del holder[key]
            case 4:
                other, name = spots[int(chance.integers(len(spots)))]
                holder[key] = copy.deepcopy(other[name])
            case _:
                value = holder[key]
                holder[key] = value * int(chance.integers(2, 40)) if isinstance(value, str | list) else [value]
    return out


def _spots(content: Any) -> Any:
    """Give every place of a value: what holds it, and under which key."""
    pairs = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for key, value in list(pairs):
        yield content, key
        yield from _spots(value)
