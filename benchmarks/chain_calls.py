"""chain_calls: what the chain asks of AWS for a scene, counted on the wire, against what is foretold of it.

    python benchmarks/chain_calls.py [--side 10980]

A Sentinel-2 scene of ten bands (four at 10 m, six at 20 m) and SCL, 1,849 chips of 256 px, is planned, tiled, settled,
collected and indexed by the very steps and adapters of the functions, boto3 and GDAL over HTTP to a local AWS that
counts every request. Its pixels are made up, since only how many there are matters here. SageMaker's part (a GET of
each request, a PUT of each response, a message) is played. What ``clayline plan-cost`` foretells is in the same line.
Exit status 1 if they differ.
"""

import argparse
import io
import json
import logging
import os
import sys
import tempfile
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from math import ceil
from pathlib import Path
from typing import Any, Final, override
from unittest.mock import patch

import numpy as np
import rasterio
from moto.server import ThreadedMotoServer
from rasterio.io import MemoryFile
from rasterio.windows import Window

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "model")]

from tests.pipeline.harness import WORK, Pipeline, PlayedEndpoint, completed  # noqa: E402 - run as a script: the path comes first
from tests.server.model_folders import build_model_folder  # noqa: E402

from clayline.aws.dataset_root import S3Root  # noqa: E402
from clayline.chips.reading import NOTHING  # noqa: E402
from clayline.dataset.scene_file import SceneFile  # noqa: E402
from clayline.model.wire import Request, Response  # noqa: E402
from clayline.raster.cog import ReadSettings  # noqa: E402
from clayline.raster.headers import GdalHeaders  # noqa: E402
from clayline.raster.pixels import GdalPixels  # noqa: E402
from clayline.run.calls import Calls, Work, chain_calls, work_of  # noqa: E402
from clayline.run.keys import WorkObjects, parse_s3_uri  # noqa: E402
from clayline.run.plan import Plan  # noqa: E402
from clayline.run.stored_plan import load_plan  # noqa: E402
from clayline.steps.collecting import SettledRun  # noqa: E402
from clayline.steps.indexing import Indexing  # noqa: E402
from clayline.steps.planning import Planning  # noqa: E402
from clayline.steps.tiling import TileJob, Tiling  # noqa: E402
from clayline.table.scene_header import read_scene_header  # noqa: E402
from clayline.table.scene_rows import encode_rows  # noqa: E402

REGION: Final = "eu-central-1"
SIDE, CHIP, BLOCK, DIMENSIONS = 10980, 256, 1024, 1024
BANDS: Final = {
    "blue": 10, "green": 10, "red": 10, "rededge1": 20, "rededge2": 20, "rededge3": 20, "nir": 10, "nir08": 20,
    "swir16": 20, "swir22": 20,
}  # fmt: skip
"""Clay's ten, in its order, with their pixels' metres."""
INPUTS: Final = ("pixels", "time", "latlon")
MOST_SPARE: Final = 0.8
"""What is foretold may be a little too much, where files and rows differ, and never too little."""
_WRITES, _READS = 1_024, 4_096
"""Bytes of an item that one unit of DynamoDB writes, and reads."""


class Wire:
    """Counts what reaches a server."""

    def __init__(self, app: Callable[..., Any]) -> None:
        """Take what answers."""
        self._app = app
        self._counts: Counter[str] = Counter()

    def take(self) -> Counter[str]:
        """Give what was counted since this was asked before."""
        found, self._counts = self._counts, Counter()
        return found

    def __call__(self, environment: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        """Answer as WSGI wants it."""
        target = environment.get("HTTP_X_AMZ_TARGET", "")
        body = environment["wsgi.input"].read(int(environment.get("CONTENT_LENGTH") or 0))
        if "/s3/" in environment.get("HTTP_AUTHORIZATION", ""):
            self._counts[_s3(environment)] += 1
        answered = list(self._app({**environment, "wsgi.input": io.BytesIO(body)}, start))
        if target.startswith("DynamoDB"):
            self._counts += _dynamodb(target.rpartition(".")[2], json.loads(body), json.loads(b"".join(answered)))
        elif target.startswith("AmazonSQS.SendMessage"):
            asked = json.loads(body)
            self._counts["sends"] += 1
            self._counts["messages"] += len(asked.get("Entries", [None]))
        elif target.endswith("PutEvents"):
            self._counts["events"] += len(json.loads(body)["Entries"])
        return answered


@contextmanager
def counting() -> Iterator[Wire]:
    """Start a local AWS to which boto3 and GDAL turn, and count."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        address = ":".join(map(str, server.get_host_and_port()))
        reset = urllib.request.Request(f"http://{address}/moto-api/reset", method="POST")
        urllib.request.urlopen(reset).close()  # noqa: S310 - the same
        assert server._server  # noqa: SLF001 - where moto keeps its WSGI application
        wire = server._server.app = Wire(server._server.app)  # noqa: SLF001
        here = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": REGION}
        here |= {"AWS_ENDPOINT_URL": f"http://{address}", "AWS_S3_ENDPOINT": address}
        here |= {"AWS_HTTPS": "NO", "AWS_VIRTUAL_HOSTING": "FALSE"}
        kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        with patch.dict(os.environ, {**kept, **here}, clear=True):
            yield wire
    finally:
        server.stop()


def _s3(environment: Mapping[str, Any]) -> str:
    """PUT, POST (deleting many at once is one) and LIST have one price, GET and HEAD another, DELETE none."""
    method, query = environment["REQUEST_METHOD"], environment.get("QUERY_STRING", "")
    if method == "DELETE":
        return "s3_deletes"
    return "s3_reads" if method in {"GET", "HEAD"} and "list-type" not in query else "s3_writes"


def _dynamodb(operation: str, asked: Mapping[str, Any], answered: Mapping[str, Any]) -> Counter[str]:
    """Give the units of a call, of items as large as their JSON: a little more than DynamoDB bills."""
    if operation in {"GetItem", "Query", "Scan"}:
        found = answered.get("Items", [answered["Item"]] if "Item" in answered else [])
        return Counter(dynamodb_reads=max(1, ceil(_size(found) / _READS)))
    if operation == "TransactWriteItems":
        return Counter(dynamodb_writes=2 * len(asked["TransactItems"]))
    return Counter(dynamodb_writes=max(1, ceil(_size(answered.get("Attributes") or asked.get("Item")) / _WRITES)))


def _size(item: object) -> int:
    return len(json.dumps(item, separators=(",", ":")))


class WiredPipeline(Pipeline):
    """The tests' pipeline whose rasters, too, come over the wire; what it has counted is its own."""

    def __init__(self, models: Path, *, wire: Wire, scratch: Path, **options: Any) -> None:  # noqa: ANN401 - PlanOptions' fields
        """Take what counts."""
        super().__init__(models, scratch=scratch, **options)
        self.wire = wire
        self.reading = NOTHING
        """What tile says that it read."""

    @property
    @override
    def planning(self) -> Planning:
        headers = GdalHeaders(settings=ReadSettings(), objects=self.objects, names=self.options.names)
        return replace(super().planning, headers=headers)

    @property
    @override
    def tiling(self) -> Tiling:
        return replace(super().tiling, pixels=GdalPixels(settings=ReadSettings()))

    def count(self, key: str) -> tuple[Plan, Calls, Work]:
        """Take a landed scene through the chain; gives its plan, what was counted, and its work."""
        landing = self.landing(key)
        self.wire.take()
        run = self.planning.plan(landing).run
        assert run
        counted = self.wire.take()
        plan = load_plan(self.objects, WorkObjects(bucket=WORK, run=run))
        self.wire.take()
        while self.deliver("tile", self._tile):
            pass
        self.answer_all()
        while self.deliver("result", self.result):
            pass
        while self.deliver("settled", lambda body: self.collecting.collect(SettledRun.model_validate_json(body).run)):
            pass
        file = SceneFile.of_receipt(plan.outputs.receipt)
        assert file
        root = S3Root(self.s3, bucket=parse_s3_uri(plan.outputs.receipt)[0])
        assert Indexing(root=root, read_header=read_scene_header, encode_rows=encode_rows).index(file)
        counted += self.wire.take()
        return plan, self._calls(counted, plan), self._work(plan)

    def _tile(self, body: str) -> None:
        self.reading += self.tiling.tile(TileJob.model_validate_json(body)).reading

    def _work(self, plan: Plan) -> Work:
        return work_of(
            chips=len(plan.grid),
            jobs=len(plan.jobs),
            batches=len(plan.batches),
            files=len(plan.sources()),
            entry=plan.model.entry,
            reading=self.reading,
        )

    @staticmethod
    def _calls(counted: Counter[str], plan: Plan) -> Calls:
        """Add AWS's own part: the messages of the scene and its event, and that each is received and deleted."""
        messages = 2 + counted["messages"]
        return Calls(
            s3_writes=counted["s3_writes"],
            s3_reads=counted["s3_reads"],
            sqs_requests=2 + counted["sends"] + 2 * messages,
            sns_publishes=len(plan.batches),
            events=counted["events"],
            dynamodb_writes=counted["dynamodb_writes"],
            dynamodb_reads=counted["dynamodb_reads"],
            lambda_calls=messages,
            invocations=len(plan.batches),
        )


class MadeUpEndpoint(PlayedEndpoint):
    """Answers with vectors of no meaning."""

    @override
    def answer(self, s3: Any, input_uri: str, inference_id: str) -> dict[str, Any]:
        request = Request.from_bytes(self.objects.get(input_uri))
        chips = len(request.index)
        draw = np.random.default_rng(chips)
        response = Response(
            header=request.header,
            index=request.index,
            embeddings=draw.standard_normal((chips, DIMENSIONS), dtype=np.float32),
            status=np.zeros(chips, np.uint8),
            loss=None,
            loss_metric=None,
        )
        output = self.output(inference_id)
        bucket, key = parse_s3_uri(output)
        s3.put_object(Bucket=bucket, Key=key, Body=response.to_bytes())
        return completed(input_uri, inference_id, output)


def scene(side: int) -> dict[str, bytes]:
    """Give a Sentinel-2 scene key by key, its Item last, in the blocks of Earth Search's files."""
    files = {f"scene/{name}.tif": _band(side, metres, "uint16") for name, metres in BANDS.items()}
    files["scene/scl.tif"] = _band(side, 20, "uint8")
    assets = {
        Path(key).stem: {"href": f"./{Path(key).name}", "type": "image/tiff; application=geotiff"} for key in files
    }
    item: dict[str, Any] = {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": "S2A_T33TUL_20240601T100556_L2A",
        "collection": "sentinel-2-l2a",
        "geometry": None,
        "properties": {
            "datetime": "2024-06-01T10:05:56Z",
            "s2:mgrs_tile": "33TUL",
            "earthsearch:boa_offset_applied": True,
        },
        "links": [],
        "assets": assets,
    }
    return {**files, "scene/item.json": json.dumps(item).encode()}


def _band(side: int, metres: int, dtype: str) -> bytes:
    """Write a band whose every row is 4, 5, 6 ... 4 again: vegetation, bare soil, water where they are classes."""
    width = -(-side * 10 // metres)
    profile = {
        "driver": "GTiff",
        "width": width,
        "height": width,
        "count": 1,
        "dtype": dtype,
        "crs": "EPSG:32633",
        "transform": rasterio.Affine(metres, 0, 300_000, 0, -metres, 5_100_000),
        "nodata": 0,
        "tiled": True,
        "blockxsize": BLOCK,
        "blockysize": BLOCK,
        "compress": "deflate",
    }
    with MemoryFile() as memory:
        with memory.open(**profile) as dataset:
            for top in range(0, width, BLOCK):
                height = min(BLOCK, width - top)
                rows = np.broadcast_to(4 + np.arange(width) % 3, (height, width)).astype(dtype)
                dataset.write(rows, 1, window=Window(0, top, width, height))
        return bytes(memory.read())


def main() -> None:
    """Print what was counted and what is foretold; exit status 1 if they differ."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=SIDE, help="pixels of 10 m")
    side = parser.parse_args().side
    with tempfile.TemporaryDirectory(prefix="clayline-calls-") as folder, counting() as wire:
        models, scratch = Path(folder) / "models", Path(folder) / "scratch"
        scratch.mkdir()
        build_model_folder(models, bands=tuple(BANDS), chip_size=CHIP, dimensions=DIMENSIONS, loss=False, inputs=INPUTS)
        pipeline = WiredPipeline(models, wire=wire, scratch=scratch, chips_per_batch=64, memory_budget=512_000_000)
        pipeline.endpoint = MadeUpEndpoint(objects=pipeline.objects, models=models)
        for key, body in scene(side).items():
            pipeline.put(key, body)
        plan, counted, work = pipeline.count("scene/item.json")
    foretold = chain_calls(work)
    wrong = unforetold(counted, foretold)
    print(
        json.dumps(
            {
                "benchmark": "chain_calls",
                "work": asdict(work),
                "counted": asdict(counted),
                "foretold": asdict(foretold),
                "location": plan.scene.location,
            }
        )
    )
    sys.exit(1 if wrong else 0)


def unforetold(counted: Calls, foretold: Calls) -> list[str]:
    """Name what is asked more often than foretold, or less often than four fifths of that."""
    pairs = ((name, value, asdict(foretold)[name]) for name, value in asdict(counted).items())
    return [name for name, value, most in pairs if not MOST_SPARE * most <= value <= most]


if __name__ == "__main__":
    main()
