"""What is found of a scene without embedding it, as plain values: what --json prints, and what a page is made of."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from math import isfinite
from typing import Any, Final

from pydantic_core import to_jsonable_python

from clayline.chips.reading import Reading
from clayline.model.manifest import Manifest, ModelEntry
from clayline.place import Place
from clayline.run.names import Names
from clayline.run.plan import PlannedBand
from clayline.scene.source import SceneSource
from clayline.steps.drafting import Draft
from clayline_local.dry_run import DryRun

WOULD_EMBED: Final = "WouldEmbed"
WOULD_REFUSE: Final = "WouldRefuse"
NOT_RUN: Final = "NotRun"
_OF_A_PLACE: Final = frozenset({"scene", "grid", "bands", "mask", "validity", "jobs", "batches", "chips", "warnings"})
"""Fields of a draft that are told in a form of their own; one that is added later is told as it is."""
_UNREAD: Final = frozenset({"etag"})
"""Fields that are empty unless files are read whole."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Explanation:
    """What is told of a scene."""

    scene: str
    """As the user named it."""
    seconds: float
    error: str | None = None
    """Why it could not be tried."""
    found: DryRun | None = None
    """None if it could not be tried."""
    manifest: Manifest | None = None
    """Of the model that was asked."""
    names: Names
    """What people call the files."""
    with_run: bool = False
    """Whether the run's identity is known."""

    @property
    def status(self) -> str:
        """WouldEmbed, WouldRefuse or NotRun."""
        if self.found is None:
            return NOT_RUN
        return WOULD_EMBED if self.found.draft else WOULD_REFUSE

    @property
    def exit_status(self) -> int:
        """The scene's own: 0 would be embedded, 1 would be refused, 2 could not be tried."""
        return {WOULD_EMBED: 0, WOULD_REFUSE: 1, NOT_RUN: 2}[self.status]

    @property
    def message(self) -> str | None:
        """Why it would be refused, or could not be tried, and what to do."""
        if self.found and self.found.refused:
            return self.found.refused.at(Place.CLI)
        return self.error

    def values(self) -> dict[str, Any]:
        """Give everything as JSON can say it."""
        found = self.found
        source, landed, draft = (found.source, found.landed, found.draft) if found else (None, None, None)
        refused = found.refused if found else None
        values = {
            "scene": self.scene,
            "status": self.status,
            "exit_status": self.exit_status,
            "seconds": round(self.seconds, 1),
            "reason": refused.reason if refused else None,
            "message": self.message,
            "taken_for": _taken_for(source) if source else None,
            "files": [_file(band, self.names) for band in _assets(source)],
            "model": self._model(source, found.entry if found else None),
            "run": landed.run if landed and self.with_run else None,
            "plan": _plan(draft, self.names) if draft else None,
            "reading": _reading(found.reading) if found and found.reading is not None else None,
            "warnings": [warning.model_dump() for warning in draft.warnings] if draft else [],
        }
        return {name: _sayable(value) for name, value in values.items()}

    def _model(self, source: SceneSource | None, entry: ModelEntry | None) -> dict[str, Any] | None:
        if self.manifest is None:
            return None
        return {
            "folder": self.manifest.folder,
            "untrained": self.manifest.untrained,
            "entry": entry.model_dump(mode="json", exclude_none=True) if entry else None,
            "passed_over": passed_over(self.manifest, source, entry) if source else [],
        }


def passed_over(manifest: Manifest, source: SceneSource, entry: ModelEntry | None) -> list[dict[str, Any]]:
    """Give the sensor's entries that take more bands than the chosen one, each with the bands that are missing."""
    there = {band.name for band in source.bands}
    least = len(entry.bands) if entry else 0
    return [
        {"token": other.token, "missing": [name for name in other.bands if name not in there]}
        for other in manifest.entries
        if other.sensor == source.product.sensor and len(other.bands) > least and not there.issuperset(other.bands)
    ]


def _assets(source: SceneSource | None) -> list[Any]:
    return [*source.bands, *source.masks] if source else []


def _file(asset: Any, names: Names) -> dict[str, Any]:  # noqa: ANN401 - a band's asset, whatever fields it has
    values = asdict(asset)
    return {**values, "uri": names.of(asset.uri)}


def _taken_for(source: SceneSource) -> dict[str, Any]:
    return {
        "name": source.name,
        "scene_hash": source.hash,
        "product": source.product.sensor,
        "by": recognised_by(source),
        "collection": source.collection,
        "platform": source.platform,
        "instrument": source.product.instrument_token(source.platform),
        "tile": source.tile,
        "start": source.acquired.start.isoformat(),
        "end": source.acquired.end.isoformat(),
        "time_from": source.acquired.source,
        "object_metadata": dict(source.identity),
    }


def recognised_by(source: SceneSource) -> str:
    """Say what told the product."""
    if source.collection is not None:
        return f"collection {source.collection}"
    return "--sensor" if "sensor" in source.identity else "the file's name"


def _plan(draft: Draft, names: Names) -> dict[str, Any]:
    """Give the plan as far as it is known before there is a run."""
    grid, ucis = draft.grid, draft.chips.uci
    return {
        "scene": _without_unread(draft.scene.model_dump(mode="json")),
        "bands": [band_values(band, names) for band in draft.bands],
        "mask": band_values(draft.mask, names) if draft.mask else None,
        "classification": asdict(draft.classification) if draft.classification else None,
        "mask_chosen_by": draft.mask_chosen_by,
        "validity": [band_values(band, names) for band in draft.validity],
        "grid": {
            "rows": grid.rows,
            "cols": grid.cols,
            "chips": len(grid),
            "chip_size": grid.size,
            "start": grid.start,
            "over_the_edge": over_the_edge(draft),
            "first": ucis[0],
            "last": ucis[-1],
        },
        "jobs": [asdict(job) for job in draft.jobs],
        "batches": len(draft.batches),
        **{field.name: getattr(draft, field.name) for field in fields(draft) if field.name not in _OF_A_PLACE},
    }


def _reading(jobs: Sequence[Reading]) -> dict[str, Any]:
    """Give what all jobs read together, and each."""
    return {"in_all": _read(total(jobs)), "jobs": [_read(job) for job in jobs]}


def _read(reading: Reading) -> dict[str, int]:
    return {**asdict(reading), "requests": reading.requests}


def total(jobs: Sequence[Reading]) -> Reading:
    """Give the sum."""
    return sum(jobs, start=Reading())


def band_values(band: PlannedBand, names: Names) -> dict[str, Any]:
    """Give a band with its header."""
    return _without_unread({**band.model_dump(mode="json"), "uri": names.of(band.uri)})


def over_the_edge(draft: Draft) -> int:
    """Count the chips that reach over the scene's edge and are filled there."""
    grid = draft.grid
    rows, cols = [grid.row(at) for at in range(grid.rows)], [grid.col(at) for at in range(grid.cols)]
    within = sum(0 <= row <= grid.height - grid.size for row in rows)
    across = sum(0 <= col <= grid.width - grid.size for col in cols)
    return len(grid) - within * across


def _sayable(value: Any) -> Any:  # noqa: ANN401 - whatever is told
    """Give what JSON can say: models and tuples unfolded, a float that is no number as its name."""
    if isinstance(value, float) and not isfinite(value):
        return str(value)
    plain = to_jsonable_python(value)
    if isinstance(plain, dict):
        return {name: _sayable(of) for name, of in plain.items()}
    return [_sayable(of) for of in plain] if isinstance(plain, list) else plain


def _without_unread(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name not in _UNREAD or value}
