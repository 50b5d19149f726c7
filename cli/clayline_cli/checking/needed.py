"""What a deployment must be allowed to do, by what it makes.

After the handlers of each type's published CloudFormation schema and the Service Authorization Reference. IAM judges an
action on a resource, and what a stack makes is named after it: so each has an ARN as the stack would give it. Never
tried in an account.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, kw_only=True, slots=True)
class Needed:
    """Actions on a resource."""

    actions: tuple[str, ...]
    resource: str
    """An ARN in which {partition}, {region}, {account} and {stack} stand for the deployment's; or ``*``."""
    what: str
    """What they are for."""


def _at(service: str, rest: str) -> str:
    return f"arn:{{partition}}:{service}:{{region}}:{{account}}:{rest}"


SAM: Final = (
    Needed(
        what="sam deploy",
        resource=_at("cloudformation", "stack/{stack}/*"),
        actions=(
            "cloudformation:CreateChangeSet", "cloudformation:DescribeChangeSet", "cloudformation:ExecuteChangeSet",
            "cloudformation:DescribeStacks", "cloudformation:DescribeStackEvents", "cloudformation:GetTemplateSummary",
        ),
    ),
    Needed(
        what="sam's bucket of uploads",
        resource="arn:{partition}:s3:::aws-sam-cli-managed-default-samclisourcebucket/*",
        actions=("s3:GetObject", "s3:PutObject"),
    ),
)  # fmt: skip
"""Whatever the template holds."""
PUBLISHING: Final = (
    Needed(
        what="pushing the image",
        resource=_at("ecr", "repository/{repository}"),
        actions=(
            "ecr:BatchCheckLayerAvailability", "ecr:InitiateLayerUpload", "ecr:UploadLayerPart",
            "ecr:CompleteLayerUpload", "ecr:PutImage", "ecr:DescribeImages",
        ),
    ),
    Needed(what="signing in to the registry", resource="*", actions=("ecr:GetAuthorizationToken",)),
    Needed(
        what="publishing the model",
        resource="arn:{partition}:s3:::{stack}-modelbucket/*",
        actions=("s3:GetObject", "s3:PutObject"),
    ),
)  # fmt: skip
"""What an endpoint of the stack's own takes beside the stack."""
BY_TYPE: Final[Mapping[str, Needed]] = {
    "AWS::S3::Bucket": Needed(
        what="buckets",
        resource="arn:{partition}:s3:::{stack}-bucket",
        actions=(
            "s3:CreateBucket", "s3:PutBucketPublicAccessBlock", "s3:PutBucketOwnershipControls",
            "s3:PutEncryptionConfiguration", "s3:PutLifecycleConfiguration", "s3:PutBucketNotification",
            "s3:PutBucketVersioning",
        ),
    ),
    "AWS::S3::BucketPolicy": Needed(
        what="policies of buckets",
        resource="arn:{partition}:s3:::{stack}-bucket",
        actions=("s3:GetBucketPolicy", "s3:PutBucketPolicy", "s3:DeleteBucketPolicy"),
    ),
    "AWS::SQS::Queue": Needed(
        what="queues",
        resource=_at("sqs", "{stack}-queue"),
        actions=("sqs:CreateQueue", "sqs:GetQueueAttributes", "sqs:SetQueueAttributes", "sqs:DeleteQueue"),
    ),
    "AWS::SQS::QueuePolicy": Needed(
        what="policies of queues", resource=_at("sqs", "{stack}-queue"), actions=("sqs:SetQueueAttributes",)
    ),
    "AWS::SNS::Topic": Needed(
        what="topics",
        resource=_at("sns", "{stack}-topic"),
        actions=("sns:CreateTopic", "sns:GetTopicAttributes", "sns:SetTopicAttributes", "sns:DeleteTopic"),
    ),
    "AWS::SNS::TopicPolicy": Needed(
        what="policies of topics", resource=_at("sns", "{stack}-topic"), actions=("sns:SetTopicAttributes",)
    ),
    "AWS::SNS::Subscription": Needed(
        what="subscriptions", resource=_at("sns", "{stack}-topic"), actions=("sns:Subscribe", "sns:Unsubscribe")
    ),
    "AWS::Events::Rule": Needed(
        what="rules",
        resource=_at("events", "rule/{stack}-rule"),
        actions=(
            "events:PutRule", "events:DescribeRule", "events:PutTargets", "events:RemoveTargets", "events:DeleteRule",
        ),
    ),
    "AWS::DynamoDB::Table": Needed(
        what="the ledger",
        resource=_at("dynamodb", "table/{stack}-table"),
        actions=(
            "dynamodb:CreateTable", "dynamodb:DescribeTable", "dynamodb:UpdateTable",
            "dynamodb:UpdateContinuousBackups", "dynamodb:DescribeContinuousBackups",
        ),
    ),
    "AWS::Lambda::Function": Needed(
        what="functions",
        resource=_at("lambda", "function:{stack}-function"),
        actions=(
            "lambda:CreateFunction", "lambda:GetFunction", "lambda:UpdateFunctionCode",
            "lambda:UpdateFunctionConfiguration", "lambda:DeleteFunction", "lambda:TagResource",
            "lambda:PutFunctionConcurrency", "lambda:DeleteFunctionConcurrency",
        ),
    ),
    "AWS::Lambda::EventInvokeConfig": Needed(
        what="how often functions are called again",
        resource=_at("lambda", "function:{stack}-function"),
        actions=(
            "lambda:PutFunctionEventInvokeConfig", "lambda:GetFunctionEventInvokeConfig",
            "lambda:UpdateFunctionEventInvokeConfig", "lambda:DeleteFunctionEventInvokeConfig",
        ),
    ),
    "AWS::Lambda::LayerVersion": Needed(
        what="layers",
        resource=_at("lambda", "layer:{stack}-layer"),
        actions=("lambda:PublishLayerVersion",),
    ),
    "AWS::Lambda::EventSourceMapping": Needed(
        what="functions' queues",
        resource="*",
        actions=(
            "lambda:CreateEventSourceMapping", "lambda:GetEventSourceMapping", "lambda:UpdateEventSourceMapping",
            "lambda:DeleteEventSourceMapping",
        ),
    ),
    "AWS::Lambda::Permission": Needed(
        what="who may call functions",
        resource=_at("lambda", "function:{stack}-function"),
        actions=("lambda:AddPermission", "lambda:RemovePermission"),
    ),
    "AWS::Logs::LogGroup": Needed(
        what="logs",
        resource=_at("logs", "log-group:{stack}-logs"),
        actions=("logs:CreateLogGroup", "logs:PutRetentionPolicy", "logs:DeleteLogGroup"),
    ),
    "AWS::IAM::Role": Needed(
        what="roles",
        resource="arn:{partition}:iam::{account}:role/{stack}-role",
        actions=(
            "iam:CreateRole", "iam:GetRole", "iam:PutRolePolicy", "iam:GetRolePolicy", "iam:DeleteRolePolicy",
            "iam:DeleteRole", "iam:PassRole",
        ),
    ),
    "AWS::SageMaker::Model": Needed(
        what="the endpoint's model",
        resource=_at("sagemaker", "model/{stack}-model"),
        actions=("sagemaker:CreateModel", "sagemaker:DescribeModel", "sagemaker:DeleteModel"),
    ),
    "AWS::SageMaker::EndpointConfig": Needed(
        what="the endpoint's configuration",
        resource=_at("sagemaker", "endpoint-config/{stack}-config"),
        actions=(
            "sagemaker:CreateEndpointConfig", "sagemaker:DescribeEndpointConfig", "sagemaker:DeleteEndpointConfig",
        ),
    ),
    "AWS::SageMaker::Endpoint": Needed(
        what="the endpoint",
        resource=_at("sagemaker", "endpoint/{stack}-endpoint"),
        actions=(
            "sagemaker:CreateEndpoint", "sagemaker:DescribeEndpoint", "sagemaker:UpdateEndpoint",
            "sagemaker:DeleteEndpoint",
        ),
    ),
    "AWS::ApplicationAutoScaling::ScalableTarget": Needed(
        what="the endpoint's scaling",
        resource="*",
        actions=(
            "application-autoscaling:RegisterScalableTarget", "application-autoscaling:DescribeScalableTargets",
            "application-autoscaling:DeregisterScalableTarget",
        ),
    ),
    "AWS::ApplicationAutoScaling::ScalingPolicy": Needed(
        what="the endpoint's scaling policies",
        resource="*",
        actions=(
            "application-autoscaling:PutScalingPolicy", "application-autoscaling:DescribeScalingPolicies",
            "application-autoscaling:DeleteScalingPolicy",
        ),
    ),
    "AWS::Budgets::Budget": Needed(
        what="the budget",
        resource="arn:{partition}:budgets::{account}:budget/{stack}-budget",
        actions=("budgets:ViewBudget", "budgets:ModifyBudget"),
    ),
    "AWS::StepFunctions::StateMachine": Needed(
        what="the state machine of backfills",
        resource=_at("states", "stateMachine:clayline-backfill-1"),
        actions=(
            "states:CreateStateMachine", "states:DescribeStateMachine", "states:UpdateStateMachine",
            "states:DeleteStateMachine", "states:TagResource",
        ),
    ),
    "AWS::CloudWatch::Alarm": Needed(
        what="alarms",
        resource=_at("cloudwatch", "alarm:{stack}-alarm"),
        actions=("cloudwatch:PutMetricAlarm", "cloudwatch:DescribeAlarms", "cloudwatch:DeleteAlarms"),
    ),
}  # fmt: skip
"""By type of what the template makes."""


def needed(types: Iterable[str], *, publishes: bool) -> Iterator[Needed]:
    """Give what a stack of these types takes, and what an endpoint of its own does beside it (``publishes``)."""
    yield from SAM
    for kind in dict.fromkeys(types):
        if kind in BY_TYPE:
            yield BY_TYPE[kind]
    if publishes:
        yield from PUBLISHING


def unlisted(types: Iterable[str]) -> list[str]:
    """Give the types of which is not known here what they take."""
    return sorted(set(types) - BY_TYPE.keys())
