"""Whose chips are compared: never those of several kinds of instrument, unless it is asked for (docs/likeness.md)."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from clayline.dataset.terms import check_flag, check_text
from clayline.errors import DatasetError
from clayline.scene.instrument_family import families_of, named_by


@dataclass(frozen=True, kw_only=True, slots=True)
class Instruments:
    """What is asked of instruments."""

    named: str | None = None
    """An instrument or a family whose chips take part; None: the families of the examples."""
    across: bool = False
    """Whether several families are compared."""

    def __post_init__(self) -> None:
        """Refuse what is no name. Raises DatasetError."""
        check_text(self.named, name="instrument", such_as="s2-msi-l2a")
        check_flag(self.across, name="across_instruments")

    def taking_part(self, examples: Iterable[str]) -> frozenset[str] | None:
        """Give those whose chips take part, by the instruments of the examples; None: any.

        Raises DatasetError for several families that nobody allowed.
        """
        families = families_of([*examples, *([self.named] if self.named else [])])
        if not self.across and len(families) > 1:
            msg = (
                f"examples and what is looked through are of several instruments ({', '.join(families)}), whose"
                " chips are seldom alike. Take those of one, or allow it with across_instruments"
                " (`--across-instruments`)."
            )
            raise DatasetError(msg)
        if self.named:
            return named_by([self.named])
        return None if self.across else named_by(families)

    def standing(self, examples: Iterable[str]) -> frozenset[str] | None:
        """Give those whose chips may stand for a cell or a place, by the instruments of the examples that say theirs;
        None: any. Raises DatasetError as ``taking_part``.
        """
        told = tuple(examples)
        return self.taking_part(told) if told or self.named else None


OF_EXAMPLES: Final = Instruments()
"""Those of the examples' family, which is one."""
