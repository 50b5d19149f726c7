"""What ``clayline watch`` says on standard output."""

import json
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC
from typing import Any

from clayline.dataset.ports import Root
from clayline.errors import counted, digest_shown
from clayline.likeness.matching import LeftOut
from clayline.likeness.rehearsal import Rehearsal, threshold_text
from clayline.likeness.taking_part import why_left_out
from clayline.likeness.watch import Removed, Watch, version_key
from clayline.likeness.watchbook import Damaged
from clayline.scene.instrument_family import named_by
from clayline_cli.watching.options import TestOptions

_MOST_SCENES = 20


def tell_added(watch: Watch, root: Root, left_out: LeftOut, standing: Mapping[str, str], *, as_json: bool) -> None:
    """Tell one that was kept just now, and as JSON which of its own examples it leaves out.

    ``standing`` are examples that stand for something: a place or a cell, as it was given, by identifier.
    """
    tell_watch(watch, root, as_json=as_json, more={"examples_left_out": left_out}, standing=standing)


def outside_of_box(watch: Watch, left_out: LeftOut) -> str:
    """Say that examples lie outside of the box, as they may."""
    return f"its box leaves out {_whose(watch, left_out['box'])}: as meant, if it is to look elsewhere"


def never_matched(watch: Watch, left_out: LeftOut) -> str | None:
    """Say which examples the filters leave out; None where they leave out none."""
    counts = {reason: len(names) for reason, names in left_out.items() if reason != "box"}
    names = [name for reason, found in left_out.items() if reason != "box" for name in found]
    if not names:
        return None
    return (
        f"no scene like {_whose(watch, names)} can match: the filters leave out {why_left_out(counts)}."
        " Ask for less, or take other examples."
    )


def _whose(watch: Watch, names: Sequence[str]) -> str:
    """Name an example, of several the first."""
    if len(watch.like) == 1:
        return f"its example {names[0]}"
    return f"{len(names)} of its {len(watch.like)} examples ({names[0]}{', ...' if len(names) > 1 else ''})"


type History = tuple[Sequence[Watch | Removed | Damaged], int]
"""Versions, the newest first, and how many more there are."""


def tell_watch(
    watch: Watch,
    root: Root,
    *,
    as_json: bool,
    more: Mapping[str, Any] | None = None,
    standing: Mapping[str, str] | None = None,
    history: History | None = None,
) -> None:
    """Tell one watch, without the numbers of its probe; ``more`` is added to its JSON."""
    uri = f"{root.uri}/{version_key(watch.name, watch.version)}"
    if as_json:
        versions = {} if history is None else {"versions": [_version(each) for each in history[0]]}
        print(json.dumps({**_plain(watch), "uri": uri, **versions, **(more or {})}), flush=True)
        return
    like, unlike = f"{len(watch.like)} like it", f"{len(watch.unlike)} not"
    made = "a linear separation" if watch.kind == "linear" else "the examples' mean"
    print(f"{watch.name} v{watch.version:03d}  {uri}")
    print(f"  looks for   {made} ({like}, {unlike}), centred by {watch.probe.centred_by}")
    print(f"  model       {watch.probe.token} {digest_shown(watch.probe.digest)}")
    print(f"  instruments {_instruments(watch)}")
    print(f"  calls at    {_threshold(watch)}")
    print(f"  where       {_where(watch)}; {_filters(watch)}")
    for kind, names in (("like", watch.like), ("unlike", watch.unlike)):
        for name in names:
            said = (standing or {}).get(name)
            print(f"  {kind:<11} {name}{f' for {said}' if said else ''}")
    _tell_versions(history or ((), 0))


def _tell_versions(history: History) -> None:
    versions, older = history
    for each in versions:
        said = _version(each)
        when = f"  {said['created'][:16].replace('T', ' ')} UTC" if said["created"] else ""
        what = said["state"] if not isinstance(each, Watch) else f"{_threshold(each)}, {_where(each)}; {_filters(each)}"
        print(f"  version     v{each.version:03d}{when}  {what}")
    if older:
        print(f"              and {older:,} older")
    sys.stdout.flush()


def _version(version: Watch | Removed | Damaged) -> dict[str, Any]:
    """Give what tells one version from another."""
    if isinstance(version, Damaged):
        return {"version": version.version, "created": None, "state": "damaged", "why": version.why}
    created = version.created.astimezone(UTC).isoformat()
    if isinstance(version, Removed):
        return {"version": version.version, "created": created, "state": "removed"}
    state = "draft" if version.threshold is None else "calls"
    names = {"threshold", "box", "valid_least", "cloud_most", "loss_most"}
    filters = version.model_dump(mode="json", include=names)
    return {"version": version.version, "created": created, "state": state, **filters}


def tell_list(watches: Sequence[Watch], *, as_json: bool) -> None:
    """Tell all, a line each."""
    for watch in watches:
        if as_json:
            print(json.dumps(_plain(watch)), flush=True)
        else:
            print(f"{watch.name:<24} v{watch.version:03d}  {_threshold(watch):<8} {watch.probe.token}  {_where(watch)}")
    if not watches and not as_json:
        print("no watches")


def tell_test(watch: Watch, found: Rehearsal, root: Root, options: TestOptions, *, unindexed: int | None) -> None:
    """Tell how often a watch would have called: by the options' threshold, else its own, else the proposed one.

    ``unindexed`` are scenes that the index lacks, as far as that is known.
    """
    proposed = found.proposed()
    used = next((each for each in (options.threshold, watch.threshold, proposed) if each is not None), None)
    calls = {} if used is None else found.calls(used)
    months = {} if used is None else found.months(used)
    if options.json:
        told = {
            "watch": watch.name,
            "version": watch.version,
            "scenes": len(found.scenes),
            "looked_at": len(found.looked_at),
            "scored": found.scored,
            "left_out": found.left_out,
            "scores": found.quantiles,
            "threshold": used,
            "calls": calls,
            "months": {month: list(both) for month, both in months.items()},
            "proposed": proposed,
            "at_most": found.at_most,
            "few_scenes": found.few_scenes,
            "scenes_needed": found.scenes_needed,
            "unindexed": unindexed,
        }
        print(json.dumps(told), flush=True)
        return
    left_out = ", ".join(f"{name} {count:,}" for name, count in found.left_out.items()) or "none"
    over = f"{watch.name} v{watch.version:03d} over {root.uri}"
    if not found.scenes:
        print(f"{over}: {_no_scene(watch, options.time)}, so nothing can be said of a threshold", flush=True)
        return
    when = f" of {options.time}" if options.time else ""
    print(f"{over}: {len(found.looked_at)} of {counted(len(found.scenes), 'scene')}{when} looked at")
    print(f"  {counted(found.scored, 'chip')} scored; left out: {left_out}")
    if used is None or proposed is None:
        print("  no chip took part, so nothing can be said of a threshold", flush=True)
        return
    print("  scores      " + ", ".join(f"{name} {value:.3f}" for name, value in found.quantiles.items()))
    scenes = counted(len(found.looked_at), "scene")
    print(f"  at {threshold_text(used)} it would have called for {len(calls)} of {scenes}:")
    for month, (called, looked_at) in months.items():
        print(f"    {month}  {called} of {looked_at}")
    best = {each.scene: each.best for each in found.scenes}
    for scene, count in sorted(calls.items(), key=lambda each: -each[1])[:_MOST_SCENES]:
        print(f"    {scene}: {counted(count, 'chip')}, the best {best[scene]}")
    print(
        f"  proposed: --threshold {threshold_text(proposed)}, at which {len(found.calls(proposed))} of {scenes} would"
        f" have called (asked for: at most {found.at_most:.4g} of them, or one)",
        flush=True,
    )


def _no_scene(watch: Watch, time: str | None) -> str:
    """Say that there was no scene to look at, and what was asked of it: the model, the box, the time."""
    met = [f"its box {_where(watch)}"] if watch.box is not None else []
    met += [f"the time {time}"] if time else []
    return f"no scene of {watch.probe.token} meets {' and '.join(met)}" if met else f"no scene of {watch.probe.token}"


def few_scenes(found: Rehearsal) -> str | None:
    """Say that a proposed threshold stands on few scenes; None where it does not, or there is none."""
    if found.proposed() is None or not found.few_scenes:
        return None
    count = len(found.looked_at)
    on = "one scene" if count == 1 else f"{count} scenes"
    return (
        f"the proposed threshold stands on {on}, and should on {found.scenes_needed} or more: it tells the best chips"
        " of these from each other, and not what is looked for from everything else. Look at what matched, and test"
        " again when more has landed."
    )


def _plain(watch: Watch) -> dict[str, Any]:
    found: dict[str, Any] = watch.model_dump(mode="json", exclude={"probe"})
    probe = watch.probe
    families = None if watch.families is None else list(watch.families)
    return {
        **found,
        "instrument_families": families,
        "token": probe.token,
        "digest": probe.digest,
        "centred_by": probe.centred_by,
    }


def _instruments(watch: Watch) -> str:
    """Name the families that are looked at, and the satellites of each that has several."""
    if watch.families is None:
        return "any"
    satellites = {family: sorted(named_by([family]) - {family}) for family in watch.families}
    return ", ".join(f"{family} ({', '.join(own)})" if own else family for family, own in satellites.items())


def _threshold(watch: Watch) -> str:
    return "draft" if watch.threshold is None else threshold_text(watch.threshold)


def _where(watch: Watch) -> str:
    return "everywhere" if watch.box is None else ",".join(f"{each:g}" for each in watch.box)


def _filters(watch: Watch) -> str:
    said = [f"valid >= {watch.valid_least:g}"]
    said += [f"cloud <= {watch.cloud_most:g}"] if watch.cloud_most is not None else []
    said += [f"loss <= {watch.loss_most:g}"] if watch.loss_most is not None else []
    return ", ".join(said)
