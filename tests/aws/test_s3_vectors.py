"""A vector bucket: puts and deletes on moto; the query, which moto lacks, against an answer written after AWS's
documentation and checked by botocore against its service model. It never met AWS.
"""

import time
from collections.abc import Iterator
from functools import cache
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from botocore.stub import Stubber
from moto import mock_aws
from tests.aws.conftest import REGION

from clayline.aws.vectors import BOUNDED, MOST_SECONDS, S3Vectors
from clayline.errors import DatasetError, TransientError
from clayline.likeness.vector_query import Neighbour
from clayline.likeness.vector_records import Put, VectorRecord

INDEX = "clay-v1.5-cls.0123456789.32"
BUCKET = "my-vectors"


@cache
def client() -> Any:
    return boto3.session.Session(region_name=REGION).client("s3vectors", config=BOUNDED)


@pytest.fixture
def vectors() -> Iterator[S3Vectors]:
    with mock_aws():
        client().create_vector_bucket(vectorBucketName=BUCKET)
        yield S3Vectors(client(), bucket=BUCKET)


@pytest.fixture
def stubbed() -> Iterator[Stubber]:
    with Stubber(client()) as stub:
        yield stub
        stub.assert_no_pending_responses()


def put(*numbers: int, component: float = 1.0, index: str = INDEX) -> Put:
    return Put(
        index=index,
        records=[
            VectorRecord(key=f"chip{number}", data=[component, 0.0, -0.5], metadata={"lon": 8.5, "cell": f"c{number}"})
            for number in numbers
        ],
    )


def there() -> dict[str, Any]:
    listed = client().list_vectors(vectorBucketName=BUCKET, indexName=INDEX, returnData=True, returnMetadata=True)
    return {each["key"]: (each["data"]["float32"], each["metadata"]) for each in listed["vectors"]}


def test_the_first_put_makes_the_index(vectors: S3Vectors) -> None:
    vectors.put(put(1, 2))
    assert there() == {
        "chip1": ([1.0, 0.0, -0.5], {"lon": 8.5, "cell": "c1"}),
        "chip2": ([1.0, 0.0, -0.5], {"lon": 8.5, "cell": "c2"}),
    }
    made = client().get_index(vectorBucketName=BUCKET, indexName=INDEX)["index"]
    assert (made["dimension"], made["distanceMetric"], made["dataType"]) == (3, "cosine", "float32")


def test_the_same_key_twice_is_one_vector_the_later_one(vectors: S3Vectors) -> None:
    vectors.put(put(1, 2))
    vectors.put(put(2, 3, component=0.25))
    assert {key: data[0] for key, (data, _) in there().items()} == {"chip1": 1.0, "chip2": 0.25, "chip3": 0.25}


def test_vectors_are_deleted_be_they_there_or_not(vectors: S3Vectors) -> None:
    vectors.put(put(*range(600)))
    vectors.delete(INDEX, [f"chip{number}" for number in range(1, 700)])
    assert list(there()) == ["chip0"]
    vectors.delete("no.such.index", ["chip0"])


def test_indexes_of_a_model_are_listed(vectors: S3Vectors) -> None:
    for index in (INDEX, "clay-v1.5-cls.0123456789.33", "clay-v1.5-cls.9999999999.32"):
        vectors.put(put(1, index=index))
    assert vectors.indexes("clay-v1.5-cls.0123456789.") == {INDEX, "clay-v1.5-cls.0123456789.33"}


def test_a_bucket_that_is_not_there_is_named(vectors: S3Vectors) -> None:
    with pytest.raises(TransientError, match=r"into clay-v1\.5-cls\.0123456789\.32 in the vector bucket another"):
        S3Vectors(client(), bucket="another").put(put(1))
    assert vectors.indexes("clay") == frozenset()


def test_an_index_that_another_call_makes_meanwhile_is_used(stubbed: Stubber) -> None:
    stubbed.add_client_error("put_vectors", "NotFoundException", http_status_code=404)
    stubbed.add_client_error("create_index", "ConflictException", http_status_code=409)
    stubbed.add_response("put_vectors", {})
    S3Vectors(client(), bucket=BUCKET).put(put(1))


@pytest.mark.parametrize(
    ("code", "status", "error"),
    [
        ("TooManyRequestsException", 429, TransientError),
        ("ServiceUnavailableException", 503, TransientError),
        ("AccessDeniedException", 403, TransientError),
        ("ValidationException", 400, DatasetError),
    ],
)
def test_what_a_retry_may_cure_comes_again(stubbed: Stubber, code: str, status: int, error: type[Exception]) -> None:
    stubbed.add_client_error("put_vectors", code, http_status_code=status)
    with pytest.raises(error, match=f"put 1 vectors into {INDEX} in the vector bucket my-vectors"):
        S3Vectors(client(), bucket=BUCKET).put(put(1))


def test_throttling_is_waited_out_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    monkeypatch.setattr(time, "sleep", waited.append)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    throttled = boto3.session.Session(region_name=REGION).client("s3vectors", config=BOUNDED)
    asked = 0

    def refuse(**_: object) -> object:
        nonlocal asked
        asked += 1
        return _answer(429, b'{"__type": "TooManyRequestsException", "message": "slow down"}')

    throttled.meta.events.register("before-send.s3vectors.PutVectors", refuse)
    with pytest.raises(TransientError, match="slow down"):
        S3Vectors(throttled, bucket=BUCKET).put(put(1))
    assert asked == 4
    assert len(waited) == 3
    assert sum(waited) + 4 * (BOUNDED.connect_timeout + BOUNDED.read_timeout) <= MOST_SECONDS  # type: ignore[attr-defined]


def _answer(status: int, body: bytes) -> object:
    class Raw:
        def stream(self) -> Iterator[bytes]:
            yield body

    headers = HTTPHeaders.from_dict({"x-amzn-ErrorType": "TooManyRequestsException"})
    return AWSResponse("https://s3vectors", status, headers, Raw())


WHERE = {"$and": [{"valid": {"$gte": 0.9}}, {"lon": {"$lte": 9.0}}]}
ASKED = {
    "vectorBucketName": BUCKET,
    "indexName": INDEX,
    "topK": 2,
    "queryVector": {"float32": [0.6, 0.8, 0.0]},
    "filter": WHERE,
    "returnMetadata": True,
    "returnDistance": True,
}


def test_a_query_gives_the_cosine_of_each_chip(stubbed: Stubber) -> None:
    answer = {
        "vectors": [
            {"key": "chip1", "distance": 0.125, "metadata": {"cell": "c1", "lon": 8.5}},
            {"key": "chip2", "distance": 1.5},
        ],
        "distanceMetric": "cosine",
    }
    stubbed.add_response("query_vectors", answer, ASKED)
    assert S3Vectors(client(), bucket=BUCKET).ask(INDEX, [0.6, 0.8, 0.0], most=2, where=WHERE) == [
        Neighbour(uci="chip1", score=0.875, metadata={"cell": "c1", "lon": 8.5}),
        Neighbour(uci="chip2", score=-0.5, metadata={}),
    ]


def test_an_index_by_another_measure_is_refused(stubbed: Stubber) -> None:
    stubbed.add_response("query_vectors", {"vectors": [], "distanceMetric": "euclidean"}, ASKED)
    with pytest.raises(DatasetError, match="measures euclidean"):
        S3Vectors(client(), bucket=BUCKET).ask(INDEX, [0.6, 0.8, 0.0], most=2, where=WHERE)
