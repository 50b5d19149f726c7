"""How full the queues are, how old what waits in them is, and whether the endpoint is awake."""

from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from botocore.exceptions import ClientError

from clayline_cli.operating.running import DEAD_LETTERS, QUEUES, Running

_COUNTS: Final = {
    "waiting": "ApproximateNumberOfMessages",
    "in_hand": "ApproximateNumberOfMessagesNotVisible",
    "delayed": "ApproximateNumberOfMessagesDelayed",
}
_LOOK_BACK: Final = timedelta(minutes=15)
"""CloudWatch has a queue's metrics some minutes late."""
LOCAL: Final = "local"
"""The endpoint of a local cloud as a status: there is no instance."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Depth:
    """A queue."""

    name: str
    waiting: int
    in_hand: int
    """Received, and neither deleted nor given back."""
    delayed: int
    oldest_seconds: int | None
    """Age of the oldest message; None where CloudWatch does not know, as in a local cloud."""

    def values(self) -> dict[str, Any]:
        """As JSON can say it."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True, slots=True)
class Endpoint:
    """The endpoint."""

    name: str | None
    """None: the stack has none, and scenes wait."""
    status: str | None
    """SageMaker's own word for it, or ``local``; None where it is not told."""
    instances: int | None
    """That run now."""
    backlog: int | None
    """Requests that wait in SageMaker."""
    process: int | None = None
    """Of a local cloud."""

    @property
    def is_awake(self) -> bool | None:
        """None where it is not known."""
        return None if self.instances is None else self.instances > 0

    def values(self) -> dict[str, Any]:
        """As JSON can say it."""
        return {**asdict(self), "awake": self.is_awake}


def depths(running: Running) -> list[Depth]:
    """Give every queue, and after them the dead-letter queues."""
    sqs = running.client("sqs")
    ages = _ages(running)
    found = []
    for name in (*QUEUES, *DEAD_LETTERS):
        url = running.resources[name]
        told = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=list(_COUNTS.values()))["Attributes"]
        counts = {field: int(told[attribute]) for field, attribute in _COUNTS.items()}
        found.append(Depth(name=name, oldest_seconds=ages.get(name) if any(counts.values()) else None, **counts))
    return found


def endpoint(running: Running) -> Endpoint:
    """Give the endpoint as it is."""
    if running.processes is not None:
        process = running.processes.get("endpoint")
        return Endpoint(
            name=running.endpoint, status=LOCAL, instances=int(process is not None), backlog=None, process=process
        )
    if running.endpoint is None:
        return Endpoint(name=None, status=None, instances=None, backlog=None)
    try:
        told = running.client("sagemaker").describe_endpoint(EndpointName=running.endpoint)
    except ClientError as error:
        return Endpoint(name=running.endpoint, status=f"unknown: {error}", instances=None, backlog=None)
    instances = sum(int(each.get("CurrentInstanceCount", 0)) for each in told.get("ProductionVariants", ()))
    backlog = _metrics(
        running, {"backlog": ("AWS/SageMaker", "ApproximateBacklogSize", {"EndpointName": running.endpoint})}
    ).get("backlog")
    return Endpoint(name=running.endpoint, status=told["EndpointStatus"], instances=instances, backlog=backlog)


def _ages(running: Running) -> dict[str, int]:
    if running.processes is not None:
        return {}
    return _metrics(
        running,
        {
            name: (
                "AWS/SQS",
                "ApproximateAgeOfOldestMessage",
                {"QueueName": running.resources[name].rpartition("/")[2]},
            )
            for name in (*QUEUES, *DEAD_LETTERS)
        },
    )


def _metrics(running: Running, wanted: dict[str, tuple[str, str, dict[str, str]]]) -> dict[str, int]:
    """Give the last value of each metric of which CloudWatch has one, by the name it is wanted under."""
    names = dict(enumerate(wanted))
    queries = [
        {
            "Id": f"m{number}",
            "MetricStat": {
                "Metric": {
                    "Namespace": wanted[name][0],
                    "MetricName": wanted[name][1],
                    "Dimensions": [{"Name": key, "Value": value} for key, value in wanted[name][2].items()],
                },
                "Period": 60,
                "Stat": "Maximum",
            },
        }
        for number, name in names.items()
    ]
    now = datetime.now(UTC)
    try:
        told = running.client("cloudwatch").get_metric_data(
            MetricDataQueries=queries, StartTime=now - _LOOK_BACK, EndTime=now, ScanBy="TimestampDescending"
        )
    except ClientError:  # these credentials may not: ages are for people, and everything else is told
        return {}
    return {
        names[int(each["Id"][1:])]: round(each["Values"][0]) for each in told["MetricDataResults"] if each["Values"]
    }
