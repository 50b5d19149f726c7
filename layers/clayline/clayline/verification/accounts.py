"""What stands beside a file: its receipt, metadata JSON and STAC Item; and which windows nobody accounts for."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from clayline.run.receipt import Receipt, State, count
from clayline.verification.checks import Severity
from clayline.verification.header import Provenance, read_json
from clayline.verification.outcomes import Outcomes
from clayline.verification.rows import Rows

_SHA256: Final = "1220"
"""How a multihash of SHA-256 begins."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Companions:
    """Bytes of what lies beside the file, None where it does not."""

    receipt: bytes | None = None
    metadata: bytes | None = None
    item: bytes | None = None
    trouble: Mapping[str, str] | None = None
    """Why one that is there was not read, by name."""


class Accounts:
    """Takes the rows of a file and compares them with the receipt."""

    def __init__(self, outcomes: Outcomes, provenance: Provenance | None, companions: Companions) -> None:
        """Take what the file says, and what lies beside it."""
        self._outcomes = outcomes
        self._provenance = provenance
        self._companions = companions
        self._receipt = _receipt(companions, outcomes)
        windows = len(provenance.grid.chips()) if provenance else 0
        self._seen = np.zeros(windows, np.bool_)
        self._written: dict[str, int] = {}
        if self._receipt:
            self._written = {chip.uci: chip.index for chip in self._receipt.chips if chip.state is State.WRITTEN}
        self._rows = 0
        self._indexed = False

    def check(self, rows: Rows) -> None:
        """Look at some rows."""
        self._rows += rows.count
        self._indexed = self._indexed or rows.index is not None
        if rows.index is not None:
            inside = rows.index[(rows.index >= 0) & (rows.index < len(self._seen))]
            again = self._seen[inside]
            if again.any():
                shown = [f"window {index}" for index in inside[again][:3].tolist()]
                self._outcomes.found("windows", "the window has more than one row", shown, count=int(again.sum()))
            self._seen[inside] = True
        if self._receipt is None:
            return
        if rows.ids is None:
            self._outcomes.cannot("receipt", "there are no identifiers: only the numbers of rows were compared")
            self._written = {}
            return
        for row, text in enumerate(rows.ids):
            index = self._written.pop(text, None) if text is not None else None
            if index is None:
                self._outcomes.found("receipt", "the row is not among the receipt's written chips", [rows.name(row)])
            elif rows.index is not None and index != rows.index[row]:
                self._outcomes.found("receipt", "the receipt has another index", [rows.name(row)])

    def end(self, header: Mapping[str, str], *, size: int, checksum: str | None, name: str) -> None:
        """Tell what all rows together show, and compare the files beside it.

        ``checksum`` is the object's SHA-256 in hex where it was computed, ``name`` the file's.
        """
        receipt, provenance = self._receipt, self._provenance
        if receipt is not None:
            if self._written:
                self._outcomes.found(
                    "receipt", "a written chip of the receipt has no row", list(self._written)[:3],
                    count=len(self._written),
                )  # fmt: skip
            if receipt.counts.written != self._rows:
                self._outcomes.found(
                    "receipt", f"the receipt says that {receipt.counts.written} chips are written, there are"
                    f" {self._rows} rows"
                )  # fmt: skip
            counts = count(receipt.chips)
            if counts != receipt.counts:
                self._outcomes.found("receipt", f"its counts are {receipt.counts}, its chips give {counts}"[:300])
            if provenance and (receipt.run, receipt.source_model) != (provenance.run, provenance.model.token):
                self._outcomes.found("receipt", "the receipt is of another run or model than the file")
        self._coverage()
        self._metadata(header)
        self._item(name, size=size, checksum=checksum)

    def _coverage(self) -> None:
        if not self._indexed:
            self._outcomes.cannot("coverage", "no row says its window")
            return
        if self._provenance is None:
            self._outcomes.cannot("coverage", "no provenance says which windows there are")
            return
        accounted = self._seen.copy()
        if self._receipt:
            index = np.array([chip.index for chip in self._receipt.chips], np.int64)
            accounted[index[(index >= 0) & (index < len(accounted))]] = True
        self._gaps(~accounted)

    def _gaps(self, gaps: NDArray[np.bool_]) -> None:
        if not gaps.any():
            return
        number, total = int(gaps.sum()), len(gaps)
        shown = [f"window {index}" for index in np.flatnonzero(gaps)[:3].tolist()]
        if self._receipt:
            self._outcomes.found(
                "coverage", f"of {total} windows these are neither written nor accounted for", shown, count=number,
                severity=Severity.ERROR,
            )  # fmt: skip
        else:
            self._outcomes.found(
                "coverage", f"of {total} windows these have no row, and no receipt says why", shown, count=number
            )

    def _metadata(self, header: Mapping[str, str]) -> None:
        content = _object(self._companions, "metadata", self._outcomes)
        if content is None:
            return
        for key in ("geo", "clayline", "emb"):
            if content.get(key) != _value(header.get(key)):
                self._outcomes.found("companions", f"the metadata JSON has another `{key}` than the file's header")
        counts = content.get("counts")
        if isinstance(counts, dict) and counts.get("written") != self._rows:
            self._outcomes.found("companions", f"the metadata JSON counts {counts.get('written')} rows")

    def _item(self, name: str, *, size: int, checksum: str | None) -> None:
        content = _object(self._companions, "item", self._outcomes)
        if content is None:
            self._outcomes.cannot("checksums", "nothing beside the file states its size or checksum")
            return
        text = json.dumps(content)
        if self._provenance and self._provenance.model.digest not in text:
            self._outcomes.found("companions", "the STAC Item does not name the model's digest")
        if self._provenance and self._provenance.run not in text:
            self._outcomes.found("companions", "the STAC Item does not name the run")
        assets = content.get("assets")
        stated = False
        for asset in assets.values() if isinstance(assets, dict) else ():
            if isinstance(asset, dict) and str(asset.get("href", "")).rpartition("/")[2] == name:
                stated = _stated(asset, self._outcomes, size=size, checksum=checksum) or stated
        if not stated:
            self._outcomes.cannot("checksums", "the STAC Item states no size and no checksum")


def _stated(asset: Mapping[str, Any], outcomes: Outcomes, *, size: int, checksum: str | None) -> bool:
    said, hashed = asset.get("file:size"), asset.get("file:checksum")
    if said is not None and said != size:
        outcomes.found("checksums", f"the STAC Item states {said} bytes, the file has {size}")
    if hashed is not None and checksum is not None and hashed != f"{_SHA256}{checksum}":
        outcomes.found("checksums", f"the STAC Item states checksum {str(hashed)[:80]}, the file has 1220{checksum}")
    if hashed is not None and checksum is None:
        reason = "the file was not read whole, and S3 states no SHA-256 of it: its checksum was not compared"
        outcomes.cannot("checksums", reason)
    return said is not None or hashed is not None


def _value(text: str | None) -> Any:  # noqa: ANN401 - whatever stands there
    """Read a header's value; what is no JSON, which is told where the header is read, is its text."""
    try:
        return None if text is None else read_json(text)
    except ValueError:
        return text


def _receipt(companions: Companions, outcomes: Outcomes) -> Receipt | None:
    reason = (companions.trouble or {}).get("receipt")
    if companions.receipt is None:
        outcomes.cannot("receipt", reason or "no receipt lies beside the file")
        return None
    try:
        return Receipt.model_validate_json(companions.receipt)
    except ValidationError as error:
        outcomes.found("receipt", f"the receipt cannot be used: {error.errors()[0]['msg']}")
        return None


def _object(companions: Companions, name: str, outcomes: Outcomes) -> dict[str, Any] | None:
    body: bytes | None = getattr(companions, name)
    if body is None:
        reason = (companions.trouble or {}).get(name)
        outcomes.cannot("companions", reason or f"no {name} lies beside the file")
        return None
    try:
        content = read_json(body.decode())
    except ValueError as error:
        outcomes.found("companions", f"the {name} is no JSON that can be used: {error}"[:300])
        return None
    if not isinstance(content, dict):
        outcomes.found("companions", f"the {name} is no JSON object")
        return None
    return content
