"""The prose of ``clayline plan-cost --help``."""

from typing import Final

DESCRIPTION: Final = """\
Tell what scenes would cost on AWS before anything runs: chips, batches, requests of each service, hours of the
endpoint's instance, dollars. Chips, jobs and batches are laid by the dry run of plan, as `clayline explain` tells them;
requests follow from those, as they were counted on a running chain; dollars from prices with their date
(docs/cost.md). It is what a first try costs if no chip is skipped and nothing has to be repeated.

How many chips an instance does in a second is known of Clay alone, and of GPUs only as a projection, which is what it
is called. For other models give --chips-per-second; without it the endpoint's share is told as unknown.

A SCENE is what `clayline embed --help` says, or a prefix of S3 that ends in a slash: every STAC Item under it, or
where there is none every GeoTIFF. What lies in S3 is read there as plan does: Items, headers, a look at some blocks.
"""

EPILOG: Final = """\
examples:
  clayline plan-cost ~/Downloads/S2B_29RKH_20200219_0_L2A/ --model models/clay-v1.5
  clayline plan-cost scenes/ --model models/clay-v1.5 --instance ml.g6.xlarge
  clayline plan-cost s3://my-scenes/2026/11/ --model models/clay-v1.5
  clayline plan-cost scenes/ --chips-per-second 700 --json --quiet | jq -c 'select(.total) | .dollars'

exit status:
  0    every scene would be embedded
  1    a scene would be refused (`clayline explain` says more); the others are added up
  2    it could not run: the command line is wrong, or a scene cannot be read. A sentence says what to do
  130  stopped by Ctrl-C (SIGINT); 143 by SIGTERM, 129 by SIGHUP, 128 + n by signal n
"""
