"""``clayline explain``: plan's dry run of scenes, one after the other."""

import json
import time
from collections.abc import Sequence
from pathlib import Path

from clayline.errors import ClaylineError, shown
from clayline.outputs.provenance import untrained_note
from clayline.steps.options import PlanOptions
from clayline_cli.choosing.planning import plan_options
from clayline_cli.choosing.scenes import stage_scene
from clayline_cli.console import Console
from clayline_cli.explaining.explain_options import ExplainOptions
from clayline_cli.explaining.explanation import Explanation
from clayline_cli.explaining.page import page, table
from clayline_local.dry_run import dry_run
from clayline_local.model_folder import ModelFolder
from clayline_local.staged_objects import SCENE_NAMES
from clayline_local.stopping import stoppable


def explain(options: ExplainOptions, scenes: Sequence[str], console: Console) -> int:
    """Tell of every scene what embedding it would do; gives the exit status. Raises ClaylineError, Stopped."""
    model = ModelFolder.read(options.model)
    if note := untrained_note(model.manifest.checkpoint):
        console.warn(note)
    chosen = plan_options(options, model)
    told = []
    for number, scene in enumerate(scenes, start=1):
        if len(scenes) > 1:
            console.notice(f"{number} of {len(scenes)}  {Path(scene).name}")
        explanation = _one(scene, options, chosen, model)
        told.append(explanation)
        print(json.dumps(explanation.values()) if options.json else shown(page(explanation)), flush=True)
    if len(told) > 1 and not options.json:
        print(shown(table(told)), flush=True)
    return max((explanation.exit_status for explanation in told), default=2)


def _one(scene: str, options: ExplainOptions, chosen: PlanOptions, model: ModelFolder) -> Explanation:
    begun = time.monotonic()
    try:
        with stage_scene(scene, options) as staged, stoppable():
            found = dry_run(staged, manifest=model.manifest, options=chosen, digest=options.identity)
    except ClaylineError as error:
        return Explanation(scene=scene, error=str(error), seconds=time.monotonic() - begun, names=SCENE_NAMES)
    return Explanation(
        scene=scene,
        found=found,
        manifest=model.manifest,
        seconds=time.monotonic() - begun,
        names=SCENE_NAMES,
        with_run=options.identity,
    )
