"""A session with a folder of the user's: what comes out speaks of files as they lie here, whatever they are called."""

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pyarrow.parquet as pq
import pytest
import rasterio
from tests.pipeline.scenes import BANDS, crop, geotiff, landsat

from clayline.run.state import RunState
from clayline.scene.item import DECLARED_HREF
from clayline_cli.kept.folder import Kept
from clayline_cli.staging.stage import stage
from clayline_local.dropped import Progress
from clayline_local.session import Session

pytestmark = pytest.mark.pipeline
ODD = "Daten #1 100% für+a:b"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("named") / ODD
    folder.mkdir()
    return folder


@pytest.fixture(scope="module")
def kept(place: Path) -> Iterator[Kept]:
    kept = Kept(place / "Out #1")
    with kept.lock():
        yield kept


@pytest.fixture(scope="module")
def session(kept: Kept) -> Iterator[Session]:
    with Session(logs=kept.logs(), out=kept.out, parameters={"AnyGsd": "true"}) as running:
        kept.restore(running)
        yield running


def uri(path: Path) -> str:
    return f"file://{quote(str(path), safe="/!$&'()*+,;=@~")}"


def test_an_item_with_absolute_hrefs_and_its_files_beside_it(
    place: Path, session: Session, kept: Kept, sample: Path
) -> None:
    folder = place / "as downloaded"
    folder.mkdir()
    for key, body in landsat(sample, row=600, col=400, height=130, width=130).items():
        (folder / Path(key).name).write_bytes(body)
    item = json.loads((folder / "item.json").read_bytes())
    for name, band in BANDS.items():
        item["assets"][name]["href"] = f"https://landsatlook.usgs.gov/data/{band}.tif?x=1"
    (folder / "item.json").write_text(json.dumps(item))
    told: list[Progress] = []
    with stage(str(folder / "item.json")) as scene:
        named = session.drop(scene)
        assert named == scene.name == uri(folder / "item.json")
        detail = session.wait(named, progress=told.append)
        provenance_uris = {uri(folder / f"{band}.tif") for band in BANDS.values()}
        assert provenance_uris <= set(scene.files)
    assert (detail["status"], detail["source_uri"]) == ("SceneEmbedded", named)
    assert told[-1].batches
    files = kept.fetch(session, detail)
    assert {kind: uri(path) for kind, path in files.items()} == detail["outputs"]
    source = json.loads(files["metadata"].read_bytes())["clayline"]["source"]
    assert {asset["uri"] for asset in source["assets"]} == provenance_uris
    (source_url,) = set(pq.read_table(files["parquet"])["source_url"].to_pylist())
    with rasterio.open(Path.from_uri(str(source_url))) as imagery:
        assert imagery.width == 130
    assert DECLARED_HREF not in item["assets"]["red"]


def test_a_cog_is_known_by_its_path_and_told_of_alone(place: Path, session: Session, kept: Kept, sample: Path) -> None:
    path = place / "LC08_L1TP_224078_20200518_20200518_01_RT #2 100%.tif"
    with rasterio.open(sample / "B2.tif") as dataset:
        crs, nodata, transform = dataset.crs, dataset.nodata, dataset.transform
    window = {"row": 600, "col": 400, "height": 70, "width": 70}
    pixels = []
    for band in BANDS.values():
        with rasterio.MemoryFile(crop(sample / f"{band}.tif", **window)) as memory, memory.open() as dataset:
            pixels.append(dataset.read(1))
            transform = dataset.transform
    body = geotiff(np.stack(pixels), crs=crs, transform=transform, nodata=nodata, names=tuple(BANDS))
    path.write_bytes(body)
    told: list[Progress] = []
    with stage(str(path)) as scene:
        detail = session.wait(session.drop(scene), progress=told.append)
    assert (detail["status"], detail["scene"], detail["source_uri"]) == ("SceneEmbedded", uri(path), uri(path))
    assert told[-1] == Progress(batches=1, settled=1)  # the scene before it had batches too
    assert kept.fetch(session, detail)["parquet"].is_file()


def test_a_band_that_is_nowhere_is_named_as_the_user_knows_it(place: Path, session: Session, sample: Path) -> None:
    folder = place / "half"
    folder.mkdir()
    for key, body in landsat(sample, height=64, width=64).items():
        (folder / Path(key).name).write_bytes(body)
    (folder / "B4.tif").unlink()
    with stage(str(folder / "item.json")) as scene:
        detail = session.wait(session.drop(scene))
    assert detail["reason"] == "asset-missing"
    assert uri(folder / "B4.tif") in detail["message"]
    assert "--assets" in detail["message"]


def test_a_cog_of_many_megabytes_lands_once(place: Path, session: Session) -> None:
    """Moto tells of an upload in parts, which boto3 begins at 8 MB, twice.

    Each would be a landing, with an event of its own.
    """
    path = place / "LC08_large.tif"
    path.write_bytes(b"II*\0" + bytes(9_000_000))
    with stage(str(path)) as scene:
        named = session.drop(scene)
        assert session.wait(named)["status"] == "SceneFailed"
        head = session.s3.head_object(Bucket=session.scenes_bucket, Key=scene.landing[0])
    assert (head["ContentLength"], "-" in head["ETag"]) == (path.stat().st_size, False)


def test_what_was_fetched_is_finished_for_the_next_session(session: Session, kept: Kept) -> None:
    """Runs last: the ledger's rows of the scenes above, put into another session's cloud."""
    kept.save(session)
    runs = set(json.loads((kept.out / ".clayline" / "ledger.json").read_bytes())["runs"])
    with Session(logs=kept.logs(), out=kept.out, workers=False) as again:
        kept.restore(again)
        assert set(again.finished()) == runs
        assert len(runs) == 2
        assert {row["state"]["S"] for row in again.ledger_rows("scene")} == {RunState.ANNOUNCED}
        assert {len(row["runs"]["L"]) for row in again.ledger_rows("runs")} == {1}
