"""Datasets of made-up scenes whose vectors lie in groups, with identifiers that say where their chips are."""

import json
import tempfile
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from math import floor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tests.dataset.test_snapshot import ROW
from tests.table.rows import DIMENSIONS, embedding_rows, scene_columns

from clayline.dataset.manifest import FRAGMENTS
from clayline.dataset.ports import WritableRoot
from clayline.dataset.scene_row import Box, SceneRow
from clayline.identity import uci, utm
from clayline.run.encoding import VectorEncoding
from clayline.steps.compacting import Compacting
from clayline.steps.tiering import Tiering
from clayline.table.dataset_tables import DatasetTables
from clayline.table.dataset_tiers import DatasetTiers
from clayline.table.geoparquet import write_geoparquet
from clayline.table.scene_rows import encode_rows

TOKEN, DIGEST = "starter-v1.0-rgb", f"sha256:{'0' * 64}"
FIRST = datetime(2024, 5, 18, 13, 40, tzinfo=UTC)
WEST, NORTH = -54.6, -25.1
GROUPS = 12
CENTRES = np.random.default_rng(77).standard_normal((GROUPS, DIMENSIONS)) + 3


@dataclass(kw_only=True)
class Alike:
    """A root, and of every chip what a search may find."""

    root: WritableRoot
    vectors: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    chips: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Of each identifier: scene, cell, lon, lat, valid, cloud, loss, start."""

    def scene(
        self,
        number: int,
        *,
        rows: int = 600,
        token: str = TOKEN,
        digest: str = DIGEST,
        instrument: str = "landsat8-oli-c2l1",
        indexed: bool = True,
        place: int | None = None,
        day: int | None = None,
        change: Any = None,
    ) -> SceneRow:
        """Put a scene's file, and its fragment; ``change`` makes other vectors of [rows, D], and
        ``place`` has it lie where the scene of that number does, ``day`` be acquired when that was.
        """
        start = FIRST + timedelta(days=number if day is None else day)
        chips = embedding_rows(rows, west=WEST + (number if place is None else place), north=NORTH, seed=number)
        random = np.random.default_rng(1000 + number)
        middle = chips.corners.mean(axis=1)
        names = [
            uci.format(
                uci.Uci(
                    location=uci.point_from_lonlat(lon, lat, size=64, gsd_mm=30_000),
                    time=uci.Instant.of(start),
                    instrument=instrument,
                    model=token,
                )
            )
            for lon, lat in middle.tolist()
        ]
        order = np.argsort(names)
        group = random.integers(GROUPS, size=rows)
        vectors = (CENTRES[group] + 0.6 * random.standard_normal((rows, DIMENSIONS))).astype(np.float32)
        if change is not None:
            vectors = change(vectors)
        valid = np.where(random.random(rows) < 0.2, 0.5, 1).astype(np.float32)
        chips = replace(
            chips,
            uci=[names[at] for at in order],
            index=chips.index[order],
            cell=[_cell(*middle[at].tolist()) for at in order],
            corners=chips.corners[order],
            embeddings=vectors,
            valid_fraction=valid,
        )
        scene = f"{number:012x}"
        row = replace(
            ROW, token=token, digest=digest, scene=scene, run=sha256(scene.encode()).hexdigest()[:32],
            instrument=instrument, square="21JYM", start=start, end=start, rows=rows, dimensions=DIMENSIONS,
            href=f"{token}/{scene}/21JYM_{start:%Y%m%d}_{start:%Y%m%d}_v001.parquet",
            box=Box(west=float(chips.corners[..., 0].min()), south=float(chips.corners[..., 1].min()),
                    east=float(chips.corners[..., 0].max()), north=float(chips.corners[..., 1].max())),
            geometry=b"\x01\x01\x00\x00\x00" + bytes(16),
        )  # fmt: skip
        columns = replace(
            scene_columns(), datetime=start, source_model=token, source_url=f"file:///imagery/{scene}.tif"
        )
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "scene.parquet"
            write_geoparquet(
                path,
                columns=columns,
                chunks=[chips],
                metadata={
                    "clayline": json.dumps(provenance(row, start)),
                    "emb": json.dumps({"emb:dimensions": DIMENSIONS}),
                },
                encoding=VectorEncoding.PORTABLE,
                row_group_rows=128,
            )
            self.root.put_new(row.href, path)
        row = replace(row, size=self.root.head(row.href).size, etag=self.root.head(row.href).etag)
        if indexed:
            self.root.put_new(FRAGMENTS + row.fragment, encode_rows([row]))
        loss: Any = chips.loss
        for at, name in enumerate(chips.uci):
            self.vectors[name] = vectors[at]
            self.chips[name] = {
                "scene": scene, "cell": chips.cell[at], "lon": float(chips.corners[at, :, 0].mean()),
                "lat": float(chips.corners[at, :, 1].mean()), "valid": float(valid[at]),
                "cloud": float(chips.cloud_fraction[at]), "loss": float(loss[at]), "start": start,
                "token": token, "instrument": instrument,
            }  # fmt: skip
        return row

    def compact(self, scratch: Path) -> None:
        """Make the squares' files, and their tiers."""
        stamps = iter(range(10**6))
        compactor = Compacting(
            root=self.root,
            tables=DatasetTables(row_group_rows=200, most_rows=100_000),
            tiering=Tiering(root=self.root, tables=DatasetTiers(scratch=scratch)),
            clock=lambda: datetime.now(UTC),
            stamp=lambda: f"a{next(stamps)}",
            scratch=scratch,
        )
        while compactor.compact().changed:
            pass

    def oracle(
        self, like: list[str], unlike: list[str] | None = None, *, centre: NDArray[np.float64], valid: float = 0.9
    ) -> list[tuple[str, float]]:
        """Rank every chip in float64, by the definition of docs/likeness.md."""
        names = sorted(self.vectors)

        def unit(name: str) -> NDArray[np.float64]:
            away = self.vectors[name].astype(np.float64) - centre
            return np.asarray(away / np.linalg.norm(away))

        direction = np.mean([unit(name) for name in like], axis=0)
        if unlike:
            direction = direction - np.mean([unit(name) for name in unlike], axis=0)
        direction /= np.linalg.norm(direction)
        left = {*like, *(unlike or [])}
        scores = [
            (name, float(unit(name) @ direction))
            for name in names
            if name not in left and self.chips[name]["valid"] >= valid
        ]
        return sorted(scores, key=lambda each: (-each[1], each[0]))


def _cell(lon: float, lat: float) -> str:
    """Name the cell of 1,920 m that a place lies in, south of the equator."""
    at = utm.forward(lon, lat, 21)
    return f"utm21-c64p30000-s{-floor((at.northing - utm.EQUATOR_SOUTH) / 1920)}e{floor(at.easting / 1920)}"


def provenance(row: SceneRow, start: datetime) -> dict[str, Any]:
    """Give as much as the index and a lone file's reader look at."""
    return {
        "run": row.run,
        "revision": row.revision,
        "created": start.isoformat(),
        "instrument": row.instrument,
        "acquired": {"start": start.isoformat(), "end": start.isoformat()},
        "grid": {"gsd": 30.0},
        "model": {"token": row.token, "digest": row.digest},
        "source": {"collection": None, "id": row.item_id, "uri": f"file:///imagery/{row.scene}.json", "assets": []},
    }
