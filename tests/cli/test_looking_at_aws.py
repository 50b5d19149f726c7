"""What ``clayline status`` asks AWS beside the ledger: the endpoint, backlog, the age of queues; and where it may not.

SageMaker's endpoints and CloudWatch are moto's; what they answer of an instance count, and a refusal, is botocore's
Stubber's. None of it has met AWS.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber
from moto import mock_aws
from tests.cli.deployed_stack import NAME, REGION, Deployed, deploy

from clayline_cli.operating.overview import Overview
from clayline_cli.operating.queues import Endpoint, depths, endpoint
from clayline_cli.operating.running import Running, find
from clayline_cli.operating.telling import overview
from clayline_cli.operating.where import Where
from clayline_cli.program import main

WHERE = Where(stack=NAME, region=REGION, profile=None, local=None)


@pytest.fixture(scope="module")
def world() -> Iterator[Deployed]:
    with mock_aws():
        deployed = deploy()
        client = deployed.client("cloudwatch")
        for namespace, metric, dimension, value, count in (
            ("AWS/SQS", "ApproximateAgeOfOldestMessage", "QueueName", deployed.url("TileQueue").rpartition("/")[2], 77),
            ("AWS/SageMaker", "ApproximateBacklogSize", "EndpointName", "mine", 12),
        ):
            data = {
                "MetricName": metric,
                "Dimensions": [{"Name": dimension, "Value": value}],
                "Value": count,
                "Timestamp": datetime.now(UTC) - timedelta(minutes=2),
            }
            client.put_metric_data(Namespace=namespace, MetricData=[data])
        deployed.client("sqs").send_message(QueueUrl=deployed.url("TileQueue"), MessageBody="{}")
        yield deployed


@pytest.fixture(autouse=True)
def one_session(world: Deployed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boto3, "Session", lambda **_: world.session)


@pytest.fixture
def with_endpoint() -> Running:
    running = find(WHERE)
    return replace(running, outputs={**running.outputs, "EndpointName": "mine"})


type Stub = Callable[[str], Stubber]


@pytest.fixture
def stub(world: Deployed, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stub]:
    """Let a service answer as it is told."""
    real, active = world.session.client, []

    def make(service: str) -> Stubber:
        client: Any = real(service, region_name=REGION)  # type: ignore[call-overload]
        active.append(Stubber(client))
        active[-1].activate()
        monkeypatch.setattr(
            world.session, "client", lambda name, **given: client if name == service else real(name, **given)
        )
        return active[-1]

    yield make
    for stubber in active:
        stubber.assert_no_pending_responses()


def test_the_age_of_a_queue_is_told_where_something_waits(world: Deployed) -> None:
    assert world
    ages = {depth.name: (depth.waiting, depth.oldest_seconds) for depth in depths(find(WHERE))}
    assert ages["TileQueue"] == (1, 77)
    assert ages["SceneQueue"] == (0, None)


def _described(instances: int) -> dict[str, Any]:
    return {
        "EndpointName": "mine",
        "EndpointArn": f"arn:aws:sagemaker:{REGION}:123456789012:endpoint/mine",
        "EndpointStatus": "InService",
        "CreationTime": datetime.now(UTC),
        "LastModifiedTime": datetime.now(UTC),
        "ProductionVariants": [{"VariantName": "all", "CurrentInstanceCount": instances}],
    }


@pytest.mark.parametrize(("instances", "awake"), [(0, False), (2, True)])
def test_an_endpoint_is_awake_while_an_instance_runs(
    with_endpoint: Running, stub: Stub, instances: int, *, awake: bool
) -> None:
    stub("sagemaker").add_response("describe_endpoint", _described(instances), {"EndpointName": "mine"})
    found = endpoint(with_endpoint)
    assert found == Endpoint(name="mine", status="InService", instances=instances, backlog=12)
    assert found.is_awake is awake


def test_what_these_credentials_may_not_ask_is_not_known_and_the_rest_is_told(
    with_endpoint: Running, stub: Stub
) -> None:
    stub("sagemaker").add_client_error("describe_endpoint", "AccessDeniedException", "no", 400)
    found = Overview.look(with_endpoint, now=datetime.now(UTC))
    assert found.endpoint.is_awake is None
    assert "awake or asleep is not known" in overview(found)
    assert "1 waiting" in overview(found)


def test_ages_that_these_credentials_may_not_ask_are_left_out(stub: Stub) -> None:
    running = find(WHERE)
    stub("cloudwatch").add_client_error("get_metric_data", "AccessDenied", "no", 403)
    assert {depth.oldest_seconds for depth in depths(running)} == {None}


def test_a_refusal_is_a_sentence_with_what_to_allow(stub: Stub, capsys: pytest.CaptureFixture[str]) -> None:
    stub("cloudformation").add_client_error("describe_stacks", "AccessDenied", "not authorized", 403)
    assert main(["status", "--stack", NAME]) == 2
    said = capsys.readouterr().err
    assert "looking for stack clayline" in said
    assert said.endswith("not authorized. Allow these credentials that.\n")
