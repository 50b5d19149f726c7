"""What the publisher meets in these tests.

Moto's S3, CloudFormation and SageMaker, and the emulator for the asynchronous calls.
"""

import http.client
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final, override

from clayline_local.async_endpoint import AsyncEndpoint
from clayline_local.invocation import AsyncEndpointConfig
from clayline_local.moto_process import MotoServer
from clayline_local.template import REGION

IMAGE: Final = f"123456789012.dkr.ecr.{REGION}.amazonaws.com/clayline/model@sha256:{'a' * 64}"
DESCRIBED: Final = Path(__file__).parent / "responses" / "describe_endpoint.json"


@dataclass(frozen=True, kw_only=True)
class Cloud:
    server: MotoServer

    def client(self, service: str) -> Any:
        return self.server.client(service)

    def make_bucket(self, name: str) -> str:
        self.client("s3").create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
        return name

    def keys(self, bucket: str) -> list[str]:
        return [item["Key"] for item in self.client("s3").list_objects_v2(Bucket=bucket).get("Contents", [])]

    def packages(self, group: str) -> list[dict[str, Any]]:
        """Every package of a group as the registry describes it."""
        client = self.client("sagemaker")
        listed = client.list_model_packages(ModelPackageGroupName=group, ModelPackageType="Versioned")[
            "ModelPackageSummaryList"
        ]
        return [client.describe_model_package(ModelPackageName=each["ModelPackageArn"]) for each in listed]

    @contextmanager
    def endpoint(self, name: str, container_url: str, *, work_bucket: str, **said: Any) -> Iterator[dict[str, str]]:
        """An endpoint without instances, described as recorded but for ``said``.

        Give the environment in which the SDK reaches it.
        """
        config = AsyncEndpointConfig(
            endpoint_name=name,
            output_path=f"s3://{work_bucket}/responses",
            failure_path=f"s3://{work_bucket}/failures",
            success_topic=None,
            error_topic=None,
            max_concurrent=2,
        )
        emulator = AsyncEndpoint(config, container_url, s3=self.client("s3"), sns=self.client("sns"))
        emulator.start()
        try:
            with self._describing({"EndpointName": name} | said) as url:
                yield {"AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME": emulator.url, "AWS_ENDPOINT_URL_SAGEMAKER": url}
        finally:
            emulator.stop()

    @contextmanager
    def _describing(self, said: dict[str, Any]) -> Iterator[str]:
        """SageMaker's control plane.

        DescribeEndpoint as the service answers it (the SDK refuses moto's answer), the rest moto's.
        """
        recorded = json.loads(DESCRIBED.read_text()) | said
        moto = self.server.url.removeprefix("http://")

        def answer(request: BaseHTTPRequestHandler, body: bytes) -> tuple[int, bytes]:
            if request.headers["X-Amz-Target"] == "SageMaker.DescribeEndpoint":
                known = json.loads(body)["EndpointName"] == recorded["EndpointName"]
                return (
                    (200, json.dumps(recorded).encode())
                    if known
                    else (400, b'{"__type": "ValidationException", "message": "no endpoint"}')
                )
            connection = http.client.HTTPConnection(moto, timeout=60)
            try:
                connection.request("POST", request.path, body, dict(request.headers.items()))
                reply = connection.getresponse()
                return reply.status, reply.read()
            finally:
                connection.close()

        with serving(answer) as url:
            yield url


@contextmanager
def answering(answer: Callable[[bytes], bytes]) -> Iterator[str]:
    """A container that answers each request with ``answer`` of its body; give its URL."""
    with serving(lambda _, body: (200, answer(body))) as url:
        yield url


@contextmanager
def serving(answer: Callable[[BaseHTTPRequestHandler, bytes], tuple[int, bytes]]) -> Iterator[str]:
    """An HTTP server whose POSTs get the status and body that ``answer`` gives; give its URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            status, body = answer(self, self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        @override
        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
