"""Identity of a run and of everything it leaves behind.

Fixed before any work starts, so that every retry meets the same names.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

_MAX_URI = 2_048
JSON = "application/json"
_RECEIPT = "_receipt.json"


def landing_id(*, bucket: str, key: str, put: Mapping[str, str]) -> str:
    """Give the 32 hex of one PUT of an object, the same however often its event is delivered.

    ``put`` is what tells it from others: one entry, named after where it was read.
    """
    return _digest({"bucket": bucket, "key": key, "put": dict(put)})[:32]


def run_id(
    *,
    scene: str,
    source_etag: str,
    asset_etags: Mapping[str, str],
    read: Mapping[str, Any],
    token: str,
    digest: str,
    options: Mapping[str, Any],
) -> str:
    """Give 32 hex that are the same if everything that decided the outcome is, and only then.

    ``scene`` is scene12; ``read`` what was taken from the key, which no ETag covers, or from the Item.
    """
    return _digest(
        {
            "scene": scene,
            "source": source_etag,
            "assets": dict(asset_etags),
            "read": dict(read),
            "token": token,
            "digest": digest,
            "options": dict(options),
        }
    )[:32]


def successor_id(run: str) -> str:
    """Give the run that follows ``run``: of the same content, and all else that decided that one."""
    return _digest({"predecessor": run})[:32]


def waiting_run(landing: str) -> str:
    """Give what stands in the ledger for a landing that waits for an asset."""
    return _digest({"waits": landing})[:32]


def redrive_landing(run: str) -> str:
    """Give the landing that computing again what failed in ``run`` counts as."""
    return _digest({"redrive": run})[:32]


def failed_run_id(
    *,
    source_uri: str,
    source_etag: str,
    reason: str,
    message: str,
    model: str,
    options: Mapping[str, Any],
) -> str:
    """Give the run of a scene that is refused: one for each landed object, refusal, model and options.

    The message belongs to it: it says which asset is missing.
    """
    content = {"uri": source_uri, "source": source_etag, "reason": reason, "message": message}
    return _digest({**content, "model": model, "options": dict(options)})[:32]


def scene_hash(*, collection: str | None, item: str | None, uri: str) -> str:
    """Give 12 hex of the source's identity: collection and Item id, or the COG's URI where there is no Item."""
    return _digest({"collection": collection, "item": item} if item else {"uri": uri})[:12]


def model_item_name(digest: str) -> str:
    """Give the name of a model's Item: a second model under one token, which nobody should make, has one of its own."""
    return f"model_{digest.removeprefix('sha256:')[:12]}.json"


def inference_id(*, run: str, batch: str, attempt: int) -> str:
    """Give the name under which a batch's attempt is invoked. SageMaker allows 64 characters."""
    return f"{run}-{batch}-a{attempt}"


def _digest(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":"), default=str).encode()).hexdigest()


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkObjects:
    """URIs of a run's objects in the work bucket (docs/architecture.md, Objects)."""

    bucket: str
    run: str

    @property
    def plan(self) -> str:
        """The plan's JSON: the commit of planning."""
        return f"s3://{self.bucket}/plans/{self.run}/plan.json"

    @property
    def chips(self) -> str:
        """Identifier and corners of every chip."""
        return f"s3://{self.bucket}/plans/{self.run}/chips.safetensors"

    def request(self, batch: str) -> str:
        """Input of every attempt of a batch."""
        return f"s3://{self.bucket}/requests/{self.run}/{batch}.safetensors"

    def outcomes(self, batch: str) -> str:
        """What tile decided on each chip of a batch: the commit of tiling it."""
        return f"s3://{self.bucket}/outcomes/{self.run}/{batch}.json"

    def is_response(self, uri: str) -> bool:
        """Say whether a response may lie there: where the endpoint's output goes (template.yaml, S3OutputPath)."""
        return is_response(uri, bucket=self.bucket)

    @property
    def settlement(self) -> str:
        """How each batch ended: the commit of settling."""
        return f"s3://{self.bucket}/settlements/{self.run}.json"

    @property
    def verdict(self) -> str:
        """Which answer of each batch is used: frozen before anything is written from them."""
        return f"s3://{self.bucket}/verdicts/{self.run}.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class OutputObjects:
    """URIs of a run's outputs, which all begin alike."""

    prefix: str
    """``s3://bucket/{token}/{scene12}/{MGRS}_{start}_{end}_v{NNN}``, or ``s3://bucket/failed/{scene12}/{run}``."""

    @property
    def scene(self) -> tuple[str, str]:
        """The model's token and scene12, of outputs that a plan names."""
        token, scene_hash = self.prefix.split("/")[3:5]
        return token, scene_hash

    @classmethod
    def of_receipt(cls, uri: str) -> Self:
        """Give the outputs beside a receipt."""
        return cls(prefix=uri.removesuffix(_RECEIPT))

    def model(self, digest: str) -> str:
        """The STAC Item of the model, one for all scenes of its token."""
        return f"{self.prefix.rsplit('/', 2)[0]}/{model_item_name(digest)}"

    @property
    def parquet(self) -> str:
        """The embeddings."""
        return f"{self.prefix}.parquet"

    @property
    def metadata(self) -> str:
        """The file's metadata as JSON, as v0 has it."""
        return f"{self.prefix}_metadata.json"

    @property
    def item(self) -> str:
        """The STAC Item of the embeddings."""
        return f"{self.prefix}.json"

    @property
    def receipt(self) -> str:
        """What became of every planned chip: the commit of the run."""
        return f"{self.prefix}{_RECEIPT}"


def is_response(uri: str, *, bucket: str) -> bool:
    """Say whether an object of the work bucket ``bucket`` is one that the endpoint writes, by its URI."""
    return len(uri) <= _MAX_URI and uri.isascii() and uri.startswith(f"s3://{bucket}/responses/")


def parse_s3_uri(uri: str) -> tuple[str, str]:
    """Split ``s3://bucket/key`` (the key raw, never URL-decoded). Raises ValueError."""
    scheme, _, rest = uri.partition("://")
    bucket, _, key = rest.partition("/")
    if scheme != "s3" or not bucket or not key:
        msg = f"not an s3://bucket/key URI: {uri!r}"
        raise ValueError(msg)
    return bucket, key
