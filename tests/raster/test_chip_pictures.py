"""Chips read back to be looked at: the same pixels as rasterio gives, whatever the file's grid, and PNG."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from rasterio.io import MemoryFile
from rasterio.transform import Affine

from clayline.chips.cog import CogSource
from clayline.chips.grid import ChipGrid
from clayline.errors import ClaylineError, DatasetError, SceneError
from clayline.likeness.imagery import SceneImagery
from clayline.outputs.provenance import IN_THE_CORNER, ON_THE_LATTICE
from clayline.raster import chip_pictures
from clayline.raster.chip_pictures import png, read_chip, read_chips
from clayline.raster.cog import ReadSettings, open_cog

SIDE, TRANSFORM = 16, (10.0, 0.0, 500_000.0, 0.0, -10.0, 5_000_000.0)


def put(path: Path, pixels: np.ndarray, transform: Affine, nodata: float | None = None, **how: Any) -> None:
    with rasterio.open(
        path, "w", driver="GTiff", width=pixels.shape[1], height=pixels.shape[0], count=1, dtype=pixels.dtype,
        crs="EPSG:32632", transform=transform, nodata=nodata, **how,
    ) as file:  # fmt: skip
        file.write(pixels, 1)


def imagery(folder: Path, *names: str, start: tuple[int, int] | None = None) -> SceneImagery:
    assets: list[dict[str, Any]] = [
        {"band": band, "uri": (folder / name).as_uri(), "file_band": 1, "nodata": [0]}
        for band, name in zip(("red", "green", "blue"), names, strict=False)
    ]
    return SceneImagery.of(
        {
            "grid": {"transform": TRANSFORM, "crs": "EPSG:32632", "chip_size": SIDE, "height": 64, "width": 64,
                     "start": start or (0, 0), "edge": ON_THE_LATTICE if start else IN_THE_CORNER},
            "source": {"assets": assets, "source_url": assets[0]["uri"]},
        },
        name="scene",
    )  # fmt: skip


def locate(uri: str) -> CogSource:
    path = Path.from_uri(uri)
    return CogSource(path=str(path), uri=uri, size=path.stat().st_size if path.exists() else 1)


def read(found: SceneImagery, index: int, side: int = SIDE) -> np.ndarray:
    return read_chip(found, index, locate=locate, settings=ReadSettings(threads=1), side=side)


@pytest.fixture
def pixels() -> np.ndarray:
    return np.random.default_rng(1).integers(1, 4000, (64, 64), dtype=np.uint16)


def test_a_chip_is_its_window_of_each_band_and_a_coarser_band_is_spread(tmp_path: Path, pixels: np.ndarray) -> None:
    put(tmp_path / "a.tif", pixels, Affine(*TRANSFORM))
    put(tmp_path / "b.tif", pixels[:32, :32], Affine(20, 0, 500_000, 0, -20, 5_000_000))
    found = read(imagery(tmp_path, "a.tif", "b.tif", "a.tif"), 6)
    assert (found[0] == pixels[16:32, 32:48]).all()
    assert (found[1] == np.repeat(np.repeat(pixels[8:16, 16:24], 2, axis=0), 2, axis=1)).all()
    assert read(imagery(tmp_path, "a.tif"), 6).shape == (1, SIDE, SIDE)
    assert (read(imagery(tmp_path, "a.tif"), 6, side=32)[0, ::2, ::2] == pixels[16:32, 32:48]).all()


def test_a_south_up_file_is_turned_round(tmp_path: Path, pixels: np.ndarray) -> None:
    put(tmp_path / "a.tif", pixels[::-1], Affine(10, 0, 500_000, 0, 10, 5_000_000 - 640))
    assert (read(imagery(tmp_path, "a.tif"), 1)[0] == pixels[:16, 16:32]).all()


def test_what_lies_beside_the_file_and_nodata_is_nan(tmp_path: Path, pixels: np.ndarray) -> None:
    pixels[0, 0] = 0
    put(tmp_path / "a.tif", pixels, Affine(*TRANSFORM), nodata=7)
    found = read(imagery(tmp_path, "a.tif", start=(-8, -8)), 0)[0]
    assert np.isnan(found[:8]).all()
    assert np.isnan(found[8, 8])
    assert (found[9:, 9:] == pixels[1:8, 1:8]).all() or (pixels[1:8, 1:8] == 7).any()
    put(tmp_path / "far.tif", pixels, Affine(10, 0, 900_000, 0, -10, 5_000_000))
    assert np.isnan(read(imagery(tmp_path, "far.tif"), 0)).all()


def test_the_last_column_of_a_scenes_own_grid_is_shifted_back_as_the_model_saw_it(
    tmp_path: Path, pixels: np.ndarray
) -> None:
    put(tmp_path / "a.tif", pixels[:56, :56], Affine(*TRANSFORM))
    shifted = replace(imagery(tmp_path, "a.tif"), grid=ChipGrid(height=56, width=56, size=SIDE))
    assert (read(shifted, 3)[0] == pixels[:16, 40:56]).all()
    assert (read(shifted, 15)[0] == pixels[40:56, 40:56]).all()
    with pytest.raises(DatasetError, match="no such chip: chip 16 is not in a grid of 4 x 4"):
        read(shifted, 16)


def test_several_chips_are_read_with_each_file_opened_once_and_a_damaged_one_leaves_the_others(
    tmp_path: Path, pixels: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path / "a.tif", pixels, Affine(*TRANSFORM))
    put(tmp_path / "bad.tif", pixels, Affine(*TRANSFORM), tiled=True, blockxsize=16, blockysize=16, compress="deflate")
    body = (tmp_path / "bad.tif").read_bytes()
    (tmp_path / "bad.tif").write_bytes(body[:-430] + bytes(430))
    opened: list[str] = []

    def counted(source: CogSource, *rest: Any, **more: Any) -> Any:
        opened.append(source.uri.rpartition("/")[2])
        return open_cog(source, *rest, **more)

    monkeypatch.setattr(chip_pictures, "open_cog", counted)
    whole = read_chips(imagery(tmp_path, "a.tif", "a.tif", "a.tif"), [0, 15], locate=locate, settings=ReadSettings())
    assert all(isinstance(each, np.ndarray) for each in whole)
    assert opened == ["a.tif"] * 3
    found = read_chips(imagery(tmp_path, "bad.tif"), [0, 15], locate=locate, settings=ReadSettings(), side=SIDE)
    assert (np.asarray(found[0])[0] == pixels[:16, :16]).all()
    assert "pixels cannot be read" in str(found[1])
    assert opened[3:] == ["bad.tif", "bad.tif"], "what failed was not read again"


def test_what_cannot_be_read_is_an_error_that_names_the_file(tmp_path: Path, pixels: np.ndarray) -> None:
    (tmp_path / "no.tif").write_bytes(b"no TIFF at all")
    put(tmp_path / "a.tif", pixels, Affine(*TRANSFORM))
    for name, kind in (("none.tif", SceneError), ("no.tif", SceneError)):
        with pytest.raises(kind, match=name):
            read(imagery(tmp_path, name), 0)
    body = (tmp_path / "a.tif").read_bytes()
    (tmp_path / "short.tif").write_bytes(body[: len(body) // 2])
    with pytest.raises(ClaylineError, match=r"short\.tif"):
        read(imagery(tmp_path, "short.tif"), 15)


def test_a_band_much_finer_than_the_models_is_not_shown(
    tmp_path: Path, pixels: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path / "a.tif", pixels, Affine(*TRANSFORM))
    monkeypatch.setattr(chip_pictures, "_MOST_PIXELS", SIDE * SIDE - 1)
    with pytest.raises(DatasetError, match="16 x 16 pixels is too large to be shown"):
        read(imagery(tmp_path, "a.tif"), 0)


def test_a_picture_is_a_png_that_others_read() -> None:
    picture = np.random.default_rng(2).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    body = png(picture)
    assert body.startswith(b"\x89PNG")
    with MemoryFile(body) as memory, memory.open() as file:
        assert (file.read().transpose(1, 2, 0) == picture).all()
