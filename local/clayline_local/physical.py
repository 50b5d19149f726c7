"""What Ref and GetAtt give for each type of resource, known before anything is created.

Names follow from the stack's name alone.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from clayline_local.errors import LocalCloudError

# A resource with a name of its own could not be named here, nor be replaced on AWS.
_FIXED_NAMES: Final = {
    "AWS::S3::Bucket": "BucketName",
    "AWS::SQS::Queue": "QueueName",
    "AWS::SNS::Topic": "TopicName",
    "AWS::DynamoDB::Table": "TableName",
    "AWS::Events::Rule": "Name",
    "AWS::Lambda::Function": "FunctionName",
    "AWS::IAM::Role": "RoleName",
    "AWS::SageMaker::Model": "ModelName",
    "AWS::SageMaker::EndpointConfig": "EndpointConfigName",
    "AWS::CloudWatch::Alarm": "AlarmName",
}
# These may have one that is made of the stack's own: nothing but another name replaces them.
_CHOSEN_NAMES: Final = {
    "AWS::Logs::LogGroup": "LogGroupName",
    "AWS::SageMaker::Endpoint": "EndpointName",
    "AWS::StepFunctions::StateMachine": "StateMachineName",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where a stack lies."""

    stack: str
    """The stack's name; physical names begin with it."""
    account: str
    region: str
    sqs_endpoint: str
    """Queue URLs begin with it, without a trailing slash."""

    def arn(self, service: str, resource: str) -> str:
        """Give an ARN of this account and region."""
        return f"arn:aws:{service}:{self.region}:{self.account}:{resource}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Physical:
    """A resource's identity."""

    ref: str
    """What ``Ref`` gives."""
    attributes: Mapping[str, str]
    """What ``Fn::GetAtt`` gives, by attribute."""


def identify(
    kind: str, logical_id: str, properties: Mapping[str, Any], place: Place, resolve: Callable[[object], Any]
) -> Physical:
    """Name a resource; ``resolve`` gives the text of a name that is an intrinsic.

    Raises LocalCloudError if it has a fixed name, and what ``resolve`` raises.
    """
    fixed, chosen = _FIXED_NAMES.get(kind), properties.get(_CHOSEN_NAMES.get(kind, ""))
    if (fixed and fixed in properties) or isinstance(chosen, str):
        raise LocalCloudError(
            f"{logical_id} has a fixed {fixed or _CHOSEN_NAMES[kind]}; resources get their names from the stack"
        )
    name = f"{place.stack}-{logical_id}" if chosen is None else str(resolve(chosen))
    maker = _IDENTITIES.get(kind)
    return maker(name, place) if maker else Physical(ref=name, attributes={})


def _bucket(name: str, place: Place) -> Physical:
    name = name.lower()
    return Physical(
        ref=name, attributes={"Arn": f"arn:aws:s3:::{name}", "DomainName": f"{name}.s3.{place.region}.amazonaws.com"}
    )


def _queue(name: str, place: Place) -> Physical:
    url = f"{place.sqs_endpoint}/{place.account}/{name}"
    return Physical(ref=url, attributes={"Arn": place.arn("sqs", name), "QueueName": name, "QueueUrl": url})


def _topic(name: str, place: Place) -> Physical:
    arn = place.arn("sns", name)
    return Physical(ref=arn, attributes={"TopicArn": arn, "TopicName": name})


def _named(service: str, prefix: str) -> Callable[[str, Place], Physical]:
    """Ref is the name, Arn the ARN."""
    return lambda name, place: Physical(ref=name, attributes={"Arn": place.arn(service, f"{prefix}{name}")})


def _layer(name: str, place: Place) -> Physical:
    arn = place.arn("lambda", f"layer:{name}:1")
    return Physical(ref=arn, attributes={"LayerVersionArn": arn})


def _role(name: str, place: Place) -> Physical:
    return Physical(ref=name, attributes={"Arn": f"arn:aws:iam::{place.account}:role/{name}"})


def _state_machine(name: str, place: Place) -> Physical:
    arn = place.arn("states", f"stateMachine:{name}")
    return Physical(ref=arn, attributes={"Arn": arn, "Name": name})


def _log_group(name: str, place: Place) -> Physical:
    return Physical(ref=name, attributes={"Arn": place.arn("logs", f"log-group:{name}:*")})


def _sagemaker(resource: str, attribute: str) -> Callable[[str, Place], Physical]:
    """Ref is the ARN, with the name in lower case as SageMaker writes it."""
    return lambda name, place: Physical(
        ref=place.arn("sagemaker", f"{resource}/{name.lower()}"), attributes={attribute: name}
    )


_IDENTITIES: Final[Mapping[str, Callable[[str, Place], Physical]]] = {
    "AWS::S3::Bucket": _bucket,
    "AWS::SQS::Queue": _queue,
    "AWS::SNS::Topic": _topic,
    "AWS::DynamoDB::Table": _named("dynamodb", "table/"),
    "AWS::Events::Rule": _named("events", "rule/"),
    "AWS::Lambda::Function": _named("lambda", "function:"),
    "AWS::Lambda::LayerVersion": _layer,
    "AWS::IAM::Role": _role,
    "AWS::Logs::LogGroup": _log_group,
    "AWS::SageMaker::Model": _sagemaker("model", "ModelName"),
    "AWS::SageMaker::EndpointConfig": _sagemaker("endpoint-config", "EndpointConfigName"),
    "AWS::SageMaker::Endpoint": _sagemaker("endpoint", "EndpointName"),
    "AWS::CloudWatch::Alarm": _named("cloudwatch", "alarm:"),
    "AWS::StepFunctions::StateMachine": _state_machine,
}
