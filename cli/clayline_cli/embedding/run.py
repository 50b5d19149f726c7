"""``clayline embed``: scenes, one after the other, through one local cloud, into one folder."""

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from boto3.exceptions import Boto3Error
from botocore.exceptions import BotoCoreError, ClientError

from clayline.errors import ClaylineError, shown
from clayline.outputs.provenance import untrained_note
from clayline_cli.choosing.scenes import stage_scene
from clayline_cli.console import Console
from clayline_cli.embedding.embed_options import EmbedOptions
from clayline_cli.embedding.showing import Showing
from clayline_cli.embedding.summary import Outcome, as_json, exit_status, paragraph, table
from clayline_cli.kept.folder import Kept
from clayline_cli.kept.watches import KeptWatches
from clayline_local.errors import LocalCloudError
from clayline_local.model_folder import ModelFolder
from clayline_local.session import Session
from clayline_local.staged_scene import StagedScene
from clayline_local.stopping import check, stoppable


def embed(options: EmbedOptions, scenes: Sequence[str], console: Console) -> int:
    """Embed every scene and tell what came out; gives the exit status. Raises ClaylineError, Stopped."""
    begun = time.monotonic()
    with ExitStack() as keep:
        keep.enter_context(_answering())
        with stoppable():
            model = ModelFolder.read(options.model)
            kept = Kept(options.out)
            keep.enter_context(kept.lock(console.notice))
        note = untrained_note(model.manifest.checkpoint)
        if note:
            console.warn(note)
        chips = model.chips_per_batch if options.batch_chips is None else options.batch_chips
        console.notice(
            f"starting moto_server, the endpoint with model {model}, and the functions, wired by template.yaml ..."
        )
        parameters = options.parameters(chips_per_batch=chips)
        session = Session(
            model=model.path,
            parameters=parameters,
            logs=kept.logs(),
            out=options.out,
            notice=console.notice,
            sensors=options.sensor_files(),
        )
        with session:
            watches = KeptWatches(kept=kept, session=session, warn=console.warn)
            with stoppable():
                kept.restore(session)
                watches.restore()
            console.notice(f"ready after {time.monotonic() - begun:.1f} s")
            outcomes = []
            embedding = _Embedding(options=options, console=console, kept=kept, watches=watches, session=session)
            for outcome in embedding.run(scenes):
                outcomes.append(outcome)
                print(as_json(outcome) if options.json else shown(paragraph(outcome)), flush=True)
    if len(outcomes) > 1 and not options.json:
        print(shown(f"\n{table(outcomes)}"), flush=True)
    if note:
        console.warn(note)
    check()  # a signal that came as everything ended
    return exit_status(outcomes)


@contextmanager
def _answering() -> Iterator[None]:
    """Say in a sentence that the local cloud does not do what it is there for.

    Boto3's errors have no base class in common.
    """
    try:
        yield
    except (BotoCoreError, ClientError, Boto3Error) as error:
        msg = f"the local cloud does not answer ({str(error).rstrip('.')}). Run again; why it ended is in OUT/logs."
        raise LocalCloudError(msg) from error


@dataclass(frozen=True, kw_only=True, slots=True)
class _Embedding:
    """What every scene goes through."""

    options: EmbedOptions
    console: Console
    kept: Kept
    watches: KeptWatches
    session: Session
    lost: list[str] = field(default_factory=list)
    """Why the local cloud can do no more, if it cannot."""

    def run(self, scenes: Sequence[str]) -> Iterator[Outcome]:
        """Embed one after the other.

        A scene that cannot be tried does not keep the others from it, unless the cloud is lost.
        """
        for number, scene in enumerate(scenes, start=1):
            begun = time.monotonic()
            try:
                if self.lost:
                    raise LocalCloudError(f"not tried: {self.lost[0]}")
                yield self._one(scene, f"{number} of {len(scenes)}" if len(scenes) > 1 else Path(scene).name)
            except ClaylineError as error:
                self.console.end()
                yield Outcome(scene=scene, error=str(error), seconds=time.monotonic() - begun)

    def _one(self, scene: str, label: str) -> Outcome:
        begun = time.monotonic()
        with ExitStack() as keep:
            staged = keep.enter_context(stage_scene(scene, self.options))
            with stoppable():
                self.console.begin(label)
                detail = self._answer(staged)
                self.console.end()
            files = self.kept.fetch(self.session, detail)
            self.kept.save(self.session)
            seconds = time.monotonic() - begun
            with stoppable():
                files |= Showing(options=self.options, console=self.console).of(files, staged)
                watched = tuple(self.watches.answers(detail))
                files |= self.watches.sheets(watched)
        return Outcome(scene=scene, detail=detail, files=files, seconds=seconds, watched=watched)

    def _answer(self, scene: StagedScene) -> dict[str, Any]:
        """Give the event's detail. Whatever goes wrong from the landing on, the cloud is not to be asked again."""
        try:
            with _answering():
                return self.session.wait(self._drop(scene), progress=self.console.progress)
        except LocalCloudError as error:
            self.lost.append(str(error))
            raise

    def _drop(self, scene: StagedScene) -> str:
        try:
            return self.session.drop(scene)
        except OSError as error:
            what = error.filename or scene.name
            msg = (
                f"{what} cannot be read or copied ({error.strerror or error}). Check its permissions, and TMPDIR's"
                " space."
            )
            raise LocalCloudError(msg) from error
