"""What template.yaml deploys where its parameters are left as they are, as far as it decides what work costs."""

from dataclasses import dataclass
from typing import Self

from clayline.run.cost import FunctionSize
from clayline_local.template import LOCAL_PARAMETERS, TEMPLATE, expand


@dataclass(frozen=True, kw_only=True, slots=True)
class Deployed:
    """Functions and endpoint."""

    functions: dict[str, FunctionSize]
    """By name: ``plan``, ``tile`` ..."""
    instance: str
    """Type of the endpoint's instances."""

    @classmethod
    def read(cls) -> Self:
        """Read the template. Raises LocalCloudError."""
        stack = expand(TEMPLATE, LOCAL_PARAMETERS)
        at_once = {
            mapping.properties["FunctionName"]: int(mapping.properties["ScalingConfig"]["MaximumConcurrency"])
            for mapping in stack.of_type("AWS::Lambda::EventSourceMapping")
        }
        sizes = {
            name: FunctionSize(memory_mb=function.memory, at_once=at_once[stack.resources[name].physical.ref])
            for name, function in stack.functions().items()
            if stack.resources[name].physical.ref in at_once
        }
        return cls(
            functions={name.removesuffix("Function").lower(): size for name, size in sizes.items()},
            instance=str(stack.parameters["InstanceType"]),
        )
