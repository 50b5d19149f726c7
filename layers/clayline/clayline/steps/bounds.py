"""Bounds of a whole scene, checked in plan: what a later function has no room for is refused before anything is paid.

What a step takes is estimated from what was measured (docs/benchmarks.md, A scene of 152,881 chips), with room.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from clayline.chips.batch import Batch
from clayline.errors import SceneError
from clayline.model.manifest import ModelEntry
from clayline.model.wire import MAX_HEADER_BYTES, most_bytes
from clayline.place import Option

MAX_REQUEST_BYTES: Final = 1_000_000_000
"""SageMaker's limit for the input of an asynchronous invocation, and the server's (CLAYLINE_BODY_LIMIT)."""
PLAN_SECONDS: Final = 240
"""Plan's timeout (template.yaml)."""
_PLAN_SECONDS_A_CHIP: Final = 0.0004
"""Eight times what was measured: 7.3 s for 152,881 chips."""
_ROW_BYTES: Final = 512
"""Of a row of the file beside its vector: identifier, footprint, cell, fractions. Measured: under 100, compressed."""
RESPONSES_AT_ONCE: Final = 8
"""That collect reads side by side."""
_COLLECT_BASE, _COLLECT_CHIP, _COPIES = 500_000_000, 1_600, 3
"""Bytes that collect takes for itself and for each chip (1,100 measured), and how often a response lies in memory."""
_TILE_BASE: Final = 300_000_000
_MIB: Final = 2**20
_MB: Final = 1_000_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Bounds:
    """What a deployment has room for."""

    max_chips: int = 400_000
    """Of a scene. With 1,024 numbers each, that fills four fifths of collect's scratch."""
    scratch_mb: int = 4_096
    """MiB of collect's scratch (CollectScratchMb)."""
    collect_memory_mb: int = 3_008
    """MiB of collect's memory (CollectMemory)."""
    tile_memory_mb: int = 3_008
    """MiB of tile's memory (TileMemory)."""


DEFAULT_BOUNDS: Final = Bounds()


def check_chips(scene: str, chips: int, entry: ModelEntry, bounds: Bounds) -> None:
    """Refuse a scene of more chips than plan's time or collect's scratch and memory hold.

    Raises SceneError (``too-many-chips``).
    """
    vector = 4 * entry.dimensions
    seconds = chips * _PLAN_SECONDS_A_CHIP
    scratch = chips * (2 * vector + _ROW_BYTES)  # the spool and, beside it, the file
    memory = _COLLECT_BASE + chips * _COLLECT_CHIP
    if chips > bounds.max_chips:
        why = f"over the {bounds.max_chips} that are allowed. Cut the scene into tiles, or raise {Option.MAX_CHIPS}."
    elif seconds > PLAN_SECONDS:
        why = f"which would take plan about {seconds:.0f} s of its {PLAN_SECONDS}. Cut the scene into tiles."
    elif scratch > bounds.scratch_mb * _MIB:
        why = (
            f"whose vectors of {entry.dimensions} numbers and file would take collect {scratch // _MB} MB of scratch;"
            f" it has {bounds.scratch_mb} MiB. {Option.MORE_SCRATCH}"
        )
    elif memory > bounds.collect_memory_mb * _MIB:
        why = (
            f"which would take collect {memory // _MB} MB of memory; it has {bounds.collect_memory_mb} MiB."
            f" {Option.MORE_COLLECT_MEMORY}"
        )
    else:
        return
    msg = f"scene {scene}: it becomes {chips} chips of {entry.chip_size} px, {why}"
    raise SceneError(msg, reason="too-many-chips")


def check_batches(scene: str, batches: tuple[Batch, ...], entry: ModelEntry, bounds: Bounds, *, job_bytes: int) -> None:
    """Refuse batches whose requests SageMaker does not take or tile cannot hold beside the pixels of its largest job
    (``job_bytes``), or whose responses collect cannot.

    Raises SceneError (``batch-too-large``).
    """
    most = max(batch.stop - batch.start for batch in batches)
    pixels = most * len(entry.bands) * entry.chip_size**2 * np.dtype(entry.dtype).itemsize
    request = pixels + MAX_HEADER_BYTES + most * (8 + 2 * 16)  # index, and time and latlon where the model takes them
    responses = RESPONSES_AT_ONCE * _COPIES * most_bytes(dimensions=entry.dimensions, chips=most)
    # Tile holds the pixels as read and as prepared, the request's chips, and their bytes twice.
    room = max(bounds.tile_memory_mb * _MIB - _TILE_BASE - 2 * job_bytes, 0) // _COPIES
    limit = min(MAX_REQUEST_BYTES, room)
    if request > limit:
        why = f"make a request of {request // _MB} MB; at most {limit // _MB} MB can be cut and sent."
    elif responses > bounds.collect_memory_mb * _MIB - _COLLECT_BASE:
        why = f"are answered by {responses // _MB} MB that collect would hold at once; it has no room for that."
    else:
        return
    msg = (
        f"scene {scene}: {most} chips of {entry.chip_size} px and {len(entry.bands)} bands {why} Lower"
        f" {Option.CHIPS_PER_BATCH}."
    )
    raise SceneError(msg, reason="batch-too-large")
