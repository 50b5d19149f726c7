"""AsyncEndpoint: exactly what InvokeEndpointAsync is asked, which moto would ignore."""

import boto3
import pytest
from botocore.stub import Stubber
from tests.aws.conftest import REGION

from clayline.aws.endpoint import AsyncEndpoint
from clayline.errors import TransientError
from clayline.run.ledger import Invocation

INPUT = f"s3://work/requests/{'f' * 32}/b00042.safetensors"
IDENTITY = f"{'f' * 32}-b00042-a1"


def test_what_is_asked_and_what_is_kept() -> None:
    client = boto3.client("sagemaker-runtime", region_name=REGION)
    expected = {
        "EndpointName": "clayline",
        "ContentType": "application/x-safetensors",
        "Accept": "application/x-safetensors",
        "InputLocation": INPUT,
        "InferenceId": IDENTITY,
        "RequestTTLSeconds": 21_600,
        "InvocationTimeoutSeconds": 900,
    }
    answer = {
        "InferenceId": IDENTITY,
        "OutputLocation": "s3://elsewhere/made-up-by-sagemaker.out",
        "FailureLocation": "s3://elsewhere/failed",
    }
    with Stubber(client) as stub:
        stub.add_response("invoke_endpoint_async", answer, expected)
        endpoint = AsyncEndpoint(client, name="clayline", ttl_seconds=21_600, timeout_seconds=900)
        found = endpoint.invoke(input_uri=INPUT, inference_id=IDENTITY)
        stub.assert_no_pending_responses()
    assert found == Invocation(output="s3://elsewhere/made-up-by-sagemaker.out", failure="s3://elsewhere/failed")


def test_an_endpoint_may_keep_no_errors() -> None:
    client = boto3.client("sagemaker-runtime", region_name=REGION)
    with Stubber(client) as stub:
        stub.add_response("invoke_endpoint_async", {"InferenceId": IDENTITY, "OutputLocation": "s3://a/b.out"})
        endpoint = AsyncEndpoint(client, name="clayline", ttl_seconds=21_600, timeout_seconds=900)
        found = endpoint.invoke(input_uri=INPUT, inference_id=IDENTITY)
    assert found == Invocation(output="s3://a/b.out", failure=None)


@pytest.mark.parametrize(
    "code", ["ValidationError", "ServiceUnavailable", "ThrottlingException", "AccessDeniedException", "InternalFailure"]
)
def test_what_sagemaker_refuses_comes_again(code: str) -> None:
    """An endpoint that is missing or being made is a ValidationError: it may be there when the message comes again."""
    client = boto3.client("sagemaker-runtime", region_name=REGION)
    with Stubber(client) as stub:
        stub.add_client_error("invoke_endpoint_async", code)
        with pytest.raises(TransientError, match=f"invoking clayline on {INPUT}.*{code}"):
            AsyncEndpoint(client, name="clayline", ttl_seconds=60, timeout_seconds=1).invoke(
                input_uri=INPUT, inference_id="e"
            )
