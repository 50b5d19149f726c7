"""SageMaker: starting asynchronous inferences."""

from typing import TYPE_CHECKING

from clayline.aws.failures import retryable
from clayline.model.wire import CONTENT_TYPE
from clayline.run.ledger import Invocation

if TYPE_CHECKING:
    from mypy_boto3_sagemaker_runtime import SageMakerRuntimeClient


class AsyncEndpoint:
    """The Endpoint port over a boto3 sagemaker-runtime client."""

    def __init__(self, client: "SageMakerRuntimeClient", *, name: str, ttl_seconds: int, timeout_seconds: int) -> None:
        self._client = client
        self._name = name
        self._ttl_seconds = ttl_seconds
        self._timeout_seconds = timeout_seconds

    def invoke(self, *, input_uri: str, inference_id: str) -> Invocation:
        """Start an inference; gives OutputLocation and FailureLocation as the service returns them.

        Raises TransientError.
        """
        with retryable(f"invoking {self._name} on {input_uri}"):
            answer = self._client.invoke_endpoint_async(
                EndpointName=self._name,
                ContentType=CONTENT_TYPE,
                Accept=CONTENT_TYPE,
                InputLocation=input_uri,
                InferenceId=inference_id,
                RequestTTLSeconds=self._ttl_seconds,
                InvocationTimeoutSeconds=self._timeout_seconds,
            )
        return Invocation(output=answer["OutputLocation"], failure=answer.get("FailureLocation"))
