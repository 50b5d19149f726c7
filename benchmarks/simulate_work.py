"""What a scene is to the chain, and how long each function takes for it."""

from collections import Counter
from dataclasses import dataclass, replace
from functools import cache
from math import ceil
from typing import Final, Self

from benchmarks.cost import BANDS, BANDS_READ, BLOCK, CHIP, CHIPS_PER_BATCH, MEMORY_BUDGET, SIDE, sentinel_2

from clayline.chips.batch import BlockGrid, lay_batches, lay_jobs
from clayline.chips.grid import ChipGrid
from clayline.run.calls import PLAN_READS_A_FILE, Work
from clayline.run.cost import (
    COLLECT_SECONDS,
    PLAN_SECONDS,
    S3_BYTES_A_SECOND,
    SETTLE_SECONDS,
    TILE_BAND_PIXELS_A_SECOND,
)
from clayline.run.planned_batches import PlannedBatch, PlannedBatches
from clayline.steps.bounds import RESPONSES_AT_ONCE
from clayline.steps.gathering import OUTCOMES_AT_ONCE

GIANT_BATCHES, GIANT_CHIPS_PER_BATCH, GIANT_BATCHES_PER_JOB = 40_000, 10, 8
"""As many batches as a plan may have, together of as many chips (MaxChips), in jobs about as large as Sentinel-2's."""
S3_WAIT: Final = 0.05
"""Seconds until a request to S3 is answered. Assumed: AWS tells applications to expect 100 to 200 ms for small objects
and first bytes (S3 User Guide, Performance design patterns); half of the lower end is taken."""
LEDGER_WAIT: Final = 0.01
"""The same of DynamoDB; assumed."""
READ_AT_ONCE: Final = 2
"""Files that tile reads side by side."""
DELETES_A_SECOND: Final = 3_500
"""That S3 takes of a prefix: collect deletes the requests, a thousand a call."""
_VECTOR_BYTES: Final = 4 * 1024


@dataclass(frozen=True, kw_only=True)
class Batches:
    """A scene's plan, as far as batches and jobs go."""

    chips: tuple[int, ...]
    """Of each batch."""
    names: tuple[str, ...]
    jobs: tuple[tuple[int, ...], ...]
    """Each job's batches."""
    by_job: tuple[int, ...]
    """How many those are."""
    plan: bytes
    """The part of the plan that reconcile reads."""
    work: Work

    @classmethod
    def of(cls, parts: list[tuple[int, int]], work: Work) -> Self:
        """Take each batch's job and number of chips."""
        names = tuple(f"b{number:05d}" for number in range(len(parts)))
        counted = Counter(job for job, _ in parts)
        ends = [0]
        for job in range(len(counted)):
            ends.append(ends[-1] + counted[job])
        planned = tuple(PlannedBatch(name=name, job=job) for name, (job, _) in zip(names, parts, strict=True))
        return cls(
            chips=tuple(chips for _, chips in parts),
            names=names,
            jobs=tuple(tuple(range(ends[job], ends[job + 1])) for job in range(len(counted))),
            by_job=tuple(counted[job] for job in range(len(counted))),
            plan=PlannedBatches(batches=planned).model_dump_json().encode(),
            work=work,
        )


@cache
def sentinel() -> Batches:
    """Lay a Sentinel-2 tile as docs/cost.md does."""
    scales = [metres // 10 for metres in BANDS]
    jobs = lay_jobs(
        ChipGrid(height=SIDE, width=SIDE, size=CHIP),
        [BlockGrid(height=BLOCK, width=BLOCK, scale_y=scale, scale_x=scale) for scale in scales],
        bytes_per_pixel=2 * BANDS_READ + 1,
        memory_budget=MEMORY_BUDGET,
        chips_per_batch=CHIPS_PER_BATCH,
    )
    return Batches.of(
        [(batch.job, batch.stop - batch.start) for batch in lay_batches(jobs, CHIPS_PER_BATCH)], sentinel_2()
    )


def giant(batches: int = GIANT_BATCHES) -> Batches:
    """Make up a scene of so many batches, that reads and writes as much for a chip as a Sentinel-2 tile."""
    small = sentinel_2()
    parts = [(number // GIANT_BATCHES_PER_JOB, GIANT_CHIPS_PER_BATCH) for number in range(batches)]
    jobs, times = ceil(batches / GIANT_BATCHES_PER_JOB), batches * GIANT_CHIPS_PER_BATCH / small.chips
    work = replace(
        small,
        chips=batches * GIANT_CHIPS_PER_BATCH,
        jobs=jobs,
        batches=batches,
        job_files=jobs * small.files,
        places=jobs,
        read_requests=round(small.read_requests * times),
        read_bytes=round(small.read_bytes * times),
        request_bytes=round(small.request_bytes * times),
        band_pixels=round(small.band_pixels * times),
    )
    return Batches.of(parts, work)


class Seconds:
    """How long functions take: what docs/benchmarks.md measured, bytes at the pace of docs/cost.md, and each wait."""

    nothing = 5 * LEDGER_WAIT
    """Of a message about what is done already."""
    settle = SETTLE_SECONDS + 2 * LEDGER_WAIT
    """Of one result."""

    def plan(self, scene: Batches) -> float:
        """Give plan's."""
        requests = 3 + PLAN_READS_A_FILE * scene.work.files  # the Item, headers and samples; chips and plan
        return PLAN_SECONDS * scene.work.chips + requests * S3_WAIT + 7 * LEDGER_WAIT

    def tile(self, scene: Batches, job: int) -> float:
        """Give tile's of one job: files are looked at one after the other, before and after they are read."""
        work, batches = scene.work, scene.by_job[job]
        share = sum(scene.chips[batch] for batch in scene.jobs[job]) / work.chips
        requests = 2 + 2 * work.files + work.read_requests * share / READ_AT_ONCE + 3 * batches
        return (
            share * work.band_pixels / TILE_BAND_PIXELS_A_SECOND
            + share * (work.read_bytes + work.request_bytes) / S3_BYTES_A_SECOND
            + requests * S3_WAIT
            + (1 + 4 * batches) * LEDGER_WAIT  # and the invocation
        )

    def collect(self, scene: Batches) -> float:
        """Give collect's: outcomes and responses come, the file goes, then the requests."""
        work = scene.work
        fetched = work.batches / OUTCOMES_AT_ONCE + work.batches / RESPONSES_AT_ONCE
        requests = 4 + 5 + fetched + ceil(work.batches / 1_000)
        moved = 2 * work.chips * _VECTOR_BYTES
        return (
            COLLECT_SECONDS * work.chips
            + requests * S3_WAIT
            + moved / S3_BYTES_A_SECOND
            + work.batches / DELETES_A_SECOND
            + 6 * LEDGER_WAIT
        )
