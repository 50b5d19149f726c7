"""A campaign: some scenes in one world, and what goes wrong, all from one seed."""

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from random import Random

from tests.faults.endpoint import notification
from tests.faults.entrances import WORK
from tests.faults.imagery import SCENES, Comes, Scene, make_scene, read_band
from tests.faults.model import Model, make_model
from tests.faults.profile import Profile
from tests.faults.tables import Table
from tests.faults.timeline import HOUR
from tests.faults.verdict import Violation, Watching, judge
from tests.faults.world import World

from clayline.run.keys import inference_id

_LANDING_SECONDS = 1200.0
_ALL_OVER = 12 * HOUR
"""When a campaign without other faults is over."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Told:
    """What came of a campaign."""

    seed: str
    batches: int
    scenes: int
    violations: tuple[Violation, ...]
    ends: Counter[str]
    """Events by kind."""
    injected: Counter[tuple[str, str]]
    """Faults by call and kind."""
    fates: Counter[str]
    days: float
    """Of injected time."""
    trace: str


@cache
def models() -> tuple[Model, Model, Model]:
    """Give a model, its next version, and other weights under the first one's names."""
    return make_model("1.0", seed=1), make_model("2.0", seed=2), make_model("1.0", seed=3)


def run_campaign(profile: Profile, *, seed: str, table: Table, scratch: Path) -> Told:
    """Run it to its end and judge it."""
    first, second, swapped = models()
    world = World(profile, seed=f"{seed} faults", models=(first, second), table=table, scratch=scratch)
    chance = Random(f"{seed} scenes")
    story = _Story(world, chance, second=second, swapped=swapped)
    world.watch = watching = Watching(world, settled=story.settled)
    for number in range(profile.scenes):
        comes = _comes(profile, Random(f"{seed} {number} comes"))
        story.tell(make_scene(f"scene-{number}", chance, side=profile.side, empty=profile.empty, comes=comes))
    world.run()
    found = (*watching.found, *judge(world, {model.entry.digest: model for model in models()}))
    return Told(
        seed=seed,
        batches=sum(row.batches for row in world.ledger.runs.values()),
        scenes=profile.scenes,
        violations=found,
        ends=Counter(event.kind for event in world.events),
        injected=world.injector.done,
        fates=world.endpoint.spoken,
        days=world.timeline.seconds / (24 * HOUR),
        trace=world.injector.trace,
    )


def _comes(profile: Profile, chance: Random) -> Comes:
    """Draw how a scene comes; of those that are published, a third are linked."""
    drawn = chance.random()
    if drawn < profile.published:
        return Comes.LINKED if chance.random() < 1 / 3 else Comes.PUBLISHED
    return Comes.COG if drawn < profile.published + profile.cogs else Comes.ITEM


class _Story:
    """What happens to a scene from outside."""

    def __init__(self, world: World, chance: Random, *, second: Model, swapped: Model) -> None:
        self._world = world
        self._chance = chance
        self._second = second
        self._swapped = swapped
        self._scenes: dict[str, Scene] = {}

    def tell(self, scene: Scene) -> None:
        """Let a scene land, and whatever else the profile has in store for it."""
        profile = self._world.profile
        self._scenes[scene.name] = scene
        lands = self._chance.random() * _LANDING_SECONDS
        for key, body in scene.files.items():
            self._world.storage.put(f"s3://{SCENES}/{key}", body)
        self._at(lands, lambda: self._come(scene, scene.item))
        while self._happens(profile.relandings):
            key = scene.key if self._happens(0.5) else scene.at("copies")
            self._at(lands + self._soon(), lambda key=key: self._come(scene, scene.item, key))  # type: ignore[misc]
        if profile.loses_ledger:
            self._at(_ALL_OVER, self._world.lose_ledger)
            again = scene.corrected if self._happens(0.5) else scene.item
            self._at(_ALL_OVER + lands + 1, lambda: self._come(scene, again))
        if self._happens(profile.replacements):
            self._at(lands + self._soon(), lambda: self._replace(scene))
        elif self._happens(profile.returns) and (scene.comes is not Comes.COG or profile.replacements):
            # Chips of a COG that is replaced fail, so that is nothing that heals.
            changes = self._soon()
            self._at(lands + changes, lambda: self._come(scene, scene.corrected))
            self._at(lands + changes + self._soon(), lambda: self._come(scene, scene.item))
        else:
            self._order(scene, lands)
        if self._happens(profile.deletions):
            gone = self._chance.choice(sorted(scene.files) or [scene.key])
            self._at(lands + self._soon(), lambda: self._world.storage.delete(f"s3://{SCENES}/{gone}"))
        if self._happens(profile.deployments):
            self._at(lands + self._soon(), lambda: self._world.deploy(self._second))
        if self._happens(profile.swaps):
            folder = self._swapped.manifest.folder
            swap = self._world.endpoint.served.__setitem__
            self._at(lands + self._soon(), lambda: swap(folder, self._swapped))
        while self._happens(profile.strays):
            self._at(lands + self._soon(), self._stray)

    def _come(self, scene: Scene, body: bytes, key: str | None = None) -> None:
        """Let a scene come as it does, with this body; ``key`` where it lies at another place."""
        entrances = self._world.entrances
        if scene.comes is Comes.PUBLISHED:
            entrances.publish(body)
        elif scene.comes is Comes.LINKED:
            entrances.link(key or scene.key, body)
        else:
            entrances.land(key or scene.key, body)

    def _order(self, scene: Scene, lands: float) -> None:
        """Have an operator end the scene's runs, and hours later compute again what failed of them."""
        name = scene.name

        def order(kind: str) -> None:
            for row in list(self._world.ledger.runs.values()):
                if row.scene == name:
                    message = json.dumps({"kind": f"clayline-{kind}/1", "run": row.run})
                    self._world.queues["scene"].put(message)
                    self._world.ordered[name] += kind == "redrive"

        if self._happens(self._world.profile.aborts):
            self._at(lands + self._soon(), lambda: order("abort"))
        if self._happens(self._world.profile.redrives):
            self._at(lands + (3 + 20 * self._chance.random()) * HOUR, lambda: order("redrive"))

    def settled(self, run: str) -> None:
        """Let the scene of a run land once more, at another place, just before it is collected."""
        row, share = self._world.ledger.run(run), self._world.profile.lands_at_the_end
        if row and share and self._happens(share):
            scene = self._scenes[row.scene]
            self._come(scene, scene.item, scene.key if scene.comes is Comes.COG else scene.at("again"))

    def _replace(self, scene: Scene) -> None:
        """Put other pixels, or another Item; mostly the Item lands again with them."""
        if scene.files and self._happens(0.7):
            key = self._chance.choice(sorted(scene.files))
            other = replace(read_band(scene.files[key]), seed=self._chance.getrandbits(40))
            self._world.storage.put(f"s3://{SCENES}/{key}", other.to_bytes())
            if self._happens(0.7):
                self._come(scene, scene.item)
        else:
            self._come(scene, scene.corrected)

    def _stray(self) -> None:
        """Put something onto the result queue that is about no attempt of ours."""
        runs = sorted(self._world.ledger.runs)
        run = self._chance.choice(runs) if runs and self._happens(0.8) else f"{self._chance.getrandbits(128):032x}"
        batch, other = f"b{self._chance.randrange(3):05d}", f"b{self._chance.randrange(3, 6):05d}"
        texts = (
            self._result(run, batch, f"{self._chance.getrandbits(160):040x}"),
            self._result(run, batch, inference_id(run=run, batch=other, attempt=1)),
            self._result(run, "b40000", inference_id(run=run, batch="b40000", attempt=1)),
            "no JSON",
            "{}",
        )
        self._world.queues["result"].put(self._chance.choice(texts))

    def _result(self, run: str, batch: str, identity: str) -> str:
        status = self._chance.choice(("Completed", "Failed"))
        input_uri = f"s3://{WORK}/requests/{run}/{batch}.safetensors"
        return notification(input_uri, identity, status=status, output=f"s3://{WORK}/responses/nobody.out")

    def _at(self, seconds: float, act: Callable[[], None]) -> None:
        self._world.timeline.after(seconds, act)

    def _happens(self, rate: float) -> bool:
        return self._chance.random() < rate

    def _soon(self) -> float:
        """While the scene is on its way: half of it while it is planned and cut, in the first minutes."""
        drawn = self._chance.random()
        return drawn * 180 if self._happens(0.5) else drawn**2 * 2 * HOUR
