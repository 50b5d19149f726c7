"""What a list would cost, estimated from a few of its scenes: plan's dry run of each, as in ``clayline plan-cost``."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from clayline.errors import ClaylineError, shown
from clayline.run.prices import built_in
from clayline_cli.backfilling.backfill_options import BackfillOptions
from clayline_cli.backfilling.messages import Message
from clayline_cli.backfilling.stack import lend_credentials, listed, output
from clayline_cli.call import Parser
from clayline_cli.console import Console
from clayline_cli.costing.cost_options import CostOptions, add_options
from clayline_cli.costing.deployed import Deployed
from clayline_cli.costing.estimate import Estimate, Estimator, cost_values
from clayline_cli.costing.in_s3 import InS3
from clayline_cli.costing.run import priced
from clayline_cli.operating.running import Running
from clayline_local.model_folder import ModelFolder

_FLAGS = {
    "AnyGsd": "--any-gsd",
    "AnyPixelShape": "--any-pixel-shape",
    "UntrainedSensors": "--untrained-sensors",
    "TiffDatetime": "--tiff-datetime",
}
_VALUES = {
    "Boa": "--boa",
    "ImplausibleUnits": "--implausible-units",
    "MinValidFraction": "--min-valid-fraction",
    "MaxCloudFraction": "--max-cloud-fraction",
    "ChipsPerBatch": "--batch-chips",
    "MaxChips": "--max-chips",
    "VectorEncoding": "--encoding",
    "SourceCreator": "--creator",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """Some scenes of a list, planned dry."""

    scenes: int
    """Of the list."""
    told: tuple[Estimate, ...]
    instance: str
    cost: dict[str, Any] | None
    """Of one scene, on the average of those that would be embedded; None if none would."""

    @property
    def refused(self) -> tuple[Estimate, ...]:
        """Those that would not be embedded."""
        return tuple(each for each in self.told if each.cost is None)

    def values(self) -> dict[str, Any]:
        """Give it as JSON can say it: the average, and all by it."""
        refused = [{"scene": each.scene, "status": each.status, "message": each.message} for each in self.refused]
        dollars = self.cost["dollars"] if self.cost else {}
        return {
            "sampled": len(self.told),
            "refused": refused,
            "instance": self.instance,
            "a_scene": self.cost,
            "all_scenes": {name: None if value is None else value * self.scenes for name, value in dollars.items()},
        }


def take(
    messages: Sequence[Message], scenes: int, options: BackfillOptions, running: Running, console: Console
) -> Sample:
    """Plan the scenes of some messages dry. Raises ClaylineError."""
    chosen = _cost_options(options, running)
    prices, deployed = built_in(), Deployed.read()
    instance = priced(options.instance or running.parameters.get("InstanceType") or deployed.instance, prices)
    estimator = Estimator(
        prices=prices,
        functions=deployed.functions,
        instance=instance,
        model=ModelFolder.read(options.model),
        chips_per_second=options.chips_per_second,
    )
    told = []
    lend_credentials(options.where)
    there = InS3.sign_in(chosen)
    for number, message in enumerate(messages, start=1):
        console.notice(shown(f"planning {number} of {len(messages)} dry  {message.called}"))
        told.append(_one(message, there, estimator))
        if told[-1].message:
            console.warn(shown(f"{message.called}: {told[-1].message}"))
    costs = [each.cost for each in told if each.cost]
    together = cost_values(estimator.total(costs), instance.name) if costs else None
    return Sample(
        scenes=scenes,
        told=tuple(told),
        instance=instance.name,
        cost=_averaged(together, len(costs)) if together else None,
    )


def _averaged(values: dict[str, Any], scenes: int) -> dict[str, Any]:
    """Divide what adds up, by scene."""
    adds_up = ("work", "calls", "dollars")
    return {
        name: {part: None if value is None else value / scenes for part, value in values[name].items()}
        for name in adds_up
    } | {"endpoint": {**values["endpoint"], "hours": _shared(values["endpoint"]["hours"], scenes)}}


def _shared(value: float | None, scenes: int) -> float | None:
    return None if value is None else value / scenes


def _one(message: Message, there: InS3, estimator: Estimator) -> Estimate:
    try:
        found = there.dry_run(message.uri or message.document, estimator.model)
        return Estimate(scene=message.called, found=found, cost=estimator.scene(found))
    except ClaylineError as error:
        return Estimate(scene=message.called, error=str(error))


def _cost_options(options: BackfillOptions, running: Running) -> CostOptions:
    """Give what ``clayline plan-cost`` would be told so that it plans as the stack does."""
    given = ["s3://", "--model", str(options.model)]
    given += [flag for name, flag in _FLAGS.items() if running.parameters.get(name) == "true"]
    for name, option in _VALUES.items():
        if value := running.parameters.get(name):
            given += [option, value]
    for bucket in (output(running, "ScenesBucket"), *listed(running, "AllowedBuckets")):
        given += ["--allow-bucket", bucket]
    if options.request_payer or listed(running, "RequesterPaysBuckets"):
        given.append("--request-payer")
    parser = Parser(prog="clayline plan-cost")
    add_options(parser)
    return CostOptions.of(parser.parse_args(given))
