"""``clayline sensors``: which sensors are known, why a scene is taken for one, whether a sensor's file is right."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from clayline.errors import shown
from clayline.place import Place
from clayline_cli import arguments
from clayline_cli.call import Call, Commands, command_parser
from clayline_cli.console import Console
from clayline_cli.errors import CommandError

if TYPE_CHECKING:  # loaded as the command runs: help need not wait for pydantic
    from clayline.scene.sensor import Product, Sensor

DESCRIPTION: Final = """\
List the sensors whose scenes are recognised, with their products; tell why a scene is taken for one of them, and why
for no other; check the files of sensors (docs/how-to/add-a-sensor.md). Nothing is embedded, no pixels are read.
"""


_GEOTIFF: Final = (".tif", ".tiff")
"""Endings of names that are judged as they are: there need not be such a file."""


def add(commands: Commands) -> None:
    """Put the command on the program's parser."""
    parser = command_parser(commands, "sensors", summary="list, explain and check sensors", description=DESCRIPTION)
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--why",
        metavar="SCENE",
        help="a STAC Item on this machine, or a GeoTIFF's name: which product it is of, and why",
    )
    what.add_argument(
        "--validate", type=Path, metavar="PATH", help="a sensor's YAML file, or a folder of them: check each"
    )
    parser.add_argument(
        "--sensors", type=arguments.folder, metavar="DIR", help="with the sensors of the YAML files in this folder"
    )
    parser.set_defaults(call=_call)


def _call(found: argparse.Namespace) -> Call:
    def run(console: Console) -> int:
        if found.validate is not None:
            return _validate(found.validate, console)
        known = _known(found.sensors)
        return _list(known) if found.why is None else _why(found.why, known)

    return Call(run=run, quiet=False, stopped="Nothing was written.")


def _files(path: Path) -> list[Path]:
    files = sorted(path.glob("*.yaml")) if path.is_dir() else [path]
    if not files:
        raise CommandError(f"{path} holds no .yaml file. Give a sensor's file, or a folder of them.")
    return files


def _known(folder: Path | None) -> "dict[str, Sensor]":
    """Give the sensors that come with the package and those of the folder. Raises SensorFileError, CommandError."""
    from clayline.scene.sensor_file import known_with  # noqa: PLC0415 - see above

    files = _files(folder) if folder else []
    return dict(known_with({str(file): file.read_bytes() for file in files}).sensors)


def _list(known: "dict[str, Sensor]") -> int:
    for sensor in known.values():
        _say(f"{sensor.name}   {sensor.gsd:g} m   {' '.join(band.name for band in sensor.bands)}")
        for product in sensor.products:
            trained = all(platform.trained for platform in product.platforms)
            _say(f"  {product.name}{'' if trained else '   not trained on: --untrained-sensors'}")
            _say(f"    collections: {', '.join(product.collections) or 'none'}")
            for pattern in product.file_names:
                _say(f"    file names: {pattern.pattern}")
    return 0


def _validate(path: Path, console: Console) -> int:
    from clayline.errors import SensorFileError  # noqa: PLC0415 - see above
    from clayline.scene.sensor_file import read_sensor  # noqa: PLC0415 - see above

    wrong = 0
    for file in _files(path):
        try:
            sensor = read_sensor(file.read_bytes(), source=str(file))
            _say(f"{file}: {sensor.name}, {len(sensor.bands)} bands, {len(sensor.products)} products")
        except SensorFileError as error:
            wrong += 1
            console.error(str(error))
    return 1 if wrong else 0


def _why(scene: str, known: "dict[str, Sensor]") -> int:
    from clayline.errors import SceneError  # noqa: PLC0415 - see above
    from clayline.scene.item import evidence_of  # noqa: PLC0415 - see above
    from clayline.scene.recognition import Evidence, judge, recognise  # noqa: PLC0415 - see above

    products = tuple(product for sensor in known.values() for product in sensor.products)
    content = None if scene.lower().endswith(_GEOTIFF) else _item(Path(scene))
    said = evidence_of(content) if content else Evidence(scene=scene, name=Path(scene).name)
    for verdict in judge(said, products):
        _say(f"{verdict.product.name} ({verdict.product.sensor})")
        for words in verdict.matched:
            _say(f"  for      {words}")
        for words in verdict.against:
            _say(f"  against  {words}")
    try:
        product = recognise(said, products)
        _say(f"taken for {product.name}")
        if content:
            _bands(content, product)
    except SceneError as error:
        _say(f"refused: {error.reason}\n  {error.at(Place.CLI)}")
        return 1
    return 0


def _item(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise CommandError(f"there is no file {path}. Give a STAC Item on this machine, or a GeoTIFF's name.")
    try:
        content = json.loads(path.read_bytes())
    except ValueError as error:
        raise CommandError(f"{path}: not valid JSON ({error}). Give a STAC Item.") from error
    if not isinstance(content, dict) or not isinstance(content.get("assets"), dict):
        raise CommandError(f"{path}: no STAC Item. Give one.")
    return content


def _bands(content: dict[str, Any], product: "Product") -> None:
    from clayline.scene.bands import find_bands, known_names  # noqa: PLC0415 - see above

    masks = frozenset(mask.name for mask in product.masks)
    found = find_bands(content["assets"], product, masks=masks, scene=str(content.get("id")))
    for band in product.bands:
        for each in found.candidates.get(band.name, ()):
            size = f", {each.gsd:g} m" if each.gsd else ""
            _say(f"  {band.name:<14} asset {each.key!r}, band {each.number}{size}")
        if band.name not in found.candidates:
            _say(f"  {band.name:<14} not found")
    for key in found.unrecognised:
        _say(f"  not recognised: asset {key!r}")
    _say(f"  known names: {known_names(product)}")


def _say(text: str) -> None:
    """Print what an Item or a file may have said."""
    print(shown(text))
