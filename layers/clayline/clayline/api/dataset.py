"""A dataset that is open: what it has, what a reading takes, and chips as tables."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from clayline.api.centres import centre_of, codebook_of, known_statistics
from clayline.api.changing import Change, Changed, span_over, spans_of
from clayline.api.comparing import Terms
from clayline.api.exemplars import Examples, Exemplar
from clayline.api.explaining import Meant, explain_change
from clayline.api.given import GivenExamples, all_given
from clayline.api.index import Index
from clayline.api.planning import Chips, Plan, region_of, sources
from clayline.api.sampling import Sampled, resolved, targets, why_missing
from clayline.api.search_terms import EVERYWHERE, TWO_STAGES, Asked4Likeness, Found, How, Where
from clayline.api.searching import Search
from clayline.api.unindexed import unindexed
from clayline.dataset.asking import Asked4, AskedTime, Revisions, Span, columns_of, every_revision, model_of
from clayline.dataset.counted import CountedRoot
from clayline.dataset.figures import Figures
from clayline.dataset.points import of_values
from clayline.dataset.ports import Root
from clayline.dataset.scene_row import Box, SceneRow
from clayline.dataset.terms import check_flag, check_kind
from clayline.errors import DatasetError
from clayline.likeness.centring import Centre
from clayline.likeness.instruments import OF_EXAMPLES, Instruments
from clayline.likeness.pairing import Limits
from clayline.likeness.taking_part import USUAL, Filters
from clayline.model.statistics import FolderStatistics
from clayline.outputs.region import Region
from clayline.ports import ObjectMissingError
from clayline.table.chips import ChipTable
from clayline.table.joining import at_points, joined, nearest_rows
from clayline.table.lone_files import Unread
from clayline.table.ranking import FILTERED, Judge, sum_of
from clayline.table.scene_header import read_scene_header
from clayline.table.streaming import Source, look, open_files, pieces, result_schema, shaped, stream

if TYPE_CHECKING:
    import geopandas


class Dataset:
    """Scenes of one root as one table, as they were when it was opened or last refreshed.

    What is read of it once (the index) is kept; whoever holds it for longer than the dataset's grace period (a day)
    calls ``refresh``. Errors: DatasetError for what cannot be answered or is damaged, TransientError for what a retry
    may cure.
    """

    def __init__(self, root: Root, *, rows: Sequence[SceneRow] | None = None, unread: Sequence[Unread] = ()) -> None:
        """Take the place, of which nothing is read yet; without an index ``rows``, and files that give none."""
        self._root = CountedRoot(root)
        self._rows = rows
        self._unread = unread
        self.refresh()
        self._figures: Figures | None = None

    @property
    def uri(self) -> str:
        """Where it lies."""
        return self._root.uri

    @property
    def figures(self) -> Figures | None:
        """What the last reading took, once it has come to its end."""
        return self._figures

    def refresh(self) -> None:
        """Forget what was read of the index: the next call sees the dataset as it is then."""
        self._index = Index(self._root, rows=self._rows, unread=self._unread)

    def unindexed(self) -> tuple[str, ...]:
        """Give the keys of scenes' files that the index does not have yet: no question sees them. Lists the root."""
        return () if self._rows is not None else unindexed(self._root)

    def scenes(
        self,
        *,
        box: Asked4 | Box | None = None,
        time: AskedTime = None,
        model: str | None = None,
        revisions: Revisions = "newest",
    ) -> list[SceneRow]:
        """Give the index's rows of scenes that meet a box (degrees: west, south, east, north) and a time, of every
        model unless one is named.
        """
        chosen = self._index.choose(
            region_of(box), Span.of(time), model=model_of(model), every_revision=every_revision(revisions), mixed=True
        )
        return [*chosen.newest, *chosen.older]

    def explain(
        self,
        *,
        box: Asked4 | Box | None = None,
        time: AskedTime = None,
        model: str | None = None,
        columns: Sequence[str] | None = None,
        revisions: Revisions = "newest",
    ) -> Figures:
        """Give what ``read`` of the same would take, to the byte. Reads the index and the files' footers."""
        return self._plan(region_of(box), Span.of(time), model, columns, revisions).foretold

    def read(
        self,
        *,
        box: Asked4 | Box | None = None,
        time: AskedTime = None,
        model: str | None = None,
        columns: Sequence[str] | None = None,
        revisions: Revisions = "newest",
    ) -> ChipTable:
        """Give the chips whose footprint meets a box, at a time, of one model: a ``pyarrow.Table`` of docs/schema.md's
        columns, or of those named, with ``scene`` and ``revision``.
        """
        plan = self._plan(region_of(box), Span.of(time), model, columns, revisions)
        return joined(self._stream(plan), plan.schema)

    def batches(
        self,
        *,
        box: Asked4 | Box | None = None,
        time: AskedTime = None,
        model: str | None = None,
        columns: Sequence[str] | None = None,
        revisions: Revisions = "newest",
    ) -> Chips:
        """Give the same chips as ``read``, a row group at a time: memory holds some row groups, however many rows."""
        plan = self._plan(region_of(box), Span.of(time), model, columns, revisions)
        return Chips(plan=plan, tables=self._stream(plan))

    def read_geo(
        self,
        *,
        box: Asked4 | Box | None = None,
        time: AskedTime = None,
        model: str | None = None,
        columns: Sequence[str] | None = None,
        revisions: Revisions = "newest",
    ) -> "geopandas.GeoDataFrame":
        """Give the same chips as a GeoDataFrame in OGC:CRS84, without the column ``bbox``."""
        try:
            import geopandas  # noqa: PLC0415 - a second of imports, which nobody else needs
        except ImportError as error:
            msg = "a GeoDataFrame needs the package geopandas, which is not installed here: `pip install geopandas`."
            raise DatasetError(msg) from error
        asked = columns_of(columns)
        named = None if asked is None else list(dict.fromkeys([*asked, "geometry"]))
        table = self.read(box=box, time=time, model=model, columns=named, revisions=revisions)
        shapes = geopandas.GeoSeries.from_wkb(table.column("geometry").to_pylist(), crs="OGC:CRS84")
        rest = table.drop_columns([name for name in ("geometry", "bbox") if name in table.column_names])
        return geopandas.GeoDataFrame(rest.to_pandas(), geometry=shapes)

    def sample(
        self,
        points: Iterable[Any],
        *,
        time: AskedTime = "all",
        model: str | None = None,
        columns: Sequence[str] | None = None,
    ) -> Sampled:
        """Give the chips at points: pairs of longitude and latitude, mappings with ``lon`` and ``lat``, or Points.

        ``time`` is ``"all"`` (every date), ``A/B`` (every date from A to B), ``"nearest"`` (the date nearest to each
        point's own ``datetime``), or one moment (the date nearest to it). Of the nearest date a point gets one chip:
        that whose centre is nearest. A point that has no chip is in ``missing``, with why.
        """
        asked = of_values(points)
        on_globe = [point for point in asked if point.on_globe]
        wanted = resolved(time)
        region = Region.of_points([(point.lon, point.lat) for point in on_globe])
        plan = self._plan(region, wanted.span, model, columns, "newest")
        before = self._root.asked
        found = stream(self._root, plan.pieces, each_shape=True)
        if wanted.nearest:
            lasting = {(row.scene, row.revision): row.end - row.start for row in plan.chosen.newest}
            found = nearest_rows(found, on_globe, targets(on_globe, wanted.to), lasting)
        table, numbers = at_points(found, plan.schema, on_globe)
        self._figures = plan.measured(self._root.asked - before)
        there = {id(on_globe[number]) for number in numbers}
        scenes = self._index.choose(
            region, Span(), model=model or plan.chosen.token, every_revision=False, lossy=True
        ).newest
        missing = tuple(why_missing(point, scenes, wanted.span) for point in asked if id(point) not in there)
        return Sampled(table=table, missing=missing, figures=self._figures)

    def change(
        self,
        *,
        box: Asked4 | Box | None = None,
        dates: Sequence[AskedTime] | None = None,
        model: str | None = None,
        limits: Limits | None = None,
        across_instruments: bool = False,
        statistics: FolderStatistics | None = None,
        explain: bool = False,
    ) -> Changed:
        """Compare the same cells of a box at two ``dates`` or more, each date with the next; without ``dates`` each
        cell's own dates, whichever they are (docs/change.md).

        ``limits`` says which chips are compared, ``statistics`` are the model folder's (default: the bundled
        starter's); ``explain`` tells in the answer which files were read, and why the others were not. Raises
        DatasetError also for dates out of order, and where too few chips would have to centre vectors. A file that
        cannot be read is in ``lost``, and its chips are never told as unchanged.
        """
        before = self._root.asked
        check_flag(explain, name="explain")
        terms = Terms(limits=Limits() if limits is None else limits, across_instruments=across_instruments)
        change = Change(self._root, self._index, terms=terms, statistics=known_statistics(statistics))
        region, spans = region_of(box), spans_of(dates)
        if explain:
            self._root.follow()
        found = replace(change.answer(region, spans, model_of(model)), asked=self._root.asked - before)
        if not explain:
            return found
        meant = Meant(
            model=f"{found.token}@{found.digest}" if found.token else model, region=region, span=span_over(spans)
        )
        return replace(found, explanation=explain_change(self._index, meant, self._root.by_key))

    def explain_sample(
        self,
        points: Iterable[Any],
        *,
        time: AskedTime = "all",
        model: str | None = None,
        columns: Sequence[str] | None = None,
    ) -> Figures:
        """Give what ``sample`` of the same would take, to the byte. Reads the index and the files' footers."""
        on_globe = [point for point in of_values(points) if point.on_globe]
        region = Region.of_points([(point.lon, point.lat) for point in on_globe])
        return self._plan(region, resolved(time).span, model, columns, "newest").foretold

    def search(
        self,
        like: GivenExamples,
        unlike: GivenExamples = (),
        *,
        count: int = 10,
        box: Asked4 | Box | None = None,
        time: AskedTime = None,
        model: str | None = None,
        where: Where = EVERYWHERE,
        how: How = TWO_STAGES,
    ) -> Found:
        """Give the chips that are most like some examples and least like others (docs/search.md).

        An example is an identifier, a cell, ``LON,LAT``, a pair of these numbers, or a vector that a model gave
        (``Computed``). ``where`` is which chips take part, ``how`` by what vectors are centred, and in how many stages.
        Examples themselves are not in the answer, unless it is asked for.
        """
        asked = Asked4Likeness(
            like=all_given(like, name="like"),
            unlike=all_given(unlike, name="unlike"),
            count=count,
            region=region_of(box),
            span=Span.of(time),
            model=model,
            where=where,
            how=how,
        )
        found = Search(self._root, self._index, asked).find()
        self._figures = found.figures
        return found

    def examples(
        self,
        like: GivenExamples,
        unlike: GivenExamples = (),
        *,
        model: str | None = None,
        filters: Filters = USUAL,
        instruments: Instruments = OF_EXAMPLES,
    ) -> tuple[tuple[Exemplar, ...], tuple[Exemplar, ...]]:
        """Find examples as ``search`` does, and give them with their vectors.

        ``filters`` say which chip may stand for a cell or a place. Raises DatasetError as ``search`` does.
        """
        found = Examples(root=self._root, index=self._index, filters=filters, model=model, instruments=instruments)
        return found.find(all_given(like, name="like"), all_given(unlike, name="unlike"))

    def centre(
        self, token: str, digest: str, *, statistics: FolderStatistics | None = None, filters: Filters = USUAL
    ) -> Centre:
        """Give the centre of a model's vectors (docs/likeness.md): of ``statistics`` (default: the bundled starter's),
        else of the codebook, else of every row that takes part by ``filters``, which reads all. Raises DatasetError
        also for too few rows.
        """
        check_kind(filters, Filters, name="filters")

        def of_rows() -> Centre:
            chips = self.batches(model=f"{token}@{digest}", columns=["embeddings", *FILTERED])
            total, count = sum_of(chips, Judge(filters=filters))
            return Centre.of_rows(total, count, name=f"{self.uri}, {token}")

        return centre_of(
            token,
            digest,
            statistics=known_statistics(statistics),
            codebook=lambda: codebook_of(self._root, self._index.manifest, token=token, digest=digest),
            rows=of_rows,
        )

    def provenance(self, scene: SceneRow) -> Mapping[str, Any]:
        """Read what a scene's own file says of how it came about (docs/schema.md, Provenance)."""
        try:
            return read_scene_header(self._root, self._root.head(scene.href)).provenance
        except ObjectMissingError as error:
            msg = f"{error}: the scene's own file was taken away, and with it its provenance."
            raise DatasetError(msg) from error

    def _plan(
        self,
        region: Region | None,
        span: Span,
        model: str | None,
        columns: Sequence[str] | None,
        revisions: Revisions,
    ) -> Plan:
        columns, model, older = columns_of(columns), model_of(model), every_revision(revisions)
        before = self._root.asked
        chosen = self._index.choose(region, span, model=model, every_revision=older)
        index = self._root.asked - before
        wanted: list[Source] = sources(self._index.manifest, chosen, region, span)
        before = self._root.asked
        files = open_files(self._root, wanted)
        footers = self._root.asked - before
        before = self._root.asked
        found = look(self._root, pieces(self._root, wanted, files, columns))
        return Plan(
            chosen=chosen,
            files=len({source.at.key for source in wanted}),
            pieces=tuple(found),
            schema=result_schema(files, columns),
            index=index,
            footers=footers,
            places=self._root.asked - before,
        )

    def _stream(self, plan: Plan) -> Iterator[ChipTable]:
        before = self._root.asked
        for selected in stream(self._root, plan.pieces):
            yield shaped(selected, plan.schema)
        self._figures = plan.measured(self._root.asked - before)
