"""What an account may ask of a stack beyond its defaults: a key, a VPC, a boundary.

Each is off where it is not named.
"""

from typing import Any

import pytest
from tests.privilege.iam import Grant, allowing, read_policy

from clayline_local.errors import LocalCloudError
from clayline_local.template import LOCAL_PARAMETERS, TEMPLATE, Stack, expand

KEY = "arn:aws:kms:eu-central-1:123456789012:key/0f1e2d3c"
BOUNDARY = "arn:aws:iam::123456789012:policy/bounds"
PROTECTED = {
    **LOCAL_PARAMETERS,
    "KmsKeyArn": KEY,
    "SubnetIds": "subnet-1,subnet-2",
    "SecurityGroupIds": "sg-1",
    "PermissionsBoundaryArn": BOUNDARY,
}
OPTIONAL_STATEMENTS = {"UseKey", "Network", "NetworkIsNotForCode"}


@pytest.fixture(scope="module")
def stack() -> Stack:
    return expand(TEMPLATE, PROTECTED)


@pytest.fixture(scope="module")
def usual() -> Stack:
    return expand(TEMPLATE, LOCAL_PARAMETERS)


def grants(stack: Stack, *sids: str) -> dict[str, list[Grant]]:
    """Give what the statements of these names grant, by role."""
    return {
        role.logical_id: [
            grant
            for policy in role.properties["Policies"]
            for grant in read_policy(policy["PolicyDocument"])
            if grant.sid in sids
        ]
        for role in stack.of_type("AWS::IAM::Role")
    }


def test_everything_that_keeps_something_keeps_it_under_the_key(stack: Stack) -> None:
    keys: dict[str, Any] = {}
    for bucket in stack.of_type("AWS::S3::Bucket"):
        (rule,) = bucket.properties["BucketEncryption"]["ServerSideEncryptionConfiguration"]
        assert rule["BucketKeyEnabled"] is True
        by = rule["ServerSideEncryptionByDefault"]
        keys[bucket.logical_id] = (by["SSEAlgorithm"], by["KMSMasterKeyID"])
    assert set(keys.values()) == {("aws:kms", KEY)}
    for kind, name in (
        ("AWS::SQS::Queue", "KmsMasterKeyId"),
        ("AWS::SNS::Topic", "KmsMasterKeyId"),
        ("AWS::Logs::LogGroup", "KmsKeyId"),
        ("AWS::Lambda::Function", "KmsKeyArn"),
    ):
        found = {each.logical_id: each.properties.get(name) for each in stack.of_type(kind)}
        assert len(found) > 1
        assert set(found.values()) == {KEY}, found
    assert not [queue for queue in stack.of_type("AWS::SQS::Queue") if "SqsManagedSseEnabled" in queue.properties]
    sse = {"SSEEnabled": True, "SSEType": "KMS", "KMSMasterKeyId": KEY}
    assert stack.resources["Ledger"].properties["SSESpecification"] == sse
    output = stack.resources["EndpointConfig"].properties["AsyncInferenceConfig"]["OutputConfig"]
    assert output["KmsKeyId"] == KEY
    history = stack.resources["Backfill"].properties["EncryptionConfiguration"]
    assert history == {"Type": "CUSTOMER_MANAGED_KMS_KEY", "KmsKeyId": KEY}
    (variant,) = stack.resources["EndpointConfig"].properties["ProductionVariants"]
    assert "KmsKeyId" not in variant


def test_a_role_uses_the_key_through_what_it_encrypts_and_never_by_itself(stack: Stack) -> None:
    found = grants(stack, "UseKey")
    assert len(found) == 11
    further = {"EndpointRole": ("s3", "sns"), "BackfillRole": ("s3", "sqs", "dynamodb", "states")}
    for role, mine in found.items():
        services = further.get(role, ("s3", "sqs", "dynamodb"))
        for action in ("kms:Decrypt", "kms:GenerateDataKey"):
            for service in services:
                context = {"kms:ViaService": f"{service}.eu-central-1.amazonaws.com"}
                assert allowing(mine, action=action, resource=KEY, context=context), (role, action, service)
            assert not allowing(mine, action=action, resource=KEY)
            assert not allowing(mine, action=action, resource=KEY[:-1] + "d", context=context)


def test_functions_and_endpoint_run_in_the_vpc(stack: Stack) -> None:
    for function in stack.of_type("AWS::Lambda::Function"):
        assert function.properties["VpcConfig"] == {
            "SubnetIds": ["subnet-1", "subnet-2"],
            "SecurityGroupIds": ["sg-1"],
        }
    model = stack.resources["Model"].properties
    assert model["VpcConfig"] == {"Subnets": ["subnet-1", "subnet-2"], "SecurityGroupIds": ["sg-1"]}
    assert model["EnableNetworkIsolation"] is True


def test_lambda_makes_interfaces_and_the_functions_code_does_not(stack: Stack) -> None:
    found = grants(stack, "Network", "NetworkIsNotForCode")
    code = {"lambda:SourceFunctionArn": "arn:aws:lambda:eu-central-1:123456789012:function:clayline-PlanFunction"}
    assert found.pop("BackfillRole") == []  # Step Functions runs in no VPC
    for role, mine in found.items():
        assert allowing(mine, action="ec2:CreateNetworkInterface", resource="*"), role
        if role != "EndpointRole":
            actions = {grant.action for grant in mine if grant.effect == "Allow"}
            assert not any(allowing(mine, action=action, resource="*", context=code) for action in actions), role


def test_every_role_is_bounded(stack: Stack) -> None:
    assert {role.properties["PermissionsBoundary"] for role in stack.of_type("AWS::IAM::Role")} == {BOUNDARY}


def test_none_of_it_is_there_where_nothing_is_named(usual: Stack) -> None:
    assert not any(grants(usual, *OPTIONAL_STATEMENTS).values())
    text = str([resource.properties for resource in usual.resources.values()])
    for word in ("kms", "Kms", "KMSMasterKeyID", "VpcConfig", "PermissionsBoundary"):
        assert word not in text, word


def test_the_statements_of_a_protected_stack_are_the_usual_ones_and_these(stack: Stack, usual: Stack) -> None:
    def sids(of: Stack) -> set[tuple[str, str]]:
        return {
            (role.logical_id, statement["Sid"])
            for role in of.of_type("AWS::IAM::Role")
            for policy in role.properties["Policies"]
            for statement in policy["PolicyDocument"]["Statement"]
        }

    more = sids(stack) - sids(usual)
    assert {sid for _, sid in more} == OPTIONAL_STATEMENTS
    assert sids(usual) <= sids(stack)


@pytest.mark.parametrize("given", [{"SubnetIds": "subnet-1"}, {"SecurityGroupIds": "sg-1"}])
def test_half_a_vpc_is_none_outside_it(given: dict[str, str]) -> None:
    """Lambda refuses an empty name; a function beside the VPC would run unseen."""
    for function in expand(TEMPLATE, given).of_type("AWS::Lambda::Function"):
        config = function.properties["VpcConfig"]
        assert [""] in (config["SubnetIds"], config["SecurityGroupIds"])


@pytest.mark.parametrize(
    ("name", "value"), [("KmsKeyArn", "alias/mine"), ("PermissionsBoundaryArn", "bounds"), ("AlarmTopicArn", "people")]
)
def test_a_name_that_is_no_arn_is_refused(name: str, value: str) -> None:
    with pytest.raises(LocalCloudError, match=name):
        expand(TEMPLATE, {name: value})
