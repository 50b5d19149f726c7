"""The command: ``publish model`` and ``publish smoke``."""

import argparse
import logging
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import boto3
from botocore.exceptions import BotoCoreError, ClientError
from pydantic import ValidationError

from clayline.errors import ClaylineError
from publish.bucket import ModelBucket, Uploaded
from publish.card import UNTRAINED
from publish.errors import PublishError
from publish.folder import FolderFile, ModelFolder, read_folder
from publish.registry import Registered, register
from publish.smoke import SmokeTest
from publish.stack import Stack
from publish.trial import make_trial

_IMAGE: Final = re.compile(
    r"[0-9]{12}\.dkr\.ecr(-fips)?\.[a-z0-9-]+\.amazonaws\.com(\.cn)?/[a-z0-9._/-]+@sha256:[0-9a-f]{64}"
)
_REPORT_BYTES: Final = 64 * 1024 * 1024


def main(arguments: Sequence[str]) -> int:
    """Run one command and give its exit status.

    0, or 1 with a sentence on stderr that says what failed and what to do.
    """
    logging.getLogger("sagemaker").setLevel(logging.WARNING)  # the SDK tells every call at INFO
    options = _parser().parse_args(arguments)
    try:
        if options.command == "model":
            _publish(options)
        else:
            _smoke(options)
    except (ClaylineError, OSError) as error:
        print(f"{options.command}: {error}", file=sys.stderr)
        return 1
    except ValidationError as error:  # of the SDK's shapes: a manifest's is a ModelError by now
        print(
            f"{options.command}: AWS answered what the SDK does not know: {error}. Does sagemaker-core fit this boto3?",
            file=sys.stderr,
        )
        return 1
    except (ClientError, BotoCoreError) as error:
        print(
            f"{options.command}: AWS refused: {error}. Check credentials, region and permissions; running again is"
            " safe.",
            file=sys.stderr,
        )
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="publish", description="Publish a model folder, and try the endpoint that serves it."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    model = commands.add_parser(
        "model", help="check, upload and register a folder; with a stack that serves it, try its endpoint too"
    )
    smoke = commands.add_parser("smoke", help="one asynchronous call of a deployed endpoint")
    for command in (model, smoke):
        command.add_argument("--folder", type=Path, required=True, help="the model folder on this machine")
        command.add_argument("--stack", help="take buckets, endpoint and image from this stack")
        command.add_argument("--token", help="the entry to try; the first by default")
        command.add_argument(
            "--deadline", type=float, default=1200, help="seconds to wait for the answer (default 1200)"
        )
        command.add_argument("--poll", type=float, default=5, help="seconds between looks for it (default 5)")
    model.add_argument("--bucket", help="the model bucket, if not the stack's")
    model.add_argument(
        "--image",
        help="the server's image, ACCOUNT.dkr.ecr.REGION.amazonaws.com/REPOSITORY@sha256:..., if not the stack's",
    )
    model.add_argument("--metrics", type=Path, help="the exporter's report, if not metrics.json in the folder")
    model.add_argument("--approval", choices=["PendingManualApproval", "Approved"], default="PendingManualApproval")
    model.add_argument("--upload-only", action="store_true", help="leave the registry alone")
    model.add_argument(
        "--allow-untrained", action="store_true", help="publish a folder of random weights, called so everywhere"
    )
    smoke.add_argument("--endpoint", help="the endpoint, if not the stack's")
    smoke.add_argument("--bucket", help="the work bucket, if not the stack's")
    return parser


def _publish(options: argparse.Namespace) -> None:
    session = boto3.Session()
    stack = Stack.read(session, options.stack) if options.stack else None
    name = options.bucket or (stack.model_bucket if stack else None)
    if not name:
        raise PublishError(
            "name the model bucket (BUCKET=...) or the stack (STACK=...): the stack's output ModelBucket is it"
        )
    image = None if options.upload_only else _image(options.image or (stack.image if stack else None))
    folder = read_folder(options.folder, metrics=options.metrics)
    _refuse_untrained(folder, allowed=options.allow_untrained)
    print(
        f"checked   {folder.path}: {len(folder.files) + 1} files, {sum(file.size for file in folder.files):,} bytes,"
        " digests as listed"
    )
    bucket = ModelBucket(session.client("s3"), name)
    uploaded = bucket.upload(folder, progress=_Progress())
    print(f"published {uploaded.uri} ({len(uploaded.sent)} files sent, {len(uploaded.kept)} there already)")
    if image:
        registered = register(folder, bucket=bucket, model_uri=uploaded.uri, image=image, approval=options.approval)
        _tell(registered)
    if stack and stack.endpoint and stack.model_folder == folder.manifest.folder:
        _try(session, folder, options, endpoint=stack.endpoint, work_bucket=stack.work_bucket)
    else:
        _tell_next(folder, uploaded, image, stack=options.stack)


def _smoke(options: argparse.Namespace) -> None:
    session = boto3.Session()
    stack = Stack.read(session, options.stack) if options.stack else None
    endpoint = options.endpoint or (stack.endpoint if stack else None)
    bucket = options.bucket or (stack.work_bucket if stack else None)
    if not endpoint or not bucket:
        raise PublishError("name ENDPOINT and the work bucket BUCKET, or a STACK whose EndpointMode is not none")
    _try(session, read_folder(options.folder), options, endpoint=endpoint, work_bucket=bucket)


def _try(
    session: boto3.Session, folder: ModelFolder, options: argparse.Namespace, *, endpoint: str, work_bucket: str
) -> None:
    test = SmokeTest(
        s3=session.client("s3"),
        endpoint=endpoint,
        work_bucket=work_bucket,
        deadline_seconds=options.deadline,
        poll_seconds=options.poll,
        say=_say,
    )
    response = test.run(make_trial(folder.manifest, options.token))
    chips, dimensions = response.embeddings.shape
    loss = f", {response.loss_metric}" if response.loss_metric else ""
    print(
        f"smoke     passed: {chips} finite vectors of {dimensions}{loss} from {response.header.token}"
        f" ({response.header.digest})"
    )


def _image(image: str | None) -> str:
    if not image:
        raise PublishError(
            "name the server's image (IMAGE=ACCOUNT.dkr.ecr.REGION.amazonaws.com/REPOSITORY@sha256:...): a package in"
            " the registry needs one. Before there is an image: UPLOAD_ONLY=1."
        )
    if not _IMAGE.fullmatch(image):
        raise PublishError(
            f"{image} is no ECR image by digest (...@sha256:...): a tag could come to mean another image"
        )
    return image


def _refuse_untrained(folder: ModelFolder, *, allowed: bool) -> None:
    if folder.manifest.untrained and not allowed:
        raise PublishError(
            f"{folder.manifest.folder} is untrained: random weights, embeddings that mean nothing. Export it from a"
            " checkpoint, or, to try the system out, say ALLOW_UNTRAINED=1 (--allow-untrained): the registry will call"
            " it untrained."
        )
    if folder.manifest.untrained:
        print(f"warning   {folder.manifest.folder} is {UNTRAINED}")


def _tell(registered: Registered) -> None:
    package = registered.package
    print(
        f"package   {package.arn} ({'registered' if registered.is_new else 'registered before'}, {registered.approval})"
    )
    print(f"card      {registered.card} ({registered.card_change})")


def _tell_next(folder: ModelFolder, uploaded: Uploaded, image: str | None, *, stack: str | None) -> None:
    parameters = ["EndpointMode=create", f"ModelFolder={folder.manifest.folder}"]
    if image:
        place, _, digest = image.partition("@")
        parameters += [f"ImageRepository={place.partition('/')[2]}", f"ImageDigest={digest}"]
    else:
        parameters.append("ImageDigest=sha256:...")
    to = (
        f"STACK={stack}"
        if stack
        else f"ENDPOINT=... BUCKET=... # outputs EndpointName and WorkBucket of the stack over {uploaded.uri}"
    )
    # Not for the command line: what was said there only, the next deployment takes back.
    print("next      samconfig.toml, among the parameter_overrides of the stack" + (f" {stack}:" if stack else ":"))
    for parameter in parameters:
        print(f'            "{parameter}",')
    print("          sam deploy # with --config-env, if the stack is not that of the default environment")
    print(f"          make smoke-test FOLDER={folder.path} {to}")


class _Progress:
    """A line when a file starts and ends, and every 64 MiB."""

    def __init__(self) -> None:
        self._said: dict[str, int] = {}
        self._started: dict[str, float] = {}

    def __call__(self, file: FolderFile, done: int) -> None:
        if done == 0:
            self._started[file.name] = time.monotonic()
        elif done == file.size and file.name not in self._started:
            _say(f"there     {file.name} ({file.size:,} bytes)")
        elif done == file.size or done - self._said.get(file.name, 0) >= _REPORT_BYTES:
            self._said[file.name] = done
            _say(f"sent      {file.name} {done:,} of {file.size:,} bytes")


def _say(line: str) -> None:
    print(line, flush=True)
