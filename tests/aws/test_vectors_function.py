"""vectors as Lambda calls it, over moto: every call that it makes is allowed by its role, and nothing is that no call
needs.
"""

import json
from dataclasses import dataclass, field
from typing import Any

import boto3
import botocore.client
import pytest
from tests.aws.conftest import REGION
from tests.aws.functions import Handler, deliver, event, handler
from tests.dataset.scenes import MadeUp
from tests.dataset.world import TOKEN
from tests.privilege.calls import Need
from tests.privilege.iam import read_policy
from tests.privilege.roles import judge

from clayline.aws.dataset_root import S3Root
from clayline.dataset.codebook import Codebook
from clayline.dataset.manifest import MANIFEST, TIERS, CompactFile, Extent, Manifest, StoredFile, Tier
from clayline.errors import TransientError
from clayline.steps.centres import stated_in
from clayline_local.template import ACCOUNT, LOCAL_PARAMETERS, TEMPLATE, expand

STACK = expand(TEMPLATE, {**LOCAL_PARAMETERS, "VectorBucket": "my-vectors"})
ENVIRONMENT = STACK.functions()["VectorsFunction"].environment
BUCKET = ENVIRONMENT["CLAYLINE_EMBEDDINGS_BUCKET"]
NAME = f"s3://{BUCKET}/"
MODELS = "clayline-modelbucket"
OF_LAMBDA = {"WriteLogs", "ReceiveEvents"}
"""What Lambda itself and its mapping take."""


@dataclass(kw_only=True)
class World:
    root: S3Root
    s3: Any
    vectors: Any
    take: Handler
    needs: set[Need] = field(default_factory=set)

    def announced(self, *bodies: str, seconds: float = 900.0) -> list[int]:
        """Give events to the function; gives the numbers of those that it gave back."""
        return deliver(self.take, *bodies, received=5, seconds=seconds)

    def keys(self) -> set[str]:
        found: set[str] = set()
        for index in self.vectors.list_indexes(vectorBucketName="my-vectors")["indexes"]:
            listed = self.vectors.list_vectors(vectorBucketName="my-vectors", indexName=index["indexName"])
            found |= {each["key"] for each in listed["vectors"]}
        return found

    def codebook(self, scene: MadeUp) -> None:
        """Have the dataset state the model's centre by a codebook."""
        book = f"{TIERS}{TOKEN}/codebook_{'0' * 16}.json"
        made = Codebook.of(scene.vectors().repeat(20, axis=0), token=TOKEN, digest=scene.row.digest)
        self.root.put_new(book, made.encode(stamp="a"))
        stored = StoredFile(href="dataset/files/x.parquet", size=1, rows=320, sha256="0" * 64)
        extent = Extent(west=0, south=0, east=1, north=1, start=scene.row.start, end=scene.row.end)
        tiers: Any = {"int8": Tier(file=stored, codebook=book)}
        file = CompactFile(file=stored, extent=extent, token=TOKEN, square="32UQD", year=2024, tiers=tiers)
        self.root.put_new(MANIFEST, Manifest(files=(file,)).model_dump_json().encode())


@pytest.fixture
def world(of_functions: Any, monkeypatch: pytest.MonkeyPatch) -> World:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    s3, vectors = of_functions, boto3.client("s3vectors", region_name=REGION)
    for bucket in (BUCKET, MODELS):
        s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
    starter = TEMPLATE.parent / "model" / "starter" / "starter-v1.0"
    for name in ("manifest.json", "statistics.json"):
        s3.put_object(Bucket=MODELS, Key=f"models/starter-v1.0/{name}", Body=(starter / name).read_bytes())
    vectors.create_vector_bucket(vectorBucketName="my-vectors")
    found = World(root=S3Root(s3, bucket=BUCKET), s3=s3, vectors=vectors, take=handler("vectors"))
    original: Any = botocore.client.BaseClient._make_api_call  # type: ignore[attr-defined]

    def recorded(client: Any, operation: str, parameters: dict[str, Any]) -> Any:
        if client not in (s3, vectors):
            found.needs |= _needs(client.meta.service_model.service_name, operation, parameters)
        return original(client, operation, parameters)

    monkeypatch.setattr(botocore.client.BaseClient, "_make_api_call", recorded)
    return found


def _needs(service: str, operation: str, parameters: dict[str, Any]) -> set[Need]:
    """Give what AWS's Service Authorization Reference asks for of a call."""
    if service == "s3vectors":
        index = f"bucket/{parameters['vectorBucketName']}/index/{parameters['indexName']}"
        return {Need(action=f"s3vectors:{operation}", resource=f"arn:aws:s3vectors:{REGION}:{ACCOUNT}:{index}")}
    where = f"arn:aws:s3:::{parameters['Bucket']}"
    if operation == "ListObjectsV2":
        return {Need(action="s3:ListBucket", resource=where)}
    if operation == "DeleteObjects":
        keys = [each["Key"] for each in parameters["Delete"]["Objects"]]
        return {Need(action="s3:DeleteObject", resource=f"{where}/{key}") for key in keys}
    action = {"HeadObject": "s3:GetObject"}.get(operation, f"s3:{operation}")
    found = {Need(action=action, resource=f"{where}/{parameters['Key']}")}
    if action == "s3:GetObject" and parameters["Bucket"] == BUCKET:  # what is not there is answered 404 only with this
        found.add(Need(action="s3:ListBucket", resource=where))
    return found


def test_scenes_are_sent_as_they_are_announced_and_the_role_allows_just_that(world: World) -> None:
    first, second = MadeUp(number=1), MadeUp(number=1, revision=2, rows=9)
    other = MadeUp(number=2, failed=3)
    world.codebook(first)
    first.land(world.root)
    other.land(world.root)
    assert world.announced(event(first, before=NAME), event(other, before=NAME)) == []
    assert world.keys() == {*first.ucis, *other.ucis}
    second.land(world.root)
    assert world.announced(event(second, before=NAME), event(first, before=NAME), event(second, before=NAME)) == []
    assert world.keys() == {*second.ucis, *other.ucis}
    marks = [stored.key for stored in world.root.list("vectors/")]
    assert marks == [
        f"vectors/my-vectors/{TOKEN}/{first.row.scene}_v001.json",
        f"vectors/my-vectors/{TOKEN}/{first.row.scene}_v002.json",
        f"vectors/my-vectors/{TOKEN}/{other.row.scene}_v001.json",
        f"vectors/my-vectors/{TOKEN}/model_{'0' * 12}.json",
    ]
    (policy,) = STACK.resources["VectorsRole"].properties["Policies"]
    grants = [grant for grant in read_policy(policy["PolicyDocument"]) if grant.sid not in OF_LAMBDA]
    verdict = judge([grant for grant in grants if grant.effect == "Allow"], world.needs)
    assert not verdict.refused
    assert not verdict.idle
    assert not judge(grants, world.needs).refused


def test_a_damaged_older_receipt_is_told_in_the_log(world: World, caplog: pytest.LogCaptureFixture) -> None:
    first, second = MadeUp(number=1), MadeUp(number=1, revision=2, rows=9)
    world.codebook(first)
    first.land(world.root)
    assert world.announced(event(first, before=NAME)) == []
    world.s3.put_object(Bucket=BUCKET, Key=first.file.receipt, Body=b"{")
    second.land(world.root)
    assert world.announced(event(second, before=NAME)) == []
    [told] = [record for record in caplog.records if record.levelname == "WARNING"]
    assert vars(told)["unread"] == (first.file.receipt,)
    assert "older revisions" in told.message
    assert world.keys() == set(first.ucis)


def test_a_model_folder_states_its_entries_centres(world: World) -> None:
    folder = S3Root(world.s3, bucket=MODELS, prefix="models/starter-v1.0")
    stated = stated_in(folder)
    entries = {
        each["token"]: each["digest"] for each in json.loads(folder.get("manifest.json", most=1 << 20)[0])["entries"]
    }
    assert stated
    assert stated.entries
    for token in stated.entries:
        assert stated.of(token, entries[token]), token


def test_statistics_that_the_manifest_does_not_list_as_they_are_wait(world: World) -> None:
    folder = S3Root(world.s3, bucket=MODELS, prefix="models/starter-v1.0")
    world.s3.put_object(Bucket=MODELS, Key="models/starter-v1.0/statistics.json", Body=b"{}")
    with pytest.raises(TransientError, match="not what the manifest lists"):
        stated_in(folder)
    world.s3.delete_object(Bucket=MODELS, Key="models/starter-v1.0/statistics.json")
    with pytest.raises(TransientError, match="not whole"):
        stated_in(folder)


def test_what_is_of_others_is_dropped_and_what_is_not_there_comes_again(world: World) -> None:
    scene = MadeUp(number=1)
    world.codebook(scene)
    elsewhere = event(scene, before="s3://another/")
    assert world.announced(elsewhere, "{}", event(scene, before=NAME), event(scene, before=NAME, repeated=True)) == [2]
    assert world.keys() == set()


def test_when_the_time_is_up_the_message_comes_again_and_the_next_call_ends_it(world: World) -> None:
    scene = MadeUp(number=1)
    world.codebook(scene)
    scene.land(world.root)
    assert world.announced(event(scene, before=NAME), seconds=70) == [0]
    assert world.keys() == set()
    assert world.announced(event(scene, before=NAME)) == []
    assert world.keys() == set(scene.ucis)


def test_a_model_that_nobody_centres_waits(world: World) -> None:
    scene = MadeUp(number=1)
    scene.land(world.root)
    assert world.announced(event(scene, before=NAME)) == [0]
    assert world.keys() == set()
