"""What is fuzzed: each subject takes chance, feeds one mutated input to the shipped code, and says whether pixels or
tensors were reached. Errors of our own family are answers; anything else is a fault.
"""

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.random import Generator
from tests.conftest import ROOT
from tests.fuzz.mutations import mutate_bytes, mutate_json
from tests.model.wire_objects import request, response
from tests.raster.geotiffs import SETTINGS, local, texture, write
from tests.raster.tiffs import text, tiff
from tests.run.notifications import BUCKET, envelope, notification
from tests.scene.stac import BASE, NEW_NAMES, asset, item

from clayline.errors import ClaylineError
from clayline.model.manifest import read_manifest
from clayline.model.wire import Request, Response
from clayline.ports import ObjectHead
from clayline.raster.headers import GdalHeaders
from clayline.raster.part import BandSource
from clayline.raster.tile import read_job
from clayline.run.names import AS_THEY_LIE
from clayline.run.result import UnknownResultError, parse_result
from clayline.scene.boa_statements import statements
from clayline.scene.intake import Landing, Mode
from clayline.scene.landed import read_source
from clayline.scene.radiometry import BoaOverride, decide_boa

MOST_PIXELS: Final = 128
"""Of a side, that are read of a file: what a header may declare is not what a test must wait for."""
STARTER: Final = ROOT / "model" / "starter" / "starter-v1.0" / "manifest.json"
REFUSALS: Final = (ClaylineError, UnknownResultError)


@dataclass(frozen=True, kw_only=True)
class Landed:
    """The port Objects on one Item."""

    body: bytes

    def head(self, uri: str) -> ObjectHead:
        return ObjectHead(uri=uri, size=len(self.body), etag="e", metadata={})

    def get(self, uri: str, *, most: int | None = None) -> bytes:
        del uri, most
        return self.body

    def put_new(self, uri: str, body: bytes | Path, *, run: str, content_type: str) -> bool:
        raise NotImplementedError(uri, body, run, content_type)


@dataclass(kw_only=True)
class Subjects:
    """Everything that is fuzzed, with its originals."""

    folder: Path
    rasters: list[tuple[bytes, range]] = field(default_factory=list)
    """TIFFs, and where their directories lie."""

    def __post_init__(self) -> None:
        """Write the originals."""
        named = text(b'<GDALMetadata><Item name="DESCRIPTION" sample="0" role="description">red</Item></GDALMetadata>')
        for order in "<>":
            for big in (False, True):
                body = tiff(order, big=big, extra=[{270: text(b"a scene"), 42_112: named}, {}])
                self.rasters.append((body, range(8_192, len(body))))
        for name, bands, profile in (
            ("deflate", 2, {"predictor": 2}),
            ("lzw", 3, {"compress": "lzw", "interleave": "pixel"}),
            ("zstd", 1, {"compress": "zstd", "nodata": 0}),
            ("strips", 1, {"tiled": False, "blockysize": 16, "compress": "packbits"}),
            ("plain", 2, {"compress": None, "bigtiff": "yes"}),
        ):
            given = {key: value for key, value in profile.items() if value is not None} | (
                {"compress": "none"} if profile.get("compress", "") is None else {}
            )
            if name == "strips":
                given |= {"blockxsize": None}
            body = write(self.folder / f"{name}.tif", texture(bands, 100, 90), **given).read_bytes()
            self.rasters.append((body, range(min(1_024, len(body)))))

    @property
    def all(self) -> Mapping[str, tuple[float, Callable[[Generator], bool]]]:
        """Each subject's share of the cases."""
        return {
            "tiff": (0.45, self.raster),
            "item": (0.15, self.item),
            "manifest": (0.05, self.manifest),
            "request": (0.15, self.request),
            "response": (0.15, self.response),
            "result": (0.05, self.result),
        }

    def case(self, seed: int, number: int) -> tuple[str, bool, str | None]:
        """Run one case, the same for the same seed and number.

        Gives the subject, whether pixels or tensors were reached, and the refusal's kind. Raises what is a fault.
        """
        chance = np.random.default_rng([seed, number])
        names, chosen = list(self.all), list(self.all.values())
        name = names[int(chance.choice(len(names), p=[share for share, _ in chosen]))]
        try:
            return name, self.all[name][1](chance), None
        except REFUSALS as error:
            str(error).encode()  # whatever is said can be sent
            return name, False, getattr(error, "reason", type(error).__name__)

    def case_quietly(self, seed: int, number: int) -> None:
        """Run one case for what it loads."""
        with suppress(Exception):
            self.case(seed, number)

    def raster(self, chance: Generator) -> bool:
        """A header, then pixels: plan's look, GDAL's open, a job's read."""
        body, directory = self.rasters[int(chance.integers(len(self.rasters)))]
        path = self.folder / "case.tif"
        path.write_bytes(mutate_bytes(chance, body, directory if chance.random() < 0.6 else range(len(body))))
        header = GdalHeaders(settings=SETTINGS).read_header(local(path))
        json.dumps([header.descriptions, header.tags, header.crs], ensure_ascii=False).encode()
        numbers = range(1, min(header.band_count, 4) + 1)
        bands = [
            BandSource(name=f"b{number}", source=local(path), header=header, band=number, nodata=0)
            for number in numbers
        ]
        window = (0, min(header.height, MOST_PIXELS), 0, min(header.width, MOST_PIXELS))
        read_job(bands, None, transform=header.transform, window=window, settings=SETTINGS)
        return True

    def item(self, chance: Generator) -> bool:
        """A landed Item: what it is, its bands, its time, its offset."""
        assets = {name: asset(f"./{number}.tif") for name, number in NEW_NAMES.items()} | {"scl": asset("./SCL.tif")}
        content = item(assets, platform="sentinel-2a", **{"s2:processing_baseline": "05.10", "grid:code": "MGRS-32UQD"})
        if chance.random() < 0.8:
            body = json.dumps(mutate_json(chance, content)).encode()
        else:
            body = json.dumps(content).encode()
            body = mutate_bytes(chance, body, range(len(body)))
        landing = Landing(
            mode=Mode.ITEM, bucket="scenes", key=BASE.removeprefix("s3://scenes/"), size=1, etag="e", landing="0" * 32
        )
        source = read_source(
            landing,
            objects=Landed(body=body),
            headers=GdalHeaders(),
            allowed_buckets=frozenset({"scenes"}),
            tiff_datetime=False,
            names=AS_THEY_LIE,
        )
        if not isinstance(source, str):
            said = statements(
                properties=source.properties, collection=source.collection, item=source.name, files=[], tags=[]
            )
            decide_boa(scene=source.name, said=said, acquired=source.acquired.start, override=BoaOverride.AUTO)
            json.dumps([source.name, source.read], ensure_ascii=False).encode()
        return False

    def manifest(self, chance: Generator) -> bool:
        """A model's manifest."""
        body = STARTER.read_bytes()
        if chance.random() < 0.5:
            body = json.dumps(mutate_json(chance, json.loads(body))).encode()
        else:
            body = mutate_bytes(chance, body, range(len(body)))
        read_manifest(body, source="a manifest")
        return False

    def request(self, chance: Generator) -> bool:
        """A request, as the server reads it: from memory or from a file."""
        body = _wire(chance, request().to_bytes())
        if chance.random() < 0.5:
            found = Request.from_bytes(body)
            tensors: list[Any] = [found.index, *(tensor[:] for tensor in found.inputs.values())]
        else:
            path = self.folder / "case.request"
            path.write_bytes(body)
            with path.open("rb") as file:
                found = Request.from_file(file)
                tensors = [found.index[:], *(tensor[0:1] for tensor in found.inputs.values())]
        return bool([np.asarray(tensor).sum() for tensor in tensors])

    def response(self, chance: Generator) -> bool:
        """A response, as collect reads it."""
        found = Response.from_bytes(_wire(chance, response(loss=chance.random() < 0.5).to_bytes()))
        return bool(found.embeddings.sum() is not None)

    def result(self, chance: Generator) -> bool:
        """A notification, as settle reads it."""
        content = notification() if chance.random() < 0.5 else notification("Failed")
        body = envelope(mutate_json(chance, content))
        if chance.random() < 0.3:
            body = mutate_bytes(chance, body.encode(), range(len(body))).decode(errors="replace")
        found = parse_result(body, work_bucket=BUCKET)
        json.dumps(found.model_dump(), ensure_ascii=False).encode()
        return False


def _wire(chance: Generator, body: bytes) -> bytes:
    """Mutate a safetensors file: its header's length and text, or its tensors, half of the cases each."""
    header = 8 + int.from_bytes(body[:8], "little")
    return mutate_bytes(chance, body, range(header) if chance.random() < 0.5 else range(header, len(body)))
