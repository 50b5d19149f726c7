"""A scene that is given again, to another call over the same folder: it is there, or it is the next revision."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.pipeline.scenes import landsat

from clayline.run import ledger
from clayline_cli.kept.folder import Kept
from clayline_cli.staging.stage import stage
from clayline_local.dropped import Progress
from clayline_local.session import Session

pytestmark = [
    pytest.mark.pipeline,
    pytest.mark.skipif(not hasattr(ledger, "Outcome"), reason="needs a plan that announces outcomes again"),
]


@contextmanager
def call(out: Path) -> Iterator[Callable[[Path], tuple[dict[str, Any], dict[str, Path], list[Progress]]]]:
    """One call of the command; gives what embeds one scene."""
    kept = Kept(out)
    with kept.lock(), Session(logs=kept.logs(), out=kept.out, parameters={"AnyGsd": "true"}) as session:

        def embed(item: Path) -> tuple[dict[str, Any], dict[str, Path], list[Progress]]:
            told: list[Progress] = []
            with stage(str(item)) as scene:
                detail = session.wait(session.drop(scene), progress=told.append)
            return detail, kept.fetch(session, detail), told

        kept.restore(session)
        yield embed
        kept.save(session)


def snapshot(folder: Path) -> dict[Path, tuple[bytes, int]]:
    return {
        path: (path.read_bytes(), path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file() and not {".clayline", "logs"} & set(path.relative_to(folder).parts)
    }


def test_what_an_earlier_call_did_is_there_and_what_has_changed_is_done(tmp_path: Path, sample: Path) -> None:
    whole, half, out = tmp_path / "whole", tmp_path / "half", tmp_path / "out"
    bodies = {Path(key).name: body for key, body in landsat(sample, row=600, col=400, height=70, width=70).items()}
    for folder in (whole, half):
        folder.mkdir()
        for name, body in bodies.items():
            (folder / name).write_bytes(body.replace(b"01_RT", b"02_RT") if folder == half else body)
    (half / "B4.tif").unlink()
    with call(out) as embed:
        done, files, _ = embed(whole / "item.json")
        refused, receipt, _ = embed(half / "item.json")
    assert (files["parquet"].name[-13:], refused["reason"]) == ("_v001.parquet", "asset-missing")
    before = snapshot(out)

    with call(out) as embed:
        again, found, told = embed(whole / "item.json")
        assert (again["run"], again["repeated"], found) == (done["run"], True, files)
        assert {progress.settled for progress in told} == {0}
        again, found, _ = embed(half / "item.json")
        assert (again["reason"], again["repeated"], found) == ("asset-missing", True, receipt)
        assert snapshot(out) == before

        content = json.loads(bodies["item.json"])
        content["properties"]["note"] = "corrected"
        (whole / "item.json").write_text(json.dumps(content))
        changed, new, _ = embed(whole / "item.json")
        assert (changed["run"] != done["run"], changed["repeated"]) == (True, False)
        assert new["parquet"].name.endswith("_v002.parquet")
        (half / "B4.tif").write_bytes(bodies["B4.tif"])
        completed, new, _ = embed(half / "item.json")
        assert completed["status"] == "SceneEmbedded"
        assert new["parquet"].name.endswith("_v001.parquet")
    assert {path: found for path, found in snapshot(out).items() if path in before} == before
