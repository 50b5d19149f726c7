"""``clayline search``: examples, then the chips that are most like them."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from clayline.api.dataset import Dataset
from clayline.api.opening import open_place, open_scene_files
from clayline.api.searching import Found, How, Where
from clayline.aws.reading import reading_client
from clayline.errors import shown
from clayline.likeness.examples import Example, Given, OfImagery, example_of
from clayline.likeness.taking_part import Filters
from clayline.table.exports import export
from clayline_cli.asking.opening import new_file
from clayline_cli.errors import CommandError
from clayline_cli.searching.bucket import ask_bucket
from clayline_cli.searching.options import SearchOptions
from clayline_cli.searching.telling import feature_collection, page, rows_of, summary

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def search(options: SearchOptions) -> int:
    """Find what is asked for and tell or write it; gives the exit status. Raises ClaylineError."""
    out = new_file(options.out) if options.out else None
    dataset = _open(options)
    if options.s3_vectors:
        return ask_bucket(options, dataset)
    found = dataset.search(
        [_given(example_of(each)) for each in options.like],
        [_given(example_of(each)) for each in options.unlike],
        count=options.count,
        box=options.bbox,
        time=options.time,
        model=options.model,
        where=Where(
            instrument=options.instrument,
            across_instruments=options.across_instruments,
            filters=Filters(valid_least=options.min_valid, cloud_most=options.max_cloud, loss_most=options.max_loss),
            with_examples=options.with_examples,
        ),
        how=How(model_folder=options.model_folder, exact=options.exact),
    )
    if out is not None:
        _write(found, options, dataset, out)
    if options.json:
        said = {} if out is None else {"out": str(out)}
        print(json.dumps({**summary(found), **said, "chips": rows_of(found)}), flush=True)
    else:
        print(shown(page(found, valid_least=options.min_valid)), flush=True)
        if out is not None:
            print(f"{len(found.table):,} chips in {out}", flush=True)
    return 0


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


def _given(example: Example) -> Given:
    if not isinstance(example, OfImagery):
        return example
    msg = f"example {example.text} is imagery, which is not taken yet: embed it first (`clayline embed`)."
    raise CommandError(msg)


def _write(found: Found, options: SearchOptions, dataset: Dataset, out: Path) -> None:
    if options.form == "geoparquet":
        said = {"root": dataset.uri, **summary(found)}
        export([found.table], found.table.schema, out, form="geoparquet", scenes=(), said=said)
        return
    with _whole(out) as partial:
        partial.write_text(feature_collection(found), encoding="utf-8")


@contextmanager
def _whole(out: Path) -> Iterator[Path]:
    """Lend a name beside ``out`` until the file is whole."""
    partial = out.with_name(f"{out.name}.partial")
    try:
        yield partial
        partial.rename(out)
    finally:
        partial.unlink(missing_ok=True)
