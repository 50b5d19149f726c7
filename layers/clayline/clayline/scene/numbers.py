"""What a product's digital numbers are, what its model was trained on, and what leads from a file's to those."""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from clayline.chips.conversion import Conversion
from clayline.errors import SceneError
from clayline.scene.declared_numbers import BOA_OFFSET, Scaling, agreed, near, of_header
from clayline.scene.describe import OpenedBand
from clayline.scene.radiometry import BoaDecision, boa_of_band
from clayline.scene.sensor import Numbers

_LEAST_BITS = 15
"""Of a whole number that can hold what uint16 products hold: int16, not uint8."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Band:
    """A band as far as its numbers are concerned."""

    scene: str
    name: str
    dtype: str
    said: Scaling


def brought(
    scene: str, band: OpenedBand, numbers: Numbers | None, *, target: str, boa: BoaDecision | None
) -> tuple[int, Conversion | None]:
    """Give what is added to a band's numbers (BOA), and what brings them to the model's before that.

    ``numbers`` are its product's; where nothing is known of those, the file's are the model's if its type can hold
    them. Raises SceneError (``wrong-dtype``, ``unknown-units``, ``boa-contradiction``, ``boa-unknown``).
    """
    name, dtype = band.asset.name, band.header.dtype
    offset = boa.offset if boa else 0
    if numbers is None:
        if np.can_cast(np.dtype(dtype), np.dtype(target), casting="safe"):
            return offset, None
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
    return offset, conversion_of(known, numbers, target=target, boa=boa is not None)


def conversion_of(band: Band, numbers: Numbers, *, target: str, boa: bool) -> Conversion | None:
    """Find what brings a band's numbers to the model's, as ``target``; None where they are the model's already.

    A file of the product's own type is believed where nothing is said, and so is one of another whole-numbered type
    that can hold the product's numbers. ``boa``: a declared offset of 0 or -0.1 is Sentinel-2's affair, decided
    elsewhere (``radiometry``), and so no part of the conversion. Raises SceneError (``unknown-units``).
    """
    said, dtype = band.said, np.dtype(band.dtype)
    if numbers.quantity == "power":
        return _of_power(band, numbers)
    if numbers.quantity == "digital":
        if band.dtype not in numbers.types:
            raise _unknown(band, numbers, "its numbers have no scale that could lead there")
        return None
    _check_whole(band, numbers)
    own, model = numbers.own, numbers.model
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
    factor, constant = scale / model[0], (offset - model[1]) / model[0]
    if factor == 1 and not constant and np.can_cast(dtype, np.dtype(target), casting="safe"):
        return None
    return Conversion(
        factor=str(factor),
        constant=str(constant),
        why=f"{where}; the model takes {_decimal(model[0])} x number + {_decimal(model[1])}",
    )


def _check_whole(band: Band, numbers: Numbers) -> None:
    """Refuse the product's scale without the offset that belongs to it: it may be 0, or left out."""
    scale, offset = numbers.own
    if offset and band.said.offset is None and band.said.scale is not None and near(band.said.scale, scale):
        raise _unknown(band, numbers, f"{band.said.where} comes without the product's offset")


def _of_power(band: Band, numbers: Numbers) -> Conversion | None:
    """Radar: linear power, or decibels where the unit says so."""
    if not np.issubdtype(np.dtype(band.dtype), np.floating):
        raise _unknown(band, numbers, "whole numbers are no power")
    said = band.said
    scale, offset = said.scale or Fraction(1), said.offset or Fraction(0)
    if scale != 1 or offset:
        raise _unknown(band, numbers, f"{said.where}: a scaled power is not known here")
    if not said.decibel:
        return None
    return Conversion(factor="1", constant="0", decibel=True, why=f"{said.where}; the model takes linear power")


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
