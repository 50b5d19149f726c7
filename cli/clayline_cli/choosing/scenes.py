"""The scenes of a call, looked at before anything heavy is loaded or started, and made ready one at a time."""

from contextlib import AbstractContextManager

from clayline_cli.choosing.options import SceneOptions
from clayline_cli.console import Console
from clayline_cli.staging.stage import find_scenes, look_at, stage
from clayline_local.staged_scene import StagedScene


def find(options: SceneOptions, console: Console) -> list[str]:
    """Find every scene of the call and look at the files of each.

    Raises CommandError, or LocalCloudError for a path that has no key, for the first that cannot be begun with.
    """
    found = find_scenes(options.scenes, sensor_said=options.sensor is not None, notice=console.notice)
    for target in found:
        look_at(target, staging=options.staging, metadata=options.metadata)
    return found


def stage_scene(target: str, options: SceneOptions) -> AbstractContextManager[StagedScene]:
    """Make a scene ready as the options say; what is fetched is there for as long as this lasts."""
    return stage(target, staging=options.staging, metadata=options.metadata)
