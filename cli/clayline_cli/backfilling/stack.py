"""What a backfill takes of a stack, or of a local cloud, that runs."""

import os

from clayline_cli.errors import CommandError
from clayline_cli.operating.running import Running
from clayline_cli.operating.where import Where
from clayline_local.cloud_file import CloudFile
from clayline_local.state_machine import make_state_machine
from clayline_local.template import TEMPLATE, expand


def output(running: Running, name: str) -> str:
    """Give an output. Raises CommandError for a stack that is older than it."""
    if name not in running.outputs:
        raise CommandError(f"the {running.name} has no output {name}: it is older. Deploy it again.")
    return running.outputs[name]


def listed(running: Running, name: str) -> tuple[str, ...]:
    """Give a parameter that is a list; empty where the stack does not say it."""
    return tuple(part.strip() for part in running.parameters.get(name, "").split(",") if part.strip())


def make_ready(running: Running) -> None:
    """Make the state machine where it is a local cloud's, which starts without it."""
    if running.endpoint_url:
        stack = expand(TEMPLATE, running.parameters, sqs_endpoint=running.endpoint_url)
        make_state_machine(stack, endpoint_url=running.endpoint_url)


def lend_credentials(where: Where) -> None:
    """Let this process sign in as the call says: GDAL reads the environment alone."""
    if where.local is not None:
        os.environ |= CloudFile.read(where.local).environment
    if where.profile:
        os.environ["AWS_PROFILE"] = where.profile
    if where.region:
        os.environ["AWS_REGION"] = os.environ["AWS_DEFAULT_REGION"] = where.region
