"""``clayline verify`` as people call it: on this machine and in S3, one file and many, text and JSON, exit statuses."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws
from tests.verification.made import NAME, TOKEN, Made, make

from clayline.table import inspected
from clayline_cli.program import main

SCENE = f"{TOKEN}/0123456789ab"


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make(tmp_path_factory.mktemp("good"))


@pytest.fixture
def out(good: Made, tmp_path: Path) -> Path:
    """A folder of outputs: one scene."""
    shutil.copytree(good.parquet.parent, tmp_path / "out" / SCENE)
    return tmp_path / "out"


def told(capsys: pytest.CaptureFixture[str], *arguments: str, status: int) -> list[dict[str, Any]]:
    """Call it with --json, and give what it said."""
    assert main(["verify", *arguments, "--json", "--quiet"]) == status
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def found(values: dict[str, Any]) -> dict[str, str]:
    """Give the checks that found something, and how much it weighs."""
    return {each["check"]: each["result"] for each in values["checks"] if each["findings"]}


def second(out: Path, *, scene: str, revision: str = "v001") -> Path:
    """Copy the scene."""
    folder = out / TOKEN / scene
    folder.mkdir(parents=True, exist_ok=True)
    for path in (out / SCENE).iterdir():
        shutil.copy(path, folder / path.name.replace("v001", revision))
    return folder


def test_a_file_and_a_folder_are_told_for_people(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = out / SCENE / f"{NAME}.parquet"
    for target in (str(path), path.as_uri()):
        assert main(["verify", target]) == 0
        said = capsys.readouterr().out
        assert said.startswith(f"{path.as_uri()}\n  clayline, 110 rows, ")
        assert "(no model folder that was given has made-v1.0" in said
        assert "files together" not in said
    assert main(["verify", str(out)]) == 0
    assert "\n1 file, 110 rows: no error; what lies about it: no error\n" in capsys.readouterr().out
    second(out, scene="0123456789ab", revision="v002").joinpath(f"{NAME}.parquet").write_bytes(b"PAR1")
    assert main(["verify", str(out)]) == 1
    assert "\n2 files, 110 rows: ERRORS in 1; all together: no error\n" in capsys.readouterr().out


def test_statuses_are_of_errors_and_with_strict_of_warnings(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (out / SCENE / f"{NAME}_receipt.json").unlink()
    [file, together] = told(capsys, str(out), status=1)
    assert (found(file), found(together)) == ({"coverage": "warning"}, {"set-receipts": "error"})
    path = str(out / SCENE / f"{NAME}.parquet")
    assert told(capsys, path, status=0)[1] == {"files": 1, "rows": 110, "wrong": False, "checks": []}
    told(capsys, path, "--strict", status=1)


def test_an_identifier_in_two_scenes_is_found_and_in_two_revisions_is_not(
    out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    second(out, scene="0123456789ab", revision="v002")
    together = told(capsys, str(out), status=0)[-1]
    assert found(together) == {"set-revisions": "warning"}, "the copy's header says revision 1"
    second(out, scene="ba9876543210")
    assert found(told(capsys, str(out), status=1)[-1])["set-identifiers"] == "error"


def test_a_receipt_without_its_file_and_another_models_folder_are_found(
    out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (second(out, scene="ba9876543210") / f"{NAME}.parquet").unlink()
    (out / SCENE).rename(out / "other-v1.0-x")
    (out / "other-v1.0-x").rename(out / "moved")
    shutil.copytree(out / "moved", out / "other-v1.0-x" / "0123456789ab")
    shutil.rmtree(out / "moved")
    assert found(told(capsys, str(out), status=1)[-1]) == {"set-models": "error", "set-receipts": "error"}


def test_a_file_that_cannot_be_read_is_a_finding_beside_the_others(
    out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (second(out, scene="ba9876543210") / f"{NAME}.parquet").write_bytes(b"PAR1 and no more than that")
    files = told(capsys, str(out), status=1)[:-1]
    assert [file["rows"] for file in files] == [110, 0]
    assert found(files[1]) == {"readable": "error"}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["/nowhere/at/all"], "there is no /nowhere/at/all"),
        (["."], "holds no file of embeddings"),
        (["file://x"], "is no URI of a file"),
        (["a.parquet", "--region", "eu-central-1"], "--region is for s3:// URIs"),
        (["s3://bbb/a", "--local", "x", "--profile", "p"], "the local cloud has neither"),
        (["s3://bbb/a", "--local", "/nowhere"], "no local cloud is up"),
        (["s3://"], "'' is no bucket's name"),
        (["https://example.org/a.parquet"], "https://example.org/a.parquet is no path, file:// or s3:// URI"),
    ],
)
def test_what_cannot_be_run_is_one_sentence(
    arguments: list[str],
    says: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    try:
        status = main(["verify", *arguments])
    except SystemExit as stopped:
        status = int(str(stopped.code))
    said = capsys.readouterr().err
    assert (status, says in said) == (2, True), said


@pytest.fixture
def bucket(out: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The same in S3, as moto plays it."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with mock_aws():
        client: Any = boto3.client("s3", region_name="us-east-1")
        client.create_bucket(Bucket="embeddings")
        for path in sorted((out / SCENE).iterdir()):
            client.put_object(Bucket="embeddings", Key=f"{SCENE}/{path.name}", Body=path.read_bytes())
        yield client


def test_a_prefix_in_s3_is_checked_as_a_folder_is(out: Path, bucket: Any, capsys: pytest.CaptureFixture[str]) -> None:
    here, there = told(capsys, str(out), status=0), told(capsys, "s3://embeddings/", status=0)
    assert there[0]["file"] == f"s3://embeddings/{SCENE}/{NAME}.parquet"
    results = [[(check["check"], check["result"]) for check in each[0]["checks"]] for each in (here, there)]
    assert results[0] == results[1]
    assert ("checksums", "passed") in results[1]
    assert told(capsys, f"s3://embeddings/{SCENE}/{NAME}.parquet", status=0)[0]["rows"] == 110
    item = f"{SCENE}/{NAME}.json"
    body = (out / item).read_text(encoding="utf-8")
    bucket.put_object(Bucket="embeddings", Key=item, Body=body.replace("1220", "12201").encode())
    assert found(told(capsys, "s3://embeddings/", status=1)[0]) == {"checksums": "error"}
    bucket.put_object(Bucket="embeddings", Key=f"{SCENE}/{NAME}.parquet", Body=b"PAR1 cut off ..... PAR")
    assert found(told(capsys, "s3://embeddings/", status=1)[0]) == {"readable": "error"}


def test_of_a_large_file_in_s3_what_s3_states_is_compared_and_it_is_read_once(
    out: Path, bucket: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(inspected, "_KEPT", 1024)
    key, path = f"{SCENE}/{NAME}.parquet", out / SCENE / f"{NAME}.parquet"
    [file, _] = told(capsys, f"s3://embeddings/{key}", status=0)
    checks = {check["check"]: check for check in file["checks"]}
    assert (checks["checksums"]["result"], "S3 states no SHA-256" in checks["checksums"]["reason"]) == (
        "not checkable",
        True,
    )
    bucket.put_object(Bucket="embeddings", Key=key, Body=path.read_bytes(), ChecksumAlgorithm="SHA256")
    [file, _] = told(capsys, f"s3://embeddings/{key}", status=0)
    assert {check["check"]: check["result"] for check in file["checks"]}["checksums"] == "passed"
    body = path.read_bytes().replace(b"made for a test", b"made for a tost")
    bucket.put_object(Bucket="embeddings", Key=key, Body=body, ChecksumAlgorithm="SHA256")
    assert found(told(capsys, f"s3://embeddings/{key}", status=1)[0])["checksums"] == "error"


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("s3://embeddings/none/", "holds no file of embeddings"),
        ("s3://embeddings/none.parquet", "there is no such object"),
        ("s3://none-such-bucket/", "there is no such bucket"),
    ],
)
def test_what_is_not_in_s3_is_one_sentence(
    target: str, says: str, bucket: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bucket
    assert main(["verify", target]) == 2
    assert says in capsys.readouterr().err
