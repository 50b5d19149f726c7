"""What must hold of a local cloud at rest: judged from what lies in its buckets, queues and ledger."""

import io
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import pyarrow.parquet as pq
from tests.faults.processes import Tended

from clayline.run.keys import WorkObjects, parse_s3_uri
from clayline.run.plan import PlannedChips
from clayline.run.receipt import Receipt, State, count
from clayline_local.cloud import dead_letters
from clayline_local.session import Session

type Rows = tuple[tuple[str, int, bytes, bytes], ...]
"""Identifier, index, vector and loss of each row, as they lie in the file."""
_COLUMNS: Final = ["uci", "index", "embeddings", "loss"]


def rows_of(body: bytes) -> Rows:
    """Read a file's rows."""
    columns: dict[str, Any] = pq.read_table(io.BytesIO(body), columns=_COLUMNS).to_pydict()
    rows = zip(columns["uci"], columns["index"], columns["embeddings"], columns["loss"], strict=True)
    return tuple((uci, index, _float32(vector), _float32(loss)) for uci, index, vector, loss in rows)


def _float32(numbers: object) -> bytes:
    return np.array(numbers, np.float32).tobytes()


@dataclass(kw_only=True)
class Judgement:
    """What was found, and what was counted on the way."""

    violations: list[str] = field(default_factory=list)
    scenes: int = 0
    planned: int = 0
    written: int = 0
    skipped: int = 0
    failed: int = 0
    lost: int = 0
    """Planned chips without a line in their receipt, or whose row is missing."""
    duplicated: int = 0
    """Identifiers that stand more than once in a receipt or a file."""
    batches: int = 0
    attempts: int = 0
    found: int = 0
    """Answers that the reconciler found: no message had told of them."""
    dead: int = 0
    """Messages in dead-letter queues, all of them about scenes that ended."""


class Judge:
    """Of one session, after it has come to rest."""

    def __init__(self, tended: Tended, *, expected: Mapping[str, Rows]) -> None:
        """``expected`` are the rows of a quiet run of each window."""
        self._tended = tended
        self._session = tended.session
        self._expected = expected
        self._told = Judgement()

    def judge(self) -> Judgement:
        """Give everything that must not be, and the figures."""
        self._told.violations += [*self._receipts(), *self._landings(), *self._batches(), *self._dead()]
        return self._told

    def _receipts(self) -> Iterator[str]:
        named, by_scene, runs = set(), Counter[str](), list[str]()
        everything = set(objects(self._session, self._session.embeddings_bucket))
        of_the_dataset = {uri for uri in everything if uri.split("/", 3)[3].startswith("dataset/")}
        lying = everything - of_the_dataset
        windows = {scene.name: scene.window for scene in self._tended.landed.values()}
        for uri in sorted(each for each in lying if each.endswith("_receipt.json")):
            receipt = Receipt.model_validate_json(fetch(self._session, uri))
            named |= set(receipt.outputs.values())
            by_scene[receipt.scene] += 1
            runs += [receipt.run[:12]] if receipt.counts.written else []
            yield from self._receipt(receipt, windows[receipt.scene])
        self._told.scenes = len(by_scene)
        if lost := sorted(set(windows) - set(by_scene)):
            yield f"scenes without a receipt: {lost}"
        if twice := {scene: number for scene, number in by_scene.items() if number > 1}:
            yield f"scenes computed more than once: {twice}"
        if named != lying:
            yield f"no receipt names {sorted(lying - named)}, missing are {sorted(named - lying)}"
        rows = [uri.removesuffix(".parquet").rpartition("_")[2] for uri in of_the_dataset]
        if sorted(rows) != sorted(runs):
            yield f"rows of the dataset are of runs {sorted(rows)}, and files of {sorted(runs)}"
        firsts = {event["detail"]["scene"] for event in self._tended.events if not event["detail"]["repeated"]}
        if untold := sorted(set(by_scene) - firsts):
            yield f"scenes without a first event: {untold}"

    def _receipt(self, receipt: Receipt, window: str) -> Iterator[str]:
        told, where = self._told, f"run {receipt.run} of {receipt.scene}"
        if receipt.source_model is None:
            yield f"{where}: refused, {receipt.reason}: {receipt.message}"
            return
        work = WorkObjects(bucket=work_bucket(self._session), run=receipt.run)
        planned = Counter(PlannedChips.from_bytes(fetch(self._session, work.chips)).uci)
        lines = Counter(chip.uci for chip in receipt.chips)
        written = Counter(chip.uci for chip in receipt.chips if chip.state is State.WRITTEN)
        rows = rows_of(fetch(self._session, receipt.outputs["parquet"])) if "parquet" in receipt.outputs else ()
        found = Counter(row[0] for row in rows)
        lost = (planned - lines).total() + (written - found).total()
        twice = sum((each - Counter(set(each))).total() for each in (planned, lines, found))
        told.planned += planned.total()
        told.written += receipt.counts.written
        told.skipped += sum(receipt.counts.skipped.values())
        told.failed += sum(receipt.counts.failed.values())
        told.lost += lost
        told.duplicated += twice
        if lost or twice or lines != planned or found != written:
            yield f"{where}: {lost} chips lost, {twice} duplicated; plan, receipt and file differ"
        if receipt.counts != count(receipt.chips) or receipt.counts.planned != planned.total():
            yield f"{where}: its counts are not those of its lines, or of its plan"
        if receipt.status != "SceneEmbedded" or receipt.counts.failed:
            yield f"{where}: {receipt.status}, failed {receipt.counts.failed}, though every fault heals"
        if rows != self._expected[window]:
            yield f"{where}: its rows are not, byte for byte, those of a quiet run"

    def _landings(self) -> Iterator[str]:
        for uri in sorted(self._tended.untold):
            yield f"no event of the landing {uri}"
        answered = [item["answered"]["BOOL"] for item in scan(self._session, "landing#")]
        if not all(answered):
            yield f"{answered.count(False)} of {len(answered)} landings were not answered"

    def _batches(self) -> Iterator[str]:
        for item in scan(self._session, "batch#"):
            self._told.batches += 1
            self._told.attempts += int(item["attempt"]["N"])
            if "result" not in item:
                yield f"{item['sk']['S']} of {item['pk']['S']} has not ended"
                continue
            results = [item["result"], *item.get("losses", {}).get("L", [])]
            self._told.found += sum(bool(each["M"].get("found", {}).get("S")) for each in results)

    def _dead(self) -> Iterator[str]:
        """A message may die, if what it was about went on all the same: the reconciler has taken it up."""
        over = set(self._session.finished())
        told = {event["detail"]["landed_uri"] for event in self._tended.events}
        for queue in dead_letters(self._session.stack, self._session.sqs):
            url = self._session.stack.resources[queue].physical.ref
            while got := self._session.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
                for message in got:
                    self._told.dead += 1
                    if subject(message["Body"]) not in over | told:
                        yield f"{queue}: nobody has taken up {message['Body'][:300]}"


def subject(body: str) -> str:
    """Give the run, or the landing's URI, that a message is about."""
    content = json.loads(body)
    if "Message" in content:
        return str(json.loads(content["Message"])["inferenceId"])[:32]
    if "detail" in content:
        return f"s3://{content['detail']['bucket']['name']}/{content['detail']['object']['key']}"
    return str(content["run"])


def scan(session: Session, prefix: str) -> Iterator[dict[str, Any]]:
    """Give the ledger's rows whose sort key begins so."""
    pages = session.client("dynamodb").get_paginator("scan")
    values = {":prefix": {"S": prefix}}
    chosen = {"FilterExpression": "begins_with(sk, :prefix)", "ExpressionAttributeValues": values}
    for page in pages.paginate(TableName=session.ledger_table, **chosen):
        yield from page["Items"]


def work_bucket(session: Session) -> str:
    """Give the work bucket's name."""
    return session.stack.functions()["PlanFunction"].environment["CLAYLINE_WORK_BUCKET"]


def fetch(session: Session, uri: str) -> bytes:
    """Read an object."""
    bucket, key = parse_s3_uri(uri)
    body: bytes = session.s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    return body


def objects(session: Session, bucket: str) -> Iterator[str]:
    """Give the URI of every object of a bucket."""
    for page in session.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        for entry in page.get("Contents", []):
            yield f"s3://{bucket}/{entry['Key']}"
