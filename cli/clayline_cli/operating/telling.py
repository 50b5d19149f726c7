"""What is told of runs to people: an overview, a paragraph a run, a line a run."""

from collections.abc import Iterator, Mapping, Sequence

from clayline_cli.operating.moments import iso, span
from clayline_cli.operating.overview import Overview
from clayline_cli.operating.queues import LOCAL, Depth, Endpoint
from clayline_cli.operating.running import DEAD_LETTERS
from clayline_cli.operating.scene_run import SceneRun


def overview(found: Overview) -> str:
    """Tell what is on the way in all."""
    lines = [found.running.name]
    lines += [f"  {label:<12} {text}" for label, text in _of_all(found)]
    return "\n".join(lines)


def paragraph(found: SceneRun) -> str:
    """Tell everything of a run."""
    status = found.row.outcome.status if found.row.outcome else found.row.state.value
    lines = [f"{status}: {found.row.scene}"]
    lines += [f"  {label:<10} {text}" for label, text in _of_run(found)]
    return "\n".join(lines)


def _of_all(found: Overview) -> Iterator[tuple[str, str]]:
    under_way = len(found.under_way)
    yield "under way", f"{under_way} run(s){_counted(found.states)}"
    if found.under_way:
        oldest = found.under_way[0]
        age = span(found.now - oldest.begun)
        yield "oldest", f"{oldest.scene}, {oldest.state.value}, begun {age} ago ({oldest.run})"
    yield "within a day", f"{len(found.ended)} run(s) ended{_counted(found.ends)}"
    most = found.running.number("MaxBatchesInFlight")
    yield "batches", f"{found.in_flight} in flight{f' of at most {most}' if most else ''}, {found.waiting} waiting"
    for queue in found.queues:
        if queue.name not in DEAD_LETTERS:
            yield queue.name, _depth(queue)
    dead = {queue.name: queue.waiting for queue in found.queues if queue.name in DEAD_LETTERS}
    yield "dead letters", _counted(dead).removeprefix(": ") or "none"
    yield "endpoint", _endpoint(found.endpoint)
    for number, what in enumerate(found.next()):
        yield "" if number else "to do", what


def _of_run(found: SceneRun) -> Iterator[tuple[str, str]]:
    yield "run", found.row.run
    yield from _way(found)
    yield from _end(found)
    for landing in found.landings:
        yield "landed", f"{landing.uri}, {'answered' if landing.answered else 'answered by the event at the end'}"
    yield "next", found.next()


def _way(found: SceneRun) -> Iterator[tuple[str, str]]:
    row = found.row
    if row.state.is_over:
        yield "begun", f"{iso(row.claimed)}, {row.state.value} {iso(row.due)}, {span(row.due - row.claimed)} later"
    else:
        yield "begun", f"{iso(row.claimed)}, {span(found.now - row.claimed)} ago; {row.state.value}"
    if found.is_from_before:
        yield "batches", f"{row.batches} planned; how each ended was not kept when the local cloud ended"
    elif row.batches:
        yield "jobs", f"{row.handed} of {row.jobs} handed out"
        ended = _counted(found.ended).removeprefix(": ") or "none"
        rest = f"{found.given_up} given up" if found.given_up else f"{row.open} open"
        yield "batches", f"{row.batches} planned, {found.in_flight} in flight, {rest}; ended: {ended}"
    if found.attempts:
        told = (f"{count} batch(es) at attempt {number}" for number, count in found.attempts.items())
        yield "attempts", ", ".join(told)
    for number, what in enumerate(found.happened()):
        yield "" if number else "happened", what


def _end(found: SceneRun) -> Iterator[tuple[str, str]]:
    receipt, outcome = found.receipt, found.row.outcome
    if receipt:
        if receipt.reason:
            yield "reason", f"{receipt.reason}: {receipt.message}"
        if receipt.counts.planned:
            counts = receipt.counts
            others = (*_reasons("skipped", counts.skipped), *_reasons("failed", counts.failed))
            yield "chips", f"planned {counts.planned} = {' + '.join((f'written {counts.written}', *others))}"
        if receipt.measured and receipt.measured.requests:
            yield "took", receipt.measured.told()
        if receipt.taken_over:
            yield "", f"{receipt.taken_over} of them were taken over from run {receipt.predecessor}"
        yield from receipt.outputs.items()
    elif outcome:
        yield "receipt", f"{outcome.receipt}, which is not there any more"


def _reasons(name: str, counts: Mapping[str, int]) -> Iterator[str]:
    if counts:
        yield f"{name} {sum(counts.values())} ({', '.join(f'{reason} {count}' for reason, count in counts.items())})"


def _counted(counts: Mapping[str, int]) -> str:
    there = [f"{count} {name}" for name, count in counts.items() if count]
    return f": {', '.join(there)}" if there else ""


def _depth(queue: Depth) -> str:
    age = f"; the oldest is {queue.oldest_seconds} s old" if queue.oldest_seconds is not None else ""
    delayed = f", {queue.delayed} delayed" if queue.delayed else ""
    return f"{queue.waiting} waiting, {queue.in_hand} in hand{delayed}{age}"


def _endpoint(found: Endpoint) -> str:
    if found.name is None:
        return "none"
    if found.status == LOCAL:
        return f"awake, process {found.process}" if found.is_awake else "away"
    awake = {True: "awake", False: "asleep", None: "awake or asleep is not known"}[found.is_awake]
    instances = f", {found.instances} instance(s)" if found.instances else ""
    backlog = f", {found.backlog} request(s) wait in SageMaker" if found.backlog is not None else ""
    return f"{found.name}: {found.status}, {awake}{instances}{backlog}"


def table(rows: Sequence[Sequence[str]]) -> str:
    """Give rows as columns, the last one as it is."""
    wide = [max(map(len, column)) for column in zip(*(row[:-1] for row in rows), strict=True)]
    return "\n".join(
        "  ".join([*(f"{cell:<{width}}" for cell, width in zip(row[:-1], wide, strict=True)), row[-1]]) for row in rows
    )
