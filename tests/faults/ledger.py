"""The ledger in memory, with the conditions of clayline.aws.ledger."""

from dataclasses import replace
from datetime import UTC, datetime

from clayline.run.ledger import BatchRow, Claim, LandingRow, Outcome, RunRow, Stage
from clayline.run.result import BatchResult

_PAST = datetime(1970, 1, 1, tzinfo=UTC)


class MemoryLedger:
    """The port Ledger."""

    def __init__(self) -> None:
        self.runs: dict[str, RunRow] = {}
        self.revisions: dict[tuple[str, str], list[str]] = {}
        self._landings: dict[str, dict[str, LandingRow]] = {}
        self._batches: dict[str, dict[str, BatchRow]] = {}

    def claim(self, run: str, *, scene: str, now: datetime, lease_until: datetime) -> Claim:
        row, now = self.runs.get(run), now.replace(microsecond=0)
        if row and row.stage >= Stage.ENQUEUED:
            return Claim.DONE
        if row and row.lease_until > now:
            return Claim.HELD
        until = lease_until.replace(microsecond=0)
        if row is None:
            self.runs[run] = RunRow(
                run=run, scene=scene, stage=Stage.CLAIMED, claimed=now, lease_until=until, batches=None,
                settled=frozenset(),
            )  # fmt: skip
        else:
            first = now if row.claimed == _PAST else row.claimed
            self.runs[run] = replace(row, scene=scene, lease_until=until, claimed=first)
        return Claim.GRANTED

    def release(self, run: str, *, lease_until: datetime) -> None:
        row = self.runs.get(run)
        if row and row.lease_until == lease_until.replace(microsecond=0):
            self.runs[run] = replace(row, lease_until=_PAST)

    def refuse(self, run: str, *, lease_until: datetime) -> None:
        row = self.runs.get(run)
        if row and row.lease_until == lease_until.replace(microsecond=0):
            claimed = _PAST if row.stage is Stage.CLAIMED else row.claimed
            self.runs[run] = replace(row, lease_until=_PAST, claimed=claimed)

    def run(self, run: str) -> RunRow | None:
        return self.runs.get(run)

    def revision(self, *, token: str, scene_hash: str, run: str) -> int:
        runs = self.revisions.setdefault((token, scene_hash), [])
        if run not in runs:
            runs.append(run)
        return runs.index(run) + 1

    def advance(self, run: str, stage: Stage, *, batches: int | None = None) -> None:
        row = self.runs.get(run)
        if row and row.stage < stage:
            self.runs[run] = replace(row, stage=stage, batches=row.batches if batches is None else batches)

    def announced(self, run: str, outcome: Outcome) -> None:
        row = self.runs.get(run)
        if row and row.stage < Stage.ANNOUNCED:
            self.runs[run] = replace(row, stage=Stage.ANNOUNCED, outcome=outcome)

    def announced_refusal(self, run: str, outcome: Outcome, *, scene: str) -> None:
        row = self.runs.get(run)
        if row is None:
            row = RunRow(
                run=run, scene=scene, stage=Stage.CLAIMED, claimed=_PAST, lease_until=_PAST, batches=None,
                settled=frozenset(),
            )  # fmt: skip
        if row.stage < Stage.ANNOUNCED:
            self.runs[run] = replace(row, scene=scene, stage=Stage.ANNOUNCED, lease_until=_PAST, outcome=outcome)

    def keep_landing(self, run: str, landing: str, *, uri: str) -> None:
        self._landings.setdefault(run, {}).setdefault(landing, LandingRow(landing=landing, uri=uri, answered=False))

    def answer_landing(self, run: str, landing: str, *, uri: str) -> None:
        self._landings.setdefault(run, {})[landing] = LandingRow(landing=landing, uri=uri, answered=True)

    def landing(self, run: str, landing: str) -> LandingRow | None:
        return self._landings.get(run, {}).get(landing)

    def landings(self, run: str) -> list[LandingRow]:
        return [row for _, row in sorted(self._landings.get(run, {}).items())]

    def record_request(self, run: str, batch: str, *, attempt: int, inference_id: str) -> None:
        row = self._row(run, batch)
        if row.attempt is None or row.attempt < attempt:
            self._keep(run, replace(row, attempt=attempt, inference_id=inference_id, output=None))

    def record_invocation(self, run: str, batch: str, *, attempt: int, output: str) -> None:
        row = self._row(run, batch)
        if row.attempt == attempt:
            self._keep(run, replace(row, output=output))

    def batch(self, run: str, batch: str) -> BatchRow | None:
        return self._batches.get(run, {}).get(batch)

    def batches(self, run: str) -> list[BatchRow]:
        return [row for _, row in sorted(self._batches.get(run, {}).items())]

    def record_result(self, result: BatchResult) -> None:
        row = self._row(result.run, result.batch)
        if row.result is None or (result.status != "failed" and row.result.status == "failed"):
            self._keep(result.run, replace(row, result=result))

    def settle(self, run: str, batch: str) -> RunRow | None:
        row = self.runs.get(run)
        if row is None:
            return None
        self.runs[run] = row = replace(row, settled=row.settled | {batch})
        return row

    def _row(self, run: str, batch: str) -> BatchRow:
        empty = BatchRow(batch=batch, attempt=None, inference_id=None, output=None, result=None)
        return self._batches.get(run, {}).get(batch, empty)

    def _keep(self, run: str, row: BatchRow) -> None:
        self._batches.setdefault(run, {})[row.batch] = row
