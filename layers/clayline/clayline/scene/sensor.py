"""What a sensor is: its bands as the model knows them, and its products with what each is recognised by.

The sensors themselves are YAML files (``clayline/data/sensors``, or a user's own): ``sensor_file`` reads them, and
``recognition`` says which product a scene is of. Plain dataclasses, for the command reads names without what is slow
to load.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from fractions import Fraction
from typing import Annotated, Any, ClassVar, Literal

from annotated_types import Gt, Len, Lt

from clayline.chips.classes import Classes, Classification

MAX_PATTERN = 200
"""Characters of a regular expression in a sensor's file."""
MAX_LABEL = 256
"""Characters of an asset's key, a band's name, a platform or a file's name that are looked at."""
_NANOMETRES = 100
"""No imager sees beyond 100 micrometres; nanometres begin there."""
_WORD = r"[a-z0-9]+(?:-[a-z0-9]+)*"
_PROJ = r"\+proj=[a-z0-9_]+(?: +\+[A-Za-z0-9_]+(?:=[-+.\w]+)?)*"
_NOTHING_ELSE: dict[str, Any] = {"extra": "forbid", "allow_inf_nan": False}
"""For pydantic, which checks the YAML against these classes."""

Label = Annotated[str, Len(1, 128)]
Labels = Annotated[tuple[Label, ...], Len(0, 64)]
Token = Annotated[str, Len(0, 24)]


def _checked(pattern: re.Pattern[str]) -> None:
    if len(pattern.pattern) > MAX_PATTERN:
        msg = f"a regular expression has at most {MAX_PATTERN} characters, this one has {len(pattern.pattern)}"
        raise ValueError(msg)


@dataclass(frozen=True, kw_only=True, slots=True)
class Band:
    """One band of a sensor as its model was trained on it."""

    __pydantic_config__: ClassVar = _NOTHING_ELSE
    name: Annotated[str, Len(1, 32)]
    """As the model's entries call it: Clay's name."""
    mean: float
    """Of what the model is fed: digital numbers, or decibels."""
    std: Annotated[float, Gt(0)]
    wavelength: Annotated[float, Gt(0), Lt(_NANOMETRES)]
    """Micrometres. (Clay's stand-ins for radar: 3.5 for VV, 4.0 for VH.)"""
    common_names: Labels = ()
    """What ``eo:common_name`` may say of it."""
    aliases: Labels = ()
    """What assets and files call it in every product of the sensor."""

    def __post_init__(self) -> None:
        """Check the name. Raises ValueError."""
        if not re.fullmatch(r"[a-z0-9_]+", self.name):
            msg = f"a band is named with a-z, 0-9 and _, not {self.name!r}"
            raise ValueError(msg)


@dataclass(frozen=True, kw_only=True, slots=True)
class Platform:
    """A platform that flies the instrument, and what identifiers call it."""

    __pydantic_config__: ClassVar = _NOTHING_ELSE
    pattern: re.Pattern[str]
    """Searched in the platform, else in the id or the file's name; the empty one matches anything."""
    token: Annotated[str, Len(1, 24)]
    """First part of the identifier's instrument."""
    since: date | None = None
    """Its launch: nothing was taken before. None: not known."""
    until: date | None = None
    """When it took the last image. None: it flies, or it is not known."""
    trained: bool = True
    """Whether the sensor's statistics, and so a model that was trained on it, hold for this platform."""

    def __post_init__(self) -> None:
        """Check pattern and token. Raises ValueError."""
        _checked(self.pattern)
        if not re.fullmatch(_WORD, self.token):
            msg = f"a platform's token is of a-z and 0-9, with - between, not {self.token!r}"
            raise ValueError(msg)
        if self.since and self.until and self.since > self.until:
            msg = f"platform {self.token}: it ends {self.until}, before it begins {self.since}"
            raise ValueError(msg)

    def flew(self, first: date, last: date) -> bool:
        """Say whether it may have taken something between two days, both included."""
        return (self.since is None or last >= self.since) and (self.until is None or first <= self.until)


@dataclass(frozen=True, kw_only=True, slots=True)
class Mask:
    """A mask of the product: what it is called, and which of its classes hide the ground."""

    __pydantic_config__: ClassVar = _NOTHING_ELSE
    name: Annotated[str, Len(1, 32)]
    """What outputs call it."""
    names: Annotated[tuple[Label, ...], Len(1, 16)]
    """What assets and bands call it, without extension and pixel size; whatever their capitals."""
    cloud: Annotated[tuple[Classes, ...], Len(1, 64)]
    """Cloud, its shadow, and what else hides the ground; not what is only near a cloud."""
    clear: Annotated[tuple[Classes, ...], Len(0, 64)] = ()
    """If any are given, a number that is neither cloud nor clear says nothing."""
    unknown: Annotated[tuple[Classes, ...], Len(0, 64)] = ()
    """Numbers that say nothing, whatever else they say: fill."""

    @property
    def classification(self) -> Classification:
        """What its numbers mean."""
        return Classification(cloud=self.cloud, clear=self.clear, unknown=self.unknown)


@dataclass(frozen=True, kw_only=True, slots=True)
class Numbers:
    """A product's numbers: quantity = scale x number + offset."""

    __pydantic_config__: ClassVar = _NOTHING_ELSE
    types: Annotated[tuple[Literal["uint8", "uint16", "int16", "float32"], ...], Len(1, 4)]
    """numpy's names of what the product's files hold."""
    quantity: Literal["reflectance", "power", "digital"]
    """``power``: linear; ``digital``: without a physical meaning that a scale could lead to."""
    scale: Annotated[float, Gt(0)] = 1.0
    offset: float = 0.0
    model_scale: Annotated[float, Gt(0)] | None = None
    """Of what the sensor's statistics, and so the model, are in; None: the product's own."""
    model_offset: float | None = None

    @property
    def own(self) -> tuple[Fraction, Fraction]:
        """Scale and offset of the product's numbers, as their decimals say."""
        return Fraction(repr(float(self.scale))), Fraction(repr(float(self.offset)))

    @property
    def model(self) -> tuple[Fraction, Fraction]:
        """Scale and offset of the model's."""
        scale, offset = self.own
        return (
            scale if self.model_scale is None else Fraction(repr(float(self.model_scale))),
            offset if self.model_offset is None else Fraction(repr(float(self.model_offset))),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Product:
    """A family of products of one sensor: what it is recognised by and what its assets are called."""

    __pydantic_config__: ClassVar = _NOTHING_ELSE
    name: Annotated[str, Len(1, 64)]
    """Of this family; no two have the same."""
    collections: Labels
    """STAC collection ids."""
    file_names: Annotated[tuple[re.Pattern[str], ...], Len(0, 16)] = ()
    """Each matches file names of products that come without an Item, and ids."""
    first_date: bool = False
    """Of several dates in a name of that form, the first is when it was taken."""
    instrument: Token = ""
    """Middle part of the identifier's instrument token."""
    instruments: Labels = ()
    """What an Item's ``instruments`` may say; if it says none of them, it is another product. Empty: anything."""
    level: Token = ""
    """Last part of the token."""
    platforms: Annotated[tuple[Platform, ...], Len(1, 32)]
    """The first that matches counts; the last one's pattern is empty and matches anything."""
    names: Mapping[str, Labels] = field(default_factory=dict)
    """By band, what assets and files of this product call it beside the band's own names and aliases."""
    others: Labels = ()
    """What assets are called that are no bands of the sensor: nobody need be told that they were not recognised."""
    assets: re.Pattern[str] | None = None
    """Matches the keys of the assets that hold the product, where others hold the same bands otherwise processed."""
    file_order: Annotated[tuple[str, ...], Len(0, 64)] = ()
    """Bands in a file that names none, where the product defines that."""
    nodata: Annotated[tuple[float, ...], Len(0, 8)] = ()
    """What untagged files use."""
    projection: Annotated[str, Len(1, 256)] | None = None
    """The projection that the product itself defines, as PROJ writes it: in it, pixels are right in whatever shape they
    have on the ground. None: pixels must be square there."""
    tiling: Literal["mgrs"] | None = None
    """``mgrs``: cut to the MGRS grid, so that its chips may get ``window`` identifiers."""
    boa: bool = False
    """Has the BOA offset question (radiometry)."""
    masks: Annotated[tuple[Mask, ...], Len(0, 8)] = ()
    """Masks that say where clouds are, the best first; the sensor's, if it has none of its own."""
    numbers: Numbers | None = None
    """None: its files are believed, if the model takes their type."""
    sensor: str = field(init=False, default="")
    """Of which this is a product; set by it."""
    bands: tuple[Band, ...] = field(init=False, default=())
    """The sensor's; set by it."""

    def __post_init__(self) -> None:
        """Check tokens, patterns and the last platform. Raises ValueError."""
        for pattern in (*self.file_names, *((self.assets,) if self.assets else ())):
            _checked(pattern)
        for part in filter(None, (self.instrument, self.level)):
            if not re.fullmatch(_WORD, part):
                msg = f"instrument and level are of a-z and 0-9, with - between, not {part!r}"
                raise ValueError(msg)
        if self.projection and not re.fullmatch(_PROJ, self.projection):
            msg = f"a projection is written as PROJ does, +proj=... +..., not {self.projection!r}"
            raise ValueError(msg)
        if self.platforms and self.platforms[-1].pattern.pattern:
            msg = f"product {self.name}: the last platform's pattern is '', for platforms that nobody thought of"
            raise ValueError(msg)

    def names_file(self, name: str) -> bool:
        """Say whether a file's name, or an id, has the form of this product's."""
        return any(pattern.search(name[:MAX_LABEL]) for pattern in self.file_names)

    def band(self, name: str) -> str | None:
        """Translate an asset key or a band's name; None if it is no band of this sensor."""
        if name.lower() in self.band_names:
            return name.lower()
        label = re.sub(r"\.TIFF?\Z", "", name[:MAX_LABEL].upper())
        return self.aliases.get(label) or self.aliases.get(re.sub(r"_[0-9]{1,4}M\Z", "", label))  # CDSE's B02_10m

    @property
    def aliases(self) -> Mapping[str, str]:
        """Asset key or band name, upper case without extension, to Clay's band name."""
        found = {alias.upper(): band.name for band in self.bands for alias in band.aliases}
        return found | {label.upper(): band for band, labels in self.names.items() for label in labels}

    @property
    def band_names(self) -> frozenset[str]:
        """Clay's names of the sensor's bands."""
        return frozenset(band.name for band in self.bands)

    @property
    def mgrs_tiled(self) -> bool:
        """Whether it is cut to the MGRS grid."""
        return self.tiling == "mgrs"

    def known_platform(self, text: str) -> Platform | None:
        """Give the platform that a text names; None if only the last one, which takes anything, would."""
        found = self.platform(text)
        return found if found.pattern.pattern else None

    def platform(self, text: str) -> Platform:
        """Give the platform that a text names."""
        return next(known for known in self.platforms if known.pattern.search(text[:MAX_LABEL]))

    def instrument_token(self, platform: str) -> str:
        """Give the identifier's instrument, e.g. ``s2a-msi-l2a``.

        An unknown platform gives the family, ``s2-msi-l2a``.
        """
        return self._token(self.platform(platform))

    @property
    def family(self) -> str:
        """What instruments of all its platforms are together: the token of an unknown platform."""
        return self._token(self.platforms[-1])

    @property
    def instrument_tokens(self) -> frozenset[str]:
        """Every instrument that an identifier of this product may have."""
        return frozenset(map(self._token, self.platforms))

    def _token(self, platform: Platform) -> str:
        return "-".join(part for part in (platform.token, self.instrument, self.level) if part)


@dataclass(frozen=True, kw_only=True, slots=True)
class Sensor:
    """A sensor under the name that the model's entries give it."""

    __pydantic_config__: ClassVar = _NOTHING_ELSE
    sensor: Annotated[str, Len(1, 64)]
    """Its name: Clay's, or a user's own."""
    gsd: Annotated[float, Gt(0)]
    """Metres."""
    bands: Annotated[tuple[Band, ...], Len(1, 64)]
    """In the model's order."""
    products: Annotated[tuple[Product, ...], Len(0, 16)] = ()
    masks: Annotated[tuple[Mask, ...], Len(0, 8)] = ()
    """Of all products that have none of their own."""

    def __post_init__(self) -> None:
        """Give the products their bands, and check that every name leads to one band. Raises ValueError."""
        if not re.fullmatch(r"[A-Za-z0-9]+(-[A-Za-z0-9]+)*", self.sensor):
            msg = f"a sensor is named with letters, digits and - between, not {self.sensor!r}"
            raise ValueError(msg)
        names = [band.name for band in self.bands]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            msg = f"band {', '.join(twice)} is described twice"
            raise ValueError(msg)
        for product in self.products:
            object.__setattr__(product, "sensor", self.sensor)  # as it is made: nobody has seen it yet
            object.__setattr__(product, "bands", self.bands)
            object.__setattr__(product, "masks", product.masks or self.masks)
            _check_names(product)

    @property
    def name(self) -> str:
        """Its name."""
        return self.sensor


def _check_names(product: Product) -> None:
    """Refuse names of no band, and one name for two bands."""
    if unknown := sorted({*product.names, *product.file_order} - product.band_names):
        msg = f"product {product.name} names {', '.join(unknown)}, which is no band of the sensor"
        raise ValueError(msg)
    claims: dict[str, str] = {band.name.upper(): band.name for band in product.bands}
    own = [(alias, band.name) for band in product.bands for alias in band.aliases]
    for alias, band in (*own, *((label, name) for name, labels in product.names.items() for label in labels)):
        if claims.setdefault(alias.upper(), band) != band:
            msg = f"product {product.name}: {alias!r} is a name of {claims[alias.upper()]} and of {band}"
            raise ValueError(msg)
