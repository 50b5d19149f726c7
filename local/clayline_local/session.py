"""The whole pipeline on one machine: moto_server, the endpoint behind its emulator, a worker a function, wired by template.yaml."""

import json
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from clayline.manifest import MANIFEST_FILE
from clayline_local.async_endpoint import AsyncEndpoint
from clayline_local.children import end_process
from clayline_local.cloud import create, endpoint_config, startup_seconds
from clayline_local.errors import LocalCloudError
from clayline_local.model_folder import ModelFolder
from clayline_local.model_server import ModelServer
from clayline_local.moto_process import MotoServer
from clayline_local.stage import StagedScene
from clayline_local.template import LOCAL_PARAMETERS, TEMPLATE, Stack, expand
from clayline_local.worker import Retry, start_worker

if TYPE_CHECKING:
    import subprocess

ROOT = TEMPLATE.parent
STARTER = ROOT / "model" / "starter" / "starter-v1.0"
_NO_PROGRESS = 300.0
"""Seconds without a new settled batch, and without one that the endpoint computes, after which waiting is given up."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """How far a run is."""

    batches: int | None
    settled: int


class Session:
    """Everything that runs, from entering to leaving the context. ``logs`` keeps what the processes print."""

    def __init__(
        self,
        *,
        model: Path = STARTER,
        parameters: Mapping[str, str] | None = None,
        logs: Path,
        workers: bool = True,
        name_output: Callable[[str], str] = lambda _: str(uuid.uuid4()),
        notice: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Take a model folder, template parameters over the local defaults, and a folder for logs. Raises LocalCloudError, ModelError.

        Without ``workers`` nobody polls the queues: whoever wants a function to run calls it. ``name_output`` is AsyncEndpoint's.
        ``notice`` is told what takes long.
        """
        self._model = ModelFolder.read(model)
        self._parameters = {**LOCAL_PARAMETERS, **(parameters or {})}
        self._logs = logs
        self._workers = workers
        self._name_output = name_output
        self._notice = notice
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._stack_of = ExitStack()
        self.manifest = self._model.manifest

    def __enter__(self) -> Self:
        """Start everything. Raises LocalCloudError."""
        self._logs.mkdir(parents=True, exist_ok=True)
        for old in self._logs.glob("*.log"):
            old.unlink()
        try:
            self._start()
        except BaseException:
            self._stack_of.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """End every process that was started."""
        self._stack_of.close()

    def _start(self) -> None:
        keep = self._stack_of
        self.scratch = Path(keep.enter_context(tempfile.TemporaryDirectory(prefix="clayline-")))
        container = keep.enter_context(ModelServer(self._model, scratch=self.scratch, log=self._logs / "endpoint.log"))
        self._children["endpoint"] = container.process
        moto = keep.enter_context(MotoServer(log=self._logs / "moto.log"))
        self._moto = moto
        self.url = moto.url
        self.environment = moto.environment()
        self.stack: Stack = expand(TEMPLATE, {**self._parameters, "ModelFolder": self.manifest.folder}, sqs_endpoint=moto.url)
        create(self.stack, endpoint_url=moto.url)
        self.s3, self.sqs, self.events = (self.client(name) for name in ("s3", "sqs", "events"))
        self._publish_model()
        self._watch_events()
        container.wait(seconds=startup_seconds(self.stack), notice=self._notice)
        config = endpoint_config(self.stack)
        self.endpoint = AsyncEndpoint(config, container.url, s3=self.s3, sns=self.client("sns"), name_output=self._name_output)
        self.endpoint.start()
        keep.callback(self.endpoint.stop)
        self.environment["AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME"] = self.endpoint.url
        if self._workers:
            self._start_workers()

    def _start_workers(self) -> None:
        keep = self._stack_of
        workers: list[subprocess.Popen[bytes]] = []
        for name, spec in self.stack.functions().items():
            log = keep.enter_context((self._logs / f"{name}.log").open("wb"))
            # A retry here need not wait six times the function's timeout, as SQS makes it in AWS.
            retry = Retry(failed=2, killed=60)
            worker = start_worker(spec, spec_folder=self.scratch, environment=self.environment, retry=retry, log=log)
            self._children[name] = worker
            keep.callback(end_process, worker, seconds=20)
            workers.append(worker)
        keep.callback(_ask_to_end, workers)  # all at once, before each is waited for

    def client(self, service: str) -> Any:  # noqa: ANN401 - boto3's clients are generated
        """Give a client on the local cloud."""
        return self._moto.client(service)

    def _publish_model(self) -> None:
        """Put the manifest where plan reads it: the bucket and key that template.yaml gives plan."""
        uri = self.stack.functions()["PlanFunction"].environment["CLAYLINE_MODEL_MANIFEST"]
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        self.s3.upload_file(str(self._model.path / MANIFEST_FILE), bucket, key)

    def _watch_events(self) -> None:
        """Listen to Clayline's events as a user's own consumer would: a rule and a queue that are not part of the stack."""
        self._watch = self.sqs.create_queue(QueueName="clayline-local-watch")["QueueUrl"]
        attributes = self.sqs.get_queue_attributes(QueueUrl=self._watch, AttributeNames=["QueueArn"])["Attributes"]
        self.events.put_rule(Name="clayline-local-watch", EventPattern=json.dumps({"source": ["clayline"]}))
        self.events.put_targets(Rule="clayline-local-watch", Targets=[{"Id": "watch", "Arn": attributes["QueueArn"]}])

    @property
    def scenes_bucket(self) -> str:
        """Where scenes land."""
        return self.stack.functions()["PlanFunction"].environment["CLAYLINE_SCENES_BUCKET"]

    @property
    def embeddings_bucket(self) -> str:
        """Where embeddings appear."""
        return self.stack.functions()["CollectFunction"].environment["CLAYLINE_EMBEDDINGS_BUCKET"]

    def drop(self, scene: StagedScene) -> str:
        """Upload a scene, what lands last; gives its URI."""
        for key, file in scene.assets:
            self.s3.upload_file(str(file), self.scenes_bucket, key)
        key, file = scene.landing
        self.s3.put_object(Bucket=self.scenes_bucket, Key=key, Body=file.read_bytes(), Metadata=scene.metadata)
        return f"s3://{self.scenes_bucket}/{key}"

    def wait(self, uri: str, *, progress: Callable[[Progress], None] = lambda _: None) -> dict[str, Any]:
        """Wait for the event about the scene that landed at ``uri``; gives its detail. Raises LocalCloudError if nothing moves any more."""
        last, moved = None, time.monotonic()
        while True:
            ended = [event["detail"] for event in self.announced(wait_seconds=1) if event["detail"]["source_uri"] == uri]
            found = self._progress()  # also when it has ended: the last batches may have settled since it was last told
            if found != last:
                last, moved = found, time.monotonic()
                progress(found)
            if ended:
                detail: dict[str, Any] = ended[0]
                return detail
            if dead := self._dead_letters():
                msg = f"{uri}: messages ended in dead-letter queues: {dead}. The functions' logs are in {self._logs}."
                raise LocalCloudError(msg)
            if gone := sorted(name for name, child in self._children.items() if child.poll() is not None):
                msg = f"{uri}: {', '.join(gone)} ended in mid-scene. The logs are in {self._logs}."
                raise LocalCloudError(msg)
            if self.endpoint.open_requests:
                moved = time.monotonic()  # a batch of a large model may take its time, which the invocation's own limit bounds
            if time.monotonic() - moved > _NO_PROGRESS:
                msg = f"{uri}: nothing moved for {_NO_PROGRESS:.0f} s. The logs are in {self._logs}."
                raise LocalCloudError(msg)

    def announced(self, *, wait_seconds: int = 0) -> Iterator[dict[str, Any]]:
        """Give at most ten of Clayline's events, whole as EventBridge delivers them; each is gone once it was given."""
        messages = self.sqs.receive_message(QueueUrl=self._watch, WaitTimeSeconds=wait_seconds, MaxNumberOfMessages=10).get("Messages", [])
        for message in messages:
            self.sqs.delete_message(QueueUrl=self._watch, ReceiptHandle=message["ReceiptHandle"])
            yield json.loads(message["Body"])

    def _progress(self) -> Progress:
        table = self.stack.functions()["PlanFunction"].environment["CLAYLINE_LEDGER_TABLE"]
        items = self.client("dynamodb").scan(TableName=table, FilterExpression="sk = :s", ExpressionAttributeValues={":s": {"S": "scene"}})[
            "Items"
        ]
        batches = [int(item["batches"]["N"]) for item in items if "batches" in item]
        settled = sum(len(item.get("settled", {}).get("SS", [])) for item in items)
        return Progress(batches=sum(batches) if batches else None, settled=settled)

    def _dead_letters(self) -> dict[str, int]:
        found = {}
        for queue in self.stack.of_type("AWS::SQS::Queue"):
            if "RedrivePolicy" not in queue.properties:
                answer = self.sqs.get_queue_attributes(QueueUrl=queue.physical.ref, AttributeNames=["ApproximateNumberOfMessages"])
                if count := int(answer["Attributes"]["ApproximateNumberOfMessages"]):
                    found[queue.logical_id] = count
        return found

    def fetch(self, detail: Mapping[str, Any], out: Path) -> dict[str, Path]:
        """Download a scene's outputs, under the names they have in the bucket; gives them by kind."""
        out.mkdir(parents=True, exist_ok=True)
        files = {}
        for kind, uri in detail["outputs"].items():
            key = uri.removeprefix(f"s3://{self.embeddings_bucket}/")
            target = out / key
            target.parent.mkdir(parents=True, exist_ok=True)
            self.s3.download_file(self.embeddings_bucket, key, str(target))
            files[kind] = target
        return files


def _ask_to_end(processes: Sequence["subprocess.Popen[bytes]"]) -> None:
    for process in processes:
        process.terminate()
