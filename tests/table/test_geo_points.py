"""Points of GeoParquet files, as geopandas writes them."""

from datetime import UTC, datetime
from pathlib import Path

import geopandas
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from clayline.errors import DatasetError
from clayline.table.geo_points import read_points


def test_a_frame_of_points_is_read_with_names_and_moments(tmp_path: Path) -> None:
    frame = geopandas.GeoDataFrame(
        {"id": ["a", "b"], "datetime": [datetime(2024, 6, 1), None]},  # noqa: DTZ001 - as files often have it
        geometry=geopandas.points_from_xy([1, 2], [3, 4]),
        crs="EPSG:4326",
    )
    frame.to_parquet(tmp_path / "points.parquet")
    first, second = read_points(tmp_path / "points.parquet")
    assert (first.name, first.lon, first.lat, first.when) == ("a", 1, 3, datetime(2024, 6, 1, tzinfo=UTC))
    assert (second.name, second.when) == ("b", None)


def test_other_places_and_shapes_are_refused(tmp_path: Path) -> None:
    points = geopandas.GeoDataFrame(geometry=geopandas.points_from_xy([1, 2], [3, 4]), crs="EPSG:4326")
    points.to_crs("EPSG:32632").to_parquet(tmp_path / "utm.parquet")
    with pytest.raises(DatasetError, match=r"utm\.parquet .*bring it to OGC:CRS84"):
        read_points(tmp_path / "utm.parquet")
    points.set_geometry(points.to_crs("EPSG:32632").buffer(1).to_crs("EPSG:4326")).to_parquet(
        tmp_path / "areas.parquet"
    )
    with pytest.raises(DatasetError, match="row 0 is no point"):
        read_points(tmp_path / "areas.parquet")
    pq.write_table(pa.table({"a": [1]}), tmp_path / "plain.parquet")
    (tmp_path / "text.parquet").write_text("lon,lat", encoding="utf-8")
    for name in ("plain.parquet", "text.parquet"):
        with pytest.raises(DatasetError, match="is no GeoParquet of points"):
            read_points(tmp_path / name)
