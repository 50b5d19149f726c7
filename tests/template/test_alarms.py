"""Who is told of what, and that docs/operations.md says of each alarm what it means."""

import os
import re
import subprocess
import sys
from typing import Any

import boto3
import pytest

from clayline_local.errors import LocalCloudError
from clayline_local.moto_process import MotoServer
from clayline_local.template import LOCAL_PARAMETERS, TEMPLATE, Resource, Stack, expand

PAGE = TEMPLATE.parent / "docs" / "operations.md"
TOPIC = "arn:aws:sns:eu-central-1:123456789012:people"
BUDGET = {"BudgetUsd": "50", "AlarmTopicArn": TOPIC, "BudgetTag": "user:project$clayline"}
FOR_THE_ENDPOINT = "WakeAlarm"
"""Its action starts an instance; it tells nobody."""


@pytest.fixture(scope="module")
def stack() -> Stack:
    return expand(
        TEMPLATE, {**LOCAL_PARAMETERS, **BUDGET, "CompactSchedule": "rate(1 hour)", "VectorBucket": "my-vectors"}
    )


@pytest.fixture(scope="module")
def bare() -> Stack:
    """Without an endpoint or anybody to tell."""
    return expand(TEMPLATE, {})


def of_metric(stack: Stack, name: str) -> dict[str, Resource]:
    """Give the alarms on a metric by the one dimension that they have."""
    found = {}
    for alarm in stack.of_type("AWS::CloudWatch::Alarm"):
        if alarm.properties.get("MetricName") == name:
            (dimension,) = alarm.properties["Dimensions"]
            found[dimension["Value"]] = alarm
    return found


def test_every_dead_letter_queue_has_an_alarm_from_the_first_message(stack: Stack, bare: Stack) -> None:
    for one in (stack, bare):
        alarms = of_metric(one, "ApproximateNumberOfMessagesVisible")
        dead = {
            queue.physical.attributes["QueueName"]
            for queue in one.of_type("AWS::SQS::Queue")
            if "RedrivePolicy" not in queue.properties
        }
        assert len(dead) == (8 if one is stack else 7)
        assert set(alarms) == dead
        for alarm in alarms.values():
            said = alarm.properties
            assert (said["Threshold"], said["ComparisonOperator"]) == (0, "GreaterThanThreshold")


def test_every_queues_age_has_an_alarm_after_two_tries(stack: Stack) -> None:
    alarms = of_metric(stack, "ApproximateAgeOfOldestMessage")
    visible = {
        queue.physical.attributes["QueueName"]: queue.properties["VisibilityTimeout"]
        for queue in stack.of_type("AWS::SQS::Queue")
        if "RedrivePolicy" in queue.properties
    }
    assert {name: alarm.properties["Threshold"] for name, alarm in alarms.items()} == {
        name: 2 * seconds for name, seconds in visible.items()
    }


def test_without_an_endpoint_nobody_is_told_that_scenes_wait(bare: Stack) -> None:
    alarms = {alarm.logical_id for alarm in bare.of_type("AWS::CloudWatch::Alarm")}
    assert alarms == {
        "SceneDlqAlarm",
        "TileDlqAlarm",
        "ResultDlqAlarm",
        "SettledDlqAlarm",
        "IndexDlqAlarm",
        "WatchDlqAlarm",
        "SheetDlqAlarm",
    } | {
        "ResultAgeAlarm",
        "SettledAgeAlarm",
        "IndexAgeAlarm",
        "WatchAgeAlarm",
        "SheetAgeAlarm",
        "CompactErrorAlarm",
        "BackfillAlarm",
    }


def test_a_reconciler_that_fails_or_is_not_called_is_told(stack: Stack) -> None:
    function, every = stack.resources["ReconcileFunction"].physical.ref, stack.functions()["ReconcileFunction"].every
    errors, (silent,) = of_metric(stack, "Errors"), of_metric(stack, "Invocations").items()
    assert set(errors) == {function, stack.resources["CompactFunction"].physical.ref}
    assert silent[0] == function
    for failing in errors.values():
        said = failing.properties
        assert (said["Namespace"], said["Statistic"], said["EvaluationPeriods"]) == ("AWS/Lambda", "Sum", 1)
        assert (said["Threshold"], said["ComparisonOperator"]) == (0, "GreaterThanThreshold")
    said = silent[1].properties
    assert (said["Namespace"], said["Statistic"]) == ("AWS/Lambda", "Sum")
    assert (said["Threshold"], said["ComparisonOperator"]) == (1, "LessThanThreshold")
    assert every
    assert said["Period"] >= 2 * every, "a healthy one is called in each period"
    assert said["Period"] * said["EvaluationPeriods"] == 15 * 60


@pytest.mark.parametrize(
    ("metric", "alarm"),
    [
        ("ExpiredRequests", "ExpiredAlarm"),
        ("InvocationFailures", "FailedAlarm"),
        ("NotificationFailures", "NotificationAlarm"),
    ],
)
def test_a_single_request_that_went_wrong_is_told(stack: Stack, metric: str, alarm: str) -> None:
    said = stack.resources[alarm].properties
    assert (said["Namespace"], said["MetricName"], said["Statistic"]) == ("AWS/SageMaker", metric, "Sum")
    assert (said["Threshold"], said["ComparisonOperator"]) == (0, "GreaterThanThreshold")
    variant = stack.resources["EndpointConfig"].properties["ProductionVariants"][0]["VariantName"]
    endpoint = stack.resources["Endpoint"].physical.attributes["EndpointName"]
    assert {each["Name"]: each["Value"] for each in said["Dimensions"]} == {
        "EndpointName": endpoint,
        "VariantName": variant,
    }


def worth(expression: str, values: dict[str, int | None]) -> int:
    """Compute a metric math expression of IF, FILL, AND and comparisons; None is a period without a report."""
    filled = re.sub(
        r"FILL\((\w+), (\d+)\)",
        lambda found: found[2] if values[found[1]] is None else str(values[found[1]]),
        expression,
    )
    branches = re.fullmatch(r"IF\((.+), (\d+), (\d+)\)", filled)
    assert branches, filled
    condition, then, otherwise = branches.groups()
    compared = [re.fullmatch(r"(\d+) (>|==) (\d+)", part) for part in condition.split(" AND ")]
    holds = []
    for part in compared:
        assert part, condition
        left, right = int(part[1]), int(part[3])
        holds.append(left > right if part[2] == ">" else left == right)
    return int(then if all(holds) else otherwise)


@pytest.mark.parametrize(
    ("running", "backlog", "expected"),
    [
        (5, 0, 1),
        (5, None, 1),  # nothing waits, nothing is reported
        (5, 3, 0),
        (None, 0, 0),  # asleep, as it should be
        (None, 3, 0),  # asleep with work is AsleepAlarm's
        (None, None, 0),
    ],
)
def test_awake_without_work(stack: Stack, running: int | None, backlog: int | None, expected: int) -> None:
    said = stack.resources["AwakeAlarm"].properties
    (expression,) = [metric["Expression"] for metric in said["Metrics"] if metric.get("ReturnData", True)]
    assert worth(expression, {"running": running, "backlog": backlog}) == expected
    assert (said["Threshold"], said["ComparisonOperator"]) == (1, "GreaterThanOrEqualToThreshold")
    assert said["EvaluationPeriods"] * 300 > 2 * 15 * 60, "scale-in itself takes about 15 minutes"


def test_people_are_told_where_a_topic_is_named_and_nowhere_else(stack: Stack) -> None:
    told = {alarm.logical_id: alarm.properties.get("AlarmActions") for alarm in stack.of_type("AWS::CloudWatch::Alarm")}
    assert told.pop(FOR_THE_ENDPOINT) == [stack.resources["WakePolicy"].physical.ref]
    assert set(map(str, told.values())) == {str([TOPIC])}
    silent = expand(TEMPLATE, LOCAL_PARAMETERS).of_type("AWS::CloudWatch::Alarm")
    assert {alarm.logical_id for alarm in silent if "AlarmActions" in alarm.properties} == {FOR_THE_ENDPOINT}
    missing = {alarm.logical_id: alarm.properties["TreatMissingData"] for alarm in silent}
    assert missing.pop("ReconcileSilentAlarm") == "breaching"
    assert set(missing.values()) == {"notBreaching", "missing"}


def test_the_budget_is_told_before_it_is_spent(stack: Stack, bare: Stack) -> None:
    (budget,) = stack.of_type("AWS::Budgets::Budget")
    assert budget.properties["Budget"] == {
        "BudgetType": "COST",
        "TimeUnit": "MONTHLY",
        "BudgetLimit": {"Amount": "50", "Unit": "USD"},
        "CostFilters": {"TagKeyValue": ["user:project$clayline"]},
    }
    for notification in budget.properties["NotificationsWithSubscribers"]:
        assert notification["Subscribers"] == [{"SubscriptionType": "SNS", "Address": TOPIC}]
    assert not bare.of_type("AWS::Budgets::Budget")


def test_a_budget_that_nobody_would_hear_of_is_refused() -> None:
    with pytest.raises(LocalCloudError, match="BudgetUsd needs AlarmTopicArn"):
        expand(TEMPLATE, {"BudgetUsd": "50"})


def test_the_page_has_every_alarm_and_no_other(stack: Stack) -> None:
    rows = re.findall(r"^\| `(\w+)` \| (.+) \| (.+) \| (.+) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    kinds = ("AWS::CloudWatch::Alarm", "AWS::Budgets::Budget")
    names = [resource.logical_id for kind in kinds for resource in stack.of_type(kind)]
    assert sorted(name for name, *_ in rows) == sorted(names)
    assert all(cell.strip() for row in rows for cell in row)


@pytest.mark.pipeline
def test_the_pages_command_empties_a_bucket_with_all_its_versions() -> None:
    (program,) = re.findall(r"^python3? -c '(.+?)' BUCKET$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    with MotoServer() as server:
        environment: dict[str, Any] = {**os.environ, **server.environment()}
        s3 = boto3.client("s3", "us-east-1", endpoint_url=server.url, aws_access_key_id="x", aws_secret_access_key="x")
        s3.create_bucket(Bucket="old")
        s3.put_bucket_versioning(Bucket="old", VersioningConfiguration={"Status": "Enabled"})
        for body in (b"first", b"second"):
            s3.put_object(Bucket="old", Key="scene.tif", Body=body)
        s3.delete_object(Bucket="old", Key="scene.tif")
        done = subprocess.run(
            [sys.executable, "-c", program, "old"], env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert s3.list_buckets()["Buckets"] == []
