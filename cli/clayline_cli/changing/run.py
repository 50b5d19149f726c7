"""``clayline change``: by the Python API, then told, written and drawn."""

import json
from pathlib import Path
from typing import Any

from clayline.api.centres import statistics_of
from clayline.api.changing import Changed
from clayline.dataset.figures import asked_values, told_together
from clayline.errors import counted, shown
from clayline.likeness.pairing import Limits
from clayline.model.statistics import STATISTICS_FILE, FolderStatistics
from clayline.run.prices import built_in
from clayline.table.changes import FORMAT
from clayline.table.exports import export
from clayline_cli.asking.explained import explained
from clayline_cli.asking.opening import new_file, opened_place, tell_unindexed
from clayline_cli.changing.options import ChangeOptions
from clayline_cli.changing.picture import draw
from clayline_cli.changing.telling import paragraph, values
from clayline_cli.console import Console
from clayline_cli.errors import CommandError


def change(options: ChangeOptions, console: Console) -> int:
    """Compare, and give the exit status: 1 where nothing could be compared, or a file could not be read.

    Raises ClaylineError, OSError.
    """
    for name, path in (("--out", options.out), ("--picture", options.picture)):
        if path is not None:
            new_file(path, option=name)
    dataset = opened_place(options.root, profile=options.profile, region=options.region)
    missing = tell_unindexed(dataset, console)
    limits = Limits(
        valid_least=options.valid_least, cloud_most=options.cloud_most, cloud_known=options.cloud_known
    )  # fmt: skip
    asked: dict[str, Any] = {"box": options.box, "dates": options.dates, "model": options.model}
    found = dataset.change(
        **asked,
        limits=limits,
        across_instruments=options.across_instruments,
        statistics=_statistics(options),
        explain=options.explain,
    )
    said = {
        "format": FORMAT,
        "root": dataset.uri,
        **{name: value for name, value in asked.items() if value},
        "across_instruments": options.across_instruments,
        "cloud_most": options.cloud_most,
        "cloud_known": options.cloud_known,
        "valid_least": options.valid_least,
        **values(found),
        "unindexed": missing,
    }
    if options.out is not None:
        export([found.table], found.table.schema, options.out, form="geoparquet", scenes=(), said=said)
    drawn = options.picture if found.table.num_rows else None
    if drawn is not None:
        draw(found, drawn, uri=dataset.uri)
    elif options.picture is not None:
        console.warn(f"nothing lies there, so there is nothing to draw: no {options.picture}")
    _tell(found, said, options, drawn)
    for lost in found.lost:
        console.warn(shown(f"could not be read, and is no part of the answer: {lost.key}: {lost.message}"))
    if not found.compared:
        console.warn("nothing was compared: this says nothing of whether anything changed")
    return 1 if found.lost or not found.compared else 0


def _tell(found: Changed, said: dict[str, Any], options: ChangeOptions, drawn: Path | None) -> None:
    """Tell the answer, and which files were written."""
    if options.json:
        more: dict[str, Any] = {"most_changed": values(found, top=options.top)["most_changed"]}
        more |= {name: str(path) for name, path in (("out", options.out), ("picture", drawn)) if path is not None}
        if found.explanation and found.asked:
            more["explain"] = {**found.explanation.values(), **asked_values(found.asked, built_in())}
        print(json.dumps({**said, **more}), flush=True)
    else:
        print(shown(paragraph(found, top=options.top)), flush=True)
        if options.out is not None:
            print(shown(f"{counted(found.table.num_rows, 'row')} in {options.out}"), flush=True)
        if drawn is not None:
            print(shown(f"a map in {drawn}"), flush=True)
        if found.explanation and found.asked:
            print(shown(explained(found.explanation)), flush=True)
            print(told_together(found.asked, built_in()), flush=True)


def _statistics(options: ChangeOptions) -> FolderStatistics:
    """Raises CommandError for a folder without statistics, DatasetError for what is none."""
    found = statistics_of(options.folder)
    if found is None:
        msg = (
            f"--model-folder {options.folder} has no {STATISTICS_FILE}: `make statistics` measures it. Or leave"
            " --model-folder away: then the dataset centres the vectors, unless they are the bundled starter's."
        )
        raise CommandError(msg)
    return found
