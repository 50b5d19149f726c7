"""What all tests share.

Where the real imagery is, fake credentials so that nothing ever reaches AWS, hypothesis without deadlines.
"""

import os
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parents[1]
SHARED = Path(os.environ.get("CLAYLINE_SHARED", ROOT.parent / "shared"))
SAMPLE = ROOT / "samples" / "landsat8_itaipu_2020"


# Cores are shared in CI and here: an example's time says nothing. CI judges a change, by the same examples each time;
# new ones are for developers' runs, whose finds are no fault of the change at hand.
settings.register_profile("shared-cores", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("shared-cores")


def pytest_configure() -> None:
    for name in [
        name for name in os.environ if name.startswith("AWS_")
    ]:  # a profile or an address of the machine's own
        del os.environ[name]
    os.environ |= {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "eu-central-1"}
    os.environ |= {"NO_PROXY": "127.0.0.1,localhost", "no_proxy": "127.0.0.1,localhost"}


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real imagery that may not be copied into the repository."""
    data = SHARED / "data"
    if not data.is_dir():
        pytest.skip(f"needs the real imagery of {data} (set CLAYLINE_SHARED)")
    return data


@pytest.fixture(scope="session")
def sample() -> Path:
    """The bundled scene."""
    return SAMPLE
