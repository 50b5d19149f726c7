"""How the emulators behave, beyond what the stack configures."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from clayline_local.notifier import Faults
from clayline_local.worker import Retry

_SOON: Final = Retry(failed=2, killed=60)
"""A retry here need not wait six times the function's timeout, as SQS makes it in AWS."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Emulation:
    """What a session tells the emulator of the endpoint, and the workers."""

    name_output: Callable[[str], str] = lambda _: str(uuid.uuid4())
    """AsyncEndpoint's: names answers."""
    faults: Faults = field(default_factory=Faults)
    """What notifications suffer."""
    supervised: bool = False
    """Whether somebody starts the container again when it ends (Keeper): requests wait for that."""
    retry: Retry = _SOON
    """When messages come again."""


AS_CONFIGURED: Final = Emulation()
"""Nothing goes wrong by itself."""
