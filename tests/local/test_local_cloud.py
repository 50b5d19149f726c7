"""What template.yaml wires, seen from outside through boto3: what goes in at one end comes out at the other."""

import dataclasses
import json
import os
import subprocess
from typing import Any

import pytest
from tests.local.local_stack import LocalCloud

from clayline_local.cloud import create, endpoint_config
from clayline_local.errors import LocalCloudError
from clayline_local.moto_process import MotoServer
from clayline_local.template import LOCAL_PARAMETERS, TEMPLATE, Stack, expand

pytestmark = pytest.mark.pipeline


def landed(cloud: LocalCloud, *keys: str) -> list[str]:
    """Put objects; give the keys of which the scene queue heard."""
    s3 = cloud.client("s3")
    for key in keys:
        s3.put_object(Bucket=cloud.stack.outputs["ScenesBucket"], Key=key, Body=b"{}")
    bodies = [json.loads(message["Body"]) for message in cloud.receive("SceneQueue", wait_seconds=1, most=10)]
    assert {body["detail-type"] for body in bodies} <= {"Object Created"}
    return sorted(body["detail"]["object"]["key"] for body in bodies)


def test_an_item_starts_a_scene_with_its_key_as_it_is(cloud: LocalCloud) -> None:
    keys = ["S2/item.json", "S2/a+b c%2F.json", "übersee/%41.GeoJSON", "S2/UPPER.JSON"]
    assert landed(cloud, *keys) == sorted(keys)


def test_a_cog_starts_a_scene_only_under_its_prefix(cloud: LocalCloud) -> None:
    assert landed(cloud, "S2/B04.tif", "S2/thumbnail.png", "cog/scene+1.tif", "mycog/scene.tif", "S2/json") == [
        "cog/scene+1.tif"
    ]


@pytest.mark.parametrize("bucket", ["EmbeddingsBucket", "WorkBucket", "ModelBucket"])
def test_our_own_outputs_start_nothing(cloud: LocalCloud, bucket: str) -> None:
    cloud.client("s3").put_object(Bucket=cloud.stack.outputs[bucket], Key="clay/x/32UQD_v001.json", Body=b"{}")
    assert cloud.receive("SceneQueue", wait_seconds=1) == []


@pytest.mark.parametrize("topic", ["SuccessTopic", "ErrorTopic"])
def test_both_topics_reach_the_result_queue_raw(cloud: LocalCloud, topic: str) -> None:
    body = json.dumps({"invocationStatus": topic})
    cloud.client("sns").publish(TopicArn=cloud.stack.outputs[topic], Message=body)
    (message,) = cloud.receive("ResultQueue")
    assert message["Body"] == body


@pytest.mark.parametrize(
    ("queue", "dead"),
    [
        ("SceneQueue", "SceneDlq"),
        ("TileQueue", "TileDlq"),
        ("ResultQueue", "ResultDlq"),
        ("SettledQueue", "SettledDlq"),
        ("IndexQueue", "IndexDlq"),
        ("WatchQueue", "WatchDlq"),
        ("SheetQueue", "SheetDlq"),
    ],
)
def test_a_message_that_nobody_deletes_ends_in_its_dead_letter_queue(cloud: LocalCloud, queue: str, dead: str) -> None:
    sqs, url = cloud.client("sqs"), cloud.url(queue)
    sqs.send_message(QueueUrl=url, MessageBody=f"of {queue}")
    for _ in range(5):  # MaxReceiveCount
        answer = sqs.receive_message(QueueUrl=url, VisibilityTimeout=0, WaitTimeSeconds=1)
        assert [message["Body"] for message in answer["Messages"]] == [f"of {queue}"]
    assert "Messages" not in sqs.receive_message(QueueUrl=url, VisibilityTimeout=0)
    assert [message["Body"] for message in cloud.receive(dead)] == [f"of {queue}"]


def test_queues_are_as_slow_as_the_template_says(cloud: LocalCloud) -> None:
    answer = cloud.client("sqs").get_queue_attributes(QueueUrl=cloud.url("SettledQueue"), AttributeNames=["All"])[
        "Attributes"
    ]
    assert (answer["VisibilityTimeout"], answer["MessageRetentionPeriod"]) == ("5400", "1209600")


def test_the_ledger_takes_its_two_keys(cloud: LocalCloud) -> None:
    table = cloud.client("dynamodb").describe_table(TableName=cloud.stack.outputs["Ledger"])["Table"]
    assert {(key["AttributeName"], key["KeyType"]) for key in table["KeySchema"]} == {("pk", "HASH"), ("sk", "RANGE")}


def test_the_endpoint_writes_where_its_role_may_and_tells_the_two_topics(cloud: LocalCloud) -> None:
    config = endpoint_config(cloud.stack)
    work = cloud.stack.outputs["WorkBucket"]
    assert config.endpoint_name == cloud.stack.functions()["TileFunction"].environment["CLAYLINE_ENDPOINT_NAME"]
    assert (config.output_path, config.failure_path) == (f"s3://{work}/responses", f"s3://{work}/failures")
    assert (config.success_topic, config.error_topic) == (
        cloud.stack.outputs["SuccessTopic"],
        cloud.stack.outputs["ErrorTopic"],
    )
    assert config.max_concurrent == 2


def test_a_stack_without_an_endpoint_has_no_configuration() -> None:
    with pytest.raises(LocalCloudError, match="EndpointMode create"):
        endpoint_config(expand(TEMPLATE, {}))


def changed(stack: Stack, logical_id: str, **changes: Any) -> Stack:
    return dataclasses.replace(
        stack, resources={**stack.resources, logical_id: dataclasses.replace(stack.resources[logical_id], **changes)}
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"type": "AWS::Kinesis::Stream"}, "knows nothing of AWS::Kinesis::Stream"),
        ({"properties": {"FifoQueue": True}}, "does not understand FifoQueue"),
    ],
)
def test_what_is_not_known_is_an_error(changes: dict[str, Any], message: str) -> None:
    with MotoServer() as server:
        stack = expand(TEMPLATE, LOCAL_PARAMETERS, sqs_endpoint=server.url)
        with pytest.raises(LocalCloudError, match=message):
            create(changed(stack, "SceneDlq", **changes), endpoint_url=server.url)


def test_names_that_moto_would_not_give_are_an_error(cloud: LocalCloud) -> None:
    elsewhere = expand(TEMPLATE, LOCAL_PARAMETERS, sqs_endpoint="http://127.0.0.1:1", stack="other")
    with pytest.raises(LocalCloudError, match="became"):
        create(elsewhere, endpoint_url=cloud.server.url)


def test_the_server_ends_with_its_context_and_hands_over_no_real_account(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "the-users-own")
    with MotoServer() as server:
        process = server._process
        assert process is not None
        environment = dict(
            pair.split("=", 1)
            for pair in subprocess.run(
                ["cat", f"/proc/{process.pid}/environ"], capture_output=True, text=True, check=True
            ).stdout.split("\0")
            if "=" in pair
        )
        assert "AWS_PROFILE" in os.environ
        assert "AWS_PROFILE" not in environment
        assert "AWS_PROFILE" not in server.environment()
    assert process.poll() is not None
