"""``clayline watch``: what each of its words does."""

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from shlex import quote

from clayline.api.centres import statistics_of
from clayline.api.dataset import Dataset
from clayline.api.exemplars import probe_of
from clayline.api.opening import dataset_at
from clayline.api.rehearsing import rehearse
from clayline.dataset.ports import WritableRoot
from clayline.errors import DatasetError, shown
from clayline.likeness.examples import Computed, Facts
from clayline.likeness.instruments import Instruments
from clayline.likeness.matching import examples_left_out
from clayline.likeness.taking_part import VALID_LEAST, Filters
from clayline.likeness.watch import Watch, check_threshold, version_key
from clayline.likeness.watchbook import find, history, put_next, read_newest, remove
from clayline_cli.asking.imagery import given
from clayline_cli.asking.opening import root_at, tell_unindexed
from clayline_cli.console import Console
from clayline_cli.kept.folder import unused
from clayline_cli.watching.options import TestOptions, WatchOptions
from clayline_cli.watching.telling import (
    few_scenes,
    never_matched,
    outside_of_box,
    tell_added,
    tell_list,
    tell_test,
    tell_watch,
)

type _Made = tuple[Callable[[int], Watch], Mapping[str, Facts], Mapping[str, str]]
"""What makes a version by its number, what is known of its examples, and as what those were given that are named
otherwise: as a place, or a cell."""


def watch(options: WatchOptions, console: Console) -> int:
    """Do what was asked; gives the exit status. Raises ClaylineError."""
    root = root_at(options.root, profile=options.profile, region=options.region)
    if isinstance(options, TestOptions):
        return _test(root, options, console)
    doings: dict[str, Callable[[WritableRoot, WatchOptions, Console], int]] = {
        "add": _add, "list": _list, "show": _show, "remove": _remove,
    }  # fmt: skip
    changes = options.doing in {"add", "remove"} and not options.root.startswith("s3://")
    with unused(Path(options.root)) if changes else nullcontext():
        return doings[options.doing](root, options, console)


def _add(root: WritableRoot, options: WatchOptions, console: Console) -> int:
    check_threshold(options.threshold)  # before imagery is embedded
    made = _made_of_examples(root, options, console) if options.like else _taken_over(root, options, console)
    make, facts, standing = made
    kept = put_next(root, options.name, make)
    assert isinstance(kept, Watch)  # noqa: S101 - both make one
    left_out = examples_left_out(kept, facts)
    tell_added(kept, root, left_out, standing, as_json=options.json)
    if "box" in left_out:
        console.notice(outside_of_box(kept, left_out))
    if why := never_matched(kept, left_out):
        console.warn(why)
    if kept.threshold is None:
        console.notice(
            f"a draft, which calls nobody: `clayline watch test {kept.name} {quote(root.uri)}` proposes a threshold"
        )
    return 0


def _made_of_examples(root: WritableRoot, options: WatchOptions, console: Console) -> _Made:
    filters = Filters(
        valid_least=VALID_LEAST if options.valid_least is None else options.valid_least,
        cloud_most=options.cloud_most,
        loss_most=options.loss_most,
    )
    imagery = options.imagery
    assert imagery is not None  # noqa: S101 - `add` has it
    given_like, given_unlike = (
        [given(text, imagery, console, valid_least=filters.valid_least).given for text in texts]
        for texts in (options.like, options.unlike)
    )
    # A watch may be there before the first scene: then all that is known of the model is the folder's.
    is_told = all(isinstance(each, Computed) for each in (*given_like, *given_unlike))
    dataset = Dataset(root) if is_told else dataset_at(root)
    if not is_told:
        tell_unindexed(dataset, console)
    like, unlike = dataset.examples(
        given_like,
        given_unlike,
        model=options.model,
        filters=filters,
        instruments=Instruments(across=options.across_instruments),
    )
    token, digest = like[0].token, like[0].digest
    statistics = statistics_of(options.model_folder)
    centre = dataset.centre(token, digest, statistics=statistics, filters=filters)
    probe = probe_of(like, unlike, centre, linear=options.linear)
    instruments = tuple(sorted({each.instrument for each in (*like, *unlike)}))
    now = datetime.now(UTC)

    def make(version: int) -> Watch:
        return Watch(
            name=options.name,
            version=version,
            created=now,
            kind="linear" if options.linear else "mean",
            probe=probe.stored(),
            threshold=options.threshold,
            box=options.box,
            instruments=None if options.across_instruments else instruments,
            valid_least=filters.valid_least,
            cloud_most=options.cloud_most,
            loss_most=options.loss_most,
            like=tuple(each.name for each in like),
            unlike=tuple(each.name for each in unlike),
        )

    standing = {each.name: each.said for each in (*like, *unlike) if each.said != each.name}
    return make, {each.name: each.facts for each in like if each.facts}, standing


def _taken_over(root: WritableRoot, options: WatchOptions, console: Console) -> _Made:
    """Take the probe of the newest version, and whatever is not given anew."""
    before = read_newest(root, options.name)
    names = ("threshold", "box", "valid_least", "cloud_most", "loss_most")
    changed = {name: value for name in names if (value := getattr(options, name)) is not None}
    changed |= dict.fromkeys(options.taken_back)
    now = datetime.now(UTC)
    facts = _facts(root, before, console) if set(changed) - {"threshold"} else {}
    return lambda version: before.model_copy(update={**changed, "version": version, "created": now}), facts, {}


def _facts(root: WritableRoot, watch: Watch, console: Console) -> Mapping[str, Facts]:
    """Give what filters look at of a watch's examples, as far as they lie under the root."""
    found: dict[str, Facts] = {}
    unknown: list[str] = []
    try:
        dataset = dataset_at(root)
        for name in watch.like:
            try:
                [example], _ = dataset.examples([name], model=f"{watch.probe.token}@{watch.probe.digest}")
                found |= {name: example.facts} if example.facts else {}
            except DatasetError as error:
                unknown.append(str(error))
    except DatasetError as error:  # there is no scene yet
        unknown.append(str(error))
    if unknown:
        console.notice(shown(f"whether its own examples are left out is not known of all: {unknown[0]}"))
    return found


def _list(root: WritableRoot, options: WatchOptions, console: Console) -> int:
    found = find(root)
    tell_list(found.watches, as_json=options.json)
    for _, error in sorted(found.damaged.items()):
        console.warn(shown(str(error)))
    return 1 if found.damaged else 0


def _show(root: WritableRoot, options: WatchOptions, console: Console) -> int:  # noqa: ARG001 - as the others
    found = read_newest(root, options.name)
    tell_watch(found, root, as_json=options.json, history=history(root, options.name))
    return 0


def _remove(root: WritableRoot, options: WatchOptions, console: Console) -> int:  # noqa: ARG001 - as the others
    gone = remove(root, options.name, now=datetime.now(UTC))
    key = version_key(gone.name, gone.version)
    print(gone.model_dump_json() if options.json else f"{gone.name} calls nobody any more: {root.uri}/{key}")
    return 0


def _test(root: WritableRoot, options: TestOptions, console: Console) -> int:
    kept = read_newest(root, options.name)
    dataset = dataset_at(root)
    missing = tell_unindexed(dataset, console)
    found = rehearse(dataset, kept, time=options.time, at_most=options.at_most)
    tell_test(kept, found, root, options, unindexed=missing)
    if why := few_scenes(found):
        console.warn(why)
    return 0
