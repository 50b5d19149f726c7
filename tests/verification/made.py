"""A whole scene's outputs, made without the chain: the files that checks are tried on."""

import datetime as dt
import json
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from clayline.chips.grid import ChipGrid
from clayline.errors import TableError
from clayline.identity import uci, utm
from clayline.identity.uci import Instant, Uci
from clayline.model.statistics import VectorStatistics
from clayline.outputs.embedding import EmbeddingRows, SceneColumns
from clayline.outputs.provenance import ON_THE_LATTICE
from clayline.raster.projection import from_lonlat, to_lonlat
from clayline.run.encoding import VectorEncoding
from clayline.run.receipt import ChipOutcome, Receipt, State, count
from clayline.table.geoparquet import write_geoparquet
from clayline.table.inspected import InspectedTable
from clayline.verification.accounts import Companions
from clayline.verification.files import Circumstances, FileVerdict, FileVerification, KnownModel, unreadable

TOKEN: Final = "made-v1.0-l8-rgb"
DIGEST: Final = f"sha256:{'a' * 64}"
RUN: Final = "0123456789abcdef" * 2
SIZE, DIMENSIONS = 64, 24
GRID: Final = ChipGrid(height=600, width=700, size=SIZE, start=(-23, -39))
TRANSFORM: Final = (30.0, 0.0, 717345.0, 0.0, -30.0, -2776995.0)
CRS: Final = "EPSG:32621"
ACQUIRED: Final = dt.datetime(2020, 5, 18, 13, 39, 44, tzinfo=dt.UTC)
CREATED: Final = dt.datetime(2026, 11, 22, 8, 0, tzinfo=dt.UTC)
NOW: Final = dt.datetime(2026, 11, 28, tzinfo=dt.UTC)
SKIPPED: Final = frozenset(range(0, 120, 12))
NAME: Final = "21JYM_20200518_20200518_v001"
SOURCE: Final = "s3://scenes/LC08/B4.tif"


@dataclass(frozen=True, kw_only=True)
class Made:
    """Where it lies."""

    parquet: Path

    @property
    def receipt(self) -> Path:
        return self.parquet.with_name(f"{NAME}_receipt.json")

    @property
    def metadata(self) -> Path:
        return self.parquet.with_name(f"{NAME}_metadata.json")

    @property
    def item(self) -> Path:
        return self.parquet.with_name(f"{NAME}.json")


def provenance() -> dict[str, Any]:
    """Give what the header says, as far as checks read it."""
    return {
        "producer": "made for a test",
        "run": RUN,
        "revision": 1,
        "created": CREATED.isoformat(),
        "creator": "tests",
        "source": {"uri": "s3://scenes/LC08/item.json", "source_url": SOURCE},
        "acquired": {"start": ACQUIRED.isoformat(), "end": ACQUIRED.isoformat(), "datetime_source": "item"},
        "instrument": "landsat8-oli-l1",
        "grid": {
            "crs": CRS,
            "transform": list(TRANSFORM),
            "height": GRID.height,
            "width": GRID.width,
            "gsd": 30.0,
            "chip_size": SIZE,
            "rows": GRID.rows,
            "cols": GRID.cols,
            "start": list(GRID.start or ()),
            "edge": ON_THE_LATTICE,
            "lattice": {"name": "utm21-c64p30000", "first_cell": [-1447, 373]},
            "mgrs_tile": None,
            "identifier": "point",
        },
        "model": {"folder": "made-v1.0", "token": TOKEN, "digest": DIGEST, "loss_metric": None, "untrained": False},
    }


def vectors(count: int) -> NDArray[np.float32]:
    """Give vectors about a mean, as models give them."""
    random = np.random.default_rng(5)
    made = random.standard_normal((count, DIMENSIONS)) + 3 * np.sin(np.arange(DIMENSIONS))
    return np.asarray(made, dtype=np.float32)


def make(folder: Path) -> Made:
    """Write a scene's four files."""
    windows = list(GRID)
    a, _, c, _, e, f = TRANSFORM
    places, corners = [], []
    for window in windows:
        x = a * (window.col + SIZE / 2) + c, e * (window.row + SIZE / 2) + f
        position = utm.from_epsg(32621, *x)
        assert position is not None
        point = uci.point_from_utm(position, size=SIZE, gsd_mm=30000)
        name = Uci(location=point, time=Instant.of(ACQUIRED), instrument="landsat8-oli-l1", model=TOKEN)
        places.append(uci.format(name))
        ring = [(0, 0), (0, SIZE), (SIZE, SIZE), (SIZE, 0)]
        xs = np.array([a * (window.col + right) + c for _, right in ring])
        ys = np.array([e * (window.row + down) + f for down, _ in ring])
        corners.append(np.stack(to_lonlat(CRS, xs, ys), axis=1))
    order = sorted((i for i in range(len(windows)) if i not in SKIPPED), key=lambda i: places[i])
    n = len(order)
    rows = EmbeddingRows(
        uci=[places[i] for i in order],
        index=np.array(order),
        cell=[f"utm21-c64p30000-s{1447 + i // GRID.cols}e{373 + i % GRID.cols}" for i in order],
        corners=np.array([corners[i] for i in order]),
        embeddings=vectors(n),
        loss=None,
        valid_fraction=np.linspace(0.5, 1, n, dtype=np.float32),
        cloud_fraction=np.where(np.arange(n) % 3 == 0, np.nan, 0.25).astype(np.float32),
    )
    columns = SceneColumns(
        source_url=SOURCE,
        date=CREATED.date(),
        datetime=ACQUIRED,
        source_model=TOKEN,
        loss_metric=None,
        source_creator="tests",
        dimensions=DIMENSIONS,
    )
    folder.mkdir(parents=True, exist_ok=True)
    made = Made(parquet=folder / f"{NAME}.parquet")
    header = {"clayline": json.dumps(provenance()), "emb": "{}"}
    write_geoparquet(
        made.parquet,
        columns=columns,
        chunks=[rows],
        metadata=header,
        encoding=VectorEncoding.PORTABLE,
        row_group_rows=40,
    )
    chips = tuple(
        ChipOutcome(
            uci=places[i],
            index=i,
            state=State.SKIPPED if i in SKIPPED else State.WRITTEN,
            reason="nodata" if i in SKIPPED else None,
        )
        for i in range(len(windows))
    )
    counts = count(chips)
    receipt = Receipt(
        run=RUN, status="SceneEmbedded", reason=None, message=None, scene="LC08", source_uri="s3://scenes/LC08/item.json",
        source_model=TOKEN, counts=counts, outputs={}, chips=chips,
    )  # fmt: skip
    made.receipt.write_text(receipt.model_dump_json(), encoding="utf-8")
    held = pq.read_metadata(made.parquet).metadata or {}
    stored = {key: json.loads(held[key.encode()]) for key in ("geo", "clayline", "emb")}
    made.metadata.write_text(json.dumps({**stored, "counts": counts.model_dump()}), encoding="utf-8")
    state_item(made)
    return made


def state_item(made: Made) -> None:
    """Write the Item, which states the file's size and checksum."""
    body = made.parquet.read_bytes()
    asset = {
        "href": f"./{NAME}.parquet",
        "file:size": len(body),
        "file:checksum": f"1220{sha256(body).hexdigest()}",
    }
    item = {"type": "Feature", "properties": {"run": RUN, "model_digest": DIGEST}, "assets": {"embeddings": asset}}
    made.item.write_text(json.dumps(item), encoding="utf-8")


def statistics() -> VectorStatistics:
    """Give what the made model's card states."""
    return VectorStatistics.measure([vectors(110)], digest=DIGEST, scenes=["made"])


class OnDisk:
    """A file's bytes."""

    near = True
    sha256 = None

    def __init__(self, path: Path) -> None:
        self._body = path.read_bytes()
        self.size = len(self._body)

    def read(self, start: int, stop: int) -> bytes:
        return self._body[start:stop]


def circumstances() -> Circumstances:
    """Give what the made file is checked by."""
    models = {TOKEN: KnownModel(digest=DIGEST, statistics=statistics())}
    return Circumstances(project=to_lonlat, back=from_lonlat, now=NOW, models=models)


def check(path: Path, *, by: Circumstances | None = None) -> FileVerdict:
    """Check a file, and what lies beside it."""
    stem = path.name.rpartition(".")[0]
    beside = {
        role: (path.parent / f"{stem}{end}").read_bytes() if (path.parent / f"{stem}{end}").is_file() else None
        for role, end in (("receipt", "_receipt.json"), ("metadata", "_metadata.json"), ("item", ".json"))
    }
    try:
        with InspectedTable(OnDisk(path)) as table:
            checking = FileVerification(path.as_uri(), table, Companions(**beside, trouble=None), by or circumstances())
            for _ in checking.run():
                pass
            return checking.verdict()
    except TableError as error:
        return unreadable(path.as_uri(), str(error))


def wrong(verdict: FileVerdict) -> dict[str, str]:
    """Give the checks that found something, and what."""
    return {outcome.check.name: outcome.line for outcome in verdict.outcomes if outcome.findings}
