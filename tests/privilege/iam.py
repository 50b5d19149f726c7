"""IAM's evaluation, for the policies that template.yaml writes.

Small, and an error wherever a policy says what is not understood here.

A statement is taken apart into grants, one for each of its actions on each of its resources, so that each can be asked
for its use. Sources: IAM User Guide, "Policy evaluation logic", "IAM JSON policy elements: Action, Resource, Condition,
Principal". One deviation, to the strict side: wildcards in the ARN's service, region and account are refused, and one
in the partition stays in it.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

_ELEMENTS: Final = {"Sid", "Effect", "Action", "Resource"}
_OPTIONAL: Final = {"Condition"}
_ARN_PARTS: Final = 6
_VARIABLE: Final = "${"
_EVERYBODY: Final = "*"
_NULL: Final = "Null"
_OF_ALL: Final = "ForAllValues:"
"""Before an operator: each of the request's values has to match. Requests here have one of a key, or none."""


class PolicyError(ValueError):
    """A policy holds something that this evaluation does not understand, so nothing may be concluded from it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Condition:
    """One key of a Condition element."""

    operator: str
    key: str
    """In lower case: keys are compared without case."""
    values: tuple[str, ...]
    """Any of which will do."""

    def holds(self, context: Mapping[str, str]) -> bool:
        """Compare with the request's context; a key that the request does not have is no match, but where all values
        have to match: of none, all do.
        """
        given = {name.lower(): value for name, value in context.items()}.get(self.key)
        if self.operator == _NULL:
            return any(_bool(value, str(given is None)) for value in self.values)
        if given is None:
            return self.operator.startswith(_OF_ALL)
        return any(_OPERATORS[self.operator.removeprefix(_OF_ALL)](value, given) for value in self.values)


@dataclass(frozen=True, kw_only=True, slots=True)
class Grant:
    """One action of one statement on one of its resources."""

    sid: str
    effect: str
    action: str
    resource: str
    principal: str | None = None
    """A service, or ``*`` for everybody, in a resource's policy; None in a role's, where the role is meant."""
    conditions: tuple[Condition, ...] = field(default=())

    def covers(self, action: str, resource: str, context: Mapping[str, str], principal: str | None) -> bool:
        """Say whether this statement is about the request."""
        return (
            self.principal in {principal, _EVERYBODY}
            and _like(self.action.lower(), action.lower())
            and _arn_like(self.resource, resource)
            and all(condition.holds(context) for condition in self.conditions)
        )


def read_policy(document: Mapping[str, Any], *, of_resource: bool = False) -> tuple[Grant, ...]:
    """Take a policy document apart. Raises PolicyError for any element, operator or wildcard that is not understood."""
    if set(document) != {"Version", "Statement"} or document["Version"] != "2012-10-17":
        raise PolicyError(
            f"a policy of Version 2012-10-17 with its statements, not {sorted(document)} of {document.get('Version')}"
        )
    return tuple(grant for statement in document["Statement"] for grant in _grants(statement, of_resource=of_resource))


def allowing(
    grants: Iterable[Grant],
    *,
    action: str,
    resource: str,
    context: Mapping[str, str] | None = None,
    principal: str | None = None,
) -> frozenset[Grant]:
    """Give the grants by which a request is allowed; none if there is no such grant, or a Deny covers it."""
    covering = [grant for grant in grants if grant.covers(action, resource, context or {}, principal)]
    if any(grant.effect == "Deny" for grant in covering):
        return frozenset()
    return frozenset(covering)


def _grants(statement: Mapping[str, Any], *, of_resource: bool) -> list[Grant]:
    wanted = _ELEMENTS | ({"Principal"} if of_resource else set())
    if not wanted <= set(statement) <= wanted | _OPTIONAL:
        raise PolicyError(f"a statement with {sorted(wanted)} and at most {sorted(_OPTIONAL)}, not {sorted(statement)}")
    if statement["Effect"] not in {"Allow", "Deny"}:
        raise PolicyError(f"{statement['Sid']}: Effect {statement['Effect']}")
    conditions = tuple(_conditions(statement.get("Condition", {})))
    return [
        Grant(
            sid=statement["Sid"],
            effect=statement["Effect"],
            action=_checked_action(action),
            resource=_checked_resource(resource),
            principal=principal,
            conditions=conditions,
        )
        for principal in (_principals(statement) if of_resource else (None,))
        for action in _listed(statement["Action"])
        for resource in _listed(statement["Resource"])
    ]


def _principals(statement: Mapping[str, Any]) -> list[str]:
    principal = statement["Principal"]
    if principal == _EVERYBODY and statement["Effect"] == "Deny":
        return [_EVERYBODY]
    if not isinstance(principal, Mapping) or set(principal) != {"Service"}:
        raise PolicyError(f"Principal {principal}: only services are understood, and everybody where that is denied")
    return _listed(principal["Service"])


def _conditions(condition: Mapping[str, Mapping[str, Any]]) -> list[Condition]:
    found = []
    for operator, keys in condition.items():
        if operator.removeprefix(_OF_ALL) not in _OPERATORS and operator != _NULL:
            raise PolicyError(f"condition operator {operator}; understood are {', '.join(sorted(_OPERATORS))}")
        for key, values in keys.items():
            found.append(Condition(operator=operator, key=key.lower(), values=tuple(map(_plain, _listed(values)))))
    return found


def _listed(value: object) -> list[str]:
    values: list[object] = value if isinstance(value, list) else [value]
    texts = [each for each in values if isinstance(each, str) and each]
    if not texts or len(texts) != len(values):
        raise PolicyError(f"{value!r} is neither a text nor a list of texts")
    return texts


def _plain(text: str) -> str:
    if _VARIABLE in text:
        raise PolicyError(f"{text}: policy variables are not understood")
    return text


def _checked_action(action: str) -> str:
    if not re.fullmatch(r"[a-z0-9-]+:[A-Za-z*?]+", action):
        raise PolicyError(f"action {action!r}")
    return action


def _checked_resource(resource: str) -> str:
    parts = _plain(resource).split(":", _ARN_PARTS - 1)
    if resource != "*" and (len(parts) != _ARN_PARTS or parts[0] != "arn" or re.search(r"[*?]", "".join(parts[2:5]))):
        raise PolicyError(f"resource {resource!r}")
    return resource


def _like(pattern: str, text: str) -> bool:
    """Compare with ``*`` for any characters and ``?`` for one; nothing else is special."""
    expression = "".join({"*": ".*", "?": "."}.get(character, re.escape(character)) for character in pattern)
    return re.fullmatch(expression, text, re.DOTALL) is not None


def _arn_like(pattern: str, arn: str) -> bool:
    """Compare part by part; only the last, the resource itself, may hold colons."""
    if pattern == "*":
        return True
    pairs = zip(pattern.split(":", _ARN_PARTS - 1), arn.split(":", _ARN_PARTS - 1), strict=False)
    return pattern.count(":") >= _ARN_PARTS - 1 <= arn.count(":") and all(_like(*pair) for pair in pairs)


def _bool(expected: str, given: str) -> bool:
    return expected.lower() == given.lower()


# Both ARN operators take wildcards and are one (User Guide, "ARN condition operators").
_OPERATORS: Final = {
    "StringEquals": str.__eq__,
    "StringLike": _like,
    "ArnEquals": _arn_like,
    "ArnLike": _arn_like,
    "Bool": _bool,
}
