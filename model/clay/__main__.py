"""`python -m clay export` and `python -m clay add`: see docs/model.md."""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from clay.entry import CHIP_SIZE, COORDINATE_ORDERS, HOURS, Request
from clay.export import PRECISIONS, Outcome, add, export
from clay.mask import Mask
from clay.sensor import find_sensor, known_sensors
from clay.trial import Trial
from clay.weights import checkpoint_source, seeded_source
from clayline.errors import ClaylineError

if TYPE_CHECKING:
    from collections.abc import Sequence


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
    print(outcome.folder)
    return 0


def _export(options: argparse.Namespace) -> Outcome:
    if options.checkpoint is None:
        source = seeded_source(options.size or "large", options.seed or 0, loss=options.loss)
    else:
        source = checkpoint_source(options.checkpoint, options.size, loss=options.loss)
    requests = _requests(options, loss=options.loss)
    return export(
        source,
        requests,
        options.out,
        precision=options.precision,
        name=options.name,
        version=options.version,
        trial=Trial.of(requests, options.probe, _say),
    )


def _add(options: argparse.Namespace) -> Outcome:
    return add(options.folder, _requests(options, loss=True), progress=_say)


def _say(line: str) -> None:
    print(line, flush=True)


def _requests(options: argparse.Namespace, *, loss: bool) -> list[Request]:
    names = [name for given in options.sensor for name in (known_sensors() if given == "all" else [given])]
    mask = Mask(ratio=options.mask_ratio, seed=options.mask_seed)
    return [
        Request(
            sensor=find_sensor(name),
            bands=tuple(options.bands.split(",")) if options.bands else None,
            chip_size=options.chip,
            gsd=options.gsd,
            mask=mask if loss else None,
            coordinate_order=options.coordinate_order,
            hour=options.hour,
        )
        for name in names
    ]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m clay", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("export", help="a model folder from a checkpoint, or from seeded random weights")
    source = one.add_mutually_exclusive_group()
    source.add_argument("--checkpoint", type=Path, help="Lightning checkpoint or state dict (needs torch)")
    source.add_argument("--seed", type=int, help="random weights, for trying things out (default: 0)")
    one.add_argument("--size", help="tiny, small, base or large (default: the checkpoint's; large for random weights)")
    one.add_argument("--precision", choices=PRECISIONS, default="fp32")
    one.add_argument("--loss", action="store_true", help="also the masked reconstruction loss")
    one.add_argument("--name", help="of the folder, before precision and version (default: clay, clay-SIZE, clay-untrained...)")
    one.add_argument("--version", default="1.5")
    one.add_argument("--probe", type=Path, help="GeoTIFF of real pixels, bands in the entry's order, to measure fp16 or int8 on")
    one.add_argument("--out", type=Path, required=True, help="where the folder is written")
    another = commands.add_parser("add", help="another sensor, bands or chip size for a folder that is there; no torch")
    another.add_argument("folder", type=Path)
    for command in (one, another):
        command.add_argument("--sensor", action="append", required=True, help="one of Clay's, `all`, or a YAML file; repeatable")
        command.add_argument("--bands", help="comma-separated, in this order (default: all of the sensor's)")
        command.add_argument("--chip", type=int, default=CHIP_SIZE, help="side in pixels, a multiple of 8")
        command.add_argument("--gsd", type=float, help="metres (default: the sensor's)")
        command.add_argument("--coordinate-order", choices=COORDINATE_ORDERS, default="lonlat")
        command.add_argument("--hour", choices=HOURS, default="noon")
        command.add_argument("--mask-ratio", type=float, default=Mask().ratio, help="share of patches hidden for the loss")
        command.add_argument("--mask-seed", type=int, default=Mask().seed)
    return parser


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that what is half written is removed
    sys.exit(main())
