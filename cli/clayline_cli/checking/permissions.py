"""Whether the caller may do what the deployment does, by IAM's own simulation of its policies."""

from collections.abc import Iterable
from typing import Any, Final

from botocore.exceptions import ClientError

from clayline_cli.checking.account import Account, asked, code_of
from clayline_cli.checking.check import Check
from clayline_cli.checking.deployment import Deployment
from clayline_cli.checking.needed import Needed, needed, unlisted

NAME: Final = "permissions"
SIMULATION: Final = "iam:SimulatePrincipalPolicy"
_SHOWN: Final = 8


def permissions(account: Account, deployment: Deployment) -> Check:
    """Simulate every action that is needed. What cannot be simulated is unknown, never ok."""
    return asked(NAME, SIMULATION, lambda: _simulated(account, deployment))


def _simulated(account: Account, deployment: Deployment) -> Check:
    iam = account.client("iam")
    source = _principal(iam, account)
    if source is None:
        return Check.unknown(
            NAME, f"IAM simulates users and roles, and this is {account.arn}", "Deploy as a user or a role."
        )
    types = [resource.type for resource in deployment.stack.resources.values()]
    names = {
        "partition": account.partition,
        "region": account.region,
        "account": account.number,
        "stack": deployment.name,
        "repository": deployment.parameter("ImageRepository"),
    }
    wanted = list(needed(types, publishes=deployment.makes_endpoint))
    denied, open_ = _judged(iam, source, wanted, names)
    if denied:
        return Check.failed(NAME, f"{source} may not {_some(denied)}", "Allow it these actions, or deploy as another.")
    if open_:
        return Check.unknown(
            NAME,
            f"it depends on conditions whether {source} may {_some(open_)}",
            "Try, or allow it without conditions.",
        )
    if left := unlisted(types):
        return Check.unknown(NAME, f"what {_some(left)} takes is not listed here; all else is allowed", "Try.")
    count = sum(len(each.actions) for each in wanted)
    return Check.ok(NAME, f"{source} may do all {count} actions by its own policies and the organization's")


def _principal(iam: Any, account: Account) -> str | None:  # noqa: ANN401 - boto3's clients are generated
    """Give the ARN that IAM knows the caller by; a role's session has another, without the role's path."""
    kind, _, name = account.arn.split(":", 5)[5].partition("/")
    if kind == "user":
        return account.arn
    if kind != "assumed-role":
        return None
    role = name.partition("/")[0]
    try:
        return str(iam.get_role(RoleName=role)["Role"]["Arn"])
    except ClientError as error:
        if code_of(error) not in {"AccessDenied", "NoSuchEntity"}:
            raise
        return f"arn:{account.partition}:iam::{account.number}:role/{role}"  # as it is unless the role has a path


def _judged(
    iam: Any,  # noqa: ANN401 - boto3's clients are generated
    source: str,
    wanted: Iterable[Needed],
    names: dict[str, str],
) -> tuple[list[str], list[str]]:
    """Give the actions that are denied, and those on which the simulation lacks a condition's value."""
    denied: list[str] = []
    open_: list[str] = []
    pages = iam.get_paginator("simulate_principal_policy")
    for each in wanted:
        resource = each.resource.format(**names)
        for page in pages.paginate(PolicySourceArn=source, ActionNames=list(each.actions), ResourceArns=[resource]):
            for found in page["EvaluationResults"]:
                if found["EvalDecision"] == "allowed":
                    continue
                lacking = found["EvalDecision"] == "implicitDeny" and found.get("MissingContextValues")
                (open_ if lacking else denied).append(found["EvalActionName"])
    return denied, open_


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
