"""What a file's numbers are: what is said, by whom, what it leads to, and what is refused."""

from fractions import Fraction
from typing import Any

import pytest

from clayline.chips.cog import CogHeader
from clayline.chips.conversion import Conversion
from clayline.errors import SceneError
from clayline.ports import ObjectHead
from clayline.scene.declared_numbers import DeclaredNumbers, Said, agreed, nodata_of, of_asset
from clayline.scene.describe import OpenedBand
from clayline.scene.item import BandAsset
from clayline.scene.numbers import Band, Brought, Meaning, brought, conversion_of, meaning_of, possible_of
from clayline.scene.radiometry import BoaDecision, boa_of_band
from clayline.scene.sensor import Numbers

S2 = Numbers(types=("uint16",), quantity="reflectance", scale=0.0001)
USGS = Numbers(types=("uint16",), quantity="reflectance", scale=2.75e-05, offset=-0.2)
HLS = Numbers(types=("int16",), quantity="reflectance", scale=0.0001, model_scale=2.75e-05, model_offset=-0.2)
NAIP = Numbers(types=("uint8",), quantity="digital")
RADAR = Numbers(types=("float32",), quantity="power")
TENTH = Fraction(1, 10_000)


def band(dtype: str, **said: Any) -> Band:
    """A band of which the Item says these."""
    declared = of_asset({"raster:bands": [said]}, 1)
    return Band(scene="S", name="red", dtype=dtype, said=agreed(declared, scene="S", band="red", dtype=dtype))


def converted(known: Band, numbers: Numbers, *, target: str, boa: bool) -> Conversion | None:
    meaning = meaning_of(known, numbers, boa=boa)
    return None if meaning is None else conversion_of(meaning, numbers, dtype=known.dtype, target=target)


def ratio(found: Conversion | None) -> tuple[str, str] | None:
    return None if found is None else (found.factor, found.constant)


@pytest.mark.parametrize(
    ("numbers", "dtype", "said", "expected"),
    [
        (S2, "uint16", {}, None),
        (S2, "uint16", {"scale": 0.0001, "offset": 0}, None),
        (S2, "uint16", {"scale": 0.0001, "offset": -0.1}, None),
        (S2, "uint16", {"scale": 9.999999747378752e-05}, None),
        (S2, "uint16", {"scale": 1, "offset": 0}, None),
        (S2, "uint16", {"scale": "0.0001"}, None),
        (S2, "uint16", {"scale": 0.00005}, ("1/2", "0")),
        (S2, "uint16", {"scale": 0.001}, ("10", "0")),
        (S2, "uint8", {"scale": 0.004}, ("40", "0")),
        (S2, "uint8", {"scale": 0.0001}, None),
        (S2, "int16", {}, ("1", "0")),
        (S2, "int16", {"scale": 0.0001}, ("1", "0")),
        (S2, "int32", {}, ("1", "0")),
        (S2, "float32", {"scale": 1, "offset": 0}, ("10000", "0")),
        (S2, "float32", {"unit": "Reflectance"}, ("10000", "0")),
        (S2, "float32", {"unit": "1"}, ("10000", "0")),
        (S2, "float32", {"scale": 0.0001}, ("1", "0")),
        (S2, "float64", {"scale": 0.01}, ("100", "0")),
        (USGS, "uint16", {}, None),
        (USGS, "uint16", {"scale": 2.75e-05, "offset": -0.2}, None),
        (USGS, "uint16", {"scale": 2.75e-05, "offset": -0.2, "data_type": "uint8"}, None),
        (USGS, "int16", {"scale": 0.0001, "offset": 0}, ("40/11", "80000/11")),
        (USGS, "int16", {"scale": 0.0001}, ("40/11", "80000/11")),
        (USGS, "float32", {"scale": 1}, ("400000/11", "80000/11")),
        (HLS, "int16", {}, ("40/11", "80000/11")),
        (HLS, "int16", {"scale": 0.0001, "offset": 0}, ("40/11", "80000/11")),
        (NAIP, "uint8", {}, None),
        (NAIP, "uint8", {"scale": 0.0039}, None),
        (RADAR, "float32", {}, None),
        (RADAR, "float32", {"unit": "linear"}, None),
        (RADAR, "float32", {"scale": 1, "offset": 0}, None),
    ],
)
def test_what_leads_to_the_models_numbers(
    numbers: Numbers, dtype: str, said: dict[str, Any], expected: tuple[str, str] | None
) -> None:
    assert ratio(converted(band(dtype, **said), numbers, target="uint16", boa=numbers is S2)) == expected


@pytest.mark.parametrize(
    ("numbers", "dtype", "said", "possible"),
    [
        (S2, "uint16", {}, None),
        (USGS, "uint16", {}, None),
        (S2, "uint16", {"scale": 0.00005}, None),
        (S2, "uint8", {"scale": 0.004}, None),
        (S2, "uint16", {"scale": 0.001}, (0, 7_000)),
        (S2, "int16", {}, (-2_500, 32_767)),
        (HLS, "int16", {}, (-2_500, 32_767)),
        (USGS, "int16", {}, (-1_818, 32_767)),
        (S2, "int32", {"scale": 0.0001}, (-2_500, 70_000)),
        (S2, "float32", {"unit": "reflectance"}, (-0.25, 7)),
        (USGS, "float64", {"scale": 0.01}, (-25, 700)),
        (RADAR, "float32", {}, (-100, 1e10)),
        (RADAR, "float32", {"unit": "dB"}, (-100, 100)),
    ],
)
def test_what_a_number_can_be_follows_from_what_it_means(
    numbers: Numbers, dtype: str, said: dict[str, Any], possible: tuple[float, float] | None
) -> None:
    meaning = meaning_of(band(dtype, **said), numbers, boa=False)
    assert isinstance(meaning, Meaning)
    assert possible_of(meaning, dtype) == possible


def test_decibels_are_known_by_their_unit() -> None:
    found = converted(band("float32", unit="dB"), RADAR, target="float32", boa=False)
    assert found is not None
    assert found.decibel
    assert found.why == "the Item's raster:bands unit dB; the model takes linear power"


@pytest.mark.parametrize(
    ("numbers", "dtype", "said", "named"),
    [
        (USGS, "uint16", {"scale": 2.75e-05}, "comes without the product's offset"),
        (S2, "uint8", {}, "holds uint8, and its product uint16 (reflectance = 0.0001 x number)"),
        (S2, "int8", {}, "holds int8"),
        (S2, "float32", {}, "neither the file nor the Item says their scale"),
        (S2, "uint8", {"scale": 1, "offset": 0}, "neither the file nor the Item says their scale"),
        (S2, "float32", {"offset": 0.5}, "the Item's raster:bands offset 0.5 comes without a scale"),
        (S2, "uint8", {"scale": 0.0001, "data_type": "uint16"}, "but for uint16: that is another file"),
        (USGS, "float32", {}, "(reflectance = 2.75e-05 x number - 0.2)"),
        (NAIP, "uint16", {"scale": 0.0001}, "no scale that could lead there"),
        (RADAR, "uint16", {}, "whole numbers are no power"),
        (RADAR, "float32", {"scale": 0.01}, "a scaled power is not known here"),
    ],
)
def test_what_cannot_be_known_is_refused(numbers: Numbers, dtype: str, said: dict[str, Any], named: str) -> None:
    with pytest.raises(SceneError) as caught:
        meaning_of(band(dtype, **said), numbers, boa=False)
    assert caught.value.reason == "unknown-units"
    assert named in caught.value.message
    assert "raster:bands" in caught.value.message


@pytest.mark.parametrize(
    "value", ["abc", "", "nan", 0, True, [], {}, float("inf"), float("nan"), "1e400", "1e999999999", 10**500, -0.0001]
)
def test_a_scale_that_is_no_number_is_not_taken_for_none(value: object) -> None:
    declared = of_asset({"raster:bands": [{"scale": value}]}, 1)
    with pytest.raises(SceneError, match=r"scale .* is no number that can be meant") as caught:
        agreed(declared, scene="S", band="red", dtype="uint16")
    assert caught.value.reason == "unknown-units"


@pytest.mark.parametrize(
    "asset",
    [
        {"raster:bands": [{}, {"scale": 0.5, "offset": 2, "unit": "dB"}]},
        {"bands": [{}, {"raster:scale": 0.5, "raster:offset": 2, "unit": "dB"}]},
        {"raster:scale": 0.5, "raster:offset": 2, "unit": "dB"},
        {"raster:scale": 0.5, "raster:offset": 2, "bands": [{}, {"unit": "dB"}], "raster:bands": "none"},
    ],
)
def test_an_item_says_it_in_any_of_stacs_places(asset: dict[str, Any]) -> None:
    said = agreed(of_asset(asset, 2), scene="S", band="vv", dtype="float32")
    assert (said.scale, said.offset, said.decibel) == (Fraction(1, 2), Fraction(2), True)


@pytest.mark.parametrize(
    ("field", "one", "other"), [("scale", 0.0001, 0.00005), ("offset", 0, -0.1), ("unit", "dB", "linear")]
)
def test_file_and_item_may_not_contradict(field: str, one: object, other: object) -> None:
    file = DeclaredNumbers(**{field: (Said(where=f"the file's {field}", value=one),)})
    item = of_asset({"raster:bands": [{field: other}]}, 1)
    with pytest.raises(SceneError, match="these exclude each other") as caught:
        agreed(file.with_(item), scene="S", band="red", dtype="float32")
    assert caught.value.reason == "unknown-units"
    assert f"the file's {field} {one}, the Item's raster:bands {field} {other}" in caught.value.message


def test_a_scale_kept_as_float32_is_the_one_that_was_meant() -> None:
    file = DeclaredNumbers(scale=(Said(where="the file's scale", value=9.999999747378752e-05),))
    item = of_asset({"raster:bands": [{"scale": 0.0001}]}, 1)
    assert agreed(file.with_(item), scene="S", band="red", dtype="uint16").scale is not None


def opened(dtype: str, *, scaling: tuple[tuple[float, float, str | None], ...] = ()) -> OpenedBand:
    """A band as it was opened."""
    header = CogHeader(
        width=64, height=64, band_count=1, dtype=dtype, crs="EPSG:32633", epsg=32633, geographic=False,
        transform=(10, 0, 0, 0, -10, 0), nodata=None, block_height=64, block_width=64, pixel_interleaved=False,
        sparse=False, descriptions=(None,), tags={}, pixel_size_m=10, scaling=scaling,
    )  # fmt: skip
    return OpenedBand(
        asset=BandAsset(name="red", uri="s3://b/k", band=1),
        head=ObjectHead(uri="s3://b/k", etag="e", size=1, metadata={}),
        header=header,
        called="s3://b/k",
    )


def test_a_product_of_unknown_numbers_is_taken_if_the_graph_takes_its_type() -> None:
    assert brought("S", opened("uint16"), None, target="float32", boa=None) == Brought(offset=0)
    with pytest.raises(SceneError, match="band red is float32, the model takes uint16") as caught:
        brought("S", opened("float32"), None, target="uint16", boa=None)
    assert caught.value.reason == "wrong-dtype"


def test_a_file_says_its_scale_and_what_it_does_not_say_is_not_one() -> None:
    found = brought("S", opened("uint16", scaling=((5e-05, 0.0, None),)), S2, target="uint16", boa=FLAG_NONE)
    assert ratio(found.conversion) == ("1/2", "0")
    metres = opened("uint16", scaling=((1.0, 0.0, "m"),))
    assert brought("S", metres, S2, target="uint16", boa=FLAG_NONE) == Brought(offset=0)


WEAK_DUE = BoaDecision(offset=-1000, decided_by="s2:processing_baseline", explicit=False)
WEAK_NONE = BoaDecision(offset=0, decided_by="acquisition-date", explicit=False)
FLAG_NONE = BoaDecision(offset=0, decided_by="earthsearch:boa_offset_applied")
SAID_DUE = BoaDecision(offset=-1000, decided_by="s2:boa_add_offset")
OPTION_NONE = BoaDecision(offset=0, decided_by="option")
OPTION_DUE = BoaDecision(offset=-1000, decided_by="option")


@pytest.mark.parametrize(
    ("decision", "said", "expected"),
    [
        (WEAK_DUE, {"scale": 0.0001, "offset": -0.1}, -1000),
        (WEAK_DUE, {"scale": 0.0001, "offset": 0}, "boa-contradiction"),
        (WEAK_DUE, {"scale": 0.0001}, -1000),
        (WEAK_DUE, {}, -1000),
        (WEAK_NONE, {"scale": 0.0001, "offset": -0.1}, "boa-contradiction"),
        (WEAK_NONE, {"scale": 0.0001, "offset": 0}, 0),
        (FLAG_NONE, {"scale": 0.0001, "offset": -0.1}, 0),
        (SAID_DUE, {"scale": 0.0001, "offset": 0}, -1000),
        (WEAK_DUE, {"scale": 0.00005, "offset": -0.1}, -1000),
        (WEAK_DUE, {"scale": 0.00005}, "boa-unknown"),
        (SAID_DUE, {"scale": 0.00005, "offset": 0}, "boa-unknown"),
        (WEAK_NONE, {"scale": 0.00005}, 0),
        (FLAG_NONE, {"scale": 0.00005, "offset": -0.1}, "boa-contradiction"),
        (OPTION_NONE, {"scale": 0.00005}, 0),
        (OPTION_DUE, {"scale": 0.00005}, -1000),
        (OPTION_NONE, {"scale": 0.0001, "offset": -0.1}, 0),
    ],
)
def test_a_declared_offset_beside_what_was_decided(
    decision: BoaDecision, said: dict[str, Any], expected: int | str
) -> None:
    outcome: int | str
    try:
        outcome = boa_of_band(decision, band("uint16", **said).said, scene="S", band="red", own_scale=TENTH)
    except SceneError as error:
        outcome = error.reason
    assert outcome == expected


@pytest.mark.parametrize(
    ("asset", "expected"),
    [
        ({"raster:bands": [{"nodata": 65535}]}, (65535,)),
        ({"bands": [{"nodata": "0"}]}, (0,)),
        ({"nodata": -9999.5}, (-9999.5,)),
        ({"raster:bands": [{"nodata": "nan"}], "nodata": "-inf"}, ()),
        ({"raster:bands": [{"nodata": None}]}, ()),
    ],
)
def test_what_an_item_calls_nodata(asset: dict[str, Any], expected: tuple[float, ...]) -> None:
    assert nodata_of(of_asset(asset, 1), "S", "red") == expected


def test_a_nodata_that_is_no_number_is_not_taken_for_none() -> None:
    with pytest.raises(SceneError, match="nodata none is no number") as caught:
        nodata_of(of_asset({"nodata": "none"}, 1), "S", "red")
    assert caught.value.reason == "invalid-item"
