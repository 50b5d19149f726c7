"""The prose of ``clayline explain --help``."""

from typing import Final

DESCRIPTION: Final = """\
Tell what `clayline embed` would do with scenes, and why: what each is taken for, its bands, masks and numbers, the grid
of its chips, the model's entry, jobs and batches, what reading takes, and warnings; or why it would be refused, and
what to do. It is the dry run of plan, the function that decides all this, by the same code: nothing is started, nothing
computed, nothing written. Pixels are not read, so that it cannot know of chips that are all nodata or under cloud.

A SCENE is what `clayline embed --help` says, and the options are those that decide there. What lies in S3 is fetched
whole, as embedding does, and thrown away.
"""

EPILOG: Final = """\
examples:
  clayline explain S2B_29RKH_20200219_0_L2A.json                  the Item, its .tif files beside it
  clayline explain ~/Downloads/ --model models/untrained-tiny-v1.5
  clayline explain scene.tif --sensor sentinel-2-l2a --datetime 2020-02-19T11:28:31Z --boa applied
  clayline explain scenes/ --json --quiet | jq -c '[.scene, .status, .reason, .plan.grid.chips]'

exit status:
  0    every scene would be embedded
  1    a scene would be refused: it says why, and what to do
  2    it could not run: the command line is wrong, or a scene cannot be read. A sentence says what to do
  130  stopped by Ctrl-C (SIGINT); 143 by SIGTERM, 129 by SIGHUP, 128 + n by signal n

docs/scenes.md says how scenes are read, and has every reason of a refusal.
"""
