"""Files checked together: identifiers, models, revisions and receipts of all that lie under a prefix."""

import re
from collections import defaultdict
from collections.abc import Iterable
from typing import Final

from clayline.run.receipt import Receipt
from clayline.verification.checks import SET_CHECKS
from clayline.verification.datasets import not_looked_at
from clayline.verification.files import FileVerdict
from clayline.verification.outcomes import Outcomes
from clayline.verification.sightings import Sightings

_REVISION: Final = re.compile(r"_v([0-9]{3,})\.(?:parquet|gpq|geoparquet)\Z")


class FilesTogether:
    """Takes one verdict after the other; memory holds a few names a file."""

    def __init__(self) -> None:
        self.outcomes = Outcomes(SET_CHECKS)
        self._scenes: dict[str, int] = {}
        self._first: list[str] = []
        self._digests: dict[str, set[str]] = defaultdict(set)
        self._revisions: dict[str, list[int]] = defaultdict(list)
        self._names: set[str] = set()
        self._ours = 0

    def number(self, name: str, *, ours: bool) -> int:
        """Give the number of a file's scene: revisions of one scene share it."""
        scene = name.rpartition("/")[0] if ours and _REVISION.search(name) else name
        if scene not in self._scenes:
            self._scenes[scene] = len(self._first)
            self._first.append(name)
        return self._scenes[scene]

    def add(self, verdict: FileVerdict) -> None:
        """Take a file."""
        self._names.add(verdict.name)
        if verdict.layout != "clayline":
            return
        self._ours += 1
        if not verdict.receipt:
            self.outcomes.found("set-receipts", "there is no receipt beside the file", [verdict.name])
        match = _REVISION.search(verdict.name)
        if match:
            self._revisions[verdict.name.rpartition("/")[0]].append(int(match[1]))
        provenance = verdict.provenance
        if provenance is None:
            return
        self._digests[provenance.model.token].add(provenance.model.digest)
        parts = verdict.name.split("/")
        if match and len(parts) > 2 and parts[-3] != provenance.model.token:  # noqa: PLR2004 - token/scene/name
            self.outcomes.found(
                "set-models", f"the folder is {parts[-3][:60]}, the file's model another", [verdict.name]
            )
        if match and int(match[1]) != provenance.revision:
            self.outcomes.found(
                "set-revisions", f"the name says revision {int(match[1])}, the header {provenance.revision}",
                [verdict.name],
            )  # fmt: skip

    def add_receipt(self, name: str, receipt: Receipt) -> None:
        """Take a receipt beside which there is no file."""
        if receipt.counts.written:
            self.outcomes.found(
                "set-receipts", f"the receipt says that {receipt.counts.written} chips are written, there is no file",
                [name],
            )  # fmt: skip

    def end(self, ids: Sightings, *, other: Iterable[str] = ()) -> None:
        """Tell what only all files together show; ``other`` are reasons why nothing is said of a dataset."""
        for where in ids.repeated(other=True):
            self.outcomes.found("set-identifiers", "an identifier stands in", [self._between(where)], count=1)
        for token, digests in self._digests.items():
            if len(digests) > 1:
                self.outcomes.found(
                    "set-models", f"{token} means {len(digests)} models", sorted(digests), count=len(digests)
                )
        for scene, numbers in self._revisions.items():
            if len(set(numbers)) < len(numbers):
                self.outcomes.found("set-revisions", "two files are one revision of a scene", [scene])
        if not self._ours:
            names = ("set-models", "set-revisions", "set-receipts")
            self.outcomes.cannot_any(names, "none of the files is one of ours")
        not_looked_at(other, self.outcomes)

    def _between(self, where: list[int]) -> str:
        return " and ".join(self._first[number].rpartition("/")[2] for number in where[:2])
