"""How buckets of others are asked: two lists of a deployment."""

import pytest

from clayline.run.access import AS_OURS, Access


def test_lists_are_read() -> None:
    found = Access.parse(
        requester_pays=" usgs-landsat,,naip-analytic ", regions="usgs-landsat=us-west-2, a.b=us-gov-west-1"
    )
    assert found.requester_pays == {"usgs-landsat", "naip-analytic"}
    assert found.regions == {"usgs-landsat": "us-west-2", "a.b": "us-gov-west-1"}
    assert Access.parse(requester_pays="", regions="") == AS_OURS


@pytest.mark.parametrize(
    "regions", ["usgs-landsat", "=us-west-2", "a=", "a=Oregon", "a=us-west-2=b", "a=us-west-2,a=us-east-1"]
)
def test_what_is_no_bucket_with_its_region_is_told(regions: str) -> None:
    with pytest.raises(ValueError, match=r"is no BUCKET=REGION|two regions"):
        Access.parse(requester_pays="", regions=regions)
