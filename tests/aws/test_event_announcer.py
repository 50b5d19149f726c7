"""EventAnnouncer: an event that arrives as it was said, or TransientError."""

import json

import boto3
import pytest
from botocore.stub import Stubber
from tests.aws.conftest import REGION, Cloud

from clayline.aws.announcer import EventAnnouncer
from clayline.errors import TransientError

DETAIL = {"run": "f" * 32, "status": "SceneEmbedded", "counts": {"planned": 3, "written": 3}, "scene": "münchen"}


def test_an_event_arrives_at_a_rules_target(cloud: Cloud) -> None:
    events = boto3.client("events", region_name=REGION)
    arn = cloud.sqs.get_queue_attributes(QueueUrl=cloud.queue_url, AttributeNames=["QueueArn"])["Attributes"][
        "QueueArn"
    ]
    events.create_event_bus(Name="scenes")
    events.put_rule(
        Name="embedded",
        EventBusName="scenes",
        EventPattern=json.dumps({"source": ["clayline"], "detail-type": ["SceneEmbedded"]}),
    )
    events.put_targets(Rule="embedded", EventBusName="scenes", Targets=[{"Id": "queue", "Arn": arn}])
    announcer = EventAnnouncer(events, bus="scenes")
    announcer.announce("SceneEmbedded", DETAIL)
    announcer.announce("SceneFailed", DETAIL)
    [body] = cloud.received()
    content = json.loads(body)
    assert (content["source"], content["detail-type"], content["detail"]) == ("clayline", "SceneEmbedded", DETAIL)


def test_an_entry_that_eventbridge_does_not_take_is_an_error() -> None:
    client = boto3.client("events", region_name=REGION)
    expected = {
        "Entries": [
            {"Source": "clayline", "DetailType": "SceneFailed", "Detail": json.dumps(DETAIL), "EventBusName": "default"}
        ]
    }
    with Stubber(client) as stub:
        stub.add_response(
            "put_events",
            {"FailedEntryCount": 1, "Entries": [{"ErrorCode": "InternalFailure", "ErrorMessage": "not now"}]},
            expected,
        )
        with pytest.raises(TransientError, match=f"SceneFailed of run {'f' * 32}: not now"):
            EventAnnouncer(client, bus="default").announce("SceneFailed", DETAIL)


@pytest.mark.parametrize("code", ["AccessDeniedException", "ThrottlingException", "InternalException"])
def test_what_eventbridge_refuses_comes_again(code: str) -> None:
    client = boto3.client("events", region_name=REGION)
    with Stubber(client) as stub:
        stub.add_client_error("put_events", code)
        with pytest.raises(TransientError, match="announcing SceneFailed"):
            EventAnnouncer(client, bus="default").announce("SceneFailed", DETAIL)
