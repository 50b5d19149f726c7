"""The roles of an expanded template and what they grant."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tests.privilege.calls import Need
from tests.privilege.chain import ENDPOINT
from tests.privilege.iam import Grant, PolicyError, allowing, read_policy

from clayline_local.template import Resource, Stack

# All of an AWS::IAM::Role that is understood: managed policies or a boundary would change what it may do.
_UNDERSTOOD = {"AssumeRolePolicyDocument", "Policies"}


def role_of(stack: Stack, principal: str) -> Resource:
    """Give the role that a function, or the endpoint's model, is given.

    Raises PolicyError if it is none of the stack's.
    """
    name = "Model" if principal == ENDPOINT else principal
    arn = stack.resources[name].properties["ExecutionRoleArn" if principal == ENDPOINT else "Role"]
    for role in stack.of_type("AWS::IAM::Role"):
        if role.physical.attributes["Arn"] == arn:
            return role
    raise PolicyError(f"{principal} has the role {arn}, which is not the stack's")


def grants_of(role: Resource) -> tuple[Grant, ...]:
    """Give everything that a role may do. Raises PolicyError for what is not understood."""
    if set(role.properties) != _UNDERSTOOD:
        raise PolicyError(f"{role.logical_id}: {sorted(set(role.properties) - _UNDERSTOOD)}")
    return tuple(grant for policy in role.properties["Policies"] for grant in read_policy(policy["PolicyDocument"]))


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What needs say of grants."""

    refused: frozenset[Need]
    """Not allowed."""
    idle: frozenset[Grant]
    """Could be taken away, each by itself, and all that is allowed would still be."""


def judge(grants: Sequence[Grant], needed: Iterable[Need]) -> Verdict:
    """Hold needs against grants."""
    by = {
        need: allowing(grants, action=need.action, resource=need.resource, context=dict(need.context))
        for need in needed
    }
    only = {next(iter(allowed)) for allowed in by.values() if len(allowed) == 1}
    return Verdict(
        refused=frozenset(need for need, allowed in by.items() if not allowed), idle=frozenset(grants) - only
    )
