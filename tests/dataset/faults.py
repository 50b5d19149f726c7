"""A dataset under faults, from a seed: scenes land, compactors are killed and race, readers look; nothing is lost.

``make faults-dataset SEED=1 PASSES=2000``.
"""

import argparse
import random
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Final

from tests.dataset.compactors import Seen, compacting, expected, index, read
from tests.dataset.scenes import MadeUp
from tests.dataset.world import LostAnswerError, Memory

from clayline.dataset.manifest import MANIFEST
from clayline.errors import TransientError
from clayline.steps.compacting import Compacting
from clayline.table.index_reading import read_manifest

EVENTS: Final = ("land", "land", "revise", "again", "wait", "grace")
FAULTS: Final = ("kill-before", "kill-after", "answer-lost", "race", "event-meanwhile", "read-meanwhile", "slow")
OPERATIONS: Final = 40
"""Up to which of a pass's the fault happens."""
_WRITES: Final = 8


class KilledError(Exception):
    """The process ended here."""


@dataclass
class Campaign:
    """Steps over one dataset; after each a reader finds every scene once, as it was indexed."""

    seed: int
    scratch: Path
    root: Memory = field(default_factory=Memory)
    scenes: list[MadeUp] = field(default_factory=list)
    done: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        """Begin with some scenes."""
        self._random = random.Random(self.seed)
        self._compactors = 0
        self._chips: Seen = {}
        for _ in range(6):
            self.event("land")

    def step(self) -> None:
        """Let something happen, compact with a fault in the way, look. Raises AssertionError."""
        self.event(self._random.choice(EVENTS))
        self.compact(self._random.choice((*FAULTS, "none")), self._random.randrange(OPERATIONS))
        self.look()

    def look(self) -> None:
        """Read as a user does. Raises AssertionError where that is not exactly what was indexed."""
        assert read(self.root) == self._chips, "a reader sees something else than was indexed"

    def settle(self) -> None:
        """Compact undisturbed until nothing is left; then nothing but what counts is there."""
        compactor = self._compactor(self.scratch)
        while compactor.compact().changed:
            self.look()
        for _ in range(2):
            self.root.now += timedelta(days=2)
            compactor.compact()
        self.look()
        manifest, _ = read_manifest(self.root)
        assert manifest.scenes == len({scene.number for scene in self.scenes})
        assert (manifest.absorbed, manifest.retired) == ((), ())
        named = {
            MANIFEST,
            *(part.file.href for part in manifest.parts),
            *(file.href for file in manifest.history),
            *(file.file.href for file in manifest.files),
        }
        assert {stored.key for stored in self.root.list("dataset/")} == named

    def compact(self, fault: str, at: int) -> None:
        """Make a pass; before its operation ``at``, or after its write ``at`` modulo 8, the fault happens."""
        operations = writes = 0

        def before(*_: str) -> None:
            nonlocal operations
            operations += 1
            if operations == at + 1:
                self._undisturbed()
                self._happen(fault)
                self.root.after = after

        def after(*_: str) -> None:
            nonlocal writes
            writes += 1
            if writes == at % _WRITES + 1 and fault in {"kill-after", "answer-lost"}:
                self.done[fault] += 1
                raise KilledError if fault == "kill-after" else LostAnswerError

        self.root.before, self.root.after = before, after
        try:
            with tempfile.TemporaryDirectory(dir=self.scratch) as scratch:
                self._compactor(Path(scratch)).compact()
            self.done["whole passes"] += 1
        except (KilledError, LostAnswerError):
            self.done["ended passes"] += 1
        except TransientError:
            self.done["given up"] += 1
        finally:
            self._undisturbed()

    def event(self, kind: str) -> None:
        """Let something happen to the dataset, or time pass."""
        if kind == "land":
            self._index(MadeUp(number=len({scene.number for scene in self.scenes}), rows=self._rows()))
        elif kind == "revise":
            number = self._random.choice(self.scenes).number
            highest = max(scene.revision for scene in self.scenes if scene.number == number)
            self._index(MadeUp(number=number, revision=highest + 1, rows=self._rows()))
        elif kind == "again":
            index(self.root, self._random.choice(self.scenes))
        else:
            self.root.now += timedelta(hours=25 if kind == "grace" else self._random.randrange(12))

    def _happen(self, fault: str) -> None:
        if fault == "kill-before":
            self.done[fault] += 1
            raise KilledError
        if fault in {"race", "slow"}:
            if fault == "slow":
                self.root.now += timedelta(hours=self._random.choice((1, 11, 13, 30)))
            self.event(self._random.choice(("land", "revise")))
            with tempfile.TemporaryDirectory(dir=self.scratch) as scratch:
                self._compactor(Path(scratch)).compact()
        elif fault == "event-meanwhile":
            self.event(self._random.choice(("land", "revise", "again")))
        elif fault == "read-meanwhile":
            self.look()
        self.done[fault] += 1

    def _undisturbed(self) -> None:
        self.root.before = self.root.after = lambda *_: None

    def _compactor(self, scratch: Path) -> Compacting:
        self._compactors += 1
        return compacting(self.root, scratch, f"{self._compactors}-")

    def _rows(self) -> int:
        return self._random.choice((1, 4, 16))

    def _index(self, scene: MadeUp) -> None:
        scene.land(self.root)
        index(self.root, scene)
        self.scenes.append(scene)
        self._chips = expected(*self.scenes)


def main() -> int:
    """Run campaigns until so many passes were made; gives the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--passes", type=int, default=2_000)
    found = parser.parse_args()
    done: Counter[str] = Counter()
    seed = found.seed
    with tempfile.TemporaryDirectory() as scratch:
        while done["passes"] < found.passes:
            campaign = Campaign(seed=seed, scratch=Path(scratch))
            try:
                for _ in range(min(50, found.passes - done["passes"])):
                    campaign.step()
                    done["passes"] += 1
                campaign.settle()
            except AssertionError as error:
                print(f"seed {seed}, pass {done['passes']}: {error}", file=sys.stderr)
                return 1
            done += campaign.done
            done["scenes"] += len(campaign.scenes)
            seed += 1
    print(", ".join(f"{count} {name}" for name, count in sorted(done.items())))
    print(f"{done['passes']} passes from seed {found.seed}: every reader saw every scene once")
    return 0


if __name__ == "__main__":
    sys.exit(main())
