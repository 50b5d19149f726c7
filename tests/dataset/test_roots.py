"""Roots: the same contract in S3 (as moto plays it) and in a folder."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber
from moto import mock_aws

from clayline.aws.dataset_root import S3Root
from clayline.aws.failures import retryable
from clayline.dataset.folder import FolderRoot
from clayline.dataset.ports import WritableRoot
from clayline.errors import TransientError
from clayline.ports import ObjectForbiddenError, ObjectMissingError, ObjectTooLargeError

KEY = "dataset/manifest.json"
REGION = "eu-central-1"


def _client() -> Any:
    return boto3.client("s3", region_name=REGION, aws_access_key_id="a", aws_secret_access_key="b")


@pytest.fixture(params=["s3", "s3-prefix", "folder"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[WritableRoot]:
    if request.param == "folder":
        yield FolderRoot(tmp_path / "root")
        return
    with mock_aws():
        client = _client()
        client.create_bucket(Bucket="embeddings", CreateBucketConfiguration={"LocationConstraint": REGION})
        client.put_object(Bucket="embeddings", Key="a/beside", Body=b"not under the prefix")
        prefix = "" if request.param == "s3" else "a/b"
        if not prefix:
            client.delete_object(Bucket="embeddings", Key="a/beside")
        yield S3Root(client, bucket="embeddings", prefix=prefix)


def test_what_was_written_is_read_whole_in_parts_and_listed(root: WritableRoot, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"from a file")
    assert root.put_new("dataset/b/2.parquet", file)
    assert root.put_new("dataset/b/1.parquet", b"0123456789")
    assert root.put_new("dataset/c.json", b"{}")
    body, etag = root.get("dataset/b/1.parquet", most=10)
    assert body == b"0123456789"
    head = root.head("dataset/b/1.parquet")
    assert (head.key, head.size, head.etag) == ("dataset/b/1.parquet", 10, etag)
    assert root.get_range("dataset/b/1.parquet", start=2, stop=5) == b"234"
    assert root.get_range("dataset/b/1.parquet", start=8, stop=50, etag=etag) == b"89"
    assert root.get("dataset/b/2.parquet", most=100)[0] == b"from a file"
    assert [stored.key for stored in root.list("dataset/b/")] == ["dataset/b/1.parquet", "dataset/b/2.parquet"]
    assert [stored.key for stored in root.list("dataset/c")] == ["dataset/c.json"]
    (listed,) = root.list("dataset/b/1")
    assert (listed.key, listed.size, listed.etag) == (head.key, head.size, head.etag)
    assert len(list(root.list(""))) == 3
    assert list(root.list("nothing/here")) == []


def test_what_is_there_is_not_written_again(root: WritableRoot) -> None:
    assert root.put_new(KEY, b"first")
    assert not root.put_new(KEY, b"second")
    assert root.get(KEY, most=9)[0] == b"first"


def test_a_swap_takes_the_etag_that_was_read(root: WritableRoot) -> None:
    assert root.replace(KEY, b"one", etag=None)
    assert not root.replace(KEY, b"two", etag=None)
    etag = root.head(KEY).etag
    assert root.replace(KEY, b"two", etag=etag)
    assert not root.replace(KEY, b"thr", etag=etag)
    assert root.get(KEY, most=9)[0] == b"two"
    assert root.head(KEY).etag != etag
    with pytest.raises(ObjectMissingError):
        root.get_range(KEY, start=0, stop=3, etag=etag)
    assert not root.replace("dataset/none", b"x", etag=etag)


def test_deleting_leaves_the_rest_and_asks_for_nothing_to_be_there(root: WritableRoot) -> None:
    root.put_new("dataset/a", b"a")
    root.put_new("dataset/b", b"b")
    root.discard(["dataset/a", "dataset/never"])
    root.discard([])
    assert [stored.key for stored in root.list("dataset/")] == ["dataset/b"]


def test_what_is_not_there_or_too_large_says_so(root: WritableRoot) -> None:
    asked: list[Callable[[], object]] = [
        lambda: root.head("dataset/x"),
        lambda: root.get("dataset/x", most=9),
        lambda: root.get_range("dataset/x", start=0, stop=5),
    ]
    for ask in asked:
        with pytest.raises(ObjectMissingError, match="dataset/x"):
            ask()
    root.put_new("dataset/x", b"12345")
    with pytest.raises(ObjectTooLargeError, match="dataset/x has 5 bytes; at most 4"):
        root.get("dataset/x", most=4)


def test_of_many_that_swap_at_once_each_counts_once(tmp_path: Path) -> None:
    root = FolderRoot(tmp_path)
    root.replace(KEY, b"0", etag=None)

    def add(_: int) -> None:
        while True:
            body, etag = root.get(KEY, most=9)
            if root.replace(KEY, str(int(body) + 1).encode(), etag=etag):
                return

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add, range(40)))
    assert root.get(KEY, most=9)[0] == b"40"
    assert [stored.key for stored in root.list("")] == [KEY]


def test_no_key_leads_out_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")
    root = FolderRoot(tmp_path / "root")
    for key in ("../secret", "dataset/../../secret", "/etc/passwd", "dataset//x", "dataset/.lock", ""):
        with pytest.raises(ObjectMissingError):
            root.head(key)
        with pytest.raises(ObjectMissingError):
            root.discard([key])
    assert (tmp_path / "secret").exists()


def test_an_unfinished_file_is_no_object_and_none_is_left_by_a_failure(tmp_path: Path) -> None:
    root = FolderRoot(tmp_path)
    root.put_new("dataset/a", b"a")
    (tmp_path / "dataset" / ".b.0123").write_bytes(b"half")
    assert [stored.key for stored in root.list("")] == ["dataset/a"]
    with pytest.raises(ObjectMissingError):
        root.put_new("dataset/c", tmp_path / "not-there")
    assert sorted(path.name for path in (tmp_path / "dataset").iterdir()) == [".b.0123", "a"]


def test_a_file_system_without_links_keeps_the_rule(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    root = FolderRoot(tmp_path)
    assert root.put_new(KEY, b"first")
    assert not root.put_new(KEY, b"second")
    assert root.get(KEY, most=9)[0] == b"first"


def test_a_bucket_that_is_not_there_is_told_as_one() -> None:
    with mock_aws(), pytest.raises(ObjectMissingError, match=r"^there is no bucket nobucket$"):
        list(S3Root(_client(), bucket="nobucket", prefix="a").list(""))


def test_a_page_of_html_is_no_message() -> None:
    client = _client()
    with Stubber(client) as stub:
        stub.add_client_error("list_objects_v2", "404", "<!doctype html>\n<html><h1>Not Found</h1></html>", 404)
        stub.add_client_error("list_objects_v2", "SlowDown", "one\ntwo", 503)
        with pytest.raises(TransientError) as page, retryable("LIST"):
            client.list_objects_v2(Bucket="embeddings")
        with pytest.raises(TransientError) as lines, retryable("LIST"):
            client.list_objects_v2(Bucket="embeddings")
    assert "<" not in str(page.value)
    assert str(page.value).endswith("(with a page of HTML, as no service of AWS answers)")
    assert str(lines.value).endswith("operation: one two")


@pytest.mark.parametrize(
    ("code", "status", "error"), [("AccessDenied", 403, ObjectForbiddenError), ("InternalError", 500, TransientError)]
)
def test_what_s3_refuses_to_a_reader(code: str, status: int, error: type[Exception]) -> None:
    client = _client()
    root = S3Root(client, bucket="embeddings", prefix="a")
    for operation, ask in (
        ("get_object", lambda: root.get(KEY, most=9)),
        ("get_object", lambda: root.get_range(KEY, start=0, stop=5)),
        ("head_object", lambda: root.head(KEY)),
        ("list_objects_v2", lambda: list(root.list(""))),
    ):
        with Stubber(client) as stub:
            stub.add_client_error(operation, code, http_status_code=status)
            with pytest.raises(error):
                ask()


def test_s3_that_is_busy_with_the_same_key_is_no_answer_to_a_first_write_and_a_lost_swap() -> None:
    client = _client()
    root = S3Root(client, bucket="embeddings")
    with Stubber(client) as stub:
        stub.add_client_error("put_object", "ConditionalRequestConflict", http_status_code=409)
        stub.add_client_error("put_object", "ConditionalRequestConflict", http_status_code=409)
        with pytest.raises(TransientError):
            root.put_new(KEY, b"x")
        assert not root.replace(KEY, b"x", etag="e")


def test_an_object_that_s3_did_not_delete_is_told() -> None:
    client = _client()
    with Stubber(client) as stub:
        stub.add_response("delete_objects", {"Errors": [{"Key": KEY, "Message": "denied"}]})
        with pytest.raises(TransientError, match="1 objects of s3://embeddings were not deleted, the first: denied"):
            S3Root(client, bucket="embeddings").discard([KEY])
