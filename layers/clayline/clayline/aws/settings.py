"""Each function's settings, read once from its environment (prefix ``CLAYLINE_``), never at import."""

from typing import Annotated, Final, Self

from pydantic import Field, PlainValidator, ValidationError, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from clayline.errors import SettingsError
from clayline.place import Place
from clayline.run.access import Access
from clayline.run.encoding import VectorEncoding
from clayline.run.names import AS_THEY_LIE, Names
from clayline.scene.doubt import OnImplausible
from clayline.scene.radiometry import BoaOverride

OF_THE_LOCAL_CLOUD: Final = frozenset({"CLAYLINE_NAMES", "CLAYLINE_PLACE", "CLAYLINE_PAID"})
"""Set by the local cloud alone, by no parameter of template.yaml: on AWS, buckets are the places that people know, and
instances are paid for."""


def _names(given: str | Names) -> Names:
    return Names.parse(given) if isinstance(given, str) else given  # defaults are validated too


class CommonSettings(BaseSettings):
    """What every function knows."""

    model_config = SettingsConfigDict(env_prefix="CLAYLINE_", frozen=True, extra="ignore")
    ledger_table: str
    work_bucket: str


class ReadingSettings(CommonSettings):
    """What a function knows that reads scenes."""

    requester_pays_buckets: str = ""
    """Buckets whose owner has readers pay, comma separated."""
    bucket_regions: str = ""
    """``bucket=region``, comma separated, of buckets in other regions."""

    @model_validator(mode="after")
    def _can_be_read(self) -> Self:
        """Name what is no list when the function starts. Raises ValueError."""
        self.access()
        return self

    def access(self) -> Access:
        """Give how buckets are asked. Raises ValueError."""
        return Access.parse(requester_pays=self.requester_pays_buckets, regions=self.bucket_regions)


class SourceSettings(ReadingSettings):
    """What a function knows that decides what may be read."""

    scenes_bucket: str
    allowed_buckets: str = ""
    """Further buckets that hrefs may point to, comma separated."""

    def buckets(self) -> frozenset[str]:
        """Buckets that hrefs may point to."""
        return frozenset(
            {self.scenes_bucket, *filter(None, (name.strip() for name in self.allowed_buckets.split(",")))}
        )


class PatientSettings(CommonSettings):
    """What a function knows that moves runs from state to state."""

    patience_seconds: int = Field(default=900, ge=1)
    """How long a run may be in a state before the reconciler looks at it."""


class AdmittingSettings(PatientSettings):
    """What a function knows that hands jobs to tile."""

    tile_queue_url: str
    max_batches_in_flight: int = Field(default=2_000, ge=1)


class InvokingSettings(CommonSettings):
    """How long the endpoint keeps a request, and computes one."""

    request_ttl_seconds: int = Field(default=21_600, ge=60, le=21_600)
    invocation_timeout_seconds: int = Field(default=900, ge=1, le=3_600)


class PlanSettings(SourceSettings, AdmittingSettings):
    """Settings of plan."""

    settled_queue_url: str
    embeddings_bucket: str
    model_manifest: str
    """``s3://bucket/models/folder/manifest.json``."""
    item_prefix: str = ""
    cog_prefix: str = "cog/"
    any_gsd: bool = False
    any_pixel_shape: bool = False
    boa: BoaOverride = BoaOverride.AUTO
    implausible_units: OnImplausible = OnImplausible.WARN
    untrained_sensors: bool = False
    sensor_files: str = ""
    """Names of YAML files under ``sensors/`` in the bucket of ``model_manifest``, comma separated."""
    tiff_datetime: bool = False
    source_creator: str = Field(default="clayline", min_length=1, max_length=200)
    min_valid_fraction: float = Field(default=0.0, ge=0, le=1)
    max_cloud_fraction: float = Field(default=1.0, ge=0, le=1)
    retry_failed: bool = True
    """Whether a new landing of a scene whose chips failed is computed again."""
    vector_encoding: VectorEncoding = VectorEncoding.PORTABLE
    lease_seconds: int = Field(default=300, ge=1)
    asset_wait_minutes: int = Field(default=15, ge=0, le=10_080)
    """How long a scene waits for an asset that lands after its Item."""
    chips_per_batch: int = Field(default=64, ge=1, le=4096)
    memory_budget_mb: int = Field(default=512, ge=16)
    max_chips: int = Field(default=400_000, ge=1)
    collect_scratch_mb: int = Field(default=4_096, ge=512)
    collect_memory_mb: int = Field(default=3_008, ge=128)
    tile_memory_mb: int = Field(default=3_008, ge=128)
    event_bus: str = "default"
    names: Annotated[Names, NoDecode, PlainValidator(_names)] = AS_THEY_LIE
    """A JSON object: prefixes of S3 URIs, each with what people call it. Set by the local cloud alone."""
    place: Place = Place.AWS
    """Whose words messages speak: ``aws`` or ``cli``. Set by the local cloud alone."""

    def own_sensors(self) -> dict[str, str]:
        """Give the URI of each sensor's file by its name."""
        bucket = self.model_manifest.removeprefix("s3://").partition("/")[0]
        names = filter(None, (name.strip() for name in self.sensor_files.split(",")))
        return {name: f"s3://{bucket}/sensors/{name}" for name in names}


class TileSettings(ReadingSettings, InvokingSettings):
    """Settings of tile."""

    endpoint_name: str
    result_queue_url: str


class SettleSettings(PatientSettings):
    """Settings of settle."""

    tile_queue_url: str
    settled_queue_url: str
    max_attempts: int = Field(default=3, ge=1, le=10)


class ReconcileSettings(SettleSettings, AdmittingSettings, InvokingSettings):
    """Settings of reconcile."""

    scene_queue_url: str
    give_up_days: int = Field(default=14, ge=1, le=28)
    """After so long a run is ended as it is."""


class IndexSettings(CommonSettings):
    """Settings of index."""

    embeddings_bucket: str
    names: Annotated[Names, NoDecode, PlainValidator(_names)] = AS_THEY_LIE
    """As plan's: by them events name a receipt. Set by the local cloud alone."""

    @property
    def root_name(self) -> str:
        """What names of the bucket's objects begin with."""
        return self.names.of(f"s3://{self.embeddings_bucket}/")


class WatchSettings(IndexSettings):
    """Settings of watch."""

    event_bus: str = "default"


class SheetSettings(SourceSettings, IndexSettings):
    """Settings of sheet."""


class VectorsSettings(IndexSettings):
    """Settings of vectors."""

    vector_bucket: str
    model_manifest: str
    """As plan's: beside it lie the statistics by whose mean vectors are centred."""

    @property
    def model_folder(self) -> tuple[str, str]:
        """Bucket of the model folder, and its prefix."""
        bucket, _, key = self.model_manifest.removeprefix("s3://").partition("/")
        return bucket, key.rpartition("/")[0]


class CompactSettings(CommonSettings):
    """Settings of compact."""

    embeddings_bucket: str
    grace_hours: int = Field(default=24, ge=1, le=8_760)
    """How long readers may use a state of the dataset that they have opened."""
    row_group_rows: int = Field(default=1_024, ge=1_024, le=4_096)
    compact_tiers: bool = True
    """Whether files get int8 and bit tiers."""
    compact_scratch_mb: int = Field(default=4_096, ge=512)

    @property
    def spool_bytes(self) -> int:
        """Bytes of vectors that a pass may spool: five eighths of the scratch. The rest is for a scene's file that is
        read, and the file that is written.
        """
        return self.compact_scratch_mb * 2**20 * 5 // 8


class CollectSettings(PatientSettings):
    """Settings of collect."""

    embeddings_bucket: str
    event_bus: str = "default"
    answer_grace_seconds: int = Field(default=600, ge=0)
    """How long after settling an answer that is not there is waited for."""
    instance_type: str
    """Of the endpoint that the stack makes; empty for another's."""
    paid: bool = True
    """Whether somebody pays for that instance."""


def load[T: CommonSettings](kind: type[T]) -> T:
    """Read settings from the environment. Raises SettingsError naming every variable that is missing or wrong."""
    try:
        return kind()
    except ValidationError as error:
        problems = "; ".join(
            f"CLAYLINE_{'.'.join(map(str, item['loc'])).upper()}: {item['msg']}" for item in error.errors()
        )
        msg = f"the function's environment cannot be used: {problems}. See template.yaml."
        raise SettingsError(msg) from error
