"""The model bucket, with moto in process.

A folder counts when its manifest lies there, and a token names one digest for ever.
"""

import base64
import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws
from tests.server.model_folders import build_model_folder

from clayline.errors import ModelError
from clayline.model.manifest import ModelEntry, entry_digest
from publish import bucket as bucket_module
from publish.bucket import ModelBucket
from publish.errors import PublishError
from publish.folder import FolderFile, read_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypy_boto3_s3 import S3Client

BUCKET = "models-of-ours"


@pytest.fixture
def s3() -> "Iterator[S3Client]":
    with mock_aws():
        client = boto3.client("s3", region_name="eu-central-1")
        client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
        yield client


@pytest.fixture
def writes(s3: "S3Client") -> list[tuple[str, dict[str, Any]]]:
    """Every PutObject from here on, in order: key and parameters."""
    seen: list[tuple[str, dict[str, Any]]] = []

    def note(params: dict[str, Any], **_: Any) -> None:
        seen.append((params["Key"], dict(params)))

    s3.meta.events.register("provide-client-params.s3.PutObject", note)
    return seen


def silent(_: FolderFile, __: int) -> None:
    pass


def keys(s3: "S3Client") -> set[str]:
    return {item["Key"] for item in s3.list_objects_v2(Bucket=BUCKET).get("Contents", [])}


def add_entry(path: Path, suffix: str, *, gsd: float = 10.0, only: bool = False) -> None:
    """Give the folder at ``path`` a second entry; ``only``: instead of the first."""
    content = json.loads((path / "manifest.json").read_text())
    entry = content["entries"][0] | {"token": f"tiny-v1.0-{suffix}", "gsd": gsd}
    entry["digest"] = entry_digest(ModelEntry.model_validate(entry), content["files"])
    content["entries"] = [entry] if only else [*content["entries"], entry]
    (path / "manifest.json").write_text(json.dumps(content))


def test_the_manifest_comes_last_and_every_object_carries_its_digest(
    s3: "S3Client", writes: list[tuple[str, dict[str, Any]]], tmp_path: Path
) -> None:
    path = build_model_folder(tmp_path)
    uploaded = ModelBucket(s3, BUCKET).upload(read_folder(path), progress=silent)
    assert uploaded.uri == f"s3://{BUCKET}/models/tiny-v1.0/"
    assert [key for key, _ in writes][-1] == "models/tiny-v1.0/manifest.json"
    assert writes[-1][1]["IfNoneMatch"] == "*"
    assert len(writes) == 3
    for key, _ in writes:
        content = (path / key.rsplit("/", 1)[1]).read_bytes()
        head = s3.head_object(Bucket=BUCKET, Key=key, ChecksumMode="ENABLED")
        assert head["Metadata"]["sha256"] == "sha256:" + hashlib.sha256(content).hexdigest()
        assert head["ChecksumSHA256"] == base64.b64encode(hashlib.sha256(content).digest()).decode()


def test_a_second_time_nothing_is_written(
    s3: "S3Client", writes: list[tuple[str, dict[str, Any]]], tmp_path: Path
) -> None:
    path = build_model_folder(tmp_path)
    ModelBucket(s3, BUCKET).upload(read_folder(path), progress=silent)
    writes.clear()
    uploaded = ModelBucket(s3, BUCKET).upload(read_folder(path), progress=silent)
    assert writes == []
    assert (uploaded.sent, set(uploaded.kept)) == ((), {"tiny.onnx", "card.md", "manifest.json"})


def test_an_interrupted_upload_is_no_folder_and_goes_on_where_it_was(
    s3: "S3Client", writes: list[tuple[str, dict[str, Any]]], tmp_path: Path
) -> None:
    path = build_model_folder(tmp_path)
    bucket = ModelBucket(s3, BUCKET)

    def interrupt(file: FolderFile, done: int) -> None:
        if file.name == "tiny.onnx" and not done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bucket.upload(read_folder(path), progress=interrupt)
    assert keys(s3) == {"models/tiny-v1.0/card.md"}
    assert bucket.published() == {}
    writes.clear()
    uploaded = bucket.upload(read_folder(path), progress=silent)
    assert [key.rsplit("/", 1)[1] for key, _ in writes] == ["tiny.onnx", "manifest.json"]
    assert uploaded.kept == ("card.md",)
    assert list(bucket.published()) == [f"s3://{BUCKET}/models/tiny-v1.0/manifest.json"]


def test_a_damaged_leftover_is_sent_again(s3: "S3Client", tmp_path: Path) -> None:
    """Left by a copy that was no publisher, or by another export of the same version that was never finished."""
    s3.put_object(
        Bucket=BUCKET, Key="models/tiny-v1.0/tiny.onnx", Body=b"half", Metadata={"sha256": "sha256:" + "1" * 64}
    )
    path = build_model_folder(tmp_path)
    assert "tiny.onnx" in ModelBucket(s3, BUCKET).upload(read_folder(path), progress=silent).sent
    assert (
        s3.get_object(Bucket=BUCKET, Key="models/tiny-v1.0/tiny.onnx")["Body"].read()
        == (path / "tiny.onnx").read_bytes()
    )


def test_a_large_file_goes_in_parts(s3: "S3Client", tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bucket_module, "_PART", 5 * 1024 * 1024)
    path = build_model_folder(tmp_path)
    content = bytes(range(256)) * 4096 * 12  # 12 MiB: three parts
    (path / "weights.data").write_bytes(content)
    manifest = json.loads((path / "manifest.json").read_text())
    manifest["files"]["weights.data"] = "sha256:" + hashlib.sha256(content).hexdigest()
    (path / "manifest.json").write_text(json.dumps(manifest))
    parts: list[str] = []
    s3.meta.events.register(
        "provide-client-params.s3.UploadPart", lambda params, **_: parts.append(params["ChecksumAlgorithm"])
    )
    steps: list[int] = []
    bucket = ModelBucket(s3, BUCKET)
    uploaded = bucket.upload(
        read_folder(path), progress=lambda file, done: steps.append(done) if file.name == "weights.data" else None
    )
    assert "weights.data" in uploaded.sent
    assert parts == ["SHA256"] * 3
    assert steps == sorted(steps)
    assert steps[-1] == len(content)
    assert s3.get_object(Bucket=BUCKET, Key="models/tiny-v1.0/weights.data")["Body"].read() == content
    assert "weights.data" in bucket.upload(read_folder(path), progress=silent).kept


def test_a_token_never_gets_a_second_digest(s3: "S3Client", tmp_path: Path) -> None:
    bucket = ModelBucket(s3, BUCKET)
    old = read_folder(build_model_folder(tmp_path / "a", name="one"))
    bucket.upload(old, progress=silent)
    path = build_model_folder(tmp_path / "b", name="two", dimensions=9)
    content = json.loads((path / "manifest.json").read_text())
    entry = content["entries"][0] | {"token": "one-v1.0-test"}
    entry["digest"] = entry_digest(ModelEntry.model_validate(entry), content["files"])
    (path / "manifest.json").write_text(json.dumps(content | {"entries": [entry]}))
    before = keys(s3)
    with pytest.raises(ModelError, match="another name or version") as raised:
        bucket.upload(read_folder(path), progress=silent)
    for part in ("one-v1.0-test", old.manifest.entries[0].digest, entry["digest"], "models/one-v1.0/manifest.json"):
        assert part in str(raised.value)
    assert keys(s3) == before


def test_a_published_folder_may_grow(s3: "S3Client", writes: list[tuple[str, dict[str, Any]]], tmp_path: Path) -> None:
    path = build_model_folder(tmp_path)
    bucket = ModelBucket(s3, BUCKET)
    bucket.upload(read_folder(path), progress=silent)
    etag = s3.head_object(Bucket=BUCKET, Key="models/tiny-v1.0/manifest.json")["ETag"]
    add_entry(path, "more")
    writes.clear()
    assert bucket.upload(read_folder(path), progress=silent).sent == ("manifest.json",)
    assert writes[-1][1]["IfMatch"] == etag
    [manifest] = bucket.published().values()
    assert [entry.token for entry in manifest.entries] == ["tiny-v1.0-test", "tiny-v1.0-more"]


def test_a_published_folder_may_not_shrink_or_change(s3: "S3Client", tmp_path: Path) -> None:
    bucket = ModelBucket(s3, BUCKET)
    bucket.upload(read_folder(build_model_folder(tmp_path / "a")), progress=silent)
    other = build_model_folder(tmp_path / "b")
    add_entry(other, "more", only=True)
    with pytest.raises(ModelError, match=r"tiny-v1\.0-test.*may only grow"):
        bucket.upload(read_folder(other), progress=silent)
    with pytest.raises(ModelError, match="is taken"):
        bucket.upload(read_folder(build_model_folder(tmp_path / "c", dimensions=9)), progress=silent)


def test_two_publishers_at_once_do_not_overwrite_each_other(s3: "S3Client", tmp_path: Path) -> None:
    """Both compared with nothing; the slower one meets the other's manifest."""
    path, theirs = build_model_folder(tmp_path / "ours"), build_model_folder(tmp_path / "theirs")
    add_entry(theirs, "more")

    def overtake() -> None:
        s3.meta.events.unregister("provide-client-params.s3.PutObject", late)
        s3.put_object(Bucket=BUCKET, Key="models/tiny-v1.0/manifest.json", Body=(theirs / "manifest.json").read_bytes())

    def late(params: dict[str, Any], **_: Any) -> None:
        if params["Key"].endswith("manifest.json"):
            overtake()

    s3.meta.events.register("provide-client-params.s3.PutObject", late)
    with pytest.raises(PublishError, match="run the command again"):
        ModelBucket(s3, BUCKET).upload(read_folder(path), progress=silent)
    stored = s3.get_object(Bucket=BUCKET, Key="models/tiny-v1.0/manifest.json")["Body"].read()
    assert stored == (theirs / "manifest.json").read_bytes()


def test_a_file_that_changes_while_it_is_sent_publishes_nothing(s3: "S3Client", tmp_path: Path) -> None:
    path = build_model_folder(tmp_path)

    def meddle(file: FolderFile, done: int) -> None:
        if file.name == "tiny.onnx" and not done:
            file.path.write_bytes(b"exported again")

    with pytest.raises(ModelError, match="while it was published"):
        ModelBucket(s3, BUCKET).upload(read_folder(path), progress=meddle)
    assert "models/tiny-v1.0/manifest.json" not in keys(s3)


def test_a_manifest_that_cannot_be_read_is_named(s3: "S3Client", tmp_path: Path) -> None:
    s3.put_object(Bucket=BUCKET, Key="models/broken-v1.0/manifest.json", Body=b"{}")
    with pytest.raises(ModelError, match=r"models/broken-v1\.0/manifest\.json"):
        ModelBucket(s3, BUCKET).upload(read_folder(build_model_folder(tmp_path)), progress=silent)


def test_a_bucket_that_is_not_there_is_no_empty_bucket(s3: "S3Client", tmp_path: Path) -> None:
    with pytest.raises(ClientError, match="NoSuchBucket"):
        ModelBucket(s3, "nobodys").upload(read_folder(build_model_folder(tmp_path)), progress=silent)
