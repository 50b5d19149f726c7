"""A stack as CloudFormation knows it, in moto, and a ledger in it with runs of every kind."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import boto3
from tests.aws.conftest import ledger_schema

from clayline.aws.ledger import DynamoLedger
from clayline.run.ledger import Invocation, Outcome
from clayline.run.receipt import ChipOutcome, Receipt, SceneWarning, State, count, scene_reason, status_of
from clayline.run.result import BatchResult
from clayline.run.state import RunState
from clayline_cli.operating.running import DEAD_LETTERS, QUEUES

REGION: Final = "eu-central-1"
NAME: Final = "clayline"
NOW: Final = datetime.now(UTC).replace(microsecond=0)
"""Moto's clock is the machine's."""
HOUR: Final = timedelta(hours=1)


def template() -> str:
    """Give a template with what of template.yaml an operator's commands look at, under the same logical ids."""
    buckets = ("ScenesBucket", "EmbeddingsBucket", "WorkBucket")
    resources: dict[str, Any] = {name: {"Type": "AWS::SQS::Queue"} for name in (*QUEUES, *DEAD_LETTERS)}
    resources |= {
        name: {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": f"{NAME}-{name.lower()}"}} for name in buckets
    }
    resources["Ledger"] = {"Type": "AWS::DynamoDB::Table", "Properties": ledger_schema()}
    outputs: dict[str, Any] = {name: {"Value": {"Ref": name}} for name in (*buckets, "Ledger")}
    outputs["EndpointName"] = {"Value": "none"}
    parameters = {"MaxBatchesInFlight": {"Type": "Number", "Default": 2000}}
    return json.dumps({"Parameters": parameters, "Resources": resources, "Outputs": outputs})


@dataclass(frozen=True, kw_only=True)
class Deployed:
    """The stack, and what a test does to it."""

    session: boto3.Session
    resources: Mapping[str, str]

    def client(self, service: str) -> Any:
        return self.session.client(service, region_name=REGION)  # type: ignore[call-overload]

    @property
    def ledger(self) -> DynamoLedger:
        table: Any = self.session.resource("dynamodb", region_name=REGION).Table(self.resources["Ledger"])
        return DynamoLedger(table)

    def url(self, queue: str) -> str:
        return self.resources[queue]


def deploy() -> Deployed:
    """Let CloudFormation make it."""
    session = boto3.Session(region_name=REGION)
    cloud = session.client("cloudformation")
    cloud.create_stack(StackName=NAME, TemplateBody=template())
    resources = {
        each["LogicalResourceId"]: each["PhysicalResourceId"]
        for each in cloud.describe_stack_resources(StackName=NAME)["StackResources"]
    }
    return Deployed(session=session, resources=resources)


@dataclass(frozen=True, kw_only=True)
class Author:
    """Writes runs as the functions do."""

    deployed: Deployed

    def claim(self, run: str, scene: str, *, begun: datetime) -> None:
        due = begun + timedelta(days=1)  # whoever asks does so by the clock, long after this module was imported
        self.deployed.ledger.claim(
            run, scene=scene, origin="{}", now=begun, lease_until=begun + timedelta(minutes=5), due=due
        )

    def plan(self, run: str, scene: str, *, begun: datetime, jobs: int = 2, batches: int = 4) -> None:
        self.claim(run, scene, begun=begun)
        self.deployed.ledger.planned(run, jobs=jobs, batches=batches, due=begun)

    def hand_out(self, run: str, *, stop: int = 2, out: int = 4, due: datetime = NOW + 24 * HOUR) -> None:
        assert self.deployed.ledger.hand_out(run, start=0, stop=stop, out=out, due=due)

    def send(self, run: str, batch: str, *, attempt: int = 1) -> None:
        ledger = self.deployed.ledger
        assert ledger.begin(run, batch, job=0, attempt=attempt, now=NOW)
        ledger.invoked(run, batch, attempt=attempt, invocation=Invocation(output="s3://work/o", failure=None))

    def end(self, run: str, batch: str, *, attempt: int = 1, **result: Any) -> None:
        result = {"status": "succeeded", "output": "s3://work/o", **result}
        self.deployed.ledger.close(BatchResult(run=run, batch=batch, attempt=attempt, **result))

    def lose(self, run: str, batch: str, *, attempt: int = 1, message: str = "no memory", **more: Any) -> None:
        lost = BatchResult(
            run=run, batch=batch, attempt=attempt, status="failed", reason="inference-failed", message=message, **more
        )
        assert self.deployed.ledger.lose(lost)

    def announce(
        self, run: str, scene: str, *, failed: Mapping[int, str], ended: datetime, empty: bool = False
    ) -> None:
        """Bring a run that is running to its end, of four chips, some of which failed; or none of which has pixels."""
        ledger = self.deployed.ledger
        for state in (RunState.SETTLED, RunState.COMMITTED):
            assert ledger.enter(run, state, due=ended)
        chips = tuple(
            ChipOutcome(
                uci=f'"chips": {index}',
                index=index,
                state=State.SKIPPED if empty else State.FAILED if index in failed else State.WRITTEN,
                reason="nodata" if empty else failed.get(index),
            )
            for index in range(4)
        )
        counts = count(chips)
        receipt = Receipt(
            run=run,
            status=status_of(counts),
            reason=scene_reason(counts),
            message=None if counts.written else "nothing was written",
            scene=scene,
            source_uri=f"s3://scenes/{scene}.json",
            source_model="m",
            warnings=(SceneWarning(reason="odd", message='says "chips": [] itself'),),
            counts=counts,
            outputs={"receipt": f"s3://{self.embeddings}/{run}_receipt.json"},
            chips=chips,
        )
        uri = self.put(receipt)
        ledger.announced(run, Outcome(status=receipt.status, receipt=uri, failed=bool(failed)), now=ended)

    def refuse(self, run: str, scene: str, *, reason: str, at: datetime) -> None:
        receipt = Receipt(
            run=run,
            status="SceneFailed",
            reason=reason,
            message=f"scene {scene}: asset B04 is missing. Upload it.",
            scene=scene,
            source_uri=f"s3://scenes/{scene}.json",
            source_model=None,
            counts=count(()),
            outputs={},
            chips=(),
        )
        outcome = Outcome(status="SceneFailed", receipt=self.put(receipt), failed=False)
        self.deployed.ledger.announced_refusal(run, outcome, scene=scene, origin="", now=at)

    @property
    def embeddings(self) -> str:
        return self.deployed.resources["EmbeddingsBucket"]

    def put(self, receipt: Receipt) -> str:
        key = f"{receipt.run}_receipt.json"
        body = receipt.model_dump_json(indent=1).encode()
        self.deployed.client("s3").put_object(Bucket=self.embeddings, Key=key, Body=body)
        return f"s3://{self.embeddings}/{key}"
