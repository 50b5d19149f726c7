"""Where an asset's href leads: a key of an allowed bucket, or nowhere."""

import pytest
from hypothesis import event, example, given, settings
from hypothesis import strategies as st
from tests.scene.stac import ALLOWED, BASE, asset, item

from clayline.errors import SceneError
from clayline.scene.item import read_item


def resolve(href: str, *, base: str = BASE, allowed: frozenset[str] = ALLOWED) -> str:
    [band] = read_item(item({"red": asset(href)}), uri=base, allowed_buckets=allowed).bands
    return band.uri


@pytest.mark.parametrize(
    ("href", "uri"),
    [
        ("B04.tif", "s3://scenes/s2/2024/B04.tif"),
        ("./B04.tif", "s3://scenes/s2/2024/B04.tif"),
        ("bands/B04.tif", "s3://scenes/s2/2024/bands/B04.tif"),
        ("../B04.tif", "s3://scenes/s2/B04.tif"),
        ("../../B04.tif", "s3://scenes/B04.tif"),
        (".././x/../B04.tif", "s3://scenes/s2/B04.tif"),
        ("a b+c%2F.tif", "s3://scenes/s2/2024/a b+c%2F.tif"),
        ("./münchen ü.tif", "s3://scenes/s2/2024/münchen ü.tif"),
        ("...tif", "s3://scenes/s2/2024/...tif"),
        ("s3://archive/x/B04.tif", "s3://archive/x/B04.tif"),
        ("s3://archive/a b+c%2F?d#e.tif", "s3://archive/a b+c%2F?d#e.tif"),
        ("https://archive.s3.amazonaws.com/x/B04.tif", "s3://archive/x/B04.tif"),
        ("https://archive.s3.us-west-2.amazonaws.com/x/B04.tif", "s3://archive/x/B04.tif"),
        ("https://archive.s3-eu-west-1.amazonaws.com/x/B04.tif", "s3://archive/x/B04.tif"),
        ("https://archive.s3.us-west-2.amazonaws.com/x/a%20b%2Bc.tif", "s3://archive/x/a b+c.tif"),
        ("https://archive.s3.us-west-2.amazonaws.com/x/B04.tif?versionId=1", "s3://archive/x/B04.tif"),
    ],
)
def test_where_an_href_leads(href: str, uri: str) -> None:
    assert resolve(href) == uri


@pytest.mark.parametrize(
    ("base", "href", "uri"),
    [
        ("s3://scenes/item.json", "B04.tif", "s3://scenes/B04.tif"),
        ("s3://scenes/a//item.json", "./B04.tif", "s3://scenes/a//B04.tif"),
        ("s3://scenes//item.json", "B04.tif", "s3://scenes//B04.tif"),
        ("s3://scenes/a b+%/item.json", "./B04.tif", "s3://scenes/a b+%/B04.tif"),
    ],
)
def test_a_relative_href_starts_at_the_items_own_key(base: str, href: str, uri: str) -> None:
    assert resolve(href, base=base) == uri


@pytest.mark.parametrize(
    "href",
    [
        "s3://elsewhere/B04.tif",
        "s3://archive",
        "s3://archive/",
        "s3:///archive/B04.tif",
        "s3://archive@elsewhere/B04.tif",
        "S3://archive/B04.tif",
        "../../../B04.tif",
        "../../../archive/B04.tif",
        "../../..",
        "s3://archive/../elsewhere/B04.tif",
        "s3://archive/a/../../elsewhere/B04.tif",
        "s3://archive/./B04.tif",
        "https://archive.s3.amazonaws.com/../elsewhere/B04.tif",
        "https://archive.s3.amazonaws.com/a/%2e%2e/%2e%2e/elsewhere/B04.tif",
        "https://archive.s3.amazonaws.com/",
        "https://example.com/B04.tif",
        "https://archive.s3.amazonaws.com.example.com/B04.tif",
        "https://example.com/archive.s3.amazonaws.com/B04.tif",
        "https://archive.s3.amazonaws.com@example.com/B04.tif",
        "https://example.com@archive.s3.amazonaws.com/B04.tif",
        "https://archive.s3.amazonaws.com:8080/B04.tif",
        "https://elsewhere.s3.amazonaws.com/B04.tif",
        "https://169.254.169.254/latest/meta-data/iam.tif",
        "http://archive.s3.amazonaws.com/B04.tif",
        "file:///etc/passwd",
        "file://scenes/B04.tif",
        "/etc/passwd",
        "/vsicurl/https://example.com/B04.tif",
        "/vsis3/archive/B04.tif",
        "//archive/B04.tif",
        "vrt:///vsicurl/http://example.com",
        "ftp://archive/B04.tif",
        "data:image/tiff;base64,SUkqAA==",
        "https://[",
        "https://[::1",
        "//[",
    ],
)
def test_where_it_may_not_lead(href: str) -> None:
    with pytest.raises(SceneError, match="is not in an allowed bucket") as caught:
        resolve(href)
    assert caught.value.reason == "forbidden-href"
    assert "S2A_32UQD_20240601_0_L2A" in str(caught.value)
    assert "AllowedBuckets" in str(caught.value)


def test_the_mask_is_held_to_the_same() -> None:
    content = item({"red": asset("./B04.tif"), "scl": asset("https://example.com/SCL.tif")})
    with pytest.raises(SceneError) as caught:
        read_item(content, uri=BASE, allowed_buckets=ALLOWED)
    assert caught.value.reason == "forbidden-href"


def test_the_items_own_bucket_must_be_allowed_too() -> None:
    with pytest.raises(SceneError, match="is not in an allowed bucket"):
        resolve("./B04.tif", allowed=frozenset({"archive"}))


parts = st.sampled_from(
    [
        ".",
        "..",
        "",
        "a",
        "scenes",
        "archive",
        "elsewhere",
        "%2e%2e",
        "x.tif",
        "s3:",
        "https:",
        "archive.s3.amazonaws.com",
        "vsis3",
        " ",
        "\n",
    ]
)


@settings(max_examples=500)
@given(st.one_of(st.lists(parts, max_size=8).map("/".join), st.text(max_size=20)))
@example("s3://archive/a/../../elsewhere/x.tif")
@example("\x00/vsicurl/")
def test_no_href_leads_out_of_the_allowed_buckets(href: str) -> None:
    reason, uri = None, ""
    try:
        uri = resolve(href)
    except SceneError as error:
        reason = str(error.reason)
    event(reason or "leads somewhere")
    if reason:
        assert reason == "forbidden-href"
        return
    scheme, empty, bucket, *key = uri.split("/")
    assert (scheme, empty) == ("s3:", "")
    assert bucket in ALLOWED
    assert not {".", ".."} & set(key)
    assert "/".join(key)
