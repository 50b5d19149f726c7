"""Options: what a deployment, or a call of the command line, chose for planning."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from clayline.place import Place
from clayline.run.encoding import VectorEncoding
from clayline.run.names import AS_THEY_LIE, Names
from clayline.run.plan import Thresholds
from clayline.scene.doubt import OnImplausible
from clayline.scene.radiometry import BoaOverride
from clayline.scene.recognition import Known
from clayline.scene.source import SceneSource
from clayline.steps.bounds import DEFAULT_BOUNDS, Bounds


@dataclass(frozen=True, kw_only=True, slots=True)
class PlanOptions:
    """What a deployment chose."""

    work_bucket: str
    embeddings_bucket: str
    allowed_buckets: frozenset[str]
    any_gsd: bool
    any_pixel_shape: bool
    boa: BoaOverride
    tiff_datetime: bool
    creator: str
    thresholds: Thresholds
    encoding: VectorEncoding
    retry_failed: bool
    """Whether a new landing of a scene whose chips failed is computed again."""
    lease: timedelta
    chips_per_batch: int
    memory_budget: int
    """Bytes of a tile job's pixels."""
    implausible_units: OnImplausible = OnImplausible.WARN
    bounds: Bounds = DEFAULT_BOUNDS
    untrained_sensors: bool = False
    """Whether scenes of platforms are embedded on which the sensor's models were not trained."""
    sensors: Known | None = None
    """With a user's own; None: those that come with the package."""
    asset_wait: timedelta = timedelta(0)
    """How long a scene waits for an asset that is not there."""
    model_uri: str | None = None
    """Where the model folder lies, up to a slash."""
    names: Names = AS_THEY_LIE
    place: Place = Place.AWS

    def choices(self) -> dict[str, Any]:
        """Give the choices that change what comes out."""
        return {
            "any_gsd": self.any_gsd,
            "any_pixel_shape": self.any_pixel_shape,
            "boa": self.boa.value,
            "tiff_datetime": self.tiff_datetime,
            "creator": self.creator,
            **self.thresholds.model_dump(),
            "vector_encoding": self.encoding.value,
            # Warning changes nothing of what comes out; and so its run is the one that it was.
            **({"implausible_units": "fail"} if self.implausible_units is OnImplausible.FAIL else {}),
            **({"untrained_sensors": True} if self.untrained_sensors else {}),
        }

    def identity(self, source: SceneSource) -> dict[str, Any]:
        """Give the choices, the object metadata that was used, and the digest of a user's own sensor.

        All of it is part of the run's identity.
        """
        own = self.sensors.digests.get(source.product.sensor) if self.sensors else None
        return {
            **self.choices(),
            **({"object_metadata": dict(source.identity)} if source.identity else {}),
            **({"sensor_file": own} if own else {}),
        }
