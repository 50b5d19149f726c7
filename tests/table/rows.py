"""Rows of a made-up scene for the table's tests.

A grid of square chips in longitude and latitude, random unit vectors.
"""

import datetime as dt

import numpy as np

from clayline.outputs.embedding import EmbeddingRows, SceneColumns

SIDE = 0.02
WIDE = 50
DIMENSIONS = 48


def scene_columns(*, loss_metric: str | None = "mse") -> SceneColumns:
    """Give what all rows share."""
    return SceneColumns(
        source_url="s3://scenes/landsat/LC08_L1TP_224078_20200518.tif",
        date=dt.date(2026, 11, 22),
        datetime=dt.datetime(2020, 5, 18, 13, 39, 44, 120_000, tzinfo=dt.UTC),
        source_model="starter-v1.0-rgb",
        loss_metric=loss_metric,
        source_creator="clayline",
        dimensions=DIMENSIONS,
    )


def embedding_rows(
    count: int, *, west: float = -54.6, north: float = -25.1, loss: bool = True, seed: int = 0
) -> EmbeddingRows:
    """Give ``count`` chips, row by row from the upper left.

    Longitudes are brought back into -180 to 180 as PROJ gives them.
    """
    random = np.random.default_rng(seed)
    at = np.arange(count)
    x, y = west + at % WIDE * SIDE, north - at // WIDE * SIDE
    corners = np.stack(
        [np.stack(corner, axis=1) for corner in [(x, y), (x + SIDE, y), (x + SIDE, y - SIDE), (x, y - SIDE)]], axis=1
    )
    corners[..., 0] = np.where(corners[..., 0] > 180, corners[..., 0] - 360, corners[..., 0])
    vectors = random.standard_normal((count, DIMENSIONS), dtype=np.float32)
    return EmbeddingRows(
        uci=[
            f"21JYM-r{k // WIDE * 64:05d}c{k % WIDE * 64:05d}s64g30000_20200518T133944_landsat8-oli-c2l1"
            "_starter-v1.0-rgb"
            for k in range(count)
        ],
        index=at * 3,
        cell=[None if k % 7 == 3 else f"utm21-c64p30000-s{1500 + k // WIDE}e{k % WIDE}" for k in range(count)],
        corners=corners,
        embeddings=vectors / np.linalg.norm(vectors, axis=1, keepdims=True),
        loss=random.random(count, dtype=np.float32) if loss else None,
        valid_fraction=random.random(count, dtype=np.float32),
        cloud_fraction=np.where(at % 3 == 0, np.float32(np.nan), random.random(count, dtype=np.float32)),
    )
