"""What the command needs to know of a deployed stack: its buckets, its endpoint, the image it was given."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from botocore.exceptions import ClientError

from publish.errors import PublishError

if TYPE_CHECKING:
    from boto3.session import Session

NO_ENDPOINT = "none"
_SUFFIXES = {"aws": "amazonaws.com", "aws-cn": "amazonaws.com.cn", "aws-us-gov": "amazonaws.com"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Stack:
    """Outputs and parameters of template.yaml, as deployed."""

    name: str
    model_bucket: str
    work_bucket: str
    endpoint: str | None
    """None while EndpointMode is none."""
    model_folder: str
    """The folder that plan uses, deployed or not."""
    image: str | None
    """URI by digest; None if the stack was given no image."""

    @classmethod
    def read(cls, session: "Session", name: str) -> Self:
        """Ask CloudFormation. Raises PublishError if there is no such stack, or it is none of ours."""
        client: Any = session.client("cloudformation")
        try:
            [found] = client.describe_stacks(StackName=name)["Stacks"]
        except ClientError as error:
            msg = (
                f"there is no stack {name} to ask in {session.region_name} ({error}): check STACK and"
                " AWS_DEFAULT_REGION, or give BUCKET"
            )
            raise PublishError(msg) from error
        outputs = {output["OutputKey"]: output["OutputValue"] for output in found.get("Outputs", [])}
        parameters = {
            parameter["ParameterKey"]: parameter.get("ParameterValue", "") for parameter in found.get("Parameters", [])
        }
        try:
            repository, digest = parameters["ImageRepository"], parameters["ImageDigest"]
            _, partition, _, region, account, _ = found["StackId"].split(":", 5)
            return cls(
                name=name,
                model_bucket=outputs["ModelBucket"],
                work_bucket=outputs["WorkBucket"],
                endpoint=None if outputs["EndpointName"] == NO_ENDPOINT else outputs["EndpointName"],
                model_folder=parameters["ModelFolder"],
                image=(
                    f"{account}.dkr.ecr.{region}.{_SUFFIXES.get(partition, 'amazonaws.com')}/{repository}@{digest}"
                    if digest
                    else None
                ),
            )
        except KeyError as error:
            msg = (
                f"stack {name} has no {error}: it is none of Clayline's template.yaml, or not deployed to the end; give"
                " BUCKET instead"
            )
            raise PublishError(msg) from error
