"""``clayline plan-cost``: plan's dry run of scenes, and what each and all of them cost."""

import json
from collections.abc import Sequence
from pathlib import Path

from clayline.errors import ClaylineError, shown
from clayline.run.prices import Instance, Prices, built_in
from clayline_cli.choosing.planning import deployed_options
from clayline_cli.choosing.scenes import stage_scene
from clayline_cli.console import Console
from clayline_cli.costing.cost_options import CostOptions
from clayline_cli.costing.deployed import Deployed
from clayline_cli.costing.estimate import Estimate, Estimator, cost_values
from clayline_cli.costing.in_s3 import InS3
from clayline_cli.costing.table import summary, table
from clayline_cli.errors import CommandError
from clayline_local.dry_run import dry_run
from clayline_local.errors import NoSceneError
from clayline_local.model_folder import ModelFolder
from clayline_local.stopping import stoppable


def plan_cost(options: CostOptions, here: Sequence[str], console: Console) -> int:
    """Tell what every scene costs, those that are ``here`` and those of S3; gives the exit status.

    Raises ClaylineError, Stopped.
    """
    prices, deployed = built_in(), Deployed.read()
    instance = priced(options.instance or deployed.instance, prices)
    estimator = Estimator(
        prices=prices,
        functions=deployed.functions,
        instance=instance,
        model=ModelFolder.read(options.model),
        chips_per_second=options.chips_per_second,
    )
    there = InS3.sign_in(options) if options.in_s3 else None
    scenes = [*here, *(scene for target in options.in_s3 if there for scene in there.scenes(target))]
    told = []
    for number, scene in enumerate(scenes, start=1):
        if len(scenes) > 1:
            console.notice(f"{number} of {len(scenes)}  {Path(scene).name}")
        try:
            told.append(_one(scene, options, estimator, there))
        except NoSceneError as error:
            if scene in options.scenes:
                raise
            console.notice(f"left out: {error}")
            continue
        if told[-1].message:
            console.warn(shown(told[-1].message))
        if options.json:
            print(json.dumps(told[-1].values(instance.name)), flush=True)
    costs = [each.cost for each in told if each.cost]
    total = estimator.total(costs) if costs else None
    if options.json:
        values = cost_values(total, instance.name) if total else {}
        print(json.dumps({"total": True, "scenes": len(costs), "prices": prices.region, **values}), flush=True)
    else:
        print(shown(table(told)), flush=True)
        if total:
            print(summary(total, instance=instance.name, prices=prices, scenes=len(costs)), flush=True)
    return max((each.exit_status for each in told), default=2)


def priced(name: str, prices: Prices) -> Instance:
    """Give an instance type with its price. Raises CommandError if that is not known."""
    found = prices.instance(name)
    if found is None:
        known = ", ".join(each.name for each in prices.instances)
        msg = f"the price of {name} is not known. Give --instance one of {known}, or add it to data/prices.json."
        raise CommandError(msg)
    return found


def _one(scene: str, options: CostOptions, estimator: Estimator, there: InS3 | None) -> Estimate:
    try:
        if there and scene.startswith("s3://"):
            with stoppable():
                found = there.dry_run(scene, estimator.model)
            return Estimate(scene=scene, found=found, cost=estimator.scene(found))
        with stage_scene(scene, options) as staged, stoppable():
            chosen = deployed_options(options, estimator.model)
            found = dry_run(staged, manifest=estimator.model.manifest, options=chosen)
            return Estimate(scene=scene, found=found, cost=estimator.scene(found))
    except NoSceneError:
        raise
    except ClaylineError as error:
        return Estimate(scene=scene, error=str(error))
