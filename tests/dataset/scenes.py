"""Made-up scenes as collect leaves them: four files, written by the writer itself."""

import io
import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import shapely
from tests.dataset.world import NOON, TOKEN, scene_row

from clayline.dataset.ports import WritableRoot
from clayline.dataset.scene_file import SceneFile
from clayline.dataset.scene_row import SceneRow
from clayline.outputs.embedding import EmbeddingRows, SceneColumns
from clayline.run.encoding import VectorEncoding
from clayline.run.receipt import ChipOutcome, Counts, Receipt, State
from clayline.table.geoparquet import write_geoparquet

DIMENSIONS = 8
SIDE = 0.025


@dataclass(frozen=True, kw_only=True)
class MadeUp:
    """One revision of the scene ``number``: ``rows`` chips of one place (by the number's last digit)."""

    number: int
    revision: int = 1
    rows: int = 16
    square: str = "32UQD"
    failed: int = 0
    identifiers_of: int | None = None
    """The scene whose identifiers it bears wrongly."""
    digest: str = "0"

    @property
    def row(self) -> SceneRow:
        """Its row, but for size and ETag."""
        row = scene_row(self.number, revision=self.revision, rows=self.rows, square=self.square)
        status = "ScenePartial" if self.failed else "SceneEmbedded"
        return replace(row, status=status, digest=f"sha256:{self.digest * 64}")

    @property
    def file(self) -> SceneFile:
        """Where its files lie."""
        found = SceneFile.of_receipt(self.row.href.removesuffix(".parquet") + "_receipt.json")
        assert found
        return found

    @property
    def ucis(self) -> list[str]:
        """Its identifiers, ascending; another revision has the same."""
        number = self.number if self.identifiers_of is None else self.identifiers_of
        start = NOON + timedelta(days=number)
        return [
            f"{self.square}-r{256 * chip:05d}c{number % 10:05d}s256g10000_{start:%Y%m%dT%H%M%S}_s2a-msi-l2a_{TOKEN}"
            for chip in range(self.rows)
        ]

    def vectors(self) -> np.ndarray[Any, np.dtype[np.float32]]:
        """Give its vectors, which differ by revision."""
        return np.random.default_rng([self.number, self.revision]).standard_normal(
            (self.rows, DIMENSIONS), dtype=np.float32
        )

    def land(self, root: WritableRoot) -> None:
        """Write its files; the receipt last."""
        row = self.row
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "scene.parquet"
            write_geoparquet(
                path,
                columns=SceneColumns(
                    source_url=f"s3://scenes/{self.number}.tif",
                    date=row.created.date(),
                    datetime=row.start,
                    source_model=row.token,
                    loss_metric=None,
                    source_creator="clayline",
                    dimensions=DIMENSIONS,
                ),
                chunks=[self._chunk()],
                metadata={
                    "clayline": json.dumps(self._provenance(row)),
                    "emb": json.dumps({"emb:dimensions": DIMENSIONS}),
                },
                encoding=VectorEncoding.PORTABLE,
            )
            assert root.put_new(self.file.parquet, path)
        polygon = json.loads(shapely.to_geojson(shapely.from_wkb(row.geometry)))
        box = [row.box.west, row.box.south, row.box.east, row.box.north]
        root.put_new(self.file.item, json.dumps({"id": row.item_id, "bbox": box, "geometry": polygon}).encode())
        root.put_new(self.file.receipt, self._receipt(row).model_dump_json().encode())

    def _chunk(self) -> EmbeddingRows:
        row, at = self.row, np.arange(self.rows)
        wide = max(1, int(self.rows**0.5))
        x, y = row.box.west + at % wide * SIDE, row.box.north - at // wide * SIDE
        corners = np.stack([np.stack(corner, axis=1) for corner in _ring(x, y)], axis=1)
        return EmbeddingRows(
            uci=self.ucis,
            index=at.astype(np.int64),
            cell=[f"{self.square}-r{256 * chip:05d}c{self.number % 10:05d}s256g10000" for chip in range(self.rows)],
            corners=corners,
            embeddings=self.vectors(),
            loss=None,
            valid_fraction=np.ones(self.rows, np.float32),
            cloud_fraction=np.full(self.rows, np.nan, np.float32),
        )

    def _provenance(self, row: SceneRow) -> dict[str, Any]:
        return {
            "run": row.run,
            "revision": row.revision,
            "created": row.created.isoformat(),
            "instrument": row.instrument,
            "acquired": {"start": row.start.isoformat(), "end": row.end.isoformat()},
            "grid": {"gsd": row.gsd},
            "model": {"token": row.token, "digest": row.digest},
        }

    def _receipt(self, row: SceneRow) -> Receipt:
        lines = [ChipOutcome(uci=uci, index=index, state=State.WRITTEN) for index, uci in enumerate(self.ucis)]
        return Receipt(
            run=row.run,
            status="ScenePartial" if self.failed else "SceneEmbedded",
            reason=None,
            message=None,
            scene=str(self.number),
            source_uri=f"s3://scenes/{self.number}.json",
            source_model=row.token,
            counts=Counts(
                planned=self.rows + self.failed,
                written=self.rows,
                skipped={},
                failed={"broken": self.failed} if self.failed else {},
            ),
            outputs={},
            chips=tuple(lines),
        )


def rewritten(content: bytes, **columns: Any) -> bytes:
    """Give a scene's file with other values in some columns, as somebody else's writer might leave it."""
    table = pq.read_table(io.BytesIO(content))
    for name, values in columns.items():
        at = table.schema.get_field_index(name)
        table = table.set_column(at, table.schema.field(name), pa.array(list(values), table.schema.field(name).type))
    file = io.BytesIO()
    pq.write_table(table, file)
    return file.getvalue()


def _ring(x: np.ndarray[Any, Any], y: np.ndarray[Any, Any]) -> Sequence[tuple[Any, Any]]:
    return [(x, y), (x + SIDE, y), (x + SIDE, y - SIDE), (x, y - SIDE)]
