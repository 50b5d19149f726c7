"""From a request's chips to a response's vectors, in micro-batches."""

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clayline.errors import BatchError, ModelError
from clayline.wire import STATUS_GOOD, STATUS_NON_FINITE, Request, Response
from server.folders import LoadedEntry, ModelFolders, unless_dispensable
from server.memory import out_of_memory
from server.sessions import CPU
from server.turns import Turn, Turns

logger = logging.getLogger("clayline.server")


def check_inputs(loaded: LoadedEntry, request: Request) -> None:
    """Compare the request's tensors with the entry. Raises BatchError (``wrong-shape``), naming the tensor and both shapes."""
    entry = loaded.entry
    count = len(request.index)
    for name in entry.inputs:
        tensor = request.inputs.get(name)
        is_pixels = name == "pixels"
        shape = (count, len(entry.bands), entry.chip_size, entry.chip_size) if is_pixels else (count, 4)
        dtype = entry.dtype if is_pixels else "float32"
        if tensor is None or tensor.shape != shape or tensor.dtype.name != dtype:
            got = "is missing" if tensor is None else f"is {tensor.dtype.name} {list(tensor.shape)}"
            msg = f"batch {request.header.batch} of run {request.header.run}: {name} {got}, entry {entry.token} takes {dtype} {list(shape)}"
            raise BatchError(msg, reason="wrong-shape")


def embed(loaded: LoadedEntry, request: Request, *, micro_batch: int, turn: Turn | None = None) -> Response:
    """Compute the request, ``micro_batch`` chips at a time. A chip whose vector or loss is not finite gets status 1 and zeros.

    ``turn`` is the caller's where others may compute at the same time: where memory does not suffice beside them, the chips are computed
    again alone. Where it does not suffice then either, fewer chips are computed at a time, from then on for this entry.

    Raises BatchError (``wrong-shape``) for inputs that do not fit, MemoryError where memory does not suffice for one chip, ModelError for
    a graph whose outputs do not fit the manifest, and RuntimeError, which is ONNX Runtime's.
    """
    check_inputs(loaded, request)
    entry = loaded.entry
    outputs = _in_micro_batches(
        loaded,
        lambda chips: {name: request.inputs[name][chips] for name in entry.inputs},
        count=len(request.index),
        micro_batch=micro_batch,
        turn=turn or Turn(Turns(1)),
    )
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


def warm_up(loaded: LoadedEntry, *, micro_batch: int, at_once: int = 1) -> None:
    """Run the entry once on nodata, so that the first request pays for no allocation, and a graph that does not fit stops the start.

    On CUDA a whole micro-batch, which grows the arena, as often at the same time as requests will compute; on the CPU, where a chip of a
    large model takes seconds, one chip. Raises as ``embed``.
    """
    entry = loaded.entry

    def nodata(chips: slice) -> dict[str, NDArray[Any]]:
        count = chips.stop - chips.start
        feed: dict[str, NDArray[Any]] = {name: np.zeros((count, 4), np.float32) for name in entry.inputs}
        feed["pixels"] = np.full((count, len(entry.bands), entry.chip_size, entry.chip_size), entry.nodata_fill, entry.dtype)
        return feed

    count, runs = (1, 1) if loaded.chain.device == CPU else (micro_batch, at_once)
    turns = Turns(runs)

    def run() -> None:
        with turns.take() as turn:
            _in_micro_batches(loaded, nodata, count=count, micro_batch=count, turn=turn)

    with ThreadPoolExecutor(runs) as pool:
        for done in [pool.submit(run) for _ in range(runs)]:
            done.result()


def warm_up_folders(
    folders: ModelFolders, *, micro_batch: Callable[[LoadedEntry], int], at_once: int, required: str | None
) -> ModelFolders:
    """Warm up every entry, with ``micro_batch`` of it, and give the folders that can be served. Raises as ``embed`` for the others.

    With a ``required`` folder any other one that fails is passed over, as in ``load_folders``.
    """
    warm = {}
    for folder, entries in folders.entries.items():
        with unless_dispensable(folder, required=required):
            for loaded in entries.values():
                warm_up(loaded, micro_batch=micro_batch(loaded), at_once=at_once)
            warm[folder] = entries
    return ModelFolders(entries=warm)


def _in_micro_batches(
    loaded: LoadedEntry, feed: Callable[[slice], dict[str, NDArray[Any]]], *, count: int, micro_batch: int, turn: Turn
) -> list[NDArray[np.float32]]:
    """Give the results of ``count`` chips. A micro-batch that memory does not hold is halved and the same chips are computed again."""
    entry = loaded.entry
    outputs = [
        np.empty((count, *shape), np.float32)
        for shape in ([(entry.dimensions,)] if entry.loss_metric is None else [(entry.dimensions,), ()])
    ]
    start, size, lowered = 0, micro_batch, False
    while start < count:
        size = loaded.limit.cap(size)
        chips = slice(start, min(start + size, count))
        try:
            parts = turn.attempt(partial(loaded.chain.run, feed(chips)))
        except (MemoryError, RuntimeError) as error:
            taken = chips.stop - start
            if not out_of_memory(error):
                raise
            if taken == 1:
                msg = f"entry {entry.token}: memory does not suffice for one chip: {error}"
                raise MemoryError(msg) from error
            size, lowered = taken // 2, True
            logger.warning("out of memory, the same chips again", extra={"token": entry.token, "chips": taken, "micro_batch": size})
            continue
        _store(entry.token, parts, [output[chips] for output in outputs])
        start = chips.stop
        if lowered and loaded.limit.keep(size):
            logger.warning("micro-batch lowered until the process ends", extra={"token": entry.token, "micro_batch": size})
        lowered = False
    return outputs


def _store(token: str, parts: list[NDArray[np.float32]], places: list[NDArray[np.float32]]) -> None:
    if [part.shape for part in parts] != [place.shape for place in places]:
        expected = [place.shape for place in places]
        msg = f"entry {token}: the graph gave {[part.shape for part in parts]} for {expected[0][0]} chips, its manifest says {expected}"
        raise ModelError(msg)
    for part, place in zip(parts, places, strict=True):
        place[:] = part
