"""Examples as a dataset can be asked about them: imagery of the user's own is embedded first."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clayline.api.exemplars import Exemplar
from clayline.chips.cog import CogSource
from clayline.chips.limits import reaches
from clayline.errors import ClaylineError
from clayline.likeness.examples import Computed, Given, OfImagery, example_of
from clayline.likeness.imagery import SceneImagery
from clayline.outputs.provenance import untrained_note
from clayline.raster.chip_pictures import read_chip
from clayline.raster.cog import ReadSettings
from clayline_cli.choosing.options import SceneOptions
from clayline_cli.choosing.planning import plan_options
from clayline_cli.choosing.scenes import stage_scene
from clayline_cli.console import Console
from clayline_local.model_folder import ModelFolder
from clayline_local.one_chip import OneChip, embed_one
from clayline_local.staged_objects import StagedObjects
from clayline_local.staged_scene import StagedScene
from clayline_local.stopping import temporary_folder


@dataclass(frozen=True, kw_only=True)
class Looks:
    """How a chip of the user's own imagery looks."""

    target: str
    """Its imagery, as it was given."""
    date: str
    """The day on which it was acquired, or the first of several."""
    scene: str
    """scene12, as a dataset would have it."""
    pixels: NDArray[np.float32] | None
    """[C, SIDE, SIDE], as ``clayline.raster.chip_pictures.read_chip`` gives them; None: they could not be read."""
    why: str
    """Why not."""

    @property
    def file(self) -> str:
        """Name the imagery without its folders."""
        return self.target.rstrip("/").rpartition("/")[2]


@dataclass(frozen=True, kw_only=True)
class Asked:
    """An example, and how it looks where it is imagery of the user's own."""

    given: Given
    looks: Looks | None = None


def given(text: str, options: SceneOptions, console: Console, *, valid_least: float, look: bool = False) -> Asked:
    """Read an example, and embed it with the options' model if it is imagery, which is read to ``look`` at as well.

    A chip of which less than ``valid_least`` is valid is taken, with a warning. Raises ClaylineError.
    """
    example = example_of(text)
    if not isinstance(example, OfImagery):
        return Asked(given=example)
    model = ModelFolder.read(options.model)
    if note := untrained_note(model.manifest.checkpoint):
        console.warn(note)
    console.notice(f"embedding the chip of {example.target} on {example.lon:g},{example.lat:g} with {model} ...")
    with stage_scene(example.target, options) as scene, temporary_folder("clayline-chip-") as scratch:
        chip = embed_one(
            scene,
            lon=example.lon,
            lat=example.lat,
            model=model,
            options=plan_options(options, model),
            scratch=scratch,
            notice=console.notice,
        )
        looks = _looks(chip, scene, example.target) if look else None  # while the scene's files are here
    if not reaches(chip.facts.valid, valid_least):
        console.warn(f"only {chip.facts.valid:.2f} of that chip is valid: it looks like others' padding as well")
    computed = Computed(
        text=chip.uci,
        token=chip.entry.token,
        digest=chip.entry.digest,
        instrument=chip.instrument,
        vector=chip.vector,
        facts=chip.facts,
    )
    return Asked(given=computed, looks=looks)


def tell_outside(examples: Iterable[Exemplar], console: Console, *, valid_least: float) -> None:
    """Warn of a dataset's chips that are mostly outside of their scene; of imagery ``given`` says it."""
    for each in examples:
        if each.scene is not None and each.facts and not reaches(each.facts.valid, valid_least):
            console.warn(
                f"example {each.name} is {each.facts.valid:.0%} valid: what is like it is so by its padding too"
            )


def _looks(chip: OneChip, scene: StagedScene, target: str) -> Looks:
    files = StagedObjects(scene=scene).files

    def locate(uri: str) -> CogSource:
        return CogSource(path=str(files[uri].absolute()), uri=chip.plan.names.of(uri), size=files[uri].stat().st_size)

    said: dict[str, Any] = {
        "target": target,
        "scene": chip.plan.scene.hash,
        "date": f"{chip.plan.scene.acquired.start:%Y-%m-%d}",
    }
    try:
        pixels = read_chip(SceneImagery.planned(chip.plan), chip.index, locate=locate, settings=ReadSettings(threads=1))
    except ClaylineError as error:
        return Looks(pixels=None, why=str(error), **said)
    return Looks(pixels=pixels, why="", **said)
