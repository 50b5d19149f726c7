"""From a request's chips to a response's vectors, in micro-batches."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from clayline.errors import BatchError, ModelError
from clayline.wire import STATUS_GOOD, STATUS_NON_FINITE, Request, Response
from server.folders import LoadedEntry


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


def embed(loaded: LoadedEntry, request: Request, *, micro_batch: int) -> Response:
    """Compute the request, ``micro_batch`` chips at a time. A chip whose vector or loss is not finite gets status 1 and zeros.

    Raises BatchError (``wrong-shape``) for inputs that do not fit, ModelError for a graph whose outputs do not fit the manifest, and
    whatever ONNX Runtime raises.
    """
    check_inputs(loaded, request)
    entry = loaded.entry
    parts = [_run(loaded, request, slice(start, start + micro_batch)) for start in range(0, len(request.index), micro_batch)]
    embeddings = np.concatenate([part[0] for part in parts])
    loss = None if entry.loss_metric is None else np.concatenate([part[1] for part in parts])
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


def warm_up(loaded: LoadedEntry, *, micro_batch: int) -> None:
    """Run a micro-batch of nodata, so that the first request pays for no allocation. Raises ModelError where outputs do not fit."""
    entry = loaded.entry
    feed: dict[str, NDArray[Any]] = {name: np.zeros((micro_batch, 4), np.float32) for name in entry.inputs}
    feed["pixels"] = np.full((micro_batch, len(entry.bands), entry.chip_size, entry.chip_size), entry.nodata_fill, entry.dtype)
    _compute(loaded, feed)


def _run(loaded: LoadedEntry, request: Request, chips: slice) -> list[NDArray[np.float32]]:
    return _compute(loaded, {name: request.inputs[name][chips] for name in loaded.entry.inputs})


def _compute(loaded: LoadedEntry, feed: dict[str, NDArray[Any]]) -> list[NDArray[np.float32]]:
    """Give embeddings [n, D] and, where the entry has a loss metric, losses [n], as float32 whatever the graph's precision."""
    entry = loaded.entry
    count = len(feed["pixels"])
    shapes = [(count, entry.dimensions)] if entry.loss_metric is None else [(count, entry.dimensions), (count,)]
    names = [node.name for node in loaded.session.get_outputs()[: len(shapes)]]
    outputs = loaded.session.run(names, feed)
    if [output.shape for output in outputs] != shapes:
        msg = f"entry {entry.token}: the graph gave {[output.shape for output in outputs]} for {count} chips, its manifest says {shapes}"
        raise ModelError(msg)
    return [np.asarray(output, np.float32) for output in outputs]
