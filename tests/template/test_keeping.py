"""What outlives the stack, what can be fetched back, and what ends by itself."""

from typing import Any

import pytest
from samtranslator.yaml_helper import yaml_parse

from clayline_local.errors import LocalCloudError
from clayline_local.physical import Place, identify
from clayline_local.template import LOCAL_PARAMETERS, TEMPLATE, Stack, expand

OWN_BUCKETS = ("ScenesBucket", "ModelBucket", "EmbeddingsBucket", "WorkBucket")
NOT_TO_BE_MADE_AGAIN = ("ScenesBucket", "ModelBucket", "EmbeddingsBucket")


@pytest.fixture(scope="module")
def stack() -> Stack:
    return expand(TEMPLATE, {**LOCAL_PARAMETERS, "OverwrittenDays": "7", "LogRetentionDays": "5"})


@pytest.fixture(scope="module")
def raw() -> dict[str, Any]:
    """Give the template's resources as they are written."""
    resources: dict[str, Any] = yaml_parse(TEMPLATE.read_text(encoding="utf-8"))["Resources"]
    return resources


def test_buckets_with_their_policies_and_the_ledger_outlive_the_stack(raw: dict[str, Any]) -> None:
    kept = {
        name: (body["DeletionPolicy"], body["UpdateReplacePolicy"])
        for name, body in raw.items()
        if body.get("DeletionPolicy", "Delete") != "Delete"
    }
    names = ["Ledger", *OWN_BUCKETS, *(f"{name}Policy" for name in OWN_BUCKETS)]
    assert kept == dict.fromkeys(names, ("RetainExceptOnCreate", "Retain"))


def test_what_could_not_be_made_again_has_versions_for_a_while(stack: Stack) -> None:
    kept = {
        bucket.logical_id: [
            rule["NoncurrentVersionExpiration"]["NoncurrentDays"]
            for rule in bucket.properties["LifecycleConfiguration"]["Rules"]
            if "NoncurrentVersionExpiration" in rule
        ]
        for bucket in stack.of_type("AWS::S3::Bucket")
        if bucket.properties.get("VersioningConfiguration") == {"Status": "Enabled"}
    }
    assert kept == {name: ["7"] for name in NOT_TO_BE_MADE_AGAIN}


def test_the_ledgers_items_end_when_they_say_so(stack: Stack) -> None:
    (table,) = stack.of_type("AWS::DynamoDB::Table")
    assert table.properties["TimeToLiveSpecification"] == {"AttributeName": "expires", "Enabled": True}


def test_every_log_ends_the_endpoints_too(stack: Stack) -> None:
    groups = stack.of_type("AWS::Logs::LogGroup")
    assert {group.logical_id for group in groups} == {
        "PlanLogs", "TileLogs", "SettleLogs", "CollectLogs", "IndexLogs", "CompactLogs", "WatchLogs", "SheetLogs",
        "ReconcileLogs", "EndpointLogs",
    }  # fmt: skip
    assert {group.properties["RetentionInDays"] for group in groups} == {"5"}


def test_the_endpoints_logs_are_under_its_name_and_there_before_it(stack: Stack, raw: dict[str, Any]) -> None:
    """SageMaker would make the group itself; a stack that makes it later finds it there, and fails."""
    name = stack.resources["Endpoint"].physical.attributes["EndpointName"]
    assert stack.resources["EndpointLogs"].physical.ref == f"/aws/sagemaker/Endpoints/{name}"
    assert raw["Endpoint"]["DependsOn"] == "EndpointLogs"


def test_two_stacks_have_two_endpoints(stack: Stack) -> None:
    other = expand(TEMPLATE, LOCAL_PARAMETERS, stack="clayline-prod")
    names = {each.resources["Endpoint"].physical.attributes["EndpointName"] for each in (stack, other)}
    assert len(names) == 2


@pytest.mark.parametrize(
    ("kind", "name"), [("AWS::SageMaker::Endpoint", "EndpointName"), ("AWS::Logs::LogGroup", "LogGroupName")]
)
def test_a_name_that_every_stack_would_have_is_refused(stack: Stack, kind: str, name: str) -> None:
    place: Place = stack.place
    with pytest.raises(LocalCloudError, match=f"fixed {name}"):
        identify(kind, "Thing", {name: "mine"}, place, str)
