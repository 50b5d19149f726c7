"""Every event of ``events/`` run by its function, in the order of the data's way, each held against its expected
outcome.

``make local-invoke``: under `sam local invoke` where Docker answers and `sam build` has run, else under AWS's runtime
emulator.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final

from clayline.errors import ClaylineError
from clayline_local.clients import local_session
from clayline_local.errors import LocalCloudError
from clayline_local.expectation import Expected, Observed, bodies_of, differences, having
from clayline_local.hosts import Answer, Host, choose_host
from clayline_local.local_cloud import EVENTS, KEPT, local_cloud
from clayline_local.session import Session
from clayline_local.template import REGION

_HOPS: Final = (
    "PlanFunction", "TileFunction", "SettleFunction", "CollectFunction", "IndexFunction", "CompactFunction",
    "WatchFunction", "SheetFunction", "VectorsFunction", "ReconcileFunction",
)  # fmt: skip
_ENDPOINT_ANSWERS_IN: Final = 240.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """An event and what is expected of it."""

    name: str
    event: dict[str, Any]
    expected: Expected

    @property
    def bodies(self) -> list[str]:
        """Bodies of its records."""
        return bodies_of(self.event)


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """How a case ended."""

    name: str
    function: str
    differences: Sequence[str]
    seconds: float
    peak: int | None = None
    """MB of memory that the function has had at most so far, where that is known."""


def read_cases(folder: Path = EVENTS) -> dict[str, Case]:
    """Read every event, in an order in which each comes after those that it needs. Raises LocalCloudError."""
    found = {}
    for path in sorted(folder.glob("*.json")):
        if path.name.endswith(".expected.json"):
            if not path.with_name(path.name.replace(".expected.json", ".json")).is_file():
                raise LocalCloudError(f"{path} has no event beside it")
            continue
        event, beside = json.loads(path.read_text(encoding="utf-8")), path.with_suffix(".expected.json")
        if not beside.is_file():
            raise LocalCloudError(f"{path} has no expected outcome beside it, {beside.name}")
        found[path.stem] = Case(name=path.stem, event=event, expected=Expected.read(beside, event=event))
    steps = {name: len(_before(found, name, ())) for name in found}
    return {
        name: found[name]
        for name in sorted(found, key=lambda name: (steps[name], _HOPS.index(found[name].expected.function), name))
    }


def _before(cases: dict[str, Case], name: str, after: tuple[str, ...]) -> set[str]:
    """Give every event that ``name`` needs, directly or not."""
    if name in after:
        raise LocalCloudError(f"events wait for each other: {' -> '.join((*after, name))}")
    if name not in cases:
        raise LocalCloudError(f"{after[-1]}.expected.json comes after {name}, and there is no events/{name}.json")
    needed = cases[name].expected.after
    return set(needed).union(*(_before(cases, other, (*after, name)) for other in needed))


class EventRunner:
    """Runs events on one cloud, each once, those that it needs before it."""

    def __init__(self, session: Session, host: Host, cases: dict[str, Case]) -> None:
        self._session = session
        self._host = host
        self._cases = cases
        self.done: dict[str, Outcome] = {}
        """In the order in which they ran."""
        self._dynamodb = local_session(REGION).resource("dynamodb", endpoint_url=session.url)

    def run(self, name: str) -> Outcome:
        """Run an event, unless it has run. Raises LocalCloudError."""
        if name not in self.done:
            case = self._cases[name]
            for other in case.expected.after:
                self.run(other)
            self._let_pass(case.expected.overdue)
            for key in case.expected.kept:
                self._session.s3.upload_file(str(KEPT / key), self._session.embeddings_bucket, key)
            begun = time.monotonic()
            observed = self.observe(case.expected.function, case.event, documents=tuple(case.expected.documents))
            bodies = {other.name: other.bodies for other in self._cases.values()}
            found = differences(case.expected, observed, bodies=bodies)
            self.done[name] = Outcome(
                name=name,
                function=case.expected.function,
                differences=found,
                seconds=time.monotonic() - begun,
                peak=observed.peak,
            )
        return self.done[name]

    def observe(self, function: str, event: dict[str, Any], *, documents: Sequence[str] = ()) -> Observed:
        """Run a function on an event and see what it, and the endpoint that it called, did.

        What was sent is taken from its queues.
        """
        before = set(self._objects())
        answer: Answer = self._host.invoke(function, event)
        if not self._session.endpoint.wait_idle(_ENDPOINT_ANSWERS_IN):
            raise LocalCloudError(f"the endpoint did not answer within {_ENDPOINT_ANSWERS_IN:.0f} s")
        objects = self._objects()
        return Observed(
            reply=answer.reply.payload,
            failed=answer.reply.failed,
            log=answer.log,
            messages={queue: bodies for queue in self._queues() if (bodies := self._drain(queue))},
            objects=[uri for uri in objects if uri not in before],
            announced=list(self._session.announced()),
            ledger=self._ledger(),
            documents={pattern: self._document(pattern, objects) for pattern in documents},
            peak=answer.reply.peak,
        )

    def _let_pass(self, scenes: Sequence[str]) -> None:
        """Set the deadlines of scenes' runs to long ago."""
        table = self._dynamodb.Table(self._session.stack.outputs["Ledger"])
        for item in table.scan(ConsistentRead=True)["Items"]:
            if "due" in item and any(fnmatchcase(str(item["scene"]), pattern) for pattern in scenes):
                table.put_item(Item={**item, "due": 0})

    def _queues(self) -> list[str]:
        return [queue.logical_id for queue in self._session.stack.of_type("AWS::SQS::Queue")]

    def _drain(self, queue: str) -> list[str]:
        url, found = self._session.stack.resources[queue].physical.ref, []
        while messages := self._session.sqs.receive_message(
            QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=0
        ).get("Messages", []):
            for message in messages:
                found.append(message["Body"])
                self._session.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return found

    def _objects(self) -> list[str]:
        s3 = self._session.s3
        buckets = [bucket.physical.ref for bucket in self._session.stack.of_type("AWS::S3::Bucket")]
        return [
            f"s3://{bucket}/{entry['Key']}"
            for bucket in buckets
            for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
            for entry in page.get("Contents", [])
        ]

    def _ledger(self) -> list[dict[str, Any]]:
        table = self._dynamodb.Table(self._session.stack.outputs["Ledger"])
        return [
            {name: _plain(value) for name, value in item.items()} for item in table.scan(ConsistentRead=True)["Items"]
        ]

    def _document(self, pattern: str, objects: Sequence[str]) -> Any:  # noqa: ANN401 - any JSON
        found = having(pattern, objects)
        if len(found) != 1:
            return None
        bucket, _, key = found[0].removeprefix("s3://").partition("/")
        return json.loads(self._session.s3.get_object(Bucket=bucket, Key=key)["Body"].read())


def _plain(value: Any) -> Any:  # noqa: ANN401 - any DynamoDB value
    """Give a DynamoDB value as JSON has it; a set as a sorted list."""
    if isinstance(value, set):
        return sorted(value)
    if isinstance(value, dict):
        return {name: _plain(entry) for name, entry in value.items()}
    return value if isinstance(value, (str, bool, list, type(None))) else int(value)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one event or all; print a table; 1 on a mismatch, 2 if nothing could be tried."""
    parser = argparse.ArgumentParser(description="Run events/ against their expected outcomes.")
    parser.add_argument("--event", type=Path, help="only this one, and those that it needs (default: all)")
    parser.add_argument(
        "--skip-pull-image", action="store_true", help="with Docker: take the base image that is here, fetch none"
    )
    options = parser.parse_args(arguments)
    try:
        cases = read_cases()
        names = [options.event.stem] if options.event else list(cases)
        if unknown := set(names) - set(cases):
            raise LocalCloudError(f"there is no event {', '.join(unknown)} in {EVENTS}")
        with tempfile.TemporaryDirectory(prefix="clayline-local-invoke-") as folder:
            done = _run(cases, names, Path(folder), skip_pull_image=options.skip_pull_image)
    except ClaylineError as error:
        print(f"local-invoke: {error}", file=sys.stderr)
        return 2
    return conclude(done)


def conclude(done: Sequence[Outcome]) -> int:
    """Print the last line; 1 if any event differs."""
    failed = [outcome for outcome in done if outcome.differences]
    print(f"{len(done) - len(failed)} of {len(done)} events as expected")
    return int(bool(failed))


def _run(cases: dict[str, Case], names: Sequence[str], folder: Path, *, skip_pull_image: bool) -> list[Outcome]:
    with (
        local_cloud(logs=folder) as session,
        choose_host(session, folder, skip_pull_image=skip_pull_image) as host,
    ):
        print(host.description, flush=True)
        runner, shown = EventRunner(session, host, cases), 0
        for name in names:
            runner.run(name)
            for outcome in list(runner.done.values())[shown:]:
                mark = "differs" if outcome.differences else "ok"
                held = "" if outcome.peak is None else f"{outcome.peak:7} MB"
                print(f"  {mark:8}{outcome.name:22}{outcome.function:18}{outcome.seconds:6.1f} s{held}", flush=True)
                for difference in outcome.differences:
                    print(f"          {difference}", flush=True)
            shown = len(runner.done)
        return list(runner.done.values())


if __name__ == "__main__":
    sys.exit(main())
