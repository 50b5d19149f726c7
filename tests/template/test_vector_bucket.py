"""The vector bucket in the stack: nothing unless one is named, and then no more than it needs."""

import pytest
from tests.privilege.iam import read_policy

from clayline.aws.settings import OF_THE_LOCAL_CLOUD, VectorsSettings
from clayline_local.errors import LocalCloudError
from clayline_local.template import LOCAL_PARAMETERS, TEMPLATE, Stack, expand

OURS = {
    "VectorsRule", "VectorsQueue", "VectorsDlq", "VectorsQueuePolicy", "VectorsFunction", "VectorsFunctionAnnounced",
    "VectorsLogs", "VectorsRole", "VectorsDlqAlarm", "VectorsAgeAlarm",
}  # fmt: skip


@pytest.fixture(scope="module")
def off() -> Stack:
    return expand(TEMPLATE, LOCAL_PARAMETERS)


@pytest.fixture(scope="module")
def on() -> Stack:
    return expand(TEMPLATE, {**LOCAL_PARAMETERS, "VectorBucket": "my-vectors"})


def test_nothing_of_it_is_there_unless_one_is_named(off: Stack, on: Stack) -> None:
    assert set(on.resources) - set(off.resources) == OURS
    assert set(off.resources) <= set(on.resources)
    for name, resource in off.resources.items():
        assert resource == on.resources[name], name


def test_its_environment_is_its_settings(on: Stack) -> None:
    function = on.functions()["VectorsFunction"]
    assert (function.code / "app.py").is_file()
    wanted = {f"CLAYLINE_{name.upper()}" for name in VectorsSettings.model_fields} - OF_THE_LOCAL_CLOUD
    assert {name for name in function.environment if name.startswith("CLAYLINE_")} == wanted
    assert function.environment["CLAYLINE_VECTOR_BUCKET"] == "my-vectors"


def test_its_rule_feeds_its_queue_with_scenes_that_have_embeddings(on: Stack) -> None:
    queue, dead = (on.resources[name].physical.attributes["Arn"] for name in ("VectorsQueue", "VectorsDlq"))
    rule = on.resources["VectorsRule"].properties
    assert rule["EventPattern"] == on.resources["IndexRule"].properties["EventPattern"]
    assert [(target["Arn"], target["DeadLetterConfig"]) for target in rule["Targets"]] == [(queue, {"Arn": dead})]
    function = on.functions()["VectorsFunction"]
    assert function.source
    assert function.source.arn == queue
    assert on.resources["VectorsQueue"].properties["VisibilityTimeout"] == 6 * 900
    grants = read_policy(on.resources["VectorsQueuePolicy"].properties["PolicyDocument"], of_resource=True)
    sender = on.resources["VectorsRule"].physical.attributes["Arn"]
    allowed = [grant for grant in grants if grant.effect == "Allow"]
    assert {(grant.principal, grant.action, grant.resource) for grant in allowed} == {
        ("events.amazonaws.com", "sqs:SendMessage", queue),
        ("events.amazonaws.com", "sqs:SendMessage", dead),
    }
    assert all(condition.values == (sender,) for grant in allowed for condition in grant.conditions)


def test_it_may_write_its_vector_bucket_and_its_marks_alone(on: Stack) -> None:
    (policy,) = on.resources["VectorsRole"].properties["Policies"]
    reading = ("s3:GetObject", "s3:ListBucket", "sqs:", "logs:")
    writes = {
        (grant.action, grant.resource.partition("arn:")[2].partition(":")[2])
        for grant in read_policy(policy["PolicyDocument"])
        if grant.effect == "Allow" and not grant.action.startswith(reading)
    }
    index = "s3vectors:eu-central-1:123456789012:bucket/my-vectors/index/*"
    assert writes == {
        ("s3:PutObject", "s3:::clayline-embeddingsbucket/vectors/my-vectors/*"),
        ("s3:DeleteObject", "s3:::clayline-embeddingsbucket/vectors/my-vectors/*_begun_*"),
        ("s3vectors:PutVectors", index),
        ("s3vectors:DeleteVectors", index),
        ("s3vectors:CreateIndex", index),
    }


@pytest.mark.parametrize("name", ["My-Vectors", "my_vectors", "ab", "s3://my-vectors", "-vectors"])
def test_what_is_no_vector_bucket_is_refused(name: str) -> None:
    with pytest.raises(LocalCloudError, match="VectorBucket"):
        expand(TEMPLATE, {"VectorBucket": name})
