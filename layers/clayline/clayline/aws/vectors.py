"""A vector bucket of Amazon S3 Vectors (docs/vectors.md).

Written after AWS's service model and documentation; it never met AWS. moto plays all of it but the query.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import batched
from typing import Any, Final, Protocol

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from clayline.aws.failures import code_of, retryable
from clayline.errors import DatasetError
from clayline.likeness.vector_query import Neighbour
from clayline.likeness.vector_records import MOST_A_PUT, Put

BOUNDED: Final = Config(connect_timeout=5, read_timeout=10, retries={"mode": "standard", "total_max_attempts": 4})
"""How requests are tried again that S3 Vectors throttles (TooManyRequests, ServiceUnavailable): waits of at most 1, 2
and 4 seconds between them, so that one takes ``MOST_SECONDS`` at most. More patience is the queue's."""
MOST_SECONDS: Final = 4 * (5 + 10) + 1 + 2 + 4
_MISSING: Final = {"NotFoundException"}
_THERE: Final = {"ConflictException"}
_WRONG: Final = {"ValidationException"}


def vectors_client(*, profile: str | None = None, region: str | None = None) -> "VectorsClient":
    """Give a client of a profile and region, by default those of the environment. Raises DatasetError."""
    try:
        session: Any = boto3.session.Session(profile_name=profile, region_name=region)
        client: VectorsClient = session.client("s3vectors", config=BOUNDED)
    except BotoCoreError as error:
        msg = f"no access to AWS: {error}. Check profile and region."
        raise DatasetError(msg) from error
    return client


class VectorsClient(Protocol):
    """The part of boto3's s3vectors client that is used; its answers are documents."""

    def put_vectors(self, **request: Any) -> Any:  # noqa: ANN401 - boto3's own
        """Put at most 500 vectors."""
        ...

    def delete_vectors(self, **request: Any) -> Any:  # noqa: ANN401
        """Delete at most 500."""
        ...

    def create_index(self, **request: Any) -> Any:  # noqa: ANN401
        """Make an index."""
        ...

    def query_vectors(self, **request: Any) -> Any:  # noqa: ANN401
        """Give the nearest."""
        ...

    def get_paginator(self, name: Any) -> Any:  # noqa: ANN401
        """Give the pages of a listing."""
        ...


class S3Vectors:
    """Vectors of a bucket, over a boto3 client of s3vectors made with ``BOUNDED``."""

    def __init__(self, client: VectorsClient, *, bucket: str) -> None:
        """Take the vector bucket's name."""
        self._client = client
        self.bucket = bucket

    def put(self, put: Put) -> None:
        """Put the vectors of one request over those of the same keys, making their index if it is not there.

        Raises DatasetError for what S3 Vectors refuses for ever, TransientError.
        """
        vectors = [
            {"key": each.key, "data": {"float32": list(each.data)}, "metadata": each.metadata} for each in put.records
        ]
        with self._told(f"put {len(vectors)} vectors into", put.index):
            try:
                self._client.put_vectors(vectorBucketName=self.bucket, indexName=put.index, vectors=vectors)
            except ClientError as error:
                if code_of(error) not in _MISSING:
                    raise
                self._make(put.index, dimensions=len(put.records[0].data))
                self._client.put_vectors(vectorBucketName=self.bucket, indexName=put.index, vectors=vectors)

    def delete(self, index: str, keys: Sequence[str]) -> None:
        """Delete vectors, those that are there. Raises TransientError."""
        for part in batched(keys, MOST_A_PUT, strict=False):
            with self._told(f"delete {len(part)} vectors of", index):
                try:
                    self._client.delete_vectors(vectorBucketName=self.bucket, indexName=index, keys=list(part))
                except ClientError as error:
                    if code_of(error) not in _MISSING:  # no index, no vector
                        raise

    def indexes(self, stem: str) -> frozenset[str]:
        """Give the names of indexes that begin with ``stem``. Raises TransientError."""
        pages = self._client.get_paginator("list_indexes").paginate(vectorBucketName=self.bucket, prefix=stem)
        with self._told("list the indexes of", stem):
            names = [index["indexName"] for page in pages for index in page["indexes"]]
        return frozenset(name for name in names if name.startswith(stem))

    def ask(self, index: str, direction: Sequence[float], *, most: int, where: dict[str, Any]) -> list[Neighbour]:
        """Give the chips most like a direction [D] among those that meet the filter ``where``, the most alike first.

        Raises DatasetError for a question that S3 Vectors refuses for ever, TransientError.
        """
        with self._told("ask", index):
            answer = self._client.query_vectors(
                vectorBucketName=self.bucket,
                indexName=index,
                topK=most,
                queryVector={"float32": list(direction)},
                filter=where,
                returnMetadata=True,
                returnDistance=True,
            )
        if (metric := answer["distanceMetric"]) != "cosine":
            msg = f"index {index} of the vector bucket {self.bucket} measures {metric}, not cosine"
            raise DatasetError(msg)
        return [
            Neighbour(uci=found["key"], score=1.0 - found["distance"], metadata=dict(found.get("metadata") or {}))
            for found in answer["vectors"]
        ]

    def _make(self, index: str, *, dimensions: int) -> None:
        try:
            self._client.create_index(
                vectorBucketName=self.bucket,
                indexName=index,
                dataType="float32",
                dimension=dimensions,
                distanceMetric="cosine",
            )
        except ClientError as error:
            if code_of(error) not in _THERE:  # another call made it meanwhile
                raise

    @contextmanager
    def _told(self, doing: str, index: str) -> Iterator[None]:
        with retryable(f"{doing} {index} in the vector bucket {self.bucket}"):
            try:
                yield
            except ClientError as error:
                if code_of(error) in _WRONG:
                    msg = f"{doing} {index} in the vector bucket {self.bucket} is refused: {error}"
                    raise DatasetError(msg) from error
                raise
