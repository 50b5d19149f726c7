"""What must hold of template.yaml whatever else changes in it."""

import itertools
import re
from collections.abc import Iterator
from typing import Any

import pytest

from clayline.aws.settings import (
    OF_THE_LOCAL_CLOUD,
    CollectSettings,
    CommonSettings,
    CompactSettings,
    IndexSettings,
    PlanSettings,
    ReconcileSettings,
    SettleSettings,
    SheetSettings,
    TileSettings,
    WatchSettings,
    load,
)
from clayline_local.errors import LocalCloudError
from clayline_local.template import LOCAL_PARAMETERS, TEMPLATE, Resource, Stack, expand

SETTINGS: dict[str, type[CommonSettings]] = {
    "PlanFunction": PlanSettings,
    "TileFunction": TileSettings,
    "SettleFunction": SettleSettings,
    "CollectFunction": CollectSettings,
    "IndexFunction": IndexSettings,
    "CompactFunction": CompactSettings,
    "WatchFunction": WatchSettings,
    "SheetFunction": SheetSettings,
    "ReconcileFunction": ReconcileSettings,
}
POLLING = tuple(function for function in SETTINGS if function not in {"CompactFunction", "ReconcileFunction"})
"""Those that a queue calls; the others are called by the clock."""
# Sid: why its resource cannot be named. Everything else names what it reaches.
WITHOUT_RESOURCE = {
    "SignInToRegistry": "ecr:GetAuthorizationToken knows no resource",
    "PutMetrics": "cloudwatch:PutMetricData knows no resource; the condition narrows it to SageMaker's own namespace",
}
LONGEST_MESSAGE_DAYS = 14


@pytest.fixture(scope="module")
def stack() -> Stack:
    return expand(TEMPLATE, {**LOCAL_PARAMETERS, "AllowedBuckets": "one,two"})


def mapping_of(stack: Stack, function: str) -> Resource:
    (found,) = [
        mapping
        for mapping in stack.of_type("AWS::Lambda::EventSourceMapping")
        if mapping.properties["FunctionName"] == stack.resources[function].physical.ref
    ]
    return found


def queue_by_arn(stack: Stack, arn: str) -> Resource:
    (found,) = [queue for queue in stack.of_type("AWS::SQS::Queue") if queue.physical.attributes["Arn"] == arn]
    return found


def statements(stack: Stack) -> Iterator[tuple[str, dict[str, Any]]]:
    for role in stack.of_type("AWS::IAM::Role"):
        for policy in role.properties["Policies"]:
            for statement in policy["PolicyDocument"]["Statement"]:
                yield role.logical_id, statement


def listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def test_every_function_is_there(stack: Stack) -> None:
    assert set(stack.functions()) == set(SETTINGS)
    for spec in stack.functions().values():
        assert (spec.code / "app.py").is_file(), f"{spec.name} has no app.py in {spec.code}"


def test_each_queue_has_a_dead_letter_queue_of_its_own_that_keeps_as_long(stack: Stack) -> None:
    queues = {queue.physical.attributes["Arn"]: queue for queue in stack.of_type("AWS::SQS::Queue")}
    working = [queue for queue in queues.values() if "RedrivePolicy" in queue.properties]
    targets = [queue.properties["RedrivePolicy"]["deadLetterTargetArn"] for queue in working]
    assert len(working) == 7
    assert len(set(targets)) == len(targets)
    assert set(queues) == set(targets) | {queue.physical.attributes["Arn"] for queue in working}
    for queue, target in zip(working, targets, strict=True):
        # A message's age counts from when it was first sent, so a shorter retention there would drop it on arrival.
        assert queues[target].properties["MessageRetentionPeriod"] >= queue.properties["MessageRetentionPeriod"]
        assert int(queue.properties["RedrivePolicy"]["maxReceiveCount"]) >= 2


def test_every_queue_is_encrypted(stack: Stack) -> None:
    assert all(queue.properties["SqsManagedSseEnabled"] is True for queue in stack.of_type("AWS::SQS::Queue"))


@pytest.mark.parametrize("function", POLLING)
def test_visibility_is_at_least_six_timeouts(stack: Stack, function: str) -> None:
    queue = queue_by_arn(stack, mapping_of(stack, function).properties["EventSourceArn"])
    assert queue.properties["VisibilityTimeout"] >= 6 * stack.functions()[function].timeout


@pytest.mark.parametrize("function", POLLING)
def test_partial_failures_and_bounded_concurrency(stack: Stack, function: str) -> None:
    mapping = mapping_of(stack, function).properties
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert int(mapping["ScalingConfig"]["MaximumConcurrency"]) >= 2


def test_the_lease_lies_between_timeout_and_visibility(stack: Stack) -> None:
    plan = stack.functions()["PlanFunction"]
    queue = queue_by_arn(stack, mapping_of(stack, "PlanFunction").properties["EventSourceArn"])
    for lease in (plan.timeout, queue.properties["VisibilityTimeout"]):
        expand(TEMPLATE, {"LeaseSeconds": str(lease)})
    for lease in (plan.timeout - 1, queue.properties["VisibilityTimeout"] + 1):
        with pytest.raises(LocalCloudError, match="LeaseSeconds"):
            expand(TEMPLATE, {"LeaseSeconds": str(lease)})


@pytest.mark.parametrize(("mode", "enabled"), [("none", False), ("create", True), ("existing", True)])
def test_without_an_endpoint_no_scene_is_received(mode: str, *, enabled: bool) -> None:
    given = {**LOCAL_PARAMETERS, "EndpointMode": mode, "ExistingEndpointName": "elsewhere"}
    functions = expand(TEMPLATE, given).functions()
    sources = {name: spec.source.enabled for name, spec in functions.items() if spec.source}
    # settle and collect go on: what is already under way when an endpoint is taken away still ends.
    assert sources == {
        "PlanFunction": enabled,
        "TileFunction": enabled,
        "SettleFunction": True,
        "CollectFunction": True,
        "IndexFunction": True,
        "WatchFunction": True,
        "SheetFunction": True,
    }
    assert (functions["ReconcileFunction"].every is not None) is enabled


@pytest.mark.parametrize(
    ("schedule", "every"),
    [("off", None), ("rate(1 minute)", 60), ("rate(6 hours)", 21_600), ("rate(2 days)", 172_800)],
)
def test_the_dataset_is_put_in_order_by_its_schedule_or_not_at_all(schedule: str, every: int | None) -> None:
    stack = expand(TEMPLATE, {"CompactSchedule": schedule})
    assert stack.functions()["CompactFunction"].every == every
    assert ("CompactErrorAlarm" in stack.resources) is (every is not None)
    # The next call by the clock does the same: Lambda's own two retries of a call that took 15 minutes would only cost.
    assert stack.resources["CompactFunctionEventInvokeConfig"].properties["MaximumRetryAttempts"] == 0


@pytest.mark.parametrize("schedule", ["hourly", "rate(1 hours)", "rate(2 hour)", "rate(0.5 hours)", ""])
def test_what_is_no_schedule_is_refused(schedule: str) -> None:
    with pytest.raises(LocalCloudError, match="CompactSchedule"):
        expand(TEMPLATE, {"CompactSchedule": schedule})


@pytest.mark.parametrize(("reserved", "calls"), [("false", None), ("true", 1)])
def test_calls_are_reserved_only_where_that_is_asked_for(reserved: str, calls: int | None) -> None:
    """An account of ten calls, as new ones are, refuses any reservation, and with it the whole stack."""
    stack = expand(TEMPLATE, {"ReserveCompact": reserved})
    found = {name: each.properties.get("ReservedConcurrentExecutions") for name, each in stack.resources.items()}
    assert found.pop("CompactFunction") == calls
    assert set(found.values()) == {None}


def test_the_default_stack_needs_neither_image_nor_model() -> None:
    kinds = {resource.type for resource in expand(TEMPLATE, {}).resources.values()}
    assert not {kind for kind in kinds if kind.startswith(("AWS::SageMaker::", "AWS::ApplicationAutoScaling::"))}


def test_an_existing_endpoint_is_invoked_and_nothing_of_it_made() -> None:
    found = expand(TEMPLATE, {"EndpointMode": "existing", "ExistingEndpointName": "elsewhere"})
    assert not found.of_type("AWS::SageMaker::Endpoint")
    assert found.functions()["TileFunction"].environment["CLAYLINE_ENDPOINT_NAME"] == "elsewhere"
    (invoke,) = [statement for _, statement in statements(found) if statement["Sid"] == "Invoke"]
    assert invoke["Resource"] == "arn:aws:sagemaker:eu-central-1:123456789012:endpoint/elsewhere"


def test_the_invoked_endpoint_is_the_created_one_in_lower_case(stack: Stack) -> None:
    (invoke,) = [statement for _, statement in statements(stack) if statement["Sid"] == "Invoke"]
    name = stack.functions()["TileFunction"].environment["CLAYLINE_ENDPOINT_NAME"]
    assert invoke["Resource"] == f"arn:aws:sagemaker:eu-central-1:123456789012:endpoint/{name.lower()}"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"ExistingScenesBucket": "same", "ExistingEmbeddingsBucket": "same"}, "must not be one bucket"),
        ({"EndpointMode": "create"}, "needs ImageDigest"),
        ({"EndpointMode": "existing"}, "needs ExistingEndpointName"),
        ({"CogPrefix": ""}, "CogPrefix"),
        ({"MaxConcurrentInvocations": "1"}, "MaxConcurrentInvocations"),
        ({"RequestTtlSeconds": "21601"}, "RequestTtlSeconds"),
        ({"Boa": "maybe"}, "Boa"),
    ],
)
def test_refused_parameters(given: dict[str, str], message: str) -> None:
    with pytest.raises(LocalCloudError, match=message):
        expand(TEMPLATE, given)


def test_existing_buckets_take_the_place_of_our_own() -> None:
    found = expand(TEMPLATE, {"ExistingScenesBucket": "archive", "ExistingEmbeddingsBucket": "results"})
    assert {bucket.logical_id for bucket in found.of_type("AWS::S3::Bucket")} == {"ModelBucket", "WorkBucket"}
    plan = found.functions()["PlanFunction"].environment
    assert (plan["CLAYLINE_SCENES_BUCKET"], plan["CLAYLINE_EMBEDDINGS_BUCKET"]) == ("archive", "results")
    assert found.resources["SceneRule"].properties["EventPattern"]["detail"]["bucket"]["name"] == ["archive"]
    reached = {
        resource
        for role, statement in statements(found)
        if role in {"PlanRole", "TileRole"}
        for resource in listed(statement["Resource"])
    }
    assert {"arn:aws:s3:::archive/*", "arn:aws:s3:::archive", "arn:aws:s3:::results/failed/*"} <= reached


def test_no_statement_reaches_further_than_it_says(stack: Stack) -> None:
    for role, statement in statements(stack):
        where = f"{role}/{statement['Sid']}"
        assert statement["Effect"] == "Allow"
        assert "NotAction" not in statement
        assert "NotResource" not in statement
        assert all("*" not in action for action in listed(statement["Action"])), where
        for resource in listed(statement["Resource"]):
            if resource == "*":
                assert statement["Sid"] in WITHOUT_RESOURCE, f"{where} reaches everything"
                continue
            # One star, at the end, under a name of ours: a prefix of objects, a log group's streams, the endpoints' log
            # groups; or a bucket's files of one kind, which lie in the folders of scenes, models and watches.
            body = resource.removeprefix("arn:*:")
            kinds = r"/\*_receipt\.json|/\*\.parquet|/\*\.json|/\*/collection\.json|/\*/card\.\*|/watched/\*_sheet\.png"
            assert re.fullmatch(rf"[^*]+(?:[/:]\*|{kinds})?", body), f"{where}: {resource}"


def test_every_reason_for_a_star_is_still_needed(stack: Stack) -> None:
    assert {statement["Sid"] for _, statement in statements(stack) if statement["Resource"] == "*"} == set(
        WITHOUT_RESOURCE
    )


def test_allowed_buckets_are_read_and_only_read(stack: Stack) -> None:
    found = [
        (role, statement)
        for role, statement in statements(stack)
        if any("arn:*:s3:::one" in arn for arn in listed(statement["Resource"]))
    ]
    assert {(role, statement["Action"]) for role, statement in found} == set(
        itertools.product(("PlanRole", "TileRole", "SheetRole"), ("s3:GetObject", "s3:ListBucket"))
    )
    for _, statement in found:
        tail = "/*" if statement["Action"] == "s3:GetObject" else ""
        assert statement["Resource"] == [f"arn:*:s3:::one{tail}", f"arn:*:s3:::two{tail}"]
    assert stack.functions()["PlanFunction"].environment["CLAYLINE_ALLOWED_BUCKETS"] == "one,two"


def test_no_allowed_buckets_is_no_statement() -> None:
    found = expand(TEMPLATE, LOCAL_PARAMETERS)
    assert not [statement for _, statement in statements(found) if "Allowed" in statement["Sid"]]
    assert found.functions()["PlanFunction"].environment["CLAYLINE_ALLOWED_BUCKETS"] == ""


def test_functions_may_do_only_what_their_hop_does(stack: Stack) -> None:
    """Who may write where, from docs/architecture.md and not from the template."""
    writes = {
        (role, statement_resource.rsplit(":", 1)[-1])
        for role, statement in statements(stack)
        if "s3:PutObject" in listed(statement["Action"])
        for statement_resource in listed(statement["Resource"])
    }
    assert writes == {
        ("PlanRole", "clayline-workbucket/plans/*"),
        ("PlanRole", "clayline-workbucket/items/*"),
        ("PlanRole", "clayline-embeddingsbucket/failed/*"),
        ("TileRole", "clayline-workbucket/requests/*"),
        ("TileRole", "clayline-workbucket/outcomes/*"),
        ("PlanRole", "clayline-workbucket/settlements/*"),
        ("SettleRole", "clayline-workbucket/settlements/*"),
        ("CollectRole", "clayline-workbucket/verdicts/*"),
        ("CollectRole", "clayline-embeddingsbucket/*"),
        ("IndexRole", "clayline-embeddingsbucket/dataset/fragments/*"),
        ("CompactRole", "clayline-embeddingsbucket/dataset/*"),
        ("WatchRole", "clayline-embeddingsbucket/watched/*"),
        ("SheetRole", "clayline-embeddingsbucket/watched/*_sheet.png"),
        ("CompactRole", "clayline-embeddingsbucket/*/collection.json"),
        ("CompactRole", "clayline-embeddingsbucket/*/card.*"),
        ("ReconcileRole", "clayline-workbucket/settlements/*"),
        ("EndpointRole", "clayline-workbucket/responses/*"),
        ("EndpointRole", "clayline-workbucket/failures/*"),
        ("BackfillRole", "clayline-workbucket/backfills/*"),
    }
    sends = {
        (role, resource.rsplit(":", 1)[-1])
        for role, statement in statements(stack)
        if "sqs:SendMessage" in listed(statement["Action"])
        for resource in listed(statement["Resource"])
    }
    assert sends == {
        ("PlanRole", "clayline-TileQueue"),
        ("PlanRole", "clayline-SettledQueue"),
        ("TileRole", "clayline-ResultQueue"),
        ("SettleRole", "clayline-SettledQueue"),
        ("SettleRole", "clayline-TileQueue"),
        ("ReconcileRole", "clayline-SceneQueue"),
        ("ReconcileRole", "clayline-TileQueue"),
        ("ReconcileRole", "clayline-SettledQueue"),
        ("BackfillRole", "clayline-SceneQueue"),
    }


def test_memory_fits_a_new_account_and_can_be_raised(stack: Stack) -> None:
    """A new account refuses a function of more than 3,008 MB, and with it the whole stack."""
    assert all(spec.memory <= 3008 for spec in stack.functions().values())
    more = {"PlanMemory": "4096", "TileMemory": "3538", "CollectMemory": "10240", "CompactMemory": "6144"}
    raised = expand(TEMPLATE, {**LOCAL_PARAMETERS, **more}).functions()
    assert {name: spec.memory for name, spec in raised.items() if spec.memory != stack.functions()[name].memory} == {
        "PlanFunction": 4096,
        "TileFunction": 3538,
        "CollectFunction": 10240,
        "CompactFunction": 6144,
    }


def test_every_function_has_a_role_and_logs_of_its_own(stack: Stack) -> None:
    functions = [function.properties for function in stack.of_type("AWS::Lambda::Function")]
    assert len({function["Role"] for function in functions}) == len(functions)
    assert len({function["LoggingConfig"]["LogGroup"] for function in functions}) == len(functions)
    assert all("ManagedPolicyArns" not in role.properties for role in stack.of_type("AWS::IAM::Role"))
    assert all(int(group.properties["RetentionInDays"]) > 0 for group in stack.of_type("AWS::Logs::LogGroup"))


@pytest.mark.parametrize(("function", "settings"), SETTINGS.items())
def test_environment_is_what_the_settings_read(
    stack: Stack, function: str, settings: type[CommonSettings], monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = stack.functions()[function].environment
    given = {name.removeprefix("CLAYLINE_").lower() for name in environment if name.startswith("CLAYLINE_")}
    local = {name.removeprefix("CLAYLINE_").lower() for name in OF_THE_LOCAL_CLOUD}
    assert given == set(settings.model_fields) - local
    assert {name for name in environment if not name.startswith("CLAYLINE_")} == {
        "POWERTOOLS_SERVICE_NAME",
        "POWERTOOLS_METRICS_NAMESPACE",
        "POWERTOOLS_LOG_LEVEL",
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert load(settings).ledger_table == stack.resources["Ledger"].physical.ref


def test_defaults_agree_between_template_and_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """A default in settings.py that template.yaml contradicts would show only where the template is not used."""
    local = {name: LOCAL_PARAMETERS[name] for name in ("EndpointMode", "ImageDigest")}
    stack = expand(TEMPLATE, local)
    for function, settings in SETTINGS.items():
        for name, value in stack.functions()[function].environment.items():
            monkeypatch.setenv(name, value)
        loaded = load(settings)
        for name, declared in settings.model_fields.items():
            if not declared.is_required() and name != "allowed_buckets":
                assert getattr(loaded, name) == declared.get_default(), f"{function}: {name}"


def test_queue_policies_admit_only_their_own_senders(stack: Stack) -> None:
    admitted = {}
    for policy in stack.of_type("AWS::SQS::QueuePolicy"):
        for statement in policy.properties["PolicyDocument"]["Statement"]:
            if statement["Effect"] == "Allow":
                assert statement["Action"] == "sqs:SendMessage"
                sources = listed(statement["Condition"]["ArnEquals"]["aws:SourceArn"])
                admitted[policy.logical_id, statement["Principal"]["Service"]] = sources
    topics = [stack.resources["SuccessTopic"].physical.ref, stack.resources["ErrorTopic"].physical.ref]
    assert admitted == {
        ("SceneQueuePolicy", "events.amazonaws.com"): [stack.resources["SceneRule"].physical.attributes["Arn"]],
        ("ResultQueuePolicy", "sns.amazonaws.com"): topics,
        ("IndexQueuePolicy", "events.amazonaws.com"): [stack.resources["IndexRule"].physical.attributes["Arn"]],
        ("WatchQueuePolicy", "events.amazonaws.com"): [stack.resources["WatchRule"].physical.attributes["Arn"]],
        ("SheetQueuePolicy", "events.amazonaws.com"): [stack.resources["SheetRule"].physical.attributes["Arn"]],
    }


def test_work_outlives_every_message_and_requests_outlive_their_time(stack: Stack) -> None:
    rules = stack.resources["WorkBucket"].properties["LifecycleConfiguration"]["Rules"]
    days = {rule["Prefix"]: rule["ExpirationInDays"] for rule in rules if "ExpirationInDays" in rule}
    assert set(days) == {
        "items/",
        "backfills/",
        "requests/",
        "plans/",
        "outcomes/",
        "settlements/",
        "verdicts/",
        "responses/",
        "failures/",
    }
    assert all(kept > LONGEST_MESSAGE_DAYS for prefix, kept in days.items() if prefix != "requests/")
    assert days["requests/"] * 86_400 > 21_600
    assert (
        max(queue.properties["MessageRetentionPeriod"] for queue in stack.of_type("AWS::SQS::Queue"))
        <= LONGEST_MESSAGE_DAYS * 86_400
    )


def test_an_archives_topic_is_subscribed_in_its_own_region_and_may_send_to_the_scene_queue_alone() -> None:
    topic = "arn:aws:sns:us-west-2:608149789419:cirrus-es-prod-publish"
    chosen = {**LOCAL_PARAMETERS, "StacTopicArn": topic, "StacCollections": "sentinel-2-c1-l2a,landsat-c2-l2"}
    stack = expand(TEMPLATE, chosen)
    queue = stack.resources["SceneQueue"].physical.attributes["Arn"]
    assert stack.resources["StacSubscription"].properties == {
        "TopicArn": topic,
        "Region": "us-west-2",
        "Protocol": "sqs",
        "Endpoint": queue,
        "FilterPolicyScope": "MessageAttributes",
        "FilterPolicy": {"collection": ["sentinel-2-c1-l2a", "landsat-c2-l2"]},
    }
    statements = stack.resources["SceneQueuePolicy"].properties["PolicyDocument"]["Statement"]
    [admitted] = [one for one in statements if one["Principal"] == {"Service": "sns.amazonaws.com"}]
    assert (admitted["Action"], admitted["Resource"]) == ("sqs:SendMessage", queue)
    assert admitted["Condition"] == {"ArnEquals": {"aws:SourceArn": topic}}
    every = expand(TEMPLATE, {**LOCAL_PARAMETERS, "StacTopicArn": topic}).resources["StacSubscription"].properties
    assert "FilterPolicy" not in every
    without = expand(TEMPLATE, LOCAL_PARAMETERS)
    assert "StacSubscription" not in without.resources
    assert "sns.amazonaws.com" not in str(without.resources["SceneQueuePolicy"].properties)


def test_buckets_are_private(stack: Stack) -> None:
    buckets = stack.of_type("AWS::S3::Bucket")
    assert len(buckets) == 4
    for bucket in buckets:
        assert set(bucket.properties["PublicAccessBlockConfiguration"].values()) == {True}
        assert bucket.properties["BucketEncryption"]["ServerSideEncryptionConfiguration"]


def test_the_endpoint_wakes_and_sleeps(stack: Stack) -> None:
    (target,) = stack.of_type("AWS::ApplicationAutoScaling::ScalableTarget")
    assert target.properties["MinCapacity"] == 0
    policies = {
        policy.properties["PolicyType"]: policy
        for policy in stack.of_type("AWS::ApplicationAutoScaling::ScalingPolicy")
    }
    assert set(policies) == {"TargetTrackingScaling", "StepScaling"}
    tracking = policies["TargetTrackingScaling"].properties["TargetTrackingScalingPolicyConfiguration"]
    assert tracking["CustomizedMetricSpecification"]["MetricName"] == "ApproximateBacklogSizePerInstance"
    alarm = stack.resources["WakeAlarm"]
    assert alarm.properties["MetricName"] == "HasBacklogWithoutCapacity"
    assert alarm.properties["AlarmActions"] == [policies["StepScaling"].physical.ref]


@pytest.mark.parametrize(("copied", "place"), [("required", "models/clay-v1.5/"), ("all", "models/")])
def test_an_instance_copies_the_required_model_alone(copied: str, place: str) -> None:
    found = expand(TEMPLATE, {**LOCAL_PARAMETERS, "ModelFolder": "clay-v1.5", "CopiedModels": copied})
    container = found.resources["Model"].properties["PrimaryContainer"]
    bucket = found.resources["ModelBucket"].physical.ref
    assert container["ModelDataSource"]["S3DataSource"]["S3Uri"] == f"s3://{bucket}/{place}"
    assert container["Environment"]["CLAYLINE_MODEL_FOLDER"] == "clay-v1.5"


def test_plan_may_read_sensors_only_where_they_are_named(stack: Stack) -> None:
    named = expand(TEMPLATE, {**LOCAL_PARAMETERS, "SensorFiles": "kite.yaml,balloon.yaml"})
    assert named.functions()["PlanFunction"].environment["CLAYLINE_SENSOR_FILES"] == "kite.yaml,balloon.yaml"
    assert stack.functions()["PlanFunction"].environment["CLAYLINE_SENSOR_FILES"] == ""
    assert "ReadSensors" in str([role.properties for role in named.of_type("AWS::IAM::Role")])
    assert "ReadSensors" not in str([role.properties for role in stack.of_type("AWS::IAM::Role")])
