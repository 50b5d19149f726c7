"""What a mask's numbers mean: by the product's own definition, by what the Item declares, or cloud as 1."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from clayline.chips.classes import Classes, Classification

BINARY = Classification(
    cloud=(Classes(meaning="cloud", values=(1, 255)),), clear=(Classes(meaning="no cloud", values=(0,)),)
)
"""Of a mask that is of cloud alone, and says no more. A number beside these says nothing: it may be a probability."""
_MOST = 256
_CLOUDS = {"cloud", "clouds", "cloudy", "cirrus"}
_SHADOWS = {"shadow", "shadows"}
_BROKEN = {"saturated", "defective"}
_OTHERWISE = {
    "not", "no", "non", "free", "clear", "low", "unset", "none", "adjacent", "dilated", "dilation", "near", "buffer",
    "confidence", "distance", "topographic", "casted", "terrain", "dark", "small", "without",
}  # fmt: skip
"""Words that say that a class or field does not itself mean cloud: no cloud, or ground beside a cloud."""
_FILL = {"fill", "nodata", "missing", "unknown", "outside", "invalid", "unclassifiable"}


def declared(asset: Mapping[str, Any], number: int = 1) -> Classification | None:
    """Read ``classification:classes`` or ``classification:bitfields`` of an asset, or of its band ``number``.

    Cloud is what is named so: cloud, cirrus, and cloud shadow; and what is saturated or defective. What is only near a
    cloud is not, nor what merely has a confidence. None if nothing is declared, or no cloud among it.
    """
    for place in _places(asset, number):
        if found := _of_values(place.get("classification:classes")) or _of_bits(place.get("classification:bitfields")):
            return found
    return None


def is_declared(asset: Mapping[str, Any], number: int = 1) -> str | None:
    """Say which form of classification is declared: ``classes``, ``bitfields``, or none."""
    for place in _places(asset, number):
        for form in ("classes", "bitfields"):
            if place.get(f"classification:{form}"):
                return form
    return None


def _places(asset: Mapping[str, Any], number: int) -> Iterator[Mapping[str, Any]]:
    """Go through where STAC 1.0 and 1.1 say it: the asset, and its bands."""
    yield asset
    for name in ("bands", "raster:bands", "eo:bands"):
        bands = asset.get(name)
        if isinstance(bands, list) and len(bands) >= number and isinstance(bands[number - 1], dict):
            yield bands[number - 1]


def _of_values(classes: object) -> Classification | None:
    cloud, clear, unknown = [], [], []
    for value, words in _classes(classes):
        one = Classes(meaning=" ".join(words)[:64] or str(value), values=(value,))
        if _is_fill(words):
            unknown.append(one)
        elif _is_cloud(words):
            cloud.append(one)
        else:
            clear.append(one)
    return Classification(cloud=tuple(cloud), clear=tuple(clear), unknown=tuple(unknown)) if cloud else None


def _of_bits(fields: object) -> Classification | None:
    cloud, unknown = [], []
    for field in fields[:_MOST] if isinstance(fields, list) else []:
        if not isinstance(field, dict):
            continue
        bit, bits, words = field.get("offset"), field.get("length"), _words(field.get("name"))
        if not isinstance(bit, int) or not isinstance(bits, int) or not 0 <= bit < bit + bits <= 32:  # noqa: PLR2004 - the widest
            continue
        for value, says in _classes(field.get("classes")) or [(1, words)]:
            one = Classes(meaning=" ".join(words)[:64] or str(bit), values=(value,), bit=bit, bits=bits)
            if _is_fill(words) and _is_fill(says):
                unknown.append(one)
            elif _is_cloud(words) and not _OTHERWISE.intersection(says):
                cloud.append(one)
    return Classification(cloud=tuple(cloud), unknown=tuple(unknown)) if cloud else None


def _classes(classes: object) -> list[tuple[int, list[str]]]:
    """Give value and words of each class that has both."""
    entries = [entry for entry in classes[:_MOST] if isinstance(entry, dict)] if isinstance(classes, list) else []
    found = [(entry.get("value"), _words(entry.get("name") or entry.get("description"))) for entry in entries]
    return [(value, words) for value, words in found if _is_whole(value, 2**32) and words]  # type: ignore[misc] # told apart


def _is_cloud(words: list[str]) -> bool:
    said = set(words)
    if said & _OTHERWISE:
        return False
    return bool(said & (_CLOUDS | _BROKEN)) or (bool(said) and said <= _SHADOWS)


def _is_fill(words: list[str]) -> bool:
    return (bool(_FILL.intersection(words)) and "not" not in words) or words[:2] == ["no", "data"]


def _words(name: object) -> list[str]:
    said = name[:_MOST] if isinstance(name, str) else ""
    return re.findall(r"[a-z0-9]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", said).lower())


def _is_whole(value: object, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= most
