"""The smoke test's request, and what a right answer to it looks like."""

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from clayline.errors import WireError
from clayline.model.manifest import Manifest, ModelEntry
from clayline.model.wire import STATUS_GOOD, BatchHeader, Request, Response
from clayline.run.keys import WorkObjects, inference_id
from clayline.scene.acquisition import place_vector, time_vector
from publish.errors import SmokeTestError

CHIPS: Final = 3
_BATCH: Final = "b00000"
_MOMENT: Final = datetime(2024, 6, 15, 10, tzinfo=UTC)
_PLACE: Final = (13.4, 45.8)
"""Longitude and latitude of Aquileia."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Trial:
    """One request with what must come back."""

    request: Request
    entry: ModelEntry

    @property
    def inference_id(self) -> str:
        """The id under which the request is invoked, as tile would."""
        header = self.request.header
        return inference_id(run=header.run, batch=header.batch, attempt=1)

    def uri(self, work_bucket: str) -> str:
        """Where the request must lie: the endpoint's role may read nothing else."""
        header = self.request.header
        return WorkObjects(bucket=work_bucket, run=header.run).request(header.batch)

    def check(self, body: bytes) -> Response:
        """Compare an answer with the request and the entry. Raises SmokeTestError, saying what is off."""
        try:
            response = Response.from_bytes(body)
        except WireError as error:
            msg = f"the answer cannot be read: {error}. Does the endpoint run this version's image?"
            raise SmokeTestError(msg) from error
        wanted, header = self.request.header, response.header
        if header.digest != wanted.digest:
            msg = (
                f"{header.token} was computed by {header.digest}, the folder has {wanted.digest}: another model is"
                " deployed; deploy again"
            )
            raise SmokeTestError(msg)
        problems = {
            f"it is for {header}, asked was {wanted}": header != wanted,
            f"its index is {response.index.tolist()}": not np.array_equal(response.index, self.request.index),
            f"its embeddings are {response.embeddings.shape}, the entry's have {self.entry.dimensions} dimensions": (
                response.embeddings.shape != (len(self.request.index), self.entry.dimensions)
            ),
            f"its status is {response.status.tolist()}: vectors that are not finite": bool(
                (response.status != STATUS_GOOD).any()
            ),
            "it holds numbers that are not finite": not _finite(response.embeddings, response.loss),
            "different chips have one and the same vector": (
                len(np.unique(response.embeddings, axis=0)) < len(response.embeddings)
            ),
            f"its loss is {response.loss_metric}, the entry's {self.entry.loss_metric}": (
                response.loss_metric != self.entry.loss_metric
            ),
        }
        if wrong := [problem for problem, is_so in problems.items() if is_so]:
            found = "; ".join(wrong)
            msg = (
                f"the answer for {wanted.token} is wrong: {found}. Look at the endpoint's log, and at the exporter's"
                " parity report."
            )
            raise SmokeTestError(msg)
        return response


def make_trial(manifest: Manifest, token: str | None) -> Trial:
    """Make a request of a few chips for ``token``, by default the first entry.

    Raises ModelError if there is no such entry.
    """
    entry = manifest.entry(token) if token else manifest.entries[0]
    header = BatchHeader(
        run=secrets.token_hex(16),  # no ledger knows it, so settle drops the notification with a log line
        batch=_BATCH,
        folder=manifest.folder,
        token=entry.token,
        digest=entry.digest,
    )
    inputs: dict[str, NDArray[Any]] = {"pixels": _pixels(entry)}
    if "time" in entry.inputs:
        inputs["time"] = _repeat(time_vector(_MOMENT, hour=entry.options.hour or "noon"))
    if "latlon" in entry.inputs:
        inputs["latlon"] = _repeat(place_vector(*_PLACE, order=entry.options.coordinate_order or "lonlat"))
    return Trial(request=Request(header=header, index=np.arange(CHIPS, dtype=np.int64), inputs=inputs), entry=entry)


def _pixels(entry: ModelEntry) -> NDArray[Any]:
    """Digital numbers [CHIPS, C, H, W] as the sensor gives them.

    Noise around each band's mean, from a fixed seed, never nodata.

    Integers are at least 1. Floating point has no floor: reflectances go below zero, and so may a sensor's mean.
    """
    random = np.random.default_rng(20240615)
    pixels = np.empty((CHIPS, len(entry.bands), entry.chip_size, entry.chip_size), entry.dtype)
    for channel, band in enumerate(entry.bands):
        mean, spread = _level(entry, band)
        level = np.linspace(mean - spread / 2, mean + spread / 2, CHIPS)[:, None, None]  # a darker and a brighter chip
        values = level + random.normal(0.0, spread / 4, (CHIPS, entry.chip_size, entry.chip_size))
        if entry.decibel:
            values = 10 ** (values / 10)
        if np.issubdtype(pixels.dtype, np.integer):
            values = np.clip(values, 1, int(np.iinfo(pixels.dtype).max))
        pixels[:, channel] = values.astype(pixels.dtype)
    return pixels


def _level(entry: ModelEntry, band: str) -> tuple[float, float]:
    """Give a mean and a spread for a band: the entry's own record of what it expects, else what its type usually holds.

    Both in decibels where the entry takes those.
    """
    if entry.normalisation and band in entry.normalisation:
        return entry.normalisation[band]
    if entry.stretch and band in entry.stretch:
        low, high = entry.stretch[band]
        return (low + high) / 2, (high - low) / 2
    return {"uint8": (110.0, 45.0), "uint16": (1500.0, 600.0), "float32": (0.5, 0.2)}[entry.dtype]


def _repeat(vector: list[float]) -> NDArray[np.float32]:
    return np.tile(np.array(vector, dtype=np.float32), (CHIPS, 1))


def _finite(*arrays: NDArray[np.float32] | None) -> bool:
    return all(bool(np.isfinite(array).all()) for array in arrays if array is not None)
