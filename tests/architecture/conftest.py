"""The sources that the tests here look at."""

import pytest
from tests.architecture.sources import ADAPTER_ROOMS, PACKAGE, Source, sources


@pytest.fixture(scope="session")
def every() -> tuple[Source, ...]:
    """All sources, tests included."""
    assert len(sources()) > 50, "git listed too few sources: the tests would check nothing"
    return sources()


@pytest.fixture(scope="session")
def shipped(every: tuple[Source, ...]) -> tuple[Source, ...]:
    """All sources but tests."""
    return tuple(source for source in every if not source.name.startswith("tests/"))


@pytest.fixture(scope="session")
def package(every: tuple[Source, ...]) -> tuple[Source, ...]:
    """The clayline package."""
    return tuple(source for source in every if source.path.is_relative_to(PACKAGE))


@pytest.fixture(scope="session")
def domain(package: tuple[Source, ...]) -> tuple[Source, ...]:
    """Every room but the adapters', and what lies beside them."""
    return tuple(source for source in package if source.path.parent.name not in ADAPTER_ROOMS)
