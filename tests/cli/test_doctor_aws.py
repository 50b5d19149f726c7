"""``clayline doctor`` by credentials.

STS, ECR, S3, CloudFormation and SageMaker's endpoints are moto's. IAM's simulation, Service Quotas of SageMaker and
Lambda's account settings moto does not have: there botocore's Stubber answers as AWS documents it, and checks what is
asked against the service's model. None of it has met AWS.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from benchmarks.chain_calls import counting
from botocore.exceptions import EndpointConnectionError
from botocore.stub import ANY, Stubber
from moto import mock_aws
from tests.server.model_folders import build_model_folder

from clayline_cli.checking.account import Account, sign_in
from clayline_cli.checking.check import Check, Status
from clayline_cli.checking.deployment import Deployment
from clayline_cli.checking.endpoint import bucket_model, image
from clayline_cli.checking.needed import BY_TYPE, PUBLISHING, SAM, needed, unlisted
from clayline_cli.checking.permissions import permissions
from clayline_cli.checking.quotas import concurrency, endpoint_quota, memory
from clayline_cli.program import main
from clayline_local.template import LOCAL_PARAMETERS, TEMPLATE, expand

REGION = "eu-central-1"
ME = "arn:aws:iam::123456789012:user/me"
DIGEST = f"sha256:{'1' * 64}"

type Deploy = Callable[..., Deployment]


@pytest.fixture
def deploy(tmp_path: Path) -> Deploy:
    """Give a deployment of these parameters."""

    def make(**parameters: str) -> Deployment:
        path = tmp_path / "samconfig.toml"
        overrides = json.dumps([f"{name}={value}" for name, value in parameters.items()])
        path.write_text(f"[default.deploy.parameters]\nparameter_overrides = {overrides}\n")
        return Deployment.read("default", samconfig=path)

    return make


@pytest.fixture
def stubbed(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., tuple[Account, Stubber]]]:
    """Give an account one of whose services answers as it is told; what was told must all be asked."""
    active: list[Stubber] = []

    def make(service: str, *, arn: str = ME) -> tuple[Account, Stubber]:
        session = boto3.Session(region_name=REGION)
        client = session.client(service)  # type: ignore[call-overload]
        active.append(Stubber(client))
        active[-1].activate()
        monkeypatch.setattr(session, "client", lambda name, **_: {service: client}[name])
        return Account(session=session, region=REGION, number="123456789012", arn=arn), active[-1]

    yield make
    for stubber in active:
        stubber.assert_no_pending_responses()


@pytest.fixture
def account() -> Iterator[Account]:
    """Give an account of moto."""
    with mock_aws():
        check, found = sign_in(profile=None, region=REGION)
        assert check.status is Status.OK
        assert found
        yield found


def _judged(actions: tuple[str, ...], decision: str = "allowed", **more: Any) -> dict[str, Any]:
    results = [{"EvalActionName": action, "EvalDecision": decision, **more} for action in actions]
    return {"EvaluationResults": results, "IsTruncated": False}


def _simulate(stubber: Stubber, deployment: Deployment, changed: dict[str, dict[str, Any]], source: str = ME) -> None:
    """Answer each simulation, with what is changed of an action."""
    types = [resource.type for resource in deployment.stack.resources.values()]
    for each in needed(types, publishes=deployment.makes_endpoint):
        answer = _judged(each.actions)
        for result in answer["EvaluationResults"]:
            result.update(changed.get(result["EvalActionName"], {}))
        asked = {"PolicySourceArn": source, "ActionNames": list(each.actions), "ResourceArns": ANY}
        stubber.add_response("simulate_principal_policy", answer, asked)


def test_the_caller_is_told() -> None:
    with mock_aws():
        check, found = sign_in(profile=None, region=REGION)
    assert found
    assert check.said == f"{found.arn}, account 123456789012, region {REGION}"


def test_without_credentials_nothing_is_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("HOME", str(tmp_path))
    check, found = sign_in(profile=None, region=REGION)
    assert (check.status, found) == (Status.FAILED, None)
    assert "Unable to locate credentials" in check.said
    assert "aws configure" in check.remedy
    check, _ = sign_in(profile="nobody", region=REGION)
    assert (check.status, "nobody" in check.said) == (Status.FAILED, True)
    check, _ = sign_in(profile=None, region=None)
    assert check.status is Status.FAILED


def test_credentials_that_aws_refuses_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    session = boto3.Session(region_name=REGION)
    client = session.client("sts")
    monkeypatch.setattr(session, "client", lambda *_, **__: client)
    monkeypatch.setattr(boto3, "Session", lambda **_: session)
    with Stubber(client) as stubber:
        stubber.add_client_error("get_caller_identity", "ExpiredToken", "The security token has expired", 403)
        check, found = sign_in(profile=None, region=REGION)
    assert (check.status, found) == (Status.FAILED, None)
    assert check.said == "AWS refuses them: ExpiredToken, The security token has expired"


def test_all_that_is_needed_is_allowed(stubbed: Any, deploy: Deploy) -> None:
    deployment = deploy(EndpointMode="create", ImageDigest=DIGEST)
    account, iam = stubbed("iam")
    _simulate(iam, deployment, {})
    check = permissions(account, deployment)
    assert check.status is Status.OK
    assert check.said.startswith(f"{ME} may do all ")


def test_what_is_denied_is_named(stubbed: Any, deploy: Deploy) -> None:
    deployment = deploy()
    account, iam = stubbed("iam")
    changed = {"iam:CreateRole": {"EvalDecision": "implicitDeny"}, "s3:CreateBucket": {"EvalDecision": "explicitDeny"}}
    _simulate(iam, deployment, changed)
    check = permissions(account, deployment)
    assert check.status is Status.FAILED
    assert "iam:CreateRole" in check.said
    assert "s3:CreateBucket" in check.said
    assert "sqs:CreateQueue" not in check.said


def test_what_a_condition_decides_is_unknown(stubbed: Any, deploy: Deploy) -> None:
    deployment = deploy()
    account, iam = stubbed("iam")
    lacking = {"EvalDecision": "implicitDeny", "MissingContextValues": ["iam:PassedToService"]}
    _simulate(iam, deployment, {"iam:PassRole": lacking})
    check = permissions(account, deployment)
    assert (check.status, "iam:PassRole" in check.said) == (Status.UNKNOWN, True)


def test_where_simulating_is_not_allowed_permissions_are_unknown(stubbed: Any, deploy: Deploy) -> None:
    account, iam = stubbed("iam")
    iam.add_client_error("simulate_principal_policy", "AccessDenied", "is not authorized", 403)
    check = permissions(account, deploy())
    assert (check.status, "iam:SimulatePrincipalPolicy" in check.said) == (Status.UNKNOWN, True)


def test_a_roles_session_is_judged_as_the_role(stubbed: Any, deploy: Deploy) -> None:
    session = "arn:aws:sts::123456789012:assumed-role/deployer/me"
    role = "arn:aws:iam::123456789012:role/teams/deployer"
    account, iam = stubbed("iam", arn=session)
    said = {"Path": "/teams/", "RoleName": "deployer", "RoleId": "A" * 16, "Arn": role, "CreateDate": "2026-11-27"}
    iam.add_response("get_role", {"Role": said}, {"RoleName": "deployer"})
    _simulate(iam, deploy(), {}, source=role)
    assert permissions(account, deploy()).said.startswith(f"{role} may do all ")
    account, iam = stubbed("iam", arn=session)
    iam.add_client_error("get_role", "AccessDenied", "is not authorized", 403)
    _simulate(iam, deploy(), {}, source="arn:aws:iam::123456789012:role/deployer")
    assert permissions(account, deploy()).status is Status.OK


def test_whom_iam_cannot_simulate_is_unknown(stubbed: Any, deploy: Deploy) -> None:
    account, _ = stubbed("iam", arn="arn:aws:iam::123456789012:root")
    assert permissions(account, deploy()).status is Status.UNKNOWN


def test_every_type_of_the_template_has_its_actions() -> None:
    types = {resource.type for resource in expand(TEMPLATE, LOCAL_PARAMETERS).resources.values()}
    assert unlisted(types) == []
    actions = [action for each in (*SAM, *PUBLISHING, *BY_TYPE.values()) for action in each.actions]
    known = {*boto3.Session().get_available_services(), "states"}  # IAM's name of stepfunctions
    assert {action.partition(":")[0] for action in actions} <= known


def _quota(name: str, value: float) -> dict[str, Any]:
    return {"QuotaName": name, "QuotaCode": "L-1928E07B", "Value": value}


@pytest.mark.parametrize(
    ("value", "mode", "status"),
    [
        (2.0, "create", Status.OK),
        (1.0, "create", Status.WARNING),
        (0.0, "create", Status.FAILED),
        (0.0, "none", Status.WARNING),
        (0.0, "existing", Status.OK),
    ],
)
def test_the_endpoints_quota_is_that_of_its_instance(
    stubbed: Any, deploy: Deploy, value: float, mode: str, status: Status
) -> None:
    given = {"create": {"ImageDigest": DIGEST}, "existing": {"ExistingEndpointName": "theirs"}, "none": {}}[mode]
    account, quotas = stubbed("service-quotas")
    others = [_quota("ml.g5.xlarge for training job usage", 9.0), _quota("ml.g5.2xlarge for endpoint usage", 9.0)]
    first = {"Quotas": others, "NextToken": "more"}
    quotas.add_response("list_service_quotas", first, {"ServiceCode": "sagemaker"})
    second = {"Quotas": [_quota("ml.g5.xlarge for endpoint usage", value)]}
    quotas.add_response("list_service_quotas", second, {"ServiceCode": "sagemaker", "NextToken": "more"})
    check = endpoint_quota(account, deploy(EndpointMode=mode, InstanceType="ml.g5.xlarge", **given))
    assert check.status is status
    assert check.said.startswith(f"{value:.0f} of ml.g5.xlarge, and MaxInstances is 2")
    if status in {Status.FAILED, Status.WARNING}:
        assert "--quota-code L-1928E07B --desired-value 2" in check.remedy


def test_a_quota_that_has_only_a_default_is_found_and_none_is_unknown(stubbed: Any, deploy: Deploy) -> None:
    account, quotas = stubbed("service-quotas")
    quotas.add_response("list_service_quotas", {"Quotas": []}, {"ServiceCode": "sagemaker"})
    default = {"Quotas": [_quota("ml.g5.xlarge for endpoint usage", 4.0)]}
    quotas.add_response("list_aws_default_service_quotas", default, {"ServiceCode": "sagemaker"})
    assert endpoint_quota(account, deploy(InstanceType="ml.g5.xlarge")).status is Status.OK
    for operation in ("list_service_quotas", "list_aws_default_service_quotas"):
        quotas.add_response(operation, {"Quotas": []}, {"ServiceCode": "sagemaker"})
    assert endpoint_quota(account, deploy(InstanceType="ml.g5.xlarge")).status is Status.UNKNOWN
    quotas.add_client_error("list_service_quotas", "AccessDeniedException", "no", 400)
    check = endpoint_quota(account, deploy(InstanceType="ml.g5.xlarge"))
    assert (check.status, "may not ask" in check.said) == (Status.UNKNOWN, True)


@pytest.mark.parametrize(("free", "status"), [(1000, Status.OK), (40, Status.OK), (39, Status.WARNING)])
def test_calls_side_by_side_are_compared_with_the_queues(
    stubbed: Any, deploy: Deploy, free: int, status: Status
) -> None:
    account, client = stubbed("lambda")
    limit = {"ConcurrentExecutions": 1000, "UnreservedConcurrentExecutions": free}
    client.add_response("get_account_settings", {"AccountLimit": limit}, {})
    check = concurrency(account, deploy())
    assert check.status is status
    assert check.said == f"{free} calls of 1000 are free, and the queues start up to 40"


def test_memory_that_a_new_account_may_not_have_is_unknown(deploy: Deploy) -> None:
    assert memory(deploy()).status is Status.OK
    check = memory(deploy(TileMemory="3538"))
    assert (check.status, check.said.startswith("tile 3538 MB; new accounts")) == (Status.UNKNOWN, True)


def test_an_image_is_asked_for_with_an_endpoint_alone(account: Account, deploy: Deploy) -> None:
    assert image(account, deploy()).status is Status.OK
    with_endpoint = deploy(EndpointMode="create", ImageDigest=DIGEST)
    absent = image(account, with_endpoint)
    assert (absent.status, absent.said) == (Status.FAILED, f"ECR has no clayline/model@{DIGEST} in {REGION}")
    ecr = account.client("ecr")
    ecr.create_repository(repositoryName="clayline/model")
    assert image(account, with_endpoint).status is Status.FAILED
    digest = _push(ecr, "application/vnd.docker.distribution.manifest.v2+json")
    assert image(account, deploy(EndpointMode="create", ImageDigest=digest)).status is Status.OK


def test_an_oci_image_is_refused(stubbed: Any, deploy: Deploy) -> None:
    account, ecr = stubbed("ecr")
    found = {"imageManifestMediaType": "application/vnd.oci.image.manifest.v1+json", "imageSizeInBytes": 5}
    asked = {"repositoryName": "clayline/model", "imageIds": [{"imageDigest": DIGEST}]}
    ecr.add_response("describe_images", {"imageDetails": [found]}, asked)
    check = image(account, deploy(EndpointMode="create", ImageDigest=DIGEST))
    assert (check.status, "which SageMaker does not take" in check.said) == (Status.FAILED, True)


def _push(ecr: Any, kind: str) -> str:
    manifest = {"schemaVersion": 2, "mediaType": kind, "config": {"digest": DIGEST, "size": 1}, "layers": []}
    put = ecr.put_image(repositoryName="clayline/model", imageManifest=json.dumps(manifest), imageTag="a")
    return str(put["image"]["imageId"]["imageDigest"])


def test_an_endpoint_made_elsewhere_must_be_in_service(account: Account, deploy: Deploy) -> None:
    existing = deploy(EndpointMode="existing", ExistingEndpointName="theirs")
    assert image(account, existing).said == f"there is no endpoint theirs in {REGION}"
    sagemaker = account.client("sagemaker")
    sagemaker.create_model(ModelName="m", ExecutionRoleArn="arn:aws:iam::123456789012:role/r")
    variant = {
        "VariantName": "AllTraffic",
        "ModelName": "m",
        "InstanceType": "ml.g4dn.xlarge",
        "InitialInstanceCount": 1,
    }
    sagemaker.create_endpoint_config(EndpointConfigName="c", ProductionVariants=[variant])
    sagemaker.create_endpoint(EndpointName="theirs", EndpointConfigName="c")
    status = sagemaker.describe_endpoint(EndpointName="theirs")["EndpointStatus"]
    check = image(account, existing)
    assert check.status is (Status.OK if status == "InService" else Status.FAILED)


def test_the_model_is_looked_for_in_the_stacks_bucket(account: Account, deploy: Deploy, tmp_path: Path) -> None:
    none, create = deploy(), deploy(EndpointMode="create", ImageDigest=DIGEST, ModelFolder="tiny-v1.0")
    assert bucket_model(account, none).status is Status.OK
    assert bucket_model(account, create).status is Status.FAILED
    template = {
        "Resources": {"ModelBucket": {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": "models-of-ours"}}},
        "Outputs": {"ModelBucket": {"Value": {"Ref": "ModelBucket"}}},
    }
    account.client("cloudformation").create_stack(StackName="clayline", TemplateBody=json.dumps(template))
    assert bucket_model(account, none).status is Status.WARNING  # without an endpoint nobody reads it
    assert bucket_model(account, create).said == "s3://models-of-ours/models/tiny-v1.0/ has no manifest.json"
    s3, folder = account.client("s3"), build_model_folder(tmp_path)
    manifest = json.loads((folder / "manifest.json").read_bytes())

    def put(name: str, **metadata: str) -> Check:
        body, key = (folder / name).read_bytes(), f"models/tiny-v1.0/{name}"
        s3.put_object(Bucket="models-of-ours", Key=key, Body=body, Metadata=metadata)
        return bucket_model(account, create)

    absent = put("manifest.json")
    assert (absent.status, "is not there, and the manifest names it" in absent.said) == (Status.FAILED, True)
    for name in manifest["files"]:
        copied = put(name)
    assert (copied.status, "does not say its digest" in copied.said) == (Status.WARNING, True)
    for name, digest in manifest["files"].items():
        whole = put(name, sha256=digest)
    assert whole.status is Status.OK
    other = put(next(iter(manifest["files"])), sha256=DIGEST)
    assert (other.status, f"was uploaded as {DIGEST}" in other.said) == (Status.FAILED, True)
    (folder / "manifest.json").write_text("{}")
    assert put("manifest.json").status is Status.FAILED


def test_where_aws_cannot_be_reached_it_is_unknown(
    account: Account, deploy: Deploy, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise EndpointConnectionError(endpoint_url="https://nowhere")

    monkeypatch.setattr(Account, "client", broken)
    for check in (
        permissions(account, deploy()),
        endpoint_quota(account, deploy()),
        concurrency(account, deploy()),
        image(account, deploy(EndpointMode="create", ImageDigest=DIGEST)),
        bucket_model(account, deploy()),
    ):
        assert (check.status, "cannot be asked" in check.said) == (Status.UNKNOWN, True)


def test_the_command_ends_with_unknowns_where_moto_has_no_answer(capsys: pytest.CaptureFixture[str]) -> None:
    """What moto does not have is unknown, never ok; what it has is looked at."""
    with counting():
        main(["doctor", "--region", REGION, "--json"])
    told = {check["name"]: check for check in map(json.loads, capsys.readouterr().out.splitlines())}
    assert told["credentials"]["status"] == "ok"
    assert told["image"]["status"] == told["model in its bucket"]["status"] == "ok"
    assert told["Lambda's concurrency"]["status"] == "unknown"
    assert all(check["remedy"] for check in told.values() if check["status"] != "ok")


def test_without_credentials_the_rest_is_unknown(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert main(["doctor", "--region", REGION, "--json"]) == 1
    told = {check["name"]: check["status"] for check in map(json.loads, capsys.readouterr().out.splitlines())}
    assert told.pop("credentials") == "failed"
    asked = ("permissions", "quota of the endpoint", "Lambda's concurrency", "image", "model in its bucket")
    assert {told[name] for name in asked} == {"unknown"}
