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
from clayline_cli.costing.table import summary, table
from clayline_cli.errors import CommandError
from clayline_local.dry_run import dry_run
from clayline_local.model_folder import ModelFolder
from clayline_local.stopping import stoppable


def plan_cost(options: CostOptions, scenes: Sequence[str], console: Console) -> int:
    """Tell what every scene costs; gives the exit status. Raises ClaylineError, Stopped."""
    prices, deployed = built_in(), Deployed.read()
    instance = _instance(options.instance or deployed.instance, prices)
    estimator = Estimator(
        prices=prices,
        functions=deployed.functions,
        instance=instance,
        model=ModelFolder.read(options.model),
        chips_per_second=options.chips_per_second,
    )
    told = []
    for number, scene in enumerate(scenes, start=1):
        if len(scenes) > 1:
            console.notice(f"{number} of {len(scenes)}  {Path(scene).name}")
        told.append(_one(scene, options, estimator))
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


def _instance(name: str, prices: Prices) -> Instance:
    found = prices.instance(name)
    if found is None:
        known = ", ".join(each.name for each in prices.instances)
        msg = f"the price of {name} is not known. Give --instance one of {known}, or add it to data/prices.json."
        raise CommandError(msg)
    return found


def _one(scene: str, options: CostOptions, estimator: Estimator) -> Estimate:
    try:
        with stage_scene(scene, options) as staged, stoppable():
            found = dry_run(
                staged, manifest=estimator.model.manifest, options=deployed_options(options, estimator.model)
            )
            return Estimate(scene=scene, found=found, cost=estimator.scene(found))
    except ClaylineError as error:
        return Estimate(scene=scene, error=str(error))
