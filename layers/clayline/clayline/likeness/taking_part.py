"""Which chips take part in a comparison, and how many each filter leaves out (docs/likeness.md)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from clayline.chips.limits import exceeds, reaches
from clayline.dataset.terms import check_number

VALID_LEAST: Final = 0.9
"""Chips of which less is valid find each other by their padding: 96 to 99 % of their neighbours, measured."""
_REMEDIES: Final = {
    "box": "outside of the box (box, `--in`)",
    "valid": "less valid than asked (valid_least, `--min-valid`)",
    "cloud": "with more cloud (cloud_most, `--max-cloud`)",
    "cloud-unknown": "of unknown cloud (ask without cloud_most, `--max-cloud`)",
    "loss": "of a greater loss (loss_most, `--max-loss`)",
    "loss-unknown": "of unknown loss (ask without loss_most, `--max-loss`)",
    "instrument": "of other instruments (instrument, `--instrument`; across_instruments, `--across-instruments`)",
    "example": "given as examples (with_examples, `--with-examples`)",
    "not-finite": "without a finite vector (`clayline verify` names them)",
}


def why_left_out(counts: Mapping[str, int]) -> str:
    """Say how many chips each reason left out, and which option has to do with it."""
    return ", ".join(f"{counts[name]:,} {text}" for name, text in _REMEDIES.items() if counts.get(name))


@dataclass(frozen=True, kw_only=True)
class Traits:
    """What filters look at, of N chips. NaN is unknown."""

    valid: NDArray[np.floating]
    """[N] fraction, 0 to 1."""
    cloud: NDArray[np.floating]
    """[N] fraction, 0 to 1."""
    loss: NDArray[np.floating]
    """[N], in the model's own measure."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Filters:
    """What a chip has to be."""

    valid_least: float = VALID_LEAST
    cloud_most: float | None = None
    loss_most: float | None = None

    def __post_init__(self) -> None:
        """Refuse what no chip could be held against, or every chip. Raises DatasetError."""
        check_number(self.valid_least, name="valid_least", least=0, most=1)
        check_number(self.cloud_most, name="cloud_most", least=0, most=1, optional=True)
        check_number(self.loss_most, name="loss_most", least=0, optional=True)

    def judge(self, traits: Traits) -> tuple[NDArray[np.bool_], Mapping[str, int]]:
        """Give which take part [N], and how many of the others each reason left out, the first that holds.

        Where a filter asks for what is unknown of a chip, it is left out: ``cloud-unknown``, ``loss-unknown``.
        """
        taken = np.ones(len(traits.valid), np.bool_)
        left_out: dict[str, int] = {}
        reasons = [
            ("valid", ~reaches(traits.valid, self.valid_least)),
            *_over("cloud", traits.cloud, self.cloud_most),
            *_over("loss", traits.loss, self.loss_most),
        ]
        for name, wrong in reasons:
            if count := int((taken & wrong).sum()):
                left_out[name] = count
            taken &= ~wrong
        return taken, left_out


USUAL: Final = Filters()
"""What is left out unless something else is asked for."""


def _over(name: str, values: NDArray[np.floating], most: float | None) -> list[tuple[str, NDArray[np.bool_]]]:
    if most is None:
        return []
    unknown = np.isnan(values)
    return [(f"{name}-unknown", unknown), (name, exceeds(values, most))]
