"""A backfill in its stack: its list in the work bucket, its execution, how far that is."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import IO, Any, Final, Self

from botocore.exceptions import BotoCoreError, ClientError

from clayline_cli.backfilling.stack import output
from clayline_cli.errors import CommandError
from clayline_cli.operating.running import Running

KIND: Final = "clayline-backfill/1"
_MISSING: Final = {"NoSuchKey", "404", "NotFound"}
_ENDED: Final = {"SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED"}
_MOST_STARTS: Final = 50


@dataclass(frozen=True, kw_only=True, slots=True)
class State:
    """How far a backfill is."""

    status: str
    """RUNNING, SUCCEEDED, FAILED, TIMED_OUT, ABORTED, PENDING_REDRIVE, or NOT_STARTED."""
    execution: str | None
    batches: Mapping[str, int]
    """``sent`` of ``total``, and ``failed``."""
    error: str | None = None

    @property
    def has_ended(self) -> bool:
        """Whether nothing more is sent unless it is resumed."""
        return self.status in _ENDED


@dataclass(frozen=True, kw_only=True, slots=True)
class Backfill:
    """A list in the work bucket, and what is done with it."""

    running: Running
    name: str
    record: Mapping[str, Any]
    """What lies beside the list."""
    states: Any
    """A client of Step Functions."""

    @classmethod
    def make(cls, running: Running, name: str, sheet: IO[bytes], record: Mapping[str, Any]) -> Self:
        """Put the list, then the record: it is the commit. Raises CommandError if there is one of this name."""
        s3, bucket = running.client("s3"), output(running, "WorkBucket")
        listed = f"backfills/{name}/list-{record['digest'][:12]}.json"
        kept = {"kind": KIND, "name": name, **record, "list": listed}
        try:
            s3.put_object(Bucket=bucket, Key=listed, Body=sheet, ContentType="application/json")
            s3.put_object(
                Bucket=bucket,
                Key=_record_key(name),
                Body=json.dumps(kept, indent=1).encode(),
                ContentType="application/json",
                IfNoneMatch="*",
            )
        except (ClientError, BotoCoreError) as error:
            if _code(error) in {"PreconditionFailed", "412"}:
                raise CommandError(
                    f"there is a backfill {name} of this stack already. Go on with it (--resume {name}), or give"
                    " another --name."
                ) from error
            raise _refused(f"the list of the backfill {name} cannot be kept in {bucket}", error) from error
        return cls(running=running, name=name, record=kept, states=running.client("stepfunctions"))

    @classmethod
    def find(cls, running: Running, name: str) -> Self:
        """Read the record of one that was made. Raises CommandError."""
        bucket = output(running, "WorkBucket")
        try:
            body = running.client("s3").get_object(Bucket=bucket, Key=_record_key(name))["Body"].read()
            record = json.loads(body)
        except (ClientError, BotoCoreError) as error:
            if _code(error) in _MISSING:
                raise CommandError(f"the {running.name} has no backfill {name}. Check the name.") from error
            raise _refused(f"the backfill {name} cannot be read from {bucket}", error) from error
        except ValueError as error:
            raise CommandError(f"s3://{bucket}/{_record_key(name)} is no JSON: it was changed by hand.") from error
        if record.get("kind") != KIND:
            raise CommandError(f"the backfill {name} is {record.get('kind')}, and {KIND} is read. Begin another.")
        return cls(running=running, name=name, record=record, states=running.client("stepfunctions"))

    def state(self) -> State:
        """Ask how far it is. Raises CommandError."""
        try:
            _, found = self._latest()
            return self._state(found)
        except (ClientError, BotoCoreError) as error:
            raise _refused(f"the backfill {self.name} cannot be asked about", error) from error

    def start(self, *, ahead: int, pause: int) -> State:
        """Let it run, or run on: what was not sent is; raises CommandError.

        One that runs is left alone, one that has sent everything too. One that stopped is redriven, which sends the
        batches that are left; where Step Functions does not redrive it any more it starts from the list's beginning.
        Every message is then the same landing as before, so that what was answered stays as it is.
        """
        try:
            number, found = self._latest()
            if found is None or (found["status"] in _ENDED - {"SUCCEEDED"}):
                if found and found.get("redriveStatus") == "REDRIVABLE":
                    self.states.redrive_execution(executionArn=found["executionArn"])
                else:
                    self._start(number + 1, ahead=ahead, pause=pause)
                _, found = self._latest()
            return self._state(found)
        except (ClientError, BotoCoreError) as error:
            raise _refused(f"the backfill {self.name} cannot be started", error) from error

    def stop(self) -> State:
        """Send no more: what is on the queue stays there. Raises CommandError."""
        try:
            _, found = self._latest()
            if found and found["status"] not in _ENDED:
                self.states.stop_execution(executionArn=found["executionArn"], cause="clayline backfill --stop")
                _, found = self._latest()
            return self._state(found)
        except (ClientError, BotoCoreError) as error:
            raise _refused(f"the backfill {self.name} cannot be stopped", error) from error

    def _latest(self) -> tuple[int, dict[str, Any] | None]:
        """Give the last execution and its number; 0 and None if there is none."""
        states, last = self.states, None
        for number in range(1, _MOST_STARTS + 1):
            try:
                last = dict(states.describe_execution(executionArn=self._arn(number)))
            except ClientError as error:
                if _code(error) != "ExecutionDoesNotExist":
                    raise
                return number - 1, last
        return _MOST_STARTS, last

    def _start(self, number: int, *, ahead: int, pause: int) -> None:
        given = {
            "list": self.record["list"],
            "results": f"backfills/{self.name}/results",
            "ahead": ahead,
            "pause": pause,
        }
        self.states.start_execution(
            stateMachineArn=output(self.running, "Backfill"), name=self._called(number), input=json.dumps(given)
        )

    def _state(self, found: Mapping[str, Any] | None) -> State:
        total = int(self.record["batches"])
        if found is None:
            return State(status="NOT_STARTED", execution=None, batches={"total": total, "sent": 0, "failed": 0})
        states = self.states
        runs = states.list_map_runs(executionArn=found["executionArn"])["mapRuns"]
        counts: Mapping[str, int] = (
            states.describe_map_run(mapRunArn=runs[0]["mapRunArn"])["itemCounts"] if runs else {}
        )
        failed = sum(counts.get(name, 0) for name in ("failed", "timedOut", "aborted"))
        said = [text for text in (found.get("error"), found.get("cause")) if text]
        return State(
            status=found["status"],
            execution=found["executionArn"],
            batches={"total": total, "sent": counts.get("succeeded", 0), "failed": failed},
            error=": ".join(said) or None,
        )

    def _arn(self, number: int) -> str:
        machine = output(self.running, "Backfill")
        return f"{machine.replace(':stateMachine:', ':execution:')}:{self._called(number)}"

    def _called(self, number: int) -> str:
        return self.name if number == 1 else f"{self.name}_{number}"


def _record_key(name: str) -> str:
    return f"backfills/{name}/backfill.json"


def _code(error: ClientError | BotoCoreError) -> str:
    return str(error.response.get("Error", {}).get("Code", "")) if isinstance(error, ClientError) else ""


def _refused(what: str, error: ClientError | BotoCoreError) -> CommandError:
    said = error.response.get("Error", {}).get("Message", error) if isinstance(error, ClientError) else error
    return CommandError(f"{what}: {str(said).rstrip('.')}. Check the credentials and their permissions.")
