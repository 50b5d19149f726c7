"""An answer for people, and as JSON and GeoJSON can say it."""

import json
from typing import Any, Final

import shapely

from clayline.api.search_terms import Found
from clayline.errors import counted
from clayline.likeness.taking_part import VALID_LEAST

_REASONS: Final = {
    "valid": "less valid than asked ({least:g})",
    "cloud": "more cloud",
    "cloud-unknown": "cloud unknown",
    "loss": "a greater loss",
    "loss-unknown": "loss unknown",
    "instrument": "of other instruments",
    "example": "given as example{s}",
    "not-finite": "no finite vector",
}
_CENTRES: Final = {
    "card": "the model's statistics",
    "codebook": "the dataset's codebook",
    "rows": "the mean of what was looked through",
}


def centred(found: Found) -> str:
    """Say whose centre was taken off."""
    return _CENTRES[found.probe.centre.by] if found.probe else "nothing, for no chip takes part"


def rows_of(found: Found) -> list[dict[str, Any]]:
    """Give the chips as JSON can say them, footprints as GeoJSON."""
    rows: list[dict[str, Any]] = []
    for rank, row in enumerate(found.table.drop_columns(["bbox"]).to_pylist(), start=1):
        footprint = json.loads(shapely.to_geojson(shapely.from_wkb(row.pop("geometry"))))
        rows.append({"rank": rank, **row, "datetime": row["datetime"].isoformat(), "footprint": footprint})
    return rows


def summary(found: Found) -> dict[str, Any]:
    """Give what the answer rests on."""
    return {
        "model": found.token,
        "digest": found.digest,
        "centred_by": found.probe.centre.by if found.probe else None,
        "like": [each.name for each in found.like],
        "unlike": [each.name for each in found.unlike],
        "looked_through": found.looked_through,
        "left_out": dict(found.left_out),
        "candidates": found.candidates,
        "nothing": found.nothing,
    }


def feature_collection(found: Found) -> str:
    """Write GeoJSON (RFC 7946): a Feature a chip, best first, and what the answer rests on as a foreign member."""
    features = []
    for row in rows_of(found):
        footprint = row.pop("footprint")
        features.append({"type": "Feature", "id": row["uci"], "geometry": footprint, "properties": row})
    return json.dumps({"type": "FeatureCollection", "clayline": summary(found), "features": features}) + "\n"


def _standing(found: Found) -> list[str]:
    """Name the chips that stand for a place or a cell."""
    examples = [*(("like", each) for each in found.like), *(("unlike", each) for each in found.unlike)]
    return [f"{kind:<6} {each.name} for {each.said}" for kind, each in examples if each.said != each.name]


def page(found: Found, *, valid_least: float = VALID_LEAST) -> str:
    """Give the answer as a table, and below it what it rests on."""
    lines = [f"{'':>4} {'score':>6}  {'date':10} {'valid':>5} {'cloud':>5}  identifier"]
    for rank, row in enumerate(found.table.drop_columns(["geometry", "bbox"]).to_pylist(), start=1):
        cloud = "" if row["cloud_fraction"] is None else f"{row['cloud_fraction']:.2f}"
        lines.append(
            f"{rank:>4} {row['score']:>6.3f}  {row['datetime']:%Y-%m-%d} {row['valid_fraction']:>5.2f} {cloud:>5}"
            f"  {row['uci']}"
        )
    if found.nothing:
        lines = ["no chip takes part", found.nothing]
    lines = [*_standing(found), *lines]
    left_out = ", ".join(
        f"{count:,} {_REASONS[name].format(least=valid_least, s='' if count == 1 else 's')}"
        for name, count in found.left_out.items()
    )
    stages = f"; {found.candidates:,} candidates by bits" if found.candidates is not None else ""
    lines += [
        f"{counted(found.looked_through, 'chip')} looked through{stages}"
        + (f"; left out: {left_out}" if left_out else ""),
        f"{found.token}, centred by {centred(found)}",
    ]
    return "\n".join(lines)
