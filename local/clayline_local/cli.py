"""The command line: ``clayline embed PATH-OR-S3-URI --out DIR``."""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from clayline.errors import ClaylineError
from clayline.provenance import untrained_note
from clayline_local.errors import LocalCloudError
from clayline_local.model_folder import ModelFolder
from clayline_local.picture import draw
from clayline_local.session import STARTER, Progress, Session
from clayline_local.stage import StagedScene, stage

_MOST_CHIPS = 4096
"""That plan's settings allow in a batch."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; exit status 0 if every chip was written or skipped, 1 if any failed, 2 if nothing could be tried."""
    options = _parser().parse_args(arguments)
    try:
        return embed(options)
    except ClaylineError as error:
        print(f"clayline: {error}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="clayline", description="Embeddings of a satellite scene, by the same functions that run on AWS.")
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("embed", help="embed one scene on this machine")
    command.add_argument(
        "scene", help="a STAC Item (.json) with its COGs beside it, a multi-band COG with named bands, or an s3:// URI of either"
    )
    command.add_argument("--out", type=Path, required=True, help="folder for what comes out")
    command.add_argument("--model", type=Path, default=STARTER, help="model folder (default: the starter)")
    command.add_argument(
        "--batch-chips", type=int, help="chips in one request to the model (default: 64 of 64 px, 4 of 256 px; progress is by batch)"
    )
    command.add_argument("--any-gsd", action="store_true", help="accept a GSD more than 10 %% off the model's, and record it")
    command.add_argument(
        "--boa", choices=("auto", "applied", "not-applied"), default="auto", help="whether Sentinel-2's BOA offset is already taken off"
    )
    command.add_argument("--sensor", help="sensor of a COG whose name does not say it")
    command.add_argument("--datetime", help="acquisition of a COG whose name does not say it, RFC 3339")
    command.add_argument("--tiff-datetime", action="store_true", help="if all else fails, believe TIFFTAG_DATETIME")
    command.add_argument("--min-valid-fraction", type=float, default=0.0, help="skip chips with fewer valid pixels")
    command.add_argument("--max-cloud-fraction", type=float, default=1.0, help="skip chips with more cloud")
    command.add_argument("--creator", default="clayline", help="for the column source_creator")
    command.add_argument("--no-picture", action="store_true", help="draw no PNG")
    return parser


def embed(options: argparse.Namespace) -> int:
    """Embed one scene and tell what came out."""
    begun = time.monotonic()
    model = ModelFolder.read(options.model)
    chips = model.chips_per_batch if options.batch_chips is None else options.batch_chips
    if not 1 <= chips <= _MOST_CHIPS:
        msg = f"--batch-chips {chips}: from 1 to {_MOST_CHIPS} can be sent at a time"
        raise LocalCloudError(msg)
    metadata = {name: value for name in ("sensor", "datetime") if (value := getattr(options, name))}
    parameters = {
        "AnyGsd": str(options.any_gsd).lower(),
        "Boa": options.boa,
        "TiffDatetime": str(options.tiff_datetime).lower(),
        "MinValidFraction": f"{options.min_valid_fraction:g}",
        "MaxCloudFraction": f"{options.max_cloud_fraction:g}",
        "SourceCreator": options.creator,
        "ChipsPerBatch": str(chips),
        "InvocationTimeoutSeconds": "3600",  # the longest there is: this machine may be slow, and nobody pays for an instance that hangs
    }
    options.out.mkdir(parents=True, exist_ok=True)
    with stage(options.scene, metadata=metadata) as scene:
        _warn(model)
        print(f"starting moto_server, the endpoint with model {model} and four functions, wired by template.yaml ...", flush=True)
        with Session(model=model.path, parameters=parameters, logs=options.out / "logs", notice=_tell) as session:
            print(f"  ready after {time.monotonic() - begun:.1f} s", flush=True)
            uri = session.drop(scene)
            print(f"dropped {uri}", flush=True)
            dropped = time.monotonic()
            detail = session.wait(uri, progress=lambda found: _show(found, time.monotonic() - dropped))
            files = session.fetch(detail, options.out)
        status = _summary(detail, files, scene, options, time.monotonic() - begun)
        _warn(model)
        return status


def _tell(notice: str) -> None:
    print(f"  {notice}", flush=True)


def _warn(model: ModelFolder) -> None:
    """Say that embeddings are random, where they are."""
    if note := untrained_note(model.manifest.checkpoint):
        print(f"WARNING: {note}", flush=True)


def _show(progress: Progress, seconds: float) -> None:
    if progress.batches is None:
        print(f"  {seconds:5.1f} s  planning", flush=True)
        return
    done = progress.settled / progress.batches if progress.batches else 1.0
    print(f"  {seconds:5.1f} s  [{'#' * round(30 * done):<30}] {progress.settled} of {progress.batches} batches embedded", flush=True)


def _summary(detail: dict[str, Any], files: dict[str, Path], scene: StagedScene, options: argparse.Namespace, seconds: float) -> int:
    counts = detail["counts"]
    print(f"{detail['status']}: {detail['scene']}")
    if detail["reason"]:
        print(f"  {detail['reason']}: {detail['message']}")
    if detail["source_model"]:
        print(f"  model {detail['source_model']}{', UNTRAINED' if detail['untrained'] else ''}")
    print(f"  planned {counts['planned']} = written {counts['written']}", end="")
    for state in ("skipped", "failed"):
        for reason, number in counts[state].items():
            print(f" + {state} {number} ({reason})", end="")
    print(f"   in {seconds:.1f} s")
    for kind, path in files.items():
        print(f"  {kind:10} {path}")
    if "parquet" in files and not options.no_picture and (picture := _picture(files, scene)):
        print(f"  {'picture':10} {picture}")
    return 0 if detail["status"] == "SceneEmbedded" else 1


def _picture(files: dict[str, Path], scene: StagedScene) -> Path | None:
    """Draw, if the scene has red, green and blue."""
    provenance = json.loads(files["metadata"].read_text())["clayline"]
    local = {f"/{key}": path for key, path in (*scene.assets, scene.landing)}
    found = {}
    for asset in provenance["source"]["assets"]:
        path = next((path for key, path in local.items() if asset["uri"].endswith(key)), None)
        if path:
            found[asset["band"]] = (path, asset["file_band"])
    if not {"red", "green", "blue"} <= found.keys():
        return None
    target = files["parquet"].with_suffix(".png")
    bands = [found[name] for name in ("red", "green", "blue")]
    return target if draw(files["parquet"], provenance, bands, target, mask=found.get("scl")) else None


if __name__ == "__main__":
    sys.exit(main())
