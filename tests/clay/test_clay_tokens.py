"""Tokens: no two choices share one, and what is usual goes unsaid."""

import itertools

import pytest

from clay import entry as clay_entry
from clay.entry import Request
from clay.mask import Mask
from clay.sensor import find_sensor, known_sensors
from clayline.errors import ModelError


@pytest.mark.parametrize(
    ("request_", "token"),
    [
        (Request(sensor=find_sensor("naip")), "naip"),
        (Request(sensor=find_sensor("naip"), bands=("red", "green", "blue", "nir"), gsd=1.0), "naip"),
        (Request(sensor=find_sensor("naip"), bands=("blue", "green")), "naip-bg"),
        (Request(sensor=find_sensor("naip"), gsd=0.6, chip_size=128), "naip-c128-g0p6"),
        (Request(sensor=find_sensor("landsat-c2l1"), bands=("red", "green", "blue", "swir16")), "ls-c2l1-rgbs16"),
        (
            Request(sensor=find_sensor("sentinel-2-l2a"), coordinate_order="latlon", hour="acquisition"),
            "s2-l2a-latlon-hour",
        ),
        (
            Request(sensor=find_sensor("sentinel-2-l2a"), coordinate_order="all-zero", hour="all-zero"),
            "s2-l2a-noplace-notime",
        ),
        (Request(sensor=find_sensor("linz"), mask=Mask(seed=7)), "linz-s7"),
    ],
)
def test_a_token_tells_every_choice_but_the_usual(request_: Request, token: str) -> None:
    assert request_.token("clay-v1.5") == f"clay-v1.5-{token}"


def test_no_two_choices_of_bands_share_a_token() -> None:
    for name in ("sentinel-2-l2a", "planetscope-sr"):
        names = find_sensor(name).names
        choices = [
            *itertools.permutations(names, 2),
            *itertools.permutations(names, 3),
            *itertools.combinations(names, len(names) - 1),
        ]
        tokens = {clay_entry._initials(choice, names) for choice in choices}
        assert len(tokens) == len(choices)
        assert all(len(token) <= clay_entry.BANDS_LIMIT + 7 for token in tokens)


def test_no_two_sensors_share_a_slug_and_a_users_may_not_take_one() -> None:
    assert len({sensor.slug for sensor in known_sensors().values()}) == len(known_sensors())
    mine = find_sensor("naip").model_copy(update={"gsd": 2.0})
    with pytest.raises(ModelError, match="the slug naip in tokens means naip as Clay knows it"):
        Request(sensor=mine)
