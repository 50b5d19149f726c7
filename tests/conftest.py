"""What all tests share: where the real imagery is, and fake credentials so that nothing ever reaches AWS."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SHARED = Path(os.environ.get("CLAYLINE_SHARED", ROOT.parent / "shared"))
SAMPLE = ROOT / "samples" / "landsat8_itaipu_2020"


def pytest_configure() -> None:
    os.environ |= {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "eu-central-1"}


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
