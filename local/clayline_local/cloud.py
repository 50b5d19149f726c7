"""An expanded stack made real in moto: buckets, queues, topics, subscriptions, rules, table, as template.yaml says."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import boto3

from clayline_local.clients import local_session
from clayline_local.errors import LocalCloudError
from clayline_local.invocation import AsyncEndpointConfig
from clayline_local.template import Resource, Stack

# What the stack holds and the local machine does not create, each with its reason. Every other type must have a maker
# below.
NOT_CREATED: Final[Mapping[str, str]] = {
    "AWS::ApplicationAutoScaling::ScalableTarget": "the emulator is one process that is always there",
    "AWS::ApplicationAutoScaling::ScalingPolicy": "the emulator is one process that is always there",
    "AWS::Budgets::Budget": "nothing is paid for here",
    "AWS::CloudWatch::Alarm": "wakes the endpoint, which never sleeps here, or tells of what moto does not measure",
    "AWS::IAM::Role": "moto does not enforce policies; tests evaluate them",
    "AWS::Lambda::EventInvokeConfig": "a worker makes no call by the clock twice",
    "AWS::Lambda::EventSourceMapping": "a worker process polls the queue (worker.py reads the mapping)",
    "AWS::Lambda::Function": "a worker process runs the handler (worker.py)",
    "AWS::Lambda::Permission": "lets EventBridge call a function by the clock, which its worker does (worker.py)",
    "AWS::Lambda::LayerVersion": "a layer's folder is on the worker's path",
    "AWS::Logs::LogGroup": "workers write to their own standard error",
    "AWS::S3::BucketPolicy": "moto does not enforce policies; tests evaluate them",
    "AWS::SNS::TopicPolicy": "moto does not enforce policies; tests evaluate them",
    "AWS::SQS::QueuePolicy": "moto does not enforce policies; tests evaluate them",
    "AWS::SageMaker::Endpoint": "the emulator of the asynchronous contract stands for it (async_endpoint.py)",
    "AWS::SageMaker::EndpointConfig": "endpoint_config() hands it to the emulator",
    "AWS::StepFunctions::StateMachine": "made by the first backfill, which takes moto seconds (state_machine.py)",
    "AWS::SageMaker::Model": "the container's program runs on a folder of this machine",
}


@dataclass(frozen=True, slots=True)
class Clients:
    """One session's clients against one moto."""

    session: boto3.Session
    endpoint_url: str

    def client(self, service: str) -> Any:  # noqa: ANN401 -- boto3's clients are generated from names
        """Give a client."""
        return self.session.client(service, endpoint_url=self.endpoint_url)  # type: ignore[call-overload]


def create(stack: Stack, *, endpoint_url: str) -> None:
    """Create everything of ``stack`` in the moto that answers at ``endpoint_url``.

    ARNs, URLs and names are those that the stack holds already (``expand`` with this URL as ``sqs_endpoint``); that
    they are what moto made is checked. Raises LocalCloudError for a type that is neither made here nor named in
    NOT_CREATED, before anything is created.
    """
    if unknown := sorted({resource.type for resource in stack.resources.values()} - set(_MAKERS) - set(NOT_CREATED)):
        raise LocalCloudError(
            f"the local cloud knows nothing of {', '.join(unknown)}: add a maker, or a reason, to cloud.py"
        )
    clients = Clients(local_session(stack.place.region), endpoint_url)
    for kind, make in _MAKERS.items():
        for resource in _in_order(stack.of_type(kind)):
            made = make(resource, clients)
            if made != resource.physical.ref:
                raise LocalCloudError(
                    f"{resource.logical_id} became {made} in moto, and the stack takes it for {resource.physical.ref}"
                )


def endpoint_config(stack: Stack) -> AsyncEndpointConfig:
    """Give the asynchronous endpoint's configuration, for the emulator.

    Raises LocalCloudError if the stack creates none.
    """
    endpoints, configs = stack.of_type("AWS::SageMaker::Endpoint"), stack.of_type("AWS::SageMaker::EndpointConfig")
    if len(endpoints) != 1 or len(configs) != 1:
        raise LocalCloudError(
            "the stack creates no endpoint; expand the template with LOCAL_PARAMETERS (EndpointMode create)"
        )
    settings = configs[0].properties["AsyncInferenceConfig"]
    output = settings["OutputConfig"]
    return AsyncEndpointConfig(
        endpoint_name=endpoints[0].physical.attributes["EndpointName"],
        output_path=output["S3OutputPath"],
        failure_path=output["S3FailurePath"],
        success_topic=output["NotificationConfig"]["SuccessTopic"],
        error_topic=output["NotificationConfig"]["ErrorTopic"],
        max_concurrent=int(settings["ClientConfig"]["MaxConcurrentInvocationsPerInstance"]),
    )


def startup_seconds(stack: Stack) -> float:
    """Give how long the endpoint's container may take until it answers /ping, as its configuration says."""
    (config,) = stack.of_type("AWS::SageMaker::EndpointConfig")
    (variant,) = config.properties["ProductionVariants"]
    return float(variant["ContainerStartupHealthCheckTimeoutInSeconds"])


def dead_letters(stack: Stack, sqs: Any) -> dict[str, int]:  # noqa: ANN401 - boto3's clients are generated
    """Count the messages in each dead-letter queue that has any, by its logical id."""
    found = {}
    for queue in stack.of_type("AWS::SQS::Queue"):
        if "RedrivePolicy" not in queue.properties:
            answer = sqs.get_queue_attributes(
                QueueUrl=queue.physical.ref, AttributeNames=["ApproximateNumberOfMessages"]
            )
            if count := int(answer["Attributes"]["ApproximateNumberOfMessages"]):
                found[queue.logical_id] = count
    return found


def _in_order(resources: Sequence[Resource]) -> list[Resource]:
    """Queues without a dead-letter queue first.

    They are the dead-letter queues, which must exist before they are named.
    """
    return sorted(
        resources, key=lambda resource: resource.type == "AWS::SQS::Queue" and "RedrivePolicy" in resource.properties
    )


def _only(resource: Resource, *understood: str) -> Mapping[str, Any]:
    """Give the properties, all of which must be understood: a new one in the template is never silently dropped."""
    if unknown := sorted(set(resource.properties) - set(understood)):
        raise LocalCloudError(
            f"{resource.logical_id}: the local cloud does not understand {', '.join(unknown)} of {resource.type}"
        )
    return resource.properties


def _bucket(resource: Resource, clients: Clients) -> str:
    # Access, ownership, encryption and lifecycle change nothing that one machine could see within one run.
    content = _only(
        resource,
        "NotificationConfiguration",
        "PublicAccessBlockConfiguration",
        "OwnershipControls",
        "BucketEncryption",
        "LifecycleConfiguration",
        "VersioningConfiguration",
    )
    s3, name = clients.client("s3"), resource.physical.ref
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": clients.session.region_name})
    if versioning := content.get("VersioningConfiguration"):
        s3.put_bucket_versioning(Bucket=name, VersioningConfiguration=versioning)
    notification = content.get("NotificationConfiguration", {})
    if other := sorted(set(notification) - {"EventBridgeConfiguration"}):
        raise LocalCloudError(
            f"{resource.logical_id}: notifications of the kind {', '.join(other)} are not understood by the local cloud"
        )
    if notification.get("EventBridgeConfiguration", {}).get("EventBridgeEnabled"):
        s3.put_bucket_notification_configuration(
            Bucket=name, NotificationConfiguration={"EventBridgeConfiguration": {}}
        )
    return name


def _queue(resource: Resource, clients: Clients) -> str:
    content = _only(resource, "SqsManagedSseEnabled", "MessageRetentionPeriod", "VisibilityTimeout", "RedrivePolicy")
    attributes = {
        name: str(content[name]) for name in ("MessageRetentionPeriod", "VisibilityTimeout") if name in content
    }
    if redrive := content.get("RedrivePolicy"):
        attributes["RedrivePolicy"] = json.dumps({**redrive, "maxReceiveCount": int(redrive["maxReceiveCount"])})
    name = resource.physical.attributes["QueueName"]
    return str(clients.client("sqs").create_queue(QueueName=name, Attributes=attributes)["QueueUrl"])


def _topic(resource: Resource, clients: Clients) -> str:
    _only(resource)
    return str(clients.client("sns").create_topic(Name=resource.physical.attributes["TopicName"])["TopicArn"])


def _subscription(resource: Resource, clients: Clients) -> str:
    content = _only(
        resource,
        "TopicArn",
        "Protocol",
        "Endpoint",
        "RawMessageDelivery",
        "RedrivePolicy",
        "Region",
        "FilterPolicy",
        "FilterPolicyScope",
    )
    if "Region" in content:  # an archive's topic, which is not here: send its messages to the queue
        return resource.physical.ref
    clients.client("sns").subscribe(
        TopicArn=content["TopicArn"],
        Protocol=content["Protocol"],
        Endpoint=content["Endpoint"],
        Attributes={"RawMessageDelivery": str(content.get("RawMessageDelivery", False)).lower()},
    )
    return resource.physical.ref  # a subscription's ARN is random, and nothing refers to it


def _rule(resource: Resource, clients: Clients) -> str:
    content = _only(resource, "Description", "EventBusName", "EventPattern", "Targets", "ScheduleExpression", "State")
    if "ScheduleExpression" in content:  # the function's worker calls it by the clock
        return resource.physical.ref
    events, name = clients.client("events"), resource.physical.ref
    bus = content.get("EventBusName", "default")
    events.put_rule(Name=name, EventBusName=bus, EventPattern=json.dumps(content["EventPattern"]))
    for target in content["Targets"]:
        if other := sorted(set(target) - {"Id", "Arn", "DeadLetterConfig"}):
            raise LocalCloudError(
                f"{resource.logical_id}: {', '.join(other)} of a target is not understood by the local cloud"
            )
    answer = events.put_targets(Rule=name, EventBusName=bus, Targets=content["Targets"])
    if answer["FailedEntryCount"]:
        raise LocalCloudError(f"{resource.logical_id}: moto refused targets: {answer['FailedEntries']}")
    return name


def _table(resource: Resource, clients: Clients) -> str:
    # Recovery, encryption and the end of old items are AWS's matter.
    content = _only(
        resource,
        "BillingMode",
        "AttributeDefinitions",
        "KeySchema",
        "GlobalSecondaryIndexes",
        "PointInTimeRecoverySpecification",
        "SSESpecification",
        "TimeToLiveSpecification",
    )
    answer = clients.client("dynamodb").create_table(
        TableName=resource.physical.ref,
        **{
            name: content[name]
            for name in ("BillingMode", "AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes")
        },
    )
    return str(answer["TableDescription"]["TableName"])


# In the order of creation: what is referred to comes before what refers to it.
_MAKERS: Final[Mapping[str, Callable[[Resource, Clients], str]]] = {
    "AWS::S3::Bucket": _bucket,
    "AWS::SQS::Queue": _queue,
    "AWS::SNS::Topic": _topic,
    "AWS::SNS::Subscription": _subscription,
    "AWS::DynamoDB::Table": _table,
    "AWS::Events::Rule": _rule,
}
