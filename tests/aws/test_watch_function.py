"""watch as Lambda calls it, over moto: what is told of a scene, and what is given back."""

import json
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from tests.aws.conftest import REGION
from tests.aws.functions import BUCKET, deliver, event, handler
from tests.dataset.scenes import MadeUp
from tests.likeness.watches import keep, watch_of

from clayline.aws.dataset_root import S3Root

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

EXAMPLE, SCENE = MadeUp(number=1, rows=64), MadeUp(number=2, rows=64)


class Stack:
    """A bucket, the function over it, and a queue in which what it puts on the bus lies."""

    def __init__(self, root: S3Root) -> None:
        """Make them in moto."""
        self.root = root
        self._sqs = boto3.client("sqs", region_name=REGION)
        self._told = self._sqs.create_queue(QueueName="told")["QueueUrl"]
        arn = self._sqs.get_queue_attributes(QueueUrl=self._told, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        events = boto3.client("events", region_name=REGION)
        pattern = json.dumps({"source": ["clayline"], "detail-type": ["WatchMatched"]})
        events.put_rule(Name="matched", EventPattern=pattern)
        events.put_targets(Rule="matched", Targets=[{"Id": "1", "Arn": arn}])
        self._handler = handler("watch")

    def give(self, *bodies: str) -> list[int]:
        """Give events to watch; gives the numbers of those that it gave back."""
        return deliver(self._handler, *bodies, received=3)

    def told(self) -> list[dict[str, Any]]:
        """Take what was put on the bus."""
        found = self._sqs.receive_message(QueueUrl=self._told, MaxNumberOfMessages=10).get("Messages", [])
        return [json.loads(each["Body"])["detail"] for each in found]


@pytest.fixture
def stack(of_functions: "S3Client") -> Stack:
    found = Stack(S3Root(of_functions, bucket=BUCKET))
    SCENE.land(found.root)
    return found


def test_a_scene_that_matches_is_told_once_however_often_it_is_announced(stack: Stack) -> None:
    keep(stack.root, watch_of(EXAMPLE, threshold=0.2))
    assert stack.give(event(SCENE), event(SCENE), event(SCENE, repeated=True)) == []
    [told] = stack.told()
    assert told["id"] == f"pivots/v001/{SCENE.row.run}_v001"
    assert told["matched"] == told["shown"] > 0
    assert [stored.key for stored in stack.root.list("watched/")] == [
        f"watched/_told/{SCENE.row.run}_v001.json",
        f"watched/{told['id']}.json",
    ]


def test_a_damaged_watch_is_given_back_after_the_others_were_told(
    stack: Stack, caplog: pytest.LogCaptureFixture
) -> None:
    keep(stack.root, watch_of(EXAMPLE, threshold=0.2))
    stack.root.put_new("watches/dams/v001.json", b"{}")
    assert stack.give(event(SCENE)) == [0]
    assert len(stack.told()) == 1
    assert "watches/dams/v001.json is damaged" in caplog.text


def test_what_is_about_nothing_of_ours_is_dropped_and_other_models_are_counted(
    stack: Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    keep(stack.root, watch_of(EXAMPLE, digest="sha256:" + "9" * 64))
    assert stack.give("{}", event(SCENE, before="s3://another/"), event(SCENE, status="SceneFailed")) == []
    said = capsys.readouterr().out
    assert said.count("UnknownEvent") > 0
    assert stack.give(event(SCENE)) == []
    metrics = [json.loads(line) for line in capsys.readouterr().out.splitlines() if "_aws" in line]
    assert metrics[-1]["WatchOfOtherModel"] == [1.0]
    assert list(stack.root.list("watched/")) == []
