"""Which product a scene is of, by its collection, its file's name, or a sensor named outright."""

from collections.abc import Mapping
from functools import cache
from importlib.resources import files

from clayline.scene.sensor import MAX_LABEL, Product, Sensor


def sensor_names() -> tuple[str, ...]:
    """Give the names of the sensors that come with the package: without reading their files."""
    folder = files("clayline") / "data" / "sensors"
    return tuple(sorted(file.name.removesuffix(".yaml") for file in folder.iterdir() if file.name.endswith(".yaml")))


def sensors() -> Mapping[str, Sensor]:
    """Give the sensors that come with the package."""
    from clayline.scene.sensor_file import built_in  # noqa: PLC0415 - the command's help need not wait for pydantic

    return built_in()


@cache
def products() -> tuple[Product, ...]:
    """Give all their products."""
    return tuple(product for sensor in sensors().values() for product in sensor.products)


def of_collection(collection: str | None) -> Product | None:
    """Find the product family of a STAC collection."""
    return next((product for product in products() if collection in product.collections), None)


def of_file_name(name: str) -> Product | None:
    """Find the product family that a file's name declares."""
    given = name[:MAX_LABEL]
    return next((found for found in products() if any(pattern.search(given) for pattern in found.file_names)), None)


def of_sensor(sensor: str) -> Product | None:
    """Find the product family of a sensor named outright (object metadata ``sensor``)."""
    return next((product for product in products() if product.sensor == sensor), None)


def known() -> str:
    """Say which collections are recognised, for error messages."""
    return "; ".join(f"{product.sensor}: {', '.join(product.collections)}" for product in products())
