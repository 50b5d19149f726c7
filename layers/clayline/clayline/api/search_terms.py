"""What a search is asked, and what it answers (docs/search.md, In Python)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from clayline.api.exemplars import Exemplar
from clayline.api.explaining import Explanation
from clayline.dataset.asking import Span, model_of
from clayline.dataset.figures import Figures
from clayline.dataset.scene_row import SceneRow
from clayline.dataset.terms import check_count, check_flag, check_kind
from clayline.likeness.examples import Given
from clayline.likeness.instruments import Instruments
from clayline.likeness.probe import Probe
from clayline.likeness.taking_part import Filters
from clayline.outputs.region import Region
from clayline.table.chips import ChipTable

MOST: Final = 100_000
"""Chips that are asked for at once."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Where:
    """Which chips take part, beside place and time."""

    instrument: str | None = None
    """A satellite's (``s2a-msi-l2a``), or a family's (``s2-msi-l2a``); None: the examples' families."""
    across_instruments: bool = False
    """Whether chips of several families are compared."""
    filters: Filters = field(default_factory=Filters)
    with_examples: bool = False
    """Whether the examples may be in the answer."""

    def __post_init__(self) -> None:
        """Refuse other kinds of things. Raises DatasetError."""
        check_kind(self.filters, Filters, name="filters")
        check_flag(self.with_examples, name="with_examples")
        _ = self.instruments  # which checks its own

    @property
    def instruments(self) -> Instruments:
        """What is asked of instruments."""
        return Instruments(named=self.instrument, across=self.across_instruments)


@dataclass(frozen=True, kw_only=True, slots=True)
class How:
    """In which way it is looked."""

    model_folder: Path | None = None
    """Whose ``statistics.json`` has the centre, where it is of the examples' model; None: the bundled starter's, where
    that is at hand. Of another model the dataset's own centre is taken."""
    exact: bool = False
    """Whether every vector is read, though there are bits to begin with."""
    explain: bool = False
    """Whether the answer says which files were read, and why the others were not: that reads the whole index."""

    def __post_init__(self) -> None:
        """Refuse other kinds of things. Raises DatasetError."""
        if self.model_folder is not None:
            check_kind(self.model_folder, Path, name="model_folder", give="a pathlib.Path, or nothing (None)")
        check_flag(self.exact, name="exact")
        check_flag(self.explain, name="explain")


EVERYWHERE: Final = Where()
TWO_STAGES: Final = How()


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked4Likeness:
    """What is looked for, and where."""

    like: tuple[Given, ...]
    unlike: tuple[Given, ...] = ()
    count: int = 10
    region: Region | None = None
    span: Span = field(default_factory=Span)
    model: str | None = None
    where: Where = EVERYWHERE
    how: How = TWO_STAGES

    def __post_init__(self) -> None:
        """Refuse other kinds of things, and a number of chips that none can be. Raises DatasetError."""
        check_count(self.count, name="count", most=MOST)
        check_kind(self.where, Where, name="where")
        check_kind(self.how, How, name="how")
        model_of(self.model)


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """The chips that are most alike, and what the answer rests on."""

    table: ChipTable
    """Best first: ``score`` (-1 to 1), ``uci``, ``cell``, ``datetime``, ``instrument``, fractions, ``loss``,
    ``source_url``, ``index``, ``scene``, ``revision``, ``geometry``, ``bbox``."""
    token: str
    digest: str
    """Of the examples' model."""
    probe: Probe | None
    """None: vectors had no centre, for no chip took part, and neither card nor codebook has one."""
    like: tuple[Exemplar, ...]
    unlike: tuple[Exemplar, ...]
    looked_through: int
    """Chips of the model that met the place and the time."""
    left_out: Mapping[str, int]
    """Chips that were not ranked, by reason; none where it is empty."""
    by_bits: int
    """Of the chips looked through, those that were by their bits first."""
    candidates: int | None
    """Chips whose vectors were read after their bits; None: no tiers were used."""
    nothing: str | None
    """Why the table has no row, a sentence; None: it has some."""
    scenes: Mapping[tuple[str, int], SceneRow]
    """The index's rows by scene and revision: where the provenance of a chip lies."""
    figures: Figures
    """What it took."""
    explanation: Explanation | None
    """Where it was asked for."""
