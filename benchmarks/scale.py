"""A scene of 152,881 chips through plan, settle and collect: time, memory and object sizes of each.

The pixels are nodata (a sparse GeoTIFF) and the vectors random, because only their number matters here. Objects lie in
a folder and the ledger in moto, so that the memory measured is the functions' own and not that of a store in this
process.
"""

import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import rasterio
from moto import mock_aws

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "layers" / "clayline")]

from tests.aws.conftest import ledger_schema  # noqa: E402 - run as a script: the path comes first
from tests.server.model_folders import build_model_folder  # noqa: E402

from clayline.aws.ledger import DynamoLedger  # noqa: E402
from clayline.chips.batch import Batch  # noqa: E402
from clayline.chips.cog import CogSource  # noqa: E402
from clayline.model.manifest import read_manifest  # noqa: E402
from clayline.model.wire import BatchHeader, Response  # noqa: E402
from clayline.ports import ObjectHead, ObjectMissingError  # noqa: E402
from clayline.raster.headers import GdalHeaders  # noqa: E402
from clayline.run.encoding import VectorEncoding  # noqa: E402
from clayline.run.keys import WorkObjects  # noqa: E402
from clayline.run.ledger import Invocation  # noqa: E402
from clayline.run.plan import Plan, Thresholds  # noqa: E402
from clayline.run.receipt import BatchOutcomes  # noqa: E402
from clayline.run.result import BatchResult  # noqa: E402
from clayline.run.state import RunState  # noqa: E402
from clayline.run.stored_plan import load_plan  # noqa: E402
from clayline.scene.intake import Landing, Mode  # noqa: E402
from clayline.scene.radiometry import BoaOverride  # noqa: E402
from clayline.steps.admission import Admission  # noqa: E402
from clayline.steps.collecting import Collecting  # noqa: E402
from clayline.steps.options import PlanOptions  # noqa: E402
from clayline.steps.planning import Planning  # noqa: E402
from clayline.steps.settling import Settling  # noqa: E402
from clayline.table.geoparquet import write_geoparquet  # noqa: E402
from clayline.table.header import read_header  # noqa: E402
from clayline.table.written import read_rows  # noqa: E402

SIDE, CHIP, DIMENSIONS = 390 * 64, 64, 1024
MOST_ITEM_BYTES = 400_000
"""DynamoDB's limit for one item."""
MOST_IN_FLIGHT = 10_000
"""More batches than the scene has: all of them are handed out at once."""


class FolderObjects:
    """The Objects port on a folder."""

    def __init__(self, root: Path) -> None:
        """Take the folder."""
        self._root = root

    def path(self, uri: str) -> Path:
        """Give an object's file."""
        return self._root / uri.removeprefix("s3://")

    def head(self, uri: str) -> ObjectHead:
        """Raises ObjectMissingError."""
        if not self.path(uri).is_file():
            raise ObjectMissingError(uri)
        return ObjectHead(uri=uri, size=self.path(uri).stat().st_size, etag="e", metadata={})

    def get(self, uri: str, *, most: int | None = None) -> bytes:  # noqa: ARG002 - the port's arguments
        """Raises ObjectMissingError."""
        self.head(uri)
        return self.path(uri).read_bytes()

    def discard(self, uris: Sequence[str]) -> None:
        """Take files away."""
        for uri in uris:
            self.path(uri).unlink(missing_ok=True)

    def get_range(self, uri: str, *, start: int, stop: int, etag: str) -> bytes:  # noqa: ARG002 - the port's arguments
        """Raises ObjectMissingError."""
        return self.get(uri)[start:stop]

    def put_new(self, uri: str, body: bytes | Path, *, run: str, content_type: str) -> bool:  # noqa: ARG002 - the port's arguments
        """Write if nothing is there."""
        target = self.path(uri)
        if target.exists():
            return False
        target.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(body, Path):
            shutil.copyfile(body, target)
        else:
            target.write_bytes(body)
        return True


class FolderHeaders(GdalHeaders):
    """GdalHeaders on that folder."""

    def source(self, head: ObjectHead) -> CogSource:
        """Say where the file is."""
        return CogSource(
            path=str(Path(os.environ["SCALE_FOLDER"]) / head.uri.removeprefix("s3://")), uri=head.uri, size=head.size
        )


class Told:
    """A queue and an event bus that count."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.messages: list[Any] = []

    def send(self, bodies: Any, *, delay: int = 0) -> None:  # noqa: ANN401, ARG002 - the port's
        """Keep messages."""
        self.messages += list(bodies)

    def announce(self, kind: str, detail: Any) -> None:  # noqa: ANN401 - the port's type
        """Keep events."""
        self.messages.append((kind, detail))


def peak_mb() -> float:
    """Give the process's largest resident size so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Run plan and settle here, and collect in a process of its own."""
    if len(sys.argv) > 1:
        collect(Path(sys.argv[1]))
        return
    with tempfile.TemporaryDirectory(prefix="clayline-scale-") as folder:
        prepare(Path(folder))
        subprocess.run([sys.executable, __file__, folder], check=True)


def prepare(root: Path) -> None:
    """Plan the scene, and make up what tile and the endpoint would have left."""
    os.environ["SCALE_FOLDER"] = str(root)
    objects, uri = FolderObjects(root), "s3://scenes/cog/LC08_L1TP_001002_20200518_scale.tif"
    scene(objects.path(uri))
    (root / "models").mkdir()
    model = build_model_folder(root / "models", sensor="landsat-c2l1", gsd=30.0, dimensions=DIMENSIONS)
    with mock_aws():
        ledger, queue = DynamoLedger(table()), Told()
        settling = Settling(
            ledger=ledger, objects=objects, tile_queue=queue, settled_queue=Told(), clock=now, work_bucket="work"
        )
        planning = Planning(
            settling=settling,
            objects=objects,
            ledger=ledger,
            admission=Admission(ledger=ledger, tile_queue=queue, clock=now, most_in_flight=MOST_IN_FLIGHT),
            announcer=queue,
            headers=FolderHeaders(),
            clock=now,
            manifest=read_manifest((model / "manifest.json").read_bytes(), source="scale"),
            options=PlanOptions(
                work_bucket="work",
                embeddings_bucket="out",
                allowed_buckets=frozenset({"scenes"}),
                any_gsd=False,
                any_pixel_shape=False,
                boa=BoaOverride.AUTO,
                tiff_datetime=False,
                creator="benchmark",
                thresholds=Thresholds(),
                retry_failed=True,
                encoding=VectorEncoding.PORTABLE,
                lease=timedelta(minutes=15),
                chips_per_batch=64,
                memory_budget=512_000_000,
            ),
        )
        key = uri.removeprefix("s3://scenes/")
        landing = Landing(mode=Mode.COG, bucket="scenes", key=key, size=1, etag="e", landing="0" * 32)
        before, begun = peak_mb(), time.perf_counter()
        outcome = planning.plan(landing)
        tell(
            "scale_plan",
            seconds=time.perf_counter() - begun,
            mb=peak_mb() - before,
            chips=outcome.chips,
            batches=outcome.batches,
        )
        work = WorkObjects(bucket="work", run=str(outcome.run))
        plan = load_plan(objects, work)
        answers(objects, plan, work)
        send(ledger, plan)
        begun = time.perf_counter()
        for batch in plan.batches:
            output = response_of(batch)
            settling.settle(BatchResult(run=plan.run, batch=batch.name, attempt=1, status="succeeded", output=output))
        seconds, size = time.perf_counter() - begun, largest_item()
        tell("scale_settle", seconds=seconds, largest_item_bytes=size)
        assert size < MOST_ITEM_BYTES
        row = ledger.run(plan.run)
        assert row is not None
        assert row.state is RunState.SETTLED
    (root / "run").write_text(plan.run)


def scene(path: Path) -> None:
    """Write a sparse GeoTIFF."""
    path.parent.mkdir(parents=True)
    options = {
        "driver": "GTiff",
        "tiled": True,
        "blockxsize": 512,
        "blockysize": 512,
        "SPARSE_OK": True,
        "compress": "deflate",
    }
    grid = rasterio.Affine(30, 0, 300_000, 0, -30, 5_000_000)
    with rasterio.open(
        path,
        "w",
        width=SIDE,
        height=SIDE,
        count=3,
        dtype="uint16",
        crs="EPSG:32621",
        transform=grid,
        nodata=0,
        **options,
    ) as dataset:
        for number, name in enumerate(("red", "green", "blue"), start=1):
            dataset.set_band_description(number, name)


def table() -> Any:  # noqa: ANN401 - boto3's resources are generated
    """Make the ledger's table."""
    return boto3.resource("dynamodb", region_name="eu-central-1").create_table(TableName="ledger", **ledger_schema())


def largest_item() -> int:
    """Give the size of the ledger's largest item, in bytes of JSON."""
    pages = boto3.client("dynamodb", region_name="eu-central-1").get_paginator("scan").paginate(TableName="ledger")
    return max(len(json.dumps(item)) for page in pages for item in page["Items"])


def send(ledger: DynamoLedger, plan: Plan) -> None:
    """Note every batch as sent, as tile does around each invocation."""
    for batch in plan.batches:
        ledger.begin(plan.run, batch.name, job=batch.job, attempt=1, now=now())
        ledger.invoked(plan.run, batch.name, attempt=1, invocation=Invocation(output=response_of(batch), failure=None))


def settle_anew(ledger: DynamoLedger, run: str) -> None:
    """Let an empty table say that the run is settled: collect's process has none of the other one's items."""
    ledger.claim(run, scene="scale", origin="", now=now(), lease_until=now(), due=now())
    ledger.planned(run, jobs=1, batches=1, due=now())
    ledger.hand_out(run, start=0, stop=1, out=1, due=now())
    ledger.enter(run, RunState.SETTLED, due=now())


def now() -> datetime:
    """Give the time."""
    return datetime.now(UTC)


def response_of(batch: Batch) -> str:
    """Say where a batch's response lies."""
    return f"s3://work/responses/{batch.name}"


def answers(objects: FolderObjects, plan: Plan, work: WorkObjects) -> None:
    """Write outcomes and responses of every batch."""
    entry, draw = plan.model.entry, np.random.default_rng(1)
    for batch in plan.batches:
        index = plan.indexes(batch)
        count = len(index)
        outcomes = BatchOutcomes(
            run=plan.run,
            batch=batch.name,
            index=tuple(index),
            sent=(True,) * count,
            state=(None,) * count,
            reason=(None,) * count,
            valid_fraction=(1.0,) * count,
            cloud_fraction=(None,) * count,
        )
        objects.put_new(work.outcomes(batch.name), outcomes.model_dump_json().encode(), run=plan.run, content_type="")
        header = BatchHeader(
            run=plan.run, batch=batch.name, folder=plan.model.folder, token=entry.token, digest=entry.digest
        )
        response = Response(
            header=header,
            index=np.array(index),
            embeddings=draw.standard_normal((count, DIMENSIONS), dtype=np.float32),
            status=np.zeros(count, np.uint8),
            loss=draw.random(count, dtype=np.float32),
            loss_metric=entry.loss_metric,
        )
        objects.put_new(response_of(batch), response.to_bytes(), run=plan.run, content_type="")


def collect(root: Path) -> None:
    """Collect the prepared run."""
    objects, run, told = FolderObjects(root), (root / "run").read_text(), Told()
    with mock_aws():
        ledger = DynamoLedger(table())
        settle_anew(ledger, run)
        collecting = Collecting(
            objects=objects,
            requests=objects,
            ledger=ledger,
            announcer=told,
            clock=now,
            write_table=write_geoparquet,
            read_header=read_header,
            read_rows=read_rows,
            work_bucket="work",
            scratch=root,
        )
        before, begun = peak_mb(), time.perf_counter()
        receipt = collecting.collect(run)
        seconds = time.perf_counter() - begun
    assert receipt is not None
    assert receipt.counts.written == receipt.counts.planned == len(receipt.chips)
    sizes = {kind: objects.head(uri).size / 1e6 for kind, uri in receipt.outputs.items()}
    tell(
        "scale_collect",
        seconds=seconds,
        mb=peak_mb() - before,
        chips=receipt.counts.written,
        **{f"{kind}_mb": mb for kind, mb in sizes.items()},
    )


def tell(name: str, **numbers: float) -> None:
    """Print one line of JSON."""
    print(json.dumps({"name": name, **{key: round(value, 2) for key, value in numbers.items()}}), flush=True)


if __name__ == "__main__":
    os.environ |= {"AWS_ACCESS_KEY_ID": "none", "AWS_SECRET_ACCESS_KEY": "none", "AWS_DEFAULT_REGION": "eu-central-1"}
    main()
