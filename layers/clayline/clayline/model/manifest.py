"""The model folder's manifest: the one place where the rest of the system learns what a model takes and gives."""

import hashlib
import json
from io import BufferedReader, BytesIO
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from clayline.errors import ModelError, SceneError
from clayline.model.vector import Vector
from clayline.place import Option

MANIFEST_FILE: Final = "manifest.json"
"""Its name in a model folder."""
UNTRAINED: Final = "untrained"
"""A word of every name that random weights have, so that no token of theirs, whatever it is joined to, passes for a
trained model's."""

Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}\z")]
Token = Annotated[
    str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*-v[0-9]+(\.[0-9]+)*-[a-z0-9]+(-[a-z0-9]+)*\z", max_length=48)
]
FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*\z", max_length=128)]
BandName = Annotated[str, Field(pattern=r"^[a-z0-9_]{1,32}\z")]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Options(_Strict):
    """Choices that are part of the model's identity, because another choice gives other vectors."""

    precision: Literal["fp32", "fp16", "int8"]
    coordinate_order: Literal["lonlat", "latlon", "all-zero"] | None
    """Order of the 4-vector ``latlon`` (the name is upstream's); None for a model that takes none."""
    hour: Literal["noon", "acquisition", "all-zero"] | None
    """Hour fed in ``time``; None for a model that takes none."""
    vector: Vector | None = None
    """What of the tokens the embedding is made from (``vector.WORDS``); None: the usual, for Clay the class token."""


class ModelEntry(_Strict):
    """One graph for one sensor and band list, under a token that no second digest may ever carry."""

    token: Token
    """The model part of the identifier, e.g. ``starter-v1.0-s2-rgb``."""
    digest: Digest
    """Over this entry's canonical JSON and the hashes of its files: see ``entry_digest``."""
    graph: FileName
    """Takes the entry's inputs. Gives the embeddings; with a ``trunk``, the trunk's inputs."""
    files: tuple[FileName, ...]
    """Every file the entry's graphs need, themselves included."""
    sensor: str
    """Name in the sensor registry."""
    bands: tuple[BandName, ...] = Field(min_length=1, max_length=64)
    """In the order of the channel axis of ``pixels``."""
    dtype: Literal["uint8", "uint16", "float32"]
    """Type of ``pixels``: raw digital numbers."""
    chip_size: int = Field(ge=8, le=2048)
    """Side in pixels."""
    gsd: float = Field(gt=0)
    """Metres."""
    dimensions: int = Field(ge=1, le=65536)
    """Length of an embedding."""
    inputs: tuple[Literal["pixels", "time", "latlon"], ...]
    loss_metric: str | None
    """Name of the second output; None together with every loss for a model that has none."""
    stretch: dict[BandName, tuple[float, float]] | None
    """What the graph itself does to each band's digital numbers, for the record."""
    nodata_fill: float
    """The value that stands for nodata in ``pixels``."""
    options: Options
    preprocessing: str
    """Version of everything between the file's pixels and ``pixels``."""
    trunk: FileName | None = None
    """Takes outputs of ``graph`` by name. Gives the embeddings and, for a ``tail``, what that takes; the same file for
    every entry."""
    tail: FileName | None = None
    """Takes outputs of ``trunk`` and ``pixels`` by name. Gives the losses."""
    wavelengths: dict[BandName, float] | None = None
    """Of each band in micrometres, for a model whose weights were made from them."""
    normalisation: dict[BandName, tuple[float, float]] | None = None
    """Mean and standard deviation that the graph takes each band's digital numbers by, for the record."""
    decibel: bool = False
    """Whether ``pixels`` are linear power (radar), of which the graph takes decibels; ``normalisation`` is then in
    decibels."""

    @property
    def graphs(self) -> tuple[str, ...]:
        """Its graph files in the order in which they run."""
        return tuple(name for name in (self.graph, self.trunk, self.tail) if name is not None)

    def one_chip_a_run(self, *, on: Literal["cpu", "cuda"]) -> bool:
        """Tell whether two chips in one run would change each other's vectors on this device.

        Int8 graphs scale what they multiply over a whole run. On the CPU the last bits of two others depend on how many
        chips share a run: ONNX Runtime makes float32 of fp16 weights at each run, and multiplies such matrices by
        another kernel when they have other rows; and radar's logarithm is another one for the last numbers of what a
        thread gets than for those before.
        """
        precision = self.options.precision
        return precision == "int8" or (on == "cpu" and (precision == "fp16" or self.decibel))


class Checkpoint(_Strict):
    """Where a folder's weights come from: a file, or a seed."""

    architecture: Annotated[str, Field(pattern=r"^[a-z0-9]+([.-][a-z0-9]+)*\z", max_length=48)]
    """E.g. ``clay-v1.5-large``."""
    file: str | None = None
    """The checkpoint's file name."""
    digest: Digest | None = None
    """Of the checkpoint file."""
    seed: int | None = None
    """Of random weights: such a model has learnt nothing."""

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.digest is None) == (self.seed is None) or (self.file is None) != (self.digest is None):
            msg = "weights come either from a checkpoint file with its digest or from a seed"
            raise ValueError(msg)
        return self


class Manifest(_Strict):
    """A model folder: graphs, their entries, licence and card."""

    format: Literal["clayline-model/1"] = Field(alias="schema")
    name: Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*\z", max_length=32)]
    version: Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]+)*\z", max_length=16)]
    licence: str
    card: FileName
    files: dict[FileName, Digest]
    entries: tuple[ModelEntry, ...] = Field(min_length=1)
    checkpoint: Checkpoint | None = None
    producer: dict[str, str] | None = None
    """Versions of what made the folder, by package."""
    micro_batch: dict[Literal["cpu", "cuda"], Annotated[int, Field(ge=1, le=1024)]] | None = None
    """Chips in one run of the graph, by device: advice to the server, no part of any digest."""
    statistics: Digest | None = None
    """Of ``statistics.json``, which states what the entries' vectors are like (model/statistics.py): no part of any
    entry's digest."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        tokens = [entry.token for entry in self.entries]
        if len(set(tokens)) != len(tokens):
            msg = "two entries carry the same token"
            raise ValueError(msg)
        if self.untrained and UNTRAINED not in self.name.split("-"):
            msg = (
                f"the weights are random numbers, which the name {self.name} does not say: {UNTRAINED} must be one of"
                " its words"
            )
            raise ValueError(msg)
        for entry in self.entries:
            if unlisted := set(entry.graphs).difference(entry.files):  # the digest covers ``files`` only
                msg = f"entry {entry.token} does not list its graphs {sorted(unlisted)} among its files"
                raise ValueError(msg)
            if (entry.tail is not None) != (entry.trunk is not None and entry.loss_metric is not None):
                msg = f"entry {entry.token}: a trunk with a loss metric has a tail, nothing else has one"
                raise ValueError(msg)
            if missing := set(entry.files) - self.files.keys():
                msg = f"entry {entry.token} names files that the manifest does not list: {sorted(missing)}"
                raise ValueError(msg)
            if (expected := entry_digest(entry, self.files)) != entry.digest:
                msg = f"entry {entry.token} has digest {entry.digest}, its content gives {expected}"
                raise ValueError(msg)
        return self

    @property
    def folder(self) -> str:
        """Name of the model folder, under which the endpoint finds it."""
        return f"{self.name}-v{self.version}"

    @property
    def untrained(self) -> bool:
        """Whether the weights are random numbers.

        Embeddings then mean nothing, and everything that shows them says so.
        """
        return self.checkpoint is not None and self.checkpoint.seed is not None

    def entry(self, token: str) -> ModelEntry:
        """Give the entry with this token. Raises ModelError."""
        for entry in self.entries:
            if entry.token == token:
                return entry
        msg = f"model {self.name} has no entry {token}; it has {', '.join(entry.token for entry in self.entries)}"
        raise ModelError(msg)

    def choose(self, *, scene: str, sensor: str, bands: frozenset[str], hint: str = "") -> ModelEntry:
        """Pick the sensor's entry whose bands are the largest subset of the scene's ``bands`` (ties: the first in the
        manifest). ``hint`` says more of the bands, without a full stop.

        Raises SceneError (``no-model-entry``), saying which entries exist.
        """
        fitting = [entry for entry in self.entries if entry.sensor == sensor and bands.issuperset(entry.bands)]
        if not fitting:
            offered = "; ".join(
                f"{entry.token} takes {entry.sensor} [{' '.join(entry.bands)}]" for entry in self.entries
            )
            msg = (
                f"scene {scene}: model {self.name} has no entry for {sensor} with bands [{' '.join(sorted(bands))}]."
                f"{f' {hint}.' if hint else ''} Entries: {offered}. Deliver the missing bands, or set {Option.MODEL} to"
                " a model folder that serves these."
            )
            raise SceneError(msg, reason="no-model-entry")
        return max(fitting, key=lambda entry: len(set(entry.bands)))


def entry_digest(entry: ModelEntry, files: dict[str, str]) -> str:
    """Digest of an entry.

    Sha256 of its canonical JSON without ``digest``, with ``files`` as a mapping of name to sha256.

    Fields that the manifest does not give are left out, so that a field added here later changes no digest already
    given.
    """
    content: dict[str, Any] = entry.model_dump(mode="json", exclude={"digest"}, exclude_unset=True)
    content["files"] = {name: files[name] for name in entry.files}
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return "sha256:" + hashlib.sha256(canonical.encode()).hexdigest()


def digest_of(stream: BufferedReader | BytesIO) -> str:
    """Give ``sha256:...`` of what the stream holds, read a block at a time: a file's digest as manifests spell it."""
    return f"sha256:{hashlib.file_digest(stream, 'sha256').hexdigest()}"


def read_manifest(text: bytes, *, source: str) -> Manifest:
    """Read a manifest's JSON; ``source`` names it in errors. Raises ModelError."""
    try:
        return Manifest.model_validate_json(text)
    except ValidationError as error:
        msg = f"model manifest {source} cannot be used: {error}"
        raise ModelError(msg) from error
