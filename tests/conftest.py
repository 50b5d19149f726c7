"""What all tests share.

Where the real imagery is, fake credentials so that nothing ever reaches AWS, hypothesis without deadlines, the order.
"""

import os
from pathlib import Path

import pytest
import rasterio.session
from hypothesis import settings

ROOT = Path(__file__).resolve().parents[1]
SHARED = Path(os.environ.get("CLAYLINE_SHARED", ROOT.parent / "shared"))
SAMPLE = ROOT / "samples" / "landsat8_itaipu_2020"
LONGEST = (
    "clay/test_clay_parity.py",
    "template/test_layers.py",
    "benchmarks/test_clay_programs.py",
    "table/test_more_readers.py",
    "privilege/test_least_privilege.py",
    "local/test_events.py",
    "local/test_local_invoke.py",
    "local/test_local_worker.py",
    "local/test_heavy_models.py",
    "pipeline/test_end_to_end.py",
    "pipeline/test_clay.py",
    "pipeline/test_kills.py",
    "pipeline/test_keeping_a_dataset.py",
    "cli/test_real_embed.py",
    "cli/test_named_session.py",
    "cli/test_signals.py",
    "cli/test_again.py",
    "cli/test_command_line.py",
    "cli/test_local_cloud.py",
    "server/test_endpoint.py",
    "server/test_async_endpoint.py",
    "server/test_start_and_stop.py",
    "server/test_memory.py",
    "publish/test_publishing.py",
    "starter/test_starter_parity.py",
    "starter/test_starter.py",
    "table/test_readers.py",
    "fuzz/test_fuzz_slice.py",
)
"""The files that take longest, which therefore begin first: one core would be idle beside a long file at the end."""


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
    # For these credentials rasterio would make a session of boto3's, 20 ms, at each file that a test writes or opens.
    rasterio.session.boto3 = None


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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    rank = {ROOT / "tests" / name: at for at, name in enumerate(LONGEST)}
    items.sort(key=lambda item: rank.get(item.path, len(rank)))
