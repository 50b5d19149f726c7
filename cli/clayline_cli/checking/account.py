"""AWS by the user's credentials: who they are, and a sentence for what is not told."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,  # noqa: A004 - botocore's own
    HTTPClientError,
    NoRegionError,
    ProfileNotFound,
)
from botocore.parsers import ResponseParserError

from clayline_cli.checking.check import Check

NAME: Final = "credentials"
_SIGN_IN: Final = "Give credentials: aws configure, aws sso login, AWS_PROFILE, or AWS_ACCESS_KEY_ID and its secret."
_DENIED: Final = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "403", "Forbidden"})
_PATIENCE: Final = Config(connect_timeout=5, read_timeout=20, retries={"mode": "standard", "total_max_attempts": 3})


@dataclass(frozen=True, kw_only=True, slots=True)
class Account:
    """Where the deployment would go, and as whom."""

    session: boto3.Session
    region: str
    number: str
    arn: str
    """The caller's."""

    @property
    def partition(self) -> str:
        """``aws``, ``aws-cn`` or ``aws-us-gov``."""
        return self.arn.split(":")[1]

    def client(self, service: str) -> Any:  # noqa: ANN401 - boto3's clients are generated from names
        """Give a client that does not wait for long."""
        return self.session.client(service, config=_PATIENCE)  # type: ignore[call-overload]


def sign_in(*, profile: str | None, region: str | None) -> tuple[Check, Account | None]:
    """Ask AWS who the user is; without an answer there is no account to look at."""
    try:
        session = boto3.Session(profile_name=profile, region_name=region)
        answer = session.client("sts", config=_PATIENCE).get_caller_identity()
    except (BotoCoreError, ClientError, ResponseParserError) as error:
        return Check.failed(NAME, *_refused(error)), None
    if session.region_name is None:  # STS has an endpoint without one
        return Check.failed(NAME, *_refused(NoRegionError())), None
    account = Account(session=session, region=session.region_name, number=answer["Account"], arn=answer["Arn"])
    return Check.ok(NAME, f"{account.arn}, account {account.number}, region {account.region}"), account


def _refused(error: BotoCoreError | ClientError | ResponseParserError) -> tuple[str, str]:
    """Say why nobody is signed in, and what to do."""
    if isinstance(error, ClientError):
        return f"AWS refuses them: {told(error)}", _SIGN_IN
    said = str(error).rstrip(".")
    if isinstance(error, NoRegionError):
        return "no region is chosen", "Give --region, or set AWS_REGION."
    if isinstance(error, ProfileNotFound):
        return said, "Give --profile one of `aws configure list-profiles`."
    if isinstance(error, ConnectionError | HTTPClientError | ResponseParserError):
        return f"AWS cannot be reached: {said}", "Check the network, and the region's name."
    return said, _SIGN_IN


def asked(name: str, permission: str, look: Callable[[], Check]) -> Check:
    """Look, and say that it is unknown where AWS does not tell; ``permission`` is what looking takes."""
    try:
        return look()
    except ClientError as error:
        if code_of(error) in _DENIED:
            return Check.unknown(name, f"these credentials may not ask ({permission})", f"Allow them {permission}.")
        return Check.unknown(name, f"AWS does not tell: {told(error)}", "Try again, or look it up in the console.")
    except (BotoCoreError, ResponseParserError) as error:  # the latter where something else than AWS answers
        return Check.unknown(name, f"AWS cannot be asked: {str(error).rstrip('.')}", "Check the network and --region.")


def code_of(error: ClientError) -> str:
    """Give AWS's code of an error."""
    return str(error.response.get("Error", {}).get("Code", ""))


def told(error: ClientError) -> str:
    """Give AWS's code and its words."""
    words = str(error.response.get("Error", {}).get("Message", "")).rstrip(".")
    return f"{code_of(error)}, {words}" if words else code_of(error)
