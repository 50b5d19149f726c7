"""What `sam deploy` would deploy: samconfig.toml's parameters, and template.yaml expanded by them."""

import shlex
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from clayline_cli.errors import CommandError
from clayline_local.repository import ROOT
from clayline_local.template import TEMPLATE, Stack, expand

SAMCONFIG: Final = ROOT / "samconfig.toml"


@dataclass(frozen=True, kw_only=True, slots=True)
class Deployment:
    """A stack that is to be."""

    name: str
    region: str | None
    """That samconfig.toml says."""
    stack: Stack
    """Of account and region made up: only what is asked for is read of it."""

    @classmethod
    def read(cls, config_env: str, *, samconfig: Path = SAMCONFIG, template: Path = TEMPLATE) -> Self:
        """Read both. Raises CommandError, and LocalCloudError for parameters that the template does not take."""
        try:
            content = tomllib.loads(samconfig.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise CommandError(f"{samconfig} cannot be read ({error}). Correct it, or take it from git.") from error
        chosen = content.get(config_env)
        if not isinstance(chosen, dict):
            known = ", ".join(name for name, value in content.items() if isinstance(value, dict))
            raise CommandError(f"{samconfig} has no [{config_env}...]. Give --config-env one of {known}.")
        settings = {**_parameters(chosen, "global"), **_parameters(chosen, "deploy")}
        given = settings.get("parameter_overrides", [])
        pairs = shlex.split(given) if isinstance(given, str) else [str(pair) for pair in given]
        if wrong := [pair for pair in pairs if "=" not in pair]:
            raise CommandError(f"{samconfig}: {wrong[0]!r} in parameter_overrides is not NAME=VALUE. Correct it.")
        stack = expand(template, dict(pair.split("=", 1) for pair in pairs))
        return cls(name=str(settings.get("stack_name", "clayline")), region=settings.get("region"), stack=stack)

    def parameter(self, name: str) -> str:
        """Give a parameter's value, its default where none is given."""
        return str(self.stack.parameters[name])

    @property
    def makes_endpoint(self) -> bool:
        """Whether it has an endpoint of its own."""
        return self.parameter("EndpointMode") == "create"


def _parameters(chosen: dict[str, Any], command: str) -> dict[str, Any]:
    return dict(chosen.get(command, {}).get("parameters", {}))
