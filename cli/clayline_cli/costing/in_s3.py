"""Scenes in S3, planned where they lie: what plan asks for is read, and no imagery is fetched."""

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

import boto3

from clayline.run.access import Access
from clayline.run.keys import parse_s3_uri
from clayline_cli.choosing.planning import deployed_options
from clayline_cli.costing.cost_options import CostOptions
from clayline_cli.errors import CommandError
from clayline_cli.staging.look import ITEMS, TIFFS
from clayline_cli.staging.remote import Remote
from clayline_local.dry_run import DryRun, dry_run_in_s3
from clayline_local.model_folder import ModelFolder

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@dataclass(frozen=True, kw_only=True, slots=True)
class InS3:
    """S3 by the user's credentials."""

    options: CostOptions
    client: "S3Client"

    @classmethod
    def sign_in(cls, options: CostOptions) -> Self:
        """Take boto3's credentials, and lend them to GDAL, which does not know every way to sign in."""
        session = boto3.Session()
        if (found := session.get_credentials()) and "AWS_ACCESS_KEY_ID" not in os.environ:
            frozen = found.get_frozen_credentials()
            lent = {"AWS_ACCESS_KEY_ID": frozen.access_key, "AWS_SECRET_ACCESS_KEY": frozen.secret_key}
            token = {"AWS_SESSION_TOKEN": frozen.token} if frozen.token else {}
            os.environ |= {name: value for name, value in {**lent, **token}.items() if value}
        if session.region_name and "AWS_REGION" not in os.environ:
            os.environ["AWS_REGION"] = session.region_name
        return cls(options=options, client=session.client("s3"))

    def scenes(self, target: str) -> list[str]:
        """Give the target, or of a prefix (it ends in a slash, or is a bucket) every Item under it; where there is
        none, every GeoTIFF.

        Raises CommandError.
        """
        bucket, _, key = target.removeprefix("s3://").partition("/")
        if key and not key.endswith("/"):
            return [target]
        keys = Remote(self.client, request_payer=self.options.request_payer).keys(bucket, key)
        for suffixes in (ITEMS, TIFFS):
            if found := [key for key in keys if key.lower().endswith(tuple(suffixes))]:
                return [f"s3://{bucket}/{key}" for key in found]
        raise CommandError(
            f"{target} holds no STAC Item (.json, .geojson) and no GeoTIFF (.tif, .tiff). Check the key."
        )

    def dry_run(self, scene: str | bytes, model: ModelFolder) -> DryRun:
        """Plan a scene dry: that of an object, or of an Item that is published itself.

        Raises what ``dry_run_in_s3`` raises.
        """
        own = {parse_s3_uri(scene)[0]} if isinstance(scene, str) else set[str]()
        buckets = frozenset({*own, *self.options.allow_bucket})
        return dry_run_in_s3(
            scene,
            client=self.client,
            access=Access(requester_pays=buckets if self.options.request_payer else frozenset()),
            metadata=self.options.metadata,
            manifest=model.manifest,
            options=replace(deployed_options(self.options, model), allowed_buckets=buckets),
        )
