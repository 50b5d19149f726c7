"""What an Item, names and tags say of Sentinel-2's BOA offset: every statement, and where it was made.

A statement that cannot be read is kept as such: it is not the same as none.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

Baseline = tuple[int, int]
BOA_ADD_OFFSET = -1000
OFFSET_BASELINE: Baseline = (4, 0)
"""From this processing baseline on, 1000 is added to every DN."""
_OWN_PROCESSING = 99
"""Sen2Cor on a user's machine names its product N9999: whose rules it followed, it does not say."""
_NAMED = re.compile(r"(?<![A-Za-z0-9])N(\d{2})\.?(\d{2})(?![A-Za-z0-9])")
_PLAIN = re.compile(r"\s*[Nn]?(?:(\d{1,2})[._](\d{1,2})|(\d{2})(\d{2})|(\d{1,2}))\s*\Z")
_EXACT = re.compile(r"\d{2}\.\d{2}\Z")
_PRODUCT = re.compile(r"S2[A-D]?_", re.IGNORECASE)
_IN_PRODUCT = re.compile(r"(?<=_)(?:N\d{2}\.?\d{2}(?![A-Za-z0-9])|\d{4}(?=_R\d{3}_))", re.IGNORECASE)
"""In a product's own name, in any case: there the relative orbit follows, also where the N is left out."""
_COLLECTION_1 = "sentinel-2-c1-l2a"
_BASELINES = ("s2:processing_baseline", "sentinel:processing_baseline")
_FLAGS = ("earthsearch:boa_offset_applied", "sentinel:boa_offset_applied")
_OFFSETS = ("s2:boa_add_offset",)
_PRODUCT_NAMES = ("s2:product_uri", "s2:product_id", "sentinel:product_id")
_TAGS = {"PROCESSING_BASELINE": "baseline", "BOA_ADD_OFFSET": "offset", "PRODUCT_URI": "name"}
"""As GDAL's Sentinel-2 driver calls them; a GeoTIFF that was converted from the product keeps them."""
_MAX_SAID = 80


class About(StrEnum):
    """What a statement is about."""

    BASELINE = "processing baseline"
    APPLIED = "offset applied"
    OFFSET = "offset"


@dataclass(frozen=True, kw_only=True, slots=True)
class Statement:
    """One statement."""

    where: str
    """Who says it: a property's name, ``id``, ``collection``, a file's name, a tag."""
    said: str
    """As it was written, cut to a bounded length."""
    about: About
    value: Baseline | bool | int | None
    """A baseline (major, minor), whether 1000 was taken off already, or the offset 0 or -1000; None if unreadable."""
    weak: bool = False
    """Unreadable, but of a field that may well speak of something else."""

    def __str__(self) -> str:
        """Give it as messages quote it."""
        return f"{self.where} says {self.said}"


def statements(
    *,
    properties: Mapping[str, Any],
    collection: str | None,
    item: str | None,
    files: Iterable[str],
    tags: Iterable[Mapping[str, str]],
) -> tuple[Statement, ...]:
    """Collect what is said by an Item's properties, collection and id, by names of files and by their tags.

    ``s2:datatake_id`` and ``s2:datastrip_id`` are left out: their baseline is that of the Level-1 processing.
    """
    found = [
        *_of_properties(properties),
        *([_baseline("collection", _COLLECTION_1, "05.00")] if collection == _COLLECTION_1 else []),
        *(_of_name("id", item) if item else ()),
        *(
            statement
            for name in _PRODUCT_NAMES
            if isinstance(text := properties.get(name), str)
            for statement in _of_name(name, text)
        ),
        *(statement for file in files for statement in _of_name("the file's name", file)),
        *(statement for each in tags for statement in _of_tags(each)),
    ]
    return tuple({(one.where, one.about, one.value, one.said): one for one in found}.values())


def _of_properties(properties: Mapping[str, Any]) -> Iterator[Statement]:
    for name in _BASELINES:
        if _is_there(value := properties.get(name)):
            yield _baseline(name, value, value)
    for name in _FLAGS:
        if _is_there(value := properties.get(name)):
            flag = value if isinstance(value, bool) else None
            yield Statement(where=name, said=_short(value), about=About.APPLIED, value=flag)
    for name in _OFFSETS:
        if _is_there(value := properties.get(name)):
            yield Statement(where=name, said=_short(value), about=About.OFFSET, value=_offset(value))
    if _is_there(version := properties.get("processing:version")):
        exact = isinstance(version, str) and _EXACT.match(version)
        value = read_baseline(version) if exact else None
        yield Statement(
            where="processing:version", said=_short(version), about=About.BASELINE, value=value, weak=value is None
        )
    software = properties.get("processing:software")
    for name, version in software.items() if isinstance(software, dict) else ():
        if "baseline" in str(name).lower():
            yield _baseline(f"processing:software[{_short(name)}]", version, version)


def _of_name(where: str, text: str) -> Iterator[Statement]:
    """Find a baseline in a name, or in those parts of a path that are a product's name or a file's."""
    parts = text.rstrip("/").split("/")
    seen = set()
    for part in parts:
        if part is not parts[-1] and not _PRODUCT.match(part):
            continue
        for match in (_IN_PRODUCT if _PRODUCT.match(part) else _NAMED).finditer(part):
            if match[0] not in seen:
                seen.add(match[0])
                yield _baseline(where, match[0], match[0], quoted=False)


def _of_tags(tags: Mapping[str, str]) -> Iterator[Statement]:
    for name, kind in _TAGS.items():
        if not (value := tags.get(name, "").strip()):
            continue
        where = f"the file's tag {name}"
        if kind == "baseline":
            yield _baseline(where, value, value)
        elif kind == "offset":
            yield Statement(where=where, said=_short(value), about=About.OFFSET, value=_offset(value))
        else:
            yield from _of_name(where, value)


def _baseline(where: str, said: object, value: object, *, quoted: bool = True) -> Statement:
    return Statement(
        where=where,
        said=_short(said) if quoted else str(said),
        about=About.BASELINE,
        value=read_baseline(value),
    )


def read_baseline(value: object) -> Baseline | None:
    """Read ``"05.00"``, ``"0500"``, ``"N0500"``, ``5.0`` or ``5`` as (5, 0); None for what is no baseline of ESA's."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        if not 0 <= value < _OWN_PROCESSING * 100:  # NaN is neither, and a number of any length is compared
            return None
        hundredths = round(value) if isinstance(value, int) and value >= 100 else round(value * 100)  # noqa: PLR2004 - 500 is 0500 without its zero
        baseline = divmod(hundredths, 100)
    else:
        found = _PLAIN.match(value) if isinstance(value, str) else None
        if found is None:
            return None
        major, minor = (found[1] or found[3] or found[5]), (found[2] or found[4] or "0")
        baseline = (int(major), int(minor))
    return baseline if baseline[0] < _OWN_PROCESSING else None


def _offset(value: object) -> int | None:
    """Read 0 or -1000; anything else is no offset that a product of Sentinel-2 has."""
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float) or value not in (0, BOA_ADD_OFFSET):
        return None
    return int(value)


def _is_there(value: object) -> bool:
    return value is not None and value != ""


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _MAX_SAID else f"{text[:_MAX_SAID]}..."
