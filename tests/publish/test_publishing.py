"""``python -m publish`` with the real SDK.

The registry against moto, the smoke test against the emulator and the container's server.
"""

import hashlib
import json
import shutil
import threading
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.publish.clouds import IMAGE, Cloud, answering
from tests.publish.publisher import PYTHON, Publisher, running_publisher
from tests.server.container import running_container
from tests.server.model_folders import LOSS_METRIC, build_model_folder

from clayline.model.wire import Request, Response
from clayline_local.moto_process import MotoServer

STARTER = Path(__file__).parents[2] / "model" / "starter" / "starter-v1.0"
pytestmark = pytest.mark.skipif(
    not PYTHON.is_file(), reason="needs .venv-publish with the sagemaker SDK: make setup-publish"
)


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    with MotoServer() as server:
        yield Cloud(server=server)


@pytest.fixture(scope="module")
def publish(cloud: Cloud) -> Iterator[Publisher]:
    with running_publisher(cloud.server.environment()) as publisher:
        yield publisher


@pytest.fixture
def bucket(cloud: Cloud) -> str:
    return cloud.make_bucket(f"models-{uuid.uuid4().hex[:12]}")


@pytest.fixture
def work(cloud: Cloud) -> str:
    return cloud.make_bucket(f"work-{uuid.uuid4().hex[:12]}")


def make_untrained(folder: Path) -> Path:
    content = json.loads((folder / "manifest.json").read_text())
    content["checkpoint"] = {"architecture": "clay-v1.5-tiny", "seed": 7}
    (folder / "manifest.json").write_text(json.dumps(content))
    return folder


def rewrite_card(folder: Path, text: str) -> None:
    (folder / "card.md").write_text(text)
    content = json.loads((folder / "manifest.json").read_text())
    content["files"]["card.md"] = "sha256:" + hashlib.sha256(text.encode()).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(content))


def model_card(cloud: Cloud, name: str) -> dict[str, Any]:
    card: dict[str, Any] = cloud.client("sagemaker").describe_model_card(ModelCardName=name)
    return card


def test_a_folder_is_uploaded_and_registered_once(
    cloud: Cloud, publish: Publisher, bucket: str, tmp_path: Path
) -> None:
    folder = build_model_folder(tmp_path, name="once")
    (folder / "metrics.json").write_text(json.dumps({"parity": {"max_abs": 1.5e-6}, "passed": True}))
    arguments = ("model", "--folder", folder, "--bucket", bucket, "--image", IMAGE)
    first = publish(*arguments)
    assert (first.status, first.err) == (0, "")
    for parameter in ("EndpointMode=create", "ModelFolder=once-v1.0", "ImageRepository=clayline/model"):
        assert f'"{parameter}",\n' in first.out
    assert '"ImageDigest=sha256:aaa' in first.out
    assert "--parameter-overrides" not in first.out, "the next deployment would take back what was only said there"
    names = {"tiny.onnx", "card.md", "metrics.json", "manifest.json"}
    assert {key for key in cloud.keys(bucket) if key.startswith("models/")} == {
        f"models/once-v1.0/{name}" for name in names
    }

    [package] = cloud.packages("once")
    assert package["ModelApprovalStatus"] == "PendingManualApproval"
    [container] = package["InferenceSpecification"]["Containers"]
    assert container["Image"] == IMAGE
    source = container["ModelDataSource"]["S3DataSource"]
    place = f"s3://{bucket}/models/once-v1.0/"
    assert source == {"S3Uri": place, "S3DataType": "S3Prefix", "CompressionType": "None"}
    assert container["Environment"] == {"CLAYLINE_MODEL_FOLDER": "once-v1.0"}
    assert package["InferenceSpecification"]["SupportedContentTypes"] == ["application/x-safetensors"]
    assert package["InferenceSpecification"]["SupportedResponseMIMETypes"] == ["application/x-safetensors"]
    said = package["CustomerMetadataProperties"]
    manifest = json.loads((folder / "manifest.json").read_text())
    assert said["manifest"] == "sha256:" + hashlib.sha256((folder / "manifest.json").read_bytes()).hexdigest()
    assert said["token/once-v1.0-test"] == manifest["entries"][0]["digest"]
    assert (said["folder"], said["untrained"]) == ("once-v1.0", "false")
    statistics = package["ModelMetrics"]["ModelQuality"]["Statistics"]
    key = statistics["S3Uri"].removeprefix(f"s3://{bucket}/")
    assert not key.startswith("models/"), (
        "SageMaker would copy it to the container, which takes every directory for a model folder"
    )
    stored = cloud.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    assert json.loads(stored) == {"parity": {"max_abs": 1.5e-6}, "passed": True}
    card = model_card(cloud, "once-v1-0")
    assert card["ModelCardStatus"] == "Draft"
    assert json.loads(card["Content"])["model_package_details"]["model_package_arn"] == package["ModelPackageArn"]

    second = publish(*arguments)
    assert (second.status, second.err) == (0, "")
    assert "(0 files sent, 4 there already)" in second.out
    assert "registered before" in second.out
    assert len(cloud.packages("once")) == 1
    assert model_card(cloud, "once-v1-0")["ModelCardVersion"] == 1


def test_another_image_or_a_grown_folder_is_another_version(
    cloud: Cloud, publish: Publisher, bucket: str, tmp_path: Path
) -> None:
    folder = build_model_folder(tmp_path, name="grown")
    other_image = IMAGE.replace("a" * 64, "b" * 64)
    for image in (IMAGE, other_image, IMAGE):
        assert publish("model", "--folder", folder, "--bucket", bucket, "--image", image).status == 0
    versions = {
        each["ModelPackageVersion"]: each["InferenceSpecification"]["Containers"][0]["Image"]
        for each in cloud.packages("grown")
    }
    assert versions == {1: IMAGE, 2: other_image}
    content = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(content | {"micro_batch": {"cpu": 4}}))
    assert publish("model", "--folder", folder, "--bucket", bucket, "--image", IMAGE).status == 0
    assert len(cloud.packages("grown")) == 3
    stored = cloud.client("s3").get_object(Bucket=bucket, Key="models/grown-v1.0/manifest.json")["Body"].read()
    assert json.loads(stored)["micro_batch"] == {"cpu": 4}


def test_a_reviewed_card_that_says_something_else_is_a_draft_again(
    cloud: Cloud, publish: Publisher, bucket: str, tmp_path: Path
) -> None:
    folder = build_model_folder(tmp_path, name="reviewed")
    arguments = ("model", "--folder", folder, "--bucket", bucket, "--image", IMAGE)
    assert publish(*arguments).status == 0
    client = cloud.client("sagemaker")
    said = model_card(cloud, "reviewed-v1-0")["Content"]
    client.update_model_card(ModelCardName="reviewed-v1-0", ModelCardStatus="Approved", Content=said)
    assert publish(*arguments).status == 0
    assert model_card(cloud, "reviewed-v1-0")["ModelCardStatus"] == "Approved"
    rewrite_card(folder, "Not what was reviewed.\n")
    assert "(updated)" in publish(*arguments).out
    assert model_card(cloud, "reviewed-v1-0")["ModelCardStatus"] == "Draft"
    client.update_model_card(ModelCardName="reviewed-v1-0", ModelCardStatus="Archived", Content=said)
    rewrite_card(folder, "Something else again.\n")
    refused = publish(*arguments)
    assert refused.status == 1
    assert "archived" in refused.err


def test_an_untrained_folder_is_refused_or_called_so_everywhere(
    cloud: Cloud, publish: Publisher, bucket: str, tmp_path: Path
) -> None:
    folder = make_untrained(build_model_folder(tmp_path, name="untrained"))
    arguments = ("model", "--folder", folder, "--bucket", bucket, "--image", IMAGE)
    refused = publish(*arguments)
    assert refused.status == 1
    assert "untrained" in refused.err
    assert "--allow-untrained" in refused.err
    assert cloud.keys(bucket) == []
    allowed = publish(*arguments, "--allow-untrained")
    assert allowed.status == 0
    assert "UNTRAINED" in allowed.out
    [package] = cloud.packages("untrained")
    assert package["ModelPackageDescription"].startswith("UNTRAINED")
    assert (package["CustomerMetadataProperties"]["untrained"], package["CustomerMetadataProperties"]["seed"]) == (
        "true",
        "7",
    )
    content = json.loads(model_card(cloud, "untrained-v1-0")["Content"])
    assert content["model_overview"]["model_description"].startswith("UNTRAINED")
    assert content["intended_uses"]["purpose_of_model"].startswith("UNTRAINED")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--bucket", "no-such-bucket-here", "--image", IMAGE), "NoSuchBucket"),
        (("--image", IMAGE), "BUCKET="),
        (("--bucket", "models"), "IMAGE="),
        (
            ("--bucket", "models", "--image", "123456789012.dkr.ecr.eu-central-1.amazonaws.com/clayline/model:latest"),
            "by digest",
        ),
        (("--stack", "nowhere", "--image", IMAGE), "no stack nowhere"),
    ],
)
def test_a_refusal_says_what_to_do(publish: Publisher, arguments: tuple[str, ...], words: str) -> None:
    done = publish("model", "--folder", STARTER, *arguments)
    assert done.status == 1, done.err
    assert words in done.err


def test_upload_only_leaves_the_registry_alone(cloud: Cloud, publish: Publisher, bucket: str, tmp_path: Path) -> None:
    folder = build_model_folder(tmp_path, name="bare")
    done = publish("model", "--folder", folder, "--bucket", bucket, "--upload-only")
    assert done.status == 0
    assert "models/bare-v1.0/manifest.json" in cloud.keys(bucket)
    assert cloud.packages("bare") == []


def test_a_deployed_starter_passes_the_smoke_test(cloud: Cloud, publish: Publisher, work: str, tmp_path: Path) -> None:
    shutil.copytree(STARTER, tmp_path / "models" / STARTER.name)
    with (
        running_container(tmp_path / "models", tmp_path / "log") as container,
        cloud.endpoint("starter-endpoint", container.url, work_bucket=work) as environment,
    ):
        arguments = ("smoke", "--folder", STARTER, "--endpoint", "starter-endpoint", "--bucket", work, "--poll", "0.1")
        for token, dimensions in (("starter-v1.0-s2-rgbns", 224), ("starter-v1.0-naip-rgb", 112)):
            done = publish(*arguments, "--token", token, environment=environment)
            assert done.status == 0, done.err
            assert f"passed: 3 finite vectors of {dimensions}, linear-thumb8-l1 from {token}" in done.out
    keys = cloud.keys(work)
    assert len(keys) == 2
    assert all(key.startswith("responses/") for key in keys), "the requests were not taken away"


def test_a_folder_that_the_stack_serves_is_published_and_tried(
    cloud: Cloud, publish: Publisher, tmp_path: Path
) -> None:
    folder = build_model_folder(tmp_path / "models", name="stacked", inputs=("pixels", "time", "latlon"))
    template = {
        "Parameters": {name: {"Type": "String"} for name in ("ModelFolder", "ImageRepository", "ImageDigest")},
        "Resources": {name: {"Type": "AWS::S3::Bucket"} for name in ("ModelBucket", "WorkBucket")},
        "Outputs": {
            "ModelBucket": {"Value": {"Ref": "ModelBucket"}},
            "WorkBucket": {"Value": {"Ref": "WorkBucket"}},
            "EndpointName": {"Value": "stacked-endpoint"},
        },
    }
    values = {"ModelFolder": "stacked-v1.0", "ImageRepository": "clayline/model", "ImageDigest": "sha256:" + "a" * 64}
    client = cloud.client("cloudformation")
    parameters = [{"ParameterKey": name, "ParameterValue": value} for name, value in values.items()]
    client.create_stack(StackName="stacked", TemplateBody=json.dumps(template), Parameters=parameters)
    [stack] = client.describe_stacks(StackName="stacked")["Stacks"]
    outputs = {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}
    with (
        running_container(tmp_path / "models", tmp_path / "log") as container,
        cloud.endpoint("stacked-endpoint", container.url, work_bucket=outputs["WorkBucket"]) as environment,
    ):
        done = publish("model", "--folder", folder, "--stack", "stacked", "--poll", "0.1", environment=environment)
    assert done.status == 0, done.err
    assert "models/stacked-v1.0/manifest.json" in cloud.keys(outputs["ModelBucket"])
    assert cloud.packages("stacked")[0]["InferenceSpecification"]["Containers"][0]["Image"] == IMAGE
    assert "smoke     passed: 3 finite vectors of 8" in done.out


def test_an_endpoint_without_the_folder_fails_with_advice(
    cloud: Cloud, publish: Publisher, work: str, tmp_path: Path
) -> None:
    build_model_folder(tmp_path / "models", name="another")
    folder = build_model_folder(tmp_path, name="wanted")
    with (
        running_container(tmp_path / "models", tmp_path / "log") as container,
        cloud.endpoint("lacking", container.url, work_bucket=work) as environment,
    ):
        arguments = ("smoke", "--folder", folder, "--endpoint", "lacking", "--bucket", work, "--poll", "0.1")
        done = publish(*arguments, environment=environment)
    assert done.status == 1, done.err
    assert "unknown-model" in done.err
    assert "ModelFolder=wanted-v1.0" in done.err
    assert not any(key.startswith("requests/") for key in cloud.keys(work))


def test_an_answer_of_another_model_fails(cloud: Cloud, publish: Publisher, work: str, tmp_path: Path) -> None:
    folder = build_model_folder(tmp_path, name="swapped")

    def answer(body: bytes) -> bytes:
        request = Request.from_bytes(body)
        count = len(request.index)
        return Response(
            header=replace(request.header, digest="sha256:" + "9" * 64),
            index=request.index,
            embeddings=np.arange(8 * count, dtype=np.float32).reshape(count, 8),
            status=np.zeros(count, np.uint8),
            loss=np.zeros(count, np.float32),
            loss_metric=LOSS_METRIC,
        ).to_bytes()

    with answering(answer) as url, cloud.endpoint("swapped", url, work_bucket=work) as environment:
        arguments = ("smoke", "--folder", folder, "--endpoint", "swapped", "--bucket", work, "--poll", "0.1")
        done = publish(*arguments, environment=environment)
    assert done.status == 1, done.err
    assert "sha256:" + "9" * 64 in done.err
    assert "deploy again" in done.err


def test_no_answer_in_time_fails_and_leaves_no_request(
    cloud: Cloud, publish: Publisher, work: str, tmp_path: Path
) -> None:
    folder = build_model_folder(tmp_path, name="late")
    release = threading.Event()

    def never(_: bytes) -> bytes:
        release.wait(60)
        return b""

    with answering(never) as url, cloud.endpoint("late", url, work_bucket=work) as environment:
        arguments = (
            "smoke",
            "--folder",
            folder,
            "--endpoint",
            "late",
            "--bucket",
            work,
            "--poll",
            "0.1",
            "--deadline",
            "1",
        )
        done = publish(*arguments, environment=environment)
        keys = cloud.keys(work)
        release.set()
    assert done.status == 1, done.err
    assert "in 1 s" in done.err
    assert "0 instances run" in done.err
    assert "HasBacklogWithoutCapacity" in done.err
    assert keys == []


def test_an_endpoint_that_is_not_there_or_not_ready(cloud: Cloud, publish: Publisher, work: str) -> None:
    with cloud.endpoint("unready", "http://127.0.0.1:9", work_bucket=work, EndpointStatus="Updating") as environment:
        arguments = ("smoke", "--folder", STARTER, "--bucket", work, "--endpoint")
        nobody = publish(*arguments, "nobody", environment=environment)
        unready = publish(*arguments, "unready")
    assert (nobody.status, unready.status) == (1, 1)
    assert "endpoint nobody" in nobody.err
    assert "is Updating" in unready.err
    assert cloud.keys(work) == []


def test_an_answer_of_aws_that_the_sdk_does_not_know(cloud: Cloud, publish: Publisher, work: str) -> None:
    with cloud.endpoint("strange", "http://127.0.0.1:9", work_bucket=work, DataCaptureConfig={}) as environment:
        done = publish("smoke", "--folder", STARTER, "--endpoint", "strange", "--bucket", work, environment=environment)
    assert done.status == 1, done.err
    assert "sagemaker-core" in done.err
