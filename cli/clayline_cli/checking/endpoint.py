"""What the endpoint is made of: its image in ECR, or an endpoint that is there; and the model in its bucket."""

from typing import Any, Final

from botocore.exceptions import ClientError

from clayline.errors import ModelError
from clayline.model.manifest import MANIFEST_FILE, Manifest, read_manifest
from clayline_cli.checking.account import Account, asked, code_of
from clayline_cli.checking.check import Check
from clayline_cli.checking.deployment import Deployment

IMAGE: Final = "image"
MODEL: Final = "model in its bucket"
_PUBLISH: Final = "Publish it: make publish-model FOLDER=... STACK=... (docs/how-to/publish-a-model.md)."
_DIGEST: Final = "sha256"
"""Of an object's metadata, as publishing writes it."""
_ABSENT: Final = frozenset({"NoSuchKey", "404", "NotFound", "NoSuchBucket"})


def image(account: Account, deployment: Deployment) -> Check:
    """Look for the image of the parameters in ECR, or for the endpoint that they name."""
    mode = deployment.parameter("EndpointMode")
    if mode == "create":
        return asked(IMAGE, "ecr:DescribeImages", lambda: _image(account, deployment))
    if mode == "existing":
        return asked(IMAGE, "sagemaker:DescribeEndpoint", lambda: _existing(account, deployment))
    return Check.ok(IMAGE, "none is asked for: EndpointMode is none")


def _image(account: Account, deployment: Deployment) -> Check:
    repository, digest = deployment.parameter("ImageRepository"), deployment.parameter("ImageDigest")
    push = "Build and push it (docs/how-to/publish-a-model.md), and say its digest in samconfig.toml."
    named = f"{repository}@{digest}"
    try:
        [found] = account.client("ecr").describe_images(repositoryName=repository, imageIds=[{"imageDigest": digest}])[
            "imageDetails"
        ]
    except ClientError as error:
        if code_of(error) in {"RepositoryNotFoundException", "ImageNotFoundException"}:
            return Check.failed(IMAGE, f"ECR has no {named} in {account.region}", push)
        raise
    kind = found.get("imageManifestMediaType", "")
    if "oci" in kind:
        return Check.failed(IMAGE, f"{named} is an OCI image, which SageMaker does not take ({kind})", push)
    return Check.ok(IMAGE, f"{named}, {found.get('imageSizeInBytes', 0) / 1e9:.1f} GB")


def _existing(account: Account, deployment: Deployment) -> Check:
    name = deployment.parameter("ExistingEndpointName")
    remedy = "Say another ExistingEndpointName, or let the stack make one (EndpointMode=create)."
    try:
        status = account.client("sagemaker").describe_endpoint(EndpointName=name)["EndpointStatus"]
    except ClientError as error:
        if code_of(error) == "ValidationException":
            return Check.failed(IMAGE, f"there is no endpoint {name} in {account.region}", remedy)
        raise
    if status != "InService":
        return Check.failed(IMAGE, f"the endpoint {name} is {status}", remedy)
    return Check.ok(IMAGE, f"the endpoint {name} is in service")


def bucket_model(account: Account, deployment: Deployment) -> Check:
    """Look whether the deployed stack's bucket has the model that plan is told, whole."""
    return asked(
        MODEL, "cloudformation:DescribeStacks, s3:GetObject, s3:ListBucket", lambda: _model(account, deployment)
    )


def _model(account: Account, deployment: Deployment) -> Check:
    bucket, folder = _model_bucket(account, deployment.name), deployment.parameter("ModelFolder")
    is_needed = deployment.parameter("EndpointMode") != "none"
    if bucket is None:
        said = f"there is no stack {deployment.name} yet, and so no bucket of models"
        remedy = "Deploy it first with EndpointMode=none (docs/how-to/deploy.md)."
        return Check.failed(MODEL, said, remedy) if is_needed else Check.ok(MODEL, said)
    s3, prefix = account.client("s3"), f"models/{folder}/"
    uri = f"s3://{bucket}/{prefix}"
    body = _get(s3, bucket, prefix + MANIFEST_FILE)
    if body is None:
        missing = Check.failed if is_needed else Check.warning
        return missing(MODEL, f"{uri} has no {MANIFEST_FILE}", _PUBLISH)
    try:
        manifest = read_manifest(body, source=uri + MANIFEST_FILE)
    except ModelError as error:
        return Check.failed(MODEL, str(error).rstrip("."), _PUBLISH)
    if manifest.folder != folder:
        return Check.failed(MODEL, f"{uri} holds the manifest of {manifest.folder}", _PUBLISH)
    return _files(s3, bucket, prefix, manifest)


def _files(s3: Any, bucket: str, prefix: str, manifest: Manifest) -> Check:  # noqa: ANN401 - boto3's clients are generated
    uri, unproved = f"s3://{bucket}/{prefix}", []
    for name, digest in manifest.files.items():
        said = _digest(s3, bucket, prefix + name)
        if said is None:
            return Check.failed(MODEL, f"{uri}{name} is not there, and the manifest names it", _PUBLISH)
        if said and said != digest:
            return Check.failed(MODEL, f"{uri}{name} was uploaded as {said}, the manifest says {digest}", _PUBLISH)
        if not said:
            unproved.append(name)
    if unproved:
        return Check.warning(
            MODEL, f"{uri} is there, and {', '.join(unproved)} does not say its digest: it was copied", _PUBLISH
        )
    return Check.ok(MODEL, f"{uri}: {len(manifest.files)} files, digests as in its manifest")


def _model_bucket(account: Account, stack: str) -> str | None:
    """Give the bucket of the stack as it is deployed; None if there is none."""
    try:
        [found] = account.client("cloudformation").describe_stacks(StackName=stack)["Stacks"]
    except ClientError as error:
        if code_of(error) == "ValidationError":
            return None
        raise
    outputs = {output["OutputKey"]: output["OutputValue"] for output in found.get("Outputs", [])}
    return outputs.get("ModelBucket")


def _get(s3: Any, bucket: str, key: str) -> bytes | None:  # noqa: ANN401 - boto3's clients are generated
    try:
        return bytes(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
    except ClientError as error:
        if code_of(error) in _ABSENT:
            return None
        raise


def _digest(s3: Any, bucket: str, key: str) -> str | None:  # noqa: ANN401 - boto3's clients are generated
    """Give the digest that an object says of itself, "" if it says none; None if it is not there."""
    try:
        return str(s3.head_object(Bucket=bucket, Key=key).get("Metadata", {}).get(_DIGEST, ""))
    except ClientError as error:
        if code_of(error) in _ABSENT:
            return None
        raise
