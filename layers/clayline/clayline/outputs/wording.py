"""How what is written beside the vectors is worded: moments, JSON, the chips' layout."""

import datetime as dt
import json
from collections.abc import Mapping
from typing import Any

from clayline.identity.ground import lattice_name
from clayline.run.plan import Plan


def text(moment: dt.datetime) -> str:
    """Write a moment in UTC."""
    return moment.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")


def pretty(content: Mapping[str, Any]) -> bytes:
    """Write JSON for people, ending in a newline."""
    return (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode()


def layout(plan: Plan) -> dict[str, Any]:
    """Describe the chips' grid: not regular where the last row or column is shifted back."""
    grid, scene = plan.grid, plan.scene
    shifted = grid.start is None and any(side > grid.size and side % grid.size for side in (grid.height, grid.width))
    grid_id = f"scene-{scene.hash}"
    if scene.location == "window":
        grid_id = f"mgrs-{scene.tile}"
    elif scene.lattice:
        grid_id = lattice_name(scene.lattice)
    return {
        "layout_type": "variable_grid" if shifted else "regular_grid",
        "chip_size": [grid.size, grid.size],
        "stride": [grid.size, grid.size],
        "grid_id": grid_id,
    }
