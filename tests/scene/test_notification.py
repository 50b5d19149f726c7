"""Messages of the scene queue: what landed, what was published, and what starts nothing."""

import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from tests.scene.stac import asset, item
from tests.scene.test_intake import event

from clayline.scene.intake import Entrance, Landing, Mode, ObjectCreated
from clayline.scene.notification import Document, PlanAgain, read_message, self_link
from clayline_local.template import LOCAL_PARAMETERS, TEMPLATE, expand

TOPIC = "arn:aws:sns:us-west-2:608149789419:cirrus-es-prod-publish"
ITEM = item({"red": asset("s3://archive/B04.tif")})
RUN = "0123456789abcdef" * 2
LANDING = Landing(
    mode=Mode.ITEM,
    bucket="scenes",
    key='münchen/a+b c%2F "日本".json',
    size=5,
    etag="e",
    landing="f" * 32,
    entrance=Entrance.LINK,
)


def envelope(message: str, **changes: Any) -> str:
    """SNS's envelope as its developer guide shows it, with the attributes that Cirrus sets."""
    content = {
        "Type": "Notification",
        "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
        "TopicArn": TOPIC,
        "Message": message,
        "Timestamp": "2024-06-01T11:00:00.000Z",
        "SignatureVersion": "1",
        "Signature": "EXAMPLE",
        "SigningCertURL": "https://sns.us-west-2.amazonaws.com/SimpleNotificationService-example.pem",
        "UnsubscribeURL": "https://sns.us-west-2.amazonaws.com/?Action=Unsubscribe",
        "MessageAttributes": {"collection": {"Type": "String", "Value": "sentinel-2-c1-l2a"}},
    }
    return json.dumps(content | changes)


def document(body: str, message: str = "m") -> Document:
    found = read_message(body, message=message)
    assert isinstance(found, Document)
    return found


def test_an_object_that_landed_is_told_as_before() -> None:
    found = read_message(json.dumps(event("a b+%.json")), message="m")
    assert isinstance(found, ObjectCreated)
    assert found.detail.object.key == "a b+%.json"


def test_an_item_is_the_same_document_in_an_envelope_and_raw_however_it_is_written() -> None:
    raw = json.dumps(ITEM)
    turned = json.dumps(dict(reversed(ITEM.items())), indent=2, ensure_ascii=False)
    found = [document(body) for body in (raw, turned, envelope(raw), envelope(turned))]
    assert len({one.content for one in found}) == 1
    assert json.loads(found[0].content) == ITEM
    assert found[0].digest == hashlib.sha256(found[0].content).hexdigest()
    assert document(json.dumps(ITEM | {"id": "other"})).digest != found[0].digest


def test_the_digest_stands_where_an_etag_would() -> None:
    found = document(envelope(json.dumps(ITEM)))
    landing = found.landing(bucket="work")
    assert (landing.uri, landing.etag) == (f"s3://work/items/{found.digest}.json", found.digest)
    assert (landing.mode, landing.entrance, landing.size) == (Mode.ITEM, Entrance.DOCUMENT, len(found.content))


def test_a_delivery_twice_is_one_landing_and_another_message_another() -> None:
    def landing(body: str, message: str) -> str:
        return document(body, message).landing(bucket="work").landing

    enveloped = envelope(json.dumps(ITEM))
    assert landing(enveloped, "1") == landing(enveloped, "2")  # SNS's own id, whatever queue it came through
    assert landing(enveloped, "1") != landing(envelope(json.dumps(ITEM), MessageId="other"), "1")
    raw = json.dumps(ITEM)
    assert landing(raw, "1") == landing(raw, "1")
    assert landing(raw, "1") != landing(raw, "2")


@pytest.mark.parametrize(
    "text",
    [
        "s3://archive/items/a.json",
        " s3://archive/items/a.json\n",
        '"s3://archive/items/a.json"',
        '{"href": "s3://archive/items/a.json"}',
        "https://archive.s3.us-west-2.amazonaws.com/items/a.json",
        "https://s3.us-west-2.amazonaws.com/archive/items/a.json",
    ],
)
def test_a_message_may_say_where_the_item_lies(text: str) -> None:
    for body in (text, envelope(text)):
        found = read_message(body, message="m")
        assert isinstance(found, Landing)
        assert (found.uri, found.mode, found.entrance) == ("s3://archive/items/a.json", Mode.ITEM, Entrance.LINK)


@pytest.mark.parametrize(
    "body",
    [
        "",
        "a new scene!",
        "s3://archive/items/",
        "s3://archive/items/a.tif",
        "https://example.com/a.json",
        "a.json",
        "5",
        "null",
        "[" * 100_000,
        envelope("x", Type="SubscriptionConfirmation"),
        envelope("x", Type="x" * 10_000),
    ],
)
def test_what_publishes_nothing_is_a_sentence(body: str) -> None:
    found = read_message(body, message="m")
    assert isinstance(found, str)
    assert len(found) < 300


def plan_again(**changes: Any) -> str:
    """Write what the reconciler sends."""
    return json.dumps({"kind": "clayline-plan-again/1", "run": RUN, "landing": LANDING.model_dump_json()} | changes)


def test_the_reconciler_asks_for_a_run_with_the_landing_that_the_ledger_kept() -> None:
    found = read_message(plan_again(), message="m")
    assert isinstance(found, PlanAgain)
    assert (found.run, found.landing) == (RUN, LANDING)


@pytest.mark.parametrize(
    "changes",
    [
        {"run": "x"},
        {"run": RUN.upper()},
        {"run": RUN + "\n"},
        {"run": None},
        {"landing": "x"},
        {"landing": "{}"},
        {"landing": None},
        {"landing": LANDING.model_dump(mode="json")},
        {"landing": json.dumps(LANDING.model_dump(mode="json") | {"mode": "other"})},
        {"landing": json.dumps(LANDING.model_dump(mode="json") | {"landing": "x"})},
    ],
)
def test_the_reconcilers_word_garbled_is_an_error_and_no_item(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="PlanAgain"):
        read_message(plan_again(**changes), message="m")


def test_what_is_published_over_sns_is_never_the_reconcilers_word() -> None:
    """An archive may publish whatever it likes: it does not say what is planned again."""
    assert isinstance(read_message(envelope(plan_again()), message="m"), Document)


@pytest.mark.parametrize("kind", ["clayline-plan-again/2", "clayline-plan-again", ["clayline-plan-again/1"], None])
def test_another_kind_is_not_the_reconcilers_word(kind: object) -> None:
    assert isinstance(read_message(plan_again(kind=kind), message="m"), Document)


@pytest.mark.parametrize(
    ("links", "base"),
    [
        ([{"rel": "self", "href": "s3://archive/a/item.json"}], "s3://archive/a/item.json"),
        ([{"rel": "self", "href": "https://archive.s3.amazonaws.com/a/item.json"}], "s3://archive/a/item.json"),
        ([{"rel": "root", "href": "s3://archive/c.json"}, {"rel": "self", "href": "s3://a/i.json"}], "s3://a/i.json"),
        ([{"rel": "self", "href": "https://earth-search.aws.element84.com/v1/items/a"}], ""),
        ([{"rel": "self", "href": "./item.json"}], ""),
        ([{"rel": "self"}, None, 5], ""),
        ({}, ""),
        (None, ""),
    ],
)
def test_hrefs_are_relative_to_a_self_link_in_s3(links: object, base: str) -> None:
    assert self_link({"links": links}) == base


@given(st.one_of(st.text(), st.recursive(st.none() | st.floats() | st.text(), st.lists).map(json.dumps)))
def test_any_text_is_told_apart(text: str) -> None:
    for body in (text, envelope(text)):
        found = read_message(body, message="m")
        assert isinstance(found, str | Document | Landing)


@pytest.mark.parametrize("kind", ["abort", "give-up", "redrive", "plan-again"])
def test_an_order_that_an_archive_publishes_is_none(kind: str) -> None:
    """The stack's subscription is not raw: what is published comes in SNS's envelope, and is a document at most."""
    order = {"kind": f"clayline-{kind}/1", "run": "0" * 32, "landing": "{}"}
    envelope = {"Type": "Notification", "TopicArn": "arn:aws:sns:us-west-2:608149789419:items", "MessageId": "m-1"}
    found = read_message(json.dumps({**envelope, "Message": json.dumps(order)}), message="q-1")
    assert isinstance(found, Document)
    subscription = expand(TEMPLATE, {**LOCAL_PARAMETERS, "StacTopicArn": envelope["TopicArn"]}).resources
    [topic] = [each for each in subscription.values() if each.properties.get("TopicArn") == envelope["TopicArn"]]
    assert not topic.properties.get("RawMessageDelivery")
