"""template.yaml as CloudFormation would see it.

Expanded by AWS's own SAM translator, parameters applied, every intrinsic resolved.
"""

import copy
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator
from samtranslator.yaml_helper import yaml_parse

from clayline_local import parameters as stack_parameters
from clayline_local.clients import local_session
from clayline_local.errors import LocalCloudError
from clayline_local.function import FunctionSpec, QueueSource
from clayline_local.intrinsics import NO_VALUE, Intrinsics
from clayline_local.physical import Physical, Place, identify
from clayline_local.repository import ROOT

ACCOUNT: Final = "123456789012"
REGION: Final = "eu-central-1"
TEMPLATE: Final = ROOT / "template.yaml"
# A stack with an endpoint, which locally is the emulator: the image's digest is only asked for, nothing is pulled.
LOCAL_PARAMETERS: Final[Mapping[str, str]] = {
    "EndpointMode": "create",
    "ImageDigest": f"sha256:{'0' * 64}",
    "PatienceSeconds": "30",  # nobody waits here for what is not on its way
    "AssetWaitMinutes": "0",  # what is given here is there, or it is not
    "AnswerGraceSeconds": "4",  # what a worker's retries can wait for
    "CompactSchedule": "off",  # of a bucket that goes with the local cloud; what is kept is a folder
}
_RATE: Final = re.compile(r"rate\((\d+) (minute|hour|day)s?\)")
_SECONDS: Final = {"minute": 60, "hour": 3_600, "day": 86_400}
_CODE: Final = {"AWS::Serverless::Function": "CodeUri", "AWS::Serverless::LayerVersion": "ContentUri"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Resource:
    """One resource of the expanded stack."""

    logical_id: str
    type: str
    properties: Mapping[str, Any]
    """With every intrinsic resolved."""
    physical: Physical


@dataclass(frozen=True, kw_only=True, slots=True)
class Stack:
    """An expanded template."""

    place: Place
    parameters: Mapping[str, stack_parameters.Value]
    resources: Mapping[str, Resource]
    """By logical id; those whose condition does not hold are not there."""
    outputs: Mapping[str, str]
    root: Path
    """Folder that the template's paths are relative to."""
    _layers: Mapping[str, Path] = field(repr=False)

    def of_type(self, kind: str) -> list[Resource]:
        """Give the resources of one CloudFormation type, in the template's order."""
        return [resource for resource in self.resources.values() if resource.type == kind]

    def functions(self) -> dict[str, FunctionSpec]:
        """Give every function by logical id. Raises LocalCloudError if one has two sources or one that is no queue."""
        return {resource.logical_id: self._function(resource) for resource in self.of_type("AWS::Lambda::Function")}

    def _function(self, resource: Resource) -> FunctionSpec:
        content = resource.properties
        return FunctionSpec(
            name=resource.logical_id,
            arn=resource.physical.attributes["Arn"],
            handler=content["Handler"],
            code=self.root / content["Code"]["S3Key"],
            layers=tuple(self._layers[arn] for arn in content.get("Layers", [])),
            environment={
                name: _text(value) for name, value in content.get("Environment", {}).get("Variables", {}).items()
            },
            timeout=int(content.get("Timeout", 3)),
            memory=int(content.get("MemorySize", 128)),
            region=self.place.region,
            source=self._source(resource),
            every=self._every(resource),
        )

    def _every(self, function: Resource) -> int | None:
        """Give the seconds of a schedule that calls a function, unless it is off.

        Raises LocalCloudError for one that is no rate.
        """
        arn = function.physical.attributes["Arn"]
        for rule in self.of_type("AWS::Events::Rule"):
            expression = rule.properties.get("ScheduleExpression")
            if expression and arn in {target["Arn"] for target in rule.properties["Targets"]}:
                if rule.properties.get("State") == "DISABLED":
                    return None
                if not (rate := _RATE.fullmatch(expression)):
                    raise LocalCloudError(f"{rule.logical_id}: {expression} is no rate in minutes, hours or days")
                return int(rate[1]) * _SECONDS[rate[2]]
        return None

    def _source(self, function: Resource) -> QueueSource | None:
        mappings = [
            mapping.properties
            for mapping in self.of_type("AWS::Lambda::EventSourceMapping")
            if mapping.properties["FunctionName"] == function.physical.ref
        ]
        if len(mappings) > 1:
            raise LocalCloudError(
                f"{function.logical_id} is mapped to {len(mappings)} sources; a local worker polls one queue"
            )
        for mapping in mappings:
            arn = mapping["EventSourceArn"]
            if arn.split(":")[2] != "sqs":
                raise LocalCloudError(f"{function.logical_id} is mapped to {arn}, which is no queue")
            return QueueSource(
                arn=arn,
                batch_size=int(mapping.get("BatchSize", 10)),
                enabled=_text(mapping.get("Enabled", True)) == "true",
            )
        return None


def expand(
    path: Path, parameters: Mapping[str, str], *, sqs_endpoint: str | None = None, stack: str = "clayline"
) -> Stack:
    """Expand ``path`` for ``parameters``, offline.

    ``sqs_endpoint`` is what queue URLs begin with, such as ``http://127.0.0.1:5000``. Give the path of
    `.aws-sam/build/template.yaml` to get what was built. Raises LocalCloudError for parameters or intrinsics that do
    not hold.
    """
    logging.getLogger("samtranslator").setLevel(
        logging.ERROR
    )  # it reports each resource, and that its own metrics go nowhere
    raw = yaml_parse(path.read_text(encoding="utf-8"))
    place = Place(
        stack=stack,
        account=ACCOUNT,
        region=REGION,
        sqs_endpoint=(sqs_endpoint or f"https://sqs.{REGION}.amazonaws.com").rstrip("/"),
    )
    values = stack_parameters.effective(raw.get("Parameters", {}), parameters)
    template = _translate(raw, values, place.region)
    pseudo = {
        "AWS::AccountId": place.account,
        "AWS::NoValue": NO_VALUE,
        "AWS::Partition": "aws",
        "AWS::Region": place.region,
        "AWS::StackId": place.arn("cloudformation", f"stack/{place.stack}/id-of-{place.stack}"),
        "AWS::StackName": place.stack,
        "AWS::URLSuffix": "amazonaws.com",
    }
    physical: dict[str, Physical] = {}

    def find(name: str) -> Physical:
        if name not in physical:
            raise LocalCloudError(
                f"{name} is neither a parameter nor a resource of this stack (or its condition does not hold)"
            )
        return physical[name]

    def get_att(name: str, attribute: str) -> str:
        attributes = find(name).attributes
        if attribute not in attributes:
            raise LocalCloudError(
                f"the local cloud knows no attribute {attribute} of {name}; it knows"
                f" {', '.join(sorted(attributes)) or 'none'}"
            )
        return attributes[attribute]

    intrinsics = Intrinsics(
        values={**values, **pseudo},
        mappings=template.get("Mappings", {}),
        conditions=template.get("Conditions", {}),
        ref=lambda name: find(name).ref,
        get_att=get_att,
    )
    _check_rules(template.get("Rules", {}), intrinsics)
    chosen = {name: body for name, body in template["Resources"].items() if _is_wanted(body, intrinsics)}
    physical |= {
        name: identify(body["Type"], name, body.get("Properties", {}), place, intrinsics.resolve)
        for name, body in chosen.items()
    }
    resources = {
        name: Resource(
            logical_id=name,
            type=body["Type"],
            properties=intrinsics.resolve(body.get("Properties", {})),
            physical=physical[name],
        )
        for name, body in chosen.items()
    }
    outputs = {
        name: _text(intrinsics.resolve(body["Value"]))
        for name, body in template.get("Outputs", {}).items()
        if _is_wanted(body, intrinsics)
    }
    layers = {
        resource.physical.ref: path.parent / resource.properties["Content"]["S3Key"]
        for resource in resources.values()
        if resource.type == "AWS::Lambda::LayerVersion"
    }
    return Stack(place=place, parameters=values, resources=resources, outputs=outputs, root=path.parent, _layers=layers)


def _translate(raw: Mapping[str, Any], values: Mapping[str, stack_parameters.Value], region: str) -> dict[str, Any]:
    """Let the SAM translator expand.

    It wants code on S3; the key given to it here is the folder, which comes back in Code and Content.
    """
    template = copy.deepcopy(dict(raw))
    for body in template["Resources"].values():
        if name := _CODE.get(body["Type"]):
            body["Properties"][name] = f"s3://local/{body['Properties'][name]}"
    # A role is written out for every function, so no managed policy is ever looked up.
    translator = Translator({}, Parser(), boto_session=local_session(region))
    translated = translator.translate(
        template, {name: value if isinstance(value, str) else ",".join(value) for name, value in values.items()}
    )
    return dict(translated)


def _is_wanted(body: Mapping[str, Any], intrinsics: Intrinsics) -> bool:
    return "Condition" not in body or intrinsics.condition(body["Condition"])


def _check_rules(rules: Mapping[str, Any], intrinsics: Intrinsics) -> None:
    for rule in rules.values():
        if "RuleCondition" in rule and not intrinsics.decide(rule["RuleCondition"]):
            continue
        for assertion in rule["Assertions"]:
            if not intrinsics.decide(assertion["Assert"]):
                raise LocalCloudError(str(assertion["AssertDescription"]))


def _text(value: object) -> str:
    """Write a value as CloudFormation does where a text is wanted."""
    return str(value).lower() if isinstance(value, bool) else str(value)
