"""The pipeline taken, in its real processes, through every situation in which it calls AWS otherwise than in others.

A worker a function, moto, the container's server, wired by template.yaml; a recorder before each principal. Queues are
held where a situation needs two things in an order: a function that gets no messages for a while is what throttling
looks like.
"""

import json
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import boto3
import numpy as np
import pytest
from botocore.exceptions import ClientError
from tests.pipeline import scenes
from tests.privilege.recorder import Recorder, Request
from tests.server.model_folders import build_model_folder

from clayline.aws.dataset_root import S3Root
from clayline.dataset.codebook import LEAST_ROWS, Codebook
from clayline.dataset.scene_file import SceneFile
from clayline.likeness.centring import Centre
from clayline.likeness.probe import Probe
from clayline.likeness.watch import Watch, version_key
from clayline.model.manifest import MANIFEST_FILE, digest_of
from clayline.model.statistics import STATISTICS_FILE, FolderStatistics, VectorStatistics
from clayline.table.scene_chips import open_scene
from clayline_local.async_endpoint import AsyncEndpoint
from clayline_local.container import Container
from clayline_local.function import FunctionSpec
from clayline_local.invocation import AsyncEndpointConfig
from clayline_local.session import Session
from clayline_local.template import REGION
from clayline_local.worker import start_worker

ARCHIVE: Final = "clayline-archive"
"""A bucket beside the stack's that hrefs may point to."""
COG: Final = "cog/LC08_L1TP_001002_20200518_x.tif"
RETURNING: Final = "cog/LC08_L1TP_001004_20200601_x.tif"
ABORTED: Final = "cog/LC08_L1TP_001005_20200602_x.tif"
COARSE: Final = "cog/LC08_L1TP_001003_20200518_x.tif"
"""Refused once it is claimed: the claim is given back."""
VECTORS: Final = "clayline-vectors"
"""The vector bucket."""
ENDPOINT: Final = "Endpoint"
"""SageMaker, which acts with EndpointRole; its emulator's calls are those of its documentation."""
PUBLISHED: Final = "published"
PARAMETERS: Final = {
    "ChipsPerBatch": "4",
    "PatienceSeconds": "5",
    "AllowedBuckets": ARCHIVE,
    "MinValidFraction": "0.2",
    "CompactSchedule": "rate(1 minute)",
    "VectorBucket": VECTORS,
    "StacTopicArn": f"arn:aws:sns:{REGION}:123456789012:clayline-archives-topic",
}
PLACE: Final = 260
"""Row of the sample where scenes are cut unless another is asked for. Of three rows of four chips, a batch each, the
first is below the threshold, the graph raises on the second, the third is embedded."""
FAILING_PIXEL: Final = 6571
"""Red of the first pixel of the second chip in the second row there."""
DRAWN: Final = np.random.default_rng(3).standard_normal((LEAST_ROWS, 8), dtype=np.float32)
"""Vectors as long as the model's, by which they are centred."""
_PATIENCE: Final = 180.0


@dataclass(kw_only=True)
class Chain:
    """A running pipeline."""

    session: Session
    recorders: Mapping[str, Recorder]
    sample: Path

    @property
    def work(self) -> str:
        return self.session.stack.resources["WorkBucket"].physical.ref

    def land(
        self,
        folder: str,
        *,
        without: str | None = None,
        elsewhere: str | None = None,
        date: str = "2020-05-18",
        **place: int,
    ) -> None:
        """Land a Landsat scene.

        ``without`` a band, the bands in the bucket ``elsewhere``, of another ``date``, or cut at another ``place``. One
        acquisition under two names would be an error of the dataset.
        """
        files = scenes.landsat(self.sample, folder=folder, **{"row": PLACE, **place})
        item = json.loads(files.pop(f"{folder}/item.json").replace(b"2020-05-18T", f"{date}T".encode()))
        item["id"] = folder
        for key, body in files.items():
            if key != f"{folder}/{without}.tif":
                self.session.s3.put_object(Bucket=elsewhere or self.session.scenes_bucket, Key=key, Body=body)
        for band in ("B2", "B3", "B4") if elsewhere else ():
            next(asset for asset in item["assets"].values() if asset["href"].endswith(f"{band}.tif"))["href"] = (
                f"s3://{elsewhere}/{folder}/{band}.tif"
            )
        self.session.s3.put_object(
            Bucket=self.session.scenes_bucket, Key=f"{folder}/item.json", Body=json.dumps(item).encode()
        )

    def publish(self) -> None:
        """Send what an archive's topic would: Items of assets that are not there, which plan keeps and refuses."""
        item = json.loads(scenes.landsat(self.sample, folder=PUBLISHED, row=PLACE)[f"{PUBLISHED}/item.json"])
        for asset in item["assets"].values():
            asset["href"] = f"s3://{ARCHIVE}/{PUBLISHED}/{asset['href'].removeprefix('./')}"
        queue = self.session.stack.resources["SceneQueue"].physical.ref
        for identity in (PUBLISHED, f"{PUBLISHED}-too"):
            self.session.sqs.send_message(QueueUrl=queue, MessageBody=json.dumps({**item, "id": identity}))

    def land_cog(self, key: str, gsd: float = 30.0, height: int = 64) -> None:
        """Land a COG that needs no Item."""
        pixels = scenes.noise(bands=3, height=height, width=128)
        transform = scenes.utm_grid(gsd=gsd)
        body = scenes.geotiff(pixels, crs="EPSG:32621", transform=transform, nodata=0, names=("red", "green", "blue"))
        self.session.s3.put_object(Bucket=self.session.scenes_bucket, Key=key, Body=body)

    def abort(self, run: str) -> None:
        """Order a run to be ended."""
        queue = self.session.stack.resources["SceneQueue"].physical.ref
        self.session.sqs.send_message(QueueUrl=queue, MessageBody=json.dumps({"kind": "clayline-abort/1", "run": run}))

    def until_quiet(self) -> None:
        """Wait until nothing waits anywhere."""
        _wait(
            "quiet",
            lambda: self._are_empty("SceneQueue", "TileQueue") and self._is_idle() and self._are_empty(*_BEHIND),
        )

    def until_waiting(self, queue: str, messages: int) -> None:
        """Wait until so many messages wait in a queue whose function is held, and everything before it is done.

        The reconciler may have sent some of them again.
        """
        before = ("SceneQueue",) if queue == "TileQueue" else ("SceneQueue", "TileQueue", "ResultQueue")
        _wait(
            f"{messages} in {queue}",
            lambda: self._are_empty(*before) and self._is_idle() and sum(self._messages(queue)) >= messages,
        )

    def receipts(self) -> dict[str, dict[str, Any]]:
        """Give every receipt there is, by the folder or the key of its scene."""
        bucket, found = self.session.embeddings_bucket, {}
        for entry in self.session.s3.list_objects_v2(Bucket=bucket)["Contents"]:
            if entry["Key"].endswith("_receipt.json"):
                receipt = json.loads(self.session.s3.get_object(Bucket=bucket, Key=entry["Key"])["Body"].read())
                key = receipt["source_uri"].removeprefix(f"s3://{self.session.scenes_bucket}/")
                found[PUBLISHED if key.startswith(f"s3://{self.work}/items/") else key.removesuffix("/item.json")] = (
                    receipt
                )
        return found

    def forget(self, run: str) -> None:
        """Take a run out of the ledger: what is left is what kills before every write to it would leave."""
        for row in self.ledger.scan()["Items"]:
            if row["pk"] == f"run#{run}":
                self.ledger.delete_item(Key={"pk": row["pk"], "sk": row["sk"]})

    @cached_property
    def ledger(self) -> Any:
        """The ledger's table."""
        return boto3.resource(
            "dynamodb",
            endpoint_url=self.session.url,
            region_name=REGION,
            aws_access_key_id="test",
            aws_secret_access_key="test",
        ).Table(self.session.stack.resources["Ledger"].physical.ref)

    def until_state(self, run: str, state: str) -> None:
        """Wait until a run is in a state."""
        key = {"pk": f"run#{run}", "sk": "scene"}
        _wait(f"run {run} {state}", lambda: self.ledger.get_item(Key=key)["Item"]["state"] == state)

    def delete(self, bucket: str, prefix: str) -> None:
        """Delete what begins so; there must be something."""
        listed = self.session.s3.list_objects_v2(Bucket=bucket, Prefix=prefix)["Contents"]
        for entry in listed:
            self.session.s3.delete_object(Bucket=bucket, Key=entry["Key"])

    def _messages(self, queue: str) -> tuple[int, int]:
        names = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")
        url = self.session.stack.resources[queue].physical.ref
        attributes = self.session.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=list(names))["Attributes"]
        return int(attributes[names[0]]), int(attributes[names[1]])

    def _are_empty(self, *queues: str) -> bool:
        """Asked in the order of the flow.

        Each hop deletes its message after it has handed on, so nothing slips past a look.
        """
        return all(self._messages(queue) == (0, 0) for queue in queues)

    def _is_idle(self) -> bool:
        return self.session.endpoint.wait_idle(1.0)


_BEHIND: Final = (
    "ResultQueue", "SettledQueue", "IndexQueue", "VectorsQueue", "WatchQueue", "SheetQueue",
    "SceneDlq", "TileDlq", "ResultDlq", "SettledDlq", "IndexDlq", "VectorsDlq", "WatchDlq", "SheetDlq",
)  # fmt: skip


def _wait(what: str, done: Any) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not done():
        if time.monotonic() > deadline:
            raise AssertionError(f"it did not come to this within {_PATIENCE:.0f} s: {what}")
        time.sleep(0.1)


@contextmanager
def running(folder: Path, sample: Path) -> Iterator[Chain]:
    """Start everything, a recorder before each principal."""
    recorders: dict[str, Recorder] = {}
    model = build_model_folder(
        folder,
        sensor="landsat-c2l1",
        gsd=30.0,
        inputs=("pixels", "time", "latlon"),
        fail_when_first_pixel=FAILING_PIXEL,
    )
    stated = _stated(model)
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:

        def recorded_worker(
            spec: FunctionSpec, *, environment: Mapping[str, str], **rest: Any
        ) -> subprocess.Popen[bytes]:
            cloud = environment["AWS_ENDPOINT_URL"]
            recorder = stack.enter_context(
                Recorder(
                    cloud=cloud,
                    endpoint=environment["AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME"],
                    without_ledger=spec.name in {"IndexFunction", "VectorsFunction", "WatchFunction", "SheetFunction"},
                )
            )
            recorders[spec.name] = recorder
            here = {
                **environment,
                "AWS_ENDPOINT_URL": recorder.url,
                "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME": recorder.url,
                "AWS_S3_ENDPOINT": recorder.address,
            }
            settings = {name: value.replace(cloud, recorder.url) for name, value in spec.environment.items()}
            known = " ".join([*here.values(), *settings.values()])
            assert cloud.removeprefix("http://") not in known, "the function could go past its recorder"
            return start_worker(spec.model_copy(update={"environment": settings}), environment=here, **rest)

        def recorded_endpoint(
            config: AsyncEndpointConfig, container: Container, *, s3: Any, **rest: Any
        ) -> AsyncEndpoint:
            recorder = recorders[ENDPOINT] = stack.enter_context(Recorder(cloud=s3.meta.endpoint_url))
            del rest["sns"]
            there: dict[str, Any] = {
                "endpoint_url": recorder.url,
                "region_name": REGION,
                "aws_access_key_id": "test",
                "aws_secret_access_key": "test",
            }
            return AsyncEndpoint(
                config, container, s3=boto3.client("s3", **there), sns=boto3.client("sns", **there), **rest
            )

        patch.setattr("clayline_local.fleet.start_worker", recorded_worker)
        patch.setattr("clayline_local.session.AsyncEndpoint", recorded_endpoint)
        session = stack.enter_context(Session(model=model, parameters=PARAMETERS, logs=folder / "logs"))
        session.s3.create_bucket(Bucket=ARCHIVE, CreateBucketConfiguration={"LocationConstraint": REGION})
        session.client("s3vectors").create_vector_bucket(vectorBucketName=VECTORS)
        models, key = session.stack.outputs["ModelBucket"], f"models/{session.manifest.folder}/{STATISTICS_FILE}"
        session.s3.put_object(Bucket=models, Key=key, Body=stated)
        yield Chain(session=session, recorders=recorders, sample=sample)


def _stated(model: Path) -> bytes:
    """Have a model folder's manifest list what its vectors are like; gives ``statistics.json``."""
    manifest = json.loads((model / MANIFEST_FILE).read_text())
    [entry] = manifest["entries"]
    measured = VectorStatistics.measure([DRAWN], digest=entry["digest"], scenes=["drawn"])
    found = FolderStatistics(schema="clayline-statistics/1", entries={entry["token"]: measured})
    body = found.model_dump_json(by_alias=True).encode()
    (model / MANIFEST_FILE).write_text(json.dumps({**manifest, "statistics": digest_of(BytesIO(body))}))
    return body


def play(chain: Chain) -> dict[str, dict[str, Any]]:
    """Go through every situation; gives the receipts as they were before anything was played again.

    Each function's first call to the ledger, or index's to S3, is refused, so that its first message comes again.
    """
    for name, recorder in chain.recorders.items():
        if name not in {ENDPOINT, "CompactFunction"}:
            recorder.refuse_once()
    _before_the_model_is_copied(chain)
    chain.land("missing", without="B4")
    chain.land("archived", elsewhere=ARCHIVE, date="2020-06-03")
    chain.land("lost", elsewhere=ARCHIVE, without="B4")
    chain.publish()
    chain.land_cog(COG)
    chain.land_cog(COARSE, gsd=60.0)
    chain.until_quiet()
    _what_was_there_is_gone(chain)
    receipts = chain.receipts()
    _again(chain, receipts)
    _by_order(chain)
    _left_standing(chain, receipts["unanswered"]["run"], receipts["withdrawn"]["run"])
    _in_the_dataset(chain, receipts[COG])
    _sent(chain, receipts["archived"])
    _watched(chain, receipts[COG], receipts["archived"], receipts["ordinary"])
    return receipts


def _before_the_model_is_copied(chain: Chain) -> None:
    """The first scene comes before the model folder: plan says so and tries again."""
    model = chain.session.stack.resources["ModelBucket"].physical.ref
    key = f"models/{chain.session.manifest.folder}/manifest.json"
    body = chain.session.s3.get_object(Bucket=model, Key=key)["Body"].read()
    chain.delete(model, key)
    chain.land("ordinary")
    _wait(
        "plan misses the manifest",
        lambda: any(seen.target == f"/{model}/{key}" for seen in chain.recorders["PlanFunction"].requests),
    )
    chain.session.s3.put_object(Bucket=model, Key=key, Body=body)


def _what_was_there_is_gone(chain: Chain) -> None:
    """Bands deleted between plan and tile, in either bucket; an answer deleted between settle and collect."""
    tile, collect = chain.recorders["TileFunction"], chain.recorders["CollectFunction"]
    tile.hold()
    collect.hold()
    chain.land("withdrawn", row=600)
    chain.land("withdrawn-archived", row=600, elsewhere=ARCHIVE)
    chain.land("unanswered", row=600)
    chain.until_waiting("TileQueue", 3)
    chain.delete(chain.session.scenes_bucket, "withdrawn/B4.tif")
    chain.delete(ARCHIVE, "withdrawn-archived/B4.tif")
    kept = {
        entry["Key"] for entry in chain.session.s3.list_objects_v2(Bucket=chain.work, Prefix="responses/")["Contents"]
    }
    tile.release()
    chain.until_waiting("SettledQueue", 3)
    for entry in chain.session.s3.list_objects_v2(Bucket=chain.work, Prefix="responses/")["Contents"]:
        if entry["Key"] not in kept:  # all of the one scene that was sent
            chain.delete(chain.work, entry["Key"])
    collect.release()
    chain.until_quiet()


def _again(chain: Chain, receipts: Mapping[str, Mapping[str, Any]]) -> None:
    """Scenes that land again, and retries that find the objects of a try before that was killed.

    Of ``archived`` chips had failed: it is computed again. So is the COG, the second time: its receipt is gone then.
    """
    ordinary, missing = receipts["ordinary"]["run"], receipts["missing"]["run"]
    for run in (ordinary, missing):
        chain.forget(run)
    chain.delete(chain.work, f"plans/{ordinary}/plan.json")
    chain.delete(chain.work, f"outcomes/{ordinary}/")
    for folder in ("ordinary", "missing", "archived"):
        key = f"{folder}/item.json"
        body = chain.session.s3.get_object(Bucket=chain.session.scenes_bucket, Key=key)["Body"].read()
        chain.session.s3.put_object(Bucket=chain.session.scenes_bucket, Key=key, Body=body)
    chain.publish()
    chain.land_cog(COG)
    chain.until_quiet()
    chain.delete(chain.session.embeddings_bucket, receipts[COG]["outputs"]["receipt"].split("/", 3)[3])
    chain.land_cog(COG)
    chain.until_quiet()


def _by_order(chain: Chain) -> None:
    """A COG's content that returns, of which nothing is computed; a run that is aborted while it is on its way."""
    chain.land_cog(RETURNING)
    chain.until_quiet()
    chain.land_cog(RETURNING, height=96)
    chain.until_quiet()
    chain.land_cog(RETURNING)
    chain.until_quiet()
    tile = chain.recorders["TileFunction"]
    tile.hold()
    chain.land_cog(ABORTED)
    chain.until_waiting("TileQueue", 1)
    [run] = [  # another may be running still: it waits for its next attempt, which no queue counts
        row["pk"].removeprefix("run#")
        for row in chain.ledger.scan()["Items"]
        if row["sk"] == "scene" and row.get("state") == "running" and str(row["scene"]).endswith(ABORTED)
    ]
    chain.abort(run)
    chain.until_state(run, "announced")
    tile.release()
    chain.until_quiet()
    # As if the first order had been killed before the state: the settlement stands.
    row = chain.ledger.get_item(Key={"pk": f"run#{run}", "sk": "scene"})["Item"]
    chain.ledger.put_item(Item={**row, "state": "running"})
    chain.abort(run)
    chain.until_state(run, "announced")
    chain.until_quiet()


def _left_standing(chain: Chain, run: str, other: str) -> None:
    """Runs as lost messages and kills leave them, each overdue: the reconciler takes them on to their end."""
    table = chain.ledger
    row = table.get_item(Key={"pk": f"run#{other}", "sk": "scene"})["Item"]
    table.put_item(Item={**row, "state": "running", "due": 0})  # every batch has ended
    chain.until_state(other, "announced")
    row = table.get_item(Key={"pk": f"run#{run}", "sk": "scene"})["Item"]
    (batch, *_) = table.query(
        KeyConditionExpression="pk = :run AND begins_with(sk, :batch)",
        ExpressionAttributeValues={":run": f"run#{run}", ":batch": "batch#"},
    )["Items"]
    sent = {name: value for name, value in batch.items() if name != "result"} | {"since": 0}
    running = {**row, "state": "running", "due": 0, "open": 1, "jobs": 1, "handed": 1}
    for name, ready in (("one", "responses/one"), ("two", "failures/two"), ("three", None)):
        there = {"output": f"s3://{chain.work}/responses/{name}", "failure": f"s3://{chain.work}/failures/{name}"}
        table.put_item(Item={**sent, "attempt": 3, "invocation": there})
        if ready:
            chain.session.s3.put_object(Bucket=chain.work, Key=ready, Body=b"late")
        table.put_item(Item=running)
        chain.until_state(run, "announced")
        if ready:
            chain.delete(chain.work, ready)
    table.put_item(Item={**sent, "attempt": 1, "invocation": there})  # tile is asked for another attempt
    table.put_item(Item=running)
    chain.until_state(run, "announced")
    waiting = {"state": "waiting", "handed": 0, "out": 0}
    for each, early in ((run, {"state": "claimed", "lease_until": 0}), (run, waiting), (other, waiting)):
        row = table.get_item(Key={"pk": f"run#{each}", "sk": "scene"})["Item"]
        chain.forget(each)
        table.put_item(Item={**row, **early, "due": 0, "open": row["batches"]})
        chain.until_state(each, "announced")


def _in_the_dataset(chain: Chain, receipt: Mapping[str, Any]) -> None:
    """An event of files that were taken away since; objects that no longer count, whose grace period has passed."""
    detail = {name: receipt[name] for name in ("run", "status", "scene")}
    nowhere = receipt["outputs"]["receipt"].replace("_v001_", "_v901_")
    detail |= {"outputs": {"receipt": nowhere}, "landed_uri": receipt["source_uri"], "repeated": True}
    queue = chain.session.stack.resources["IndexQueue"].physical.ref
    chain.session.sqs.send_message(
        QueueUrl=queue, MessageBody=json.dumps({"source": "clayline", "detail-type": "SceneEmbedded", "detail": detail})
    )
    chain.until_quiet()
    s3, where = chain.session.s3, {"Bucket": chain.session.embeddings_bucket, "Key": "dataset/manifest.json"}

    def manifest() -> tuple[dict[str, Any], str]:
        found = s3.get_object(**where)
        return json.loads(found["Body"].read()), found["ETag"]

    def is_at_rest() -> bool:
        marked = s3.list_objects_v2(Bucket=where["Bucket"], Prefix="dataset/compacted.json").get("Contents")
        return bool(marked) and (
            json.loads(s3.get_object(Bucket=where["Bucket"], Key=marked[0]["Key"])["Body"].read())["manifest"]
            == manifest()[1].strip('"')
        )

    _wait("the dataset is in order", is_at_rest)
    content, etag = manifest()
    folders = ("fragments", "parts", "history", "files", "tiers")
    over = [f"dataset/{folder}/{number}.parquet" for folder in folders for number in (1, 2)]
    content["retired"] += [{"href": href, "since": "2020-01-01T00:00:00Z"} for href in over]
    s3.put_object(**where, Body=json.dumps(content).encode(), IfMatch=etag)
    _wait("what is over is deleted", lambda: not {each["href"] for each in manifest()[0]["retired"]} & set(over))


def _sent(chain: Chain, receipt: Mapping[str, Any]) -> None:
    """A scene that is sent anew, by another centre: the model folder states none any more, but the dataset does.

    Of two codebooks that it names the first is of other weights. All other scenes were sent as they were announced: of
    what returned, the revision between had chips that the newest has not.
    """
    s3, bucket = chain.session.s3, chain.session.embeddings_bucket
    root = S3Root(s3, bucket=bucket)
    file = SceneFile.of_receipt(receipt["outputs"]["receipt"])
    assert file
    tiers = {}
    for name, digest in (("bits", f"sha256:{'0' * 64}"), ("int8", open_scene(root, file).digest)):
        href = f"dataset/tiers/{file.token}/codebook_{name}.json"
        root.put_new(href, Codebook.of(DRAWN, token=file.token, digest=digest).encode(stamp="a"))
        stored = {"href": f"{href}.parquet", "size": 0, "sha256": "0" * 64, "rows": 0}
        tiers[name] = {"file": stored, "codebook": href}
    where = {"Bucket": bucket, "Key": "dataset/manifest.json"}

    def is_named() -> bool:
        found = s3.get_object(**where)
        content = json.loads(found["Body"].read())
        content["files"][0]["tiers"] = tiers  # the compactor makes none of so few chips
        try:
            s3.put_object(**where, Body=json.dumps(content).encode(), IfMatch=found["ETag"])
        except ClientError as error:  # it may write the manifest just now
            if error.response["Error"]["Code"] != "PreconditionFailed":
                raise
            return False
        return True

    _wait("the dataset names codebooks", is_named)
    model = {
        "Bucket": chain.session.stack.outputs["ModelBucket"],
        "Key": f"models/{chain.session.manifest.folder}/{MANIFEST_FILE}",
    }
    manifest = json.loads(s3.get_object(**model)["Body"].read())
    s3.put_object(**model, Body=json.dumps({**manifest, "statistics": None}).encode())
    chain.delete(bucket, f"vectors/{VECTORS}/{file.token}/model_")
    chain.delete(bucket, f"vectors/{VECTORS}/{file.token}/{file.scene}_")
    detail = {name: receipt[name] for name in ("run", "status", "scene")}
    detail |= {"landed_uri": receipt["source_uri"], "repeated": True, "outputs": receipt["outputs"]}
    _tell(chain, "VectorsQueue", "SceneEmbedded", detail)
    indexes = chain.session.client("s3vectors").list_indexes(vectorBucketName=VECTORS)["indexes"]
    assert len({each["indexName"] for each in indexes}) == 2, "one a centre"


def _watched(
    chain: Chain, receipt: Mapping[str, Any], archived: Mapping[str, Any], ordinary: Mapping[str, Any]
) -> None:
    """Watches that match; the scene is announced once more, twice; and one whose file was taken away since.

    Each match is drawn, of bands in either bucket; once more where a band, or the plan, is gone by then. A match whose
    receipt was taken away since is dropped.
    """
    root = S3Root(chain.session.s3, bucket=chain.session.embeddings_bucket)
    file = SceneFile.of_receipt(receipt["outputs"]["receipt"])
    assert file
    scene = open_scene(root, file)
    vectors = next(scene.chips()).vectors[:1]
    probe = Probe.of_examples(
        vectors, token=file.token, digest=scene.digest, centre=Centre(values=np.zeros_like(vectors[0]), by="rows")
    )
    for name in ("all", "any"):
        watch = Watch(
            name=name, version=1, created=datetime.now(UTC), kind="mean", probe=probe.stored(), threshold=-1.0,
            valid_least=0.0, instruments=None, like=("first",),
        )  # fmt: skip
        root.put_new(version_key(name, 1), watch.model_dump_json().encode())
    again = [(receipt, "_v001_"), (receipt, "_v001_"), (receipt, "_v901_")]
    for about, version in (*again, (archived, "_v001_"), (ordinary, "_v001_")):
        outputs = {"receipt": about["outputs"]["receipt"].replace("_v001_", version)}
        detail = {name: about[name] for name in ("run", "status", "scene")}
        detail |= {"landed_uri": about["source_uri"], "repeated": True, "outputs": outputs}
        _tell(chain, "WatchQueue", "SceneEmbedded", detail)
    written = [stored.key for stored in root.list("watched/")]
    assert [key.rpartition("_")[2] for key in written] == [*["v001.json"] * 3, *["v001.json", "sheet.png"] * 6]
    mine = f"watched/all/v001/{receipt['run']}_v001"
    chain.delete(chain.session.scenes_bucket, COG)
    chain.delete(ARCHIVE, "archived/B4.tif")
    for stem in (mine, f"watched/all/v001/{archived['run']}_v001"):
        _draw_again(chain, stem)
    chain.delete(chain.work, f"plans/{receipt['run']}/plan.json")
    _draw_again(chain, mine)
    for key in (f"{mine}.json", f"{mine}.json".replace("_v001", "_v901")):
        _tell(chain, "SheetQueue", "WatchMatched", {"receipt": f"{root.uri}/{key}"})


def _draw_again(chain: Chain, stem: str) -> None:
    """Take a sheet away, and tell of its receipt once more."""
    bucket = chain.session.embeddings_bucket
    chain.delete(bucket, f"{stem}_sheet.png")
    _tell(chain, "SheetQueue", "WatchMatched", {"receipt": f"s3://{bucket}/{stem}.json"})
    chain.session.s3.head_object(Bucket=bucket, Key=f"{stem}_sheet.png")


def _tell(chain: Chain, queue: str, kind: str, detail: Mapping[str, Any]) -> None:
    """Put an event on a queue as EventBridge does, and wait until nothing waits."""
    url = chain.session.stack.resources[queue].physical.ref
    event = {"source": "clayline", "detail-type": kind, "detail": detail}
    chain.session.sqs.send_message(QueueUrl=url, MessageBody=json.dumps(event))
    chain.until_quiet()


def recorded(chain: Chain) -> dict[str, tuple[Request, ...]]:
    """Give what each principal has asked for."""
    return {name: tuple(recorder.requests) for name, recorder in chain.recorders.items()}
