"""A dataset under the prefix: whole, it passes; each thing done to it is found by the check that is named."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from moto import mock_aws
from tests.dataset.scenes import MadeUp

from clayline.aws.dataset_root import S3Root
from clayline.dataset.folder import FolderRoot
from clayline_cli.program import main

DATASET = ("dataset-index", "dataset-files", "dataset-chips")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three scenes, one of them in two revisions, indexed and compacted."""
    root = tmp_path_factory.mktemp("root")
    for scene in (MadeUp(number=1), MadeUp(number=2), MadeUp(number=2, revision=2), MadeUp(number=3)):
        scene.land(FolderRoot(root))
    assert main(["index", str(root), "--quiet"]) == 0
    assert main(["compact", str(root), "--quiet"]) == 0
    return root


def said(root: Path | str, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Verify a dataset; gives what is said of each file and of all."""
    capsys.readouterr()
    main(["verify", str(root), "--json", "--quiet"])
    return capsys.readouterr().out.splitlines()


def found(root: Path | str, capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    """Give the dataset's checks that found something."""
    together = json.loads(said(root, capsys)[-1])
    return {
        each["check"]: each["findings"][0]["message"]
        for each in together["checks"]
        if each["check"] in DATASET and each["findings"]
    }


def compact(root: Path) -> Path:
    """Give the first compact file."""
    return min((root / "dataset" / "files").rglob("*.parquet"))


def rewritten(change: Callable[[pa.Table], pa.Table]) -> Callable[[Path], None]:
    """Write a compact file again."""

    def mutate(root: Path) -> None:
        path = compact(root)
        pq.write_table(change(pq.read_table(path)), path)

    return mutate


def revaluated(table: pa.Table) -> pa.Table:
    """Exchange the vectors of two rows."""
    at = table.schema.get_field_index("embeddings")
    held: list[Any] = table["embeddings"].to_pylist()
    held[0], held[1] = held[1], held[0]
    return table.set_column(at, table.schema.field(at), pa.array(held, table.schema.field(at).type))


def lengthened(root: Path) -> None:
    """Add a byte to a scene's file."""
    path = min(path for path in root.rglob("*_v001.parquet") if "dataset" not in path.parts)
    path.write_bytes(path.read_bytes() + b"x")


def damaged(root: Path) -> None:
    """Write over the manifest."""
    (root / "dataset" / "manifest.json").write_text("{}x")


def test_a_dataset_in_s3_passes_and_what_is_done_to_it_is_found(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with mock_aws():
        client: Any = boto3.client("s3")
        client.create_bucket(Bucket="embeddings")
        root = S3Root(client, bucket="embeddings", prefix="all")
        for number in range(3):
            MadeUp(number=number).land(root)
        target = "s3://embeddings/all/"
        assert main(["index", target, "--quiet"]) == 0
        assert main(["compact", target, "--quiet"]) == 0
        assert found(target, capsys) == {}
        [key] = [stored.key for stored in root.list("dataset/files/")]
        body, _ = root.get(key, most=1 << 30)
        other = body.replace(b'"square"', b'"sqvare"')  # of the same size, and the chips are the same
        put = {"Bucket": "embeddings", "Key": f"all/{key}", "Body": other}
        client.put_object(**put, ChecksumAlgorithm="SHA256")
        assert "SHA-256" in found(target, capsys)["dataset-files"]
        client.put_object(**put)
        assert found(target, capsys) == {}
        checks = json.loads(said(target, capsys)[-1])["checks"]
        reason = {check["check"]: check["reason"] for check in checks}["dataset-files"]
        assert reason == "of 1 objects S3 states no SHA-256: their sizes were compared"
        root.discard([key])
        assert "that is not there" in found(target, capsys)["dataset-files"]


def test_a_whole_dataset_passes(whole: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert found(whole, capsys) == {}


def test_a_copy_with_other_times_is_as_good(whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "root"
    shutil.copytree(whole, root, copy_function=shutil.copyfile)
    for path in root.rglob("*.parquet"):
        os.utime(path, ns=(1, 1))
    assert found(root, capsys) == {}
    checks = json.loads(said(root, capsys)[-1])["checks"]
    reason = {check["check"]: check["reason"] for check in checks}["dataset-index"]
    assert "have another ETag than the index says, as copies have" in reason


@pytest.mark.parametrize(
    ("mutate", "check", "says"),
    [
        (lambda root: MadeUp(number=4).land(FolderRoot(root)), "dataset-index", "no row of the index"),
        (lambda root: MadeUp(number=3, revision=2).land(FolderRoot(root)), "dataset-index", "no row of the index"),
        (lengthened, "dataset-index", "size is not that of the index"),
        (damaged, "dataset-index", "cannot be read"),
        (lambda root: compact(root).unlink(), "dataset-files", "that is not there"),
        (rewritten(lambda table: table), "dataset-files", "are not those of the manifest"),
        (rewritten(lambda table: table.slice(1)), "dataset-chips", "is in no compact file"),
        (rewritten(lambda table: pa.concat_tables([table, table.slice(0, 1)])), "dataset-chips", "more than once"),
        (rewritten(revaluated), "dataset-chips", "not that of the scene's file"),
    ],
    ids=["a scene not indexed", "a revision not indexed", "a scene file changed", "a manifest damaged",
         "a compact file gone", "a compact file written again", "a chip lost", "a chip twice", "vectors exchanged"],
)  # fmt: skip
def test_what_is_done_to_it_is_found(
    mutate: Callable[[Path], None],
    check: str,
    says: str,
    whole: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    root = tmp_path / "root"
    shutil.copytree(whole, root)
    mutate(root)
    assert says in found(root, capsys)[check]
