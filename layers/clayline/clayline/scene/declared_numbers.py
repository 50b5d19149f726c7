"""What a file and an Item say of a band's numbers: scale, offset, unit and type, and where each was said."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from clayline.chips.cog import CogHeader
from clayline.errors import SceneError

BOA_OFFSET = Fraction(-1, 10)
"""Sentinel-2's, as reflectance: -1000 numbers of 0.0001."""
_MAX_TEXT = 64
_NEAR = Fraction(1, 10**6)
_LARGEST = 1e12
_DECIBELS = frozenset({"db", "decibel", "decibels"})
_NEVER_VALID = frozenset({"nan", "inf", "-inf"})
"""As the raster extension writes them."""
_REFLECTANCES = frozenset({"1", "reflectance"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Said:
    """One value, as it was written."""

    where: str
    value: object


@dataclass(frozen=True, kw_only=True, slots=True)
class DeclaredNumbers:
    """Everything that is said of a band's numbers, by field."""

    scale: tuple[Said, ...] = ()
    offset: tuple[Said, ...] = ()
    unit: tuple[Said, ...] = ()
    dtype: tuple[Said, ...] = ()
    nodata: tuple[Said, ...] = ()

    def with_(self, other: "DeclaredNumbers") -> "DeclaredNumbers":
        """Give both."""
        return DeclaredNumbers(
            scale=self.scale + other.scale,
            offset=self.offset + other.offset,
            unit=self.unit + other.unit,
            dtype=self.dtype + other.dtype,
            nodata=self.nodata + other.nodata,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Scaling:
    """What is said, when nobody contradicts: quantity = scale x number + offset. None: not said."""

    scale: Fraction | None
    offset: Fraction | None
    decibel: bool
    dtype: str | None
    """What the Item takes the file's type to be."""
    where: str
    """Who says it, for messages and the record; empty if nobody does."""


def of_asset(asset: Mapping[str, Any], number: int) -> DeclaredNumbers:
    """Read an asset's ``raster:bands`` (STAC 1.0), its ``bands`` and its own fields (STAC 1.1), for the band that is
    ``number`` (1-based) in the file.
    """
    sources = list(_sources(asset, number))

    def said(*names: str) -> tuple[Said, ...]:
        return tuple(
            Said(where=f"{where} {name}", value=source[name])
            for where, source in sources
            for name in names
            if source.get(name) is not None
        )

    return DeclaredNumbers(
        scale=said("scale", "raster:scale"),
        offset=said("offset", "raster:offset"),
        unit=said("unit"),
        dtype=said("data_type"),
        nodata=said("nodata"),
    )


def _sources(asset: Mapping[str, Any], number: int) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for field in ("raster:bands", "bands"):
        entries = asset.get(field)
        if isinstance(entries, list) and number <= len(entries) and isinstance(entry := entries[number - 1], dict):
            yield f"the Item's {field}", entry
    own = {name: asset.get(name) for name in ("raster:scale", "raster:offset", "unit", "data_type", "nodata")}
    yield "the Item's asset", own


def of_header(header: CogHeader, number: int) -> DeclaredNumbers:
    """Read what the file's header says of its band ``number`` (1-based).

    GDAL gives scale 1 and offset 0 where a file says nothing, so these say nothing.
    """
    if not 1 <= number <= len(header.scaling):
        return DeclaredNumbers()
    scale, offset, unit = header.scaling[number - 1]
    return DeclaredNumbers(
        scale=(Said(where="the file's scale", value=scale),) if scale != 1 else (),
        offset=(Said(where="the file's offset", value=offset),) if offset else (),
        unit=(Said(where="the file's unit", value=unit),) if unit else (),
    )


def nodata_of(declared: DeclaredNumbers, scene: str, band: str) -> tuple[float, ...]:
    """Give the values that the Item calls nodata. NaN and infinite numbers are none in any case.

    Raises SceneError (``invalid-item``).
    """
    values = []
    for one in declared.nodata:
        if str(one.value).lower() in _NEVER_VALID:
            continue
        value = _read(one.value)
        if value is None:
            msg = f"scene {scene}: band {band}: {quoted([one])} is no number. Correct the Item."
            raise SceneError(msg, reason="invalid-item")
        values.append(float(value))
    return tuple(values)


def agreed(declared: DeclaredNumbers, *, scene: str, band: str, dtype: str) -> Scaling:
    """Give what is said of numbers of ``dtype``, if it can be read and nobody contradicts.

    A scale of 1 without an offset says nothing of whole numbers, for no whole number is a reflectance: it is a default
    that was written down. Of floats it does, and so does the unit ``reflectance``.

    Raises SceneError (``unknown-units``).
    """
    scale = _number(declared.scale, scene, band)
    if scale is not None and scale <= 0:
        raise _unreadable(declared.scale[0], scene, band)
    offset = _number(declared.offset, scene, band)
    units = {_unit(one.value) for one in declared.unit} - {""}
    decibel = bool(units & _DECIBELS)
    if decibel and units - _DECIBELS:
        raise _contradiction(declared.unit, scene, band)
    said = [*declared.scale, *declared.offset, *declared.unit]
    is_whole = dtype.startswith(("int", "uint"))
    if is_whole and scale == 1 and not offset:
        scale = offset = None
    if not is_whole and scale is None and units & _REFLECTANCES:
        scale = Fraction(1)
    return Scaling(
        scale=scale,
        offset=offset,
        decibel=decibel,
        dtype=next((str(one.value)[:_MAX_TEXT] for one in declared.dtype), None),
        where=quoted(said),
    )


def near(one: Fraction, other: Fraction) -> bool:
    """Say whether two numbers are one, written with other digits: tools keep 0.0001 as float32."""
    return one == other or (other != 0 and abs(one / other - 1) < _NEAR)


def quoted(said: list[Said] | tuple[Said, ...]) -> str:
    """List statements for a message."""
    return ", ".join(f"{one.where} {str(one.value)[:_MAX_TEXT]}" for one in said)


def _number(said: tuple[Said, ...], scene: str, band: str) -> Fraction | None:
    values = []
    for one in said:
        if (value := _read(one.value)) is None:
            raise _unreadable(one, scene, band)
        values.append(value)
    if any(not near(value, values[0]) for value in values[1:]):
        raise _contradiction(said, scene, band)
    return values[0] if values else None


def _read(value: object) -> Fraction | None:
    """Read a number by its decimals. Bounded first: a text of ten digits may be a number of a billion."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        text = repr(value) if isinstance(value, float) else str(value)[:_MAX_TEXT]
        size = abs(float(text))
        if not size < _LARGEST:
            return None
        return Fraction(text) if size > 1 / _LARGEST else Fraction(0)
    except (ValueError, ZeroDivisionError, OverflowError):
        return None


def _unit(value: object) -> str:
    return str(value)[:_MAX_TEXT].strip().lower()


def _unreadable(one: Said, scene: str, band: str) -> SceneError:
    msg = f"scene {scene}: band {band}: {quoted([one])} is no number that can be meant. Correct it."
    return SceneError(msg, reason="unknown-units")


def _contradiction(said: tuple[Said, ...], scene: str, band: str) -> SceneError:
    msg = f"scene {scene}: band {band}: {quoted(said)}: these exclude each other. Correct the Item, or the file."
    return SceneError(msg, reason="unknown-units")
