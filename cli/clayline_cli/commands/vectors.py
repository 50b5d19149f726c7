"""``clayline vectors ROOT``: scenes that a vector bucket lacks are sent to it."""

import argparse
from typing import Final

from clayline_cli import arguments
from clayline_cli.call import Call, Commands, command_parser
from clayline_cli.compacting.place import add_place
from clayline_cli.console import Console
from clayline_local.repository import STARTER
from clayline_local.stopping import stoppable

DESCRIPTION: Final = """\
Send the chips of scenes under ROOT to a vector bucket of Amazon S3 Vectors (docs/vectors.md): the newest revision of
each scene that the vector bucket is not marked as holding. On AWS each scene is sent as it is committed, where the
stack's VectorBucket names the bucket; this is for scenes from before, whose message was lost, and for folders. Tested
against S3 Vectors' documentation and moto: it never met AWS.
"""

EPILOG: Final = """\
examples:
  clayline vectors s3://my-embeddings --vector-bucket my-vectors --look
  clayline vectors s3://my-embeddings --vector-bucket my-vectors
  clayline vectors s3://my-embeddings --vector-bucket my-vectors --profile archive --region eu-central-1
  clayline vectors out --vector-bucket my-vectors --model-folder models/clay-v1.5

exit status:
  0    the vector bucket holds every scene; with --look, it was looked
  1    some scenes could not be sent, or another sender was at them and did not end: a line each says why
  2    it could not run: the command line is wrong, or ROOT may not be read or written. A sentence says why
  130  stopped by Ctrl-C (SIGINT); 143 by SIGTERM, 129 by SIGHUP, 128 + n by signal n
"""


def add(commands: Commands) -> None:
    """Put the command on the program's parser."""
    parser = command_parser(
        commands, "vectors", summary="send scenes to a vector bucket", description=DESCRIPTION, epilog=EPILOG
    )
    add_place(parser, region="of the buckets, ROOT's and the vectors' (default: the profile's)")
    parser.add_argument(
        "--vector-bucket",
        type=arguments.bucket,
        required=True,
        metavar="NAME",
        help="the vector bucket, which is there",
    )
    arguments.add_model_folder(
        parser,
        default=STARTER,
        meaning="whose statistics.json states the centre, where the vector bucket has none yet",
    )
    parser.add_argument("--look", action="store_true", help="tell what is missing, and send nothing")
    parser.add_argument("--json", action="store_true", help="one JSON object a scene and line")
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress")
    parser.set_defaults(call=_call)


def _call(found: argparse.Namespace) -> Call:
    def run(console: Console) -> int:
        with stoppable():
            from clayline.aws.vectors import S3Vectors, vectors_client  # noqa: PLC0415 - a second of imports, for which no typo waits
            from clayline_cli.asking.opening import root_at  # noqa: PLC0415 - the same
            from clayline_cli.compacting.vectors import send  # noqa: PLC0415 - the same

            return send(
                root_at(found.root, profile=found.profile, region=found.region),
                S3Vectors(vectors_client(profile=found.profile, region=found.region), bucket=found.vector_bucket),
                console,
                model_folder=found.model_folder,
                look=found.look,
                as_json=found.json,
            )

    return Call(run=run, quiet=found.quiet, stopped="What was sent stays so; run it again to go on.")
