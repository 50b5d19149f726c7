"""What an embedded scene looks like, beside its files: a picture and a page. Neither is worth failing a scene for."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from clayline.errors import ClaylineError
from clayline_cli.console import Console
from clayline_cli.embedding.embed_options import EmbedOptions
from clayline_cli.picture.from_provenance import BANDS, mask_of
from clayline_cli.picture.picture import draw
from clayline_cli.reporting.run import write
from clayline_cli.reporting.scene_chips import SceneChips
from clayline_local.staged_scene import StagedScene


@dataclass(frozen=True, kw_only=True, slots=True)
class Showing:
    """Draws what was asked for."""

    options: EmbedOptions
    console: Console

    def of(self, files: dict[str, Path], scene: StagedScene) -> dict[str, Path]:
        """Give picture and page of outputs by kind, as far as they were asked for and there is something to draw.

        What is there already stays, and what cannot be made takes nothing away.
        """
        if "parquet" not in files:
            return {}
        shown = {}
        if self.options.picture:
            shown["picture"] = self._picture(files, scene)
        if self.options.report:
            shown["report"] = self._report(files, scene)
        return {kind: path for kind, path in shown.items() if path}

    def _picture(self, files: dict[str, Path], scene: StagedScene) -> Path | None:
        """Draw, if the scene has red, green and blue."""
        target = files["parquet"].with_suffix(".png")
        provenance = json.loads(files["metadata"].read_text())["clayline"]
        found = _bands(provenance["source"]["assets"], scene)
        if not set(BANDS) <= found.keys():
            return target if target.exists() else None
        bands, mask = [found[name] for name in BANDS], found.get(mask_of(provenance))
        return self._made(
            target, scene, "picture", lambda: draw(files["parquet"], provenance, bands, target, mask=mask)
        )

    def _report(self, files: dict[str, Path], scene: StagedScene) -> Path | None:
        target = files["parquet"].with_suffix(".html")

        def make() -> None:
            chips = SceneChips.read(files["parquet"])
            write(chips, _bands(chips.provenance["source"]["assets"], scene), [self.options.model], target)

        return self._made(target, scene, "report", make)

    def _made(self, target: Path, scene: StagedScene, kind: str, make: Callable[[], object]) -> Path | None:
        if target.exists():
            return target
        try:
            make()
        except (OSError, ClaylineError) as error:
            self.console.warn(f"no {kind} of {scene.name} ({error}). Everything else is there.")
            return None
        return target


def _bands(assets: list[dict[str, object]], scene: StagedScene) -> dict[str, tuple[Path, int]]:
    """Give file and number in it of each band that lies here."""
    return {
        str(asset["band"]): (scene.files[uri], int(str(asset["file_band"])))
        for asset in assets
        if (uri := str(asset["uri"])) in scene.files
    }
