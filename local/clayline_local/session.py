"""The whole pipeline on one machine.

Moto's server, the endpoint behind its emulator, a worker a function, wired by template.yaml.
"""

import json
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import unquote

from clayline.model.manifest import MANIFEST_FILE
from clayline.run.names import AS_THEY_LIE
from clayline_local.async_endpoint import AsyncEndpoint
from clayline_local.cloud import create, dead_letters, endpoint_config, startup_seconds
from clayline_local.container import Container
from clayline_local.dropped import ENDS, Dropped, Progress, answers
from clayline_local.emulation import AS_CONFIGURED, Emulation
from clayline_local.errors import LocalCloudError
from clayline_local.fleet import Fleet
from clayline_local.ledger_view import LedgerView
from clayline_local.listener import Listener
from clayline_local.model_folder import ModelFolder
from clayline_local.model_server import ModelServer
from clayline_local.moto_process import MotoServer
from clayline_local.repository import STARTER
from clayline_local.scene_keys import absolute, names
from clayline_local.staged_scene import StagedScene
from clayline_local.stopping import check, stoppable
from clayline_local.template import LOCAL_PARAMETERS, TEMPLATE, Stack, expand
from clayline_local.upload import upload

if TYPE_CHECKING:
    import subprocess

_NO_PROGRESS = 300.0
"""Seconds without a new settled batch, and without one that the endpoint computes, after which waiting is given up."""


class Session:
    """Everything that runs, from entering to leaving the context. ``logs`` keeps what the processes print."""

    def __init__(
        self,
        *,
        model: Path = STARTER,
        parameters: Mapping[str, str] | None = None,
        logs: Path,
        workers: bool = True,
        emulation: Emulation = AS_CONFIGURED,
        out: Path | None = None,
        notice: Callable[[str], None] = lambda _: None,
        sensors: Mapping[str, Path] | None = None,
    ) -> None:
        """Take a model folder, template parameters over the local defaults, and a folder for logs.

        Raises LocalCloudError, ModelError.

        Without ``workers`` nobody polls the queues: whoever wants a function to run calls it. ``emulation`` is
        how the endpoint behaves, and when messages come again. ``out`` is the folder that a user sees: with it, the
        functions name what they read and write as it lies on this machine. ``notice`` is told what takes long.
        ``sensors`` are files that the parameter SensorFiles names.
        """
        self._model = ModelFolder.read(model)
        self._given = {**LOCAL_PARAMETERS, **(parameters or {})}
        self._logs = logs
        self._workers = workers
        self._emulation = emulation
        self._out = None if out is None else absolute(out)
        self._notice = notice
        self._sensors = sensors or {}
        self._ended: list[dict[str, Any]] = []
        self._dropped: dict[str, Dropped] = {}
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._endpoints = 0
        self._stack_of = ExitStack()
        self.manifest = self._model.manifest

    def __enter__(self) -> Self:
        """Start everything. Raises LocalCloudError."""
        try:
            self._logs.mkdir(parents=True, exist_ok=True)
            self._start()
        except BaseException as error:
            self._leave()
            if isinstance(error, OSError):
                msg = (
                    f"the local cloud cannot start ({error}). It needs ports of 127.0.0.1, memory, and space for"
                    " temporary files (TMPDIR)."
                )
                raise LocalCloudError(msg) from error
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End every process that was started.

        Each after what it has in hand, unless an error has made that worthless.
        """
        if error is None:
            self._stack_of.close()
        else:
            self._leave()

    def _leave(self) -> None:
        """End everything at once.

        Moto ends last and in order: what the endpoint's threads still have to say is said to it.
        """
        for child in self._children.values():
            child.kill()
        self._stack_of.close()

    def _start(self) -> None:
        """Start children where no signal comes between a start and its note.

        Wait for them, and for moto, where one may.
        """
        keep = self._stack_of
        self.scratch = Path(keep.enter_context(tempfile.TemporaryDirectory(prefix="clayline-")))
        container = self.start_endpoint()
        moto = keep.enter_context(MotoServer(log=self._logs / "moto.log"))
        self._moto = moto
        self.url = moto.url
        self.environment = moto.environment() | {"CLAYLINE_PAID": "false"}
        self.environment |= {"TMPDIR": str(self.scratch)}  # what functions leave there goes with it
        with stoppable():
            self.stack: Stack = expand(TEMPLATE, self.parameters, sqs_endpoint=moto.url)
            create(self.stack, endpoint_url=moto.url)
            self.names = AS_THEY_LIE
            if self._out is not None:
                buckets = {"scenes_bucket": self.scenes_bucket, "embeddings_bucket": self.embeddings_bucket}
                models = self._manifest_uri.removesuffix(MANIFEST_FILE)
                self.names = names(**buckets, out=self._out, folders={models: self._model.path})
                self.environment |= {"CLAYLINE_PLACE": "cli", "CLAYLINE_NAMES": json.dumps(dict(self.names.prefixes))}
            self.s3, self.sqs, self.events = (self.client(name) for name in ("s3", "sqs", "events"))
            self._publish_model()
            self._listener = Listener(self.sqs, self.events)
            container.wait(seconds=startup_seconds(self.stack), notice=self._notice)
        config = endpoint_config(self.stack)
        self.endpoint = AsyncEndpoint(
            config,
            Container(container.url, supervised=self._emulation.supervised),
            s3=self.s3,
            sns=self.client("sns"),
            faults=self._emulation.faults,
            name_output=self._emulation.name_output,
        )
        self.endpoint.start()
        keep.callback(self.endpoint.stop)
        self.environment["AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME"] = self.endpoint.url
        self.fleet = Fleet(
            {name: each for name, each in self.stack.functions().items() if self._workers and each.is_called},
            scratch=self.scratch,
            logs=self._logs,
            environment=self.environment,
            retry=self._emulation.retry,
            children=self._children,
        )
        keep.enter_context(self.fleet)

    def start_endpoint(self) -> ModelServer:
        """Start the container's program, be it again; it loads the model meanwhile (``ModelServer.wait``)."""
        number = self._endpoints
        self._endpoints += 1
        scratch, log = (self.scratch, "endpoint") if number == 0 else (self.scratch / str(number), f"endpoint-{number}")
        scratch.mkdir(exist_ok=True)
        server = ModelServer(self._model, scratch=scratch, log=self._logs / f"{log}.log")
        self._children["endpoint"] = self._stack_of.enter_context(server).process
        return server

    @property
    def children(self) -> "Mapping[str, subprocess.Popen[bytes]]":
        """The workers' processes by function, the endpoint's by ``endpoint``."""
        return self._children

    @property
    def cloud_is_up(self) -> bool:
        """Whether moto's process runs: with it end the buckets, the queues and the ledger."""
        return self._moto.is_up

    @property
    def parameters(self) -> dict[str, str]:
        """Those of template.yaml with which the stack is up: a build is expanded with the same."""
        return {**self._given, "ModelFolder": self.manifest.folder}

    def client(self, service: str) -> Any:  # noqa: ANN401 - boto3's clients are generated
        """Give a client on the local cloud."""
        return self._moto.client(service)

    def _publish_model(self) -> None:
        """Put the manifest where plan reads it: the bucket and key that template.yaml gives plan."""
        bucket, _, key = self._manifest_uri.removeprefix("s3://").partition("/")
        self.s3.upload_file(str(self._model.path / MANIFEST_FILE), bucket, key)
        for name, file in self._sensors.items():
            self.s3.upload_file(str(file), bucket, f"sensors/{name}")

    @property
    def _manifest_uri(self) -> str:
        return self.stack.functions()["PlanFunction"].environment["CLAYLINE_MODEL_MANIFEST"]

    @property
    def scenes_bucket(self) -> str:
        """Where scenes land."""
        return self.stack.functions()["PlanFunction"].environment["CLAYLINE_SCENES_BUCKET"]

    @property
    def embeddings_bucket(self) -> str:
        """Where embeddings appear."""
        return self.stack.functions()["CollectFunction"].environment["CLAYLINE_EMBEDDINGS_BUCKET"]

    @property
    def ledger_table(self) -> str:
        """The ledger's table."""
        return self.stack.functions()["PlanFunction"].environment["CLAYLINE_LEDGER_TABLE"]

    def drop(self, scene: StagedScene) -> str:
        """Upload a scene, what lands last; gives the name by which its event will call it."""
        key = scene.landing[0]
        uri = f"s3://{self.scenes_bucket}/{key}"
        named = self.names.of(uri)
        self._ended = [detail for detail in self._ended if not answers(detail, {named, uri})]  # an earlier landing's
        self._dropped[named] = Dropped(
            uri=uri, called=frozenset({uri, named, scene.item or named}), before=frozenset(self.finished())
        )
        upload(scene, s3=self.s3, bucket=self.scenes_bucket)
        return named

    def wait(self, uri: str, *, progress: Callable[[Progress], None] = lambda _: None) -> dict[str, Any]:
        """Wait for the event about the scene that landed at ``uri``; gives its detail.

        Raises LocalCloudError if nothing moves any more.
        """
        last, moved = None, time.monotonic()
        while True:
            check()
            ended = self._end_of(uri)
            found = self._progress(
                uri
            )  # also when it has ended: the last batches may have settled since it was last told
            if found != last:
                last, moved = found, time.monotonic()
            progress(found)
            if ended:
                return ended
            if dead := dead_letters(self.stack, self.sqs):
                msg = f"{uri}: messages ended in dead-letter queues: {dead}. The functions' logs are in {self._logs}."
                raise LocalCloudError(msg)
            if gone := sorted(name for name, child in self._children.items() if child.poll() is not None):
                msg = f"{uri}: {', '.join(gone)} ended in mid-scene. The logs are in {self._logs}."
                raise LocalCloudError(msg)
            if self.endpoint.open_requests:
                moved = (
                    time.monotonic()
                )  # a batch of a large model may take its time, which the invocation's own limit bounds
            if time.monotonic() - moved > _NO_PROGRESS:
                msg = f"{uri}: nothing moved for {_NO_PROGRESS:.0f} s. The logs are in {self._logs}."
                raise LocalCloudError(msg)

    def _end_of(self, uri: str) -> dict[str, Any] | None:
        """Give the next event's detail that answers the landing at ``uri``.

        Those about others are kept for who waits for them.
        """
        dropped = self._dropped.get(uri)
        called = {uri, dropped.uri} if dropped else {uri}
        if not any(answers(detail, called) for detail in self._ended):
            heard = [event for event in self.announced(wait_seconds=1) if event["detail-type"] in ENDS]
            self._ended += [event["detail"] for event in heard]
        found = next((detail for detail in self._ended if answers(detail, called)), None)
        if found:
            self._ended.remove(found)
        return found

    def announced(self, *, wait_seconds: int = 0) -> Iterator[dict[str, Any]]:
        """Give at most ten of Clayline's events, whole as EventBridge delivers them; each is gone once it was given."""
        return self._listener.heard(wait_seconds=wait_seconds)

    def ledger_rows(self, sort_key: str) -> Iterator[dict[str, Any]]:
        """Give the ledger's rows with this sort key, as DynamoDB types them, page by page."""
        return self._view().rows(sort_key)

    def finished(self) -> dict[str, dict[str, Any]]:
        """Give the ledger's row of each run that was announced, those of earlier calls among them."""
        return self._view().finished()

    def _view(self) -> LedgerView:
        return LedgerView(self.client("dynamodb"), table=self.ledger_table)

    def _progress(self, uri: str) -> Progress:
        return self._view().progress(self._dropped.get(uri))

    def output_key(self, uri: str) -> str | None:
        """Give the key in the embeddings bucket of an output that people call so.

        None if it is none of this session's.
        """
        bucket = f"s3://{self.embeddings_bucket}/"
        if uri.startswith(bucket):
            return uri.removeprefix(bucket)
        named = self.names.of(bucket)
        return unquote(uri.removeprefix(named)) if named != bucket and uri.startswith(named) else None
