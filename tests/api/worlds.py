"""Datasets of made-up scenes, in memory: scene files, their rows, and squares' files as compaction leaves them."""

import io
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from tests.dataset.test_snapshot import ROW
from tests.table.remembered import RememberedRoot
from tests.table.rows import DIMENSIONS, SIDE, WIDE, embedding_rows, scene_columns

from clayline.dataset.extents import extent_of
from clayline.dataset.manifest import FRAGMENTS, MANIFEST, CompactFile, Manifest, Part, Revised, StoredFile
from clayline.dataset.scene_row import Box, SceneRow
from clayline.run.encoding import VectorEncoding
from clayline.table.geoparquet import write_geoparquet
from clayline.table.scene_rows import encode_rows

WEST, NORTH = -54.6, -25.1
CHIPS = 500
"""Of a scene: 50 wide, 10 high."""
FIRST = datetime(2024, 5, 18, 13, 40, tzinfo=UTC)
TOKEN = "starter-v1.0-rgb"


@dataclass
class World:
    root: RememberedRoot = field(default_factory=RememberedRoot)
    rows: list[SceneRow] = field(default_factory=list)
    tables: dict[tuple[str, int], pa.Table] = field(default_factory=dict)
    """As they lie in the scenes' own files, by scene and revision."""

    def scene(
        self, number: int, *, day: int = 0, revision: int = 1, token: str = TOKEN, west: float = WEST, loss: bool = True
    ) -> SceneRow:
        """Put a scene's file, and its row, which no index has yet."""
        start = FIRST + timedelta(days=day)
        columns = replace(scene_columns(loss_metric="mse" if loss else None), datetime=start, source_model=token)
        chips = embedding_rows(CHIPS, west=west, north=NORTH, seed=1000 * revision + number, loss=loss)
        chips = replace(chips, uci=[f"{uci}-{number:04d}" for uci in chips.uci])
        with TemporaryDirectory() as folder:
            path = Path(folder) / "scene.parquet"
            write_geoparquet(
                path,
                columns=columns,
                chunks=[chips],
                metadata={},
                encoding=VectorEncoding.PORTABLE,
                row_group_rows=100,
            )
            body = path.read_bytes()
        scene = f"{number:012x}"
        href = f"{token}/{scene}/21JYM_v{revision:03d}.parquet"
        self.root.objects[href] = body
        east = west + WIDE * SIDE
        row = replace(
            ROW,
            token=token,
            scene=scene,
            revision=revision,
            item_id=f"item-{number}",
            square="21JYM",
            start=start,
            end=start,
            box=Box(
                west=west, south=NORTH - CHIPS // WIDE * SIDE, east=east - 360 if east > 180 else east, north=NORTH
            ),
            geometry=b"\x01\x01\x00\x00\x00" + bytes(16),
            rows=CHIPS,
            size=len(body),
            dimensions=DIMENSIONS,
            href=href,
        )
        self.rows.append(row)
        self.tables[scene, revision] = pq.read_table(io.BytesIO(body))
        return row

    def index(self, *rows: SceneRow) -> None:
        """Put the fragments of some rows, of all by default."""
        for row in rows or tuple(self.rows):
            self.root.objects[FRAGMENTS + row.fragment] = encode_rows([row])

    def compact(self, *rows: SceneRow, group_rows: int = 200) -> Manifest:
        """Put a manifest that has taken in some rows (all by default), their chips in one file of the square."""
        taken = [replace(row, compacted=True) for row in rows or self.rows]
        highest: dict[tuple[str, str], int] = {}
        for row in taken:
            highest[row.key] = max(row.revision, highest.get(row.key, 0))
        newest = [row for row in taken if row.revision == highest[row.key]]
        older = [row for row in taken if row.revision != highest[row.key]]
        files = []
        for token in sorted({row.token for row in newest}):
            of_token = [row for row in newest if row.token == token]
            body = squares_file([self._named(row) for row in of_token], group_rows)
            stored = self._put(f"dataset/files/{of_token[0].partition.path}", body, sum(row.rows for row in of_token))
            files.append(
                CompactFile(
                    file=stored, extent=extent_of(of_token), token=token, square="21JYM", year=of_token[0].start.year
                )
            )
        manifest = Manifest(
            version=1,
            scenes=len(newest),
            parts=(Part(file=self._put("dataset/parts", encode_rows(newest), len(newest)), extent=extent_of(newest)),),
            history=(self._put("dataset/history", encode_rows(older), len(older)),) if older else (),
            absorbed=tuple(row.fragment for row in taken),
            revised=tuple(
                Revised(token=key[0], scene=key[1], revision=revision)
                for key, revision in highest.items()
                if revision > 1
            ),
            files=tuple(files),
        )
        self.root.objects[MANIFEST] = manifest.model_dump_json().encode()
        return manifest

    def expected(self, box: tuple[float, float, float, float] | None, *keys: tuple[str, int]) -> set[str]:
        """Give the identifiers of chips whose box meets another one (as footprints do here), by brute force."""
        found: set[str] = set()
        for key in keys:
            table = self.tables[key]
            mask = np.ones(table.num_rows, dtype=bool)
            if box is not None:
                bounds: Any = table["bbox"].combine_chunks()
                side = {name: bounds.field(name).to_numpy() for name in ("xmin", "ymin", "xmax", "ymax")}
                mask = (side["xmin"] <= box[2]) & (side["xmax"] >= box[0])
                mask &= (side["ymin"] <= box[3]) & (side["ymax"] >= box[1])
            names: list[Any] = table["uci"].filter(pa.array(mask)).to_pylist()
            found |= set(names)
        return found

    def _named(self, row: SceneRow) -> pa.Table:
        table = self.tables[row.scene, row.revision]
        table = table.append_column("scene", pa.array([row.scene] * table.num_rows))
        return table.append_column("revision", pa.array([row.revision] * table.num_rows, pa.int32()))

    def _put(self, folder: str, body: bytes, rows: int) -> StoredFile:
        digest = sha256(body).hexdigest()
        href = f"{folder}/{digest[:16]}.parquet"
        self.root.objects[href] = body
        return StoredFile(href=href, size=len(body), sha256=digest, rows=rows)


def squares_file(tables: list[pa.Table], group_rows: int) -> bytes:
    """Give the chips of scenes in one file: all dates of a place beside each other."""
    whole = pa.concat_tables(tables)
    order = pc.sort_indices(whole, sort_keys=[("index", "ascending"), ("datetime", "ascending"), ("uci", "ascending")])
    sink = io.BytesIO()
    pq.write_table(whole.take(order), sink, row_group_size=group_rows, compression="zstd")
    return sink.getvalue()
