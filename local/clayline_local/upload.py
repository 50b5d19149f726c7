"""A scene lands in the local cloud: its files, and last what starts it."""

from typing import Any

from clayline_local.staged_scene import StagedScene


def upload(scene: StagedScene, *, s3: Any, bucket: str) -> None:  # noqa: ANN401 - boto3's clients are generated
    """Upload a scene to the scenes bucket. Raises OSError for a file that cannot be read."""
    for key, path in scene.assets:
        s3.upload_file(str(path), bucket, key)
    key, file = scene.landing
    with file.open("rb") as body:
        # in one PUT, however large: moto tells of parts that became a whole twice, as of two landings
        s3.put_object(Bucket=bucket, Key=key, Body=body, Metadata=dict(scene.metadata))
