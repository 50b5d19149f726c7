"""One moto_server for this folder's tests, with the stack in it."""

from collections.abc import Iterator

import pytest
from tests.local.local_stack import LocalCloud

from clayline_local.cloud import create
from clayline_local.moto_process import MotoServer
from clayline_local.template import LOCAL_PARAMETERS, TEMPLATE, expand


@pytest.fixture(scope="session")
def cloud() -> Iterator[LocalCloud]:
    with MotoServer() as server:
        stack = expand(TEMPLATE, LOCAL_PARAMETERS, sqs_endpoint=server.url)
        create(stack, endpoint_url=server.url)
        yield LocalCloud(server, stack)
