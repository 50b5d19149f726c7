"""What the tests of ``clayline explain`` on whole products share: small files in place of an Item's assets, a model of
all bands of a sensor, and the answer as values.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rasterio import Affine
from tests.pipeline.scenes import geotiff
from tests.server.model_folders import build_model_folder, write_manifest

from clayline.scene.sensor_file import built_in
from clayline_cli.program import main

MODIS_WKT = (
    'PROJCS["unnamed",GEOGCS["Unknown datum based upon the custom spheroid",'
    'DATUM["Not specified (based on custom spheroid)",SPHEROID["Custom spheroid",6371007.181,0]],'
    'PRIMEM["Greenwich",0],UNIT["degree",0.0174532925199433]],PROJECTION["Sinusoidal"],'
    'PARAMETER["longitude_of_center",0],PARAMETER["false_easting",0],PARAMETER["false_northing",0],UNIT["Meter",1]]'
)
"""As GDAL writes it into GeoTIFFs made of MODIS's HDF files."""


def explained(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> list[dict[str, Any]]:
    """Give what ``clayline explain --json`` says of each scene of a call that could be made."""
    status = main(["explain", *map(str, arguments), "--json", "--quiet"])
    out = capsys.readouterr().out
    told = [json.loads(line) for line in out.splitlines()]
    assert status == max(each["exit_status"] for each in told)
    return told


def model_of(folder: Path, sensor: str, *, dtype: str = "uint16", gsd: float | None = None) -> Path:
    """Make a model that takes all bands of a sensor, in Clay's order."""
    known = built_in()[sensor]
    bands = tuple(band.name for band in known.bands)
    made = build_model_folder(folder, sensor=sensor, bands=bands, dtype=dtype, gsd=gsd or known.gsd)
    if sensor == "sentinel-1-rtc":  # as Clay's: the graph takes decibels of linear power
        [entry] = json.loads((made / "manifest.json").read_bytes())["entries"]
        write_manifest(made, [{**entry, "decibel": True}], name="tiny", version="1.0")
    return made


def file_of(
    *, crs: str, origin: tuple[float, float], gsd: float, side: int, dtype: str, means: tuple[float, ...], **said: Any
) -> bytes:
    """Make a GeoTIFF whose bands are near ``means``, so that nothing in it is implausible."""
    random = np.random.default_rng(int(gsd * 1000) + side)
    spread = random.uniform(0.6, 1.4, (len(means), side, side))
    pixels = (spread * np.array(means)[:, None, None]).astype(dtype)
    transform = Affine(gsd, 0, origin[0], 0, -gsd, origin[1])
    return geotiff(pixels, crs=crs, transform=transform, nodata=said.pop("nodata", None), **said)


def read(told: Mapping[str, Any]) -> dict[str, tuple[str, int]]:
    """Give the bands that are read: file and number in it, by Clay's name."""
    return {band["name"]: (band["uri"].rpartition("/")[2], band["band"]) for band in told["plan"]["bands"]}


def warned(told: Mapping[str, Any]) -> list[str]:
    """Give the reasons of the warnings."""
    return [warning["reason"] for warning in told["warnings"]]
