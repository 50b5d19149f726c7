"""Files whose directories GDAL should not read, and that it is not asked to."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.shutil import copy
from tests.raster.geotiffs import SETTINGS, local, texture, write
from tests.raster.tiffs import PIXELS, Tag, numbers, text, tiff

from clayline.chips.cog import CogSource
from clayline.errors import SceneError, TransientError
from clayline.ports import ObjectForbiddenError, ObjectHead, ObjectMissingError
from clayline.raster import directory, headers
from clayline.raster.directory import FIRST_BYTES, MAX_DIRECTORIES, MAX_TAG_BYTES, MAX_TEXT_BYTES, check_directories
from clayline.raster.headers import GdalHeaders

FORMS = pytest.mark.parametrize(
    ("order", "big", "at_the_end"), [(order, big, end) for order in "<>" for big in (0, 1) for end in (0, 1)]
)
DESCRIPTION, GDAL_METADATA, XMP, TILE_OFFSETS = 270, 42_112, 700, 324


def metadata(length: int) -> Tag:
    """Give GDAL_METADATA of so many bytes, the NUL at its end included, in its worst form: many items."""
    items = b"".join(b'<Item name="k%d">v</Item>' % number for number in range(length // 34))
    return text((b"<GDALMetadata>" + items + b"</GDALMetadata>").ljust(length - 1))


@pytest.fixture
def unopened(monkeypatch: pytest.MonkeyPatch) -> None:
    """GDAL must not be asked to open anything."""

    def opened(*_: object, **__: object) -> None:
        pytest.fail("GDAL was asked to open the file")

    monkeypatch.setattr(rasterio, "open", opened)


def refused(tmp_path: Path, content: bytes) -> SceneError:
    """Give the error that a file is refused with."""
    (tmp_path / "scene.tif").write_bytes(content)
    source = local(tmp_path / "scene.tif")
    with pytest.raises(SceneError) as caught:
        GdalHeaders(settings=SETTINGS).read_header(source)
    assert source.uri in str(caught.value)
    return caught.value


@FORMS
def test_the_forms_are_read(tmp_path: Path, order: str, *, big: bool, at_the_end: bool) -> None:
    """What the tests below write is a GeoTIFF that GDAL reads, masks and longest allowed tags included."""
    longest = {DESCRIPTION: text(b"d" * (MAX_TEXT_BYTES - 1)), XMP: (1, 1000, b"x" * 1000)}
    content = tiff(order, big=big, at_the_end=at_the_end, extra=[longest, {}, {}])
    (tmp_path / "scene.tif").write_bytes(content)
    header = GdalHeaders(settings=SETTINGS).read_header(local(tmp_path / "scene.tif"))
    assert (header.width, header.height, header.epsg) == (64, 64, 32_629)
    with rasterio.open(tmp_path / "scene.tif") as dataset:
        np.testing.assert_array_equal(dataset.read(1), PIXELS)
        assert len(dataset.tags()["TIFFTAG_IMAGEDESCRIPTION"]) == MAX_TEXT_BYTES - 1


@FORMS
@pytest.mark.parametrize(
    ("tags", "called"),
    [
        ({GDAL_METADATA: metadata(MAX_TEXT_BYTES + 1)}, "GDAL_METADATA"),
        ({DESCRIPTION: text(b"d" * MAX_TEXT_BYTES)}, "ImageDescription"),
        ({DESCRIPTION: (1, MAX_TEXT_BYTES + 1, bytes(MAX_TEXT_BYTES + 1))}, "ImageDescription"),
        ({65_000: text(b"d" * MAX_TEXT_BYTES)}, "65000"),
        ({XMP: (1, MAX_TAG_BYTES + 1, bytes(MAX_TAG_BYTES + 1))}, "700"),
    ],
    ids=["GDAL_METADATA", "description", "description of bytes", "any text", "xmp"],
)
@pytest.mark.usefixtures("unopened")
def test_a_long_tag_is_refused_before_gdal_reads_it(
    tmp_path: Path, order: str, *, big: bool, at_the_end: bool, tags: dict[int, Tag], called: str
) -> None:
    error = refused(tmp_path, tiff(order, big=big, at_the_end=at_the_end, extra=[tags]))
    assert error.reason == "tags-too-large"
    assert f"its tag {called} has " in str(error)
    assert "-nomd" in str(error)


@FORMS
@pytest.mark.usefixtures("unopened")
def test_a_long_tag_of_a_mask_is_refused_too(tmp_path: Path, order: str, *, big: bool, at_the_end: bool) -> None:
    """GDAL parses the tags of every directory when it is asked for a mask."""
    content = tiff(order, big=big, at_the_end=at_the_end, extra=[{}, {}, {GDAL_METADATA: metadata(MAX_TEXT_BYTES + 1)}])
    assert refused(tmp_path, content).reason == "tags-too-large"


@FORMS
@pytest.mark.usefixtures("unopened")
def test_an_index_that_the_size_does_not_explain_is_refused(
    tmp_path: Path, order: str, *, big: bool, at_the_end: bool
) -> None:
    count = MAX_TAG_BYTES // 4 + 1
    tags = {322: numbers(order, 3, 64), 323: numbers(order, 3, 64), TILE_OFFSETS: (4, count, bytes(4 * count))}
    error = refused(tmp_path, tiff(order, big=big, at_the_end=at_the_end, extra=[tags]))
    assert error.reason == "tags-too-large"
    assert f"lists {count} blocks" in str(error)


@FORMS
@pytest.mark.usefixtures("unopened")
def test_a_tag_beyond_the_end_is_refused(tmp_path: Path, order: str, *, big: bool, at_the_end: bool) -> None:
    content = tiff(order, big=big, at_the_end=at_the_end, extra=[{XMP: (1, 400_000, b"x" * 9)}])
    error = refused(tmp_path, content)
    assert error.reason == "truncated"
    assert "tag 700 ends at byte" in str(error)


@FORMS
@pytest.mark.usefixtures("unopened")
def test_too_many_directories(tmp_path: Path, order: str, *, big: bool, at_the_end: bool) -> None:
    content = tiff(order, big=big, at_the_end=at_the_end, extra=[{}] * (MAX_DIRECTORIES + 1))
    assert refused(tmp_path, content).reason == "too-many-directories"


@FORMS
def test_a_chain_that_comes_back_to_itself_ends(order: str, *, big: bool, at_the_end: bool) -> None:
    content = tiff(order, big=big, at_the_end=at_the_end, extra=[{}] * 3)
    size = 8 if big else 4
    place = int.from_bytes(content[size : 2 * size], "little" if order == "<" else "big")
    again = tiff(order, big=big, at_the_end=at_the_end, extra=[{}] * 3, link=place)
    found = list(directory.directories(lambda start, stop: again[start:stop], size=len(again)))
    assert len(found) == 3


@pytest.mark.parametrize("cut", [0, 1, 7, 8, 15, 16, 8300, 8400])
def test_what_ends_within_its_directory_is_gdals_to_explain(cut: int) -> None:
    for content in (tiff()[:cut], tiff(big=True)[:cut]):
        check_directories(partial(_part, content), size=len(content), uri="s3://b/k")


def _part(content: bytes, start: int, stop: int) -> bytes:
    return content[start:stop]


def test_any_bytes_pass_or_are_refused() -> None:
    """2,000 mutations of each form, always the same ones: nothing else is raised, and no walk reads over and over."""
    chance = np.random.default_rng(9)
    for order in "<>":
        for big in (False, True):
            whole = np.frombuffer(tiff(order, big=big, extra=[{}, {}]), np.uint8)
            for _ in range(500):
                content = whole.copy()
                places = np.concatenate([chance.integers(0, 16, 1), chance.integers(8192, len(whole), 3)])
                content[places] = chance.integers(0, 256, 4)
                body, reads = content.tobytes(), list[int]()

                def read(start: int, stop: int, body: bytes = body, reads: list[int] = reads) -> bytes:
                    reads.append(stop - start)
                    return body[start:stop]

                try:
                    check_directories(read, size=len(body), uri="s3://b/k")
                except SceneError as error:
                    assert error.reason in {"tags-too-large", "truncated"}  # noqa: PT017 - most of them pass
                assert len(reads) < 8


@pytest.mark.parametrize("name", [b"bl\xffue", b"bl&#xD800;ue"], ids=["bytes", "half a pair"])
def test_a_band_name_that_is_no_text_is_refused(tmp_path: Path, name: bytes) -> None:
    assert refused(tmp_path, tiff(extra=[{GDAL_METADATA: named(name)}])).reason == "unreadable-text"


def test_a_band_name_without_end_is_none(tmp_path: Path) -> None:
    """It would stand in the plan, once for each band."""
    (tmp_path / "scene.tif").write_bytes(tiff(extra=[{GDAL_METADATA: named(b"b" * 257)}]))
    assert GdalHeaders(settings=SETTINGS).read_header(local(tmp_path / "scene.tif")).descriptions == (None,)
    (tmp_path / "scene.tif").write_bytes(tiff(extra=[{GDAL_METADATA: named(b"b" * 256)}]))
    assert GdalHeaders(settings=SETTINGS).read_header(local(tmp_path / "scene.tif")).descriptions == ("b" * 256,)


def named(name: bytes) -> Tag:
    """Give the metadata that names the only band."""
    item = b'<Item name="DESCRIPTION" sample="0" role="description">%b</Item>' % name
    return text(b"<GDALMetadata>" + item + b"</GDALMetadata>")


def test_a_crs_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would stand in the plan, once for each band. The limit is lowered: GDAL cuts the names that it writes."""
    monkeypatch.setattr(headers, "MAX_CRS_CHARACTERS", 300)
    odd = "+proj=tmerc +lat_0=0 +lon_0=11.5 +k=0.99987 +x_0=500000 +y_0=0 +datum=WGS84 +units=m"
    write(tmp_path / "scene.tif", texture(1, 64, 64), crs=odd)
    with pytest.raises(SceneError) as caught:
        GdalHeaders(settings=SETTINGS).read_header(local(tmp_path / "scene.tif"))
    assert caught.value.reason == "crs-unusable"
    assert "characters; the limit is 300" in str(caught.value)


class Store:
    """Ranges of one object."""

    def __init__(self, content: bytes, error: Exception | None = None) -> None:
        self.content, self.error, self.asked = content, error, list[tuple[str, int, int, str]]()

    def get_range(self, uri: str, *, start: int, stop: int, etag: str) -> bytes:
        self.asked.append((uri, start, stop, etag))
        if self.error:
            raise self.error
        return self.content[start:stop]


def source(size: int) -> CogSource:
    return GdalHeaders().source(ObjectHead(uri="s3://scenes/a b.tif", size=size, etag="the-etag", metadata={}))


def test_a_cogs_directories_come_in_one_request_of_the_planned_object(tmp_path: Path) -> None:
    with rasterio.open(write(tmp_path / "plain.tif", texture(4, 3000, 2000))) as plain:
        copy(plain, tmp_path / "cog.tif", driver="COG", blocksize=256)
    store = Store((tmp_path / "cog.tif").read_bytes())
    directory.look(source(len(store.content)), store)
    assert store.asked == [("s3://scenes/a b.tif", 0, FIRST_BYTES, "the-etag")]


def test_directories_elsewhere_cost_one_small_request_each() -> None:
    store = Store(tiff(at_the_end=True, extra=[{XMP: (1, 40_000, bytes(40_000))}] * 4))
    directory.look(source(len(store.content)), store)
    assert len(store.asked) == 5
    assert sum(stop - start for _, start, stop, _ in store.asked) < FIRST_BYTES + 4 * 4096 + 1


@pytest.mark.parametrize(
    ("error", "kind", "reason"),
    [
        (ObjectForbiddenError("no"), SceneError, "source-forbidden"),
        (ObjectMissingError("gone"), TransientError, None),
        (TransientError("later"), TransientError, None),
    ],
    ids=["forbidden", "replaced", "network"],
)
def test_an_object_that_cannot_be_looked_at_is_not_opened(
    error: Exception, kind: type[Exception], reason: str | None
) -> None:
    with pytest.raises(kind) as caught:
        GdalHeaders(objects=Store(b"", error)).read_header(source(1000))
    assert getattr(caught.value, "reason", None) == reason


@pytest.mark.usefixtures("unopened")
def test_nothing_remote_is_opened_unseen() -> None:
    with pytest.raises(RuntimeError, match="cannot be looked at"):
        GdalHeaders().read_header(source(1000))


def test_a_tag_that_gdal_refuses_when_it_is_asked_for_it(tmp_path: Path) -> None:
    """Found by `make fuzz`: sizes of blocks as text. rasterio lets GDAL's own error through, no RasterioError."""
    tags = {322: numbers("<", 3, 64), 323: numbers("<", 3, 64), 324: numbers("<", 4, 8), 325: text(b"123")}
    assert refused(tmp_path, tiff(extra=[tags])).reason == "truncated"
