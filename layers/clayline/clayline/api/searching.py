"""Where else it looks like this: examples become a probe, and chips are ranked by it (docs/search.md)."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from clayline.api.centres import centre_of, statistics_of
from clayline.api.exemplars import Examples, Exemplar
from clayline.api.index import Index
from clayline.api.planning import sources
from clayline.dataset.asking import Span
from clayline.dataset.choosing import Chosen
from clayline.dataset.codebook import Codebook
from clayline.dataset.counted import Asked, CountedRoot
from clayline.dataset.figures import Figures
from clayline.dataset.scene_row import SceneRow
from clayline.errors import DatasetError
from clayline.likeness.centring import Centre
from clayline.likeness.examples import Given
from clayline.likeness.probe import Probe
from clayline.likeness.signs import Candidates, Signs
from clayline.likeness.taking_part import Filters
from clayline.outputs.region import Region
from clayline.ports import ObjectMissingError
from clayline.table.bit_stage import Tiered, choose_by_bits, open_tiered, read_candidates
from clayline.table.chips import ChipSchema, ChipTable
from clayline.table.ranged import FileAt
from clayline.table.ranking import LOOKED_AT, BestRows, Judge, as_answered, said_of, sum_of
from clayline.table.selecting import Selected, Wanted
from clayline.table.streaming import Source, look, open_files, pieces, result_schema, shaped, stream

SHARE: Final = 0.01
"""Of the rows, those that the bits leave for the second stage."""
LEAST_CANDIDATES: Final = 1000
"""Whatever their share is: of a small dataset all are."""
MOST: Final = 100_000
"""Chips that are asked for at once."""
_MOST_CODEBOOK: Final = 64 * 1024 * 1024
_COLUMNS: Final = (*LOOKED_AT, "scene", "revision")


@dataclass(frozen=True, kw_only=True, slots=True)
class Where:
    """Which chips take part, beside place and time."""

    instrument: str | None = None
    """Token; None: those of the examples."""
    across_instruments: bool = False
    """Whether chips of several are compared."""
    filters: Filters = field(default_factory=Filters)
    with_examples: bool = False
    """Whether the examples may be in the answer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class How:
    """In which way it is looked."""

    model_folder: Path | None = None
    """Whose ``statistics.json`` has the centre, where it is of the examples' model; None: the dataset's own."""
    exact: bool = False
    """Whether every vector is read, though there are bits to begin with."""


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


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """The chips that are most alike, and what the answer rests on."""

    table: ChipTable
    """Best first: ``score`` (-1 to 1), ``uci``, ``cell``, ``datetime``, ``instrument``, fractions, ``loss``,
    ``source_url``, ``index``, ``scene``, ``revision``, ``geometry``, ``bbox``."""
    probe: Probe
    like: tuple[Exemplar, ...]
    unlike: tuple[Exemplar, ...]
    looked_through: int
    """Chips of the model that met the place and the time."""
    left_out: Mapping[str, int]
    """Chips that were not ranked, by reason; none where it is empty."""
    candidates: int | None
    """Chips whose vectors were read after their bits; None: no tiers were used."""
    scenes: Mapping[tuple[str, int], SceneRow]
    """The index's rows by scene and revision: where the provenance of a chip lies."""
    figures: Figures
    """What it took."""


class Search:
    """One search."""

    def __init__(self, root: CountedRoot, index: Index, asked: Asked4Likeness) -> None:
        """Take the place, its index and what is asked. Raises DatasetError for what cannot be asked."""
        if not 1 <= asked.count <= MOST:
            msg = f"{asked.count} chips cannot be asked for: 1 to {MOST:,} are possible."
            raise DatasetError(msg)
        self._root = root
        self._index = index
        self._asked = asked
        self._spent = {kind: Asked() for kind in ("index", "footers", "places", "chips")}

    def find(self) -> Found:
        """Give the answer. Raises DatasetError, TransientError."""
        asked = self._asked
        like, unlike = self._timed("chips", self._examples)
        model = f"{like[0].token}@{like[0].digest}"
        chosen = self._timed(
            "index", lambda: self._index.choose(asked.region, asked.span, model=model, every_revision=False)
        )
        if not chosen.newest:
            msg = f"no scene of the model {model[:60]} in {self._root.uri} meets the place and the time: ask wider."
            raise DatasetError(msg)
        judge = Judge(
            filters=asked.where.filters,
            without=frozenset() if asked.where.with_examples else frozenset(each.name for each in (*like, *unlike)),
        )
        chosen = self._of_instruments(chosen, [*like, *unlike], judge)
        codebook = self._codebook(chosen, like[0].digest)
        probe = self._probe(like, unlike, codebook[1] if codebook else None, chosen)
        tiered, rest = self._sources(chosen, codebook[0] if codebook else None)
        best = BestRows(probe=probe, count=asked.count)
        candidates = (
            self._two_stages(tiered, Signs.of(probe, codebook[1]), judge, best) if codebook and tiered else None
        )
        schema = self._exact(rest, judge, best, schema_of=tiered)
        table = best.table(schema)
        scenes = {(row.scene, row.revision): row for row in chosen.newest}
        return Found(
            table=as_answered(table, {key: row.instrument for key, row in scenes.items()}),
            probe=probe,
            like=like,
            unlike=unlike,
            looked_through=judge.looked_through,
            left_out=said_of(judge.left_out),
            candidates=candidates,
            scenes=scenes,
            figures=self._figures(chosen, len(tiered) + len(rest)),
        )

    def _examples(self) -> tuple[tuple[Exemplar, ...], tuple[Exemplar, ...]]:
        asked = self._asked
        examples = Examples(root=self._root, index=self._index, filters=asked.where.filters, model=asked.model)
        return examples.find(asked.like, asked.unlike)

    def _of_instruments(self, chosen: Chosen, examples: Sequence[Exemplar], judge: Judge) -> Chosen:
        asked = self._asked
        wanted = {asked.where.instrument} if asked.where.instrument else {each.instrument for each in examples}
        if not asked.where.across_instruments and len({each.instrument for each in examples} | wanted) > 1:
            listed = ", ".join(sorted({each.instrument for each in examples} | wanted))
            msg = (
                f"examples and what is looked through are of several instruments ({listed}), whose chips are seldom"
                " alike. Ask of one, or allow it with across_instruments (`--across-instruments`)."
            )
            raise DatasetError(msg)
        if asked.where.across_instruments and not asked.where.instrument:
            return chosen
        kept = tuple(row for row in chosen.newest if row.instrument in wanted)
        if others := sum(row.rows for row in chosen.newest) - sum(row.rows for row in kept):
            judge.left_out["instrument"] += others
        return replace(chosen, newest=kept)

    def _codebook(self, chosen: Chosen, digest: str) -> tuple[str, Codebook] | None:
        """Read that of the probe's model by which most of the chosen squares' files have bits, and where it lies."""
        squares = {row.partition for row in chosen.newest if row.compacted}
        hrefs = Counter(
            tier.codebook
            for file in self._index.manifest.files
            if file.partition in squares and (tier := file.tiers.get("bits"))
        )
        for href, _ in sorted(hrefs.items(), key=lambda each: (-each[1], each[0])):
            try:
                content, _ = self._timed("index", partial(self._root.get, href, most=_MOST_CODEBOOK))
            except ObjectMissingError as error:
                msg = f"{error}: the dataset was changed since it was opened. Open it again (`refresh()`)."
                raise DatasetError(msg) from error
            codebook = Codebook.parse(content, uri=f"{self._root.uri}/{href}")
            if (codebook.token, codebook.digest) == (chosen.token, digest):
                return href, codebook
        return None

    def _probe(
        self,
        like: Sequence[Exemplar],
        unlike: Sequence[Exemplar],
        codebook: Codebook | None,
        chosen: Chosen,
    ) -> Probe:
        token, digest = like[0].token, like[0].digest
        statistics = statistics_of(self._asked.how.model_folder)
        centre = centre_of(
            token, digest, statistics=statistics, codebook=lambda: codebook, rows=lambda: self._of_rows(chosen)
        )
        positive = np.stack([each.vector for each in like])
        negative = np.stack([each.vector for each in unlike]) if unlike else None
        return Probe.of_examples(positive, negative, token=token, digest=digest, centre=centre)

    def _of_rows(self, chosen: Chosen) -> Centre:
        wanted = sources(self._index.manifest, chosen, self._asked.region, self._asked.span)
        judge = Judge(filters=self._asked.where.filters)
        found, schema = self._rows(wanted)
        total, count = sum_of((shaped(each, schema) for each in found), judge)
        return Centre.of_rows(total, count, name=self._root.uri)

    def _sources(
        self, chosen: Chosen, codebook: str | None
    ) -> tuple[list[tuple[FileAt, FileAt, Wanted]], list[Source]]:
        """Give the squares' files that have bits to begin with, and all else."""
        asked = self._asked
        every = sources(self._index.manifest, chosen, asked.region, asked.span)
        files = {file.file.href: file for file in self._index.manifest.files}
        tiered, rest = [], []
        for source in every:
            file = files.get(source.at.key)
            tier = file.tiers.get("bits") if file else None
            if (
                tier is None
                or tier.codebook != codebook
                or asked.how.exact
                or asked.where.filters.loss_most is not None
            ):
                rest.append(source)
                continue
            bits = FileAt(key=tier.file.href, size=tier.file.size, rows=tier.file.rows)
            tiered.append((source.at, bits, source.wanted))
        rows = sum(at.rows for at, _, _ in tiered)
        if self._candidates(rows) < rows:
            return tiered, rest
        return [], every

    def _candidates(self, rows: int) -> int:
        return max(LEAST_CANDIDATES, 20 * self._asked.count, int(SHARE * rows))

    def _two_stages(
        self,
        found: Sequence[tuple[FileAt, FileAt, Wanted]],
        signs: Signs,
        judge: Judge,
        best: BestRows,
    ) -> int:
        tiered = self._timed("footers", lambda: open_tiered(self._root, found))
        wanted = Candidates(signs=signs, count=self._candidates(sum(each.file.at.rows for each in tiered)))
        numbers = self._timed("places", lambda: choose_by_bits(self._root, tiered, judge, wanted))
        again = Judge(filters=Filters(valid_least=0))
        schema = result_schema([each.file for each in tiered], _COLUMNS)
        self._timed("chips", lambda: self._second(tiered, numbers, again, best, schema))
        judge.left_out["not-finite"] += again.left_out["not-finite"]
        return len(numbers)

    def _second(
        self,
        tiered: Sequence[Tiered],
        numbers: NDArray[np.int64],
        judge: Judge,
        best: BestRows,
        schema: ChipSchema,
    ) -> None:
        for selected in read_candidates(self._root, tiered, numbers, _COLUMNS):
            best.add(judge.take(shaped(selected, schema)))

    def _exact(self, wanted: Sequence[Source], judge: Judge, best: BestRows, *, schema_of: Any) -> ChipSchema:  # noqa: ANN401
        found, schema = self._rows(wanted)
        before = self._root.asked
        for selected in found:
            best.add(judge.take(shaped(selected, schema)))
        self._spent["chips"] += self._root.asked - before
        if wanted or not schema_of:
            return schema
        return result_schema(open_files(self._root, [Source(at=schema_of[0][0], wanted=schema_of[0][2])]), _COLUMNS)

    def _rows(self, wanted: Sequence[Source]) -> tuple[Iterator[Selected], ChipSchema]:
        files = self._timed("footers", lambda: open_files(self._root, wanted))
        parts = self._timed("places", lambda: look(self._root, pieces(self._root, wanted, files, [*LOOKED_AT])))
        return stream(self._root, parts), result_schema(files, _COLUMNS)

    def _timed[Result](self, kind: str, work: Callable[[], Result]) -> Result:
        """Do it, and count what it asks for."""
        before = self._root.asked
        result = work()
        self._spent[kind] += self._root.asked - before
        return result

    def _figures(self, chosen: Chosen, files: int) -> Figures:
        return Figures(**self._spent, scenes=len(chosen.newest), files=files, row_groups=0, measured=True)
