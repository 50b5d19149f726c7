"""Why an answer rests on what it does: which scenes were meant, which files were read, and why the others were not."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from clayline.api.index import Index, meeting
from clayline.api.planning import meets, sources
from clayline.dataset.asking import Span
from clayline.dataset.choosing import is_model
from clayline.dataset.counted import Asked
from clayline.dataset.scene_row import SceneRow
from clayline.outputs.region import Region

MEANT: Final = "meant"
_EVERYWHERE: Final = Span()


@dataclass(frozen=True, kw_only=True, slots=True)
class FileRead:
    """A file of which something was read."""

    key: str
    stage: str
    """What for: ``bits``, ``candidates``, ``exact``, ``examples``; ``compared``, ``calibration``."""
    asked: Asked


@dataclass(frozen=True, kw_only=True, slots=True)
class Explanation:
    """Of one answer."""

    scenes: Mapping[str, int]
    """Newest revisions, by what became of them: ``meant``, or why they were passed over (the first that holds):
    ``model``, ``place``, ``time``, ``instrument``."""
    read: tuple[FileRead, ...]
    """Files of chips and their tiers, as they lie below the root."""
    passed_over: Mapping[str, str]
    """Files of chips of which nothing was read, and why; ``no-scene``: none of its scenes is meant."""

    def values(self) -> dict[str, Any]:
        """Give everything as JSON can say it."""
        return {
            "scenes_meant": self.scenes.get(MEANT, 0),
            "scenes_passed_over": {why: count for why, count in sorted(self.scenes.items()) if why != MEANT},
            "files_read": [
                {"file": each.key, "stage": each.stage, "requests": each.asked.requests, "bytes": each.asked.size}
                for each in self.read
            ],
            "files_passed_over": [{"file": key, "why": why} for key, why in self.passed_over.items()],
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Meant:
    """What makes a scene one that is meant."""

    model: str | None
    """Token, perhaps with a digest; None: any."""
    region: Region | None
    span: Span
    instruments: frozenset[str] | None = None
    """None: any."""

    def judge(self, rows: Sequence[SceneRow]) -> list[str]:
        """Say of each scene that it is meant, or why it is passed over."""
        there = meeting(self.region, rows)
        return [self._one(row, there=there is None or id(row) in there) for row in rows]

    def _one(self, row: SceneRow, *, there: bool) -> str:
        if self.model is not None and not is_model(self.model, row.token, row.digest):
            return "model"
        if not there:
            return "place"
        if not self.span.meets(row.start, row.end):
            return "time"
        if self.instruments is not None and row.instrument not in self.instruments:
            return "instrument"
        return MEANT


def scenes_by_reason(index: Index, meant: Meant) -> Counter[str]:
    """Count the newest revisions of all scenes of a model by what becomes of them. Reads the whole index.

    Raises DatasetError, TransientError.
    """
    return Counter(meant.judge(_every(index)))


def explain(
    index: Index, meant: Meant, asked: Mapping[str, Asked], *, stages: Mapping[str, str], other: str
) -> Explanation:
    """Explain what was read: ``asked`` by key, and ``stages``, what for; ``other`` is that of files that it lacks.

    Raises DatasetError, TransientError: it reads the whole index.
    """
    rows = _every(index)
    why = meant.judge(rows)
    squares = {row.partition for row, reason in zip(rows, why, strict=True) if reason == MEANT and row.compacted}
    reasons: dict[str, str] = {}
    for file in index.manifest.files:
        if meant.model is not None and file.token != meant.model.partition("@")[0]:
            reason = "model"
        elif not meets(meant.region, file.extent.box):
            reason = "place"
        elif not meant.span.meets(file.extent.start, file.extent.end):
            reason = "time"
        else:
            reason = MEANT if file.partition in squares else "no-scene"
        reasons[file.file.href] = reason
    tiers = {tier.file.href for file in index.manifest.files for tier in file.tiers.values()}
    reasons |= {row.href: reason for row, reason in zip(rows, why, strict=True) if not row.compacted}
    known = {*reasons, *tiers, *(row.href for row in rows)}
    return Explanation(
        scenes=dict(Counter(why)),
        read=tuple(
            FileRead(key=key, stage=stages.get(key, other), asked=asked[key]) for key in sorted(asked) if key in known
        ),
        passed_over={key: reasons[key] for key in sorted(reasons) if key not in asked and reasons[key] != MEANT},
    )


def explain_change(index: Index, meant: Meant, asked: Mapping[str, Asked]) -> Explanation:
    """Explain what a comparison read: the files of what is compared, and of the pairs that calibrate it.

    Raises DatasetError, TransientError.
    """
    chosen = index.choose(meant.region, meant.span, model=meant.model, every_revision=False, mixed=True, lossy=True)
    compared = {source.at.key: "compared" for source in sources(index.manifest, chosen, meant.region, meant.span)}
    return explain(index, meant, asked, stages=compared, other="calibration")


def _every(index: Index) -> tuple[SceneRow, ...]:
    return index.choose(None, _EVERYWHERE, model=None, every_revision=False, mixed=True, lossy=True).newest
