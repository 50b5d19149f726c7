"""What several of the command's tests share."""

import pytest

from clayline_local.session import Session


@pytest.fixture
def nothing_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail where the local cloud is started: ``explain`` needs none."""

    def started(*_: object) -> None:
        pytest.fail("the local cloud was started")

    monkeypatch.setattr(Session, "__enter__", started)
