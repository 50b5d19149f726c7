"""The same made-up ground at several dates: scenes whose chips have cells, in one square of MGRS."""

import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from tests.api.worlds import TOKEN, World
from tests.dataset.test_snapshot import ROW
from tests.table.rows import scene_columns

from clayline.dataset.scene_row import Box, SceneRow
from clayline.outputs.embedding import EmbeddingRows
from clayline.run.encoding import VectorEncoding
from clayline.table.geoparquet import write_geoparquet

WEST, NORTH, SIDE = -54.5, -25.4, 0.005
"""All of it in the square 21JYM, by up to 80 chips east and 70 south."""
DIMENSIONS = 12
MAY, JUNE, JULY = (datetime(2020, month, 18, 13, 40, tzinfo=UTC) for month in (5, 6, 7))
OTHER_DIGEST = f"sha256:{'1' * 64}"


@dataclass(kw_only=True)
class Chips:
    """A scene's chips: ``wide`` a row, from an offset in chips."""

    wide: int
    high: int
    east: int = 0
    south: int = 0
    vectors: NDArray[np.float32] | None = None
    """[n, D]; None: by the seed."""
    seed: int = 0
    valid: float | NDArray[np.float32] = 1.0
    cloud: float | NDArray[np.float32] = float("nan")
    cells: bool = True
    without: Sequence[int] = ()
    """Chips that were skipped."""

    def rows(self, square: str, when: str, instrument: str, token: str) -> EmbeddingRows:
        at = np.delete(np.arange(self.wide * self.high), self.without)
        col, row = at % self.wide + self.east, at // self.wide + self.south
        x, y = WEST + col * SIDE, NORTH - row * SIDE
        ring = [(x, y - SIDE), (x + SIDE, y - SIDE), (x + SIDE, y), (x, y)]
        vectors = self.vectors
        if vectors is None:
            random = np.random.default_rng(self.seed)
            vectors = random.standard_normal((self.wide * self.high, DIMENSIONS), np.float32) + 2
        names = [f"{square}{c:04d}{r:04d}-s64g30000_{when}_{instrument}_{token}" for r, c in zip(row, col, strict=True)]
        order = np.argsort(names)

        def each(value: float | NDArray[np.float32]) -> NDArray[np.float32]:
            whole = np.broadcast_to(np.asarray(value, np.float32), (self.wide * self.high,))
            return np.ascontiguousarray(whole[at][order])

        return EmbeddingRows(
            uci=[names[number] for number in order],
            index=at[order].astype(np.int64),
            cell=[f"utm21-c64p30000-s{1500 + row[n]}e{col[n]}" if self.cells else None for n in order],
            corners=np.stack([np.stack(corner, axis=1) for corner in ring], axis=1)[order],
            embeddings=vectors[at][order],
            loss=None,
            valid_fraction=each(self.valid),
            cloud_fraction=each(self.cloud),
        )


class Ground(World):
    """A dataset in memory of such scenes."""

    def land(
        self,
        number: int,
        when: datetime,
        chips: Chips,
        *,
        revision: int = 1,
        instrument: str = "landsat8-oli-l1",
        token: str = TOKEN,
        digest: str = ROW.digest,
        square: str = "21JYM",
        until: datetime | None = None,
    ) -> SceneRow:
        """Put a scene's file, and its fragment; ``until`` is the last day of one that says days alone."""
        said = f"{when:%Y%m%d}-{until:%Y%m%d}" if until else f"{when:%Y%m%dT%H%M%S}"
        end = until.replace(hour=23, minute=59, second=59) if until else when + timedelta(seconds=1)
        when = when.replace(hour=0, minute=0, second=0) if until else when
        rows = chips.rows(square, said, instrument, token)
        vectors = np.asarray(rows.embeddings)
        columns = replace(
            scene_columns(loss_metric=None), datetime=when, source_model=token, dimensions=vectors.shape[1]
        )  # fmt: skip
        with TemporaryDirectory() as folder:
            path = Path(folder) / "scene.parquet"
            finite = replace(rows, embeddings=np.nan_to_num(vectors))
            write_geoparquet(path, columns=columns, chunks=[finite], metadata={}, encoding=VectorEncoding.PORTABLE)
            if not np.isfinite(vectors).all():
                _put_vectors(path, vectors)
            body = path.read_bytes()
        scene = f"{number:012x}"
        href = f"{token}/{scene}/{square}_v{revision:03d}.parquet"
        self.root.objects[href] = body
        west, north = WEST + chips.east * SIDE, NORTH - chips.south * SIDE
        row = replace(
            ROW,
            token=token,
            digest=digest,
            scene=scene,
            revision=revision,
            instrument=instrument,
            square=square,
            start=when,
            end=end,
            box=Box(west=west, south=north - chips.high * SIDE, east=west + chips.wide * SIDE, north=north),
            geometry=b"\x01\x01\x00\x00\x00" + bytes(16),
            rows=len(rows.uci),
            size=len(body),
            dimensions=vectors.shape[1],
            href=href,
        )
        self.rows.append(row)
        self.tables[scene, revision] = pq.read_table(io.BytesIO(body))
        self.index(row)
        return row


def _put_vectors(path: Path, vectors: NDArray[np.float32]) -> None:
    """Write what our writer refuses: a component that is no finite number."""
    table = pq.read_table(path)
    at = table.column_names.index("embeddings")
    lists = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1])
    pq.write_table(table.set_column(at, "embeddings", lists), path)
