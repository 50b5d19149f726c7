"""checkov's checks on the stack, every failed one with its reason.

The stack is given as CloudFormation sees it, expanded: of the template itself checkov takes an ``!If`` for no value.
"""

import json
import os
import subprocess
from pathlib import Path

import pytest
from tests.template.test_protection import PROTECTED

from clayline_local.template import LOCAL_PARAMETERS, TEMPLATE, expand

CHECKOV = TEMPLATE.parent / ".venv-checkov" / "bin" / "checkov"
STACKS = {"usual": LOCAL_PARAMETERS, "protected": PROTECTED}

BUCKETS = ("ScenesBucket", "ModelBucket", "EmbeddingsBucket", "WorkBucket")
POLLING = ("PlanFunction", "TileFunction", "SettleFunction", "CollectFunction", "IndexFunction", "WatchFunction",
           "SheetFunction")  # fmt: skip
BY_THE_CLOCK = ("CompactFunction", "ReconcileFunction")
FUNCTIONS = (*POLLING, *BY_THE_CLOCK)
ROLES = tuple(name.replace("Function", "Role") for name in FUNCTIONS)
LOGS = ("EndpointLogs", *(name.replace("Function", "Logs") for name in FUNCTIONS))
TOPICS = ("SuccessTopic", "ErrorTopic")
HOPS = ("Scene", "Tile", "Result", "Settled", "Index", "Watch", "Sheet")
QUEUES = tuple(f"{hop}{kind}" for hop in HOPS for kind in ("Queue", "Dlq"))

# Check, its resources: why it may fail in every stack.
ALWAYS = {
    ("CKV_AWS_18", BUCKETS): (
        "access logs are an account's affair: they go to a bucket of its own, and CloudTrail's data events are another"
        " way to have them"
    ),
    ("CKV_AWS_21", ("WorkBucket",)): "a name carries its run, is written once and expires",
    ("CKV_AWS_115", POLLING): (
        "the mappings bound how many run at a time (MaximumConcurrency); a reservation would take them from the account"
    ),
    ("CKV_AWS_115", ("ReconcileFunction",)): "it is called once a minute; two at a time do nothing twice",
    ("CKV_AWS_116", POLLING): "a function is called by a queue's mapping, and the queue has the dead-letter queue",
    (
        "CKV_AWS_115",
        ("CompactFunction",),
    ): "ReserveCompact; a new account can reserve none, and two at a time do no harm",
    ("CKV_AWS_116", BY_THE_CLOCK): "its call holds nothing: the next one by the clock looks at the same",
}
# Where nothing is named.
UNLESS_NAMED = {
    ("CKV_AWS_26", TOPICS): "KmsKeyArn; a topic carries names of objects, and has no encryption without a key",
    ("CKV_AWS_27", QUEUES): "KmsKeyArn; SSE-SQS encrypts, which this check does not count",
    ("CKV_AWS_117", FUNCTIONS): "SubnetIds; outside a VPC a function reaches AWS's services alone by its role",
    ("CKV_AWS_119", ("Ledger",)): "KmsKeyArn; DynamoDB encrypts with its own key",
    ("CKV_AWS_158", LOGS): "KmsKeyArn; CloudWatch Logs encrypts with its own key",
    ("CKV_AWS_173", FUNCTIONS): "KmsKeyArn; Lambda encrypts with its own key, and no variable is a secret",
}
# Where there is a VPC.
IN_A_VPC = {
    ("CKV_AWS_111", (*ROLES, "EndpointRole")): (
        "interfaces are made on any subnet by AWS's documents; functions' code is denied it, the container has no"
        " credentials"
    ),
    ("CKV_AWS_109", ("EndpointRole",)): "a permission for an interface is what SageMaker gives itself in a VPC",
}
EXPECTED = {"usual": ALWAYS | UNLESS_NAMED, "protected": ALWAYS | IN_A_VPC}


@pytest.fixture(scope="module")
def failed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[tuple[str, str]]]:
    """Give the failed checks with their resources, by stack."""
    folder: Path = tmp_path_factory.mktemp("stacks")
    for name, parameters in STACKS.items():
        resources = {
            resource.logical_id: {"Type": resource.type, "Properties": resource.properties}
            for resource in expand(TEMPLATE, parameters).resources.values()
        }
        template = {"AWSTemplateFormatVersion": "2010-09-09", "Resources": resources}
        (folder / f"{name}.json").write_text(json.dumps(template, indent=1), encoding="utf-8")
    command = [str(CHECKOV), "--directory", str(folder), "--framework", "cloudformation", "--skip-download"]
    environment = {**os.environ, "LOG_LEVEL": "ERROR"}
    done = subprocess.run(
        [*command, "--output", "json"], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    report = json.loads(done.stdout)
    summary = report["summary"]
    assert (summary["parsing_errors"], summary["skipped"]) == (0, 0), done.stderr
    assert summary["passed"] > 150
    found: dict[str, set[tuple[str, str]]] = {name: set() for name in STACKS}
    for check in report["results"]["failed_checks"]:
        found[Path(check["file_path"]).stem].add((check["check_id"], check["resource"].rpartition(".")[2]))
    return found


@pytest.mark.skipif(not CHECKOV.exists(), reason="needs checkov in .venv-checkov; `make setup-checkov` makes it")
@pytest.mark.parametrize("stack", STACKS)
def test_every_failed_check_has_its_reason(failed: dict[str, set[tuple[str, str]]], stack: str) -> None:
    """And every reason is still needed."""
    expected = {(check, resource) for check, resources in EXPECTED[stack] for resource in resources}
    assert failed[stack] == expected
