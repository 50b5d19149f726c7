"""Items made up after the form in which archives publish them, with small files, through ``clayline explain``.

No real Item of these is at hand: CDSE (STAC 1.1), HLS, MODIS as Planetary Computer has it, PlanetScope, LINZ.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.cli.explained import MODIS_WKT, explained, file_of, model_of, read, warned
from tests.scene.stac import NEW_NAMES, asset, item

from clayline.scene.sensor_file import built_in

pytestmark = pytest.mark.usefixtures("nothing_starts")

TEN = {"B02", "B03", "B04", "B08"}
UTM: dict[str, Any] = {"crs": "EPSG:32632", "origin": (699960.0, 5900040.0)}
"""Tile 32UQD's corner."""


def _land(folder: Path, content: Mapping[str, Any], files: Mapping[str, bytes]) -> Path:
    folder.mkdir(exist_ok=True)
    for name, body in files.items():
        (folder / name).write_bytes(body)
    path = folder / "item.json"
    path.write_text(json.dumps(content))
    return path


def _cdse(*, extension: str = "jp2", converted: Iterable[str] = ()) -> dict[str, Any]:
    """Make CDSE's Item: each band at every size that ESA delivers, JPEG 2000; ``converted`` are GeoTIFFs."""
    sizes: dict[str, tuple[int, ...]]
    sizes = {key: (10, 20, 60) if key in TEN else (20, 60) for key in NEW_NAMES.values() if key != "B08"}
    sizes |= {"B08": (10,), "SCL": (20, 60)}
    converted, assets = set(converted), {}
    for key, each in sizes.items():
        for size in reversed(each):
            name = f"{key}_{size}m"
            is_tiff = extension == "tif" or name in converted
            assets[name] = asset(
                f"./{name}.tif" if is_tiff else f"s3://eodata/Sentinel-2/MSI/L2A/T32UQD_20240601T103029_{name}.jp2",
                type="image/tiff; application=geotiff" if is_tiff else "image/jp2",
                gsd=size,
                **{"proj:code": "EPSG:32632", "nodata": 0},
                **({} if key == "SCL" else {"raster:scale": 0.0001, "raster:offset": -0.1, "bands": [{"name": key}]}),
            )
    content = item(
        assets,
        identity="S2B_MSIL2A_20240601T103029_N0510_R108_T32UQD_20240601T134531",
        platform="sentinel-2b",
        instruments=["msi"],
        **{"processing:version": "05.10", "grid:code": "MGRS-32UQD", "proj:code": "EPSG:32632"},
    )
    return {**content, "stac_version": "1.1.0"}


def _cdse_files(content: Mapping[str, Any]) -> dict[str, bytes]:
    found = {}
    for each in content["assets"].values():
        if each["href"].endswith(".tif"):
            is_mask = "SCL" in each["href"]
            found[each["href"].removeprefix("./")] = file_of(
                **UTM,
                gsd=float(each["gsd"]),
                side=1200 // each["gsd"],
                dtype="uint8" if is_mask else "uint16",
                means=(5.0 if is_mask else 3000.0,),
            )
    return found


def test_cdses_item_with_geotiffs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The finest of each band, though the coarsest is listed first; -1000 by ``processing:version``."""
    content = _cdse(extension="tif")
    path = _land(tmp_path / "scene", content, _cdse_files(content))
    [told] = explained(capsys, path, "--model", model_of(tmp_path, "sentinel-2-l2a"))
    assert told["status"] == "WouldEmbed", told["message"]
    assert read(told) == {band: (f"{key}_{10 if key in TEN else 20}m.tif", 1) for band, key in NEW_NAMES.items()}
    plan, scene = told["plan"], told["plan"]["scene"]
    assert (scene["tile"], scene["location"], scene["instrument"]) == ("32UQD", "window", "s2b-msi-l2a")
    assert {band["offset"] for band in plan["bands"]} == {-1000}
    assert {each["asset"] for each in scene["passed_over"]} >= {"B02_60m", "B02_20m", "B11_60m"}
    assert plan["mask"]["uri"].endswith("SCL_20m.tif")
    assert warned(told) == []


def test_cdses_item_as_it_comes_is_jpeg_2000(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    [told] = explained(capsys, _land(tmp_path / "scene", _cdse(), {}))
    assert (told["status"], told["reason"]) == ("WouldRefuse", "jpeg2000")
    for part in ("B02_10m B02_20m", "are JPEG 2000, which is not read here", "gdal_translate -of COG", "OUT.tif"):
        assert part in told["message"]


def test_bands_that_are_jpeg_2000_alone_are_told_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever converted three bands gets a model of three, and is told why not of five."""
    content = _cdse(converted=("B02_10m", "B03_10m", "B04_10m"))
    path = _land(tmp_path / "scene", content, _cdse_files(content))
    [told] = explained(capsys, path)
    assert told["status"] == "WouldEmbed", told["message"]
    assert told["model"]["entry"]["token"] == "starter-v1.0-s2-rgb"
    [warning] = told["warnings"]
    assert warning["reason"] == "fewer-bands"
    assert "B11_20m, JPEG 2000" in warning["message"]
    assert "B02" not in warning["message"].partition("not recognised [")[2].partition("]")[0]


@pytest.mark.parametrize("allowed", [False, True])
@pytest.mark.parametrize(
    ("collection", "identity", "platform", "instrument", "sensor", "keys"),
    [
        ("HLSS30_2.0", "HLS.S30.T32UQD.2024153T103031.v2.0", "Sentinel-2B", "s2b-msi-hls", "sentinel-2-l2a", NEW_NAMES),
        (
            "HLSL30_2.0", "HLS.L30.T32UQD.2024153T103031.v2.0", "Landsat-9", "landsat9-oli-hls", "landsat-c2l2-sr",
            {"blue": "B02", "green": "B03", "red": "B04", "nir08": "B05", "swir16": "B06", "swir22": "B07"},
        ),
    ],
)  # fmt: skip
def test_hls(
    collection: str,
    identity: str,
    platform: str,
    instrument: str,
    sensor: str,
    keys: Mapping[str, str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    *,
    allowed: bool,
) -> None:
    """Not what Clay was trained on; if that is allowed, by the numbers of each, at 30 m."""
    assets = {key: asset(f"./{key}.tif") for key in [*keys.values(), "B01", "B09", "Fmask", "SZA"]}
    content = item(assets, collection=collection, identity=identity, platform=platform)
    files = {
        f"{key}.tif": file_of(**UTM, gsd=30.0, side=64, dtype="int16", means=(2500.0,), scales=0.0001, nodata=-9999)
        for key in keys.values()
    }
    files["Fmask.tif"] = file_of(**UTM, gsd=30.0, side=64, dtype="uint8", means=(64.0,), nodata=255)
    path = _land(tmp_path / "scene", content, files)
    options = ("--untrained-sensors",) if allowed else ()
    [told] = explained(capsys, path, "--model", model_of(tmp_path, sensor, gsd=30), *options)
    if not allowed:
        assert (told["reason"], instrument in told["message"]) == ("untrained-sensor", True)
        return
    assert told["status"] == "WouldEmbed", told["message"]
    assert told["taken_for"]["instrument"] == instrument
    assert read(told) == {band.name: (f"{keys[band.name]}.tif", 1) for band in built_in()[sensor].bands}
    assert told["plan"]["mask"]["name"] == "fmask"
    scene = told["plan"]["scene"]
    assert (scene["tile"], scene["location"], scene["gsd"]) == ("32UQD", "window", 30)
    assert scene["boa_decided_by"] is None, "HLS has no such offset"
    assert warned(told) == ["untrained-sensor"]


TILE = 1_111_950.5196667
"""Metres of a side of a tile of MODIS's grid: 2400 pixels of 463.3127 m."""


def _modis(folder: Path, *, column: int, row: int, crs: str = MODIS_WKT, gsd: float = TILE / 2400) -> Path:
    bands = [f"sur_refl_b0{number}" for number in range(1, 8)]
    said = {"raster:bands": [{"data_type": "int16", "scale": 0.0001, "nodata": -28672}]}
    assets = {name: asset(f"./{name}.tif", **said) for name in bands}
    assets |= {name: asset(f"./{name}.tif") for name in ("sur_refl_state_500m", "sur_refl_qc_500m")}
    assets |= {"hdf": asset("./MOD09A1.hdf", type="application/x-hdf")}
    origin = (-18 * TILE + column * TILE, 9 * TILE - row * TILE)
    content = item(
        assets,
        collection="modis-09A1-061",
        identity=f"MOD09A1.A2024153.h{column:02}v{row:02}.061.2024162035241",
        datetime=None,
        start_datetime="2024-06-01T00:00:00Z",
        end_datetime="2024-06-08T23:59:59Z",
        platform="terra",
        instruments=["modis"],
    )
    where: dict[str, Any] = {"crs": crs, "origin": origin, "gsd": gsd, "side": 128}
    files = {f"{name}.tif": file_of(**where, dtype="int16", means=(1200.0,), nodata=-28672) for name in bands}
    files["sur_refl_state_500m.tif"] = file_of(**where, dtype="uint16", means=(8.0,))
    return _land(folder, content, files)


@pytest.mark.parametrize(("column", "row"), [(18, 8), (9, 5), (31, 12), (22, 2)])
def test_modis_lies_in_its_own_projection(
    column: int, row: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its pixels lean on the ground, by over 40 degrees in some tiles; the product defines them, and their 463 m."""
    path = _modis(tmp_path / "scene", column=column, row=row)
    [told] = explained(capsys, path, "--model", model_of(tmp_path, "modis"))
    assert told["status"] == "WouldEmbed", told["message"]
    scene = told["plan"]["scene"]
    assert scene["gsd"] == pytest.approx(463.3127165, abs=1e-6)
    assert (scene["instrument"], scene["location"]) == ("terra-modis-09a1", "point")
    assert (abs(scene["pixel_angle"] - 90) > 10) == (column != 18)
    assert list(read(told)) == [f"sur_refl_b0{number}" for number in range(1, 8)]
    assert told["plan"]["mask"]["name"] == "state"
    assert warned(told) == []


def test_in_another_projection_modis_must_be_square(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Sinusoidal on another sphere, or about another meridian, is not its own; nor is it another product's."""
    model = model_of(tmp_path, "modis")
    for at, changed in enumerate(
        (MODIS_WKT.replace("6371007.181", "6378137"), MODIS_WKT.replace('center",0', 'center",1'))
    ):
        [told] = explained(capsys, _modis(tmp_path / f"{at}", column=9, row=5, crs=changed), "--model", model)
        assert told["reason"] == "not-square", changed
    path = tmp_path / "LC08_L1TP_001002_20200518_x.tif"
    means, names = (9000.0, 9000.0, 9000.0), ("red", "green", "blue")
    origin = (-9 * TILE, 4 * TILE)
    path.write_bytes(file_of(crs=MODIS_WKT, origin=origin, gsd=30.0, side=64, dtype="uint16", means=means, names=names))
    [told] = explained(capsys, path)
    assert told["reason"] == "not-square"


def test_planetscope_of_eight_bands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of the assets that hold the bands, the one of reflectances; UDM2 is not read."""
    names = ("coastal_blue", "blue", "green_i", "green", "yellow", "red", "rededge", "nir")
    common = {"coastal_blue": "coastal", "green_i": "green05"}
    bands = {"eo:bands": [{"name": name, "common_name": common.get(name, name)} for name in names]}
    assets = {
        key: asset(f"./20240601_101523_45_24b7_3B_{key}.tif", **(bands if "udm2" not in key else {}))
        for key in ("ortho_analytic_8b", "ortho_analytic_8b_sr", "ortho_udm2")
    }
    content = item(
        assets,
        collection="PSScene",
        identity="20240601_101523_45_24b7",
        platform="24b7",
        constellation="planetscope",
        instruments=["PSB.SD"],
    )
    body = file_of(**UTM, gsd=3.0, side=64, dtype="uint16", means=(2000.0,) * 8)
    path = _land(tmp_path / "scene", content, {each["href"][2:]: body for each in assets.values()})
    model = model_of(tmp_path, "planetscope-sr")
    [told] = explained(capsys, path, "--model", model)
    assert (told["reason"], "its GSD is 3.000 m" in told["message"]) == ("wrong-gsd", True)
    [told] = explained(capsys, path, "--model", model, "--any-gsd")
    assert told["status"] == "WouldEmbed", told["message"]
    file = "20240601_101523_45_24b7_3B_ortho_analytic_8b_sr.tif"
    assert read(told) == {name: (file, number) for number, name in enumerate(names, start=1)}
    assert told["taken_for"]["instrument"] == "planetscope-sr"
    assert told["plan"]["mask"] is None


def test_linz_by_its_collection_and_by_its_files_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """LINZ publishes each survey as a collection of its own, named by a number: of such an Item nothing says LINZ, and
    its file is given instead.
    """
    where: dict[str, Any] = {"crs": "EPSG:2193", "origin": (1_560_000.0, 5_180_000.0), "gsd": 0.5, "side": 128}
    body = file_of(**where, dtype="uint8", means=(90.0, 99.0, 90.0))
    assets = {"visual": asset("./BX24_500_045075.tiff", roles=["visual"])}
    known = item(assets, collection="nz-imagery", identity="BX24_500_045075")
    model = model_of(tmp_path, "linz", dtype="uint8")
    [told] = explained(capsys, _land(tmp_path / "known", known, {"BX24_500_045075.tiff": body}), "--model", model)
    assert told["status"] == "WouldEmbed", told["message"]
    bands = {name: ("BX24_500_045075.tiff", number) for number, name in enumerate(("red", "green", "blue"), start=1)}
    assert read(told) == bands
    survey = {**known, "collection": "01JFQ5Y8Z7B1W6K4V2D9H3N0TC"}
    path = _land(tmp_path / "survey", survey, {"BX24_500_045075.tiff": body})
    [told] = explained(capsys, path, "--model", model)
    assert told["reason"] == "unknown-product"
    file = path.with_name("BX24_500_045075.tiff")
    [told] = explained(capsys, file, "--model", model)
    assert told["reason"] == "no-acquisition-time"
    [told] = explained(capsys, file, "--model", model, "--datetime", "2024-01-15")
    assert told["status"] == "WouldEmbed", told["message"]
    assert (read(told), told["taken_for"]["instrument"]) == (bands, "linz-rgb")
