"""What a product's digital numbers are, what its model was trained on, and what leads from a file's to those."""

from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor

import numpy as np

from clayline.chips.conversion import Conversion
from clayline.errors import SceneError
from clayline.scene.declared_numbers import BOA_OFFSET, Scaling, agreed, near, of_header
from clayline.scene.describe import OpenedBand
from clayline.scene.radiometry import BoaDecision, boa_of_band
from clayline.scene.sensor import Numbers

_LEAST_BITS = 15
"""Of a whole number that can hold what uint16 products hold: int16, not uint8."""
_POSSIBLE = {
    "reflectance": (Fraction(-1, 4), Fraction(7)),
    "power": (Fraction(-100), Fraction(10**10)),
    "decibels": (Fraction(-100), Fraction(100)),
}
"""Least and most of each quantity. Of reflectances the encodings of all products go from -0.2 (Landsat) to 6.5535
(Sentinel-2). Of power, that of 100 dB, and below zero the noise that was taken off; and decibels that nobody declared,
which ``plausible`` tells of."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Band:
    """A band as far as its numbers are concerned."""

    scene: str
    name: str
    dtype: str
    said: Scaling


@dataclass(frozen=True, kw_only=True, slots=True)
class Meaning:
    """What a file's numbers are: quantity = scale x number + offset."""

    quantity: str
    """``reflectance``, ``power`` or ``decibels``."""
    scale: Fraction
    offset: Fraction
    where: str
    """Who says so."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Brought:
    """What is done with a band's numbers."""

    offset: int
    """Added at last (BOA)."""
    conversion: Conversion | None = None
    """What brings them to the model's before that; None where they are these already."""
    possible: tuple[float, float] | None = None
    """Least and most that they can be: what is beyond has no value. None: the type holds nothing beyond, or it is not
    known."""


def brought(scene: str, band: OpenedBand, numbers: Numbers | None, *, target: str, boa: BoaDecision | None) -> Brought:
    """Say what is done with a band's numbers.

    ``numbers`` are its product's; where nothing is known of those, the file's are the model's if its type can hold
    them. Raises SceneError (``wrong-dtype``, ``unknown-units``, ``boa-contradiction``, ``boa-unknown``).
    """
    name, dtype = band.asset.name, band.header.dtype
    offset = boa.offset if boa else 0
    if numbers is None:
        if np.can_cast(np.dtype(dtype), np.dtype(target), casting="safe"):
            return Brought(offset=offset)
        msg = (
            f"scene {scene}: band {name} is {dtype}, the model takes {target}. Deliver the product's own digital"
            " numbers."
        )
        raise SceneError(msg, reason="wrong-dtype")
    declared = of_header(band.header, band.asset.band).with_(band.asset.numbers)
    said = agreed(declared, scene=scene, band=name, dtype=dtype)
    if boa is not None:
        offset = boa_of_band(boa, said, scene=scene, band=name, own_scale=numbers.own[0])
    known = Band(scene=scene, name=name, dtype=dtype, said=said)
    meaning = meaning_of(known, numbers, boa=boa is not None)
    if meaning is None:
        return Brought(offset=offset)
    conversion = conversion_of(meaning, numbers, dtype=dtype, target=target)
    return Brought(offset=offset, conversion=conversion, possible=possible_of(meaning, dtype))


def meaning_of(band: Band, numbers: Numbers, *, boa: bool) -> Meaning | None:
    """Find what a band's numbers mean; None where they have no meaning that a scale leads to, and are the product's.

    A file of the product's own type is believed where nothing is said, and so is one of another whole-numbered type
    that can hold the product's numbers. ``boa``: a declared offset of 0 or -0.1 is Sentinel-2's affair, decided
    elsewhere (``radiometry``), and so no part of the meaning. Raises SceneError (``unknown-units``).
    """
    said, dtype = band.said, np.dtype(band.dtype)
    if numbers.quantity == "power":
        return _of_power(band, numbers)
    if numbers.quantity == "digital":
        if band.dtype not in numbers.types:
            raise _unknown(band, numbers, "its numbers have no scale that could lead there")
        return None
    _check_whole(band, numbers)
    own = numbers.own
    scale, offset, where = said.scale, said.offset, said.where
    is_whole = np.issubdtype(dtype, np.integer)
    if scale is None:
        if offset:
            raise _unknown(band, numbers, f"{where} comes without a scale")
        if band.dtype not in numbers.types and not (is_whole and np.iinfo(dtype).bits > _LEAST_BITS):
            raise _unknown(band, numbers, "neither the file nor the Item says their scale")
        (scale, offset), where = own, f"{band.dtype}, and nothing else is said"
    elif said.dtype and said.dtype != band.dtype and band.dtype not in numbers.types:
        raise _unknown(band, numbers, f"{where}, but for {said.dtype}: that is another file")
    scale = own[0] if near(scale, own[0]) else scale
    offset = Fraction(0) if offset is None else offset
    if boa and any(near(offset, known) for known in (Fraction(0), BOA_OFFSET)):
        offset = own[1]
    offset = own[1] if near(offset, own[1]) else offset
    return Meaning(quantity="reflectance", scale=scale, offset=offset, where=where)


def conversion_of(meaning: Meaning, numbers: Numbers, *, dtype: str, target: str) -> Conversion | None:
    """Give what brings numbers of ``dtype`` to the model's, as ``target``; None where they are the model's already."""
    if meaning.quantity == "decibels":
        why = f"{meaning.where}; the model takes linear power"
        return Conversion(factor="1", constant="0", decibel=True, why=why)
    scale, offset = numbers.model
    factor, constant = meaning.scale / scale, (meaning.offset - offset) / scale
    if meaning.quantity == "power" or (
        factor == 1 and not constant and np.can_cast(np.dtype(dtype), np.dtype(target), casting="safe")
    ):
        return None
    return Conversion(
        factor=str(factor),
        constant=str(constant),
        why=f"{meaning.where}; the model takes {_decimal(scale)} x number + {_decimal(offset)}",
    )


def possible_of(meaning: Meaning, dtype: str) -> tuple[float, float] | None:
    """Give the least and the most number of ``dtype`` that its quantity can be; None where it holds nothing else."""
    least, most = ((edge - meaning.offset) / meaning.scale for edge in _POSSIBLE[meaning.quantity])
    if not np.issubdtype(np.dtype(dtype), np.integer):
        return float(least), float(most)
    limits = np.iinfo(dtype)
    if least <= limits.min and most >= limits.max:
        return None
    return max(ceil(least), int(limits.min)), min(floor(most), int(limits.max))


def _check_whole(band: Band, numbers: Numbers) -> None:
    """Refuse the product's scale without the offset that belongs to it: it may be 0, or left out."""
    scale, offset = numbers.own
    if offset and band.said.offset is None and band.said.scale is not None and near(band.said.scale, scale):
        raise _unknown(band, numbers, f"{band.said.where} comes without the product's offset")


def _of_power(band: Band, numbers: Numbers) -> Meaning:
    """Radar: linear power, or decibels where the unit says so."""
    if not np.issubdtype(np.dtype(band.dtype), np.floating):
        raise _unknown(band, numbers, "whole numbers are no power")
    said = band.said
    scale, offset = said.scale or Fraction(1), said.offset or Fraction(0)
    if scale != 1 or offset:
        raise _unknown(band, numbers, f"{said.where}: a scaled power is not known here")
    quantity = "decibels" if said.decibel else "power"
    return Meaning(quantity=quantity, scale=scale, offset=offset, where=said.where)


def _unknown(band: Band, numbers: Numbers, why: str) -> SceneError:
    model = " or ".join(numbers.types)
    scale, offset = numbers.own
    means = "" if numbers.quantity == "digital" else f" ({numbers.quantity} = {_decimal(scale)} x number"
    means += "" if numbers.quantity == "digital" else f"{_signed(offset)})"
    msg = (
        f"scene {band.scene}: band {band.name} holds {band.dtype}, and its product {model}{means}: what its numbers"
        f" mean is not known, for {why}. Deliver the product's own numbers, or say what these are: scale and offset in"
        ' the Item (raster:bands) or in the GeoTIFF, whose unit may also be "reflectance" (floats of 0 to 1) or'
        ' "dB".'
    )
    return SceneError(msg, reason="unknown-units")


def _signed(offset: Fraction) -> str:
    return "" if not offset else f" {'-' if offset < 0 else '+'} {_decimal(abs(offset))}"


def _decimal(value: Fraction) -> str:
    return format(float(value), ".12g")
