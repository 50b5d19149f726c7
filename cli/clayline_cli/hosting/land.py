"""``clayline land``: scenes land in a local cloud that is up."""

import argparse
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from clayline.errors import shown
from clayline_cli import arguments
from clayline_cli.choosing.options import add_assets, add_said
from clayline_cli.console import Console
from clayline_cli.staging.stage import Staging, find_scenes, stage
from clayline_local.stopping import stoppable

DESCRIPTION: Final = """\
Let scenes land in the local cloud that `clayline local-cloud` keeps up: the files of each are uploaded to its scenes
bucket, what starts it last. It does not wait for what becomes of them: `clayline status` tells.

A SCENE is what `clayline embed --help` says: an Item, a GeoTIFF, a folder of them, an s3:// URI.
"""

EPILOG: Final = """\
examples:
  clayline land scenes/ --local cloud
  clayline land item.json --assets ~/Downloads --local cloud

exit status:
  0    every scene landed
  2    one could not be read, or no cloud is up there. A sentence says what to do; scenes before it have landed
  130  stopped by Ctrl-C (SIGINT); 143 by SIGTERM, 129 by SIGHUP, 128 + n by signal n

On AWS, copy the files and then the Item to the stack's scenes bucket: aws s3 cp.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class LandOptions:
    """What a call was told."""

    scenes: tuple[str, ...]
    local: Path
    staging: Staging
    metadata: Mapping[str, str]
    json: bool

    @classmethod
    def of(cls, found: argparse.Namespace) -> Self:
        """Take what the parser found. Raises ArgumentTypeError for a sensor that is not known."""
        if found.sensor is not None:
            arguments.check_sensor(found.sensor, None)
        said = {"sensor": found.sensor, "datetime": found.datetime}
        return cls(
            scenes=tuple(found.scenes),
            local=found.local,
            staging=Staging(
                assets=found.assets,
                allowed_buckets=frozenset(found.allow_bucket),
                request_payer=found.request_payer,
            ),
            metadata={name: value for name, value in said.items() if value is not None},
            json=found.json,
        )


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add all of them."""
    parser.add_argument("scenes", nargs="+", metavar="SCENE", help="a file, a folder, or an s3:// URI")
    parser.add_argument(
        "--local", type=Path, required=True, metavar="DIR", help="the folder of `clayline local-cloud --out DIR`"
    )
    add_assets(parser)
    add_said(parser)
    parser.add_argument("--json", action="store_true", help="one JSON object a scene and line")


def land(options: LandOptions, console: Console) -> int:
    """Let every scene land; gives the exit status. Raises ClaylineError, Stopped."""
    with stoppable():
        from clayline_local.clients import local_client  # noqa: PLC0415 - seconds of imports, which a typo need not wait for
        from clayline_local.cloud_file import CloudFile  # noqa: PLC0415 - see above
        from clayline_local.upload import upload  # noqa: PLC0415 - see above

        cloud = CloudFile.read(options.local)
        s3 = local_client("s3", url=cloud.url, region=cloud.region)
        said = options.metadata.get("sensor") is not None
        scenes = find_scenes(options.scenes, sensor_said=said, notice=console.notice)
    for scene in scenes:
        with stage(scene, staging=options.staging, metadata=options.metadata) as staged, stoppable():
            upload(staged, s3=s3, bucket=cloud.outputs["ScenesBucket"])
            name = staged.item or staged.name
        told = {"landed": staged.name, "scene": name}
        print(json.dumps(told) if options.json else shown(f"landed: {name}"), flush=True)
    return 0
