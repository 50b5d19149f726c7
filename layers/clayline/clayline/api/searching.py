"""Where else it looks like this: examples become a probe, and chips are ranked by it (docs/search.md)."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Final

from clayline.api.centres import centre_of, read_codebook, statistics_of
from clayline.api.exemplars import Examples, Exemplar, probe_of
from clayline.api.explaining import MEANT, Explanation, Meant, explain, scenes_by_reason
from clayline.api.index import Index
from clayline.api.planning import sources
from clayline.api.search_terms import Asked4Likeness, Found
from clayline.api.two_stages import COLUMNS, ChipReader, WithBits, candidates_of, with_bits
from clayline.dataset.choosing import Chosen
from clayline.dataset.codebook import Codebook
from clayline.dataset.counted import CountedRoot, Meter
from clayline.dataset.figures import Figures
from clayline.errors import counted, digest_shown
from clayline.likeness.centring import Centre
from clayline.likeness.probe import Probe
from clayline.likeness.signs import Signs
from clayline.likeness.taking_part import why_left_out
from clayline.model.starter import starter_folder
from clayline.table.chips import ChipTable
from clayline.table.ranking import BestRows, Judge, as_answered, no_rows, said_of
from clayline.table.streaming import Source, result_schema

_PASSED_OVER: Final = {
    "place": "outside of the place (box, `--bbox`)",
    "time": "of another time (time, `--time`)",
    "instrument": "of another instrument (instrument, `--instrument`; across_instruments, `--across-instruments`)",
    MEANT: "that lie around it with none of their chips on it",
}


class Search:
    """One search."""

    def __init__(self, root: CountedRoot, index: Index, asked: Asked4Likeness) -> None:
        """Take the place, its index and what is asked."""
        self._root = root
        self._index = index
        self._asked = asked
        self._meter = Meter(root=root)
        self._reader = ChipReader(root=root, meter=self._meter)

    def find(self) -> Found:
        """Give the answer, be it that no chip takes part. Raises DatasetError, TransientError."""
        asked = self._asked
        if asked.how.explain:
            self._root.follow()
        self._meter.of("index", lambda: self._index.snapshot)
        like, unlike = self._meter.of("chips", self._examples)
        token, digest = like[0].token, like[0].digest
        model = f"{token}@{digest}"
        chosen = self._meter.of(
            "index", lambda: self._index.choose(asked.region, asked.span, model=model, every_revision=False)
        )
        judge = Judge(
            filters=asked.where.filters,
            without=frozenset() if asked.where.with_examples else frozenset(each.name for each in (*like, *unlike)),
        )
        instruments = asked.where.instruments.taking_part(each.instrument for each in (*like, *unlike))
        chosen = _of_instruments(chosen, instruments, judge)
        every = sources(self._index.manifest, chosen, asked.region, asked.span)
        codebook = self._codebook(chosen, digest)
        centre = self._centre(every, codebook[1] if codebook else None, judge, token=token, digest=digest)
        probe = probe_of(like, unlike, centre) if centre else None
        table, by_bits, candidates = (
            self._ranked(probe, every, codebook, judge) if probe else (no_rows(result_schema([], COLUMNS)), 0, None)
        )
        scenes = {(row.scene, row.revision): row for row in chosen.newest}
        meant = Meant(model=model, region=asked.region, span=asked.span, instruments=instruments)
        answered = as_answered(table, {key: row.instrument for key, row in scenes.items()})
        return Found(
            table=answered,
            token=token,
            digest=digest,
            probe=probe,
            like=like,
            unlike=unlike,
            looked_through=judge.looked_through,
            left_out=said_of(judge.left_out),
            by_bits=by_bits,
            candidates=candidates,
            nothing=None if len(answered) else self._nothing(meant, judge),
            scenes=scenes,
            figures=self._figures(chosen, len(every)),
            explanation=self._explanation(meant) if asked.how.explain else None,
        )

    def _examples(self) -> tuple[tuple[Exemplar, ...], tuple[Exemplar, ...]]:
        asked = self._asked
        where = asked.where
        return Examples(
            root=self._root, index=self._index, filters=where.filters, model=asked.model, instruments=where.instruments
        ).find(asked.like, asked.unlike)

    def _codebook(self, chosen: Chosen, digest: str) -> tuple[str, Codebook] | None:
        """Read that of the probe's model by which most of the chosen squares' files have bits, and where it lies."""
        squares = {row.partition for row in chosen.newest if row.compacted}
        hrefs = Counter(
            tier.codebook
            for file in self._index.manifest.files
            if file.partition in squares and (tier := file.tiers.get("bits"))
        )
        for href, _ in sorted(hrefs.items(), key=lambda each: (-each[1], each[0])):
            codebook = self._meter.of("index", partial(read_codebook, self._root, href))
            if (codebook.token, codebook.digest) == (chosen.token, digest):
                return href, codebook
        return None

    def _centre(
        self, every: Sequence[Source], codebook: Codebook | None, judge: Judge, *, token: str, digest: str
    ) -> Centre | None:
        """Give the first that there is; None where no chip takes part, and then ``judge`` knows why."""
        own = Judge(filters=self._asked.where.filters)

        def of_rows() -> Centre | None:
            total, count = self._reader.sum(every, own)
            return Centre.of_rows(total, count, name=self._root.uri) if count else None

        found = centre_of(
            token,
            digest,
            statistics=statistics_of(self._asked.how.model_folder or starter_folder()),
            codebook=lambda: codebook,
            rows=of_rows,
        )
        if found is None:
            judge.looked_through += own.looked_through
            judge.left_out += own.left_out
        return found

    def _ranked(
        self, probe: Probe, every: list[Source], codebook: tuple[str, Codebook] | None, judge: Judge
    ) -> tuple[ChipTable, int, int | None]:
        """Give the best, how many chips were looked through by their bits, and how many of these were candidates."""
        best = BestRows(probe=probe, count=self._asked.count)
        tiered, rest = self._divided(every, codebook[0] if codebook else None)
        if codebook is None or not tiered:
            return best.table(self._reader.exact(rest, judge, best)), 0, None
        candidates, schema = self._reader.two_stages(tiered, Signs.of(probe, codebook[1]), judge, best)
        by_bits = judge.looked_through
        if rest:
            schema = self._reader.exact(rest, judge, best)
        return best.table(schema), by_bits, candidates

    def _divided(self, every: list[Source], codebook: str | None) -> tuple[list[WithBits], list[Source]]:
        """Give the files that are read in two stages, and all else."""
        asked = self._asked
        if codebook is None or asked.how.exact or asked.where.filters.loss_most is not None:
            return [], every
        tiered, rest = with_bits(self._index.manifest, every, codebook)
        rows = sum(each.file.rows for each in tiered)
        return (tiered, rest) if candidates_of(rows, count=asked.count) < rows else ([], every)

    def _nothing(self, meant: Meant, judge: Judge) -> str:
        """Say why no chip is left: by filters, else because no scene, or no chip of them, meets what is asked."""
        token, _, digest = str(meant.model).partition("@")
        model = f"{token}@{digest_shown(digest)}"
        if judge.looked_through:
            chips = counted(judge.looked_through, "chip")
            return f"of {chips} of {model} none takes part: {why_left_out(judge.left_out)}."
        scenes = scenes_by_reason(self._index, meant)
        every = counted(sum(scenes.values()) - scenes["model"], "scene")
        why = ", ".join(f"{scenes[name]:,} {text}" for name, text in _PASSED_OVER.items() if scenes[name])
        return f"of {every} of {model} in {self._index.called} no chip meets what is asked: {why}. Ask wider."

    def _explanation(self, meant: Meant) -> Explanation:
        return explain(self._index, meant, self._root.by_key, stages=self._reader.stages, other="examples")

    def _figures(self, chosen: Chosen, files: int) -> Figures:
        spent = self._meter.spent
        return Figures(
            **{kind: spent[kind] for kind in ("index", "footers", "places", "chips")},
            scenes=len(chosen.newest),
            files=files,
            row_groups=self._reader.row_groups,
            measured=True,
        )


def _of_instruments(chosen: Chosen, instruments: frozenset[str] | None, judge: Judge) -> Chosen:
    if instruments is None:
        return chosen
    kept = tuple(row for row in chosen.newest if row.instrument in instruments)
    if others := sum(row.rows for row in chosen.newest) - sum(row.rows for row in kept):
        judge.left_out["instrument"] += others
    return replace(chosen, newest=kept)
