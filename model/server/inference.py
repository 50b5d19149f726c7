"""From a request's chips to a response's vectors, in micro-batches."""

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from functools import partial
from threading import Barrier
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clayline.errors import BatchError, ModelError
from clayline.model.wire import STATUS_GOOD, STATUS_NON_FINITE, Request, Response
from server.chain import Chain
from server.folders import LoadedEntry
from server.memory import out_of_memory
from server.request_log import FieldLog, Log
from server.sessions import CPU
from server.turns import Turn, Turns

logger = logging.getLogger("clayline.server")
type Feed = Callable[[slice], dict[str, NDArray[Any]]]
"""Gives a graph's inputs for consecutive chips."""


def check_inputs(loaded: LoadedEntry, request: Request) -> None:
    """Compare the request's tensors with the entry.

    Raises BatchError (``wrong-shape``), naming the tensor and both shapes.
    """
    entry = loaded.entry
    count = len(request.index)
    for name in entry.inputs:
        tensor = request.inputs.get(name)
        is_pixels = name == "pixels"
        shape = (count, len(entry.bands), entry.chip_size, entry.chip_size) if is_pixels else (count, 4)
        dtype = entry.dtype if is_pixels else "float32"
        if tensor is None or tensor.shape != shape or tensor.dtype.name != dtype:
            got = "is missing" if tensor is None else f"is {tensor.dtype.name} {list(tensor.shape)}"
            msg = (
                f"batch {request.header.batch} of run {request.header.run}: {name} {got}, entry {entry.token} takes"
                f" {dtype} {list(shape)}"
            )
            raise BatchError(msg, reason="wrong-shape")


def embed(loaded: LoadedEntry, request: Request, *, micro_batch: int, turn: Turn | None = None) -> Response:
    """Compute the request, ``micro_batch`` chips at a time.

    A chip whose vector or loss is not finite gets status 1 and zeros.

    ``turn`` is the caller's where others may compute at the same time: where memory does not suffice beside them, the
    chips are computed again alone. Where it does not suffice then either, fewer chips are computed at a time, from then
    on for this entry.

    Raises BatchError (``wrong-shape``) for inputs that do not fit, MemoryError where memory does not suffice for one
    chip, ModelError for a graph whose outputs do not fit the manifest, and RuntimeError, which is ONNX Runtime's.
    """
    check_inputs(loaded, request)
    entry = loaded.entry

    def feed(chips: slice) -> dict[str, NDArray[Any]]:
        return {name: request.inputs[name][chips] for name in entry.inputs}

    with Turns(1, own_threads=False).take(_log(loaded)) if turn is None else nullcontext(turn) as taken:
        outputs = _in_micro_batches(loaded, feed, count=len(request.index), micro_batch=micro_batch, turn=taken)
    embeddings, loss = outputs[0], None if entry.loss_metric is None else outputs[1]
    good = np.isfinite(embeddings).all(axis=1)
    if loss is not None:
        good &= np.isfinite(loss)
        loss[~good] = 0
    embeddings[~good] = 0
    return Response(
        header=request.header,
        index=request.index,
        embeddings=embeddings,
        status=np.where(good, STATUS_GOOD, STATUS_NON_FINITE).astype(np.uint8),
        loss=loss,
        loss_metric=entry.loss_metric,
    )


def warm_up(loaded: LoadedEntry, *, micro_batch: int, turns: Turns) -> None:
    """Run the entry on nodata, so that requests find memory and cuDNN's plans for attention, and a graph that does not
    fit stops the start.

    On CUDA it runs every number of chips that a request may bring into one run, the largest first, which grows the
    arena, on each thread of ``turns`` at the same time; on the CPU, where a chip of a large model takes seconds, one
    chip. Raises as ``embed``.
    """
    entry = loaded.entry
    largest, runs = (1, 1) if loaded.chain.device == CPU else (micro_batch, turns.count)
    everyone = Barrier(runs)

    def nodata(chips: slice) -> dict[str, NDArray[Any]]:
        count = chips.stop - chips.start
        feed: dict[str, NDArray[Any]] = {name: np.zeros((count, 4), np.float32) for name in entry.inputs}
        feed["pixels"] = np.full(
            (count, len(entry.bands), entry.chip_size, entry.chip_size), entry.nodata_fill, entry.dtype
        )
        return feed

    def run() -> None:
        with turns.take(_log(loaded)) as turn:
            everyone.wait()  # so each has another thread
            _in_micro_batches(loaded, nodata, count=largest, micro_batch=largest, turn=turn)
            for power in reversed(range((loaded.limit.cap(largest) - 1).bit_length())):
                _in_micro_batches(loaded, nodata, count=1 << power, micro_batch=1 << power, turn=turn)

    with ThreadPoolExecutor(runs) as pool:
        for done in [pool.submit(run) for _ in range(runs)]:
            done.result()


def _in_micro_batches(
    loaded: LoadedEntry, feed: Feed, *, count: int, micro_batch: int, turn: Turn
) -> list[NDArray[np.float32]]:
    """Give the results of ``count`` chips.

    A micro-batch that memory does not hold is halved and the same chips are computed again.

    What is left after whole micro-batches is computed in falling powers of two, 20 chips as 16 and 4: each number of
    chips is a plan of its own on a GPU, and so there are few.
    """
    entry = loaded.entry
    outputs = [
        np.empty((count, *shape), np.float32)
        for shape in ([(entry.dimensions,)] if entry.loss_metric is None else [(entry.dimensions,), ()])
    ]
    start, size, lowered = 0, micro_batch, False
    while start < count:
        size, left = loaded.limit.cap(size), count - start
        taken = size if size <= left else 1 << (left.bit_length() - 1)
        chips = slice(start, start + taken)
        try:
            parts = turn.attempt(partial(_run, loaded.chain, feed, chips))
        except (MemoryError, RuntimeError) as error:
            if not out_of_memory(error):
                raise
            if taken == 1:
                msg = f"entry {entry.token}: memory does not suffice for one chip: {error}"
                raise MemoryError(msg) from error
            size, lowered = taken // 2, True
            turn.log.warning("out of memory, the same chips again", extra={"tried": taken, "micro_batch": size})
            continue
        _store(entry.token, parts, [output[chips] for output in outputs])
        start = chips.stop
        if lowered and loaded.limit.keep(size):
            turn.log.warning("micro-batch lowered until the process ends", extra={"micro_batch": size})
        lowered = False
    return outputs


def _run(chain: Chain, feed: Feed, chips: slice) -> list[NDArray[np.float32]]:
    return chain.run(feed(chips))


def _store(token: str, parts: list[NDArray[np.float32]], places: list[NDArray[np.float32]]) -> None:
    if [part.shape for part in parts] != [place.shape for place in places]:
        expected = [place.shape for place in places]
        msg = (
            f"entry {token}: the graph gave {[part.shape for part in parts]} for {expected[0][0]} chips, its manifest"
            f" says {expected}"
        )
        raise ModelError(msg)
    for part, place in zip(parts, places, strict=True):
        place[:] = part


def _log(loaded: LoadedEntry) -> Log:
    """Give where lines go that are about no request."""
    return FieldLog(logger, folder=loaded.folder, token=loaded.entry.token)
