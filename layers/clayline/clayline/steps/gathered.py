"""What became of every chip of a run, as it is gathered."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clayline.run.plan import PlannedChips
from clayline.run.receipt import ChipOutcome, State


@dataclass(kw_only=True, slots=True)
class Gathered:
    """Outcome and columns of every chip, by its index in the grid. Filled batch by batch."""

    state: list[State | None]
    reason: list[str | None]
    loss: NDArray[np.float32]
    valid_fraction: NDArray[np.float32]
    cloud_fraction: NDArray[np.float32]

    @classmethod
    def empty(cls, chips: int) -> "Gathered":
        """Begin with nothing known of any chip."""
        unknown = np.full(chips, np.nan, dtype=np.float32)
        return cls(
            state=[None] * chips,
            reason=[None] * chips,
            loss=unknown.copy(),
            valid_fraction=unknown.copy(),
            cloud_fraction=unknown.copy(),
        )

    def end(self, index: int, state: State, reason: str | None = None) -> None:
        """Say how a chip ended."""
        self.state[index], self.reason[index] = state, reason

    def outcomes(self, chips: PlannedChips) -> tuple[ChipOutcome, ...]:
        """Give the receipt's lines, sorted by identifier.

        A chip that no batch spoke of would be a lost one: that is an error.
        """
        if None in self.state:
            msg = f"chip {chips.uci[self.state.index(None)]} is in the plan and in no batch"
            raise RuntimeError(msg)
        lines = zip(chips.uci, range(len(self.state)), self.state, self.reason, strict=True)
        return tuple(
            ChipOutcome(uci=uci, index=index, state=state, reason=reason)
            for uci, index, state, reason in sorted(lines)
            if state
        )
