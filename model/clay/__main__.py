"""`python -m clay export` and `python -m clay add`: see docs/how-to/publish-a-model.md."""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from clay.card import UNMEASURED
from clay.choices import Choices
from clay.entry import CHIP_SIZE, COORDINATE_ORDERS, HOURS
from clay.export import PRECISIONS, Outcome, add, base_name, export
from clay.folder import existing_manifest
from clay.mask import Mask
from clay.sensor import find_sensor, known_sensors
from clay.trial import Trial
from clay.weights import checkpoint_source, seeded_source
from clayline.errors import ClaylineError, ModelError
from clayline.model.vector import CLS, PARTS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clay.sensor import BandSet


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command. Exit status 1, with one line that says why and nothing written, where it cannot be done."""
    options = _parser().parse_args(arguments)
    try:
        outcome = _add(options) if options.command == "add" else _export(options)
    except ClaylineError as error:
        print(f"refused: {error}", file=sys.stderr)
        return 1
    for token in outcome.present:
        print(f"{token}: is there already, with the same digest")
    for token in outcome.added:
        print(f"{token}: written")
    for token in outcome.unmeasured:
        print(f"{token}: {UNMEASURED}")
    print(outcome.folder)
    return 0


def _export(options: argparse.Namespace) -> Outcome:
    if options.checkpoint is None:
        source = seeded_source(options.size or "large", options.seed or 0, loss=options.loss)
    else:
        source = checkpoint_source(options.checkpoint, options.size, loss=options.loss)
    if options.name is not None and (said := base_name(source, options.name)) != options.name:
        _say(f"the weights are random numbers, so the name is {said}, not {options.name}")
    choices = _choices(options)
    requests = [choices.request(sensor, loss=options.loss) for sensor in _sensors(options)]
    return export(
        source,
        requests,
        options.out,
        precision=options.precision,
        vector=options.vector,
        name=options.name,
        version=options.version,
        trial=Trial.of(requests, options.probe, _say),
    )


def _add(options: argparse.Namespace) -> Outcome:
    folder: Path = options.folder.resolve()
    if (manifest := existing_manifest(folder)) is None:
        raise ModelError(f"there is no folder {folder}: `python -m clay export` makes one")
    choices, requests = _choices(options), []
    for sensor in _sensors(options):
        request, inherited = choices.addition(sensor, manifest)
        if inherited:
            _say(f"{sensor.name}: as the folder's other entries: {inherited}")
        requests.append(request)
    return add(folder, requests, progress=_say)


def _say(line: str) -> None:
    print(line, flush=True)


def _sensors(options: argparse.Namespace) -> list[BandSet]:
    return [find_sensor(name) for given in options.sensor for name in (known_sensors() if given == "all" else [given])]


def _choices(options: argparse.Namespace) -> Choices:
    return Choices(
        bands=tuple(options.bands.split(",")) if options.bands else None,
        chip_size=options.chip,
        gsd=options.gsd,
        coordinate_order=options.coordinate_order,
        hour=options.hour,
        mask_ratio=options.mask_ratio,
        mask_seed=options.mask_seed,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m clay", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("export", help="a model folder from a checkpoint, or from seeded random weights")
    source = one.add_mutually_exclusive_group()
    source.add_argument("--checkpoint", type=Path, help="Lightning checkpoint or state dict (needs torch)")
    source.add_argument("--seed", type=int, help="random weights, for trying things out (default: 0)")
    one.add_argument("--size", help="tiny, small, base or large (default: the checkpoint's; large for random weights)")
    one.add_argument("--precision", choices=PRECISIONS, default="fp32")
    one.add_argument(
        "--vector",
        choices=PARTS,
        default=CLS,
        help="the class token, the mean of the patches, both, or means in 4 x 4 cells of the chip (default: cls)",
    )
    one.add_argument("--loss", action="store_true", help="also the masked reconstruction loss")
    one.add_argument(
        "--name", help="of the folder, before precision, vector and version (default: clay, clay-SIZE, untrained-SIZE)"
    )
    one.add_argument("--version", default="1.5")
    probe = (
        "GeoTIFF of real pixels, bands in an entry's order, to measure fp16 or int8 on; repeatable: each goes to the"
        " first it fits"
    )
    one.add_argument("--probe", type=Path, action="append", default=[], help=probe)
    one.add_argument("--out", type=Path, required=True, help="where the folder is written")
    another = commands.add_parser("add", help="another sensor, bands or chip size for a folder that is there; no torch")
    another.add_argument("folder", type=Path)
    for command in (one, another):
        command.add_argument(
            "--sensor", action="append", required=True, help="one of Clay's, `all`, or a YAML file; repeatable"
        )
        command.add_argument("--bands", help="comma-separated, in this order (default: all of the sensor's)")
        entries = ", or the entries'" if command is another else ""
        command.add_argument(
            "--chip", type=int, help=f"side in pixels, a multiple of 8 (default: {CHIP_SIZE}{entries})"
        )
        command.add_argument("--gsd", type=float, help=f"metres (default: the sensor's{entries})")
        command.add_argument(
            "--coordinate-order", choices=COORDINATE_ORDERS, help=f"of the input latlon (default: lonlat{entries})"
        )
        command.add_argument("--hour", choices=HOURS, help=f"in the input time (default: noon{entries})")
        hidden = f"share of patches hidden for the loss (default: {Mask().ratio}{entries})"
        command.add_argument("--mask-ratio", type=float, help=hidden)
        command.add_argument(
            "--mask-seed", type=int, help=f"of the draw of these patches (default: {Mask().seed}{entries})"
        )
    return parser


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that what is half written is removed
    sys.exit(main())
