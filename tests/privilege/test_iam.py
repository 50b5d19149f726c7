"""The evaluation by itself, against what IAM's User Guide says of each element."""

from typing import Any

import pytest
from tests.privilege.iam import PolicyError, allowing, read_policy

OBJECTS = "arn:aws:s3:::bucket/*"


def document(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def statement(**changes: Any) -> dict[str, Any]:
    return {"Sid": "S", "Effect": "Allow", "Action": "s3:GetObject", "Resource": OBJECTS, **changes}


def is_allowed(
    *statements: dict[str, Any], action: str = "s3:GetObject", resource: str = "arn:aws:s3:::bucket/key", **context: str
) -> bool:
    named = {name.replace("__", ":"): value for name, value in context.items()}
    return bool(allowing(read_policy(document(*statements)), action=action, resource=resource, context=named))


def test_nothing_is_allowed_by_itself() -> None:
    assert not is_allowed()


@pytest.mark.parametrize(
    ("pattern", "action", "expected"),
    [
        ("s3:GetObject", "s3:GetObject", True),
        ("s3:getobject", "s3:GetObject", True),  # actions are compared without case
        ("s3:Get*", "s3:GetObject", True),
        ("s3:Get?bject", "s3:GetObject", True),
        ("s3:*", "s3:PutObject", True),
        ("s3:GetObject", "s3:GetObjectVersion", False),
        ("s3:Get", "s3:GetObject", False),
        ("s3:*", "sqs:SendMessage", False),
    ],
)
def test_actions(pattern: str, action: str, *, expected: bool) -> None:
    assert is_allowed(statement(Action=pattern), action=action) is expected


@pytest.mark.parametrize(
    ("pattern", "resource", "expected"),
    [
        (OBJECTS, "arn:aws:s3:::bucket/key", True),
        (OBJECTS, "arn:aws:s3:::bucket/a/b/c", True),
        (OBJECTS, "arn:aws:s3:::bucket", False),
        (OBJECTS, "arn:aws:s3:::Bucket/key", False),  # resources are compared with case
        (OBJECTS, "arn:aws:s3:::bucket2/key", False),
        ("arn:aws:s3:::bucket", "arn:aws:s3:::bucket/key", False),
        ("arn:aws:s3:::bucket/a.b", "arn:aws:s3:::bucket/axb", False),  # a dot is a dot
        ("arn:aws:s3:::bucket/pre*/x", "arn:aws:s3:::bucket/pre/fix/x", True),
        ("arn:aws:s3:::bucket/?", "arn:aws:s3:::bucket/ab", False),
        ("arn:*:s3:::bucket/*", "arn:aws-cn:s3:::bucket/key", True),
        ("arn:*:s3:::bucket/*", "arn:aws:x:s3:::bucket/key", False),  # the partition's wildcard stays in it
        ("arn:aws:logs:r:1:log-group:g:*", "arn:aws:logs:r:1:log-group:g:log-stream:s", True),
        ("arn:aws:logs:r:1:log-group:g:*", "arn:aws:logs:r:1:log-group:gg:log-stream:s", False),
        ("*", "arn:aws:sqs:r:1:q", True),
    ],
)
def test_resources(pattern: str, resource: str, *, expected: bool) -> None:
    assert is_allowed(statement(Resource=pattern), resource=resource) is expected


def test_lists_are_alternatives() -> None:
    both = statement(Action=["s3:GetObject", "s3:PutObject"], Resource=[OBJECTS, "arn:aws:s3:::other/*"])
    assert is_allowed(both, action="s3:PutObject", resource="arn:aws:s3:::other/key")
    assert not is_allowed(both, action="s3:DeleteObject", resource="arn:aws:s3:::other/key")


def test_a_statement_is_as_many_grants_as_actions_times_resources() -> None:
    grants = read_policy(
        document(statement(Action=["s3:GetObject", "s3:PutObject"], Resource=[OBJECTS, "arn:aws:s3:::other/*"]))
    )
    assert len(grants) == 4
    found = allowing(grants, action="s3:PutObject", resource="arn:aws:s3:::other/key")
    assert {(grant.action, grant.resource) for grant in found} == {("s3:PutObject", "arn:aws:s3:::other/*")}


def test_a_deny_outweighs_every_allow() -> None:
    deny = statement(Sid="D", Effect="Deny", Resource="arn:aws:s3:::bucket/secret/*")
    assert is_allowed(statement(), deny)
    assert not is_allowed(statement(), deny, resource="arn:aws:s3:::bucket/secret/key")
    assert not is_allowed(deny, statement(), resource="arn:aws:s3:::bucket/secret/key")


@pytest.mark.parametrize(
    ("operator", "value", "given", "expected"),
    [
        ("StringEquals", "a*", "a*", True),
        ("StringEquals", "a*", "ab", False),
        ("StringEquals", "a", "A", False),
        ("StringLike", "/aws/sagemaker/*", "/aws/sagemaker/Endpoints", True),
        ("StringLike", "/aws/sagemaker/*", "/aws/lambda", False),
        ("ArnEquals", "arn:aws:sns:r:1:t", "arn:aws:sns:r:1:t", True),
        ("ArnEquals", "arn:aws:sns:r:1:t", "arn:aws:sns:r:2:t", False),
        ("ArnLike", "arn:aws:sns:r:1:*", "arn:aws:sns:r:1:t", True),
        ("Bool", "false", "False", True),
        ("Bool", "false", "true", False),
    ],
)
def test_conditions(operator: str, value: str, given: str, *, expected: bool) -> None:
    conditional = statement(Condition={operator: {"aws:SourceArn": ["arn:aws:sns:r:1:nobody", value]}})
    assert is_allowed(conditional, aws__SourceArn=given) is expected
    assert is_allowed(conditional, AWS__sourcearn=given) is expected  # keys are compared without case
    assert not is_allowed(conditional)


def test_all_keys_of_a_condition_must_hold() -> None:
    both = statement(Condition={"StringEquals": {"aws:a": "1"}, "StringLike": {"aws:b": "2*"}})
    assert is_allowed(both, aws__a="1", aws__b="22")
    assert not is_allowed(both, aws__a="1", aws__b="33")
    assert not is_allowed(both, aws__b="22")


def test_a_condition_on_all_values_holds_of_none_unless_there_have_to_be_some() -> None:
    of_all = {"ForAllValues:StringEquals": {"events:source": ["a", "b"]}}
    for condition, of_none in (({**of_all}, True), ({**of_all, "Null": {"events:source": "false"}}, False)):
        found = statement(Condition=condition)
        assert is_allowed(found, events__source="a")
        assert not is_allowed(found, events__source="c")
        assert is_allowed(found) is of_none
    assert is_allowed(statement(Condition={"Null": {"events:source": "true"}}))


def test_a_resources_policy_admits_its_principal_alone() -> None:
    queue = "arn:aws:sqs:r:1:q"
    admits = statement(Principal={"Service": ["sns.amazonaws.com"]}, Action="sqs:SendMessage", Resource=queue)
    grants = read_policy(document(admits), of_resource=True)
    assert allowing(grants, action="sqs:SendMessage", resource=queue, principal="sns.amazonaws.com")
    assert not allowing(grants, action="sqs:SendMessage", resource=queue, principal="events.amazonaws.com")
    assert not allowing(grants, action="sqs:SendMessage", resource=queue)


@pytest.mark.parametrize(
    "changes",
    [
        {"NotAction": "s3:*"},
        {"NotResource": "*"},
        {"Principal": "*"},
        {"Effect": "allow"},
        {"Action": "*"},
        {"Action": []},
        {"Action": 3},
        {"Resource": {"Fn::GetAtt": ["Bucket", "Arn"]}},
        {"Resource": "bucket/*"},
        {"Resource": "arn:aws:*:::bucket/*"},
        {"Resource": "arn:aws:s3:::bucket/${aws:username}/*"},
        {"Condition": {"StringEqualsIfExists": {"aws:SourceArn": "a"}}},
        {"Condition": {"StringLike": {"aws:SourceArn": "${aws:PrincipalArn}"}}},
        {"Condition": {"ForAnyValue:StringEquals": {"aws:SourceArn": "a"}}},
        {"Condition": {"ForAllValues:Null": {"aws:SecureTransport": "true"}}},
    ],
)
def test_what_is_not_understood_is_an_error(changes: dict[str, Any]) -> None:
    with pytest.raises(PolicyError):
        read_policy(document(statement(**changes)))


@pytest.mark.parametrize(
    "principal", ["*", {"AWS": "*"}, {"AWS": "arn:aws:iam::1:root", "Service": "sns.amazonaws.com"}]
)
def test_other_principals_are_an_error(principal: Any) -> None:
    with pytest.raises(PolicyError):
        read_policy(document(statement(Principal=principal)), of_resource=True)


def test_everybody_may_be_denied_and_not_allowed() -> None:
    deny = statement(Sid="D", Effect="Deny", Principal="*", Condition={"Bool": {"aws:SecureTransport": "false"}})
    grants = (*read_policy(document(statement())), *read_policy(document(deny), of_resource=True))
    for secure, allowed in (("true", True), ("false", False)):
        context = {"aws:SecureTransport": secure}
        found = allowing(grants, action="s3:GetObject", resource="arn:aws:s3:::bucket/key", context=context)
        assert bool(found) is allowed
    with pytest.raises(PolicyError, match="everybody"):
        read_policy(document({**deny, "Effect": "Allow"}), of_resource=True)


def test_missing_elements_and_other_versions_are_an_error() -> None:
    with pytest.raises(PolicyError):
        read_policy(document({"Sid": "S", "Effect": "Allow", "Action": "s3:GetObject"}))
    with pytest.raises(PolicyError):
        read_policy({"Version": "2008-10-17", "Statement": [statement()]})
    with pytest.raises(PolicyError):
        read_policy(document(statement()), of_resource=True)
