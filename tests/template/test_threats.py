"""What docs/threats.md says of roles and of what is run, where no other test holds it."""

import re

import pytest
from tests.architecture.sources import ROOT, git
from tests.template.test_protection import PROTECTED

from clayline_local.template import LOCAL_PARAMETERS, TEMPLATE, Stack, expand

NOT_FOR_A_ROLE = re.compile(
    r"s3:(Delete|PutBucket|PutLifecycle|PutEncryption|PutObjectAcl|Bypass).*"
    r"|dynamodb:(Delete|BatchWrite|Update(?!Item)|PartiQL).*"
    r"|kms:(?!Decrypt$|GenerateDataKey$).*"
    r"|logs:(Delete|PutRetention).*"
    r"|(iam|sts|lambda|cloudformation):.*"
)
RUNS_WHAT_IT_READS = re.compile(r"\b(pickle|cPickle|marshal|shelve|dill|joblib|cloudpickle)\b|allow_pickle=True")


@pytest.fixture(scope="module", params=[LOCAL_PARAMETERS, PROTECTED], ids=["usual", "protected"])
def stack(request: pytest.FixtureRequest) -> Stack:
    return expand(TEMPLATE, request.param)


def test_no_role_deletes_or_changes_what_protects(stack: Stack) -> None:
    allowed = {
        action
        for role in stack.of_type("AWS::IAM::Role")
        for policy in role.properties["Policies"]
        for statement in policy["PolicyDocument"]["Statement"]
        if statement["Effect"] == "Allow"
        for action in (statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]])
    }
    assert {"s3:PutObject", "dynamodb:UpdateItem", "sqs:DeleteMessage"} <= allowed
    assert {action for action in allowed if NOT_FOR_A_ROLE.fullmatch(action)} == {"s3:DeleteObject"}


def test_only_requests_and_what_the_dataset_no_longer_names_are_deleted(stack: Stack) -> None:
    """Nothing of the user's is ever removed: the work bucket's requests, and copies under ``dataset/``, are the stack's
    own, and made again if need be. The manifest stays.
    """
    found = [
        (name, statement["Resource"])
        for name, role in stack.resources.items()
        if role.type == "AWS::IAM::Role"
        for policy in role.properties["Policies"]
        for statement in policy["PolicyDocument"]["Statement"]
        if "s3:DeleteObject" in statement["Action"]
    ]
    own = f"arn:aws:s3:::{stack.resources['EmbeddingsBucket'].physical.ref}/dataset"
    assert dict(found) == {
        "CollectRole": f"arn:aws:s3:::{stack.resources['WorkBucket'].physical.ref}/requests/*",
        "CompactRole": [f"{own}/{folder}/*" for folder in ("fragments", "parts", "history", "files", "tiers")],
    }


@pytest.mark.parametrize(
    "action", ["s3:DeleteObject", "s3:PutBucketVersioning", "dynamodb:DeleteItem", "kms:CreateGrant", "iam:PassRole"]
)
def test_what_no_role_may_do_would_be_found(action: str) -> None:
    assert NOT_FOR_A_ROLE.fullmatch(action)


def test_the_container_has_no_network(stack: Stack) -> None:
    assert stack.resources["Model"].properties["EnableNetworkIsolation"] is True


def test_nothing_is_unpickled() -> None:
    """In what is deployed: functions, layers, the endpoint's program."""
    files = git("ls-files", "functions/*.py", "layers/*.py", "model/server/*")
    assert len(files) > 50
    found = [name for name in files if RUNS_WHAT_IT_READS.search((ROOT / name).read_text(encoding="utf-8"))]
    assert found == []
