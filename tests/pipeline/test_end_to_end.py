"""Real scenes through the real processes: moto_server, the container's server, a worker a function, wired.

What comes out is compared with what independent means give: rasterio windows and a bare ONNX Runtime session for the
vectors, pyproj and the GeoTIFF's own transform for the geometry, the receipt with the plan and the file, DuckDB and
geopandas as readers.
"""

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import geopandas
import numpy as np
import onnxruntime
import pyarrow as pa
import pyarrow.parquet as pq
import pystac
import pytest
import rasterio
import shapely
from pyproj import Transformer
from rasterio.windows import Window
from tests.conftest import ROOT, SHARED
from tests.pipeline.ground import lattice_windows, tile_windows
from tests.pipeline.remapping import remapped

import clayline
from clayline.aws.dataset_root import S3Root
from clayline.identity import mgrs, uci, utm
from clayline.ports import ObjectMissingError
from clayline.run.plan import Plan, PlannedChips
from clayline.steps.upkeep import COMPACTED, Mark
from clayline.table.index_reading import read_manifest
from clayline_cli.kept.folder import Kept
from clayline_cli.staging.stage import stage
from clayline_local.repository import STARTER
from clayline_local.session import Session

pytestmark = pytest.mark.pipeline
SCENES = ("itaipu", "ireland", "sahara", "aquileia", "colombia")
EARTH = 6_371_000.0
_PATIENCE = 180.0


@dataclass(frozen=True, kw_only=True)
class Embedded:
    """A scene that went through."""

    detail: dict[str, Any]
    files: dict[str, Path]
    plan: Plan
    chips: PlannedChips
    folder: Path
    """Where its bands are on this machine."""

    @property
    def table(self) -> pa.Table:
        return pq.read_table(self.files["parquet"])

    def band(self, name: str) -> tuple[Path, int]:
        planned = next(band for band in self.plan.bands if band.name == name)
        return self.folder / planned.uri.rpartition("/")[2], planned.band


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    allowed = {"AnyGsd": "true", "AnyPixelShape": "true", "CompactSchedule": "rate(1 minute)"}
    with Session(parameters=allowed, logs=tmp_path_factory.mktemp("logs")) as running:
        yield running


@pytest.fixture(scope="module")
def embedded(session: Session, sample: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Embedded]:
    """Embed every scene that is here, all at once."""
    where = {"itaipu": next(sample.glob("*.json"))}
    data = SHARED / "data"
    if data.is_dir():
        where |= {
            "ireland": data / "s2_29UNU_ireland_2022_60m" / "S2A_29UNU_20221005_0_L2A_60m.json",
            "sahara": remapped(
                data / "s2_29RKH_sahara_2020", "S2A_29RKH_20200219_0_L2A.json", tmp_path_factory.mktemp("sahara")
            ),
            "colombia": remapped(
                data / "landsat8_colombia_2019",
                "LC08_L2SP_008059_20191201_20200825_02_T1_SR_stac.json",
                tmp_path_factory.mktemp("colombia"),
            ),
            "aquileia": data / "s2_aquileia_2019" / "S2_L2A_aquileia_20190416.tif",
        }
    found = {}
    for name, path in where.items():
        with stage(str(path), metadata={}) as scene:
            uri = session.drop(scene)
            detail = session.wait(uri)
        files = Kept(tmp_path_factory.mktemp(name)).fetch(session, detail)
        work = session.stack.functions()["PlanFunction"].environment["CLAYLINE_WORK_BUCKET"]
        plan = Plan.model_validate_json(
            session.s3.get_object(Bucket=work, Key=f"plans/{detail['run']}/plan.json")["Body"].read()
        )
        chips = PlannedChips.from_bytes(
            session.s3.get_object(Bucket=work, Key=f"plans/{detail['run']}/chips.safetensors")["Body"].read()
        )
        found[name] = Embedded(detail=detail, files=files, plan=plan, chips=chips, folder=path.parent)
    return found


@pytest.fixture(params=SCENES)
def scene(request: pytest.FixtureRequest, embedded: dict[str, Embedded]) -> Embedded:
    if request.param not in embedded:
        pytest.skip("needs ../shared/data")
    return embedded[request.param]


def test_no_real_scene_in_its_own_units_is_told_off(scene: Embedded) -> None:
    """Forest, desert, lagoon, and clouds over half of Ireland and of Colombia."""
    assert "implausible-units" not in {warning.reason for warning in scene.plan.warnings}
    assert {band.conversion for band in scene.plan.bands} == {None}


def test_the_bundled_scene_is_embedded_whole(embedded: dict[str, Embedded]) -> None:
    itaipu = embedded["itaipu"]
    assert itaipu.detail["status"] == "SceneEmbedded"
    assert (itaipu.plan.grid.rows, itaipu.plan.grid.cols) == (30, 33)
    with rasterio.open(itaipu.band("red")[0]) as dataset:
        windows = lattice_windows(dataset, 64)
        valid = [dataset.read(1, window=Window(col, row, 64, 64), boundless=True).any() for row, col in windows]
    counts = {"planned": 990, "written": sum(valid), "skipped": {"nodata": 990 - sum(valid)}, "failed": {}}
    assert itaipu.detail["counts"] == counts
    assert itaipu.files["parquet"].name == "21JYM_20200518_20200518_v001.parquet"


def test_vectors_and_loss_are_those_of_a_bare_session_on_rasterio_windows(scene: Embedded) -> None:
    entry = scene.plan.model.entry
    graph = onnxruntime.InferenceSession(STARTER / entry.graph)
    table = scene.table
    size, fine = entry.chip_size, scene.plan.scene.transform
    stacks = []
    for band in scene.plan.bands:
        path, number = scene.band(band.name)
        with rasterio.open(path) as dataset:
            shape = (scene.plan.scene.height, scene.plan.scene.width)
            values = dataset.read(number, out_shape=shape, resampling=rasterio.enums.Resampling.nearest).astype(
                np.int64
            )
            assert dataset.transform.c == pytest.approx(fine[2])
        none = 0 if dataset.nodata is None else dataset.nodata
        stacks.append((values, values != none, band.offset))
    valid = np.logical_and.reduce([ok for _, ok, _ in stacks])
    pixels = np.stack(
        [np.where(valid, np.maximum(values + offset, 1) if offset else values, 0) for values, _, offset in stacks]
    )
    pixels = np.pad(pixels, ((0, 0), (size, size), (size, size))).astype(entry.dtype)
    valid = np.pad(valid, size)
    step = max(1, len(table) // 60)
    for row in range(0, len(table), step):
        window = scene.plan.grid.window(table["index"][row].as_py())
        part = (slice(window.row + size, window.row + 2 * size), slice(window.col + size, window.col + 2 * size))
        expected = graph.run(None, {"pixels": pixels[:, *part][None]})
        np.testing.assert_allclose(table["embeddings"][row].as_py(), expected[0][0], rtol=1e-4, atol=1e-5)
        if entry.loss_metric:
            assert table["loss"][row].as_py() == pytest.approx(float(expected[1][0]), rel=1e-3, abs=1e-6)
        assert table["valid_fraction"][row].as_py() == pytest.approx(valid[part].sum() / size**2)


def test_every_geometry_is_right_to_a_centimetre(scene: Embedded) -> None:
    """By pyproj from the GeoTIFF's own transform and the row's index, nothing of ours between."""
    with rasterio.open(scene.band(scene.plan.bands[0].name)[0]) as dataset:
        transform, crs = dataset.transform, dataset.crs.to_wkt()
        windows = tile_windows(dataset, 64) if scene.plan.scene.location == "window" else lattice_windows(dataset, 64)
    to_lonlat = Transformer.from_crs(crs, "OGC:CRS84", always_xy=True)
    frame = geopandas.read_parquet(scene.files["parquet"])
    assert frame.crs == "OGC:CRS84"
    size = scene.plan.model.entry.chip_size
    assert (size, len(windows)) == (64, scene.detail["counts"]["planned"])
    for geometry, index in zip(frame.geometry, frame["index"], strict=True):
        row, col = windows[index]
        expected = [
            to_lonlat.transform(*(transform @ at))
            for at in ((col, row), (col + size, row), (col + size, row + size), (col, row + size))
        ]
        assert shapely.is_ccw(geometry.exterior)
        for lon, lat in expected:
            metres = [
                np.hypot((x - lon) * np.cos(np.radians(lat)), y - lat) * np.pi / 180 * EARTH
                for x, y in geometry.exterior.coords
            ]
            assert min(metres) < 0.01


def test_every_identifier_names_its_chip(scene: Embedded) -> None:
    frame = geopandas.read_parquet(scene.files["parquet"])
    assert frame["uci"].is_unique
    assert frame["uci"].is_monotonic_increasing
    assert scene.plan.scene.location == {"29UNU": "window", "29RKH": "window"}.get(scene.plan.scene.mgrs, "point")
    to_scene = Transformer.from_crs("OGC:CRS84", scene.plan.scene.crs, always_xy=True)
    a, _, c, _, e, f = scene.plan.scene.transform
    for text, geometry, index in zip(frame["uci"], frame.geometry, frame["index"], strict=True):
        parsed = uci.parse(text)
        window = scene.plan.grid.window(index)
        if isinstance(parsed.location, uci.Window):
            assert (parsed.location.row, parsed.location.col, parsed.location.size) == (
                window.row,
                window.col,
                window.size,
            )
            # the footprint follows from the identifier alone
            own = shapely.Polygon(uci.footprint(text).lonlat)
            assert own.hausdorff_distance(geometry) * 111_320 < 0.01
        else:
            # the centre lies in the identifier's cell (to the millimetre it is snapped to), by PROJ
            cell = mgrs.parse(parsed.location.reference)
            assert cell.size <= scene.plan.scene.gsd
            x, y = a * (window.col + window.size / 2) + c, e * (window.row + window.size / 2) + f
            lon, lat = to_scene.transform(x, y, direction="INVERSE")
            epsg = utm.Utm(zone=cell.zone, north=cell.north, easting=0, northing=0).epsg
            east, north = Transformer.from_crs("OGC:CRS84", f"EPSG:{epsg}", always_xy=True).transform(lon, lat)
            assert -0.001 <= east - cell.easting <= cell.size + 0.001
            assert -0.001 <= north - cell.northing <= cell.size + 0.001


def test_the_receipt_agrees_with_plan_and_file_chip_by_chip(scene: Embedded) -> None:
    receipt = json.loads(scene.files["receipt"].read_bytes())
    assert {chip["uci"]: chip["index"] for chip in receipt["chips"]} == dict(
        zip(scene.chips.uci, range(len(scene.chips.uci)), strict=True)
    )
    written = {chip["uci"]: chip["index"] for chip in receipt["chips"] if chip["state"] == "written"}
    table = scene.table
    assert dict(zip(table["uci"].to_pylist(), table["index"].to_pylist(), strict=True)) == written
    assert all(chip.get("reason") for chip in receipt["chips"] if chip["state"] != "written")
    counts = receipt["counts"]
    assert (
        counts["planned"]
        == counts["written"] + sum(counts["skipped"].values()) + sum(counts["failed"].values())
        == len(receipt["chips"])
    )
    assert scene.detail["counts"] == counts


def test_source_url_is_the_file_whose_grid_the_chips_lie_on(scene: Embedded) -> None:
    [url] = {str(value) for value in scene.table["source_url"].to_pylist()}
    with rasterio.open(scene.folder / url.rpartition("/")[2]) as dataset:
        assert tuple(dataset.transform)[:6] == scene.plan.scene.transform
        assert (dataset.height, dataset.width) == (scene.plan.scene.height, scene.plan.scene.width)
    source = json.loads(scene.files["metadata"].read_bytes())["clayline"]["source"]
    assert url == source["source_url"]
    assert url in {asset["uri"] for asset in source["assets"]}


def test_the_rows_say_where_when_and_by_what(scene: Embedded) -> None:
    rows = scene.table.select(["source_model", "source_creator", "date", "datetime", "loss_metric"]).to_pylist()
    assert {row["source_model"] for row in rows} == {scene.plan.model.entry.token}
    assert {row["date"] for row in rows} == {scene.plan.created.date()}
    assert {row["datetime"] for row in rows} == {scene.plan.scene.acquired.start}
    assert all(row["source_creator"] for row in rows)


@pytest.mark.parametrize(
    ("name", "token", "instrument", "boa"),
    [
        ("itaipu", "starter-v1.0-l1-rgb", "landsat8-oli-l1", None),
        ("ireland", "starter-v1.0-s2-rgbns", "s2a-msi-l2a", (-1000, "s2:boa_add_offset")),
        ("sahara", "starter-v1.0-s2-rgbns", "s2a-msi-l2a", (0, "earthsearch:boa_offset_applied")),
        ("aquileia", "starter-v1.0-s2-rgbns", "s2-msi-l2a", (0, "acquisition-date")),
        ("colombia", "starter-v1.0-l2-rgbns", "landsat8-oli-c2l2", None),
    ],
)
def test_entry_instrument_and_boa(
    embedded: dict[str, Embedded], name: str, token: str, instrument: str, boa: tuple[int, str] | None
) -> None:
    if name not in embedded:
        pytest.skip("needs ../shared/data")
    plan = embedded[name].plan
    assert (plan.model.entry.token, plan.scene.instrument) == (token, instrument)
    assert plan.scene.boa_decided_by == (boa[1] if boa else None)
    assert {band.offset for band in plan.bands} == {boa[0] if boa else 0}


def test_cloud_fraction_is_that_of_the_scene_classification(embedded: dict[str, Embedded]) -> None:
    if "ireland" not in embedded:
        pytest.skip("needs ../shared/data")
    ireland = embedded["ireland"]
    with rasterio.open(ireland.folder / "SCL_60m.tif") as dataset:
        classes = dataset.read(1)
    with rasterio.open(ireland.folder / "B02.tif") as dataset:
        blue = dataset.read(1)
    size = ireland.plan.grid.size
    table = ireland.table
    others = [rasterio.open(ireland.band(band.name)[0]) for band in ireland.plan.bands]
    for row in range(0, len(table), 29):
        window = ireland.plan.grid.window(table["index"][row].as_py())
        area = Window(window.col, window.row, size, size)
        valid = np.logical_and.reduce([dataset.read(1, window=area) != 0 for dataset in others])
        part = classes[window.row : window.row + size, window.col : window.col + size]
        assert blue[window.row, window.col] >= 0
        known = valid & (part != 0)
        share = (
            (np.isin(part, (1, 3, 8, 9, 10)) & valid).sum() / known.sum() if 2 * known.sum() >= valid.sum() else None
        )
        assert table["cloud_fraction"][row].as_py() == pytest.approx(share)
    for dataset in others:
        dataset.close()


def test_the_stac_item_points_to_the_file(scene: Embedded) -> None:
    content = json.loads(scene.files["item"].read_bytes())
    item = pystac.Item.from_dict(content, preserve_dict=True)
    assert item.assets["embeddings"].href == f"./{scene.files['parquet'].name}"
    total = shapely.union_all(geopandas.read_parquet(scene.files["parquet"]).geometry)
    assert shapely.Polygon(content["geometry"]["coordinates"][0]).buffer(1e-4).covers(total)
    assert next(link.href for link in item.links if link.rel == "emb:source-data") == scene.detail["source_uri"]


def test_the_provenance_alone_gives_every_window(scene: Embedded) -> None:
    """By docs/schema.md, Provenance."""
    grid = json.loads(scene.files["metadata"].read_bytes())["clayline"]["grid"]
    down, right = grid["start"]
    size = grid["stride"]
    found = []
    for index in range(scene.detail["counts"]["planned"]):
        row, col = down + index // grid["cols"] * size, right + index % grid["cols"] * size
        if not (grid["lattice"] or {}).get("name"):
            row, col = max(0, min(row, grid["height"] - size)), max(0, min(col, grid["width"] - size))
        found.append((row, col))
    with rasterio.open(scene.band(scene.plan.finest.name)[0]) as dataset:
        windows = tile_windows if grid["identifier"] == "window" else lattice_windows
        assert found == windows(dataset, grid["chip_size"])


def test_cells_are_of_the_lattice_that_the_item_names(scene: Embedded) -> None:
    """The number of each chip's cell, from its own centre by pyproj, and phases from the GeoTIFF's transform."""
    content = json.loads(scene.files["item"].read_bytes())
    layout = content["properties"]["emb:runtime_parameters"]["chip_layout"]
    grid = json.loads(scene.files["metadata"].read_bytes())["clayline"]["grid"]
    rows = scene.table.select(["uci", "index", "cell"]).to_pylist()
    if grid["identifier"] == "window":
        shifted = grid["height"] % 64 or grid["width"] % 64
        assert layout["layout_type"] == ("variable_grid" if shifted else "regular_grid")
        assert layout["grid_id"] == f"mgrs-{grid['mgrs_tile']}"
        assert grid["lattice"] is None
        assert all(row["cell"] == row["uci"].partition("_")[0] for row in rows)
        return
    lattice = grid["lattice"]
    assert (layout["layout_type"], layout["grid_id"]) == ("regular_grid", lattice["name"])
    a, _, c, _, e, f = grid["transform"]
    unit = 1e-9 if scene.plan.scene.epsg == 4326 else 1e-3
    wide, high = (64 * pixels * unit for pixels in lattice["pixel"])
    for row in rows:
        top, left = (
            grid["start"][0] + row["index"] // grid["cols"] * 64,
            grid["start"][1] + row["index"] % grid["cols"] * 64,
        )
        east, north = np.floor((c + a * (left + 32)) / wide), np.floor((f + e * (top + 32)) / high)
        said = re.fullmatch(rf"{lattice['name']}-([ns])(\d+)([ew])(\d+)", row["cell"])
        assert said, row["cell"]
        numbers = (int(said[2]) * (1 if said[1] == "n" else -1), int(said[4]) * (1 if said[3] == "e" else -1))
        assert numbers == (north, east)
        phase = ((f + e * top) / -e - (north + 1) * high / -e, (c + a * left) / a - east * wide / a)
        assert phase == pytest.approx(
            lattice["phase"], abs=0.11
        )  # where rounded pixels drift from the file's, by 0.1 px
    assert all(-0.5 < part <= 0.5 for part in lattice["phase"])


def test_the_metadata_file_shows_the_header(scene: Embedded) -> None:
    metadata = json.loads(scene.files["metadata"].read_bytes())
    header = pq.read_metadata(scene.files["parquet"]).metadata or {}
    assert json.loads(header[b"clayline"]) == metadata["clayline"]
    assert json.loads(header[b"emb"]) == metadata["emb"]
    assert json.loads(header[b"geo"]) == metadata["geo"]
    source = metadata["clayline"]["source"]
    assert source["uri"] == scene.detail["source_uri"]
    assert all(asset["etag"] for asset in source["assets"])


def test_validators_accept_the_file(scene: Embedded) -> None:
    validator = Path(sys.executable).with_name("geoparquet-validator")
    done = subprocess.run([validator, "check", scene.files["parquet"]], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_duckdb_reads_all_scenes_and_the_v0_sample_as_one(embedded: dict[str, Embedded], shared_data: Path) -> None:
    files = [str(found.files["parquet"]) for found in embedded.values()] + [
        str(next((shared_data / "clay_v0_sample").glob("*.gpq")))
    ]
    query = (
        "SELECT uci IS NULL AS old, count(*), min(len(embeddings)) FROM read_parquet($files, union_by_name=true) GROUP"
        " BY 1"
    )
    rows = duckdb.execute(query, {"files": files}).fetchall()
    assert {old: number for old, number, _ in rows} == {
        True: 417,
        False: sum(len(found.table) for found in embedded.values()),
    }


def test_the_provenance_is_what_the_schema_documents(scene: Embedded) -> None:
    section = (ROOT / "docs" / "schema.md").read_text().partition("## Provenance")[2].partition("\n## ")[0]
    whole, _, of_model = section.partition("`model` is an object with")
    provenance = json.loads(scene.files["metadata"].read_bytes())["clayline"]
    for text, content in ((whole, provenance), (of_model, provenance["model"])):
        keys = re.findall(
            r"`(\w+)`", "".join(line.split("|")[1] for line in text.splitlines() if line.startswith("| `"))
        )
        assert sorted(keys) == sorted(content)


def test_every_scene_is_in_the_dataset_by_itself(session: Session, embedded: dict[str, Embedded]) -> None:
    """Announced, indexed from the index queue, and compacted by the clock: nobody called anything."""
    root = S3Root(session.s3, bucket=session.embeddings_bucket)
    deadline = time.monotonic() + _PATIENCE
    while not (is_at_rest(root) and read_manifest(root)[0].scenes == len(embedded)):
        assert time.monotonic() < deadline, read_manifest(root)
        time.sleep(0.2)
    tables = {name: each.table for name, each in embedded.items()}
    files = read_manifest(root)[0].files
    assert sum(file.file.rows for file in files) == sum(table.num_rows for table in tables.values())
    dataset = clayline.open_dataset(root.uri, client=session.s3)
    assert {scene.run for scene in dataset.scenes()} == {each.detail["run"] for each in embedded.values()}
    for name, each in embedded.items():
        token = each.plan.model.entry.token
        found = dataset.read(model=token, columns=["uci", "embeddings"])
        there = dict(zip(found.column("uci").to_pylist(), found.column("embeddings").to_pylist(), strict=True))
        mine = tables[name].select(["uci", "embeddings"]).to_pydict()
        assert [there[identifier] for identifier in mine["uci"]] == mine["embeddings"]
        collection = json.loads(root.get(f"{token}/collection.json", most=1 << 20)[0])
        assert any(link["rel"] == "item" for link in collection["links"])


def is_at_rest(root: S3Root) -> bool:
    """Whether a call of compact has finished since the manifest was written."""
    try:
        mark = Mark.model_validate_json(root.get(COMPACTED, most=1 << 12)[0])
    except ObjectMissingError:
        return False
    return mark.manifest == read_manifest(root)[1]
