"""What plan would be told under the same options: by ``clayline embed``, and by a stack."""

from dataclasses import replace
from datetime import timedelta

from clayline.aws.settings import PlanSettings
from clayline.place import Place
from clayline.run.encoding import VectorEncoding
from clayline.run.plan import Thresholds
from clayline.scene.doubt import OnImplausible
from clayline.scene.radiometry import BoaOverride
from clayline.steps.bounds import Bounds
from clayline.steps.options import PlanOptions
from clayline_cli.choosing.options import MOST_MB, SceneOptions
from clayline_local.model_folder import ModelFolder
from clayline_local.staged_objects import SCENE_NAMES, SCENES_BUCKET

_DEFAULTS = PlanSettings.model_fields


def plan_options(options: SceneOptions, model: ModelFolder) -> PlanOptions:
    """Give plan's options, as template.yaml and plan's settings make them of those of the command.

    Buckets are never written to, and no lease is taken: their names and its length decide nothing.
    """
    return PlanOptions(
        work_bucket="work",
        embeddings_bucket="embeddings",
        allowed_buckets=frozenset({SCENES_BUCKET}),
        any_gsd=options.any_gsd,
        sensors=options.known(),
        untrained_sensors=options.untrained_sensors,
        any_pixel_shape=options.any_pixel_shape,
        boa=BoaOverride(options.boa),
        implausible_units=OnImplausible(options.implausible_units),
        tiff_datetime=options.tiff_datetime,
        creator=options.creator,
        thresholds=Thresholds(
            min_valid_fraction=float(f"{options.min_valid_fraction:g}"),
            max_cloud_fraction=float(f"{options.max_cloud_fraction:g}"),
        ),
        retry_failed=False,
        encoding=VectorEncoding(options.encoding),
        lease=timedelta(seconds=_DEFAULTS["lease_seconds"].default),
        chips_per_batch=model.chips_per_batch if options.batch_chips is None else options.batch_chips,
        memory_budget=_DEFAULTS["memory_budget_mb"].default * 1_000_000,
        bounds=Bounds(max_chips=options.max_chips, scratch_mb=MOST_MB, collect_memory_mb=MOST_MB),
        names=SCENE_NAMES,
        place=Place.CLI,
    )


def deployed_options(options: SceneOptions, model: ModelFolder) -> PlanOptions:
    """Give plan's options as a stack has them whose parameters are template.yaml's defaults, but for what was said."""
    chips = _DEFAULTS["chips_per_batch"].default if options.batch_chips is None else options.batch_chips
    bounds = Bounds(max_chips=options.max_chips)
    return replace(plan_options(options, model), chips_per_batch=chips, bounds=bounds)
