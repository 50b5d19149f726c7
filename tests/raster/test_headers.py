"""Headers of real files, and files that must be refused."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from pydantic import TypeAdapter
from rasterio.rpc import RPC
from rasterio.shutil import copy
from tests.raster.geotiffs import SETTINGS, TEN_METRES, bands_of, header_of, local, texture, write

from clayline.chips.cog import CogHeader, CogSource
from clayline.errors import BatchError, SceneError
from clayline.raster.headers import read_header
from clayline.raster.tile import read_job

SECRET = "the-password-is-mellon"


def refused(source: CogSource | Path) -> SceneError:
    """Give the error that a file is refused with."""
    with pytest.raises(SceneError) as caught:
        read_header(local(source) if isinstance(source, Path) else source, SETTINGS)
    assert (source.uri if isinstance(source, CogSource) else str(source)) in str(caught.value)
    return caught.value


def test_the_header_of_a_real_multi_band_cog(shared_data: Path) -> None:
    header = header_of(shared_data / "s2_aquileia_2019" / "S2_L2A_aquileia_20190416.tif")
    assert (header.width, header.height, header.band_count, header.dtype) == (1200, 689, 10, "uint16")
    assert (header.crs, header.epsg, header.nodata) == ("EPSG:4326", 4326, 0.0)
    assert (header.block_height, header.block_width, header.pixel_interleaved, header.sparse) == (256, 256, True, False)
    assert header.descriptions[:2] == ("blue", "green")
    assert "Copernicus" in " ".join(header.tags.values()) or header.tags
    assert header.bounds[0] == header.transform[2]
    assert header.bounds[3] == header.transform[5]


def test_a_header_survives_json(tmp_path: Path) -> None:
    header = header_of(write(tmp_path / "scene.tif", texture(2, 70, 90)))
    adapter = TypeAdapter(CogHeader)
    assert adapter.validate_json(adapter.dump_json(header)) == header


def test_a_crs_without_a_code_is_given_in_words(tmp_path: Path) -> None:
    odd = "+proj=tmerc +lat_0=0 +lon_0=11.5 +k=0.99987 +x_0=500000 +y_0=0 +datum=WGS84 +units=m"
    header = header_of(write(tmp_path / "scene.tif", texture(1, 64, 64), crs=odd))
    assert header.epsg is None
    assert "11.5" in header.crs
    assert rasterio.CRS.from_user_input(header.crs).to_dict()["k"] == 0.99987


def test_an_empty_object(tmp_path: Path) -> None:
    (tmp_path / "empty.tif").touch()
    assert refused(tmp_path / "empty.tif").reason == "empty-object"


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    path = str(tmp_path / "gone.tif")
    assert refused(CogSource(path=path, uri=path, size=10)).reason == "source-missing"


@pytest.mark.parametrize(
    "content", ["a plain text, not an image\n" * 20, "\x89PNG\r\n\x1a\n" + "0" * 300, "<html></html>"]
)
def test_a_file_of_another_kind(tmp_path: Path, content: str) -> None:
    (tmp_path / "TIFF.tif").write_text(content, encoding="latin-1")
    assert refused(tmp_path / "TIFF.tif").reason == "not-a-geotiff"


def test_a_vrt_named_tif_is_not_opened_and_its_sibling_not_read(tmp_path: Path) -> None:
    secret = np.frombuffer(SECRET.encode(), np.uint8).reshape(1, 1, -1)
    write(tmp_path / "secret.tif", secret, tiled=False, blockxsize=None, blockysize=None, compress=None)
    vrt = (
        f'<VRTDataset rasterXSize="{len(SECRET)}"'
        ' rasterYSize="1"><SRS>EPSG:32629</SRS><GeoTransform>0,10,0,0,0,-10</GeoTransform><VRTRasterBand'
        ' dataType="Byte" band="1"><SimpleSource><SourceFilename'
        ' relativeToVRT="1">secret.tif</SourceFilename></SimpleSource></VRTRasterBand></VRTDataset>'
    )
    trap = tmp_path / "scene.tif"
    trap.write_text(vrt)
    with rasterio.open(trap) as dataset:
        assert dataset.read(1).tobytes().decode() == SECRET  # the trap is set: plain rasterio walks into it
    error = refused(trap)
    assert error.reason == "not-a-geotiff"
    assert SECRET not in str(error)


def test_files_beside_a_cog_change_nothing(tmp_path: Path) -> None:
    pixels = texture(1, 128, 128)
    path = write(tmp_path / "scene.tif", pixels)
    write(tmp_path / "other.tif", np.full((1, 128, 128), 9, np.uint16))
    (tmp_path / "scene.tif.aux.xml").write_text(
        "<PAMDataset><SRS>EPSG:3857</SRS><GeoTransform>1,2,0,3,0,-4</GeoTransform><PAMRasterBand"
        " band='1'><NoDataValue>31</NoDataValue><Description>moved</Description></PAMRasterBand></PAMDataset>"
    )
    vrt = (
        '<VRTDataset rasterXSize="128" rasterYSize="128"><Metadata><MDI key="INTERNAL_MASK_FLAGS_1">2</MDI></Metadata>'
        '<VRTRasterBand dataType="Byte" band="1"><SimpleSource>'
        '<SourceFilename relativeToVRT="1">other.tif</SourceFilename></SimpleSource></VRTRasterBand></VRTDataset>'
    )
    (tmp_path / "scene.tif.msk").write_text(vrt)
    (tmp_path / "scene.tif.ovr").write_bytes((tmp_path / "other.tif").read_bytes())
    (tmp_path / "scene.tfw").write_text("1\n0\n0\n-1\n5\n5\n")
    with rasterio.open(path) as dataset:
        assert (dataset.nodata, dataset.descriptions) == (
            31.0,
            ("moved",),
        )  # the trap is set: plain rasterio heeds the sidecars
    header = header_of(path)
    assert (header.crs, header.transform, header.nodata, header.descriptions) == (
        "EPSG:32629",
        TEN_METRES,
        None,
        (None,),
    )
    read = read_job(bands_of(path, 1), None, transform=TEN_METRES, window=(0, 128, 0, 128), settings=SETTINGS)
    np.testing.assert_array_equal(read.pixels, pixels)


def test_a_world_file_is_no_georeference(tmp_path: Path) -> None:
    path = write(tmp_path / "scene.tif", texture(1, 64, 64), transform=None)
    (tmp_path / "scene.tfw").write_text("10\n0\n0\n-10\n600005\n4999995\n")
    with rasterio.open(path) as dataset:
        assert tuple(dataset.transform)[:6] == TEN_METRES  # the trap is set
    assert refused(path).reason == "no-transform"


@pytest.fixture
def listener() -> Iterator[tuple[str, list[str]]]:
    """A web server and the requests it got."""
    heard: list[str] = []

    class Listen(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            heard.append(self.path)
            self.send_error(404)

        do_HEAD = do_GET  # noqa: N815 - http.server's names

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's name
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Listen) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}", heard
        server.shutdown()
        thread.join()


def test_no_overview_that_the_file_names_is_opened(tmp_path: Path, listener: tuple[str, list[str]]) -> None:
    url, heard = listener
    pixels = texture(1, 128, 128)
    path = write(tmp_path / "scene.tif", pixels)
    with rasterio.open(path, "r+") as dataset:
        dataset.update_tags(ns="OVERVIEWS", OVERVIEW_FILE=f"/vsicurl/{url}/trap.tif")
    header = header_of(path)
    coarse = replace(bands_of(path, 1)[0], header=header)
    read = read_job(
        [coarse],
        None,
        transform=(20.0, *TEN_METRES[1:4], -20.0, TEN_METRES[5]),
        window=(0, 64, 0, 64),
        settings=SETTINGS,
    )
    np.testing.assert_array_equal(read.pixels[0], pixels[0, 1::2, 1::2])
    assert heard == []
    with rasterio.open(path, driver="GTiff") as dataset:
        dataset.read(1, out_shape=(32, 32))
    assert "/trap.tif" in heard  # the trap was set: the driver restriction alone does not help


@pytest.mark.parametrize("kept", [6, 200, 0.5, 0.98])
def test_a_cut_off_cog(tmp_path: Path, kept: float) -> None:
    plain = write(tmp_path / "plain.tif", np.random.default_rng(1).integers(0, 60_000, (2, 600, 600)).astype(np.uint16))
    with rasterio.open(plain) as dataset:
        copy(dataset, tmp_path / "cog.tif", driver="COG", BLOCKSIZE=128, OVERVIEWS="NONE")
    assert header_of(tmp_path / "cog.tif").sparse is False
    content = (tmp_path / "cog.tif").read_bytes()
    (tmp_path / "cut.tif").write_bytes(content[: int(kept if kept > 1 else kept * len(content))])
    assert refused(tmp_path / "cut.tif").reason == "truncated"


def test_a_cut_off_tag(tmp_path: Path) -> None:
    path = write(tmp_path / "scene.tif", texture(1, 64, 64))
    with rasterio.open(path, "r+") as dataset:
        dataset.update_tags(LONG="x" * 5000)  # rewritten at the end of the file
    (tmp_path / "cut.tif").write_bytes(path.read_bytes()[:-2500])
    assert refused(tmp_path / "cut.tif").reason == "truncated"


def test_a_cog_whose_bands_are_cut_off_behind_the_first(tmp_path: Path) -> None:
    path = write(tmp_path / "scene.tif", texture(3, 256, 256), interleave="band", compress=None)
    with rasterio.open(path) as dataset:
        start_of_last_band = int(dataset.get_tag_item("BLOCK_OFFSET_0_0", "TIFF", bidx=3))
    (tmp_path / "cut.tif").write_bytes(path.read_bytes()[: start_of_last_band + 100])
    assert refused(tmp_path / "cut.tif").reason == "truncated"


def test_blocks_may_be_left_out(tmp_path: Path) -> None:
    path = tmp_path / "sparse.tif"
    profile: dict[str, Any] = {
        "driver": "GTiff",
        "width": 512,
        "height": 512,
        "count": 1,
        "dtype": "uint16",
        "tiled": True,
        "nodata": 5,
    }
    with rasterio.open(
        path,
        "w",
        **profile,
        blockxsize=128,
        blockysize=128,
        SPARSE_OK=True,
        crs="EPSG:32629",
        transform=rasterio.Affine(*TEN_METRES),
    ) as dataset:
        dataset.write(texture(1, 128, 128), window=rasterio.windows.Window(0, 0, 128, 128))
    assert header_of(path).sparse
    read = read_job(bands_of(path, 1), None, transform=TEN_METRES, window=(0, 512, 0, 512), settings=SETTINGS)
    np.testing.assert_array_equal(read.pixels[0, :128, :128], texture(1, 128, 128)[0])
    assert (read.pixels[0, 128:] == 5).all()


@pytest.mark.parametrize(
    ("profile", "reason"),
    [
        ({"crs": None}, "no-crs"),
        ({"transform": None}, "no-transform"),
        ({"transform": rasterio.Affine(-10, 0, 0, 0, 10, 0)}, "rotated"),
        ({"transform": rasterio.Affine(10, 1, 0, 0, -10, 0)}, "rotated"),
        ({"transform": rasterio.Affine(10, 0, 0, 2, -10, 0)}, "rotated"),
        ({"transform": rasterio.Affine(-10, 0, 0, 0, -10, 0)}, "rotated"),
        ({"crs": 'LOCAL_CS["a quarry",UNIT["metre",1]]'}, "crs-unusable"),
        ({"crs": "EPSG:4978"}, "crs-unusable"),
        ({"crs": "EPSG:4326"}, "crs-unusable"),
    ],
)
def test_a_file_that_does_not_say_where_it_lies(tmp_path: Path, profile: dict[str, Any], reason: str) -> None:
    assert refused(write(tmp_path / "scene.tif", texture(1, 64, 64), **profile)).reason == reason


def test_control_points_are_no_grid(tmp_path: Path) -> None:
    corners = [(0, 0, 11.0, 47.0), (0, 64, 11.1, 47.0), (64, 0, 11.0, 46.9), (64, 64, 11.1, 46.9)]
    points = [rasterio.control.GroundControlPoint(row=r, col=c, x=x, y=y, z=0) for r, c, x, y in corners]
    path = write(tmp_path / "scene.tif", texture(1, 64, 64), transform=None, crs=None)
    with rasterio.open(path, "r+") as dataset:
        dataset.gcps = (points, rasterio.CRS.from_epsg(4326))
    error = refused(path)
    assert error.reason == "gcp-only"
    assert "4 ground control points" in error.message
    assert "gdalwarp" in error.message


def test_rational_polynomials_are_no_grid(tmp_path: Path) -> None:
    one = [1.0, *[0.0] * 19]
    rpcs = RPC(
        height_off=100, height_scale=50, lat_off=47, lat_scale=0.1, line_den_coeff=one, line_num_coeff=one,
        line_off=32, line_scale=32, long_off=11, long_scale=0.1, samp_den_coeff=one, samp_num_coeff=one, samp_off=32,
        samp_scale=32, err_bias=None, err_rand=None,
    )  # fmt: skip
    path = write(tmp_path / "scene.tif", texture(1, 64, 64), transform=None, crs=None, rpcs=rpcs)
    error = refused(path)
    assert error.reason == "rpc-only"
    assert "gdalwarp -of COG -rpc" in error.message


@pytest.mark.parametrize("dtype", ["complex64", "int64"])
def test_pixels_of_an_unknown_type(tmp_path: Path, dtype: str) -> None:
    assert refused(write(tmp_path / "scene.tif", np.ones((1, 64, 64), dtype))).reason == "unsupported-dtype"


def sparse_file(path: Path, width: int, height: int, **profile: Any) -> Path:
    """A file that declares much and holds nothing."""
    given: dict[str, Any] = {
        "count": 1,
        "dtype": "uint16",
        "crs": "EPSG:32629",
        "transform": rasterio.Affine(*TEN_METRES),
        **profile,
    }
    with rasterio.open(path, "w", driver="GTiff", width=width, height=height, SPARSE_OK=True, BIGTIFF="YES", **given):
        pass
    return path


def test_giant_sides(tmp_path: Path) -> None:
    path = sparse_file(tmp_path / "giant.tif", 1_000_000, 1_000_000, tiled=True, blockxsize=4096, blockysize=4096)
    assert refused(path).reason == "too-large"


def test_a_giant_index(tmp_path: Path) -> None:
    path = sparse_file(
        tmp_path / "fine.tif", 60_000, 60_000, tiled=True, blockxsize=16, blockysize=16, compress="deflate"
    )
    assert path.stat().st_size < 1_000_000_000
    assert refused(path).reason == "too-large"


def test_too_many_bands(tmp_path: Path) -> None:
    assert refused(sparse_file(tmp_path / "many.tif", 16, 16, count=1025)).reason == "too-large"


def test_one_strip_for_the_whole_scene(tmp_path: Path) -> None:
    path = sparse_file(tmp_path / "strip.tif", 40_000, 40_000, blockysize=40_000, compress="deflate")
    error = refused(path)
    assert error.reason == "block-too-large"
    assert "3200000000" in str(error)


def test_a_block_of_all_bands_counts_as_a_whole(tmp_path: Path) -> None:
    profile: dict[str, Any] = {"count": 20, "tiled": True, "blockxsize": 2048, "blockysize": 2048}
    assert (
        refused(sparse_file(tmp_path / "pixel.tif", 4096, 4096, interleave="pixel", **profile)).reason
        == "block-too-large"
    )
    assert header_of(sparse_file(tmp_path / "band.tif", 4096, 4096, interleave="band", **profile)).band_count == 20


def test_long_tags_do_not_travel(tmp_path: Path) -> None:
    path = write(tmp_path / "scene.tif", texture(1, 64, 64))
    with rasterio.open(path, "r+") as dataset:
        dataset.update_tags(
            TIFFTAG_DATETIME="2020:05:18 13:37:00", LONG="x" * 5000, **{f"A{number:03d}": "1" for number in range(200)}
        )
    tags = header_of(path).tags
    assert "LONG" not in tags
    assert sum(len(name) + len(value) for name, value in tags.items()) < 64 * 256


def test_a_file_that_was_replaced_or_removed_since_the_plan(tmp_path: Path) -> None:
    path = write(tmp_path / "scene.tif", texture(1, 192, 192))
    bands = bands_of(path, 1)
    write(path, texture(1, 100, 192))
    with pytest.raises(BatchError) as caught:
        read_job(bands, None, transform=TEN_METRES, window=(0, 64, 0, 64), settings=SETTINGS)
    assert caught.value.reason == "source-changed"
    path.unlink()
    with pytest.raises(BatchError) as caught:
        read_job(bands, None, transform=TEN_METRES, window=(0, 64, 0, 64), settings=SETTINGS)
    assert caught.value.reason == "source-missing"
