"""A watch of made-up scenes' model (tests/dataset/scenes.py), as a function finds it."""

from datetime import UTC, datetime
from typing import Any

import numpy as np
from tests.dataset.scenes import DIMENSIONS, MadeUp
from tests.dataset.world import TOKEN

from clayline.dataset.ports import WritableRoot
from clayline.likeness.centring import Centre
from clayline.likeness.probe import Probe
from clayline.likeness.watch import Watch, version_key

NOW = datetime(2026, 11, 28, tzinfo=UTC)
CENTRE = Centre(values=np.zeros(DIMENSIONS, np.float32), by="rows")


def watch_of(scene: MadeUp, *, chip: int = 0, name: str = "pivots", version: int = 1, **more: Any) -> Watch:
    """Give one that looks for a chip of a scene."""
    digest = more.pop("digest", scene.row.digest)
    probe = Probe.of_examples(scene.vectors()[[chip]], token=more.pop("token", TOKEN), digest=digest, centre=CENTRE)
    chosen: dict[str, Any] = {"threshold": 0.4, "instruments": ("s2a-msi-l2a",), **more}
    return Watch(
        name=name, version=version, created=NOW, kind="mean", probe=probe.stored(), like=(scene.ucis[chip],), **chosen
    )


def keep(root: WritableRoot, watch: Watch) -> None:
    """Write it."""
    assert root.put_new(version_key(watch.name, watch.version), watch.model_dump_json().encode())


def scores_of(scene: MadeUp, of: MadeUp, *, chip: int = 0) -> np.ndarray[Any, Any]:
    """Give the scores of a scene's chips [rows] by numpy alone."""
    example, rows = of.vectors()[chip].astype(np.float64), scene.vectors().astype(np.float64)
    return np.asarray(rows @ example / (np.linalg.norm(rows, axis=1) * np.linalg.norm(example)))
