"""One entry of a model folder.

What was asked for, the token that says so, the graphs of its sensor, its lines in the manifest.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from clay import trunk
from clay.architecture import PATCH, Architecture
from clay.hyper_network import embedding_of
from clay.sensor import known_sensors
from clay.stem import Stem
from clayline.errors import ModelError
from clayline.model.vector import CLS, GRID, PARTS

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from clay.mask import Mask
    from clay.sensor import BandSet
    from clayline.model.vector import Vector

CHIP_SIZE: Final = 256
LARGEST_CHIP: Final = 2048
TOKEN_LIMIT: Final = 48
BANDS_LIMIT: Final = 12
"""Characters of a token's suffix for bands; a longer one becomes a hash."""
PREPROCESSING: Final = "1"
"""What plan and tile do between a file's pixels and ``pixels``: the same for every model, so the starter's number."""
COORDINATE_ORDERS: Final = {"lonlat": "", "latlon": "latlon", "all-zero": "noplace"}
"""Of ``latlon``, with what each adds to the token. The weights were trained on lonlat."""
HOURS: Final = {"noon": "", "acquisition": "hour", "all-zero": "notime"}
"""Fed in ``time``, with what each adds to the token. The weights were trained on noon."""
_LETTERS: Final = {"red": "r", "green": "g", "blue": "b", "nir": "n", "rededge": "re"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """One entry as it was asked for."""

    sensor: BandSet
    """With all its bands and its own GSD."""
    bands: tuple[str, ...] | None = None
    """Names, in the order of the channel axis; None: all of the sensor's."""
    chip_size: int = CHIP_SIZE
    gsd: float | None = None
    """Metres; None: the sensor's."""
    mask: Mask | None = None
    """Under which the loss is measured; None: no loss."""
    coordinate_order: str = "lonlat"
    hour: str = "noon"

    def __post_init__(self) -> None:
        """Refuse what no graph can be made for. Raises ModelError."""
        if self.chip_size % PATCH or not PATCH <= self.chip_size <= LARGEST_CHIP:
            raise ModelError(
                f"chips of {self.chip_size} px: the side must be a multiple of {PATCH}, at most {LARGEST_CHIP}"
            )
        if self.gsd is not None and not 0 < self.gsd < 10**6:
            raise ModelError(f"a ground sampling distance of {self.gsd} m cannot be: give metres")
        if self.mask is not None and not all(map(len, self.mask.split((self.chip_size // PATCH) ** 2))):
            raise ModelError(
                f"a mask ratio of {self.mask.ratio} hides all of a chip's patches or none: give one between 0 and 1"
            )
        for known in known_sensors().values():
            if known.slug == self.sensor.slug and known != self.sensor:
                raise ModelError(
                    f"the slug {known.slug} in tokens means {known.name} as Clay knows it: give your sensor another"
                    " slug"
                )

    @property
    def selected(self) -> BandSet:
        """What the graphs are made for. Raises ModelError for a band that the sensor lacks."""
        chosen = self.sensor if self.bands is None else self.sensor.select(self.bands)
        return chosen if self.gsd is None else chosen.model_copy(update={"gsd": self.gsd})

    def token(self, folder: str) -> str:
        """Give the token: the folder's name (which tells weights, precision, loss and vector), the sensor, and every
        choice but the usual one.

        Where it would be longer than an identifier allows, six digits of a hash stand for the choices. Raises
        ModelError where that is too long as well.
        """
        parts: list[str] = []
        if self.chip_size != CHIP_SIZE:
            parts.append(f"c{self.chip_size}")
        if self.selected.names != self.sensor.names:
            parts.append(_initials(self.selected.names, self.sensor.names))
        if self.selected.gsd != self.sensor.gsd:
            parts.append(f"g{_digits(self.selected.gsd)}")
        parts += [COORDINATE_ORDERS[self.coordinate_order], HOURS[self.hour]]
        if self.mask is not None:
            parts += self.mask.suffixes
        choices = "-".join(part for part in parts if part)
        token = "-".join(part for part in (folder, self.sensor.slug, choices) if part)
        if len(token) > TOKEN_LIMIT and choices:
            token = f"{folder}-{self.sensor.slug}-{hashlib.sha256(choices.encode()).hexdigest()[:6]}"
        if len(token) > TOKEN_LIMIT:
            raise ModelError(
                f"the token {token} has {len(token)} characters, {TOKEN_LIMIT} are allowed: export with a shorter"
                " --name"
            )
        return token


@dataclass(frozen=True, kw_only=True, slots=True)
class Base:
    """What a folder's entries share, as far as a new one needs to know it."""

    folder: str
    """``{name}-v{version}``."""
    architecture: Architecture
    precision: str
    """fp32, fp16 or int8."""
    vector: Vector = CLS
    """What of the trunk's tokens the embedding is made from."""

    def check(self, requests: Iterable[Request]) -> None:
        """Refuse chips that the vector cannot be made of. Raises ModelError."""
        side = GRID * PATCH
        for request in requests:
            if self.vector == "grid4" and request.chip_size % side:
                raise ModelError(
                    f"a chip of {request.chip_size} px has no {GRID} x {GRID} cells of whole patches: give a multiple"
                    f" of {side} px, or another --vector"
                )

    @property
    def dimensions(self) -> int:
        """Length of an embedding."""
        return self.architecture.encoder.dim * PARTS[self.vector]

    @property
    def tokens(self) -> str:
        """Element type in which the trunk takes tokens."""
        return "float16" if self.precision == "fp16" else "float32"


def write_entry(path: Path, hyper: Path, base: Base, request: Request) -> dict[str, Any]:
    """Write the request's graphs to ``path`` from the hyper-network in the file ``hyper``.

    Give its manifest entry but for the digest.

    Raises ModelError where one has a loss and the other has none.
    """
    bands, token = request.selected, request.token(base.folder)
    embedding = embedding_of(hyper, bands.wavelengths)
    if (embedding.pixels_out is None) != (request.mask is None):
        raise ModelError(
            f"entries of {base.folder} have {'no' if embedding.pixels_out is None else 'a'} loss: ask for the same"
        )
    stem = Stem(
        architecture=base.architecture,
        bands=bands,
        chip_size=request.chip_size,
        embedding=embedding,
        tokens=base.tokens,
        mask=request.mask,
    )
    graph = f"{token}.onnx"
    files = [*stem.write_tokens().write(path, graph), trunk.FILE, trunk.WEIGHTS_FILE]
    entry: dict[str, Any] = {
        "token": token,
        "graph": graph,
        "trunk": trunk.FILE,
        "sensor": bands.name,
        "bands": list(bands.names),
        "dtype": bands.dtype,
        "chip_size": request.chip_size,
        "gsd": bands.gsd,
        "dimensions": base.dimensions,
        "inputs": ["pixels", "time", "latlon"],
        "loss_metric": None,
        "stretch": None,
        "nodata_fill": bands.nodata_fill,
        "options": {
            "precision": base.precision,
            "coordinate_order": request.coordinate_order,
            "hour": request.hour,
            # Only where it is another than the usual: digests leave out what is not given.
            **({} if base.vector == CLS else {"vector": base.vector}),
        },
        "preprocessing": PREPROCESSING,
        "wavelengths": dict(zip(bands.names, bands.wavelengths, strict=True)),
        "normalisation": dict(zip(bands.names, zip(bands.mean, bands.std, strict=True), strict=True)),
    }
    if request.mask is not None and embedding.pixels_out is not None:
        entry |= {"loss_metric": request.mask.metric, "tail": f"{token}-loss.onnx"}
        files += stem.write_loss(request.mask, embedding.pixels_out).write(path, entry["tail"])
    if bands.decibel:
        entry["decibel"] = True  # only where it is: digests leave out what is not given
    return {**entry, "files": files}


def _initials(names: tuple[str, ...], of_sensor: tuple[str, ...]) -> str:
    """Spell a choice of bands: ``rgbn``, ``rgbs16s22``.

    Where that could be read as another choice, or is long, with a hash.
    """
    codes = [_code(name) for name in of_sensor]
    text = "".join(map(_code, names))
    digest = hashlib.sha256(",".join(names).encode()).hexdigest()
    if len(text) > BANDS_LIMIT:
        return f"{len(names)}of{len(of_sensor)}-{digest[:6]}"
    return text if _readings(text, codes) == 1 else f"{text}-{digest[:6]}"


def _readings(text: str, codes: list[str]) -> int:
    """In how many ways ``text`` is a sequence of ``codes``."""
    ways = [1] + [0] * len(text)
    for end in range(1, len(text) + 1):
        ways[end] = sum(ways[end - len(code)] for code in codes if text[:end].endswith(code))
    return ways[-1]


def _code(name: str) -> str:
    """One letter for the four bands that everybody knows; else initials, with the number at the end: ``swir16`` is s16.

    A word that is but a letter and a number needs none before it: ``sur_refl_b01`` is b1.
    """
    if numbered := re.search(r"_([a-z])0*([0-9]+)\Z", name):
        return numbered[1] + numbered[2]
    letters = name.rstrip("0123456789")
    return _LETTERS.get(name) or "".join(part[0] for part in letters.split("_") if part) + name[len(letters) :].lstrip(
        "0"
    )


def _digits(number: float) -> str:
    """Write 14.5 as 14p5: a token has no other dots than its version's."""
    return repr(float(number)).removesuffix(".0").replace(".", "p").replace("+", "")
