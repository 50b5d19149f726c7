"""A scene's file as the index sees it, and the row that follows from it, its Item and its receipt."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Self

from clayline.dataset.ports import Stored
from clayline.dataset.scene_row import Box, SceneRow
from clayline.errors import DatasetError, in_a_line
from clayline.run.receipt import Receipt

RECEIPT: Final = "_receipt.json"
_KEY: Final = re.compile(
    r"(?P<token>[a-z0-9][a-z0-9.-]*)/(?P<scene>[0-9a-f]{12})/"
    r"(?P<square>[0-9]{0,2}[A-Z]{3})_[0-9]{8}_[0-9]{8}_v(?P<revision>[0-9]{3,})"
)
_OURS: Final = frozenset({"failed", "dataset"})
"""Folders of a root that no model is called."""
_KINDS: Final = {
    "clayline-read": "it was read out of a dataset (`clayline read`, `sample` or `search`)",
    "clayline-change": "it is a table of changes (`clayline change`)",
    "clayline-dataset-file": "it is a dataset's own file, of many scenes",
    "clayline-tier": "it is a dataset's own file, of smaller vectors",
    "clayline-index": "it is a dataset's own file, of its index",
}
"""Of Parquet files that Clayline writes and that are no scene's, by the name of their format."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SceneFile:
    """Where one revision of a scene under a model lies, relative to a root."""

    stem: str
    """What its four files begin with."""
    token: str
    scene: str
    square: str
    revision: int

    @classmethod
    def of_receipt(cls, key: str) -> Self | None:
        """Read the key of a receipt, which may have folders before it; None for what is none of a scene's file."""
        stem = "/".join(key.removesuffix(RECEIPT).split("/")[-3:])
        found = _KEY.fullmatch(stem)
        if not key.endswith(RECEIPT) or found is None or found["token"] in _OURS:
            return None
        return cls(
            stem=stem,
            token=found["token"],
            scene=found["scene"],
            square=found["square"],
            revision=int(found["revision"]),
        )

    @property
    def receipt(self) -> str:
        """Key of its receipt."""
        return self.stem + RECEIPT

    @property
    def item(self) -> str:
        """Key of its Item."""
        return f"{self.stem}.json"

    @property
    def parquet(self) -> str:
        """Key of its embeddings."""
        return f"{self.stem}.parquet"

    def row(
        self,
        *,
        receipt: Receipt,
        item: Mapping[str, Any],
        geometry: bytes,
        stored: Stored,
        header: "SceneHeader",
    ) -> SceneRow:
        """Give the scene's row. Raises DatasetError where the files contradict each other."""
        try:
            provenance = header.provenance
            west, south, east, north = item["bbox"]
            row = SceneRow(
                token=self.token,
                digest=provenance["model"]["digest"],
                scene=self.scene,
                revision=self.revision,
                run=receipt.run,
                status=receipt.status,
                item_id=item["id"],
                instrument=provenance["instrument"],
                start=_moment(provenance["acquired"]["start"]),
                end=_moment(provenance["acquired"]["end"]),
                created=_moment(provenance["created"]),
                box=Box(west=float(west), south=float(south), east=float(east), north=float(north)),
                geometry=geometry,
                gsd=float(provenance["grid"]["gsd"]),
                square=self.square,
                rows=header.rows,
                size=stored.size,
                etag=stored.etag,
                dimensions=header.dimensions,
                href=self.parquet,
            )
            said = (provenance["run"], provenance["revision"], provenance["model"]["token"], receipt.counts.written)
        except (KeyError, TypeError, ValueError) as error:
            msg = f"{self.parquet}, or its Item, lacks what a row of the index needs: {error!r}"
            raise DatasetError(msg) from error
        there = (receipt.run, self.revision, self.token, header.rows)
        if said != there:
            msg = (
                f"{self.parquet} does not belong to its receipt: run, revision, model and rows are {said} in one and"
                f" {there} in the other. Restore the scene's four files from where they were written."
            )
            raise DatasetError(msg)
        return row


@dataclass(frozen=True, kw_only=True, slots=True)
class SceneHeader:
    """What the end of a scene's Parquet file says."""

    provenance: Mapping[str, Any]
    """Key ``clayline`` (docs/schema.md, Provenance)."""
    rows: int
    dimensions: int


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def kind_of(metadata: Mapping[bytes, bytes]) -> str | None:
    """Say what a Parquet file of Clayline's that is no scene's is, by its key-value metadata; None: nothing says so."""
    try:
        found = json.loads(metadata.get(b"clayline", b"{}"))
    except (ValueError, RecursionError):
        return None
    form = str(found.get("format", "")) if isinstance(found, dict) else ""
    return _KINDS.get(form.partition("/")[0])


def lacking(error: Exception) -> str:
    """Say why a file could not be taken for a scene's: what it lacks, else what was raised."""
    if not isinstance(error, KeyError):
        return f"{type(error).__name__}: {in_a_line(error)}"
    name = error.args[0]
    if isinstance(name, bytes):
        return f"its header lacks `{in_a_line(name.decode(errors='replace'))}`"
    return f"it lacks `{in_a_line(name)}`"
