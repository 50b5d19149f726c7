"""A scene's file of which the report's tests know every number, and the scene's own file beside it."""

import datetime as dt
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from tests.pipeline.scenes import geotiff, utm_grid

from clayline.chips.grid import ChipGrid

CHIP, HEIGHT, WIDTH, START = 32, 600, 700, (-20, -9)
DIMENSIONS = 48
RGB = ("red", "green", "blue")
GAP = 25
"""A window without a chip."""


@dataclass(frozen=True, kw_only=True)
class ReportScene:
    """What stands in the file."""

    path: Path
    grid: ChipGrid
    index: NDArray[np.int64]
    vectors: NDArray[np.float32]
    valid: NDArray[np.float32]
    loss: NDArray[np.float32]
    uci: tuple[str, ...]

    @property
    def whole(self) -> NDArray[np.bool_]:
        """Chips that are compared unless others are asked for."""
        return self.valid >= np.float32(0.9)

    def row(self, window: int) -> int:
        """Give the row of a window's chip."""
        return int(np.flatnonzero(self.index == window)[0])


def write_scene(
    folder: Path,
    *,
    name: str = "S2A_a_scene",
    prefix: str = "31UFQ",
    pixels: bool = True,
    windows: int | None = None,
    own_grid: bool = False,
    metric: str = "l1",
    ground: tuple[str, tuple[float, ...]] = ("EPSG:32631", tuple(utm_grid())[:6]),
) -> ReportScene:
    """Write ``scene.parquet``, and its ``scene.tif`` if there are to be pixels; ``ground`` is CRS and transform."""
    grid = ChipGrid(height=HEIGHT, width=WIDTH, size=CHIP, start=None if own_grid else START)
    index = np.array([n for n in range(len(grid) if windows is None else windows) if n != GAP])
    random = np.random.default_rng(7)
    vectors = random.normal(0.8, 1.0, (len(index), DIMENSIONS)).astype(np.float32)
    at = [grid.window(number) for number in index.tolist()]
    pixels_inside = [_inside(w.row, HEIGHT) * _inside(w.col, WIDTH) for w in at]
    inside = (np.array(pixels_inside) / CHIP**2).astype(np.float32)
    loss = random.normal(0.02, 0.002, len(index)).astype(np.float32)
    whole = np.flatnonzero(inside >= np.float32(0.9))
    loss[whole[len(whole) // 2 : len(whole) // 2 + 1]] = 0.9
    cloud = random.uniform(0, 1, len(index)).astype(np.float32)
    uci = tuple(f"{prefix}{number:08d}-s32g10000_20200518-20200518_sentinel2-msi_a-v1-model" for number in index)
    table = pa.table(
        {
            "uci": uci,
            "datetime": pa.array([dt.datetime(2020, 5, 18, tzinfo=dt.UTC)] * len(index), pa.timestamp("us", "UTC")),
            "source_model": ["a-v1-model"] * len(index),
            "loss": loss,
            "loss_metric": [metric] * len(index),
            "embeddings": pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), DIMENSIONS),
            "index": index,
            "valid_fraction": inside,
            "cloud_fraction": pa.array([None, *cloud[1:].tolist()], pa.float32()),
        }
    )
    fields = random.integers(500, 2500, (3, HEIGHT // 10, WIDTH // 10))
    body = np.kron(fields, np.ones((1, 10, 10))).astype(np.uint16)
    body[:, :40] = 0
    tiff = geotiff(body, crs="EPSG:32631", transform=utm_grid(), nodata=0)
    if pixels:
        (folder / "scene.tif").write_bytes(tiff)
    etag = hashlib.md5(tiff, usedforsecurity=False).hexdigest()
    provenance = _provenance(folder / "scene.tif", name, own_grid=own_grid, etag=etag, ground=ground)
    path = folder / "scene.parquet"
    pq.write_table(table.replace_schema_metadata({"clayline": json.dumps(provenance)}), path)
    return ReportScene(path=path, grid=grid, index=index, vectors=vectors, valid=inside, loss=loss, uci=uci)


def _inside(start: int, length: int) -> int:
    return min(start + CHIP, length) - max(start, 0)


def _provenance(
    file: Path, name: str, *, own_grid: bool, etag: str, ground: tuple[str, tuple[float, ...]]
) -> dict[str, Any]:
    said = {"uri": file.as_uri(), "etag": etag, "nodata": [0.0], "offset": 0, "possible": None}
    assets = [{**said, "band": band, "file_band": n} for n, band in enumerate(RGB, 1)]
    return {
        "source": {"id": name, "uri": file.as_uri(), "assets": assets},
        "sensor": "sentinel-2-l2a",
        "instrument": "sentinel2-msi",
        "cloud": None,
        "model": {"digest": f"sha256:{'0' * 64}", "untrained": False},
        "grid": {
            "crs": ground[0], "transform": list(ground[1]), "height": HEIGHT, "width": WIDTH,
            "chip_size": CHIP, "start": [0, 0] if own_grid else list(START),
            "lattice": {"name": None, "reason": "turned"} if own_grid else {"name": "utm31-c32p10000"},
        },
    }  # fmt: skip
