"""Examples of a search: each is found in the dataset, and gives its vector."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from clayline.api.index import Index
from clayline.api.planning import sources
from clayline.dataset.asking import Span, model_of
from clayline.dataset.choosing import Chosen
from clayline.dataset.ports import Root
from clayline.dataset.scene_row import Box, SceneRow, flat_boxes
from clayline.dataset.terms import check_kind
from clayline.errors import DatasetError, counted, digest_shown
from clayline.likeness.centring import Centre
from clayline.likeness.examples import ByCell, ByIdentifier, ByPlace, Computed, Facts, Given
from clayline.likeness.instruments import Instruments
from clayline.likeness.probe import Probe
from clayline.likeness.taking_part import Filters, why_left_out
from clayline.outputs.region import Region
from clayline.table.chips import ChipTable
from clayline.table.ranking import LOOKED_AT, newest, rows_meant, vectors_of
from clayline.table.streaming import look, open_files, pieces, result_schema, shaped, stream

_ROUNDING: Final = 1e-3
"""Of a vector's length: so far apart are two of one chip, computed twice, at most."""
_COLUMNS = (*LOOKED_AT, "scene", "revision")


@dataclass(frozen=True, kw_only=True)
class Exemplar:
    """An example with its vector."""

    said: str
    """As it was given."""
    name: str
    """Identifier of the chip; what was given where it is of no dataset."""
    token: str
    digest: str
    """Of the model's entry."""
    instrument: str
    vector: NDArray[np.float32]
    """[D]."""
    scene: SceneRow | None = None
    """The index's row of its scene; None where it is of no dataset."""
    index: int | None = None
    """Of its window in the scene's grid."""
    facts: Facts | None = None
    """What filters and a box look at; None where nobody says."""


@dataclass(frozen=True, kw_only=True)
class Examples:
    """Finds them."""

    root: Root
    index: Index
    filters: Filters
    """Which chips may stand for a cell or a point."""
    model: str | None
    """Token, perhaps with a digest."""
    instruments: Instruments
    """Whose they may be."""

    def __post_init__(self) -> None:
        """Refuse other kinds of things. Raises DatasetError."""
        check_kind(self.filters, Filters, name="filters")
        check_kind(self.instruments, Instruments, name="instruments")
        model_of(self.model)

    def find(self, like: Sequence[Given], unlike: Sequence[Given]) -> tuple[tuple[Exemplar, ...], tuple[Exemplar, ...]]:
        """Give them, each chip once. Raises DatasetError for one that is not there, for those of several models or
        instruments, and for a chip that is given as both.
        """
        if not like:
            msg = "nothing says what to look for: give at least one example that is like it (like, `--like`)."
            if unlike:
                msg = (
                    "counter-examples alone say nothing of what to look for: give at least one example that is like it"
                    " as well (like, `--like`)."
                )
            raise DatasetError(msg)
        model = self._model([*like, *unlike])
        standing = self.instruments.standing(_told([*like, *unlike]))
        found = [self._one(each, model, standing) for each in (*like, *unlike)]
        models = sorted({(each.token, each.digest) for each in found})
        if len(models) > 1:
            listed = ", ".join(f"{token}@{digest_shown(digest)}" for token, digest in models)
            msg = (
                f"the examples are of {len(models)} models ({listed}), which are never compared. Take examples of one,"
                " or name the model that is meant (model, `--model`)."
            )
            raise DatasetError(msg)
        self.instruments.taking_part(each.instrument for each in found)
        once = _by_name(found)
        positive, negative = (
            dict.fromkeys(each.name for each in part) for part in (found[: len(like)], found[len(like) :])
        )
        if both := positive.keys() & negative.keys():
            msg = (
                f"example {min(both)} is given as like it and as not (like, unlike; `--like`, `--unlike`): it can be"
                " one. Leave it out of one of the two."
            )
            raise DatasetError(msg)
        return tuple(once[name] for name in positive), tuple(once[name] for name in negative)

    def _model(self, given: Iterable[Given]) -> str | None:
        """Give the model that is meant, as far as it is said. Raises DatasetError for several."""
        said = {each.parts.model for each in given if isinstance(each, ByIdentifier)}
        said |= {f"{each.token}@{each.digest}" for each in given if isinstance(each, Computed)}
        tokens = {each.partition("@")[0] for each in said}
        named = (self.model or "").partition("@")[0]
        if len(tokens | ({named} if named else set())) > 1:
            listed = ", ".join(sorted(tokens | ({named} if named else set())))
            msg = f"examples and model are of several models ({listed}), which are never compared. Take those of one."
            raise DatasetError(msg)
        return self.model or max(said, key=len, default=None)

    def _one(self, given: Given, model: str | None, standing: frozenset[str] | None) -> Exemplar:
        if isinstance(given, Computed):
            vector = np.asarray(given.vector, dtype=np.float32)
            self._finite(given.text, vector)
            return Exemplar(
                said=given.text, name=given.text, token=given.token, digest=given.digest,
                instrument=given.instrument, vector=vector, facts=given.facts,
            )  # fmt: skip
        span = Span()
        if isinstance(given, ByIdentifier):
            span = Span(start=given.days[0], end=given.days[1])
        region = _region(given.around)
        chosen = self.index.choose(region, span, model=model, every_revision=False)
        if isinstance(given, ByIdentifier):
            table, left_out = self._rows(given, chosen, region, span)
            if not len(table):  # its chip may lie elsewhere than it says
                everywhere = self.index.choose(None, span, model=model, every_revision=False)
                table, left_out = self._rows(given, everywhere, None, span)
                chosen = everywhere if len(table) else chosen
        else:
            table, left_out = self._rows_standing(given, chosen, region, standing)
        if not len(table):
            raise DatasetError(self._why(given, chosen, left_out))
        if isinstance(given, ByIdentifier):
            _check_one(given.text, table)
        row = newest(table, (given.lon, given.lat) if isinstance(given, ByPlace) else None)
        key = (row["scene"], row["revision"])
        [scene] = [each for each in chosen.newest if (each.scene, each.revision) == key]
        return self._exemplar(given.text, row, scene)

    def _rows_standing(
        self, given: ByCell | ByPlace, chosen: Chosen, region: Region | None, standing: frozenset[str] | None
    ) -> tuple[ChipTable, Mapping[str, int]]:
        """Give the rows of the instruments that may stand for a piece of ground, and how many others are left out."""
        if standing is None:
            return self._rows(given, chosen, region, Span())
        may, others = (
            replace(chosen, newest=tuple(row for row in chosen.newest if (row.instrument in standing) == is_one))
            for is_one in (True, False)
        )
        table, left_out = self._rows(given, may, region, Span())
        if len(table) or not others.newest:
            return table, left_out
        of_others, filtered = self._rows(given, others, region, Span())
        count = len(of_others) + sum(filtered.values())
        return table, {**left_out, "instrument": count} if count else left_out

    def _rows(
        self, given: Given, chosen: Chosen, region: Region | None, span: Span
    ) -> tuple[ChipTable, Mapping[str, int]]:
        """Give the rows that are meant, and how many more the filters leave out, by reason."""
        wanted = sources(self.index.manifest, chosen, region, span)
        files = open_files(self.root, wanted)
        schema = result_schema(files, _COLUMNS)
        found = (
            shaped(each, schema)
            for each in stream(self.root, look(self.root, pieces(self.root, wanted, files, list(LOOKED_AT))))
        )
        if isinstance(given, ByIdentifier):
            return rows_meant(found, schema, name=given.text)
        return rows_meant(found, schema, cell=given.text if isinstance(given, ByCell) else None, filters=self.filters)

    def _why(self, given: Given, chosen: Chosen, left_out: Mapping[str, int]) -> str:
        if left_out:
            return (
                f"example {given.text}: the filters leave out its {counted(sum(left_out.values()), 'chip')}:"
                f" {why_left_out(left_out)}. Name one by its identifier, or ask for less."
            )
        of = f" of the model {chosen.token}" if chosen.token else ""
        if not chosen.newest:
            then = f" of {given.days[0]:%Y-%m-%d}" if isinstance(given, ByIdentifier) else ""
            if isinstance(given, ByIdentifier) and given.days[0].date() != given.days[1].date():
                then = f" of {given.days[0]:%Y-%m-%d} to {given.days[1]:%Y-%m-%d}"
            return f"example {given.text}: {self.index.called} has no scene{of}{then} there. Give one that is in it."
        kind = {ByIdentifier: "with this identifier", ByCell: "of this cell", ByPlace: "on this point"}[type(given)]
        return (
            f"example {given.text}: none of {self.index.called} has a chip{of} {kind}, though"
            f" {counted(len(chosen.newest), 'scene lies', 'scenes lie')} there. Take a name from the column uci or cell"
            " of its files."
        )

    def _exemplar(self, said: str, row: Mapping[str, Any], scene: SceneRow) -> Exemplar:
        vector = np.asarray(row["embeddings"], dtype=np.float32)
        self._finite(said, vector)
        return Exemplar(
            said=said,
            name=row["uci"],
            token=scene.token,
            digest=scene.digest,
            instrument=scene.instrument,
            vector=vector,
            scene=scene,
            index=row["index"],
            facts=Facts(
                valid=row["valid_fraction"], cloud=row["cloud_fraction"], loss=row["loss"], footprint=row["geometry"]
            ),
        )

    @staticmethod
    def _finite(said: str, vector: NDArray[np.float32]) -> None:
        if not np.isfinite(vector).all():
            msg = f"example {said}: its vector is not finite. Take another; `clayline verify` names all such chips."
            raise DatasetError(msg)


def _check_one(name: str, table: ChipTable) -> None:
    """Raises DatasetError for an identifier of chips of several scenes that are not the same vector."""
    vectors = vectors_of(table)
    if not any(_differ(vectors[0], each) for each in vectors[1:]):
        return
    scenes: Any = table.select(["scene", "valid_fraction"]).to_pylist()
    listed = ", ".join(f"{each['scene']} ({each['valid_fraction']:.0%} valid)" for each in scenes)
    msg = (
        f"example {name}: chips of {len(scenes)} scenes have this identifier and different vectors: {listed}. Name its"
        " place (longitude and latitude), which stands for one that takes part, or cut the chip of the imagery that is"
        " meant (FILE@LON,LAT)."
    )
    raise DatasetError(msg)


def _told(given: Iterable[Given]) -> list[str]:
    """Give the instruments of those that say theirs: a cell or a place is of any."""
    return [
        each.instrument if isinstance(each, Computed) else each.parts.instrument
        for each in given
        if isinstance(each, Computed | ByIdentifier)
    ]


def _by_name(found: Iterable[Exemplar]) -> dict[str, Exemplar]:
    """Give each chip once, be it named as itself and as its place. Raises DatasetError for a name of two vectors."""
    once: dict[str, Exemplar] = {}
    for each in found:
        first = once.setdefault(each.name, each)
        if first.scene is None and each.scene is None and _differ(first.vector, each.vector):
            msg = f"two examples are called {each.name} and have different vectors. Give each a text of its own."
            raise DatasetError(msg)
    return once


def _differ(one: NDArray[np.float32], other: NDArray[np.float32]) -> bool:
    return one.shape != other.shape or bool(np.linalg.norm(one - other) > _ROUNDING * np.linalg.norm(one))


def _region(around: tuple[float, float, float, float] | None) -> Region | None:
    """Give where an example lies: near a pole, also more than half of the globe wide, which nobody may ask for."""
    if around is None:
        return None
    west, south, east, north = around
    return Region.of_boxes(flat_boxes(Box(west=west, south=south, east=east, north=north)))


def probe_of(like: Sequence[Exemplar], unlike: Sequence[Exemplar], centre: Centre, *, linear: bool = False) -> Probe:
    """Make what is looked for of examples of one model: their mean, or ``linear``, what separates them.

    Raises DatasetError as ``Probe`` does.
    """
    vectors = [
        np.stack([each.vector for each in part]) if part else np.empty((0, centre.dimensions), np.float32)
        for part in (like, unlike)
    ]
    make = Probe.of_separation if linear else Probe.of_examples
    return make(*vectors, token=like[0].token, digest=like[0].digest, centre=centre)
