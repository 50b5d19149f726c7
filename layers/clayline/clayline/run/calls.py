"""How often a scene's chain asks each service of AWS, by what its plan has.

None of it is guessed: tests/benchmarks/test_chain_calls.py runs the chain, boto3 and GDAL over a local AWS that counts
on the wire, and compares.
"""

from dataclasses import dataclass, fields
from math import ceil
from typing import Final

from clayline.chips.reading import Reading
from clayline.model.manifest import ModelEntry

MESSAGES_A_SEND: Final = 10
"""That SQS takes in one request."""
PLAN_READS_A_FILE: Final = 8
"""At most, of a file whose blocks hold different numbers: HEAD, its header, a look at three blocks, and HEAD once
more."""
WATCH_READS_A_FILE: Final = 4
"""HEAD, the end twice, and a row group; a scene of more row groups takes one more for each."""
BLOCKS_A_CHIP: Final = 4
"""That a chip lies in at most, where blocks are no smaller than chips."""
_INDEX_READS: Final = 4
"""Receipt, Item, HEAD and the end of the Parquet file."""
_ROWS_A_READ: Final = 6
"""Batches' rows that a read unit holds, when settle reads all of them."""
_FILES_OF_A_RUN: Final = 5
"""Parquet, metadata, Item, receipt; and the model's Item, which stays as the first scene of a model wrote it."""
_BYTES: Final = {"uint8": 1, "uint16": 2, "float32": 4}


@dataclass(frozen=True, kw_only=True, slots=True)
class Work:
    """What plan has laid out for a scene; added up, for several."""

    chips: int
    jobs: int
    batches: int
    files: int
    """That each job opens."""
    job_files: int
    """Openings of files by all jobs: each is preceded and followed by a look whether the file is still the same."""
    read_requests: int
    """Ranges that tile asks of the files."""
    read_bytes: int
    request_bytes: int
    """Of all requests to the endpoint."""
    band_pixels: int
    """Pixels of all chips, times bands."""
    places: int = 0
    """Jobs that read where chips lie, because the model asks that."""
    scenes: int = 1

    def __add__(self, other: "Work") -> "Work":
        """Give what both take."""
        return Work(**{each.name: getattr(self, each.name) + getattr(other, each.name) for each in fields(self)})


def work_of(*, chips: int, jobs: int, batches: int, files: int, entry: ModelEntry, reading: Reading) -> Work:
    """Give the work of one scene; ``files`` are those that a job opens, ``reading`` what all jobs read together."""
    band_pixels = chips * len(entry.bands) * entry.chip_size**2
    return Work(
        chips=chips,
        jobs=jobs,
        batches=batches,
        files=files,
        job_files=jobs * files,
        read_requests=reading.requests,
        read_bytes=reading.bytes,
        request_bytes=band_pixels * _BYTES[entry.dtype],
        band_pixels=band_pixels,
        places=jobs if "latlon" in entry.inputs else 0,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Calls:
    """Requests by what AWS charges for, from a scene's landing to its row in the dataset."""

    s3_writes: int
    s3_reads: int
    sqs_requests: int
    sns_publishes: int
    events: int
    dynamodb_writes: int
    """Units, without those of the index, of which a write to a run's row may take one more."""
    dynamodb_reads: int
    """Units."""
    lambda_calls: int
    """At most: settle takes up to ten messages a call, and is counted with one."""
    invocations: int
    """Of the endpoint."""


def chain_calls(work: Work) -> Calls:
    """Count what work takes when nothing fails, no chip is skipped, and no message comes twice."""
    messages = 3 * work.scenes + work.jobs + work.batches
    # EventBridge sends each scene and each event, SNS each result, settle each scene; plan sends jobs, ten at a time.
    sends = 3 * work.scenes + work.batches + max(work.scenes, ceil(work.jobs / MESSAGES_A_SEND))
    # The Item twice, and whether two outputs are there.
    plan_reads = 4 * work.scenes + PLAN_READS_A_FILE * work.files
    tile_reads = work.jobs + 2 * work.job_files + work.places + work.batches + work.read_requests
    # Plan, chips, settlement, verdict. Two more of a scene that finds the model's Item there.
    collect_reads = 4 * work.scenes + 2 * work.batches
    return Calls(
        # Of a batch request, outcomes and response; of a scene plan, chips, settlement, verdict, what comes out, and
        # what deletes the requests, a thousand at a time; and its fragment of the dataset's index.
        s3_writes=3 * work.batches + (5 + _FILES_OF_A_RUN) * work.scenes + max(work.scenes, work.batches // 1_000),
        s3_reads=plan_reads + tile_reads + work.batches + collect_reads + _INDEX_READS * work.scenes,
        sqs_requests=sends + 2 * messages,  # each message is received and deleted
        sns_publishes=work.batches,
        events=work.scenes,
        dynamodb_writes=10 * work.scenes + 6 * work.batches,
        dynamodb_reads=8 * work.scenes + work.jobs + 2 * work.batches + ceil(work.batches / _ROWS_A_READ),
        lambda_calls=messages,
        invocations=work.batches,
    )


def watch_calls(*, watches: int, matched: int, reads: int = WATCH_READS_A_FILE) -> Calls:
    """Count what holding one scene against ``watches`` of its model takes, of which ``matched`` match, their sheets
    apart; ``reads`` are those of the scene's file. Without watches it is what every scene takes.
    """
    told = int(matched > 0)
    return _behind_a_queue(
        # The listing; a receipt each; of matches the one mark twice: that they are due, and that they were told.
        s3_writes=1 + watches + 2 * told,
        # Each watch, and whether its receipt is there; the scene's file once; the mark, and once more before it tells.
        s3_reads=2 * watches + (1 + reads if watches else 0) + told,
        events=matched,
    )


def sheet_calls(*, files: int, ranges: int) -> Calls:
    """Count what the sheet of one match takes: of ``files`` that are read, before and after, and ``ranges`` of them."""
    return _behind_a_queue(s3_writes=1, s3_reads=3 + 2 * files + ranges, events=0)  # sheet, receipt, plan


def sheet_ranges(*, chips: int, bands: int) -> int:
    """Give the ranges that a sheet asks of its files at most: the beginning of each, twice where that does not hold its
    directory, and four blocks a chip and band.
    """
    return bands * (2 + BLOCKS_A_CHIP * chips)


def _behind_a_queue(*, s3_writes: int, s3_reads: int, events: int) -> Calls:
    """Count a function that one message calls: sent by EventBridge, received, deleted."""
    return Calls(
        s3_writes=s3_writes,
        s3_reads=s3_reads,
        sqs_requests=3,
        sns_publishes=0,
        events=events,
        dynamodb_writes=0,
        dynamodb_reads=0,
        lambda_calls=1,
        invocations=0,
    )
