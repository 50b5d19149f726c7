"""How the emulator of the endpoint behaves, beyond what the stack configures."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from clayline_local.notifier import Faults


@dataclass(frozen=True, kw_only=True, slots=True)
class Emulation:
    """What a session tells the emulator."""

    name_output: Callable[[str], str] = lambda _: str(uuid.uuid4())
    """AsyncEndpoint's: names answers."""
    faults: Faults = field(default_factory=Faults)
    """What notifications suffer."""
    supervised: bool = False
    """Whether somebody starts the container again when it ends (Keeper): requests wait for that."""


AS_CONFIGURED: Final = Emulation()
"""Nothing goes wrong by itself."""
