"""Who may send to a queue, publish to a topic, take a role: the policies of resources, and that there are no others.

A service that sends on somebody's behalf must name the rule or topic it acts for, or anybody's rule in any account
could fill the queue.
"""

import itertools
from typing import Any

import pytest
from tests.privilege.calls import Need
from tests.privilege.chain import ENDPOINT
from tests.privilege.iam import Grant, PolicyError, allowing, read_policy
from tests.privilege.roles import grants_of, judge, role_of

from clayline_local.template import LOCAL_PARAMETERS, TEMPLATE, Resource, Stack, expand

FUNCTIONS = (
    "PlanFunction", "TileFunction", "SettleFunction", "CollectFunction", "IndexFunction", "CompactFunction",
    "WatchFunction", "SheetFunction", "ReconcileFunction",
)  # fmt: skip
SERVICES = (
    "events.amazonaws.com",
    "sns.amazonaws.com",
    "s3.amazonaws.com",
    "sagemaker.amazonaws.com",
    "lambda.amazonaws.com",
)


@pytest.fixture(scope="module")
def stack() -> Stack:
    return expand(TEMPLATE, LOCAL_PARAMETERS)


def sent(stack: Stack) -> tuple[Grant, ...]:
    """All that queue policies say.

    Each of their statements must be about the queues that the policy is attached to.
    """
    found: list[Grant] = []
    for policy in stack.of_type("AWS::SQS::QueuePolicy"):
        grants = read_policy(policy.properties["PolicyDocument"], of_resource=True)
        attached = {
            queue.physical.attributes["Arn"]
            for queue in stack.of_type("AWS::SQS::Queue")
            if queue.physical.ref in policy.properties["Queues"]
        }
        assert {grant.resource for grant in grants} == attached
        found += grants
    return tuple(found)


def said(stack: Stack, kind: str) -> tuple[Grant, ...]:
    """All that the policies of one type say."""
    return tuple(
        grant
        for policy in stack.of_type(kind)
        for grant in read_policy(policy.properties["PolicyDocument"], of_resource=True)
    )


def test_only_the_rules_and_the_two_topics_send_and_only_to_their_queues(stack: Stack) -> None:
    """Every service, acting for everything of this stack, for the like of another account, or for nothing, at every
    queue.
    """
    own = {
        "SceneRule": stack.resources["SceneRule"].physical.attributes["Arn"],
        "IndexRule": stack.resources["IndexRule"].physical.attributes["Arn"],
        "WatchRule": stack.resources["WatchRule"].physical.attributes["Arn"],
        "SheetRule": stack.resources["SheetRule"].physical.attributes["Arn"],
        "SuccessTopic": stack.resources["SuccessTopic"].physical.ref,
        "ErrorTopic": stack.resources["ErrorTopic"].physical.ref,
        "ScenesBucket": stack.resources["ScenesBucket"].physical.attributes["Arn"],
    }
    sources: dict[str, dict[str, str]] = {name: {"aws:SourceArn": arn} for name, arn in own.items()}
    sources |= {
        f"{name} of another account": {"aws:SourceArn": arn.replace("123456789012", "999999999999")}
        for name, arn in own.items()
    }
    sources |= {"another rule": {"aws:SourceArn": own["SceneRule"] + "2"}, "nothing": {}}
    del sources["ScenesBucket of another account"]  # a bucket's ARN has no account
    grants = sent(stack)
    admitted = {
        (service, source, queue.logical_id)
        for service, (source, context), queue in itertools.product(
            SERVICES, sources.items(), stack.of_type("AWS::SQS::Queue")
        )
        if allowing(
            grants,
            action="sqs:SendMessage",
            resource=queue.physical.attributes["Arn"],
            context=context,
            principal=service,
        )
    }
    assert admitted == {
        ("events.amazonaws.com", "SceneRule", "SceneQueue"),
        ("events.amazonaws.com", "SceneRule", "SceneDlq"),
        ("events.amazonaws.com", "IndexRule", "IndexQueue"),
        ("events.amazonaws.com", "IndexRule", "IndexDlq"),
        ("events.amazonaws.com", "WatchRule", "WatchQueue"),
        ("events.amazonaws.com", "WatchRule", "WatchDlq"),
        ("events.amazonaws.com", "SheetRule", "SheetQueue"),
        ("events.amazonaws.com", "SheetRule", "SheetDlq"),
        *(
            ("sns.amazonaws.com", topic, queue)
            for topic in ("SuccessTopic", "ErrorTopic")
            for queue in ("ResultQueue", "ResultDlq")
        ),
    }


def test_they_send_and_do_nothing_else(stack: Stack) -> None:
    assert {grant.action for grant in sent(stack) if grant.effect == "Allow"} == {"sqs:SendMessage"}


def assert_may_call(stack: Stack, schedule: Resource) -> None:
    """The functions that a schedule calls allow this schedule, and nothing else, to call them."""
    [target] = schedule.properties["Targets"]
    admitted = [
        permission.properties
        for permission in stack.of_type("AWS::Lambda::Permission")
        if permission.properties["SourceArn"] == schedule.physical.attributes["Arn"]
    ]
    assert [(each["Action"], each["Principal"]) for each in admitted] == [
        ("lambda:InvokeFunction", "events.amazonaws.com")
    ]
    called = next(name for name, spec in stack.functions().items() if spec.arn == target["Arn"])
    assert admitted[0]["FunctionName"] == stack.resources[called].physical.ref
    assert len(stack.of_type("AWS::Lambda::Permission")) == 2


def test_who_delivers_is_admitted(stack: Stack) -> None:
    """What the stack wires is what the policies admit.

    Each rule's target, each subscription's queue, with its dead-letter queue.
    """
    wired: list[tuple[str, str, str]] = []
    for rule in stack.of_type("AWS::Events::Rule"):
        if "ScheduleExpression" in rule.properties:
            assert_may_call(stack, rule)
            continue
        for target in rule.properties["Targets"]:
            wired += [
                ("events.amazonaws.com", rule.physical.attributes["Arn"], arn)
                for arn in (target["Arn"], target["DeadLetterConfig"]["Arn"])
            ]
    for subscription in stack.of_type("AWS::SNS::Subscription"):
        content = subscription.properties
        for arn in (content["Endpoint"], content["RedrivePolicy"]["deadLetterTargetArn"]):
            wired.append(("sns.amazonaws.com", content["TopicArn"], arn))
    grants = sent(stack)
    used: set[Grant] = set()
    for service, source, queue in wired:
        by = allowing(
            grants, action="sqs:SendMessage", resource=queue, context={"aws:SourceArn": source}, principal=service
        )
        assert by, (service, source, queue)
        used |= by
    assert used == {grant for grant in grants if grant.effect == "Allow"}


def test_only_sagemaker_publishes_by_its_role(stack: Stack) -> None:
    """A topic whose policy allows nobody is open to its own account's roles alone, each by its own grant."""
    assert {grant.effect for grant in said(stack, "AWS::SNS::TopicPolicy")} == {"Deny"}
    publishers = {
        (role.logical_id, grant.resource)
        for role in stack.of_type("AWS::IAM::Role")
        for grant in grants_of(role)
        if grant.action == "sns:Publish"
    }
    assert publishers == {
        ("EndpointRole", stack.resources[topic].physical.ref) for topic in ("SuccessTopic", "ErrorTopic")
    }


def test_each_publisher_puts_its_own_events_alone(stack: Stack) -> None:
    """Watch cannot announce a scene, nor a scene's functions a match, and nobody anything of another source or type."""
    kinds = ("SceneEmbedded", "ScenePartial", "SceneFailed", "WatchMatched", "ObjectCreated", None)
    bus = f"arn:aws:events:eu-central-1:123456789012:event-bus/{LOCAL_PARAMETERS.get('EventBus', 'default')}"
    said = {
        (source, kind): {
            name: value
            for name, value in (("events:source", source), ("events:detail-type", kind))
            if value is not None
        }
        for source, kind in itertools.product(("clayline", "aws.s3", "another", None), kinds)
    }
    admitted = {
        function: {
            each
            for each, context in said.items()
            if allowing(grants_of(role_of(stack, function)), action="events:PutEvents", resource=bus, context=context)
        }
        for function in stack.functions()
    }
    scene = {("clayline", kind) for kind in kinds[:3]}
    assert {function: events for function, events in admitted.items() if events} == {
        "PlanFunction": scene,
        "CollectFunction": scene,
        "WatchFunction": {("clayline", "WatchMatched")},
    }


def test_there_are_no_further_policies(stack: Stack) -> None:
    """One that is not evaluated here could widen or narrow everything."""
    kinds = {
        resource.type
        for resource in stack.resources.values()
        if any(word in resource.type for word in ("Policy", "Permission", "IAM", "KMS"))
    }
    assert kinds == {
        "AWS::IAM::Role",
        "AWS::Lambda::Permission",
        "AWS::S3::BucketPolicy",
        "AWS::SQS::QueuePolicy",
        "AWS::SNS::TopicPolicy",
        "AWS::ApplicationAutoScaling::ScalingPolicy",
    }


@pytest.mark.parametrize(
    ("kind", "policy", "action"),
    [
        ("AWS::S3::Bucket", "AWS::S3::BucketPolicy", "s3:GetObject"),
        ("AWS::S3::Bucket", "AWS::S3::BucketPolicy", "s3:ListBucket"),
        ("AWS::SQS::Queue", "AWS::SQS::QueuePolicy", "sqs:ReceiveMessage"),
        ("AWS::SQS::Queue", "AWS::SQS::QueuePolicy", "sqs:SendMessage"),
        ("AWS::SNS::Topic", "AWS::SNS::TopicPolicy", "sns:Publish"),
    ],
)
@pytest.mark.parametrize("principal", [None, "events.amazonaws.com", "sns.amazonaws.com"])
def test_nothing_is_asked_for_without_tls(
    stack: Stack, kind: str, policy: str, action: str, principal: str | None
) -> None:
    grants = said(stack, policy)
    found = stack.of_type(kind)
    assert len(found) > 1
    for resource in found:
        arn = resource.physical.attributes["TopicArn" if kind == "AWS::SNS::Topic" else "Arn"]
        asked = f"{arn}/key" if action == "s3:GetObject" else arn
        denied = {
            secure: any(
                grant.covers(action, asked, {"aws:SecureTransport": secure}, principal)
                for grant in grants
                if grant.effect == "Deny"
            )
            for secure in ("true", "false")
        }
        assert denied == {"true": False, "false": True}, resource.logical_id


def test_a_bucket_says_nothing_but_that(stack: Stack) -> None:
    assert {(grant.effect, grant.sid) for grant in said(stack, "AWS::S3::BucketPolicy")} == {("Deny", "TlsOnly")}


def test_a_role_is_taken_by_its_service_alone(stack: Stack) -> None:
    takers: dict[str, Any] = {}
    for role in stack.of_type("AWS::IAM::Role"):
        (statement,) = role.properties["AssumeRolePolicyDocument"]["Statement"]
        assert (statement["Effect"], statement["Action"], set(statement) - {"Effect", "Action"}) == (
            "Allow",
            "sts:AssumeRole",
            {"Principal"},
        )
        takers[role.logical_id] = statement["Principal"]
    functions = {role_of(stack, function).logical_id: {"Service": "lambda.amazonaws.com"} for function in FUNCTIONS}
    others = {
        role_of(stack, ENDPOINT).logical_id: {"Service": "sagemaker.amazonaws.com"},
        "BackfillRole": {"Service": "states.amazonaws.com"},
    }
    assert takers == {**functions, **others}


def test_sagemakers_metrics_stay_in_its_namespace(stack: Stack) -> None:
    grants = grants_of(role_of(stack, ENDPOINT))
    for namespace, permitted in (("/aws/sagemaker/Endpoints", True), ("AWS/Lambda", False)):
        context = {"cloudwatch:namespace": namespace}
        assert bool(allowing(grants, action="cloudwatch:PutMetricData", resource="*", context=context)) is permitted
    assert judge(grants, [Need(action="cloudwatch:PutMetricData", resource="*")]).refused


def test_a_policy_with_what_is_not_understood_is_no_proof(stack: Stack) -> None:
    role = role_of(stack, "PlanFunction")
    wider = type(role)(
        logical_id=role.logical_id,
        type=role.type,
        properties={**role.properties, "ManagedPolicyArns": ["arn:aws:iam::aws:policy/AdministratorAccess"]},
        physical=role.physical,
    )
    with pytest.raises(PolicyError, match="ManagedPolicyArns"):
        grants_of(wider)
