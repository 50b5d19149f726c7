"""What a result message says of which batch.

Whatever else comes is UnknownResultError and nothing else, because nothing could cure it.
"""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.run.notifications import BUCKET, RUN, envelope, identity, notification, raw

from clayline.run.keys import inference_id
from clayline.run.result import BatchResult, NothingSent, UnknownResultError, parse_result

MOST_CHARACTERS = 51
"""Of an InferenceId, of which SageMaker allows 64."""
both = pytest.mark.parametrize("deliver", [raw, envelope])


@both
def test_success(deliver: Callable[[Any], str]) -> None:
    assert parse_result(deliver(notification()), work_bucket=BUCKET) == BatchResult(
        run=RUN,
        batch="b00042",
        attempt=1,
        status="succeeded",
        output=f"s3://work/responses/{identity('b00042', 1)}.out",
    )


@both
@pytest.mark.parametrize(
    ("status", "reason"),
    [
        ("Failed", "inference-failed"),
        ("Expired", "request-expired"),
        ("Stopped", "inference-failed"),
        ("completed", "inference-failed"),
    ],
)
def test_anything_but_completed_is_a_failure(deliver: Callable[[Any], str], status: str, reason: str) -> None:
    found = parse_result(deliver(notification(status, attempt=2)), work_bucket=BUCKET)
    assert (found.status, found.reason, found.output, found.attempt) == ("failed", reason, None, 2)
    assert found.message == "ClientError: 400, model-changed"


@pytest.mark.parametrize(
    "changes",
    [
        {"responseParameters": None},
        {"responseParameters": {}},
        {"responseParameters": {"outputLocation": None}},
        {"responseParameters": "x"},
        {"invocationStatus": None},
        {"invocationStatus": ["Completed"]},
    ],
)
def test_a_completion_that_does_not_say_where_is_a_failure(changes: dict[str, Any]) -> None:
    content = notification()
    content.update(changes)
    assert parse_result(raw(content), work_bucket=BUCKET).status == "failed"


@pytest.mark.parametrize(
    "place",
    [
        "https://work.s3.amazonaws.com/responses/x.out",
        "file:///etc/passwd",
        "s3://elsewhere/responses/x.out",
        "s3://work/plans/x.out",
        "s3://work/responses",
        "s3://workresponses/x.out",
        "responses/x.out",
        "",
        "s3://work/responses/\ud800.out",
        "s3://work/responses/" + "x" * 5000,
    ],
)
@both
def test_a_response_elsewhere_is_a_failure(deliver: Callable[[Any], str], place: str) -> None:
    """Nobody but the endpoint writes there, and only where its output goes is looked."""
    content = notification() | {"responseParameters": {"outputLocation": place}}
    found = parse_result(deliver(content), work_bucket=BUCKET)
    assert (found.status, found.reason, found.output) == ("failed", "response-elsewhere", None)
    assert found.message is not None
    assert len(found.message) <= 500
    found.message.encode()


def test_half_a_surrogate_pair_in_a_reason_can_be_stored() -> None:
    found = parse_result(raw(notification("Failed", failureReason="a\ud800b")), work_bucket=BUCKET)
    assert found.message == "a?b"


def test_a_reason_without_end_is_cut() -> None:
    message = parse_result(raw(notification("Failed", failureReason="x" * 100_000)), work_bucket=BUCKET).message
    assert message is not None
    assert len(message) <= 500


@pytest.mark.parametrize("reason", [{"code": 1}, ["a"], 5])
def test_a_reason_of_another_type_is_text(reason: object) -> None:
    assert isinstance(parse_result(raw(notification("Failed", failureReason=reason)), work_bucket=BUCKET).message, str)


def test_the_inference_id_is_the_documented_one() -> None:
    assert inference_id(run=RUN, batch="b00042", attempt=3) == identity("b00042", 3)


@given(number=st.integers(0, 999_999_999), attempt=st.integers(1, 999_999))
def test_the_attempt_is_read_from_the_inference_id(number: int, attempt: int) -> None:
    batch = f"b{number:05d}"
    found = parse_result(raw(notification(batch=batch, attempt=attempt)), work_bucket=BUCKET)
    assert (found.run, found.batch, found.attempt) == (RUN, batch, attempt)
    assert len(identity(batch, attempt)) <= MOST_CHARACTERS


@pytest.mark.parametrize(
    "location",
    [
        f"s3://foreign/requests/{RUN}/b00042.safetensors",
        f"s3://work/other/{RUN}/b00042.safetensors",
        f"s3://work/x/requests/{RUN}/b00042.safetensors",
        f"s3://work/requests/{RUN}/b00042.safetensors.bak",
        f"s3://work/requests/{RUN}/b00042.safetensors\n",
        f"s3://work/requests/{RUN}/b00042",
        f"s3://work/requests/{RUN}/b00042-a1.safetensors",
        f"s3://work/requests/{RUN}/b42.safetensors",
        f"s3://work/requests/{RUN}/b000042.safetensors",
        f"s3://work/requests/{RUN}/b{'9' * 5000}.safetensors",
        f"s3://work/requests/{RUN}/b\u0660\u0660\u0660\u0664\u0662.safetensors",
        f"s3://work/requests/{RUN.upper()}/b00042.safetensors",
        f"s3://work/requests/{RUN[:-1]}/b00042.safetensors",
        f"https://work.s3.amazonaws.com/requests/{RUN}/b00042.safetensors",
        "",
        None,
        5,
        {"bucket": "work"},
    ],
)
def test_a_notification_about_no_request_of_ours_is_unknown(location: object) -> None:
    content = notification()
    content["requestParameters"]["inputLocation"] = location
    if isinstance(location, str) and "/b" in location:  # even under the right identity for what it names
        *_, run, name = location.split("/")
        batch = name.partition(".")[0].partition("-")[0]
        content["inferenceId"] = inference_id(run=run, batch=batch, attempt=1)
    with pytest.raises(UnknownResultError):
        parse_result(raw(content), work_bucket=BUCKET)


@pytest.mark.parametrize(
    "forged",
    [
        None,
        "",
        "x",
        identity("b00041", 1),
        identity("b00042", 1, "f" * 32),
        identity("b00042", 1).upper(),
        7,
        [identity("b00042", 1)],
        identity("b00042", 0),
        identity("b00042", -1),
        identity("b00042", 1_000_000),
        f"{RUN}-b00042-a01",
        f"{RUN}-b00042-a\u0661",
        f"{RUN}-b00042-a1\n",
        f"{RUN}-b00042-a1-a1",
        f"{RUN}-b00042-a",
        f"{RUN}-b00042",
        f"x{RUN}-b00042-a1",
        f"{RUN}-b00042-a{'9' * 5000}",
    ],
    ids=[
        *("none", "empty", "other", "another batch", "another run", "upper case", "number", "list", "attempt 0"),
        *("attempt -1", "7 digits", "01", "an Arabic digit", "a line's end", "two attempts", "no number"),
        *("no attempt", "a longer run", "5000 digits"),
    ],
)
def test_a_forged_identity_is_unknown(forged: object) -> None:
    content = notification()
    content["inferenceId"] = forged
    with pytest.raises(UnknownResultError, match="which is no attempt of that"):
        parse_result(raw(content), work_bucket=BUCKET)


@pytest.mark.parametrize("name", ["requestParameters", "inferenceId"])
@pytest.mark.parametrize("value", [None, "x", 1, [], True])
def test_a_notification_of_another_shape_is_unknown(name: str, value: object) -> None:
    content = notification()
    content[name] = value
    with pytest.raises(UnknownResultError):
        parse_result(raw(content), work_bucket=BUCKET)


def test_nothing_sent_is_our_own_word() -> None:
    message = NothingSent(run=RUN, batch="b00007", attempt=1)
    assert parse_result(message.model_dump_json(), work_bucket=BUCKET) == BatchResult(
        run=RUN, batch="b00007", attempt=1, status="nothing-sent"
    )
    assert parse_result(envelope(message.model_dump()), work_bucket=BUCKET).status == "nothing-sent"


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "clayline-nothing-sent/2"},
        {"kind": 1},
        {"run": "x"},
        {"run": RUN + "\n"},
        {"batch": "x"},
        {"batch": "b7"},
        {"batch": "b000007"},
        {"batch": None},
        {"attempt": 0},
        {"attempt": "one"},
        {"attempt": None},
    ],
)
def test_our_own_word_garbled_is_unknown(change: dict[str, object]) -> None:
    content = {"kind": "clayline-nothing-sent/1", "run": RUN, "batch": "b00007", "attempt": 1} | change
    with pytest.raises(UnknownResultError):
        parse_result(raw(content), work_bucket=BUCKET)


@pytest.mark.parametrize(
    "body",
    [
        "",
        " ",
        "x",
        "null",
        "[]",
        "1",
        '"text"',
        "{",
        "{}",
        '{"Type":"Notification","Message":"x"}',
        '{"Type":"Notification","Message":"[]"}',
        '{"Type":"Notification","Message":5}',
        '{"Type":"SubscriptionConfirmation","Message":"You have chosen"}',
        "[" * 100_000,
        "9" * 5000,
        '{"Event":"s3:TestEvent"}',
    ],
)
def test_garbage_is_unknown(body: str) -> None:
    with pytest.raises(UnknownResultError):
        parse_result(body, work_bucket=BUCKET)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@given(st.one_of(st.text(), json_values.map(json.dumps)))
def test_noise_is_unknown(body: str) -> None:
    with pytest.raises(UnknownResultError):
        parse_result(body, work_bucket=BUCKET)


@settings(max_examples=300)
@given(
    status=st.sampled_from(["Completed", "Failed", "Expired"]),
    path=st.sampled_from(
        [
            "invocationStatus",
            "requestParameters",
            "responseParameters",
            "inferenceId",
            "failureReason",
            "kind",
            "Type",
            "Message",
            "requestParameters.inputLocation",
            "responseParameters.outputLocation",
        ]
    ),
    value=json_values,
    wrapped=st.booleans(),
)
@example(status="Failed", path="kind", value={}, wrapped=False)
def test_a_notification_with_one_value_changed_is_read_or_unknown(
    status: str, path: str, value: object, *, wrapped: bool
) -> None:
    content = notification(status)
    owner, _, name = path.rpartition(".")
    (content.setdefault(owner, {}) if owner else content)[name] = value
    try:
        found = parse_result((envelope if wrapped else raw)(content), work_bucket=BUCKET)
    except UnknownResultError:
        return
    assert (found.run, found.batch, found.attempt) == (RUN, "b00042", 1)
    assert (found.output is not None) == (found.status == "succeeded")
