"""The emulator of SageMaker's asynchronous contract, asked by boto3, with moto for S3, SNS and SQS and a scripted
container behind it.
"""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import batched
from pathlib import Path
from typing import TYPE_CHECKING, Any, override

import boto3
import numpy as np
import pytest
import safetensors.numpy
from botocore.config import Config
from botocore.exceptions import ClientError
from moto import mock_aws
from tests.server.container import running_container
from tests.server.model_folders import build_model_folder, tiny_oracle

from clayline_local.async_endpoint import AsyncEndpoint
from clayline_local.children import reserved_port
from clayline_local.container import Container
from clayline_local.invocation import AsyncEndpointConfig
from clayline_local.notifier import Faults

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sagemaker_runtime import SageMakerRuntimeClient
    from mypy_boto3_sns import SNSClient
    from mypy_boto3_sqs import SQSClient

REGION, BUCKET, NAME = "eu-central-1", "work-bucket", "clayline-endpoint"


class ScriptedContainer(ThreadingHTTPServer):
    """Answers by what the body says, and remembers what it was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Scripted)
        self.asked: list[tuple[str, dict[str, str], bytes]] = []
        self.release = threading.Event()
        self.at_once = self.most_at_once = 0
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Scripted(BaseHTTPRequestHandler):
    server: ScriptedContainer
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with self.server.lock:
            self.server.asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}, body))
            self.server.at_once += 1
            self.server.most_at_once = max(self.server.most_at_once, self.server.at_once)
        if body.startswith(b"wait"):
            self.server.release.wait(60)
        with self.server.lock:  # before the answer, which lets the next one come
            self.server.at_once -= 1
        self._answer(body)

    def _answer(self, body: bytes) -> None:
        if body == b"hang up":
            self.close_connection = True
            return
        status, answer = 200, b"made of " + body
        if body == b"refuse":
            status, answer = 400, b'{"reason": "wrong-shape", "message": "no"}'
        if body == b"break":
            status, answer = 500, b"x" * 5000
        self.send_response(status)
        self.send_header("Content-Type", "application/x-safetensors" if status == 200 else "application/json")
        if body == b"chunks":
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"2\r\nok\r\n0\r\n\r\n")
            return
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    @override
    def log_message(self, format: str, *args: object) -> None:
        pass


@dataclass
class Clock:
    """A clock that a test moves by hand."""

    ahead: float = 0.0
    start: float = field(default_factory=time.time)

    def __call__(self) -> float:
        return self.start + self.ahead


@dataclass(kw_only=True)
class Setting:
    endpoint: AsyncEndpoint
    container: ScriptedContainer
    clock: Clock
    runtime: "SageMakerRuntimeClient"
    s3: "S3Client"
    sqs: "SQSClient"
    queues: dict[str, str]

    def put(self, key: str, body: bytes) -> str:
        self.s3.put_object(Bucket=BUCKET, Key=key, Body=body)
        return f"s3://{BUCKET}/{key}"

    def invoke(self, body: bytes, inference_id: str, **parameters: Any) -> Any:
        return self.runtime.invoke_endpoint_async(
            EndpointName=NAME,
            InputLocation=self.put(f"requests/{inference_id}", body),
            InferenceId=inference_id,
            **parameters,
        )

    def object_at(self, uri: str) -> bytes:
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        return self.s3.get_object(Bucket=bucket, Key=key)["Body"].read()

    def messages(self, which: str) -> list[dict[str, Any]]:
        assert self.endpoint.wait_idle(60)
        found: list[dict[str, Any]] = []
        while batch := self.sqs.receive_message(QueueUrl=self.queues[which], MaxNumberOfMessages=10).get("Messages"):
            found += [json.loads(message["Body"]) for message in batch]
            for message in batch:
                self.sqs.delete_message(QueueUrl=self.queues[which], ReceiptHandle=message["ReceiptHandle"])
        return found


@pytest.fixture
def container() -> Iterator[ScriptedContainer]:
    server = ScriptedContainer()
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    yield server
    server.release.set()
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    with mock_aws():
        yield


@contextmanager
def running(
    container: ScriptedContainer,
    *,
    faults: Faults | None = None,
    max_concurrent: int = 2,
    supervised: Container | None = None,
    **config: Any,
) -> Iterator[Setting]:
    s3: S3Client = boto3.client("s3", region_name=REGION)
    sns: SNSClient = boto3.client("sns", region_name=REGION)
    sqs: SQSClient = boto3.client("sqs", region_name=REGION)
    s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    queues, topics = {}, {}
    for which in ("success", "error"):
        queues[which] = sqs.create_queue(QueueName=which)["QueueUrl"]
        topics[which] = sns.create_topic(Name=which)["TopicArn"]
        arn = sqs.get_queue_attributes(QueueUrl=queues[which], AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        sns.subscribe(TopicArn=topics[which], Protocol="sqs", Endpoint=arn, Attributes={"RawMessageDelivery": "true"})
    given: dict[str, Any] = {
        "endpoint_name": NAME,
        "output_path": f"s3://{BUCKET}/responses",
        "failure_path": f"s3://{BUCKET}/failures",
        "success_topic": topics["success"],
        "error_topic": topics["error"],
        "max_concurrent": max_concurrent,
    }
    clock = Clock()
    endpoint = AsyncEndpoint(
        AsyncEndpointConfig(**(given | config)),
        supervised or container.url,
        s3=s3,
        sns=sns,
        faults=faults,
        clock=clock,
    )
    endpoint.start()
    runtime: SageMakerRuntimeClient = boto3.client(
        "sagemaker-runtime",
        region_name=REGION,
        endpoint_url=endpoint.url,
        config=Config(retries={"total_max_attempts": 1}),
    )
    try:
        yield Setting(
            endpoint=endpoint, container=container, clock=clock, runtime=runtime, s3=s3, sqs=sqs, queues=queues
        )
    finally:
        container.release.set()
        endpoint.stop()


def test_a_success_is_an_object_and_one_message(container: ScriptedContainer) -> None:
    with running(container) as aws:
        answer = aws.invoke(
            b"chips", "id-1", ContentType="application/x-safetensors", Accept="text/x", CustomAttributes="trace=7"
        )
        assert answer["ResponseMetadata"]["HTTPStatusCode"] == 202
        assert answer["InferenceId"] == "id-1"
        assert answer["OutputLocation"].startswith(f"s3://{BUCKET}/responses/")
        assert answer["OutputLocation"].endswith(".out")
        assert answer["FailureLocation"].startswith(f"s3://{BUCKET}/failures/")
        assert answer["FailureLocation"].endswith("-error.out")
        (message,) = aws.messages("success")
        assert aws.messages("error") == []
        assert aws.object_at(answer["OutputLocation"]) == b"made of chips"
        ((path, headers, body),) = container.asked
        assert (path, body) == ("/invocations", b"chips")
        assert headers["content-type"] == "application/x-safetensors"
        assert (headers["accept"], headers["x-amzn-sagemaker-custom-attributes"]) == ("text/x", "trace=7")
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(aws.clock.start))
        assert message.pop("eventTime").startswith(stamp)
        assert message.pop("receivedTime").startswith(stamp)
        assert message == {
            "awsRegion": REGION,
            "invocationStatus": "Completed",
            "requestParameters": {
                "contentType": "application/x-safetensors",
                "endpointName": NAME,
                "inputLocation": f"s3://{BUCKET}/requests/id-1",
            },
            "responseParameters": {
                "contentType": "application/x-safetensors",
                "outputLocation": answer["OutputLocation"],
            },
            "inferenceId": "id-1",
            "eventVersion": "1.0",
            "eventSource": "aws:sagemaker",
            "eventName": "InferenceResult",
        }
        assert aws.s3.list_objects_v2(Bucket=BUCKET, Prefix="failures/")["KeyCount"] == 0


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"refuse", ["client error (400)", "wrong-shape"]),
        (b"break", ["server error (500)", "xxx"]),
        (b"hang up", ["connection"]),
        (b"chunks", ["Content-Length"]),
    ],
)
def test_a_failure_is_an_object_at_the_failure_path_and_one_message(
    container: ScriptedContainer, body: bytes, words: list[str]
) -> None:
    with running(container) as aws:
        answer = aws.invoke(body, "id-2")
        (message,) = aws.messages("error")
        assert aws.messages("success") == []
        assert (message["invocationStatus"], message["inferenceId"]) == ("Failed", "id-2")
        assert all(word in message["failureReason"] for word in words)
        assert message["responseParameters"]["failureLocation"] == answer["FailureLocation"]
        assert aws.object_at(answer["FailureLocation"])
        assert aws.s3.list_objects_v2(Bucket=BUCKET, Prefix="responses/")["KeyCount"] == 0
        if body == b"refuse":
            assert json.loads(aws.object_at(answer["FailureLocation"]))["reason"] == "wrong-shape"
        if body == b"break":
            assert len(aws.object_at(answer["FailureLocation"])) == 5000


def test_without_a_failure_path_only_the_message_tells(container: ScriptedContainer) -> None:
    with running(container, failure_path=None) as aws:
        answer = aws.invoke(b"refuse", "id-3")
        assert "FailureLocation" not in answer
        (message,) = aws.messages("error")
        assert "responseParameters" not in message
        assert "wrong-shape" in message["failureReason"]


def test_without_topics_nothing_is_said(container: ScriptedContainer) -> None:
    with running(container, success_topic=None, error_topic=None) as aws:
        answer = aws.invoke(b"chips", "id-4")
        aws.invoke(b"refuse", "id-5")
        assert aws.messages("success") == aws.messages("error") == []
        assert aws.object_at(answer["OutputLocation"]) == b"made of chips"


def test_an_input_that_is_gone_fails(container: ScriptedContainer) -> None:
    with running(container) as aws:
        aws.runtime.invoke_endpoint_async(EndpointName=NAME, InputLocation=f"s3://{BUCKET}/nothing/here")
        (message,) = aws.messages("error")
        assert "Unable to read" in message["failureReason"]
        assert message["inferenceId"]
        assert container.asked == []


def test_an_output_that_cannot_be_written_fails(container: ScriptedContainer) -> None:
    with running(container, output_path="s3://no-such-bucket/x", failure_path="s3://no-such-bucket/y") as aws:
        aws.invoke(b"chips", "id-6")
        (message,) = aws.messages("error")
        assert "Unable to write" in message["failureReason"]
        assert "responseParameters" not in message


def test_a_container_that_takes_too_long_fails(container: ScriptedContainer) -> None:
    with running(container) as aws:
        aws.invoke(b"wait", "id-7", InvocationTimeoutSeconds=1)
        (message,) = aws.messages("error")
        assert "within 1 seconds" in message["failureReason"]


def test_what_waited_longer_than_its_ttl_expires_uncomputed(container: ScriptedContainer) -> None:
    with running(container, max_concurrent=1) as aws:
        aws.invoke(b"wait first", "id-8", RequestTTLSeconds=60)
        aws.invoke(b"patient", "id-9")
        aws.invoke(b"hasty", "id-10", RequestTTLSeconds=60)
        while not container.asked:
            time.sleep(0.01)
        aws.clock.ahead = 61
        container.release.set()
        (expired,) = aws.messages("error")
        assert (expired["invocationStatus"], expired["inferenceId"]) == ("Expired", "id-10")
        assert "responseParameters" not in expired
        assert sorted(message["inferenceId"] for message in aws.messages("success")) == ["id-8", "id-9"]
        assert [body for _, _, body in container.asked] == [b"wait first", b"patient"]


def test_the_default_ttl_is_six_hours(container: ScriptedContainer) -> None:
    with running(container, max_concurrent=1) as aws:
        aws.invoke(b"wait", "id-11")
        while not container.asked:
            time.sleep(0.01)
        aws.invoke(b"late", "id-12")
        aws.clock.ahead = 21_601
        container.release.set()
        assert [message["inferenceId"] for message in aws.messages("error")] == ["id-12"]


@pytest.mark.parametrize("most", [1, 3])
def test_no_more_than_max_concurrent_reach_the_container(container: ScriptedContainer, most: int) -> None:
    with running(container, max_concurrent=most) as aws:
        for number in range(6):
            aws.invoke(b"wait %d" % number, f"id-{number}")
        deadline = time.monotonic() + 60
        while container.at_once < most and time.monotonic() < deadline:
            time.sleep(0.01)
        container.release.set()
        assert len(aws.messages("success")) == 6
        assert container.most_at_once == most


def test_inline_body_and_names_of_outputs(container: ScriptedContainer) -> None:
    with running(container) as aws:
        answer = aws.runtime.invoke_endpoint_async(
            EndpointName=NAME, Body=b"x" * 128_000, S3OutputPathExtension="runs/(a)/b", Filename="b00001.safetensors"
        )
        assert answer["OutputLocation"] == f"s3://{BUCKET}/responses/runs/(a)/b/b00001.safetensors"
        (message,) = aws.messages("success")
        assert "inputLocation" not in message["requestParameters"]
        assert aws.object_at(answer["OutputLocation"]) == b"made of " + b"x" * 128_000


LOCATION = {"InputLocation": f"s3://{BUCKET}/k"}


@pytest.mark.parametrize(
    ("parameters", "named"),
    [
        ({"EndpointName": "another", **LOCATION}, "Endpoint another"),
        ({}, "InputLocation"),
        ({**LOCATION, "Body": b"1"}, "InputLocation"),
        ({"Body": b"x" * 128_001}, "Body"),
        ({"InputLocation": "s3://"}, "InputLocation"),
        ({"InputLocation": f"{BUCKET}/k"}, "InputLocation"),
        ({"InputLocation": f"s3://{BUCKET}/" + "k" * 1024}, "InputLocation"),
        ({**LOCATION, "InferenceId": "i" * 65}, "InferenceId"),
        ({**LOCATION, "InferenceId": "tab\there"}, "InferenceId"),
        ({**LOCATION, "InferenceId": "\xe9"}, "InferenceId"),
        ({**LOCATION, "S3OutputPathExtension": "e" * 513}, "S3OutputPathExtension"),
        ({**LOCATION, "S3OutputPathExtension": "a b"}, "S3OutputPathExtension"),
        ({**LOCATION, "S3OutputPathExtension": "a+b"}, "S3OutputPathExtension"),
        ({**LOCATION, "S3OutputPathExtension": "s3:elsewhere"}, "S3OutputPathExtension"),
        ({**LOCATION, "Filename": "f" * 33}, "Filename"),
        ({**LOCATION, "Filename": "a.b.c"}, "Filename"),
        ({**LOCATION, "Filename": ".hidden"}, "Filename"),
        ({**LOCATION, "Filename": "a/b"}, "Filename"),
        ({**LOCATION, "RequestTTLSeconds": 21_601}, "RequestTTLSeconds"),
        ({**LOCATION, "InvocationTimeoutSeconds": 3_601}, "InvocationTimeoutSeconds"),
        ({**LOCATION, "CustomAttributes": "c" * 1025}, "CustomAttributes"),
    ],
)
def test_what_breaks_a_limit_is_a_validation_error(
    container: ScriptedContainer, parameters: dict[str, Any], named: str
) -> None:
    with running(container) as aws:
        with pytest.raises(ClientError) as caught:
            aws.runtime.invoke_endpoint_async(**({"EndpointName": NAME} | parameters))
        assert caught.value.response["Error"]["Code"] == "ValidationError"
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
        assert named in caught.value.response["Error"]["Message"]
        assert aws.messages("success") == aws.messages("error") == []
        assert container.asked == []


def test_what_lies_just_within_the_limits_is_taken(container: ScriptedContainer) -> None:
    within: list[dict[str, Any]] = [
        {"InferenceId": "i" * 64, "RequestTTLSeconds": 60, "InvocationTimeoutSeconds": 1},
        {"InferenceId": "two words", "RequestTTLSeconds": 21_600, "InvocationTimeoutSeconds": 3_600},
        {"Filename": "f" * 32, "S3OutputPathExtension": "e" * 512, "CustomAttributes": "c" * 1024},
    ]
    with running(container) as aws:
        for number, parameters in enumerate(within):
            location = aws.put(f"k{number}", b"chips")
            aws.runtime.invoke_endpoint_async(EndpointName=NAME, InputLocation=location, **parameters)
        assert len(aws.messages("success")) == 3


def test_without_an_inference_id_one_is_made_up(container: ScriptedContainer) -> None:
    with running(container) as aws:
        location = aws.put("k", b"chips")
        made = {
            aws.runtime.invoke_endpoint_async(EndpointName=NAME, InputLocation=location)["InferenceId"]
            for _ in range(3)
        }
        assert {message["inferenceId"] for message in aws.messages("success")} == made
        assert len(made) == 3


def test_keys_are_taken_as_they_are(container: ScriptedContainer) -> None:
    with running(container) as aws:
        location = aws.put("requests/a+b %2F.safetensors", b"chips")
        aws.runtime.invoke_endpoint_async(EndpointName=NAME, InputLocation=location)
        (message,) = aws.messages("success")
        assert message["requestParameters"]["inputLocation"] == location


def test_faults_duplicate_every_message(container: ScriptedContainer) -> None:
    with running(container, faults=Faults(duplicate=1.0)) as aws:
        aws.invoke(b"chips", "id-1")
        aws.invoke(b"refuse", "id-2")
        first, second = aws.messages("success")
        assert first == second
        assert [message["inferenceId"] for message in aws.messages("error")] == ["id-2"] * 2
        assert len(container.asked) == 2


def test_faults_drop_messages_but_not_objects(container: ScriptedContainer) -> None:
    with running(container, faults=Faults(drop=1.0)) as aws:
        answer = aws.invoke(b"chips", "id-1")
        assert aws.messages("success") == []
        assert aws.object_at(answer["OutputLocation"]) == b"made of chips"


def test_faults_reorder_messages(container: ScriptedContainer) -> None:
    names = [f"id-{number}" for number in range(8)]
    faults = Faults(delay_seconds=1.0, seed=3602)
    # Of each pair the second waits over half a second less: only four stalls, one within each, could keep them all in
    # order.
    delays = [faults.draw("delay 0", name) for name in names]
    assert all(first > second + 0.5 for first, second in batched(delays, 2, strict=True))
    with running(container, faults=faults, max_concurrent=1) as aws:
        for number, name in enumerate(names):
            aws.invoke(b"chips" if number else b"wait", name)
        container.release.set()  # all are queued, so the last delay begins soon after the first
        seen = [message["inferenceId"] for message in aws.messages("success")]
        assert sorted(seen) == names
        assert seen != names


def test_a_share_of_faults_is_the_same_in_every_run(container: ScriptedContainer) -> None:
    names = [f"id-{number}" for number in range(20)]
    faults = Faults(seed=1, drop=0.5)
    counted = []
    with running(container, faults=faults) as aws:
        for _ in range(2):
            for name in names:
                aws.invoke(b"chips", name)
            counted.append(sorted(message["inferenceId"] for message in aws.messages("success")))
    assert counted[0] == counted[1]
    assert 2 < len(counted[0]) < 18
    assert {Faults(seed=seed, drop=0.5).draw("drop", "id-1") < 0.5 for seed in range(20)} == {True, False}


def test_a_topic_that_is_gone_is_counted(container: ScriptedContainer) -> None:
    with running(container, success_topic=f"arn:aws:sns:{REGION}:123456789012:gone") as aws:
        aws.invoke(b"chips", "id-1")
        assert aws.messages("success") == []
        assert aws.endpoint.notification_failures == 1
        aws.invoke(b"refuse", "id-2")
        assert len(aws.messages("error")) == 1


def test_the_real_container_behind_it(container: ScriptedContainer, tmp_path: Path) -> None:
    folder = build_model_folder(tmp_path / "models")
    entry = json.loads((folder / "manifest.json").read_text())["entries"][0]
    pixels = np.random.default_rng(1).integers(0, 3000, (5, 3, 64, 64)).astype(np.uint16)
    header = {"clayline": "request/2", "run": "0" * 32, "batch": "b00000", "folder": folder.name}
    header |= {"token": entry["token"], "digest": entry["digest"]}
    tensors = {"index": np.arange(5), "pixels": pixels}
    with running(container) as aws, running_container(tmp_path / "models", tmp_path / "log") as real:
        aws.endpoint.container.back(real.url)
        good = aws.invoke(safetensors.numpy.save(tensors, metadata=header), "id-good")
        bad = aws.invoke(safetensors.numpy.save(tensors, metadata=header | {"folder": "other-v1.0"}), "id-bad")
        assert [message["inferenceId"] for message in aws.messages("success")] == ["id-good"]
        (failed,) = aws.messages("error")
        assert "unknown-model" in failed["failureReason"]
        assert json.loads(aws.object_at(bad["FailureLocation"]))["reason"] == "unknown-model"
        response = safetensors.numpy.load(aws.object_at(good["OutputLocation"]))
        np.testing.assert_allclose(response["embeddings"], tiny_oracle(pixels, 8)[0], rtol=0, atol=2e-6)


@pytest.fixture
def nobody() -> Iterator[str]:
    """Give the address of a container that has ended: nobody listens there, or ever will."""
    with reserved_port() as port:
        yield f"http://127.0.0.1:{port}"


def test_requests_wait_for_a_container_that_is_started_again(container: ScriptedContainer, nobody: str) -> None:
    supervised = Container(nobody, supervised=True)
    with running(container, supervised=supervised) as aws:
        locations = [aws.invoke(b"chips", f"id-{number}")["OutputLocation"] for number in range(5)]
        assert supervised.found_gone.wait(60)
        assert aws.endpoint.open_requests == 5
        assert container.asked == []
        supervised.gone("http://127.0.0.1:1")  # of another that ended before: nothing new
        supervised.back(container.url)
        assert len(aws.messages("success")) == 5
        assert aws.messages("error") == []
        assert {aws.object_at(location) for location in locations} == {b"made of chips"}


def test_what_a_container_computed_as_it_ended_has_failed(container: ScriptedContainer) -> None:
    with running(container, supervised=Container(container.url, supervised=True)) as aws:
        aws.invoke(b"hang up", "id-1")
        [message] = aws.messages("error")
        assert message["invocationStatus"] == "Failed"
        assert "The connection to the model container failed" in message["failureReason"]


def test_a_request_that_waited_too_long_for_a_container_expires(container: ScriptedContainer, nobody: str) -> None:
    supervised = Container(nobody, supervised=True)
    with running(container, supervised=supervised) as aws:
        aws.invoke(b"chips", "id-1", RequestTTLSeconds=60)
        assert supervised.found_gone.wait(60)
        aws.clock.ahead = 61
        supervised.back(container.url)
        [message] = aws.messages("error")
        assert message["invocationStatus"] == "Expired"
        assert container.asked == []


def test_the_end_does_not_wait_for_a_container(container: ScriptedContainer, nobody: str) -> None:
    supervised = Container(nobody, supervised=True)
    with running(container, supervised=supervised) as aws:
        aws.invoke(b"chips", "id-1")
        assert supervised.found_gone.wait(60)
    assert container.asked == []
