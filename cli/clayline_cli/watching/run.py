"""``clayline watch``: what each of its words does."""

from collections.abc import Callable
from datetime import UTC, datetime

from clayline.api.centres import centre_of
from clayline.api.dataset import Dataset
from clayline.api.examples import look_up
from clayline.api.opening import root_of
from clayline.api.rehearsing import rehearse
from clayline.aws.reading import reading_client
from clayline.dataset.ports import WritableRoot
from clayline.errors import shown
from clayline.likeness.probe import Probe
from clayline.likeness.taking_part import VALID_LEAST
from clayline.likeness.watch import Watch, version_key
from clayline.likeness.watchbook import find, put_next, read_newest, remove
from clayline.model.statistics import STATISTICS_FILE, FolderStatistics, read_statistics
from clayline_cli.console import Console
from clayline_cli.watching.options import TestOptions, WatchOptions
from clayline_cli.watching.telling import tell_list, tell_test, tell_watch
from clayline_local.repository import STARTER


def watch(options: WatchOptions, console: Console) -> int:
    """Do what was asked; gives the exit status. Raises ClaylineError."""
    root = _root(options)
    if isinstance(options, TestOptions):
        return _test(root, options)
    doings: dict[str, Callable[[WritableRoot, WatchOptions, Console], int]] = {
        "add": _add, "list": _list, "show": _show, "remove": _remove,
    }  # fmt: skip
    return doings[options.doing](root, options, console)


def _add(root: WritableRoot, options: WatchOptions, console: Console) -> int:
    make = _made_of_examples(root, options) if options.like else _taken_over(root, options)
    kept = put_next(root, options.name, make)
    assert isinstance(kept, Watch)  # noqa: S101 - both make one
    tell_watch(kept, root, as_json=options.json)
    if kept.threshold is None:
        console.notice(
            f"a draft, which calls nobody: `clayline watch test {kept.name} {root.uri}` proposes a threshold"
        )
    return 0


def _made_of_examples(root: WritableRoot, options: WatchOptions) -> Callable[[int], Watch]:
    dataset = Dataset(root)
    found = look_up(dataset, [*options.like, *options.unlike])
    like, unlike = tuple(dict.fromkeys(options.like)), tuple(dict.fromkeys(options.unlike))
    centre = centre_of(dataset, root, token=found.token, digest=found.digest, statistics=_statistics(options))
    vectors = found.vectors[: len(like)], found.vectors[len(like) :]
    make_probe = Probe.of_separation if options.linear else Probe.of_examples
    probe = make_probe(*vectors, token=found.token, digest=found.digest, centre=centre)
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
            instruments=None if options.across_instruments else found.instruments,
            valid_least=VALID_LEAST if options.valid_least is None else options.valid_least,
            cloud_most=options.cloud_most,
            loss_most=options.loss_most,
            like=like,
            unlike=unlike,
        )

    return make


def _taken_over(root: WritableRoot, options: WatchOptions) -> Callable[[int], Watch]:
    """Take the probe of the newest version, and whatever is not given anew."""
    before = read_newest(root, options.name)
    names = ("threshold", "box", "valid_least", "cloud_most", "loss_most")
    changed = {name: value for name in names if (value := getattr(options, name)) is not None}
    now = datetime.now(UTC)
    return lambda version: before.model_copy(update={**changed, "version": version, "created": now})


def _statistics(options: WatchOptions) -> FolderStatistics | None:
    path = (options.model_folder or STARTER) / STATISTICS_FILE
    if not path.is_file():
        return None
    return read_statistics(path.read_bytes(), source=str(path))


def _list(root: WritableRoot, options: WatchOptions, console: Console) -> int:
    found = find(root)
    tell_list(found.watches, as_json=options.json)
    for _, error in sorted(found.damaged.items()):
        console.warn(shown(str(error)))
    return 1 if found.damaged else 0


def _show(root: WritableRoot, options: WatchOptions, console: Console) -> int:  # noqa: ARG001 - as the others
    tell_watch(read_newest(root, options.name), root, as_json=options.json)
    return 0


def _remove(root: WritableRoot, options: WatchOptions, console: Console) -> int:  # noqa: ARG001 - as the others
    gone = remove(root, options.name, now=datetime.now(UTC))
    key = version_key(gone.name, gone.version)
    print(gone.model_dump_json() if options.json else f"{gone.name} calls nobody any more: {root.uri}/{key}")
    return 0


def _test(root: WritableRoot, options: TestOptions) -> int:
    kept = read_newest(root, options.name)
    found = rehearse(Dataset(root), kept, time=options.time, at_most=options.at_most)
    tell_test(kept, found, root, threshold=options.threshold, as_json=options.json)
    return 0


def _root(options: WatchOptions) -> WritableRoot:
    if not options.root.startswith("s3://"):
        return root_of(options.root)
    return root_of(options.root, client=reading_client(profile=options.profile, region=options.region))
