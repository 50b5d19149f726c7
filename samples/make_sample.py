"""Make the bundled scene from ../shared/data: three COGs and a STAC Item. Run once; the result is committed."""

import json
import sys
from pathlib import Path

import numpy as np
import rasterio
from rasterio.enums import Resampling
from rasterio.shutil import copy
from rasterio.warp import transform as project

ROOT = Path(__file__).resolve().parents[1]
SCENE = "LC08_L1TP_224078_20200518_20200518_01_RT"
BANDS = {"blue": ("B2", 0.48), "green": ("B3", 0.56), "red": ("B4", 0.65)}


def main() -> None:
    """Write samples/landsat8_itaipu_2020."""
    source = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT.parent / "shared" / "data" / "landsat8_itaipu_2020"
    target = ROOT / "samples" / "landsat8_itaipu_2020"
    target.mkdir(exist_ok=True)
    for name, (band, _) in BANDS.items():
        with rasterio.open(source / f"{SCENE}_{band}.TIF") as dataset:
            profile = {**dataset.profile, "nodata": 0, "driver": "GTiff"}
            with rasterio.MemoryFile() as memory:
                with memory.open(**profile) as untagged:
                    untagged.write(dataset.read())
                    untagged.set_band_description(1, name)
                with memory.open() as tagged:
                    copy(
                        tagged, target / f"{band}.tif", driver="COG", compress="DEFLATE", predictor="YES", level=9,
                        blocksize=256,
                        overviews="AUTO", overview_resampling=Resampling.nearest.name,
                    )  # fmt: skip
            with rasterio.open(target / f"{band}.tif") as written:
                if not np.array_equal(written.read(), dataset.read()):
                    msg = f"{band}: the COG's pixels differ from the source's"
                    raise SystemExit(msg)
    with rasterio.open(target / "B4.tif") as dataset:
        (target / f"{SCENE}.json").write_text(json.dumps(item(dataset), indent=1) + "\n")


def item(dataset: rasterio.DatasetReader) -> dict[str, object]:
    """Describe the scene. Only its day is known, so it has an interval instead of a made-up hour."""
    left, bottom, right, top = dataset.bounds
    lons, lats = project(dataset.crs, "OGC:CRS84", [left, right, right, left], [bottom, bottom, top, top])
    ring = [[round(lon, 7), round(lat, 7)] for lon, lat in zip(lons, lats, strict=True)]
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "stac_extensions": [
            "https://stac-extensions.github.io/eo/v1.1.0/schema.json",
            "https://stac-extensions.github.io/projection/v1.1.0/schema.json",
        ],
        "id": SCENE,
        "collection": "landsat-c1-l1",
        "bbox": [min(lons), min(lats), max(lons), max(lats)],
        "geometry": {"type": "Polygon", "coordinates": [[*ring, ring[0]]]},
        "properties": {
            "datetime": None,
            "start_datetime": "2020-05-18T00:00:00Z",
            "end_datetime": "2020-05-18T23:59:59Z",
            "platform": "landsat-8",
            "instruments": ["oli"],
            "gsd": 30,
            "proj:epsg": dataset.crs.to_epsg(),
        },
        "links": [],
        "assets": {
            name: {
                "href": f"./{band}.tif",
                "type": "image/tiff; application=geotiff; profile=cloud-optimized",
                "roles": ["data"],
                "eo:bands": [{"name": band, "common_name": name, "center_wavelength": wavelength}],
                "proj:shape": [dataset.height, dataset.width],
                "proj:transform": list(dataset.transform)[:6],
            }
            for name, (band, wavelength) in BANDS.items()
        },
    }


if __name__ == "__main__":
    main()
