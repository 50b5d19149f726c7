"""Each clause of an expected outcome, with what holds and what does not."""

import json
from pathlib import Path
from typing import Any

import pytest

from clayline_local.errors import LocalCloudError
from clayline_local.expectation import Expected, Observed, comparable, differences, is_part

RUN = "0123456789abcdef0123456789abcdef"


def seen(**changes: Any) -> Observed:
    nothing: dict[str, Any] = {
        "reply": {"batchItemFailures": []}, "failed": False, "log": [], "messages": {}, "objects": [],
        "announced": [], "ledger": [],
        "documents": {},
    }  # fmt: skip
    return Observed(**nothing | changes)


def hoped(**clauses: Any) -> Expected:
    return Expected.model_validate(
        {"note": "", "function": "TileFunction", "reply": {"batchItemFailures": []}, **clauses}
    )


@pytest.mark.parametrize(
    ("clauses", "observed", "complaint"),
    [
        ({}, {}, None),
        ({}, {"reply": {"batchItemFailures": [{"itemIdentifier": "1"}]}}, "the reply is"),
        ({}, {"failed": True}, "the reply is"),
        ({}, {"messages": {"TileDlq": ["{}"]}}, "TileDlq got 1 messages, expected 0"),
        ({"messages": {"TileQueue": {"count": 2}}}, {"messages": {"TileQueue": ["{}"]}}, "got 1 messages, expected 2"),
        (
            {"messages": {"TileQueue": {"count": 1, "same_as": ["next"]}}},
            {"messages": {"TileQueue": ['{"b": 2, "a": 1}']}},
            None,
        ),
        (
            {"messages": {"TileQueue": {"count": 1, "same_as": ["next"]}}},
            {"messages": {"TileQueue": ['{"a": 2}']}},
            "make_events.py",
        ),
        ({"objects": {"s3://b/*/x": 2}}, {"objects": ["s3://b/1/x", "s3://b/2/x"]}, None),
        ({"objects": {"s3://b/*/x": 2}}, {"objects": ["s3://b/1/x"]}, "1 objects"),
        ({}, {"objects": ["s3://b/1/x"]}, "nobody expected it"),
        ({"ledger": [{"pk": "run#*", "stage": 3}]}, {"ledger": [{"pk": "run#1", "sk": "scene", "stage": 3}]}, None),
        (
            {"ledger": [{"pk": "run#*", "stage": 3}]},
            {"ledger": [{"pk": "run#1", "sk": "scene", "stage": 2}]},
            "no ledger row",
        ),
        ({"log": [{"m": 1}, {"m": 1}]}, {"log": [{"m": 1, "n": 2}, {"m": 1}]}, None),
        ({"log": [{"m": 1}, {"m": 1}]}, {"log": [{"m": 1}, {"m": 2}]}, "no log line"),
        ({"announced": [{"source": "clayline"}]}, {"announced": []}, "announcement"),
        ({}, {"announced": [{"source": "clayline"}]}, "1 announcements, expected 0"),
        ({"documents": {"s3://*": {"a": {"b": 1}}}}, {"documents": {"s3://*": {"a": {"b": 1, "c": 2}}}}, None),
        ({"documents": {"s3://*": {"a": {"b": 1}}}}, {"documents": {"s3://*": {"a": {"b": 2}}}}, "is expected of it"),
        ({"documents": {"s3://*": {}}}, {"documents": {"s3://*": None}}, "is expected of it"),
    ],
)
def test_differences(clauses: dict[str, Any], observed: dict[str, Any], complaint: str | None) -> None:
    found = differences(hoped(**clauses), seen(**observed), bodies={"next": ['{"a": 1, "b": 2}']})
    if complaint is None:
        assert found == []
    else:
        assert complaint in " ".join(found)


@pytest.mark.parametrize(
    ("wanted", "found", "is_so"),
    [
        ("a*c", "abc", True),
        ("a*c", "abd", False),
        ("a*c", 3, False),
        ([1], [1, 2], False),
        (None, 0, False),
        ({"a": {}}, {"a": []}, False),
    ],
)
def test_is_part(wanted: object, found: object, *, is_so: bool) -> None:
    assert is_part(wanted, found) is is_so


def test_the_two_times_of_a_notification_are_not_compared() -> None:
    assert comparable('{"eventTime": "1", "receivedTime": "2", "x": 1}') == comparable('{"x": 1, "eventTime": "3"}')
    assert comparable('{"time": "1"}') != comparable('{"time": "2"}')


def test_when_an_event_came_and_what_its_run_took_are_not_compared() -> None:
    def event(**changes: object) -> str:
        whole = {"detail-type": "SceneEmbedded", "id": "1", "time": "1", "detail": {"run": "a", "measured": {"s": 1}}}
        return comparable(json.dumps({**whole, **changes}))

    assert event() == event(id="2", time="2", detail={"run": "a", "measured": None})
    assert event() != event(detail={"run": "b", "measured": {"s": 1}})


@pytest.mark.parametrize(
    "body",
    [
        {"run": RUN, "job": 0},
        {"requestParameters": {"inputLocation": f"s3://work/requests/{RUN}/b00000-a1.safetensors"}},
        {"Type": "Notification", "Message": json.dumps({"run": RUN})},
    ],
)
def test_the_run_is_the_one_that_the_event_names(tmp_path: Path, body: dict[str, Any]) -> None:
    path = tmp_path / "x.expected.json"
    path.write_text(
        json.dumps({"note": "", "function": "TileFunction", "reply": None, "objects": {"s3://work/plans/${run}": 1}})
    )
    event = {"Records": [{"body": json.dumps(body), "md5OfBody": "f" * 32}]}
    assert Expected.read(path, event=event).objects == {f"s3://work/plans/{RUN}": 1}
    with pytest.raises(LocalCloudError, match="names 0 runs"):
        Expected.read(path, event={"Records": []})


def test_a_clause_that_nobody_knows_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "x.expected.json"
    path.write_text(json.dumps({"note": "", "function": "TileFunction", "reply": None, "mesages": {}}))
    with pytest.raises(LocalCloudError, match="mesages"):
        Expected.read(path, event={"Records": []})
