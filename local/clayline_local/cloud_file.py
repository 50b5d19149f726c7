"""A local cloud that is up, as other processes find it: a file in its folder that says where everything is."""

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from clayline_local.errors import LocalCloudError

if TYPE_CHECKING:  # who reads it need not wait for all that a session loads
    from clayline_local.session import Session

_NAME: Final = Path(".clayline") / "cloud.json"


class CloudFile(BaseModel):
    """What it says."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    format: Literal["clayline-cloud/1"] = "clayline-cloud/1"
    process: int
    """Of ``clayline local-cloud``."""
    url: str
    """Of moto."""
    region: str
    resources: Mapping[str, str]
    """What Ref gives in template.yaml, by logical id."""
    outputs: Mapping[str, str]
    """Those of template.yaml."""
    parameters: Mapping[str, str]
    environment: Mapping[str, str]
    """What a process needs to take this for AWS."""
    processes: Mapping[str, int]
    """Of the functions' workers, and of the ``endpoint`` while it is there."""

    @classmethod
    def of(cls, session: "Session") -> Self:
        """Describe a session as it is now."""
        processes = {name: child.pid for name, child in session.children.items() if child.poll() is None}
        return cls(
            process=os.getpid(),
            url=session.url,
            region=session.stack.place.region,
            resources={name: each.physical.ref for name, each in session.stack.resources.items()},
            outputs=dict(session.stack.outputs),
            parameters={
                name: value if isinstance(value, str) else ",".join(value)
                for name, value in session.stack.parameters.items()
            },
            environment={name: value for name, value in session.environment.items() if name.startswith("AWS_")},
            processes=processes,
        )

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read what is in a folder. Raises LocalCloudError if no cloud is up there."""
        how = f"Start one: clayline local-cloud --out {folder}"
        try:
            found = cls.model_validate_json((folder / _NAME).read_bytes())
        except FileNotFoundError as error:
            raise LocalCloudError(f"no local cloud is up in {folder}. {how}") from error
        except (OSError, ValidationError) as error:
            raise LocalCloudError(f"{folder / _NAME} cannot be read ({error}). {how}") from error
        if not is_running(found.process):
            raise LocalCloudError(f"the local cloud in {folder} was killed. {how}")
        return found

    def write(self, folder: Path) -> None:
        """Write it whole or not at all."""
        path = folder / _NAME
        part = path.with_suffix(".part")
        part.write_text(self.model_dump_json(indent=1), encoding="utf-8")
        part.replace(path)

    def remove(self, folder: Path) -> None:
        """Say that this cloud is up no more; another's file stays."""
        with suppress(LocalCloudError):
            if self.read(folder).process == self.process:
                (folder / _NAME).unlink(missing_ok=True)


def is_running(process: int) -> bool:
    """Whether there is such a process."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        return True
    return True
