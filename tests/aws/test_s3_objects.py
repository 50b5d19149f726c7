"""S3Objects on moto, and what S3 may answer that moto does not."""

import hashlib
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ConnectTimeoutError
from botocore.stub import Stubber
from hypothesis import given
from hypothesis import strategies as st
from tests.aws.conftest import REGION, Cloud, moto_examples

from clayline.aws.objects import S3Objects
from clayline.errors import OutputConflictError, TransientError
from clayline.ports import ObjectForbiddenError, ObjectHead, ObjectMissingError, ObjectTooLargeError
from clayline.run.access import Access

RUN, OTHER = "a" * 32, "b" * 32
URI = "s3://embeddings/x/y.parquet"
ODD = [
    "a b.json",
    "a+b c%2F.tif",
    "100%.json",
    "münchen/ü.json",
    "日本/シーン.tif",
    "a?b#c&d=e",
    "x//y",
    "/leading",
    "a'b\"c",
    "~tilde",
    "a;b,c@d!(e)*",
]


def put(cloud: Cloud, uri: str = URI, *, run: str = RUN, body: bytes = b"first") -> bool:
    return cloud.objects.put_new(uri, body, run=run, content_type="application/octet-stream")


def test_what_is_written_is_there_with_its_run_and_type(cloud: Cloud) -> None:
    assert put(cloud) is True
    answer = cloud.s3.get_object(Bucket="embeddings", Key="x/y.parquet")
    assert answer["Body"].read() == b"first"
    assert answer["ContentType"] == "application/octet-stream"
    assert answer["Metadata"] == {"run-id": RUN}


def test_our_own_object_is_left_as_it_is(cloud: Cloud) -> None:
    put(cloud)
    assert put(cloud, body=b"second") is False
    assert cloud.objects.get(URI) == b"first"


def test_no_more_is_read_than_was_asked_for(cloud: Cloud) -> None:
    put(cloud, body=b"12345")
    assert cloud.objects.get(URI, most=5) == b"12345"
    with pytest.raises(ObjectTooLargeError, match=f"{URI} has 5 bytes; at most 4 are read"):
        cloud.objects.get(URI, most=4)


def test_a_range_of_the_object_that_was_found(cloud: Cloud) -> None:
    put(cloud, body=b"0123456789")
    etag = cloud.objects.head(URI).etag
    assert cloud.objects.get_range(URI, start=2, stop=5, etag=etag) == b"234"
    assert cloud.objects.get_range(URI, start=8, stop=50, etag=etag) == b"89"
    cloud.s3.put_object(Bucket="embeddings", Key="x/y.parquet", Body=b"another body")
    with pytest.raises(ObjectMissingError, match="no longer the ETag"):
        cloud.objects.get_range(URI, start=0, stop=5, etag=etag)
    with pytest.raises(ObjectMissingError):
        cloud.objects.get_range("s3://embeddings/gone", start=0, stop=5, etag=etag)


def test_a_range_that_may_not_be_read() -> None:
    client = boto3.client("s3", region_name=REGION, aws_access_key_id="a", aws_secret_access_key="b")
    stub = Stubber(client)
    stub.add_client_error("get_object", "AccessDenied", http_status_code=403)
    with stub, pytest.raises(ObjectForbiddenError):
        S3Objects(client).get_range(URI, start=0, stop=5, etag="e")


@pytest.mark.parametrize("key", ["x" * 1025, "\u00fc" * 513])
def test_a_key_that_no_object_can_have_is_missing(key: str) -> None:
    """S3 answers 400, which looks like what a retry may cure."""
    client = boto3.client("s3", region_name=REGION, aws_access_key_id="a", aws_secret_access_key="b")
    with Stubber(client), pytest.raises(ObjectMissingError, match="at most 1024 bytes"):
        S3Objects(client).head(f"s3://scenes/{key}")


def test_anothers_object_is_a_conflict_and_left_as_it_is(cloud: Cloud) -> None:
    put(cloud)
    with pytest.raises(OutputConflictError, match=f"{URI} exists and belongs to run {RUN}, not to {OTHER}"):
        put(cloud, run=OTHER, body=b"second")
    assert cloud.objects.get(URI) == b"first"


def test_an_object_of_nobody_is_a_conflict(cloud: Cloud) -> None:
    cloud.s3.put_object(Bucket="embeddings", Key="x/y.parquet", Body=b"by hand")
    with pytest.raises(OutputConflictError, match="belongs to run None"):
        put(cloud)
    assert cloud.objects.get(URI) == b"by hand"


def test_a_file_is_written_as_it_is_on_disk(cloud: Cloud, tmp_path: Path) -> None:
    body = bytes(range(256)) * 5000
    (tmp_path / "file").write_bytes(body)
    assert cloud.objects.put_new(URI, tmp_path / "file", run=RUN, content_type="x/y") is True
    assert cloud.objects.get(URI) == body
    assert cloud.objects.put_new(URI, tmp_path / "file", run=RUN, content_type="x/y") is False


def test_head(cloud: Cloud) -> None:
    cloud.s3.put_object(Bucket="work", Key="a", Body=b"12345", Metadata={"DateTime": "2024-06-01", "sensor": "naip"})
    etag = hashlib.md5(b"12345", usedforsecurity=False).hexdigest()
    assert cloud.objects.head("s3://work/a") == ObjectHead(
        uri="s3://work/a", size=5, etag=etag, metadata={"datetime": "2024-06-01", "sensor": "naip"}
    )


@pytest.mark.parametrize("uri", ["s3://work/missing", "s3://no-such-bucket/key"])
def test_what_is_not_there(cloud: Cloud, uri: str) -> None:
    with pytest.raises(ObjectMissingError, match=uri):
        cloud.objects.head(uri)
    with pytest.raises(ObjectMissingError, match=uri):
        cloud.objects.get(uri)


def test_an_empty_object_is_there(cloud: Cloud) -> None:
    put(cloud, body=b"")
    assert cloud.objects.head(URI).size == 0
    assert cloud.objects.get(URI) == b""


def keys_of(cloud: Cloud) -> set[str]:
    return {entry["Key"] for entry in cloud.s3.list_objects_v2(Bucket="work").get("Contents", [])}


@pytest.mark.parametrize("key", ODD)
def test_keys_stay_what_they_are(cloud: Cloud, key: str) -> None:
    assert put(cloud, f"s3://work/{key}") is True
    assert keys_of(cloud) == {key}
    assert put(cloud, f"s3://work/{key}") is False
    assert cloud.objects.get(f"s3://work/{key}") == b"first"
    assert cloud.objects.head(f"s3://work/{key}").metadata == {"run-id": RUN}


@moto_examples
@given(
    st.text(st.characters(codec="utf-8", exclude_categories=["C"]), min_size=1, max_size=30).filter(
        lambda key: {"", ".", ".."}.isdisjoint(key.split("/"))
    )
)
def test_any_key_names_one_object(cloud: Cloud, key: str) -> None:
    uri = f"s3://work/{key}"
    put(cloud, uri)
    assert key in keys_of(cloud)
    assert put(cloud, uri) is False
    cloud.s3.delete_object(Bucket="work", Key=key)


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("AccessDenied", 403),
        ("InternalError", 500),
        ("SlowDown", 503),
        ("ConditionalRequestConflict", 409),
        ("InvalidBucketState", 409),
    ],
)
def test_what_else_s3_refuses_comes_again(code: str, status: int) -> None:
    """409 among it: another write of the same key is under way, and AWS says to try again."""
    client = boto3.client("s3", region_name=REGION)
    with Stubber(client) as stub:
        for method in ("head_object", "get_object", "put_object"):
            stub.add_client_error(method, code, http_status_code=status)
        objects = S3Objects(client)
        with pytest.raises(TransientError, match=f"s3://b/k.*{code}"):
            objects.head("s3://b/k")
        with pytest.raises(TransientError, match=f"s3://b/k.*{code}"):
            objects.get("s3://b/k")
        with pytest.raises(TransientError, match=f"s3://b/k.*{code}"):
            objects.put_new("s3://b/k", b"", run=RUN, content_type="x/y")
        stub.assert_no_pending_responses()


def test_readers_pay_where_the_owner_has_them_and_nowhere_else() -> None:
    access = Access.parse(requester_pays="theirs", regions="")
    client = boto3.client("s3", region_name=REGION)
    for bucket, payer in (("theirs", {"RequestPayer": "requester"}), ("ours", {})):
        expected = {"Bucket": bucket, "Key": "k", **payer}
        with Stubber(client) as stub:
            stub.add_response("head_object", {"ContentLength": 1, "ETag": '"e"'}, expected)
            stub.add_client_error("get_object", "NoSuchKey", expected_params=expected)
            stub.add_client_error(
                "get_object", "NoSuchKey", expected_params={**expected, "Range": "bytes=0-9", "IfMatch": '"e"'}
            )
            objects = S3Objects(client, access=access)
            objects.head(f"s3://{bucket}/k")
            with pytest.raises(ObjectMissingError):
                objects.get(f"s3://{bucket}/k")
            with pytest.raises(ObjectMissingError):
                objects.get_range(f"s3://{bucket}/k", start=0, stop=10, etag="e")
            stub.assert_no_pending_responses()


def test_a_bucket_of_another_region_is_asked_there(cloud: Cloud) -> None:
    made: list[str] = []

    def elsewhere(region: str) -> Any:
        made.append(region)
        return cloud.s3

    access = Access.parse(requester_pays="", regions="work=us-west-2")
    cloud.s3.put_object(Bucket="work", Key="a", Body=b"1")
    cloud.s3.put_object(Bucket="embeddings", Key="a", Body=b"1")
    objects = S3Objects(cloud.s3, access=access, elsewhere=elsewhere)
    for uri in ("s3://embeddings/a", "s3://work/a", "s3://work/a"):
        assert (objects.head(uri).size, objects.get(uri)) == (1, b"1")
    assert made == ["us-west-2"]


def test_who_may_not_read_is_told_so_and_may_try_again() -> None:
    client = boto3.client("s3", region_name=REGION)
    with Stubber(client) as stub:
        stub.add_client_error("head_object", "403", http_status_code=403)
        with pytest.raises(ObjectForbiddenError, match="s3://b/k may not be read"):
            S3Objects(client).head("s3://b/k")


def test_put_asks_s3_to_refuse_what_is_there() -> None:
    client = boto3.client("s3", region_name=REGION)
    expected = {
        "Bucket": "b",
        "Key": "a b",
        "Body": b"x",
        "ContentType": "x/y",
        "IfNoneMatch": "*",
        "Metadata": {"run-id": RUN},
    }
    with Stubber(client) as stub:
        stub.add_response("put_object", {}, expected)
        assert S3Objects(client).put_new("s3://b/a b", b"x", run=RUN, content_type="x/y") is True


def test_a_conflict_whose_owner_vanished_is_not_taken_for_success() -> None:
    client = boto3.client("s3", region_name=REGION)
    with Stubber(client) as stub:
        stub.add_client_error("put_object", "PreconditionFailed", http_status_code=412)
        stub.add_client_error("head_object", "404", http_status_code=404)
        with pytest.raises(ObjectMissingError):
            S3Objects(client).put_new("s3://b/k", b"x", run=RUN, content_type="x/y")


def test_a_network_that_fails_comes_again(monkeypatch: pytest.MonkeyPatch) -> None:
    client = boto3.client("s3", region_name=REGION)

    def fail(*_: object, **__: object) -> None:
        raise ConnectTimeoutError(endpoint_url="https://s3")

    monkeypatch.setattr(client, "head_object", fail)
    with pytest.raises(TransientError, match="HEAD s3://b/k"):
        S3Objects(client).head("s3://b/k")
