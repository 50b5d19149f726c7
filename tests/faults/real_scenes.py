"""Small real scenes: windows of the bundled one, each under as many Item ids as are wanted."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.pipeline.scenes import landsat

from clayline_local.repository import ROOT
from clayline_local.staged_scene import StagedScene

SAMPLE: Final = ROOT / "samples" / "landsat8_itaipu_2020"
WINDOWS: Final[Mapping[str, tuple[int, int, int, int]]] = {
    "corner": (0, 0, 330, 400),
    "edge": (300, 1200, 400, 330),
    "lake": (900, 300, 350, 350),
    "field": (1300, 1500, 300, 450),
}
"""Row, column, height and width, by name. Of the first two a part has no values."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Landed:
    """A scene that was put into the scenes bucket."""

    name: str
    """The Item's id."""
    window: str
    staged: StagedScene


class Scenes:
    """Makes scenes of windows, whose files lie in ``folder``: one for each window, and an Item for each scene."""

    def __init__(self, folder: Path, *, windows: Mapping[str, tuple[int, int, int, int]] = WINDOWS) -> None:
        """Cut the windows."""
        self._folder = folder
        self._cut: dict[str, dict[str, Path]] = {}
        for window, (row, col, height, width) in windows.items():
            self._cut[window] = {}
            for key, body in landsat(SAMPLE, row=row, col=col, height=height, width=width).items():
                name = key.partition("/")[2]
                path = folder / f"{window}-{name}"
                path.write_bytes(body)
                self._cut[window][name] = path

    @property
    def windows(self) -> tuple[str, ...]:
        """Their names."""
        return tuple(self._cut)

    def scene(self, window: str, name: str) -> Landed:
        """Make a scene of a window; its Item's id is ``name``."""
        files = self._cut[window]
        item = json.loads(files["item.json"].read_bytes())
        path = self._folder / f"{name}.json"
        path.write_text(json.dumps({**item, "id": name}), encoding="utf-8")
        bands = tuple((f"{name}/{file}", where) for file, where in files.items() if file != "item.json")
        return Landed(
            name=name,
            window=window,
            staged=StagedScene(assets=bands, landing=(f"{name}/item.json", path), item=name),
        )
