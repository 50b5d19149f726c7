"""``clayline backfill``: the list is made, counted, kept in the work bucket, and sent by the stack's state machine."""

import json
import tempfile
import time
from pathlib import Path
from typing import IO, Any, Final

from clayline.errors import shown
from clayline_cli.backfilling.backfill_options import BackfillOptions
from clayline_cli.backfilling.execution import Backfill, State
from clayline_cli.backfilling.messages import Messages
from clayline_cli.backfilling.sample import Sample, take
from clayline_cli.backfilling.sheet import Tally, write_sheet
from clayline_cli.backfilling.sources import open_source
from clayline_cli.backfilling.stack import listed, make_ready, output
from clayline_cli.console import Console
from clayline_cli.errors import CommandError
from clayline_cli.operating.running import Running, find
from clayline_cli.staging.remote import Remote
from clayline_local.stopping import stoppable

LOOK_EVERY: Final = 5.0
"""Seconds between two looks at how far a backfill is."""


def backfill(options: BackfillOptions, console: Console) -> int:
    """Do what was asked for; gives the exit status. Raises ClaylineError, Stopped."""
    with stoppable():
        running = find(options.where)
        if options.made:
            found = Backfill.find(running, options.made)
            make_ready(running)
            return _told(found, _done(found, options), options, console)
        with tempfile.TemporaryDirectory(prefix="clayline-") as folder:
            return _begin(running, Path(folder), options, console)


def _done(found: Backfill, options: BackfillOptions) -> State:
    if options.resume:
        return found.start(ahead=options.ahead, pause=options.pause)
    return found.stop() if options.stop else found.state()


def _begin(running: Running, scratch: Path, options: BackfillOptions, console: Console) -> int:
    source = str(options.source)
    remote = Remote(running.client("s3"), request_payer=options.request_payer)
    opened = open_source(source, remote, scratch=scratch)
    console.notice(f"reading {source} ({opened.kind})")
    messages = Messages(
        name=options.name or "dry-run",
        sender=output(running, "Backfill"),
        scenes_bucket=output(running, "ScenesBucket"),
        allowed_buckets=frozenset(listed(running, "AllowedBuckets")),
        item_prefix=running.parameters.get("ItemPrefix", ""),
        cog_prefix=running.parameters.get("CogPrefix", "cog/"),
        only=options.only,
    )
    with (scratch / "list.json").open("w+b") as sheet:
        tally = write_sheet(opened.found, messages, sheet, sample=options.sample if options.dry_run else 0)
        if not tally.scenes:
            raise CommandError(f"{source} names nothing that would start a scene of the {running.name}.{_left(tally)}")
        if options.dry_run:
            return _tried(tally, opened.kind, running, options, console)
        sheet.seek(0)
        return _sent(tally, opened.kind, sheet, running, options, console)


def _sent(
    tally: Tally, kind: str, sheet: IO[bytes], running: Running, options: BackfillOptions, console: Console
) -> int:
    record = {"source": options.source, "source_kind": kind, "digest": tally.digest, **tally.values()}
    make_ready(running)
    found = Backfill.make(running, str(options.name), sheet, record)
    return _told(found, found.start(ahead=options.ahead, pause=options.pause), options, console)


def _tried(tally: Tally, kind: str, running: Running, options: BackfillOptions, console: Console) -> int:
    chosen = tally.sample.taken()
    sample = take(chosen, tally.scenes, options, running, console) if chosen else None
    values = {"dry_run": True, "source": options.source, "source_kind": kind, **tally.values()}
    if options.json:
        print(json.dumps({**values, "cost": sample.values() if sample else None}), flush=True)
    else:
        print(shown("\n".join(_lines(tally, kind, sample))), flush=True)
    return 1 if sample and sample.refused else 0


def _lines(tally: Tally, kind: str, sample: Sample | None) -> list[str]:
    lines = [f"{tally.scenes:,} scene(s) by {kind}, {tally.bytes:,} bytes that land, {tally.batches:,} batch(es)"]
    lines += [f"not sent: {each.count:,} ({each.bytes:,} bytes), such as {each.example}: it {why}"
              for why, each in tally.left.items()]  # fmt: skip
    if sample is None:
        return [*lines, "cost: not estimated"]
    lines.append(f"cost: estimated from {len(sample.told)} of them, of which {len(sample.refused)} would be refused")
    if sample.cost:
        work, dollars = sample.cost["work"], sample.values()["all_scenes"]
        lines.append(f"  a scene has {work['chips']:,.0f} chips in {work['batches']:,.1f} batches")
        endpoint = "unknown" if dollars["endpoint"] is None else f"${dollars['endpoint']:,.4f}"
        lines.append(f"  all: beside the endpoint ${dollars['beside_endpoint']:,.4f}, on {sample.instance} {endpoint}")
    return lines


def _left(tally: Tally) -> str:
    return "".join(f" {each.count:,} such as {each.example}: it {why}." for why, each in tally.left.items())


def _told(found: Backfill, state: State, options: BackfillOptions, console: Console) -> int:
    """Tell how far it is, at once or when it has ended."""
    said: State | None = None
    while options.watch and not state.has_ended and state.status != "NOT_STARTED":
        if state != said:
            console.notice(_line(found, state))
            said = state
        time.sleep(LOOK_EVERY)
        state = found.state()
    if options.json:
        print(json.dumps(_values(found, state)), flush=True)
    else:
        print(shown(_line(found, state)), flush=True)
    if (state.status in {"SUCCEEDED", "RUNNING", "PENDING_REDRIVE"} and not state.batches["failed"]) or options.stop:
        return 0
    console.warn(shown(f"{found.name} is {state.status}{f': {state.error}' if state.error else ''}. --resume goes on."))
    return 1


def _values(found: Backfill, state: State) -> dict[str, Any]:
    record = {name: found.record[name] for name in ("name", "source", "source_kind", "scenes", "bytes", "passed_over")}
    return {
        **record,
        "status": state.status,
        "batches": dict(state.batches),
        "execution": state.execution,
        "error": state.error,
    }


def _line(found: Backfill, state: State) -> str:
    batches = state.batches
    return (
        f"{found.name}: {state.status}, {batches['sent']:,} of {batches['total']:,} batch(es)"
        f" ({found.record['scenes']:,} scene(s)) on the scene queue"
    )
