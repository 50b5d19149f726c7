"""What is told of a scene to people: aligned sections of a few lines each, and a table of several scenes."""

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final
from urllib.parse import unquote

from pydantic import BaseModel

from clayline.chips.batch import block_grid, repeated_fraction
from clayline.chips.reading import Reading
from clayline.run.plan import PlannedBand, PlannedScene
from clayline.scene.source import SceneSource
from clayline.steps.drafting import Draft
from clayline_cli.explaining.explanation import NOT_RUN, Explanation, over_the_edge, passed_over, recognised_by, total

_LABEL: Final = 11
_LEAST: Final = 0.005
"""Share that is told."""
_RIGHT: Final = 90.0
"""Degrees between the sides of a pixel."""
_TURNED: Final = 0.001
_WIDE: Final = 120
_MANY: Final = 12
"""Of a list, so many are told and the others counted."""
_OF_A_ROW: Final = frozenset(
    {"name", "uri", "etag", "size", "band", "header", "nodata", "offset", "declared", "conversion"}
)
_OF_A_SECTION: Final = frozenset(
    {
        "name", "hash", "uri", "etag", "collection", "sensor", "instrument", "acquired", "tile", "mgrs", "location",
        "crs", "epsg", "transform", "height", "width", "gsd", "lattice", "own_grid", "boa_decided_by",
        "boa_said", "product", "trained", "passed_over", "pixel_width_m", "pixel_height_m", "pixel_angle",
    }
)  # fmt: skip
"""Fields of a planned scene that have their place; a field that is added later is told by its name."""

type Lines = Iterable[tuple[str, str]]
"""Label and text; a line without a label belongs to the one above."""


def page(explanation: Explanation) -> str:
    """Tell everything of a scene."""
    found = explanation.found
    if found is None:
        return f"{NOT_RUN}: {explanation.scene}\n  {explanation.error}\n"
    lines: list[str] = [f"{explanation.status}: {found.source.name if found.source else found.name}"]
    if found.refused:
        lines += _wrapped(f"{found.refused.reason}: {explanation.message}")
    if found.source:
        lines += _laid(_taken_for(found.source))
    if found.draft and found.entry:
        lines += ["", *_table(_bands(found.draft, explanation)), ""]
        lines += _laid(_published(found.draft))
        lines += _laid(_draft(found.draft, found.entry.dtype))
    elif found.source:
        lines += _laid(_files(found.source, explanation))
    lines += _laid(_model(explanation))
    if found.draft:
        lines += _laid(_work(found.draft))
        lines += _laid(_reading(found.draft, found.reading))
    if explanation.with_run and found.landed:
        lines += _laid([("run", found.landed.run)])
    if found.draft:
        warned = [(warning.reason, warning.message) for warning in found.draft.warnings]
        lines += [line for pair in warned for line in _wrapped(": ".join(pair))] or _laid([("warnings", "none")])
    return "\n".join((*lines, ""))


def table(explanations: Sequence[Explanation]) -> str:
    """Give a line a scene, and how many would be embedded."""
    rows = [("chips", "outcome", "scene")]
    for told in explanations:
        draft = told.found.draft if told.found else None
        refused = told.found.refused if told.found else None
        rows.append(
            (
                str(len(draft.grid)) if draft else "0",
                f"{told.status}, {refused.reason}" if refused else told.status,
                told.scene,
            )
        )
    good = sum(told.exit_status == 0 for told in explanations)
    chips = sum(int(row[0]) for row in rows[1:])
    rows.append((str(chips), f"{good} of {len(explanations)}", "would be embedded"))
    wide = max(len(row[1]) for row in rows)
    return "\n".join(f"{chips:>9}  {word:<{wide}}  {scene}" for chips, word, scene in rows)


def _taken_for(source: SceneSource) -> Lines:
    yield "taken for", f"{source.product.sensor} (product {source.product.name}), by {recognised_by(source)}"
    yield "by", f"{source.product.instrument_token(source.platform)}, platform {source.platform}"
    start, end = source.acquired.start, source.acquired.end
    yield (
        "taken at",
        f"{_instant(start)}{'' if start == end else f' to {_instant(end)}'}, from {source.acquired.source}",
    )
    yield "scene", f"{source.hash}, {f'MGRS tile {source.tile}' if source.tile else 'of no MGRS tile'}"


def _files(source: SceneSource, explanation: Explanation) -> Lines:
    """What is known of the bands of a scene that would be refused."""
    told = [
        f"{band.name}: band {band.band} of {unquote(explanation.names.of(band.uri))}"
        for band in (*source.bands, *source.masks)
    ]
    return _under("found", _few(told))


def _bands(draft: Draft, explanation: Explanation) -> list[tuple[str, ...]]:
    """Give a head and a row a band."""
    head = ("band", "file", "no.", "type", "pixels", "ground", "blocks", "nodata", "offset", "")
    classes = (draft.mask,) if draft.mask else ()
    rows = [_band(band, explanation) for band in draft.bands]
    rows += [_band(band, explanation, use="classes of pixels") for band in classes]
    return [head, *rows, *(_band(band, explanation, use="says where values are") for band in draft.validity)]


def _band(band: PlannedBand, explanation: Explanation, *, use: str = "") -> tuple[str, ...]:
    header = band.header
    more = [*([use] if use else []), *(f"{name} {_said(value)}" for name, value in _further(band, _OF_A_ROW))]
    return (
        band.name,
        unquote(explanation.names.of(band.uri).rpartition("/")[2]),
        f"{band.band} of {header.band_count}",
        header.dtype,
        f"{header.width} x {header.height}",
        f"{header.pixel_size_m:g} m" if header.pixel_size_m >= 1 else f"{header.pixel_size_m:.3f} m",
        f"{header.block_width} x {header.block_height}",
        " ".join(f"{value:g}" for value in band.nodata) or "none",
        "" if use else f"{band.offset:+d}" if band.offset else "0",
        ", ".join(more),
    )


def _published(draft: Draft) -> Lines:
    """Say where the files lie that were found by their names elsewhere than the Item says."""
    folders = dict.fromkeys(band.declared.rpartition("/")[0] for band in draft.bands if band.declared)
    return _under("published", _few([f"in {folder}/" for folder in folders]))


def _draft(draft: Draft, dtype: str) -> Lines:
    scene, grid, ucis = draft.scene, draft.grid, draft.chips.uci
    yield "grid", f"{scene.width} x {scene.height} px of {scene.gsd:.6g} m, {_crs(scene)}"
    if scene.pixel_width_m:
        shape = f"{scene.pixel_width_m:.6g} x {scene.pixel_height_m:.6g} m on the ground at the centre"
        angle = f", {scene.pixel_angle:.3f} degrees between" if abs(scene.pixel_angle - _RIGHT) > _TURNED else ""
        yield "", f"pixels of {shape}{angle}"
    side = f"{grid.size} px ({grid.size * scene.gsd:,.6g} m)"
    yield "chips", f"{grid.rows} rows x {grid.cols} columns = {len(grid)} of {side}"
    yield "", f"{over_the_edge(draft)} reach over the scene's edge"
    if scene.location == "window":
        yield "", f"named by windows of MGRS tile {scene.tile}: the same ground at every date"
    elif scene.lattice:
        yield "", "on the lattice: the same ground at every date (docs/lattice.md)"
    yield "", f"first {ucis[0]}"
    yield "", f"last  {ucis[-1]}"
    if scene.boa_decided_by:
        yield "offset", f"{draft.bands[0].offset}, decided by {scene.boa_decided_by}"
        yield from (("", f"said: {said}") for said in _few(scene.boa_said))
    done = [
        f"{band.name}: {band.conversion.rule(dtype)} ({band.conversion.why})" for band in draft.bands if band.conversion
    ]
    yield from _under("numbers", done or ["as they are"])
    yield "mask", _cloud(draft)
    yield from _under("passed over", _few([f"{one.band} in {one.asset}: {one.why}" for one in scene.passed_over]))
    if not scene.trained:
        yield "trained", "no: the model was not made for this platform, and the record says so"
    for name, value in _further(scene, _OF_A_SECTION):
        yield name.replace("_", " "), _said(value)


def _cloud(draft: Draft) -> str:
    """Say which mask says where clouds are, and which of its classes are counted."""
    if draft.mask is None or draft.classification is None:
        return "none: cloud fraction is unknown"
    counted = ", ".join(kind.meaning for kind in draft.classification.cloud)
    return f"{draft.mask.name}, by its {draft.mask_chosen_by}; cloud is: {counted}"


def _model(explanation: Explanation) -> Lines:
    manifest, found = explanation.manifest, explanation.found
    if manifest is None or found is None or found.source is None:
        return
    entry = found.entry
    if entry:
        yield "model", f"{entry.token} takes {entry.dtype} [{' '.join(entry.bands)}] at {entry.gsd:g} m"
    else:
        yield "model", f"{manifest.folder}"
    for other in passed_over(manifest, found.source, entry)[:_MANY]:
        verb = "are" if len(other["missing"]) > 1 else "is"
        yield "", f"{other['token']} takes more bands, of which {' '.join(other['missing'])} {verb} not there"


def _work(draft: Draft) -> Lines:
    sizes = [batch.stop - batch.start for batch in draft.batches]
    yield "work", f"{len(draft.jobs)} job(s), {len(sizes)} batches of {_span(sizes)} chips"


def _reading(draft: Draft, jobs: Sequence[Reading] | None) -> Lines:
    every_band = (*draft.bands, *((draft.mask,) if draft.mask else ()), *draft.validity)
    files = {band.uri: band.size for band in every_band}
    every = f"the {_bytes(sum(files.values()))} in {len(files)} file(s)"
    if jobs is None:
        yield "reading", f"{every}: too many blocks to look each up"
        return
    whole = total(jobs)
    blocks = [block_grid(band.header, finest=draft.scene.transform) for band in every_band]
    again = repeated_fraction(draft.jobs, draft.grid, blocks)
    yield "reading", f"{_bytes(whole.bytes)} of {every}, in {whole.requests} requests of S3"
    yield "", f"{whole.blocks} blocks, {f'{again:.0%} of them again' if again >= _LEAST else 'each once'}"


def _bytes(number: int) -> str:
    for unit, size in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if number >= size:
            return f"{number / size:.1f} {unit}"
    return f"{number} B"


def _further(model: BaseModel, known: frozenset[str]) -> Iterator[tuple[str, Any]]:
    """Give the fields that have no place of their own here and say something."""
    for name, field in type(model).model_fields.items():
        value = getattr(model, name)
        if name not in known and value not in (None, (), {}) and value != field.default:
            yield name, value


def _said(value: Any) -> str:  # noqa: ANN401 - whatever a field holds
    if isinstance(value, BaseModel):
        return ", ".join(f"{name} {_said(of)}" for name, of in value.model_dump(mode="json").items() if of is not None)
    if isinstance(value, dict):
        return ", ".join(f"{name} {_said(of)}" for name, of in value.items())
    if isinstance(value, list | tuple):
        return " ".join(_few([_said(of) for of in value]))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _crs(scene: PlannedScene) -> str:
    return scene.crs if scene.epsg else scene.crs.partition("[")[2].partition(",")[0].strip('"')


def _instant(moment: Any) -> str:  # noqa: ANN401 - a datetime
    return str(moment.isoformat()).replace("+00:00", "Z")


def _span(numbers: Sequence[int]) -> str:
    least, most = min(numbers), max(numbers)
    return str(most) if least == most else f"{least} to {most}"


def _few(texts: Sequence[str]) -> list[str]:
    more = [f"and {len(texts) - _MANY} more"] if len(texts) > _MANY else []
    return [*texts[:_MANY], *more]


def _under(label: str, texts: Sequence[str]) -> Lines:
    yield from ((label if number == 0 else "", text) for number, text in enumerate(texts))


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(
        text, _WIDE, initial_indent="  ", subsequent_indent="    ", break_long_words=False, break_on_hyphens=False
    )


def _laid(lines: Lines) -> list[str]:
    return [f"  {label:<{_LABEL}} {text}" for label, text in lines]


def _table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    wide = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  " + "  ".join(f"{cell:<{width}}" for cell, width in zip(row, wide, strict=True)).rstrip() for row in rows
    ]
