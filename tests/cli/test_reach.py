"""Commands that work on a bucket reach AWS by the profile and region that they are given, in every session."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import boto3
import pytest
from moto import mock_aws
from tests.dataset.scenes import MadeUp
from tests.dataset.world import TOKEN
from tests.likeness.vector_bucket import MemoryVectors
from tests.likeness.watches import CENTRE

from clayline.aws.dataset_root import S3Root
from clayline.likeness.vector_index import VectorModel
from clayline_cli.program import main

PROFILE: Final = "archive"
REGION: Final = "eu-west-3"
SCENE = MadeUp(number=0)
CALLS = [
    ["index", "s3://my-embeddings"],
    ["compact", "s3://my-embeddings", "--no-tiers"],
    ["vectors", "s3://my-embeddings", "--vector-bucket", "my-vectors", "--look"],
    ["search", "s3://my-embeddings", "--like", SCENE.ucis[0], "--s3-vectors", "my-vectors"],
    ["watch", "list", "s3://my-embeddings"],
]


@pytest.fixture
def sessions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[str | None, str | None]]]:
    """Profile and region of each session that is made."""
    (tmp_path / "credentials").write_text(f"[{PROFILE}]\naws_access_key_id = a\naws_secret_access_key = b\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    with mock_aws():
        client = boto3.client("s3", region_name=REGION)
        client.create_bucket(Bucket="my-embeddings", CreateBucketConfiguration={"LocationConstraint": REGION})
        root = S3Root(client, bucket="my-embeddings")
        SCENE.land(root)
        assert main(["index", "s3://my-embeddings", "--quiet"]) == 0
        model = VectorModel.by(CENTRE, token=TOKEN, digest=SCENE.row.digest)
        key = f"vectors/my-vectors/{TOKEN}/model_{SCENE.row.digest.removeprefix('sha256:')[:12]}.json"
        root.put_new(key, model.model_dump_json().encode())
        vectors = MemoryVectors(there={f"{model.stem}.32": {}})
        monkeypatch.setattr("clayline_cli.searching.bucket.S3Vectors", lambda *_, **__: vectors)
        made: list[tuple[str | None, str | None]] = []
        plain = boto3.session.Session

        def session(*, profile_name: str | None = None, region_name: str | None = None) -> Any:
            made.append((profile_name, region_name))
            return plain(profile_name=profile_name, region_name=region_name)

        monkeypatch.setattr(boto3.session, "Session", session)
        yield made


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call[0])
def test_every_session_of_a_call_is_of_the_profile_and_region(
    sessions: list[tuple[str | None, str | None]], call: list[str]
) -> None:
    assert main([*call, "--profile", PROFILE, "--region", REGION, "--quiet"]) == 0
    assert sessions
    assert set(sessions) == {(PROFILE, REGION)}
