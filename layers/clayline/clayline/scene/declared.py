"""What an Item declares of its files' grids (projection extension), held against the files: the file always wins."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from clayline.chips.cog import CogHeader

if TYPE_CHECKING:
    from clayline.run.receipt import SceneWarning

FIELDS: Final = ("proj:code", "proj:epsg", "proj:transform", "proj:shape")
GSD: Final = "gsd"
"""What is declared of the pixel's size, wherever that was said."""
_MOST: Final = 4
"""Disagreements that a message tells."""
_MAX_VALUE: Final = 80
"""Characters of a value in a message: a valid transform takes fewer."""
_PIXEL: Final = 0.01
"""Pixels by which a corner may be off: publishers round."""


_ANOTHER_SIZE: Final = 1.5
"""Times by which a pixel may be larger or smaller than declared: publishers give the instrument's (3.7 m of 3 m)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Declared:
    """The fields of one asset, or of the Item where the asset does not say."""

    own: Mapping[str, Any]
    """What the asset says itself: held against its file."""
    shared: Mapping[str, Any]
    """What the Item says for all: sizes hold for one resolution alone, so that one file which agrees is enough."""


def declared_of(asset: Mapping[str, Any], properties: Mapping[str, Any], *, gsd: float | None = None) -> Declared:
    """Give what an asset, and its Item, declare of its grid; ``gsd`` is what they say of a pixel, metres."""
    own = {field: asset[field] for field in FIELDS if asset.get(field) is not None}
    own |= {GSD: gsd} if gsd else {}
    return Declared(own=own, shared={field: properties[field] for field in FIELDS if properties.get(field) is not None})


def is_size(gsd: float, header: CogHeader) -> bool:
    """Say whether a file's pixel is as large as declared: on the ground, or in the units of its map."""
    sides = header.pixel_size_m, abs(header.transform[0])
    return any(max(gsd, side) <= _ANOTHER_SIZE * min(gsd, side) for side in sides)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Disagreement:
    field: str
    band: str
    declared: str
    found: str


def disagreements(scene: str, files: Sequence[tuple[str, Declared | None, CogHeader]]) -> "tuple[SceneWarning, ...]":
    """Give the warning ``item-disagrees`` if an Item's declarations are not its files'; nothing that is missing warns.

    ``files`` has band, declaration and header of each file that is read. A CRS is compared by EPSG code: one that the
    file has not, or the Item does not give as such, is not compared.
    """
    found = list(_all(files))
    if not found:
        return ()
    told = "; ".join(f"{one.field} of {one.band} is {one.declared}, the file has {one.found}" for one in found[:_MOST])
    more = f"; and {len(found) - _MOST} more" if len(found) > _MOST else ""
    message = f"scene {scene}: the Item disagrees with its files, which were followed: {told}{more}. Correct the Item."
    from clayline.run.receipt import SceneWarning  # noqa: PLC0415 - the command reads Items without pydantic

    return (SceneWarning(reason="item-disagrees", message=message),)


def _all(files: Sequence[tuple[str, Declared | None, CogHeader]]) -> Iterable[_Disagreement]:
    for field in (*FIELDS, GSD):
        shared: list[_Disagreement] = []
        has_fit = False
        for band, declared, header in files:
            if declared is None:
                continue
            is_own = field in declared.own
            value = declared.own[field] if is_own else declared.shared.get(field)
            actual = _found(field, header)
            if value is None or actual is None:
                continue
            if _agrees(field, value, header):
                has_fit = has_fit or not is_own
                continue
            one = _Disagreement(field=field, band=band, declared=_shown(value), found=actual)
            if is_own or field in {"proj:code", "proj:epsg"}:
                yield one
            else:
                shared.append(one)
        if shared and not has_fit:
            yield shared[0]


def _found(field: str, header: CogHeader) -> str | None:
    """Give the file's value as text; None for a CRS without an EPSG code."""
    match field:
        case "proj:code" | "proj:epsg":
            return f"EPSG:{header.epsg}" if header.epsg is not None else None
        case "proj:shape":
            return str([header.height, header.width])
        case "gsd":
            return f"{header.pixel_size_m:g}"
        case _:
            return str(list(header.transform))


def _agrees(field: str, value: object, header: CogHeader) -> bool:
    match field:
        case "proj:epsg":
            return value == header.epsg
        case "proj:code":
            code = str(value)
            return not code.upper().startswith("EPSG:") or code.upper() == f"EPSG:{header.epsg}"
        case "proj:shape":
            return value == [header.height, header.width]
        case "gsd":
            return isinstance(value, float) and is_size(value, header)
        case _:
            return _is_transform(value, header)


def _is_transform(value: object, header: CogHeader) -> bool:
    """Compare the six numbers, or nine of a 3 x 3 matrix, by where they put the grid's corners."""
    if not isinstance(value, list) or len(value) not in {6, 9} or not all(_is_number(number) for number in value):
        return False
    a, b, c, d, e, f = value[:6]
    ha, hb, hc, hd, he, hf = header.transform
    if a * e - b * d == 0:
        return False
    for col, row in ((0, 0), (header.width, 0), (0, header.height), (header.width, header.height)):
        dx = (a - ha) * col + (b - hb) * row + c - hc
        dy = (d - hd) * col + (e - he) * row + f - hf
        if max(abs(dx), abs(dy)) > _PIXEL * header.pixel_area**0.5:
            return False
    return True


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e12  # noqa: PLR2004 - no CRS has such coordinates


def _shown(value: object) -> str:
    text = str(value)
    return text if len(text) <= _MAX_VALUE else f"{text[:_MAX_VALUE]}..."
