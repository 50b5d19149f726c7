"""The scenes of a call, looked at before anything heavy is loaded or started."""

from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass

from clayline_local.command.options import EmbedOptions
from clayline_local.stage import StagedScene, find_scenes, stage


@dataclass(frozen=True, kw_only=True, slots=True)
class Scene:
    """A scene as the user named it, and what was found of it."""

    target: str
    staged: StagedScene | None
    """None for one in S3, which is fetched when its turn comes."""


def look_at(options: EmbedOptions, keep: ExitStack) -> list[Scene]:
    """Find every scene of the call, and the files of each; of those in S3 only the first's. Raises LocalCloudError.

    What is fetched for it is there until ``keep`` is closed.
    """
    found: list[Scene] = []
    for target in find_scenes(options.scenes):
        later = target.startswith("s3://") and any(scene.target.startswith("s3://") for scene in found)
        found.append(Scene(target=target, staged=None if later else keep.enter_context(stage_scene(target, options))))
    return found


def stage_scene(target: str, options: EmbedOptions) -> AbstractContextManager[StagedScene]:
    """Find a scene's files as the options say."""
    return stage(target, staging=options.staging, metadata=options.metadata)
