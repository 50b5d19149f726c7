"""AWS as moto plays it, in this process.

One bucket pair, the ledger's table as template.yaml declares it, two queues.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import boto3
import pytest
from hypothesis import HealthCheck, settings
from moto import mock_aws
from samtranslator.yaml_helper import yaml_parse
from tests.aws.functions import BUCKET, ENVIRONMENT

from clayline.aws.ledger import DynamoLedger
from clayline.aws.objects import S3Objects
from clayline.aws.queues import SqsQueue
from clayline_local.template import TEMPLATE

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.service_resource import DynamoDBServiceResource, Table
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient

REGION: Final = "eu-central-1"

moto_examples: Final = settings(
    deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
"""For property tests on moto: an example's time says nothing where cores are shared; each takes names of its own in one
account."""


@cache
def ledger_schema() -> dict[str, Any]:
    """Give the ledger's keys and index as template.yaml declares them."""
    declared = yaml_parse(TEMPLATE.read_text(encoding="utf-8"))["Resources"]["Ledger"]["Properties"]
    names = ("AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes", "BillingMode")
    return {name: declared[name] for name in names}


@cache
def clients() -> "tuple[S3Client, SQSClient, DynamoDBServiceResource]":
    """Make clients once, which takes longer than most tests; moto sees to it that they never leave this process."""
    session = boto3.session.Session(region_name=REGION)
    return session.client("s3"), session.client("sqs"), session.resource("dynamodb")


@dataclass(frozen=True, kw_only=True)
class Cloud:
    s3: "S3Client"
    sqs: "SQSClient"
    table: "Table"
    queue_url: str
    tile_queue_url: str

    @property
    def tile_queue(self) -> SqsQueue:
        return SqsQueue(self.sqs, self.tile_queue_url)

    @property
    def objects(self) -> S3Objects:
        return S3Objects(self.s3)

    @property
    def ledger(self) -> DynamoLedger:
        return DynamoLedger(self.table)

    @property
    def queue(self) -> SqsQueue:
        return SqsQueue(self.sqs, self.queue_url)

    def received(self) -> list[str]:
        """Take every message from the queue and give the bodies."""
        bodies: list[str] = []
        while messages := self.sqs.receive_message(QueueUrl=self.queue_url, MaxNumberOfMessages=10).get("Messages"):
            bodies += [message["Body"] for message in messages]
            for message in messages:
                self.sqs.delete_message(QueueUrl=self.queue_url, ReceiptHandle=message["ReceiptHandle"])
        return bodies


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    with mock_aws():
        s3, sqs, dynamodb = clients()
        for bucket in ("work", "embeddings"):
            s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
        table = dynamodb.create_table(
            TableName="ledger",
            **ledger_schema(),
        )
        settled, tile = (sqs.create_queue(QueueName=name)["QueueUrl"] for name in ("settled", "tile"))
        yield Cloud(s3=s3, sqs=sqs, table=table, queue_url=settled, tile_queue_url=tile)


@pytest.fixture
def of_functions(monkeypatch: pytest.MonkeyPatch) -> Iterator["S3Client"]:
    """What the tests of functions stand in: their environment (tests/aws/functions.py), and moto with their bucket."""
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    with mock_aws():
        s3 = boto3.client("s3", region_name=REGION)
        s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
        yield s3
