"""The stack that a backfill is for: what it calls its resources, and how its parameters are set."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from clayline_cli.errors import CommandError
from clayline_local.template import LOCAL_PARAMETERS, TEMPLATE, expand

_SIGN_IN: Final = "Give AWS credentials: `aws configure`, AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
_HERE: Final = "http://127.0.0.1:"


@dataclass(frozen=True, kw_only=True, slots=True)
class DeployedStack:
    """A stack, on AWS or the local cloud."""

    name: str
    outputs: Mapping[str, str]
    parameters: Mapping[str, str]
    session: boto3.Session

    @classmethod
    def on_aws(cls, name: str, *, region: str | None, profile: str | None) -> Self:
        """Ask CloudFormation. Raises CommandError."""
        try:
            session = boto3.Session(region_name=region, profile_name=profile)
            client: Any = session.client("cloudformation")
            [stack] = client.describe_stacks(StackName=name)["Stacks"]
        except ClientError as error:
            said = error.response.get("Error", {}).get("Message", error)
            raise CommandError(f"the stack {name} cannot be looked up: {said}. Check --stack and --region.") from error
        except BotoCoreError as error:
            raise CommandError(f"{str(error).rstrip('.')}. {_SIGN_IN}.") from error
        return cls(
            name=name,
            outputs={each["OutputKey"]: each["OutputValue"] for each in stack.get("Outputs", [])},
            parameters={each["ParameterKey"]: each.get("ParameterValue", "") for each in stack.get("Parameters", [])},
            session=session,
        )

    @classmethod
    def local(cls) -> Self:
        """Take the local cloud to which AWS_ENDPOINT_URL leads. Raises CommandError."""
        url = os.environ.get("AWS_ENDPOINT_URL", "")
        if not url.startswith(_HERE):
            raise CommandError(
                "AWS_ENDPOINT_URL does not lead to a local cloud. Start one with `make local-cloud`, and give this"
                " shell the exports that it prints."
            )
        stack = expand(TEMPLATE, LOCAL_PARAMETERS, sqs_endpoint=url)
        texts = {name: ",".join(each) if isinstance(each, tuple | list) else str(each)
                 for name, each in stack.parameters.items()}  # fmt: skip
        return cls(name=stack.place.stack, outputs=stack.outputs, parameters=texts,
                   session=boto3.Session(region_name=stack.place.region))  # fmt: skip

    def output(self, name: str) -> str:
        """Give an output. Raises CommandError for a stack that is older than it."""
        if name not in self.outputs:
            raise CommandError(
                f"the stack {self.name} has no output {name}: it is no stack of Clayline, or an older one. Deploy it"
                " again (docs/how-to/deploy.md)."
            )
        return self.outputs[name]

    def listed(self, name: str) -> tuple[str, ...]:
        """Give a parameter that is a list; empty where the stack does not say it."""
        return tuple(part.strip() for part in self.parameters.get(name, "").split(",") if part.strip())

    def client(self, service: str) -> Any:  # noqa: ANN401 - boto3's clients are generated from names
        """Give a client."""
        return self.session.client(service)  # type: ignore[call-overload]
