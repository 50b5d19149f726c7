"""Sheet: a real scene through the chain, a watch that matches, the picture of what it told, whatever comes twice."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from rasterio.io import MemoryFile
from rasterio.windows import Window
from tests.pipeline import scenes
from tests.pipeline.harness import OUT, SCENES, WORK, FetchedHeaders, Pipeline

from clayline.aws.dataset_root import S3Root
from clayline.dataset.folder import FolderRoot
from clayline.dataset.scene_file import SceneFile
from clayline.errors import DatasetError, TransientError
from clayline.likeness.centring import Centre
from clayline.likeness.probe import Probe
from clayline.likeness.sheet import SIDE, sheet
from clayline.likeness.watch import Watch, version_key
from clayline.likeness.watch_receipt import WatchReceipt, sheet_key
from clayline.likeness.watch_told import Told
from clayline.ports import ObjectForbiddenError
from clayline.raster.chip_pictures import png, read_chips
from clayline.raster.cog import ReadSettings
from clayline.run.announced import Announced, UnknownEventError
from clayline.steps import sheeting
from clayline.steps.sheeting import Drawn, Sheeting
from clayline.steps.telling import mark_key
from clayline.steps.watching import Watching
from clayline.table.scene_chips import open_scene

ITEM, NAME = "scene/item.json", f"s3://{OUT}/"


class Killed(BaseException):
    """The function ends here."""


class World:
    """A scene that was embedded, the watch's receipt of it, and sheet over them."""

    def __init__(self, pipeline: Pipeline, kept: dict[tuple[str, str], bytes], sample: Path) -> None:
        """Embed the scene, or take what a world before this one has kept of that."""
        self.pipeline = pipeline
        self.root = S3Root(pipeline.s3, bucket=OUT)
        self.read: list[Sequence[int]] = []
        if kept:
            for (bucket, key), body in kept.items():
                pipeline.s3.put_object(Bucket=bucket, Key=key, Body=body)
            [key] = [key for _, key in kept if key.endswith("v001_receipt.json")]
            run = json.loads(kept[OUT, key])["run"]
        else:
            for key, body in scenes.landsat(sample).items():
                pipeline.put(key, body)
            pipeline.run(ITEM)
            event = Announced.parse(
                pipeline.sqs.receive_message(QueueUrl=pipeline.urls["watch"])["Messages"][0]["Body"]
            )
            key, run = event.receipt.removeprefix(NAME), event.run
            for bucket in (OUT, WORK, SCENES):
                for found in pipeline.s3.list_objects_v2(Bucket=bucket)["Contents"]:
                    body = pipeline.s3.get_object(Bucket=bucket, Key=found["Key"])["Body"].read()
                    kept[bucket, found["Key"]] = body
        self.receipt = self._watch(
            Announced(
                run=run,
                status="SceneEmbedded",
                scene="scene",
                outputs={"receipt": NAME + key},
                landed_uri=f"s3://{SCENES}/{ITEM}",
                repeated=False,
            )
        )
        self.told = Told(receipt=self.receipt.receipt)

    def _watch(self, event: Announced) -> WatchReceipt:
        file = SceneFile.of_receipt(event.receipt)
        assert file
        scene = open_scene(self.root, file)
        [vectors] = [chips.vectors for chips in scene.chips()]
        centre = Centre(values=np.zeros(vectors.shape[1], np.float32), by="rows")
        probe = Probe.of_examples(vectors[:1], token=file.token, digest=scene.digest, centre=centre)
        watch = Watch(
            name="fields", version=1, created=self.pipeline.now, kind="mean", probe=probe.stored(), threshold=-1.0,
            valid_least=0.0, instruments=None, like=("first",),
        )  # fmt: skip
        self.root.put_new(version_key("fields", 1), watch.model_dump_json().encode())
        step = Watching(
            root=self.root, open_scene=open_scene, announcer=self, clock=lambda: self.pipeline.now, root_name=NAME
        )
        [receipt] = step.answer(event).receipts
        return receipt

    def announce(self, detail_type: str, detail: Any) -> None:
        self.event = {"source": "clayline", "detail-type": detail_type, "detail": json.loads(json.dumps(detail))}

    @property
    def sheeting(self) -> Sheeting:
        headers = FetchedHeaders(path_of=self.pipeline._path)

        def read(imagery: Any, indexes: Sequence[int], **rest: Any) -> Any:
            self.read.append(indexes)
            return read_chips(imagery, indexes, settings=ReadSettings(), **rest)

        return Sheeting(
            root=self.root,
            objects=self.pipeline.objects,
            source=headers.source,
            read=read,
            png=png,
            work_bucket=WORK,
            buckets=frozenset({SCENES}),
            root_name=NAME,
        )

    @property
    def key(self) -> str:
        return sheet_key(self.receipt.key)

    def sheet(self) -> np.ndarray:
        with MemoryFile(self.root.get(self.key, most=10**8)[0]) as memory, memory.open() as file:
            found: np.ndarray = file.read().transpose(1, 2, 0)
        return found

    def rewrite(self, **changed: Any) -> None:
        """Put another receipt in its place, as somebody might who may write there."""
        body = json.dumps({**json.loads(self.receipt.model_dump_json()), **changed}).encode()
        self.pipeline.s3.put_object(Bucket=OUT, Key=self.receipt.key, Body=body)


@pytest.fixture(scope="module")
def kept() -> dict[tuple[str, str], bytes]:
    """Give what the chain left, once it ran."""
    return {}


@pytest.fixture
def world(make_pipeline: Callable[..., Pipeline], kept: dict[tuple[str, str], bytes], sample: Path) -> World:
    return World(make_pipeline(), kept, sample)


def tiles(picture: np.ndarray, count: int) -> list[np.ndarray]:
    """Give the insides of the frames, in the order of the ranks."""
    edge = (picture == (200, 198, 192)).all(axis=2)
    corner = edge & ~np.roll(edge, 1, axis=0) & ~np.roll(edge, 1, axis=1) & np.roll(edge, -SIDE, axis=1)
    found = [picture[row + 3 : row + 3 + SIDE, col + 3 : col + 3 + SIDE] for row, col in np.argwhere(corner)]
    assert len(found) == count
    return found


def is_lacking(tile: np.ndarray) -> bool:
    """Say whether a tile is paper with letters on it, and no pixels, which have colours."""
    return bool(np.ptp(tile, axis=2).max() <= 10 and np.ptp(tile) > 100)


def test_the_event_says_where_the_sheet_will_lie_and_it_shows_the_chips_own_pixels(world: World) -> None:
    assert world.event["detail"]["sheet"] == f"{NAME}{world.key}"
    assert Told.parse(json.dumps(world.event)) == world.told
    drawn = world.sheeting.draw(world.told)
    assert drawn == Drawn(chips=len(world.receipt.top))
    found = tiles(world.sheet(), drawn.chips)
    plan = json.loads(world.pipeline.objects.get(f"s3://{WORK}/plans/{world.receipt.run}/plan.json"))
    red = next(band["uri"] for band in plan["bands"] if band["name"] == "red")
    side = plan["model"]["entry"]["chip_size"]
    grid = world.pipeline
    with rasterio.open(grid._path(red)) as file:
        for match, tile in zip(world.receipt.top, found, strict=True):
            lon, lat = np.mean(match.footprint["coordinates"][0][:4], axis=0)
            x, y = rasterio.warp.transform("EPSG:4326", file.crs, [lon], [lat])
            row, col = (round(float(at[0])) for at in rasterio.transform.rowcol(file.transform, x, y, op=float))
            window = Window(col - side // 2, row - side // 2, side, side)
            pixels = file.read(1, window=window, boundless=True, fill_value=0).astype(float)
            bright = tile[..., 0].reshape(side, SIDE // side, side, SIDE // side)[:, 0, :, 0].astype(float)
            there = pixels > 0
            assert np.corrcoef(pixels[there], bright[there])[0, 1] > 0.9, match.uci


@pytest.mark.parametrize(
    ("acquired", "told"),
    [("2020-05-18T00:00:00Z", "scene, 2020-05-18, landsat8"), ("2020-05-18T13:34:02Z", "scene, 2020-05-18 13:34 UTC,")],
)
def test_the_title_knows_no_hour_that_the_scene_does_not(
    world: World, monkeypatch: pytest.MonkeyPatch, acquired: str, told: str
) -> None:
    titles: list[str] = []

    def keep(chips: Any, *, title: Sequence[str]) -> Any:
        titles.extend(title)
        return sheet(chips, title=title)

    monkeypatch.setattr(sheeting, "sheet", keep)
    assert world.receipt.acquired.isoformat() == "2020-05-18T00:00:00+00:00", "the sample's Item has its day alone"
    world.rewrite(acquired=acquired)
    world.sheeting.draw(world.told)
    assert titles[1].startswith(told)


def test_what_comes_twice_is_drawn_once(world: World) -> None:
    world.sheeting.draw(world.told)
    before = world.root.head(world.key).etag
    assert world.sheeting.draw(world.told) == Drawn(repeated=True)
    assert world.root.head(world.key).etag == before
    assert len(world.read) == 1


def test_two_deliveries_at_once_leave_the_first_ones_sheet(world: World) -> None:
    def slowly(imagery: Any, indexes: Any, **rest: Any) -> Any:
        world.sheeting.draw(world.told)
        return read_chips(imagery, indexes, settings=ReadSettings(), **rest)

    assert replace(world.sheeting, read=slowly).draw(world.told) == Drawn(repeated=True)


@pytest.mark.parametrize("after", [False, True])
def test_killed_around_its_one_write_the_next_try_ends_as_if_it_had_not_been(world: World, *, after: bool) -> None:
    class Dying:
        def put_new(self, key: str, body: bytes) -> bool:
            if after:
                world.root.put_new(key, body)
            raise Killed

        def __getattr__(self, name: str) -> Any:
            return getattr(world.root, name)

    dying: Any = Dying()
    with pytest.raises(Killed):
        replace(world.sheeting, root=dying).draw(world.told)
    assert world.sheeting.draw(world.told).repeated == after
    assert [stored.key for stored in world.root.list("watched/")] == sorted(
        [world.receipt.key, world.key, mark_key(world.receipt.run, 1)]
    )


def test_a_band_that_is_gone_or_was_replaced_is_told_on_the_sheet(world: World) -> None:
    count = len(world.receipt.top)
    world.pipeline.s3.delete_object(Bucket=SCENES, Key="scene/B4.tif")
    assert world.sheeting.draw(world.told).lacking == {"s3://scenes/scene/B4.tif is gone": count}
    assert all(is_lacking(tile) for tile in tiles(world.sheet(), count))
    world.pipeline.s3.delete_object(Bucket=OUT, Key=world.key)
    world.pipeline.put("scene/B4.tif", world.pipeline.s3.get_object(Bucket=SCENES, Key="scene/B3.tif")["Body"].read())
    [why] = world.sheeting.draw(world.told).lacking
    assert why == "s3://scenes/scene/B4.tif was replaced since it was embedded"


def test_a_band_that_is_replaced_while_it_is_read_is_not_shown(world: World) -> None:
    def slowly(imagery: Any, indexes: Any, **rest: Any) -> Any:
        found = read_chips(imagery, indexes, settings=ReadSettings(), **rest)
        world.pipeline.put("scene/B3.tif", b"another")
        return found

    [why] = replace(world.sheeting, read=slowly).draw(world.told).lacking
    assert why == "s3://scenes/scene/B3.tif was replaced since it was embedded"


def test_a_bucket_that_is_allowed_no_more_is_not_read(world: World) -> None:
    found = replace(world.sheeting, buckets=frozenset({"others"})).draw(world.told)
    assert found.lacking == {"bucket scenes is none of those that may be read (any more)": len(world.receipt.top)}


def test_a_plan_that_is_over_is_told_on_the_sheet(world: World) -> None:
    world.pipeline.s3.delete_object(Bucket=WORK, Key=f"plans/{world.receipt.run}/plan.json")
    [(why, count)] = world.sheeting.draw(world.told).lacking.items()
    assert "plans are kept for 30 days" in why
    assert count == len(world.receipt.top)


def test_what_a_retry_may_cure_leaves_no_sheet(world: World) -> None:
    def fails(*_: Any, **__: Any) -> Any:
        raise TransientError("the network")

    def forbidden(_: str) -> Any:
        raise ObjectForbiddenError("no")

    closed: Any = partial(_Closed, world.pipeline.objects, forbidden)()
    for broken in (replace(world.sheeting, read=fails), replace(world.sheeting, objects=closed)):
        with pytest.raises(TransientError):
            broken.draw(world.told)
    assert world.key not in [stored.key for stored in world.root.list("watched/")]
    assert world.sheeting.draw(world.told).lacking == {}


def test_a_chip_that_the_scene_does_not_have_stands_there_with_the_reason(world: World) -> None:
    top = [match.model_dump(mode="json") for match in world.receipt.top[:3]]
    top[1]["index"], top[2]["uci"] = 10**12, "x" * 10_000
    world.rewrite(top=top, scene="s" * 100_000)
    found = world.sheeting.draw(world.told)
    [why] = found.lacking
    assert why.startswith("the scene has no such chip: chip 1000000000000 is not in a grid of")
    assert [is_lacking(tile) for tile in tiles(world.sheet(), 3)] == [False, True, False]


def test_a_receipt_that_says_what_is_not_so_is_refused(world: World) -> None:
    hostile: list[dict[str, Any]] = [
        {"run": "f" * 32},
        {"watch": "../../other"},
        {"embeddings": f"{NAME}elsewhere.parquet"},
        {"receipt": "s3://another/watched/x.json"},
        {"top": []},
        {"top": [{"uci": "a"}]},
        {"matched": float("nan")},
    ]
    for changed in hostile:
        world.rewrite(**changed)
        with pytest.raises(DatasetError, match="watched/fields"):
            world.sheeting.draw(world.told)
    assert world.read == []


@pytest.mark.parametrize(
    "receipt",
    ["", NAME, f"{NAME}watches/fields/v001.json", f"{NAME}watched/../x/v001/{'a' * 32}_v001.json",
     f"s3://another/watched/fields/v001/{'a' * 32}_v001.json"],
)  # fmt: skip
def test_an_event_about_nothing_of_ours_is_dropped(tmp_path: Path, receipt: str) -> None:
    assert over(FolderRoot(tmp_path)).draw(Told(receipt=receipt)) == Drawn(elsewhere=True)


def test_a_receipt_that_was_taken_away_is_gone(tmp_path: Path) -> None:
    nobody = Told(receipt=f"{NAME}watched/fields/v001/{'a' * 32}_v001.json")
    assert over(FolderRoot(tmp_path)).draw(nobody) == Drawn(gone=True)


@pytest.mark.parametrize(
    "body", ["{}", "[", '{"source": "clayline", "detail-type": "SceneEmbedded", "detail": {"receipt": "a"}}',
             '{"source": "clayline", "detail-type": "WatchMatched", "detail": {}}']
)  # fmt: skip
def test_other_events_are_none_of_a_watch(body: str) -> None:
    with pytest.raises(UnknownEventError, match="no event of a watch"):
        Told.parse(body)


def over(root: FolderRoot) -> Sheeting:
    """Give one that may not get as far as imagery."""
    nothing: Any = None
    return Sheeting(
        root=root, objects=nothing, source=nothing, read=nothing, png=nothing, work_bucket=WORK, buckets=frozenset(),
        root_name=NAME,
    )  # fmt: skip


class _Closed:
    """Objects whose HEAD is another's."""

    def __init__(self, objects: Any, head: Any) -> None:
        self._objects, self.head = objects, head

    def __getattr__(self, name: str) -> Any:
        return getattr(self._objects, name)
