"""One asynchronous call of a deployed endpoint, through the SDK, from the request object to the checked answer."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from botocore.exceptions import ClientError
from sagemaker.core.resources import Endpoint
from sagemaker.core.utils.utils import Unassigned

from clayline.model.wire import CONTENT_TYPE, Response
from clayline.run.keys import parse_s3_uri
from publish.errors import SmokeTestError
from publish.trial import Trial

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_TTL: Final = (60, 21_600)
"""Seconds that SageMaker allows a request to wait."""
_COMPUTE_SECONDS: Final = 600
"""For a few chips: the largest model takes seconds for each on a CPU."""
_SAY_SECONDS: Final = 30.0
_ADVICE: Final = {
    "unknown-model": (
        "The running instances have no such entry: they copied theirs when they began. Deploy with"
        " ModelFolder={folder}."
    ),
    "model-changed": (
        "The running instances have another model under this token: deploy again, so that new instances copy the"
        " folder."
    ),
    "too-large": "The image accepts smaller requests than this version makes: deploy this version's image.",
    "malformed": "The image speaks another wire version: deploy this version's image.",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class SmokeTest:
    """Where to ask, and how long to wait."""

    s3: "S3Client"
    endpoint: str
    work_bucket: str
    deadline_seconds: float
    poll_seconds: float
    say: Callable[[str], None]
    """Takes a line of progress."""

    def run(self, trial: Trial) -> Response:
        """Upload the request, invoke, wait for output or failure, check, and take the request away again.

        Raises SmokeTestError: endpoint not in service, a failure, no answer in time, a wrong answer. botocore's errors
        pass.
        """
        endpoint = self._endpoint()
        uri = trial.uri(self.work_bucket)
        bucket, key = parse_s3_uri(uri)
        body = trial.request.to_bytes()
        self.s3.put_object(Bucket=bucket, Key=key, Body=body, ContentType=CONTENT_TYPE)
        self.say(f"request   {uri} ({len(body):,} bytes, {len(trial.request.index)} chips for {trial.entry.token})")
        try:
            answer = endpoint.invoke_async(
                input_location=uri,
                content_type=CONTENT_TYPE,
                accept=CONTENT_TYPE,
                inference_id=trial.inference_id,
                request_ttl_seconds=int(min(max(self.deadline_seconds, _TTL[0]), _TTL[1])),
                invocation_timeout_seconds=_COMPUTE_SECONDS,
            )
            self.say(f"invoked   {self.endpoint}, InferenceId {trial.inference_id}")
            output = self._wait(
                endpoint,
                output=_location(answer.output_location),
                failure=_location(answer.failure_location),
                trial=trial,
            )
        finally:
            self.s3.delete_object(Bucket=bucket, Key=key)
        return trial.check(output)

    def _endpoint(self) -> Endpoint:
        try:
            endpoint = Endpoint.get(endpoint_name=self.endpoint)
        except ClientError as error:
            msg = (
                f"endpoint {self.endpoint} cannot be asked ({error}): is its name right, and AWS_DEFAULT_REGION its"
                " region?"
            )
            raise SmokeTestError(msg) from error
        if endpoint.endpoint_status != "InService":
            reason = "" if isinstance(endpoint.failure_reason, Unassigned) else f": {endpoint.failure_reason}"
            msg = (
                f"endpoint {self.endpoint} is {endpoint.endpoint_status}{reason}. Run `make smoke-test` again when it"
                " is InService."
            )
            raise SmokeTestError(msg)
        return endpoint

    def _wait(self, endpoint: Endpoint, *, output: str | None, failure: str | None, trial: Trial) -> bytes:
        start = time.monotonic()
        said = start
        while True:
            if output and (body := self._get(output)) is not None:
                self.say(f"answer    {output} after {time.monotonic() - start:.0f} s ({len(body):,} bytes)")
                return body
            if failure and (body := self._get(failure)) is not None:
                raise SmokeTestError(_failed(body, failure, trial))
            now = time.monotonic()
            if now - start >= self.deadline_seconds:
                msg = (
                    f"endpoint {self.endpoint} gave neither {output} nor {failure} in {self.deadline_seconds:.0f} s;"
                    f" {_instances(endpoint)}. Without an instance: look at the alarm of HasBacklogWithoutCapacity, the"
                    " scaling activities, and the account's quota for the instance type. With one: at the log group"
                    f" /aws/sagemaker/Endpoints/{self.endpoint}."
                )
                raise SmokeTestError(msg)
            if now - said >= _SAY_SECONDS:
                said = now
                passed = f"{now - start:.0f} s of {self.deadline_seconds:.0f} s"
                self.say(f"waiting   {passed}; {_instances(endpoint)} (the first takes 5 to 10 minutes)")
            time.sleep(self.poll_seconds)

    def _get(self, uri: str) -> bytes | None:
        bucket, key = parse_s3_uri(uri)
        try:
            return self.s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        except ClientError as error:
            if error.response["Error"]["Code"] == "NoSuchKey":
                return None
            raise


def _location(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _instances(endpoint: Endpoint) -> str:
    endpoint.refresh()
    variants = endpoint.production_variants
    counts = [] if isinstance(variants, Unassigned) else [variant.current_instance_count for variant in variants or []]
    known = [count for count in counts if isinstance(count, int)]
    return f"{sum(known)} instances run" if known else "SageMaker does not say how many instances run"


def _failed(body: bytes, uri: str, trial: Trial) -> str:
    """Make a sentence of a failure object: the server's JSON, perhaps in SageMaker's own words around it."""
    text = body.decode(errors="replace")
    try:
        content = json.loads(text)
    except ValueError:
        content = None
    reason = str(content.get("reason", "")) if isinstance(content, dict) else ""
    reason = reason if reason in _ADVICE else next((each for each in _ADVICE if each in text), "")
    advice = _ADVICE.get(reason, "Look at the endpoint's log.").format(folder=trial.request.header.folder)
    return f"the endpoint failed on {trial.entry.token} ({uri}): {text[:500]} {advice}"
