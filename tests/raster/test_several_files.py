"""Files of a job are read at once: nothing of one comes to another, and an error of one ends them all."""

import logging
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from tests.raster.geotiffs import SETTINGS, TEN_METRES, bands_of, spoil, texture, write

from clayline.errors import BatchError
from clayline.raster.cog import ReadSettings, open_cog
from clayline.raster.part import Area, BandSource, FilePart
from clayline.raster.reading import readings
from clayline.raster.tile import TilePixels, Use, openings, read_job

HEIGHT, WIDTH = 250, 210
SECONDS = 60
"""How long a test waits for what has to come."""


def read(bands: list[BandSource], mask: BandSource | None = None, settings: ReadSettings = SETTINGS) -> TilePixels:
    return read_job(bands, mask, transform=TEN_METRES, window=(0, HEIGHT, 0, WIDTH), settings=settings)


def scene(folder: Path, files: int = 6) -> list[BandSource]:
    """Write fine and coarse bands by turns, a file each, all different."""
    a, b, c, d, e, f = TEN_METRES
    coarse = {"transform": (2 * a, b, c, d, 2 * e, f)}
    everything = texture(files, HEIGHT, WIDTH)
    return [
        *(
            bands_of(
                write(
                    folder / f"{number}.tif",
                    everything[number : number + 1, :: 1 + number % 2, :: 1 + number % 2],
                    **(coarse if number % 2 else {}),
                ),
                1,
            )[0]
            for number in range(files)
        )
    ]


def test_files_that_are_read_at_once_are_as_rasterio_reads_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each read begins when another file's has begun as well."""
    bands, meeting, through = scene(tmp_path), threading.Barrier(2), FilePart.read

    def meet(part: FilePart, dataset: Any, area: Area) -> None:
        meeting.wait(SECONDS)
        through(part, dataset, area)

    monkeypatch.setattr(FilePart, "read", meet)
    result = read(bands)
    for band, plane in zip(bands, result.pixels, strict=True):
        with rasterio.open(band.source.path) as dataset:
            expected = dataset.read(1)
        if expected.shape != plane.shape:
            expected = expected.repeat(2, axis=0).repeat(2, axis=1)
        np.testing.assert_array_equal(plane, expected)
    assert (result.damaged, result.masked) == (None, None)
    assert result.reading.files == len(bands)


def test_a_warning_of_one_file_is_not_heard_at_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """GDAL repeats a request of the sound file while the other is asked again for a block that is damaged."""
    sound = write(tmp_path / "sound.tif", texture(1, HEIGHT, WIDTH))
    spoiled = spoil(write(tmp_path / "spoiled.tif", texture(1, HEIGHT, WIDTH)), row=1, col=2)
    opened: list[str] = []
    asked_again, warned, through = threading.Event(), threading.Event(), FilePart.read

    def gated(part: FilePart, dataset: Any, area: Area) -> None:
        if part.source.path == str(sound):
            assert asked_again.wait(SECONDS)
            logging.getLogger("rasterio._env").warning("HTTP error code: 503 - sound.tif. Retrying again in 0.5 s")
            warned.set()
        elif opened.count(str(spoiled)) == 3:
            asked_again.set()
            assert warned.wait(SECONDS)
        through(part, dataset, area)

    def counted(source: Any, *args: Any, **kwargs: Any) -> Any:
        opened.append(source.path)
        return open_cog(source, *args, **kwargs)

    monkeypatch.setattr(FilePart, "read", gated)
    monkeypatch.setattr("clayline.raster.damage.open_cog", counted)
    result = read([*bands_of(sound, 1), *bands_of(spoiled, 1)])
    damaged = np.zeros((HEIGHT, WIDTH), np.bool_)
    damaged[64:128, 128:192] = True
    np.testing.assert_array_equal(result.damaged, damaged)
    np.testing.assert_array_equal(result.pixels[0], texture(1, HEIGHT, WIDTH)[0])
    np.testing.assert_array_equal(result.pixels[1][~damaged], texture(1, HEIGHT, WIDTH)[0][~damaged])


def test_an_error_of_one_file_is_raised_and_no_thread_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first fails while the second is being read, which goes on when that has happened."""
    bands, before, through = scene(tmp_path, files=4), threading.active_count(), open_cog
    beside, failed = threading.Event(), threading.Event()
    Path(bands[0].source.path).write_bytes(b"no TIFF any more")
    opened: list[str] = []

    def gated(source: Any, *args: Any, **kwargs: Any) -> Any:
        opened.append(source.path)
        if source.path == bands[0].source.path:
            assert beside.wait(SECONDS)
        if source.path == bands[1].source.path:
            beside.set()
            assert failed.wait(SECONDS)
        if opened.count(bands[0].source.path) == 2:
            failed.set()
        return through(source, *args, **kwargs)

    monkeypatch.setattr("clayline.raster.damage.open_cog", gated)
    with pytest.raises(BatchError) as caught:
        read(bands)
    assert caught.value.reason == "not-a-geotiff"
    assert threading.active_count() == before


def test_a_file_whose_place_is_known_is_opened_without_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each new thread would open PROJ's database to find a CRS that nobody asks for."""
    bands, opening, found = scene(tmp_path, files=3), rasterio.open, []

    def noted(*args: Any, **kwargs: Any) -> Any:
        dataset = opening(*args, **kwargs)
        found.append(dataset.crs)
        return dataset

    monkeypatch.setattr("clayline.raster.cog.rasterio.open", noted)
    read(bands)
    assert found == [None] * len(bands)


@pytest.mark.parametrize("dtype", ["uint16", "float32"])
def test_classes_in_a_bands_file_are_foretold_as_they_are_read(tmp_path: Path, dtype: str) -> None:
    """They come with the bands, in the same blocks; beside floats they are read alone, to keep their type."""
    path = write(tmp_path / "scene.tif", texture(3, HEIGHT, WIDTH, "uint8"), interleave="pixel")
    *bands, mask = bands_of(path, 1, 2, 3)
    if dtype == "float32":
        bands += bands_of(write(tmp_path / "float.tif", texture(1, HEIGHT, WIDTH, dtype)), 1)
    opened = openings(bands, mask, [])
    result = read(bands, mask)
    [foretold] = (
        readings(
            [[wanted.band for wanted in opening.wanted] for opening in opened],
            transform=TEN_METRES,
            windows=[(0, HEIGHT, 0, WIDTH)],
            settings=SETTINGS,
        )
        or []
    )
    assert result.reading == foretold
    assert foretold.files == (1 if dtype == "uint16" else 3)
    assert [wanted.use for wanted in opened[0].wanted][-1] is (Use.CLASSES if dtype == "uint16" else Use.PIXELS)
    assert result.mask is not None
    np.testing.assert_array_equal(result.mask, texture(3, HEIGHT, WIDTH, "uint8")[2])
