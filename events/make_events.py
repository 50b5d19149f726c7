# ruff: noqa: INP001 - a script beside the files that it makes, in a folder that is no package
"""Makes events/NAME.json from an actual run on the local cloud.

What each function really sent is the next function's event.

    .venv/bin/python events/make_events.py

Expected outcomes are written by hand and stay as they are. Run it when the model folder, the bundled scene or the
template's names have changed: a run's id follows from the first two, bucket and queue names from the last.
"""

import hashlib
import json
import sys
import tempfile
import uuid
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio.windows import Window

from clayline.aws.dataset_root import S3Root
from clayline.dataset.scene_file import SceneFile
from clayline.likeness.centring import Centre
from clayline.likeness.probe import Probe
from clayline.likeness.taking_part import VALID_LEAST
from clayline.likeness.watch import Watch, version_key
from clayline.run.keys import inference_id
from clayline.table.scene_chips import open_scene
from clayline_local.errors import LocalCloudError
from clayline_local.expectation import Observed
from clayline_local.hosts import EmulatorHost
from clayline_local.local_cloud import EVENTS, KEPT, OBJECTS, SCENE, local_cloud
from clayline_local.local_invoke import EventRunner
from clayline_local.session import Session
from clayline_local.template import ACCOUNT, LOCAL_PARAMETERS, REGION, TEMPLATE, expand

SCENE_KEY = f"{SCENE.stem}/{SCENE.name}"
COG_KEY = "cog/LC08_L1TP_224078_20200518_20200518_01_RT_crop.tif"
NODATA_KEY = "cog/LC08_L1TP_224078_20200518_20200518_01_RT_corner.tif"
ODD_KEY = "odd/a+b c%2F.json"
COLLECTION_KEY = "odd/search.json"
SEQUENCER = 0x656DC5C1A9B1D2E3
BANDS = ("B4", "B3", "B2")
NOBODY = "0" * 32
STAC_TOPIC = "arn:aws:sns:us-west-2:608149789419:cirrus-es-prod-publish"
LIKE = 400
"""Of the bundled scene's whole chips, that which the watch looks for: fields."""
TIME = "2026-11-22T09:00:00Z"
MILLISECONDS = "1795338000000"


def make_objects(bucket: str) -> None:
    """Write what the events need beside the bundled scene, cut from it.

    What is there stays: another GDAL would pack other bytes.
    """
    for key, row, column in ((COG_KEY, 900, 900), (NODATA_KEY, 0, 1900)):
        if not (OBJECTS / key).is_file():
            _write_cog(OBJECTS / key, row, column)
    (OBJECTS / ODD_KEY).parent.mkdir(parents=True, exist_ok=True)
    item = json.loads(SCENE.read_bytes())
    item["id"] += "_odd_key"
    for asset in item["assets"].values():
        asset["href"] = f"s3://{bucket}/{SCENE.stem}/{asset['href'].removeprefix('./')}"
    (OBJECTS / ODD_KEY).write_text(json.dumps(item, indent=1) + "\n", encoding="utf-8")
    found = {"type": "FeatureCollection", "features": [item]}
    (OBJECTS / COLLECTION_KEY).write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def _write_cog(path: Path, row: int, column: int, side: int = 128) -> None:
    """Cut a square of the bundled scene into one COG with named bands."""
    path.parent.mkdir(parents=True, exist_ok=True)
    window = Window(column, row, side, side)
    with ExitStack() as stack:
        bands = [stack.enter_context(rasterio.open(SCENE.with_name(f"{band}.tif"))) for band in BANDS]
        profile = {
            "driver": "COG", "count": len(bands), "width": side, "height": side, "dtype": bands[0].dtypes[0],
            "crs": bands[0].crs, "transform": bands[0].window_transform(window), "nodata": bands[0].nodata,
            "compress": "deflate", "blocksize": 128,
        }  # fmt: skip
        with rasterio.open(path, "w", **profile) as target:
            for number, (name, band) in enumerate(zip(BANDS, bands, strict=True), start=1):
                target.write(band.read(1, window=window), number)
                target.set_band_description(number, name)


def landed(session: Session, key: str, *, put: int = 0) -> str:
    """Give S3's `Object Created` as AWS's EventBridge delivers it, about the object's first ``put`` or a later one.

    Moto writes ``eTag``, leaves out what it has no notion of, and has one id and one sequencer for all.
    """
    head = session.s3.head_object(Bucket=session.scenes_bucket, Key=key)
    etag, sequencer = head["ETag"].strip('"'), f"{SEQUENCER + put:018X}"
    content = {
        "version": "0",
        "id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"{key}#{put}" if put else key)),
        "detail-type": "Object Created",
        "source": "aws.s3",
        "account": ACCOUNT,
        "time": TIME,
        "region": REGION,
        "resources": [f"arn:aws:s3:::{session.scenes_bucket}"],
        "detail": {
            "version": "0",
            "bucket": {"name": session.scenes_bucket},
            "object": {"key": key, "size": head["ContentLength"], "etag": etag, "sequencer": sequencer},
            "request-id": "4H8N2K6TQ0V9W3XZ",
            "requester": ACCOUNT,
            "source-ip-address": "203.0.113.7",
            "reason": "PutObject",
        },
    }
    return json.dumps(content)


class Maker:
    """Runs functions, and writes what they sent as events."""

    def __init__(self, session: Session, runner: EventRunner) -> None:
        self.session = session
        self._runner = runner

    def event(self, name: str, function: str, bodies: Sequence[str]) -> dict[str, Any]:
        """Write bodies as the SQS event that the function's mapping would give it."""
        source = self.session.stack.functions()[function].source
        if source is None or len(bodies) > source.batch_size:
            raise LocalCloudError(f"{function} is not given {len(bodies)} messages at a time")
        event = {"Records": [_record(name, number, body, source.arn) for number, body in enumerate(bodies)]}
        (EVENTS / f"{name}.json").write_text(json.dumps(event, indent=1) + "\n", encoding="utf-8")
        return event

    def pass_by_the_clock(self, name: str, function: str) -> None:
        """Write what EventBridge's rule sends to a function that is called by the clock."""
        rule = f"arn:aws:events:{REGION}:{ACCOUNT}:rule/clayline-{function}Pass"
        event = {
            "version": "0",
            "id": str(uuid.uuid5(uuid.NAMESPACE_URL, name)),
            "detail-type": "Scheduled Event",
            "source": "aws.events",
            "account": ACCOUNT,
            "time": TIME,
            "region": REGION,
            "resources": [rule],
            "detail": {},
        }
        (EVENTS / f"{name}.json").write_text(json.dumps(event, indent=1) + "\n", encoding="utf-8")

    def run(self, name: str, function: str, bodies: Sequence[str]) -> Observed:
        """Write an event and run the function on it. Raises LocalCloudError if that gave a message back."""
        observed = self._runner.observe(function, self.event(name, function, bodies))
        if observed.failed or observed.reply != {"batchItemFailures": []}:
            raise LocalCloudError(f"{name}: {function} replied {observed.reply}")
        return observed


def _record(name: str, number: int, body: str, arn: str) -> dict[str, Any]:
    message_id = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{name}/{number}"))
    return {
        "messageId": message_id,
        "receiptHandle": f"AQEB{hashlib.sha256(message_id.encode()).hexdigest()}",
        "body": body,
        "attributes": {
            "ApproximateReceiveCount": "1",
            "SentTimestamp": MILLISECONDS,
            "SenderId": "AIDAEXAMPLEEXAMPLE000",
            "ApproximateFirstReceiveTimestamp": MILLISECONDS,
        },
        "messageAttributes": {},
        "md5OfBody": hashlib.md5(body.encode(), usedforsecurity=False).hexdigest(),
        "eventSource": "aws:sqs",
        "eventSourceARN": arn,
        "awsRegion": REGION,
    }


def _notifications(bodies: Sequence[str]) -> list[dict[str, Any]]:
    """Give SageMaker's notifications by batch, with a time that stays."""
    found: list[dict[str, Any]] = [{**json.loads(body), "eventTime": TIME, "receivedTime": TIME} for body in bodies]
    return sorted(found, key=lambda one: str(one["requestParameters"]["inputLocation"]))


def _failed(success: dict[str, Any], *, failure: str) -> str:
    """Give the notification had the container failed on the request."""
    reason = 'Received server error (500) from model with message "the model ran out of memory".'
    told = {"contentType": "text/plain", "failureLocation": failure}
    return json.dumps({**success, "invocationStatus": "Failed", "failureReason": reason, "responseParameters": told})


def _expired(success: dict[str, Any]) -> str:
    """Give the notification had the request waited for too long: there is no response."""
    rest = {name: value for name, value in success.items() if name != "responseParameters"}
    return json.dumps(
        {**rest, "invocationStatus": "Expired", "failureReason": "The request waited longer than 21600 seconds."}
    )


def _unknown(success: dict[str, Any]) -> str:
    """Give the notification about a run that nobody planned, otherwise right: its InferenceId is that attempt's."""
    location = success["requestParameters"]["inputLocation"]
    prefix, _, rest = location.partition("/requests/")
    request = {**success["requestParameters"], "inputLocation": f"{prefix}/requests/{NOBODY}/{rest.partition('/')[2]}"}
    return json.dumps(
        {**success, "requestParameters": request, "inferenceId": inference_id(run=NOBODY, batch="b00000", attempt=1)}
    )


def _envelope(topic: str, message: dict[str, Any]) -> str:
    """Wrap a message as SNS does for a subscription without raw delivery."""
    return json.dumps(
        {
            "Type": "Notification",
            "MessageId": str(uuid.uuid5(uuid.NAMESPACE_URL, message.get("inferenceId") or message["id"])),
            "TopicArn": topic,
            "Message": json.dumps(message),
            "Timestamp": TIME,
            "SignatureVersion": "1",
            "Signature": "EXAMPLE",
            "SigningCertURL": f"https://sns.{REGION}.amazonaws.com/SimpleNotificationService-example.pem",
            "UnsubscribeURL": f"https://sns.{REGION}.amazonaws.com/?Action=Unsubscribe&SubscriptionArn={topic}:example",
        }
    )


def _announced(event: dict[str, Any], **detail: object) -> str:
    """Give an event with another detail."""
    return json.dumps({**event, "detail": {**event["detail"], **detail}})


def _moved(event: dict[str, Any], old: str, new: str) -> dict[str, str]:
    """Give an event's outputs had they been written elsewhere."""
    return {kind: str(uri).replace(old, new) for kind, uri in event["detail"]["outputs"].items()}


def _published() -> str:
    """Give what an archive's topic brings: a STAC Item in SNS's envelope, as Earth Search publishes them."""
    item = json.loads((OBJECTS / ODD_KEY).read_text(encoding="utf-8"))
    item["id"] = item["id"].replace("_odd_key", "_published")
    return _envelope(STAC_TOPIC, item)


def keep_watch(session: Session, receipt: str) -> None:
    """Keep a watch for what is like one chip, its threshold in a gap: no machine's rounding changes what matches."""
    root = S3Root(session.s3, bucket=session.embeddings_bucket)
    file = SceneFile.of_receipt(receipt.removeprefix(f"{root.uri}/"))
    if file is None:
        raise LocalCloudError(f"{receipt} is no scene's receipt")
    scene = open_scene(root, file)
    [chips] = scene.chips()
    whole = np.flatnonzero(chips.traits.valid >= VALID_LEAST)
    vectors = chips.vectors[whole]
    centre = Centre(values=vectors.mean(axis=0), by="rows")
    probe = Probe.of_examples(vectors[[LIKE]], token=file.token, digest=scene.digest, centre=centre)
    best = np.sort(probe.scores(vectors))[::-1][:16]
    rank = 6 + int(np.argmax(best[6:-1] - best[7:]))
    watch = Watch(
        name="fields", version=1, created=datetime.fromisoformat(TIME), kind="mean", probe=probe.stored(),
        threshold=round(float(best[rank] + best[rank + 1]) / 2, 4), instruments=(scene.instrument,),
        like=(chips.uci[int(whole[LIKE])],),
    )  # fmt: skip
    key = version_key(watch.name, watch.version)
    (KEPT / key).parent.mkdir(parents=True, exist_ok=True)
    (KEPT / key).write_text(watch.model_dump_json(indent=1) + "\n", encoding="utf-8")
    session.s3.upload_file(str(KEPT / key), session.embeddings_bucket, key)


def make(maker: Maker) -> None:
    """Run the chain, event by event."""
    session = maker.session
    scene = landed(session, SCENE_KEY)
    jobs = maker.run("plan-scene", "PlanFunction", [scene]).messages["TileQueue"]
    maker.event("plan-duplicate", "PlanFunction", [scene])
    maker.event("plan-band-cog", "PlanFunction", [landed(session, f"{SCENE.stem}/B4.tif")])
    maker.event("plan-odd-key", "PlanFunction", [landed(session, ODD_KEY)])
    maker.pass_by_the_clock("reconcile", "ReconcileFunction")
    maker.pass_by_the_clock("compact", "CompactFunction")
    maker.pass_by_the_clock("compact-idle", "CompactFunction")
    maker.event("plan-published-item", "PlanFunction", [_published()])
    maker.event("plan-feature-collection", "PlanFunction", [landed(session, COLLECTION_KEY)])
    maker.event("tile-without-plan", "TileFunction", [json.dumps({"job": 0, "run": NOBODY})])
    told = _notifications(maker.run("tile-scene", "TileFunction", jobs).messages["ResultQueue"])
    failure = (
        f"s3://{session.stack.outputs['WorkBucket']}/failures/{uuid.uuid5(uuid.NAMESPACE_URL, 'failure')}-error.out"
    )
    maker.event("settle-failure", "SettleFunction", [_failed(told[0], failure=failure)])
    maker.event("settle-expired", "SettleFunction", [_expired(told[1])])
    maker.event("settle-envelope", "SettleFunction", [_envelope(session.stack.outputs["SuccessTopic"], told[2])])
    maker.event("settle-unknown-run", "SettleFunction", [_unknown(told[0])])
    maker.run("settle-success", "SettleFunction", [json.dumps(one) for one in told[:10]])
    settled = maker.run("settle-last", "SettleFunction", [json.dumps(one) for one in told[10:]]).messages[
        "SettledQueue"
    ]
    announced = maker.run("collect-scene", "CollectFunction", settled).messages["IndexQueue"]
    identity = str(uuid.uuid5(uuid.NAMESPACE_URL, "index-scene"))
    [ended] = [{**json.loads(body), "id": identity, "time": TIME} for body in announced]
    maker.event("index-scene", "IndexFunction", [json.dumps(ended)])
    maker.event("index-again", "IndexFunction", [_announced(ended, repeated=True)])
    maker.event(
        "index-others",
        "IndexFunction",
        [
            _announced(ended, outputs=_moved(ended, "s3://clayline-embeddingsbucket/", "s3://another-stacks-bucket/")),
            _announced(ended, outputs=_moved(ended, "_v001", "_v009")),
            "{}",
        ],
    )
    maker.event("watch-scene", "WatchFunction", [json.dumps(ended)])
    maker.event("watch-others", "WatchFunction", ["{}"])
    keep_watch(session, ended["detail"]["outputs"]["receipt"])
    sent = maker.run("watch-match", "WatchFunction", [json.dumps(ended)]).messages["SheetQueue"]
    [matched] = [{**json.loads(body), "id": identity, "time": TIME} for body in sent]
    moved = matched["detail"]["receipt"].replace("s3://clayline-embeddingsbucket/", "s3://another-stacks-bucket/")
    sheets = {"match": json.dumps(matched), "again": json.dumps(matched), "others": "{}"}
    for name, body in {**sheets, "moved": _announced(matched, receipt=moved)}.items():
        maker.event(f"sheet-{name}", "SheetFunction", [body])
    maker.event("vectors-scene", "VectorsFunction", [json.dumps(ended)])
    maker.event("vectors-again", "VectorsFunction", [_announced(ended, repeated=True)])
    maker.event("vectors-others", "VectorsFunction", ["{}"])
    maker.event("plan-twice", "PlanFunction", [scene])
    maker.event("plan-landed-again", "PlanFunction", [landed(session, SCENE_KEY, put=1)])

    jobs = maker.run("plan-cog", "PlanFunction", [landed(session, COG_KEY)]).messages["TileQueue"]
    told = _notifications(maker.run("tile-cog", "TileFunction", jobs).messages["ResultQueue"])
    settled = maker.run("settle-cog-expired", "SettleFunction", [_expired(told[0])]).messages["SettledQueue"]
    maker.event("collect-cog", "CollectFunction", settled)
    maker.event("plan-cog-again", "PlanFunction", [landed(session, COG_KEY, put=1)])

    jobs = maker.run("plan-nodata-cog", "PlanFunction", [landed(session, NODATA_KEY)]).messages["TileQueue"]
    nothing_sent = maker.run("tile-nodata-cog", "TileFunction", jobs).messages["ResultQueue"]
    settled = maker.run("settle-nothing-sent", "SettleFunction", nothing_sent).messages["SettledQueue"]
    maker.event("collect-nodata-cog", "CollectFunction", settled)


def main() -> int:
    """Make them all."""
    with tempfile.TemporaryDirectory(prefix="clayline-events-") as folder, ExitStack() as stack:
        make_objects(expand(TEMPLATE, LOCAL_PARAMETERS).outputs["ScenesBucket"])
        session = stack.enter_context(local_cloud(logs=Path(folder)))
        host = EmulatorHost(session, Path(folder), stack, built=False)
        make(Maker(session, EventRunner(session, host, {})))
    return 0


if __name__ == "__main__":
    sys.exit(main())
