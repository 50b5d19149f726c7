"""A backfill's messages and batches, without a cloud: plan's own parser says what each is."""

import io
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.scene.stac import asset, item

from clayline.scene.intake import Entrance, Landing
from clayline.scene.notification import Document, read_message
from clayline_cli.backfilling.found import FoundItem, FoundObject
from clayline_cli.backfilling.messages import MOST_BYTES, Message, Messages, PassedOver
from clayline_cli.backfilling.sheet import write_sheet

STATE_BYTES = 262_144
"""What a state of Step Functions holds (Step Functions Developer Guide, Service quotas)."""
MESSAGES = Messages(
    name="n",
    sender="arn:aws:states:eu-central-1:123456789012:stateMachine:m",
    scenes_bucket="scenes",
    allowed_buckets=frozenset({"archive"}),
    item_prefix="items/",
    cog_prefix="cog/",
)


def long_item(size: int, number: int = 0) -> dict[str, Any]:
    """Give an Item whose JSON is full of what must be escaped, of about so many bytes."""
    found: dict[str, Any] = {**item({"red": asset("s3://archive/B04.tif")}), "id": f"item {number}"}
    return {**found, "properties": {**found["properties"], "note": '"\\ü' * (size // 12)}}


def test_an_item_of_an_archive_is_told_by_its_link_as_its_topic_does() -> None:
    made = MESSAGES.of(FoundObject(bucket="archive", key="a b/ü+%.json", size=7, etag="e"))
    assert isinstance(made, Message)
    landing = read_message(made.body, message="another")
    assert isinstance(landing, Landing)
    assert (landing.uri, landing.entrance) == ("s3://archive/a b/ü+%.json", Entrance.LINK)
    same = read_message(made.body, message="a third")
    assert isinstance(same, Landing)
    assert same.landing == landing.landing  # SNS's id, not the queue's


@pytest.mark.parametrize(
    ("bucket", "key", "why"),
    [
        ("archive", "cog/a.tif", "starts no scene"),
        ("scenes", "a.json", "starts no scene"),
        ("scenes", "items/a.tif", "starts no scene"),
        ("elsewhere", "items/a.json", "neither the scenes bucket nor among AllowedBuckets"),
    ],
)
def test_what_plan_would_pass_over_or_may_not_read_is_not_sent(bucket: str, key: str, why: str) -> None:
    made = MESSAGES.of(FoundObject(bucket=bucket, key=key, size=5))
    assert isinstance(made, PassedOver)
    assert why in made.why
    assert (made.called, made.size) == (f"s3://{bucket}/{key}", 5)


@pytest.mark.parametrize("bucket", ["scenes", "archive"])
def test_an_items_link_is_followed_only_where_the_stack_may_read(bucket: str) -> None:
    for place, linked in ((bucket, True), ("elsewhere", False)):
        content = {**long_item(10), "links": [{"rel": "self", "href": f"s3://{place}/items/a.json"}]}
        made = MESSAGES.of(FoundItem(content=content))
        assert isinstance(made, Message)
        assert (made.uri == f"s3://{place}/items/a.json") is linked
        assert isinstance(read_message(made.body, message="m"), Document) is not linked


def test_an_item_that_no_message_holds_is_told() -> None:
    made = MESSAGES.of(FoundItem(content=long_item(MOST_BYTES)))
    assert isinstance(made, PassedOver)
    assert "let the Item land in the scenes bucket" in made.why


@given(sizes=st.lists(st.integers(0, MOST_BYTES // 3), max_size=25))
@settings(deadline=None, max_examples=25)
def test_batches_hold_every_message_once_in_order_and_fit_a_state(sizes: list[int]) -> None:
    items = [long_item(size, number) for number, size in enumerate(sizes)]
    target = io.BytesIO()
    tally = write_sheet((FoundItem(content=each) for each in items), MESSAGES, target, sample=2)
    listed = json.loads(target.getvalue())
    assert (len(listed), tally.scenes) == (tally.batches, len(items) - sum(left.count for left in tally.left.values()))
    sent = []
    for batch in listed:
        entries = batch["entries"]
        assert 1 <= len(entries) <= 10
        assert [entry["Id"] for entry in entries] == [str(place) for place in range(len(entries))]
        failed = [
            {"Id": entry["Id"], "SenderFault": True, "Code": "c" * 100, "Message": "m" * 500} for entry in entries
        ]
        assert len(json.dumps({**batch, "sent": {"Failed": failed, "Successful": failed}})) < STATE_BYTES
        for entry in entries:
            read = read_message(entry["MessageBody"], message="m")
            assert isinstance(read, Document)
            sent.append(json.loads(read.content))
    assert sent == [each for each in items if each in sent]
    assert len(sent) == tally.scenes
