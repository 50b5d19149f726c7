"""Where an asset's href leads: a key of an allowed bucket, or nowhere."""

import re
from urllib.parse import quote

import pytest
from hypothesis import event, example, given, settings
from hypothesis import strategies as st
from tests.scene.stac import ALLOWED, BASE, asset, item

from clayline.errors import SceneError
from clayline.scene.item import BandAsset, read_item

BUCKETS = ALLOWED | {"my.dotted.bucket", "odd.s3"}


def resolve(href: str, *, base: str = BASE, allowed: frozenset[str] = BUCKETS) -> str:
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
        ("https://archive.s3.dualstack.us-west-2.amazonaws.com/x/B04.tif", "s3://archive/x/B04.tif"),
        ("https://archive.s3-external-1.amazonaws.com/x/B04.tif", "s3://archive/x/B04.tif"),
        ("https://archive.s3-accelerate.amazonaws.com/x/B04.tif", "s3://archive/x/B04.tif"),
        ("https://archive.s3-accelerate.dualstack.amazonaws.com/x/B04.tif", "s3://archive/x/B04.tif"),
        ("https://archive.s3.us-gov-west-1.amazonaws.com/x/B04.tif", "s3://archive/x/B04.tif"),
        ("https://archive.s3.cn-north-1.amazonaws.com.cn/x/B04.tif", "s3://archive/x/B04.tif"),
        ("https://s3.amazonaws.com/archive/x/B04.tif", "s3://archive/x/B04.tif"),
        ("https://s3.us-west-2.amazonaws.com/archive/x/B04.tif", "s3://archive/x/B04.tif"),
        ("https://s3-us-west-2.amazonaws.com/archive/x/B04.tif", "s3://archive/x/B04.tif"),
        ("https://s3.dualstack.us-west-2.amazonaws.com/archive/x/B04.tif", "s3://archive/x/B04.tif"),
        ("https://s3.cn-north-1.amazonaws.com.cn/archive/x/B04.tif", "s3://archive/x/B04.tif"),
        ("https://my.dotted.bucket.s3.us-west-2.amazonaws.com/x/B04.tif", "s3://my.dotted.bucket/x/B04.tif"),
        ("https://s3.us-west-2.amazonaws.com/my.dotted.bucket/x/B04.tif", "s3://my.dotted.bucket/x/B04.tif"),
        ("https://odd.s3.s3.us-west-2.amazonaws.com/x/B04.tif", "s3://odd.s3/x/B04.tif"),
        ("https://odd.s3.s3.amazonaws.com/x/B04.tif", "s3://odd.s3/x/B04.tif"),
        ("https://s3.amazonaws.com/archive/x/a%20b%2Bc%2Fd%252Fe.tif", "s3://archive/x/a b+c/d%2Fe.tif"),
        ("https://archive.s3.amazonaws.com/x/a b+c.tif", "s3://archive/x/a b+c.tif"),
        ("https://archive.s3.amazonaws.com/x/m%C3%BCnchen.tif", "s3://archive/x/münchen.tif"),
        ("https://archive.s3.amazonaws.com//x/B04.tif", "s3://archive//x/B04.tif"),
        ("https://s3.amazonaws.com/archive//x/B04.tif", "s3://archive//x/B04.tif"),
        ("https://archive.s3.amazonaws.com:443/x/B04.tif", "s3://archive/x/B04.tif"),
        ("HTTPS://Archive.S3.US-West-2.AmazonAWS.com/x/B04.tif", "s3://archive/x/B04.tif"),
        ("S3://archive/x/B04.tif", "s3://archive/x/B04.tif"),
        ("https://s3.amazonaws.com/archive/B04.tif?AWSAccessKeyId=A&Signature=b%2Fc&Expires=1", "s3://archive/B04.tif"),
        (
            "https://archive.s3.us-west-2.amazonaws.com/B04.tif?X-Amz-Algorithm=AWS4&X-Amz-Signature=ab&x-id=GetObject",
            "s3://archive/B04.tif",
        ),
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
    ("href", "why"),
    [
        ("s3://elsewhere/B04.tif", "is not in an allowed bucket"),
        ("s3://archive", "names no object"),
        ("s3://archive/", "names no object"),
        ("s3:///archive/B04.tif", "names no object"),
        ("s3:archive/B04.tif", "is no place in S3 but s3:"),
        ("s3://archive@elsewhere/B04.tif", "is not in an allowed bucket"),
        ("s3://arn:aws:s3:us-west-2:123456789012:accesspoint/archive/B04.tif", "goes by an access point"),
        ("s3://ARCHIVE/B04.tif", "is not in an allowed bucket"),
        ("../../../B04.tif", "leads out of the Item's bucket"),
        ("../../../archive/B04.tif", "leads out of the Item's bucket"),
        ("../../..", "leads out of the Item's bucket"),
        ("s3://archive/../elsewhere/B04.tif", "has a part . or .."),
        ("s3://archive/a/../../elsewhere/B04.tif", "has a part . or .."),
        ("s3://archive/./B04.tif", "has a part . or .."),
        ("https://archive.s3.amazonaws.com/../elsewhere/B04.tif", "has a part . or .."),
        ("https://archive.s3.amazonaws.com/a/%2e%2e/%2e%2e/elsewhere/B04.tif", "has a part . or .."),
        ("https://archive.s3.amazonaws.com/a/..%2F..%2Felsewhere/B04.tif", "has a part . or .."),
        ("https://s3.amazonaws.com/archive/../elsewhere/B04.tif", "has a part . or .."),
        ("https://s3.amazonaws.com/../archive/B04.tif", "is not in an allowed bucket"),
        ("https://s3.amazonaws.com//archive/B04.tif", "names no object"),
        ("https://s3.amazonaws.com/archive%2FB04.tif", "names no object"),
        ("https://s3.amazonaws.com/archive", "names no object"),
        ("https://s3.amazonaws.com/elsewhere/B04.tif", "is not in an allowed bucket"),
        ("https://archive.s3.amazonaws.com/", "names no object"),
        ("https://archive.s3.amazonaws.com", "names no object"),
        ("https://example.com/B04.tif", "is on the host 'example.com'"),
        ("https://s3.example.com/archive/B04.tif", "is on the host 's3.example.com'"),
        ("https://archive.s3.amazonaws.com.example.com/B04.tif", "is on the host"),
        ("https://archive.s3.amazonaws.com./B04.tif", "is on the host"),
        ("https://archive.xs3.amazonaws.com/B04.tif", "is on the host"),
        ("https://archives3.amazonaws.com/B04.tif", "is on the host"),
        ("https://archive.s3.us_west.amazonaws.com/B04.tif", "is on the host"),
        ("https://example.com/archive.s3.amazonaws.com/B04.tif", "is on the host 'example.com'"),
        ("https://example.com?archive.s3.amazonaws.com/B04.tif", "is on the host 'example.com'"),
        ("https://archive.s3.amazonaws.com@example.com/B04.tif", "names a user"),
        ("https://example.com@archive.s3.amazonaws.com/B04.tif", "names a user"),
        ("https://example.com\\@archive.s3.amazonaws.com/B04.tif", "names a user"),
        ("https://archive.s3.amazonaws.com:8080/B04.tif", "asks for port '8080'"),
        ("https://archive.s3.us-west-2.amazonaws.com/x/B04.tif?versionId=1", "names a version"),
        ("https://archive.s3.us-west-2.amazonaws.com/x/B04.tif?X-Amz-Signature=a&VersionId=1", "names a version"),
        ("https://archive.s3.us-west-2.amazonaws.com/x/B04.tif?partNumber=1", "has a query ('partNumber')"),
        ("https://archive.s3.us-west-2.amazonaws.com/x/B04.tif?torrent", "has a query ('torrent')"),
        ("https://archive.s3.us-west-2.amazonaws.com/x/B04.tif#1", "has a fragment"),
        ("https://archive.s3.amazonaws.com/100%.tif", "is not percent-encoded UTF-8"),
        ("https://archive.s3.amazonaws.com/%ff.tif", "is not percent-encoded UTF-8"),
        ("https://arch\nive.s3.amazonaws.com/B04.tif", "is no URL"),
        ("https://elsewhere.s3.amazonaws.com/B04.tif", "is not in an allowed bucket"),
        ("https://archive-123456789012.s3-accesspoint.us-west-2.amazonaws.com/B04.tif", "goes by an access point"),
        ("https://m1.mrap.accesspoint.s3-global.amazonaws.com/B04.tif", "an access point of several regions"),
        ("https://archive.s3-fips.us-west-2.amazonaws.com/B04.tif", "goes by a FIPS endpoint"),
        ("https://archive.s3-fips.dualstack.us-east-1.amazonaws.com/B04.tif", "goes by a FIPS endpoint"),
        ("https://archive.s3-website-us-west-2.amazonaws.com/B04.tif", "goes by a website endpoint"),
        ("https://archive.s3-website.eu-west-2.amazonaws.com/B04.tif", "goes by a website endpoint"),
        ("https://archive--usw2-az1--x-s3.s3express-usw2-az1.us-west-2.amazonaws.com/B04.tif", "a directory bucket's"),
        ("https://169.254.169.254/latest/meta-data/iam.tif", "is on the host '169.254.169.254'"),
        ("http://archive.s3.amazonaws.com/B04.tif", "write https://"),
        ("file:///etc/passwd", "is no place in S3 but file:"),
        ("file://scenes/B04.tif", "is no place in S3 but file:"),
        ("/etc/passwd", "is a path of a machine"),
        ("/vsicurl/https://example.com/B04.tif", "is a path of a machine"),
        ("/vsis3/archive/B04.tif", "is a path of a machine"),
        ("//archive/B04.tif", "is a path of a machine"),
        ("vrt:///vsicurl/http://example.com", "is no place in S3 but vrt:"),
        ("ftp://archive/B04.tif", "is no place in S3 but ftp:"),
        ("data:image/tiff;base64,SUkqAA==", "is no place in S3 but data:"),
        ("https://[", "is on the host '['"),
        ("https://[::1", "is on the host '['"),
        ("//[", "is a path of a machine"),
    ],
)
def test_where_it_may_not_lead(href: str, why: str) -> None:
    with pytest.raises(SceneError, match=re.escape(why)) as caught:
        resolve(href)
    assert caught.value.reason == "forbidden-href"
    assert "S2A_32UQD_20240601_0_L2A" in str(caught.value)
    assert "AllowedBuckets" in str(caught.value)


def test_a_refusal_shows_neither_password_nor_signature_nor_megabytes() -> None:
    for secret in (
        "https://user:SECRET@example.com/B04.tif",
        "https://theirs.blob.core.windows.net/B04.tif?sig=SECRET",
        "https://elsewhere.s3.amazonaws.com/B04.tif?X-Amz-Signature=SECRET",
        "/vsicurl/https://user:SECRET@example.com/B04.tif?token=SECRET",
    ):
        with pytest.raises(SceneError, match=r"B04\.tif") as caught:
            resolve(secret)
        assert "SECRET" not in str(caught.value)
    with pytest.raises(SceneError) as caught:
        resolve(f"https://{'x' * 100_000}/B04.tif?{'y' * 100_000}")
    assert len(str(caught.value)) < 1_000


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
    assert bucket in BUCKETS
    assert not {".", ".."} & set(key)
    assert "/".join(key)


buckets = st.from_regex(r"[a-z0-9](?:[a-z0-9-]|\.(?=[a-z0-9])){2,30}", fullmatch=True)
keys = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20).filter(
    lambda key: not {".", ".."} & set(key.split("/"))
)
regions = st.sampled_from(
    ["us-east-1", "eu-central-1", "ap-southeast-3", "us-gov-west-1", "il-central-1", "cn-north-1"]
)
endpoints = st.one_of(
    st.just("s3.amazonaws.com"),
    regions.map(lambda region: f"s3.{region}.amazonaws.com"),
    regions.map(lambda region: f"s3-{region}.amazonaws.com"),
    regions.map(lambda region: f"s3.dualstack.{region}.amazonaws.com"),
    st.just("s3.cn-northwest-1.amazonaws.com.cn"),
)
signatures = st.sampled_from(["", "?X-Amz-Signature=0a&X-Amz-Date=20240601T000000Z", "?Signature=a%2B&Expires=1"])


@settings(max_examples=500)
@given(buckets, keys, endpoints, signatures, st.sampled_from(["", "/", "~", "/+ "]))
def test_every_form_of_an_object_names_it(bucket: str, key: str, endpoint: str, signature: str, safe: str) -> None:
    """The oracle writes the URL as an S3 client does; reading it gives bucket and key back."""
    path = quote(key, safe=safe)
    for url in (f"https://{endpoint}/{bucket}/{path}", f"https://{bucket}.{endpoint}/{path}"):
        assert resolve(url + signature, allowed=frozenset({bucket})) == f"s3://{bucket}/{key}"
    assert resolve(f"s3://{bucket}/{key}", allowed=frozenset({bucket})) == f"s3://{bucket}/{key}"


MAIN = "https://landsatlook.usgs.gov/data/B4.TIF?token=SECRET"


def read_alternate(alternate: object, href: str = MAIN) -> BandAsset:
    content = item({"red": asset(href, alternate=alternate)})
    [band] = read_item(content, uri=BASE, allowed_buckets=ALLOWED).bands
    return band


def test_an_alternate_in_an_allowed_bucket_is_taken_where_the_main_href_is_not() -> None:
    band = read_alternate({"s3": {"href": "s3://archive/B4.TIF", "storage:requester_pays": True}})
    assert (band.uri, band.alternate) == ("s3://archive/B4.TIF", "s3")
    assert band.declared == "https://landsatlook.usgs.gov/data/B4.TIF?..."


def test_the_main_href_goes_first() -> None:
    band = read_alternate({"s3": {"href": "s3://archive/B4.TIF"}}, href="s3://scenes/B4.TIF")
    assert (band.uri, band.alternate, band.declared) == ("s3://scenes/B4.TIF", None, None)


def test_of_several_the_one_that_may_be_opened_is_taken() -> None:
    band = read_alternate(
        {"azure": {"href": "https://x.blob.core.windows.net/B4.TIF"}, "s3": {"href": "s3://archive/b"}}
    )
    assert (band.uri, band.alternate) == ("s3://archive/b", "s3")


def test_two_names_of_one_object_are_no_question() -> None:
    both = {"a": {"href": "s3://archive/b"}, "b": {"href": "https://archive.s3.amazonaws.com/b"}}
    assert read_alternate(both).uri == "s3://archive/b"


def test_two_objects_that_may_be_opened_are_refused() -> None:
    both = {"a": {"href": "s3://archive/b"}, "b": {"href": "s3://scenes/b"}}
    with pytest.raises(SceneError, match=r"'a' \(s3://archive/b\) and 'b' \(s3://scenes/b\)") as caught:
        read_alternate(both)
    assert caught.value.reason == "ambiguous-href"


@pytest.mark.parametrize("alternate", [None, [], "s3", {"s3": "s3://archive/b"}, {"s3": {"href": 5}}, {"s3": {}}])
def test_what_is_no_alternate_is_none(alternate: object) -> None:
    with pytest.raises(SceneError, match="landsatlook") as caught:
        read_alternate(alternate)
    assert caught.value.reason == "forbidden-href"


def test_a_refusal_says_where_the_alternate_is() -> None:
    with pytest.raises(SceneError, match=r"its alternate 's3', 's3://usgs-landsat/B4.TIF', is not in an") as caught:
        read_alternate({"s3": {"href": "s3://usgs-landsat/B4.TIF"}})
    assert caught.value.reason == "forbidden-href"
