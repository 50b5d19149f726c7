"""The whole chain in one process and one thread, on moto, with an injected clock and faults that replay.

Queues are moto's; SageMaker's part is played by the container's own code, called when the test says so.
"""

import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import boto3
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from tests.aws.conftest import ledger_schema

from clayline.aws.announcer import EventAnnouncer
from clayline.aws.ledger import DynamoLedger
from clayline.aws.objects import S3Objects
from clayline.aws.queues import SqsQueue
from clayline.chips.cog import CogSource
from clayline.errors import BatchError, TransientError
from clayline.model.manifest import Manifest, read_manifest
from clayline.model.wire import Request
from clayline.ports import ObjectHead, Objects
from clayline.raster.headers import GdalHeaders
from clayline.raster.pixels import GdalPixels
from clayline.run.encoding import VectorEncoding
from clayline.run.keys import parse_s3_uri
from clayline.run.ledger import Invocation
from clayline.run.plan import Thresholds
from clayline.run.result import UnknownResultError, parse_result
from clayline.scene.intake import Landing, ObjectCreated, classify
from clayline.scene.radiometry import BoaOverride
from clayline.steps.admission import Admission
from clayline.steps.collecting import Collecting, SettledRun
from clayline.steps.options import PlanOptions
from clayline.steps.planning import Planning, PlanOutcome
from clayline.steps.receiving import Receiving
from clayline.steps.reconciling import Reconciling
from clayline.steps.settling import Settling
from clayline.steps.tiling import TileJob, Tiling
from clayline.table.geoparquet import write_geoparquet
from clayline.table.header import read_header
from clayline.table.written import read_rows
from server.app import refusal
from server.folders import load_folders
from server.inference import embed

REGION: Final = "eu-central-1"
SCENES, WORK, OUT = "scenes", "work", "embeddings"
QUEUES = ("scene", "tile", "result", "settled", "watch")
MUTATIONS = frozenset(
    {
        "put_new", "discard", "send", "invoke", "announce", "claim", "release", "refuse", "revision", "forget_revision",
        "planned", "hand_out",
        "enter", "postpone", "announced", "announced_refusal", "keep_landing", "answer_landing",
        "begin", "invoked", "lose", "close",
    }
)  # fmt: skip


@cache
def aws() -> boto3.session.Session:
    """Read AWS's descriptions of its services once. moto drops boto3's own session between tests, and reading them
    again takes longer than most tests do; clients are made anew for each.
    """
    return boto3.session.Session(region_name=REGION)


class Killed(BaseException):
    """The process is gone: nothing may catch this but the test."""


@dataclass
class Faults:
    """Kills once, just before or just after the n-th mutation."""

    at: int | None = None
    after: bool = False
    count: int = 0
    log: list[str] = field(default_factory=list)

    def wrap(self, port: Any) -> Any:
        return _Faulty(port, self)

    def around(self, name: str, act: Callable[[], Any]) -> Any:
        self.count += 1
        self.log.append(name)
        due = self.at == self.count
        if due and not self.after:
            raise Killed
        result = act()
        if due:
            raise Killed
        return result


class _Faulty:
    def __init__(self, port: Any, faults: Faults) -> None:
        self._port = port
        self._faults = faults

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._port, name)
        if name not in MUTATIONS:
            return value
        return lambda *args, **kwargs: self._faults.around(name, lambda: value(*args, **kwargs))


@dataclass
class PlayedEndpoint:
    """SageMaker's side of an invocation: takes it, and answers when asked, through the container's own code."""

    objects: Objects
    models: Path
    taken: list[tuple[str, str]] = field(default_factory=list)
    answered: dict[str, bytes] = field(default_factory=dict)
    """Every request that was computed, by URI: they are deleted with their scene's receipt."""

    def invoke(self, *, input_uri: str, inference_id: str) -> Invocation:
        self.taken.append((input_uri, inference_id))
        return Invocation(output=self.output(inference_id), failure=f"s3://{WORK}/failures/{inference_id}-error.out")

    def output(self, inference_id: str) -> str:
        return f"s3://{WORK}/responses/{inference_id}.out"

    def answer(self, s3: Any, input_uri: str, inference_id: str) -> dict[str, Any]:
        """Compute one request and give SageMaker's notification, which quotes the container where that refuses."""
        self.answered[input_uri] = self.objects.get(input_uri)
        request = Request.from_bytes(self.answered[input_uri])
        head = request.header
        try:
            loaded = load_folders(self.models, threads=1).find(folder=head.folder, token=head.token, digest=head.digest)
        except BatchError as error:
            _, _, body = refusal(HTTPStatus.BAD_REQUEST, error.reason, str(error))
            reason = f'Received client error (400) from model with message "{body.decode()}".'
            return {**failed(input_uri, inference_id), "failureReason": reason}
        bucket, key = parse_s3_uri(self.output(inference_id))
        s3.put_object(Bucket=bucket, Key=key, Body=embed(loaded, request, micro_batch=16).to_bytes())
        return completed(input_uri, inference_id, self.output(inference_id))


def completed(input_uri: str, inference_id: str, output: str) -> dict[str, Any]:
    """SageMaker's notification of a success."""
    return {
        "awsRegion": REGION,
        "eventTime": "2026-01-01T00:00:00.000Z",
        "receivedTime": "2026-01-01T00:00:00.000Z",
        "invocationStatus": "Completed",
        "requestParameters": {
            "contentType": "application/x-safetensors",
            "endpointName": "clayline",
            "inputLocation": input_uri,
        },
        "responseParameters": {"contentType": "application/x-safetensors", "outputLocation": output},
        "inferenceId": inference_id,
        "eventVersion": "1.0",
        "eventSource": "aws:sagemaker",
        "eventName": "InferenceResult",
    }


def failed(input_uri: str, inference_id: str, status: str = "Failed") -> dict[str, Any]:
    """SageMaker's notification of a failure."""
    done = completed(input_uri, inference_id, "unused")
    failure = {"contentType": None, "failureLocation": f"s3://{WORK}/failures/{inference_id}-error.out"}
    return {
        **done,
        "invocationStatus": status,
        "failureReason": "the model server answered 500",
        "responseParameters": failure,
    }


@dataclass(frozen=True, kw_only=True)
class FetchedHeaders(GdalHeaders):
    """GdalHeaders on objects that are fetched first: moto in process answers boto3 and not GDAL."""

    path_of: Callable[[str], str]

    def source(self, head: ObjectHead) -> CogSource:
        return CogSource(path=self.path_of(head.uri), uri=self.names.of(head.uri), size=head.size)


@dataclass(frozen=True, kw_only=True)
class FetchedPixels(GdalPixels):
    """The same for pixels."""

    path_of: Callable[[str], str]

    def locate(self, uri: str, size: int) -> CogSource:
        return CogSource(path=self.path_of(uri), uri=uri, size=size)


class Pipeline:
    """Buckets, queues, table; and each function's use case over them."""

    def __init__(self, models: Path, *, scratch: Path, chips_per_batch: int = 5, **options: Any) -> None:
        self.s3 = aws().client("s3")
        self.sqs = aws().client("sqs")
        self.events = aws().client("events")
        for bucket in (SCENES, WORK, OUT):
            self.s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
        self.urls = {
            name: self.sqs.create_queue(QueueName=name, Attributes={"VisibilityTimeout": "0"})["QueueUrl"]
            for name in QUEUES
        }
        arn = self.sqs.get_queue_attributes(QueueUrl=self.urls["watch"], AttributeNames=["QueueArn"])["Attributes"][
            "QueueArn"
        ]
        self.events.put_rule(Name="watch", EventPattern=json.dumps({"source": ["clayline"]}))
        self.events.put_targets(Rule="watch", Targets=[{"Id": "watch", "Arn": arn}])
        dynamodb = aws().resource("dynamodb")
        self.table = dynamodb.create_table(
            TableName="ledger",
            **ledger_schema(),
        )
        self.now = datetime(2026, 11, 22, 9, tzinfo=UTC)
        self.most_in_flight = 1_000
        self.faults = Faults()
        self.puts: Counter[str] = Counter()
        self.paid: Any = None
        self.scratch = scratch
        self.objects = S3Objects(self.s3)
        self.ledger = DynamoLedger(self.table)
        self.endpoint = PlayedEndpoint(objects=self.objects, models=models)
        self.deploy(next(path for path in models.iterdir() if path.is_dir()))
        self.options = PlanOptions(
            **{
                "work_bucket": WORK,
                "embeddings_bucket": OUT,
                "allowed_buckets": frozenset({SCENES}),
                "any_gsd": False,
                "any_pixel_shape": False,
                "boa": BoaOverride.AUTO,
                "tiff_datetime": False,
                "creator": "the tests",
                "thresholds": Thresholds(),
                "retry_failed": True,
                "encoding": VectorEncoding.PORTABLE,
                "lease": timedelta(minutes=5),
                "chips_per_batch": chips_per_batch,
                "memory_budget": 50_000_000,
                **options,
            }
        )

    def deploy(self, folder: Path) -> None:
        """Let plan use another model folder, one of those that the endpoint has."""
        self.manifest: Manifest = read_manifest((folder / "manifest.json").read_bytes(), source=str(folder))

    def choose(self, **options: Any) -> None:
        """Let plan run under other options."""
        self.options = replace(self.options, **options)

    def _path(self, uri: str) -> str:
        """Fetch an object for GDAL, which moto in process cannot serve.

        Afresh each time, as it may have been replaced.
        """
        bucket, key = parse_s3_uri(uri)
        target = self.scratch / f"{abs(hash(uri))}.tif"
        target.write_bytes(self.s3.get_object(Bucket=bucket, Key=key)["Body"].read())
        return str(target)

    @property
    def planning(self) -> Planning:
        wrap = self.faults.wrap
        return Planning(
            objects=wrap(self.objects),
            ledger=wrap(self.ledger),
            admission=self.admission,
            settling=self.settling,
            announcer=wrap(EventAnnouncer(self.events, bus="default")),
            headers=FetchedHeaders(path_of=self._path, names=self.options.names),
            clock=lambda: self.now,
            manifest=self.manifest,
            options=self.options,
        )

    @property
    def admission(self) -> Admission:
        wrap = self.faults.wrap
        return Admission(
            ledger=wrap(self.ledger),
            tile_queue=wrap(SqsQueue(self.sqs, self.urls["tile"])),
            clock=lambda: self.now,
            most_in_flight=self.most_in_flight,
        )

    @property
    def reconciling(self) -> Reconciling:
        wrap = self.faults.wrap
        return Reconciling(
            ledger=wrap(self.ledger),
            objects=wrap(self.objects),
            scene_queue=wrap(SqsQueue(self.sqs, self.urls["scene"])),
            tile_queue=wrap(SqsQueue(self.sqs, self.urls["tile"])),
            settled_queue=wrap(SqsQueue(self.sqs, self.urls["settled"])),
            settling=self.settling,
            admission=self.admission,
            clock=lambda: self.now,
            work_bucket=WORK,
            answer_within=timedelta(hours=6, minutes=15),
        )

    @property
    def tiling(self) -> Tiling:
        wrap = self.faults.wrap
        return Tiling(
            objects=wrap(self.objects),
            ledger=wrap(self.ledger),
            endpoint=wrap(self.endpoint),
            result_queue=wrap(SqsQueue(self.sqs, self.urls["result"])),
            pixels=FetchedPixels(path_of=self._path),
            clock=lambda: self.now,
            work_bucket=WORK,
        )

    @property
    def settling(self) -> Settling:
        wrap = self.faults.wrap
        return Settling(
            ledger=wrap(self.ledger),
            objects=wrap(self.objects),
            tile_queue=wrap(SqsQueue(self.sqs, self.urls["tile"])),
            settled_queue=wrap(SqsQueue(self.sqs, self.urls["settled"])),
            clock=lambda: self.now,
            work_bucket=WORK,
        )

    @property
    def collecting(self) -> Collecting:
        wrap = self.faults.wrap
        return Collecting(
            objects=wrap(self.objects),
            requests=wrap(self.objects),
            ledger=wrap(self.ledger),
            announcer=wrap(EventAnnouncer(self.events, bus="default")),
            clock=lambda: self.now,
            write_table=write_geoparquet,
            read_header=read_header,
            read_rows=read_rows,
            work_bucket=WORK,
            scratch=self.scratch,
            instance=self.paid,
        )

    def put(self, key: str, body: bytes, **metadata: str) -> str:
        """Land an object; gives its ETag."""
        self.puts[key] += 1
        return str(self.s3.put_object(Bucket=SCENES, Key=key, Body=body, Metadata=metadata)["ETag"].strip('"'))

    def landing(self, key: str) -> Landing:
        """Give the landing of the last PUT of ``key``: the same each time, as in a delivery that comes twice."""
        try:
            head = self.s3.head_object(Bucket=SCENES, Key=key)
            size, etag = head["ContentLength"], head["ETag"].strip('"')
        except self.s3.exceptions.ClientError:
            size, etag = 1, "gone"
        event = {
            "source": "aws.s3",
            "detail-type": "Object Created",
            "detail": {
                "bucket": {"name": SCENES},
                "object": {"key": key, "size": size, "etag": etag, "sequencer": f"{self.puts[key]:016X}"},
            },
        }
        found = classify(ObjectCreated.model_validate(event), item_prefix="", cog_prefix="cog/")
        assert isinstance(found, Landing), found
        return found

    def land_again(self, key: str) -> None:
        """Put an object once more as it is."""
        head = self.s3.get_object(Bucket=SCENES, Key=key)
        self.put(key, head["Body"].read(), **head["Metadata"])

    def plan(self, key: str) -> PlanOutcome:
        """Deliver the event about the last PUT of ``key``."""
        return self.planning.plan(self.landing(key))

    def deliver(self, queue: str, act: Callable[[str], Any]) -> bool:
        """Deliver one message; it is deleted unless the function was killed or asks for another try.

        False if there was none.
        """
        messages = self.sqs.receive_message(QueueUrl=self.urls[queue], MaxNumberOfMessages=1).get("Messages", [])
        for message in messages:
            act(SQSRecord({"body": message["Body"]}).body)
            self.sqs.delete_message(QueueUrl=self.urls[queue], ReceiptHandle=message["ReceiptHandle"])
        return bool(messages)

    def result(self, body: str) -> None:
        try:
            self.settling.settle(parse_result(body, work_bucket=WORK))
        except UnknownResultError:
            return

    def answer_all(
        self, *, change: Callable[[list[dict[str, Any]]], list[dict[str, Any]]] = lambda messages: messages
    ) -> None:
        """Let the endpoint answer what it has taken.

        ``change`` may repeat, reorder, drop or replace its notifications.
        """
        taken, self.endpoint.taken = self.endpoint.taken, []
        for notification in change([self.endpoint.answer(self.s3, *one) for one in taken]):
            self.notify(notification)

    def notify(self, notification: Mapping[str, Any]) -> None:
        """Put SageMaker's notification onto the result queue, in SNS's envelope."""
        envelope = {"Type": "Notification", "Message": json.dumps(notification)}
        self.sqs.send_message(QueueUrl=self.urls["result"], MessageBody=json.dumps(envelope))

    def run(self, key: str, **how: Any) -> None:
        """Take a landed scene through the chain, redelivering after a kill, until every queue is empty."""
        self.again(lambda: self.plan(key))
        self.drain(**how)

    def drain(self, **how: Any) -> None:
        """Take what is queued through the chain; then let the reconciler look, until it finds nothing either."""
        for _ in range(50):
            self._empty(**how)
            self.now += timedelta(minutes=16)
            if not self.again(self.reconciling.reconcile):
                return
        raise AssertionError("the reconciler does not come to an end")

    def receive(self, body: str) -> PlanOutcome:
        """Take a message of the scene queue: the reconciler's, or an operator's."""
        receiving = Receiving(planning=self.planning, item_prefix="", cog_prefix="cog/")
        return receiving.receive(body, message="").outcome

    def order(self, kind: str, run: str) -> PlanOutcome:
        """Take an operator's message."""
        return self.receive(json.dumps({"kind": f"clayline-{kind}/1", "run": run}))

    def _empty(self, **how: Any) -> None:
        steps: dict[str, Callable[[str], Any]] = {
            "scene": self.receive,
            "tile": lambda body: self.tiling.tile(TileJob.model_validate_json(body)),
            "result": self.result,
            "settled": lambda body: self.collecting.collect(SettledRun.model_validate_json(body).run),
        }
        for _ in range(200):
            moved = [self.again(partial(self.deliver, queue, act)) for queue, act in steps.items()]
            if self.endpoint.taken:
                self.answer_all(**how)
            elif not any(moved):
                return
        raise AssertionError("the chain does not come to an end")

    def again(self, act: Callable[[], Any]) -> Any:
        """Do it; after a kill or a call for another try, let the lease run out and do it again."""
        for _ in range(5):
            try:
                return act()
            except (Killed, TransientError):
                self.now += timedelta(minutes=30)
        raise AssertionError("five tries did not do it")

    def outputs(self) -> dict[str, bytes]:
        """Give every object of the embeddings bucket."""
        listed = self.s3.list_objects_v2(Bucket=OUT).get("Contents", [])
        return {entry["Key"]: self.s3.get_object(Bucket=OUT, Key=entry["Key"])["Body"].read() for entry in listed}

    def announced(self) -> list[dict[str, Any]]:
        """Give the events so far: detail-type and detail."""
        found = []
        while messages := self.sqs.receive_message(QueueUrl=self.urls["watch"], MaxNumberOfMessages=10).get(
            "Messages", []
        ):
            for message in messages:
                event = json.loads(message["Body"])
                found.append({"type": event["detail-type"], **event["detail"]})
                self.sqs.delete_message(QueueUrl=self.urls["watch"], ReceiptHandle=message["ReceiptHandle"])
        return found

    def receipt(self) -> dict[str, Any]:
        """Give the one receipt there is."""
        found = [body for key, body in self.outputs().items() if key.endswith("_receipt.json")]
        assert len(found) == 1, list(self.outputs())
        content: dict[str, Any] = json.loads(found[0])
        return content
