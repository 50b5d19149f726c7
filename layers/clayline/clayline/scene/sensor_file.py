"""Sensors as YAML files: one file a sensor, checked against ``sensor``'s classes, a problem named by file and field."""

import hashlib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

import yaml
from pydantic import TypeAdapter, ValidationError

from clayline.errors import SensorFileError
from clayline.scene.recognition import Known
from clayline.scene.sensor import Sensor

MAX_BYTES = 200_000
"""Of a sensor's file."""
_MOST_PROBLEMS = 8
"""Of one file, that are told at once."""
_SafeLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the C one is ten times faster, and not everywhere


class _Loader(_SafeLoader):  # type: ignore[misc]  # which it is, is known at run time
    """Safe YAML in which a key that stands twice is an error: the last one would win without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002 - PyYAML's signature
        keys = [key.value for key, _ in node.value]
        if twice := sorted({str(key) for key in keys if keys.count(key) > 1}):
            raise yaml.constructor.ConstructorError(None, None, f"{', '.join(twice)} is given twice", node.start_mark)
        mapping: dict[Any, Any] = super().construct_mapping(node, deep=deep)
        return mapping


@cache
def built_in() -> dict[str, Sensor]:
    """Give the sensors that come with the package by name, read once from its ``data/sensors``."""
    folder = files("clayline") / "data" / "sensors"
    texts = {file.name: file.read_bytes() for file in folder.iterdir() if file.name.endswith(".yaml")}
    found = [read_sensor(texts[name], source=name) for name in sorted(texts)]
    return {sensor.name: sensor for sensor in found}


def read_sensor(text: bytes, *, source: str) -> Sensor:
    """Read a sensor's file; ``source`` names it in errors. Raises SensorFileError."""
    if len(text) > MAX_BYTES:
        msg = f"sensor file {source}: {len(text)} bytes are over the {MAX_BYTES} that one may have. Make it smaller."
        raise SensorFileError(msg)
    try:
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, Loader=_Loader)):
            msg = f"sensor file {source}: it repeats a part by an alias (*). Write it out."
            raise SensorFileError(msg)
        content = yaml.load(text, Loader=_Loader)  # noqa: S506 - a safe one
    except (yaml.YAMLError, UnicodeError, ValueError, RecursionError) as error:
        problem = " ".join(str(error).split())
        msg = f"sensor file {source}: no YAML ({problem}). Correct it."
        raise SensorFileError(msg) from error
    try:
        return _schema().validate_python(content)
    except ValidationError as error:
        problems = [f"{_place(item['loc'])}: {_said(item['msg'])}" for item in error.errors(include_url=False)]
        more = f"; and {len(problems) - _MOST_PROBLEMS} more" if len(problems) > _MOST_PROBLEMS else ""
        told = "; ".join(problems[:_MOST_PROBLEMS]) + more
        msg = f"sensor file {source}: {told}. docs/how-to/add-a-sensor.md has every field."
        raise SensorFileError(msg) from error


def known_with(files: Mapping[str, bytes]) -> Known:
    """Give the sensors that come with the package and those of a user's files, by name of file.

    Raises SensorFileError, also for a name that another sensor or product has.
    """
    known, digests = dict(built_in()), dict[str, str]()
    for source, text in files.items():
        sensor = read_sensor(text, source=source)
        taken = {*known, *(product.name for each in known.values() for product in each.products)}
        if twice := sorted(taken & {sensor.name, *(product.name for product in sensor.products)}):
            msg = f"sensor file {source}: {', '.join(twice)} is the name of another sensor or product. Give it its own."
            raise SensorFileError(msg)
        known[sensor.name] = sensor
        digests[sensor.name] = f"sha256:{hashlib.sha256(text).hexdigest()}"
    return Known(sensors=known, digests=digests)


@cache
def _schema() -> TypeAdapter[Sensor]:
    return TypeAdapter(Sensor)


def _place(parts: tuple[int | str, ...]) -> str:
    return ".".join(map(str, parts)) or "the file"


def _said(message: str) -> str:
    return message.removeprefix("Value error, ")
