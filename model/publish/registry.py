"""SageMaker's model registry, through the SDK: package group, package, model card.

Whatever is there already stays as it is.
"""

import hashlib
import json
from dataclasses import dataclass
from typing import Any, Final

from sagemaker.core.resources import ModelCard, ModelPackage, ModelPackageGroup

# Not from sagemaker.core.shapes: there the model card's InferenceSpecification hides the package's.
from sagemaker.core.shapes.shapes import (
    InferenceSpecification,
    MetricsSource,
    ModelDataSource,
    ModelMetrics,
    ModelPackageContainerDefinition,
    ModelQuality,
    S3ModelDataSource,
)
from sagemaker.core.utils.utils import Unassigned, serialize

from clayline.model.wire import CONTENT_TYPE
from publish.bucket import MODELS, ModelBucket
from publish.card import Package, card_content, description, properties
from publish.errors import PublishError
from publish.folder import ModelFolder

INSTANCE_TYPES: Final = (
    "ml.g4dn.xlarge",
    "ml.g5.xlarge",
    "ml.g5.2xlarge",
    "ml.g6.xlarge",
    "ml.g6.2xlarge",
    "ml.g6e.xlarge",
    "ml.p5.4xlarge",
    "ml.c6i.4xlarge",
    "ml.c7i.4xlarge",
)
"""One GPU each, and two without for the CPU image; the template's InstanceType says which it is."""
DRAFT: Final = "Draft"


@dataclass(frozen=True, kw_only=True, slots=True)
class Registered:
    """What a registration did."""

    package: Package
    is_new: bool
    """False: the same folder was registered with the same image before."""
    card: str
    """Name of the model card."""
    card_change: str
    """``created``, ``updated`` or ``unchanged``."""
    approval: str
    """The package's approval status."""


def register(folder: ModelFolder, *, bucket: ModelBucket, model_uri: str, image: str, approval: str) -> Registered:
    """Enter an uploaded folder.

    A package in the group named after the model, with its report, and a draft of a model card.

    Raises PublishError when the card was archived, or there is no package of that ARN; botocore's errors pass.
    """
    group = folder.manifest.name
    _ensure_group(group)
    wanted = properties(folder, image=image)
    found = _find(group, wanted)
    if is_new := found is None:
        found = _create(folder, bucket=bucket, image=image, approval=approval, wanted=wanted)
    package = Package(
        arn=str(found.model_package_arn),
        group=group,
        version=int(found.model_package_version),
        image=image,
        model_uri=model_uri,
    )
    card, change = _put_card(folder, package)
    return Registered(
        package=package, is_new=is_new, card=card, card_change=change, approval=str(found.model_approval_status)
    )


def _ensure_group(name: str) -> None:
    if not any(group.model_package_group_name == name for group in ModelPackageGroup.get_all(name_contains=name)):
        ModelPackageGroup.create(
            model_package_group_name=name,
            model_package_group_description=f"Model folders of {name} that Clayline's endpoint can serve.",
        )


def _find(group: str, wanted: dict[str, str]) -> ModelPackage | None:
    """Give the package with this manifest and this image. Metadata is in no listing, so every package is asked for."""
    for package in ModelPackage.get_all(model_package_group_name=group, model_package_type="Versioned"):
        has = package.customer_metadata_properties
        if not isinstance(has, Unassigned) and all(
            (has or {}).get(name) == wanted[name] for name in ("manifest", "image")
        ):
            return package
    return None


def _create(
    folder: ModelFolder, *, bucket: ModelBucket, image: str, approval: str, wanted: dict[str, str]
) -> ModelPackage:
    # The folder alone, as in template.yaml. SageMaker copies what lies below a prefix without the prefix, so the name
    # goes into the environment.
    place = bucket.uri(f"{MODELS}{folder.manifest.folder}/")
    source = S3ModelDataSource(s3_uri=place, s3_data_type="S3Prefix", compression_type="None")
    container = ModelPackageContainerDefinition(
        image=image,
        model_data_source=ModelDataSource(s3_data_source=source),
        environment={"CLAYLINE_MODEL_FOLDER": folder.manifest.folder},
    )
    arguments: dict[str, Any] = {
        "ModelPackageGroupName": folder.manifest.name,
        "ModelPackageDescription": description(folder.manifest),
        "InferenceSpecification": InferenceSpecification(
            containers=[container],
            supported_content_types=[CONTENT_TYPE],
            supported_realtime_inference_instance_types=list(INSTANCE_TYPES),
        ),
        "ModelApprovalStatus": approval,
        "Domain": "COMPUTER_VISION",
        "Task": "OTHER",
        "CustomerMetadataProperties": wanted,
    }
    if folder.metrics is not None:
        digest = hashlib.sha256(json.dumps(folder.metrics, sort_keys=True).encode()).hexdigest()
        uri = bucket.put_report(f"{folder.manifest.folder}/metrics-{digest[:12]}.json", folder.metrics)
        arguments["ModelMetrics"] = ModelMetrics(
            model_quality=ModelQuality(statistics=MetricsSource(content_type="application/json", s3_uri=uri))
        )
    request = serialize(arguments)
    request["InferenceSpecification"]["SupportedResponseMIMETypes"] = [
        CONTENT_TYPE
    ]  # the SDK's shape spells it ...MimeTypes
    # ModelPackage.create of sagemaker-core 2.27 registers the package and then fails: it looks for ModelPackageName in
    # the answer, which has only the ARN. So the call goes through the SDK's client and shapes.
    answer = ModelPackage.get_sagemaker_client().create_model_package(**request)
    package = ModelPackage.get(model_package_name=answer["ModelPackageArn"])
    if package is None:
        msg = (
            f"SageMaker does not give the package {answer['ModelPackageArn']} that it has just made: run the command"
            " again"
        )
        raise PublishError(msg)
    return package


def _put_card(folder: ModelFolder, package: Package) -> tuple[str, str]:
    """Write the card, a new version of it where it says something else; give its name and what was done."""
    name = folder.manifest.folder.replace(".", "-")
    content = card_content(folder, package)
    cards = [card for card in ModelCard.get_all(name_contains=name) if card.model_card_name == name]
    if not cards:
        ModelCard.create(model_card_name=name, content=content, model_card_status=DRAFT)
        return name, "created"
    [card] = cards
    if card.content == content:
        return name, "unchanged"
    if card.model_card_status == "Archived":
        msg = f"model card {name} is archived, and says something else than this folder: publish under another version"
        raise PublishError(msg)
    card.update(content=content, model_card_status=DRAFT)  # reviewed or not, what it says now nobody has reviewed
    return name, "updated"
