"""`clayline embed` into a folder that has watches: the stack's own function holds each scene against them."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.likeness.watches import keep
from tests.pipeline.scenes import landsat

import clayline_local.session
from clayline.dataset.folder import FolderRoot
from clayline.likeness.centring import Centre
from clayline.likeness.probe import Probe
from clayline.likeness.watch import Watch
from clayline.likeness.watch_receipt import WatchReceipt
from clayline_cli.program import main
from clayline_local.model_folder import ModelFolder
from clayline_local.repository import SAMPLE, STARTER
from clayline_local.session import Session

pytestmark = pytest.mark.pipeline
TOKEN = "starter-v1.0-l1-rgb"
NOW = datetime(2026, 11, 28, tzinfo=UTC)


def watch(*, version: int = 1, **more: Any) -> Watch:
    """Give one that every chip of the starter's meets, at any score; of any instrument."""
    [entry] = [each for each in ModelFolder.read(STARTER).manifest.entries if each.token == TOKEN]
    size = entry.dimensions
    probe = Probe(
        token=TOKEN,
        digest=more.pop("digest", entry.digest),
        centre=Centre(values=np.zeros(size, np.float32), by="rows"),
        direction=np.full(size, size**-0.5, np.float32),
    )
    given = {"name": "all", "threshold": -1.0, **more}
    return Watch(
        version=version,
        created=NOW,
        kind="mean",
        probe=probe.stored(),
        instruments=None,
        valid_least=0,
        like=("a",),
        **given,
    )


def test_a_scene_is_held_against_the_watches_of_its_folder_and_once_more_under_a_new_one(
    tmp_path: Path, sample: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scene, out = tmp_path / "scene", tmp_path / "out"
    scene.mkdir()
    for key, body in landsat(sample, row=600, col=400, height=320, width=320).items():
        (scene / Path(key).name).write_bytes(body)
    out.mkdir()
    root = FolderRoot(out)
    keep(root, watch())
    keep(root, watch(name="draft", threshold=None))
    keep(root, watch(name="other", digest=f"sha256:{'1' * 64}"))
    root.put_new("watches/damaged/v001.json", b"{}")
    asked = ["embed", str(scene / "item.json"), "--out", str(out), "--any-gsd", "--no-picture", "--no-report", "--json"]

    assert main(asked) == 0
    said = capsys.readouterr()
    told = json.loads(said.out)
    [event] = told["watched"]
    assert (event["watch"], event["version"], event["run"]) == ("all", 1, told["event"]["run"])
    assert event["matched"] == event["scored"] == event["shown"] == told["event"]["counts"]["written"] == 36
    path = Path.from_uri(event["receipt"])
    receipt = WatchReceipt.parse(path.read_bytes(), uri=str(path))
    assert receipt.event() == event
    assert path.parent == out / "watched" / "all" / "v001"
    mark = out / "watched" / "_told" / path.name
    assert json.loads(mark.read_text())["told"] == [event["id"]], "its event was put on the bus"
    sheet = Path(told["files"]["sheet all"])
    assert sheet == path.with_name(f"{path.stem}_sheet.png")
    with Image.open(sheet) as picture:
        assert len(np.unique(np.asarray(picture.convert("RGB")).reshape(-1, 3), axis=0)) > 500, "no chip was read back"
    assert "WARNING: the watch " in said.err
    assert "damaged/v001.json is damaged" in said.err

    before = path.read_bytes()
    keep(root, watch(version=2, threshold=1.0))
    keep(root, watch(name="another"))
    assert main([each for each in asked if each != "--json"]) == 0
    again = capsys.readouterr().out
    assert again.startswith("already there: SceneEmbedded")
    assert "  watch      all v002: 0 of 36 chips match at 1\n" in again
    assert "  watch      another v001: 36 of 36 chips match at -1, the best " in again
    assert path.read_bytes() == before
    assert {each.partition("/")[0] for each in json.loads(mark.read_text())["told"]} == {"all", "another"}
    assert not list((out / "watched").glob("another/*/*_sheet.png")), "drawn without the plan, which is gone"


def test_imagery_that_its_own_watch_leaves_out_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its cloud is unknown, for the scene has no mask; where it lies is known of the chip that was embedded."""
    like = ["--like", f"{SAMPLE}@-54.5383,-25.2987"]
    for name, box, reasons in (("here", "-54.6,-25.4,-54.5,-25.2", set()), ("away", "10,50,11,51", {"box"})):
        asked = ["watch", "add", name, str(tmp_path), *like, "--in", box, "--max-cloud", "0.2", "--json"]
        assert main(asked) == 0
        found = capsys.readouterr()
        said = json.loads(found.out)
        assert said["examples_left_out"] == dict.fromkeys({*reasons, "cloud-unknown"}, said["like"])
        assert f"WARNING: no scene like its example {said['like'][0]} can match: the filters leave out" in found.err
        assert (f"its box leaves out its example {said['like'][0]}" in found.err) is ("box" in reasons)


def test_a_match_is_not_taken_for_the_end_of_a_scene_that_lands_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It names what landed, too, and may come when the scene is waited for once more."""
    session = Session(logs=tmp_path)
    about = {"source_uri": "s3://scenes/item.json"}
    heard = iter(
        [
            [{"detail-type": "WatchMatched", "detail": {**about, "watch": "all"}}],
            [{"detail-type": "SceneEmbedded", "detail": {**about, "status": "SceneEmbedded"}}],
        ]
    )
    monkeypatch.setattr(session, "announced", lambda **_: next(heard))
    for name, value in (("_progress", None), ("stack", None), ("sqs", None)):
        monkeypatch.setattr(session, name, lambda _, value=value: value, raising=False)
    monkeypatch.setattr(clayline_local.session, "dead_letters", lambda *_: {})
    monkeypatch.setattr(Session, "endpoint", type("Idle", (), {"open_requests": 0}), raising=False)
    assert session.wait("s3://scenes/item.json")["status"] == "SceneEmbedded"
