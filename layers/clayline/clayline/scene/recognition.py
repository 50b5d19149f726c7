"""Which product a scene is of, and why: by collection or file name, then by platform, instruments and id together."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from clayline.errors import SceneError
from clayline.place import Option
from clayline.scene.sensor import Product, Sensor

_MOST_TOLD = 12
"""Products that a message lists."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Evidence:
    """What a scene says of the product that it is of."""

    scene: str
    """For messages."""
    collection: str | None = None
    sensor: str | None = None
    """Of the object's metadata: a sensor's name, or a product's."""
    platform: str | None = None
    instruments: tuple[str, ...] = ()
    name: str
    """The Item's id, or the file's name."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What speaks for one product, and what against it."""

    product: Product
    matched: tuple[str, ...]
    against: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Known:
    """The sensors that come with the package, and a user's own."""

    sensors: Mapping[str, Sensor]
    """By name."""
    digests: Mapping[str, str]
    """Of the files of the user's own, ``sha256:...``, by the sensor's name."""

    @property
    def products(self) -> tuple[Product, ...]:
        """All products."""
        return tuple(product for sensor in self.sensors.values() for product in sensor.products)


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


def of_file_name(name: str) -> Product | None:
    """Find the product that a file's name declares; None if it declares none, or several."""
    found = [product for product in products() if product.names_file(name)]
    return found[0] if len(found) == 1 else None


def of_sensor(sensor: str) -> Product | None:
    """Find the product of a name given outright (object metadata ``sensor``): a product's, or a sensor's first."""
    return next(
        (product for product in products() if product.name == sensor),
        next((product for product in products() if product.sensor == sensor), None),
    )


def known(among: tuple[Product, ...] | None = None) -> str:
    """Say which collections are recognised, for error messages."""
    listed: dict[str, list[str]] = {}
    for product in products() if among is None else among:
        collections = listed.setdefault(product.sensor, [])
        collections.extend(name for name in product.collections if name not in collections)
    return "; ".join(f"{sensor}: {', '.join(collections)}" for sensor, collections in listed.items() if collections)


def judge(evidence: Evidence, among: tuple[Product, ...]) -> tuple[Verdict, ...]:
    """Say of each product that the collection, the file's name or the sensor given outright leads to what speaks for it
    and against it.
    """
    led = [(product, why) for product in among if (why := _led_to(product, evidence))]
    told = evidence.platform or evidence.name
    what = "platform" if evidence.platform else "name"
    flying = [product for product, _ in led if product.known_platform(told)]
    elsewhere = [product for product in among if evidence.platform and product.known_platform(evidence.platform)]
    named = [product for product, _ in led if product.names_file(evidence.name)]
    if not (named or evidence.sensor or evidence.platform):  # as LE07_L2SP_... in a collection of Landsat 8
        named = [p for p in among if p.names_file(evidence.name) and p.known_platform(evidence.name)]
    verdicts = []
    for product, why in led:
        matched, against = [why], list[str]()
        if product in flying:
            matched.append(f"{what} {told!r}")
        elif flying or elsewhere:
            others = " ".join(sorted({other.name for other in flying or elsewhere}))
            against.append(f"{what} {told!r} is one of {others}")
        declared = {text.lower() for text in evidence.instruments}
        if declared and product.instruments:
            listed = ", ".join(sorted(declared))
            if declared & {text.lower() for text in product.instruments}:
                matched.append(f"instruments {listed}")
            else:
                against.append(f"instruments {listed} are not {', '.join(product.instruments)}")
        if product in named:
            matched.append(f"the form of the name {evidence.name!r}")
        elif named:
            against.append(f"the name {evidence.name!r} has the form of {' '.join(sorted(p.name for p in named))}")
        verdicts.append(Verdict(product=product, matched=tuple(matched), against=tuple(against)))
    return tuple(verdicts)


def recognise(evidence: Evidence, among: tuple[Product, ...] | None = None) -> Product:
    """Give the one product that everything speaks for.

    A sensor that was named outright, with nothing to tell its products apart, is its first product.

    Raises SceneError: ``unknown-product`` if nothing leads to one, ``ambiguous-sensor`` if more than one fits equally
    or what is said of one contradicts itself.
    """
    verdicts = judge(evidence, products() if among is None else among)
    fitting = [verdict for verdict in verdicts if not verdict.against]
    most = max((len(verdict.matched) for verdict in fitting), default=0)
    best = [verdict for verdict in fitting if len(verdict.matched) == most]
    if len(best) == 1 or (best and evidence.sensor and len({verdict.product.sensor for verdict in best}) == 1):
        return best[0].product
    if not verdicts:
        raise SceneError(_nothing(evidence, among), reason="unknown-product")
    names = ", ".join(verdict.product.name for verdict in (best or verdicts)[:_MOST_TOLD])
    if best:
        msg = (
            f"scene {evidence.scene}: it may be of {names}, and nothing tells which. Say platform and instruments in"
            f" the Item, or name one of them as {Option.SENSOR} of a GeoTIFF."
        )
    else:
        reasons = "; ".join(f"{v.product.name}: {', '.join(v.against)}" for v in verdicts[:_MOST_TOLD])
        msg = (
            f"scene {evidence.scene}: what it says of its sensor fits none of {names}. {reasons}. Correct collection,"
            f" platform, instruments or id of the Item, or {Option.SENSOR} or name of the GeoTIFF."
        )
    raise SceneError(msg, reason="ambiguous-sensor")


def _led_to(product: Product, evidence: Evidence) -> str | None:
    """Say what leads to a product; None if nothing does."""
    if evidence.sensor:
        outright = evidence.sensor in {product.name, product.sensor}
        return f"sensor {evidence.sensor!r}, named outright" if outright else None
    if evidence.collection is not None:
        return f"collection {evidence.collection!r}" if evidence.collection in product.collections else None
    return f"file name {evidence.name!r}" if product.names_file(evidence.name) else None


def _nothing(evidence: Evidence, among: tuple[Product, ...] | None) -> str:
    if evidence.collection is not None:
        return (
            f"scene {evidence.scene}: collection {evidence.collection!r} is not known. Known are {known(among)}."
            f" Correct the Item, or give {Option.SENSORS}."
        )
    given = f" ({evidence.sensor!r})" if evidence.sensor else ""
    listed = ", ".join(dict.fromkeys(product.sensor for product in (products() if among is None else among)))
    return (
        f"scene {evidence.scene}: neither {Option.SENSOR}{given} nor its file name says which sensor it is from. "
        f"Set {Option.SENSOR} to one of {listed}, or give {Option.SENSORS}."
    )
