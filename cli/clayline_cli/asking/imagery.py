"""Examples as a dataset can be asked about them: imagery of the user's own is embedded first."""

from clayline.chips.limits import reaches
from clayline.likeness.examples import Computed, Given, OfImagery, example_of
from clayline.outputs.provenance import untrained_note
from clayline_cli.choosing.options import SceneOptions
from clayline_cli.choosing.planning import plan_options
from clayline_cli.choosing.scenes import stage_scene
from clayline_cli.console import Console
from clayline_local.model_folder import ModelFolder
from clayline_local.one_chip import embed_one
from clayline_local.stopping import temporary_folder


def given(text: str, options: SceneOptions, console: Console, *, valid_least: float) -> Given:
    """Read an example, and embed it with the options' model if it is imagery. Raises ClaylineError.

    A chip of which less than ``valid_least`` is valid is taken, with a warning.
    """
    example = example_of(text)
    if not isinstance(example, OfImagery):
        return example
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
    if not reaches(chip.facts.valid, valid_least):
        console.warn(f"only {chip.facts.valid:.2f} of that chip is valid: it looks like others' padding as well")
    return Computed(
        text=chip.uci,
        token=chip.entry.token,
        digest=chip.entry.digest,
        instrument=chip.instrument,
        vector=chip.vector,
        facts=chip.facts,
    )
