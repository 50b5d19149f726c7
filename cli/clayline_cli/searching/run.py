"""``clayline search``: examples, then the chips that are most like them."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from clayline.api.dataset import Dataset
from clayline.api.opening import open_place, open_scene_files
from clayline.api.search_terms import Found, How, Where
from clayline.aws.reading import reading_client
from clayline.dataset.figures import told
from clayline.errors import counted, shown
from clayline.likeness.examples import Computed
from clayline.likeness.taking_part import Filters
from clayline.run.prices import built_in
from clayline.table.exports import export, whole_file
from clayline_cli.asking.explained import explained
from clayline_cli.asking.imagery import Asked, Looks, given, tell_outside
from clayline_cli.asking.opening import new_file, tell_unindexed
from clayline_cli.console import Console
from clayline_cli.errors import CommandError
from clayline_cli.searching.bucket import ask_bucket
from clayline_cli.searching.options import SearchOptions
from clayline_cli.searching.pictures import Places, Sheet, lacking
from clayline_cli.searching.telling import feature_collection, page, rows_of, summary

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


_MOST_NAMED: Final = 3
"""Of files that were not looked through."""


def search(options: SearchOptions, console: Console) -> int:
    """Find what is asked for and tell or write it; gives the exit status. Raises ClaylineError."""
    out = new_file(options.out) if options.out else None
    dataset = _open(options)
    missing = tell_unindexed(dataset, console)
    filters = Filters(valid_least=options.min_valid, cloud_most=options.max_cloud, loss_most=options.max_loss)
    looked_at = [
        given(each, options.imagery, console, valid_least=options.min_valid, look=options.form == "sheet")
        for each in (*options.like, *options.unlike)
    ]
    every = [each.given for each in looked_at]
    like, unlike = every[: len(options.like)], every[len(options.like) :]
    if options.s3_vectors:
        return ask_bucket(options, dataset, like, unlike, filters, console)
    found = dataset.search(
        like,
        unlike,
        count=options.count,
        box=options.bbox,
        time=options.time,
        model=options.model,
        where=Where(
            instrument=options.instrument,
            across_instruments=options.across_instruments,
            filters=filters,
            with_examples=options.with_examples,
        ),
        how=How(model_folder=options.model_folder, exact=options.exact, explain=options.explain),
    )
    if len(options.places) > 1:
        _tell_others(found, dataset, console)
    tell_outside((*found.like, *found.unlike), console, valid_least=options.min_valid)
    if out is not None:
        _write(found, options, dataset, out, console, own=_looks(looked_at))
    if options.json:
        said: dict[str, Any] = {"unindexed": missing} if out is None else {"unindexed": missing, "out": str(out)}
        if found.explanation:
            said["explain"] = {**found.explanation.values(), **found.figures.values(built_in())}
        print(json.dumps({**summary(found), **said, "chips": rows_of(found)}), flush=True)
    else:
        print(shown(page(found, valid_least=options.min_valid)), flush=True)
        if out is not None:
            print(f"{counted(len(found.table), 'chip')} in {out}", flush=True)
        if found.explanation:
            print(shown(explained(found.explanation)), flush=True)
            print(told(found.figures, built_in()), flush=True)
    return 0


def _looks(examples: Sequence[Asked]) -> dict[str, Looks]:
    """Give how examples of imagery look, by identifier: a chip that is given twice is one example."""
    return {
        each.given.text: each.looks for each in examples if isinstance(each.given, Computed) and each.looks is not None
    }


def _open(options: SearchOptions) -> Dataset:
    client: S3Client | None = None
    if any(place.startswith("s3://") for place in options.places):
        client = reading_client(profile=options.profile, region=options.region)
    if all(place.endswith(".parquet") for place in options.places):
        return open_scene_files(options.places, client=client)
    if len(options.places) > 1:
        msg = "several places were given, and not all are scene files (.parquet). Give one dataset or folder, or files."
        raise CommandError(msg)
    return open_place(options.places[0], client=client)


def _tell_others(found: Found, dataset: Dataset, console: Console) -> None:
    """Whoever names files means all of them; of a dataset it goes without saying that it has several models."""
    root = dataset.uri.rstrip("/")
    others = sorted(
        f"{root}/{row.href}" for row in dataset.scenes() if (row.token, row.digest) != (found.token, found.digest)
    )
    if others:
        named = ", ".join(others[:_MOST_NAMED]) + (" ..." if len(others) > _MOST_NAMED else "")
        console.warn(f"{counted(len(others), 'file')} of another model, not looked through: {shown(named)}")


def _write(
    found: Found,
    options: SearchOptions,
    dataset: Dataset,
    out: Path,
    console: Console,
    *,
    own: Mapping[str, Looks],
) -> None:
    if options.form == "geoparquet":
        said = {"root": dataset.uri, **summary(found)}
        export([found.table], found.table.schema, out, form="geoparquet", scenes=(), said=said)
        return
    with whole_file(out) as partial:
        if options.form == "geojson":
            partial.write_text(feature_collection(found), encoding="utf-8")
            return
        if not len(found.table):
            console.notice("no chip takes part: the sheet has the examples alone")
        buckets = frozenset(options.imagery.allow_bucket)
        places = Places(
            local=not any(place.startswith("s3://") for place in options.places),
            buckets=buckets,
            request_payer=options.imagery.request_payer,
            client=reading_client(profile=options.profile, region=options.region) if buckets else None,
        )
        picture, chips = Sheet(dataset=dataset, places=places, own=own).make(found)
        partial.write_bytes(picture)
    for why in lacking(chips):
        console.warn(shown(why))
