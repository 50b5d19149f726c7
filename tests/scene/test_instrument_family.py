"""Families of instruments: the satellites of a product are one kind, and products are kinds apart."""

from collections import defaultdict

import pytest

from clayline.scene.instrument_family import families_of, family_of, named_by
from clayline.scene.recognition import products


def test_no_instrument_is_of_two_families_and_no_family_of_two_products() -> None:
    families, owners = defaultdict(set), defaultdict(set)
    for product in products():
        owners[product.family].add(product.name)
        for platform in product.platforms:
            parts = (platform.token, product.instrument, product.level)
            families["-".join(filter(None, parts))].add(product.family)
    assert len(families) > 30
    assert [token for token, found in families.items() if len(found) > 1] == []
    assert [family for family, found in owners.items() if len(found) > 1] == []
    assert {token: family_of(token) for token in families} == {token: found.pop() for token, found in families.items()}


@pytest.mark.parametrize(
    ("instruments", "family"),
    [
        (("s2a-msi-l2a", "s2b-msi-l2a", "s2c-msi-l2a", "s2d-msi-l2a", "s2-msi-l2a"), "s2-msi-l2a"),
        (("s2a-msi-hls", "s2b-msi-hls"), "s2-msi-hls"),
        (("landsat8-oli-l1", "landsat9-oli-l1", "landsat-oli-l1"), "landsat-oli-l1"),
        (("landsat8-oli-c2l2", "landsat9-oli-c2l2"), "landsat-oli-c2l2"),
        (("landsat8-oli-hls",), "landsat-oli-hls"),
        (("landsat7-etm-l1",), "landsat7-etm-l1"),
        (("landsat4-tm-l1", "landsat5-tm-l1"), "landsat-tm-l1"),
        (("s1a-sar-rtc", "s1c-sar-rtc"), "s1-sar-rtc"),
        (("terra-modis-09a1", "aqua-modis-09a1"), "eos-modis-09a1"),
        (("naip-rgbn",), "naip-rgbn"),
        (("drone-rgb",), "drone-rgb"),  # a user's own
    ],
)
def test_satellites_are_one_family_and_levels_and_instruments_are_apart(
    instruments: tuple[str, ...], family: str
) -> None:
    assert families_of(instruments) == (family,)
    assert set(instruments) <= named_by([family])
    assert {family_of(each) for each in named_by([family])} == {family}


def test_a_satellite_names_itself_and_a_family_all_of_its() -> None:
    assert named_by(["s2a-msi-l2a"]) == {"s2a-msi-l2a"}
    assert named_by(["s2-msi-l2a"]) == {f"s2{letter}-msi-l2a" for letter in ("", "a", "b", "c", "d")}
    assert named_by(["drone-rgb", "landsat9-oli-l1"]) == {"drone-rgb", "landsat9-oli-l1"}
    assert named_by([]) == frozenset()
