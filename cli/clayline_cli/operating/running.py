"""What runs: its resources by the names that template.yaml gives them, and clients on it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoRegionError
from botocore.parsers import ResponseParserError

from clayline.aws.failures import code_of
from clayline_cli.errors import CommandError
from clayline_cli.operating.where import Where
from clayline_local.clients import local_session
from clayline_local.cloud_file import CloudFile, is_running

QUEUES: Final = ("SceneQueue", "TileQueue", "ResultQueue", "SettledQueue", "IndexQueue", "WatchQueue", "SheetQueue")
"""In the order of the data's way."""
DEAD_LETTERS: Final = ("SceneDlq", "TileDlq", "ResultDlq", "SettledDlq", "IndexDlq", "WatchDlq", "SheetDlq")
"""Of each."""
_PATIENCE: Final = Config(connect_timeout=5, read_timeout=30, retries={"mode": "standard", "total_max_attempts": 4})
_DENIED: Final = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation"})


@dataclass(frozen=True, kw_only=True)
class Running:
    """A stack, or a local cloud."""

    where: Where
    session: boto3.Session
    resources: Mapping[str, str]
    """What Ref gives, by logical id: a queue's URL, a table's or bucket's name."""
    outputs: Mapping[str, str]
    parameters: Mapping[str, str]
    endpoint_url: str | None = None
    """Where all services answer; None: AWS."""
    processes: Mapping[str, int] | None = None
    """Of a local cloud: the workers, and the ``endpoint`` while it is there."""

    @property
    def name(self) -> str:
        """What people call it."""
        if self.where.local is not None:
            return f"local cloud in {self.where.local}"
        return f"stack {self.where.stack} in {self.session.region_name}"

    @property
    def option(self) -> str:
        """How the next command says where."""
        given = {name: getattr(self.where, name) for name in ("local", "stack", "region", "profile")}
        return " ".join(f"--{name} {value}" for name, value in given.items() if value is not None)

    def client(self, service: str) -> Any:  # noqa: ANN401 - boto3's clients are generated from names
        """Give a client that does not wait for long."""
        return self.session.client(service, config=_PATIENCE, endpoint_url=self.endpoint_url)  # type: ignore[call-overload]

    @cached_property
    def table(self) -> Any:  # noqa: ANN401 - the same
        """The ledger's."""
        resource: Any = self.session.resource("dynamodb", config=_PATIENCE, endpoint_url=self.endpoint_url)
        return resource.Table(self.outputs["Ledger"])

    @property
    def endpoint(self) -> str | None:
        """Its name, if there is one."""
        name = self.outputs.get("EndpointName", "none")
        return None if name == "none" else name

    def number(self, parameter: str) -> int | None:
        """Give a parameter's value, if the stack has such a one."""
        value = self.parameters.get(parameter)
        return int(value) if value is not None else None


def find(where: Where) -> Running:
    """Find what runs there. Raises CommandError, LocalCloudError."""
    if where.local is not None:
        cloud = CloudFile.read(where.local)
        return Running(
            where=where,
            session=local_session(cloud.region),
            resources=cloud.resources,
            outputs=cloud.outputs,
            parameters=cloud.parameters,
            endpoint_url=cloud.url,
            processes={name: process for name, process in cloud.processes.items() if is_running(process)},
        )
    with answering(f"looking for stack {where.stack}"):
        session = boto3.Session(profile_name=where.profile, region_name=where.region)
        return _stack(where, session)


def _stack(where: Where, session: boto3.Session) -> Running:
    client: Any = session.client("cloudformation", config=_PATIENCE)
    try:
        [described] = client.describe_stacks(StackName=where.stack)["Stacks"]
    except ClientError as error:
        if "does not exist" not in str(error):
            raise
        msg = f"there is no stack {where.stack} in {session.region_name}. Check --stack, --region and --profile."
        raise CommandError(msg) from error
    pages = client.get_paginator("list_stack_resources").paginate(StackName=where.stack)
    resources = {
        each["LogicalResourceId"]: each["PhysicalResourceId"]
        for page in pages
        for each in page["StackResourceSummaries"]
        if "PhysicalResourceId" in each
    }
    if lacking := [name for name in (*QUEUES, *DEAD_LETTERS) if name not in resources]:
        msg = f"stack {where.stack} has no {', '.join(lacking)}: it is none of Clayline's, or not whole. Check --stack."
        raise CommandError(msg)
    return Running(
        where=where,
        session=session,
        resources=resources,
        outputs={each["OutputKey"]: each["OutputValue"] for each in described.get("Outputs", [])},
        parameters={each["ParameterKey"]: each["ParameterValue"] for each in described.get("Parameters", [])},
    )


@contextmanager
def answering(doing: str) -> Iterator[None]:
    """Say in a sentence that AWS, or the local cloud, does not answer or refuses. Raises CommandError."""
    try:
        yield
    except ClientError as error:
        remedy = "Allow these credentials that." if code_of(error) in _DENIED else "Try again."
        raise CommandError(f"{doing}: {str(error).rstrip('.')}. {remedy}") from error
    except NoRegionError as error:
        raise CommandError("no region is chosen. Give --region, or set AWS_REGION.") from error
    except (BotoCoreError, ResponseParserError) as error:
        msg = f"{doing}: {str(error).rstrip('.')}. Check credentials, --region and --profile, and the network."
        raise CommandError(msg) from error
