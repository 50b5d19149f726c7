"""What is foretold of a watch's calls and of its sheet's is what they ask, counted on the wire."""

from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from benchmarks.chain_calls import WiredPipeline, counting
from tests.pipeline import scenes
from tests.pipeline.harness import OUT, SCENES, WORK
from tests.server.model_folders import build_model_folder

from clayline.aws.announcer import EventAnnouncer
from clayline.aws.dataset_root import S3Root
from clayline.dataset.scene_file import SceneFile
from clayline.likeness.centring import Centre
from clayline.likeness.probe import Probe
from clayline.likeness.watch import Watch, version_key
from clayline.likeness.watch_told import Told
from clayline.raster.chip_pictures import png, read_chips
from clayline.raster.cog import ReadSettings
from clayline.raster.headers import GdalHeaders
from clayline.run.announced import Announced
from clayline.run.calls import sheet_calls, sheet_ranges, watch_calls
from clayline.steps.sheeting import Sheeting
from clayline.steps.watching import Watching
from clayline.table.scene_chips import open_scene

NAME, NOW = f"s3://{OUT}/", datetime(2026, 11, 28, tzinfo=UTC)


def test_calls_of_watches_and_a_sheet_are_foretold_as_they_are_counted(tmp_path: Path, sample: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    build_model_folder(tmp_path / "models", sensor="landsat-c2l1", gsd=30.0)
    with counting() as wire:
        pipeline = WiredPipeline(tmp_path / "models", wire=wire, scratch=scratch)
        for key, body in scenes.landsat(sample, row=600, col=400, height=192, width=256).items():
            pipeline.put(key, body)
        plan, _, _ = pipeline.count("scene/item.json")
        root = S3Root(pipeline.s3, bucket=OUT)
        file = SceneFile.of_receipt(plan.outputs.receipt.removeprefix(NAME))
        assert file
        opened = open_scene(root, file)
        [vectors] = [chips.vectors for chips in opened.chips()]
        probe = partial(
            Probe.of_examples, vectors[:1], token=file.token, digest=opened.digest,
            centre=Centre(values=np.zeros(vectors.shape[1], np.float32), by="rows"),
        )().stored()  # fmt: skip
        announced = Announced(
            run=plan.run, status="SceneEmbedded", scene="scene", outputs={"receipt": NAME + file.receipt},
            landed_uri=f"s3://{SCENES}/scene/item.json", repeated=False,
        )  # fmt: skip
        watching = Watching(
            root=root, open_scene=open_scene, announcer=EventAnnouncer(pipeline.events, bus="default"),
            clock=lambda: NOW, root_name=NAME,
        )  # fmt: skip
        wire.take()
        watching.answer(announced)
        assert _of(wire.take()) == _foretold(watch_calls(watches=0, matched=0))
        chosen: dict[str, Any] = {"valid_least": 0.0, "instruments": None, "like": ("first",), "created": NOW}
        for number, threshold in enumerate((-1.0, -1.0, None, 0.99)):
            name = f"w{number}"
            watch = Watch(
                name=name, version=1, kind="mean", probe=probe, threshold=-1.0 if threshold is None else threshold,
                cloud_most=0.0 if threshold is None else None, **chosen,
            )  # fmt: skip
            root.put_new(version_key(name, 1), watch.model_dump_json().encode())
        wire.take()
        receipts = watching.answer(announced).receipts
        matched = sum(receipt.matched > 0 for receipt in receipts)
        assert (len(receipts), matched) == (4, 3), "the first chip is like itself; of none a cloud is known"
        assert _of(wire.take()) == _foretold(watch_calls(watches=4, matched=matched))

        sheeting = Sheeting(
            root=root, objects=pipeline.objects, source=GdalHeaders(objects=pipeline.objects).source,
            read=partial(read_chips, settings=ReadSettings()), png=png, work_bucket=WORK,
            buckets=frozenset({SCENES}), root_name=NAME,
        )  # fmt: skip
        drawn = sheeting.draw(Told(receipt=receipts[0].receipt))
        counted = wire.take()
    assert drawn.chips == len(receipts[0].top) > 5
    assert not drawn.lacking
    fewest = sheet_calls(files=3, ranges=3)
    most = sheet_calls(files=3, ranges=sheet_ranges(chips=drawn.chips, bands=3))
    assert fewest.s3_reads <= counted["s3_reads"] <= most.s3_reads
    assert _of(counted, s3_reads=0) == _foretold(replace(most, s3_reads=0))


def _of(counted: Any, **known: int) -> dict[str, int]:
    return {name: counted[name] for name in ("s3_writes", "s3_reads", "events")} | known


def _foretold(calls: Any) -> dict[str, int]:
    return {name: getattr(calls, name) for name in ("s3_writes", "s3_reads", "events")}


@pytest.mark.parametrize("watches", [0, 10])
def test_a_message_more_is_three_requests_and_a_call(watches: int) -> None:
    for found in (watch_calls(watches=watches, matched=watches), sheet_calls(files=3, ranges=9)):
        assert (found.sqs_requests, found.lambda_calls, found.invocations) == (3, 1, 0)
