"""A watch over a dataset that is there already: how often it would have called (docs/watches.md, Test)."""

from collections import Counter
from typing import Any

import numpy as np

from clayline.api.dataset import Dataset
from clayline.dataset.asking import AskedTime
from clayline.dataset.terms import check_kind, check_number
from clayline.likeness.matching import Tally
from clayline.likeness.rehearsal import AT_MOST, Rehearsal, SceneScores
from clayline.likeness.watch import Watch
from clayline.table.scene_chips import COLUMNS, chips_of


def rehearse(dataset: Dataset, watch: Watch, *, time: AskedTime = None, at_most: float = AT_MOST) -> Rehearsal:
    """Score the newest revision of every scene of the watch's model, without its own examples, which find themselves.

    Raises DatasetError, TransientError.
    """
    check_kind(watch, Watch, name="watch")
    check_number(at_most, name="at_most", least=0, most=1)
    model = f"{watch.probe.token}@{watch.probe.digest}"
    chips = dataset.batches(box=watch.box, time=time, model=model, columns=[*COLUMNS, "scene", "revision"])
    own = {*watch.like, *watch.unlike}
    by_scene = {(row.scene, row.revision): row for row in chips.scenes}
    tallies = {key: Tally(watch=watch, instrument=row.instrument) for key, row in by_scene.items()}
    examples: Counter[str] = Counter()
    for table in chips:
        others = np.array([text not in own for text in table.column("uci").to_pylist()], np.bool_)
        examples["example"] += int((~others).sum())
        scenes: Any = np.array(table.column("scene").to_pylist())
        for scene in dict.fromkeys(scenes.tolist()):
            rows = np.flatnonzero(others & (scenes == scene))
            if not len(rows):
                continue
            part = table.take(rows)
            tallies[scene, part.column("revision")[0].as_py()].add(chips_of(part))
    left_out = examples
    for tally in tallies.values():
        left_out.update(tally.reasons)
    return Rehearsal(
        scenes=[
            SceneScores(
                scene=by_scene[key].item_id,
                start=by_scene[key].start,
                scores=tally.scores,
                best=tally.best[1] if tally.best else None,
            )
            for key, tally in sorted(tallies.items())
        ],
        left_out={name: count for name, count in sorted(left_out.items()) if count},
        at_most=at_most,
    )
