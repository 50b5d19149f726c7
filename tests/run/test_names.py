"""What objects are called: prefixes become names, and a ``file:`` name is a URI that finds its file."""

import json
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import numpy as np
import pytest
import rasterio
from hypothesis import given
from hypothesis import strategies as st
from rasterio.errors import RasterioIOError
from tests.pipeline import scenes

from clayline.run.names import Names

LOCAL = {
    "s3://scenes/file/": "file:///",
    "s3://scenes/cog/file/": "file:///",
    "s3://scenes/s3/": "s3://",
    "s3://scenes/cog/s3/": "s3://",
    "s3://embeddings/": "file:///out%20here/",
}
NAMES = Names.parse(json.dumps(LOCAL))


@pytest.mark.parametrize(
    ("uri", "name"),
    [
        ("s3://scenes/file/data/scene/B04.tif", "file:///data/scene/B04.tif"),
        ("s3://scenes/cog/file/data/x.tif", "file:///data/x.tif"),
        ("s3://scenes/s3/archive/a b+c%2F?d#e.tif", "s3://archive/a b+c%2F?d#e.tif"),
        ("s3://scenes/cog/s3/archive/x.tif", "s3://archive/x.tif"),
        ("s3://embeddings/m-v1/abc/a.parquet", "file:///out%20here/m-v1/abc/a.parquet"),
        ("s3://scenes/file/a b/100%/c#d?e/Größe.tif", "file:///a%20b/100%25/c%23d%3Fe/Gr%C3%B6%C3%9Fe.tif"),
        ("s3://scenes/file/a+b,c;d=e@f(g)'!~*$&.tif", "file:///a+b,c;d=e@f(g)'!~*$&.tif"),
        ("s3://scenes/other/B04.tif", "s3://scenes/other/B04.tif"),
        ("s3://scenes/files/B04.tif", "s3://scenes/files/B04.tif"),
        ("s3://archive/file/B04.tif", "s3://archive/file/B04.tif"),
    ],
)
def test_what_an_object_is_called(uri: str, name: str) -> None:
    assert NAMES.of(uri) == name


def test_the_longest_prefix_wins_wherever_it_stands() -> None:
    pairs = (("s3://b/", "s3://short/"), ("s3://b/a/", "s3://long/"))
    for prefixes in (pairs, pairs[::-1]):
        assert Names(prefixes=prefixes).of("s3://b/a/x") == "s3://long/x"
        assert Names(prefixes=prefixes).of("s3://b/c/x") == "s3://short/c/x"


@given(st.text())
def test_without_names_every_object_is_called_by_its_uri(uri: str) -> None:
    assert Names().of(uri) == Names.parse("").of(uri) == uri


@given(st.text(st.characters(blacklist_characters="\x00", blacklist_categories=["Cs"]), min_size=1))
def test_a_file_name_is_a_uri_that_gives_the_path_back(path: str) -> None:
    name = NAMES.of(f"s3://scenes/file/{path}")
    assert name.isascii()
    parts = urlsplit(name)
    assert (parts.scheme, parts.netloc, parts.query, parts.fragment) == ("file", "", "", "")
    assert url2pathname(parts.path) == f"/{path}"
    if "//" not in f"/{path}" and len(path) > 1:  # pathlib folds the first, and takes /x for the drive X
        assert Path.from_uri(name) == Path(f"/{path}")


def test_half_a_surrogate_pair_is_named_too() -> None:
    assert NAMES.of("s3://scenes/file/\ud800.tif") == "file:///%ED%A0%80.tif"


ORDINARY = [
    "plain.tif",
    "LC08_L1TP_224078_20200518_T1.tif",
    "a.b-c_d~e.tif",
    "a+b,c;d=e@f(g)'!~*$&.tif",
    "sub/folder/B04.tif",
]
ENCODED = ["with space.tif", "a#b.tif", "100%.tif", "a%20b.tif", "Größe 雪.tif", "what?.tif", "a:b.tif", "[x].tif"]


@pytest.mark.parametrize("name", [*ORDINARY, *ENCODED])
def test_what_opens_a_file_by_its_name(tmp_path: Path, name: str) -> None:
    """Rasterio opens a name as it is unless it had to be encoded: GDAL decodes nothing.

    ``Path.from_uri`` is then its way.
    """
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(
        scenes.geotiff(np.full((1, 4, 6), 7, np.uint16), crs="EPSG:32629", transform=scenes.utm_grid(), nodata=0)
    )
    uri = NAMES.of(f"s3://scenes/file{path}")
    with rasterio.open(Path.from_uri(uri)) as dataset:
        assert dataset.shape == (4, 6)
    if name in ORDINARY:
        with rasterio.open(uri) as dataset:
            assert dataset.shape == (4, 6)
    else:
        with pytest.raises(RasterioIOError):
            rasterio.open(uri)


def test_a_bucket_that_goes_by_other_names_is_hidden() -> None:
    assert NAMES.hide("scenes")
    assert NAMES.hide("embeddings")
    assert not NAMES.hide("scene")
    assert not NAMES.hide("file")
    assert not Names().hide("scenes")


@pytest.mark.parametrize(
    "text",
    [
        "no json",
        "[]",
        '"s3://a/"',
        "null",
        '{"s3://a/": 1}',
        '{"s3://a/": null}',
        '{"": "file:///"}',
        '{"s3://": "file:///"}',
        '{"s3:///": "file:///"}',
        '{"s3://scenes": "file:///"}',
        '{"s3://scenes/fi": "file:///"}',
        '{"file:///": "s3://scenes/"}',
        '{"s3://scenes/": "file:///out"}',
        '{"s3://scenes/": "file://host/out/"}',
        '{"s3://scenes/": "/out/"}',
        '{"s3://scenes/": ""}',
        "[" * 100_000,
    ],
)
def test_what_is_no_map_of_names(text: str) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        Names.parse(text)
