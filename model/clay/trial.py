"""An export tried out before it is written: whether its numbers fit, and how far they are from float32's."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from clay import trunk
from clay.accuracy import Answer, Runner, difference
from clay.chips import checkerboard
from clay.entry import Base, Request, write_entry
from clay.hyper_network import FILE as HYPER_FILE
from clay.magnitude import Magnitudes, check_weights, fp16_precision, summary, write_measuring_trunk
from clay.probes import probe_chips

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from clay.chips import Chips
    from clay.transformer import Precision
    from clay.weights import Source


@dataclass(kw_only=True, slots=True)
class Trial:
    """Chips for an export, what float32 gives for them, and the report that comes of it."""

    requests: Sequence[Request]
    progress: Callable[[str], None]
    """Takes a line for whoever waits."""
    chips: list[list[tuple[str, Chips]]]
    """By request, with their kinds."""
    metrics: dict[str, Any] = field(default_factory=dict)
    _wide: list[list[Answer]] = field(default_factory=list)

    @classmethod
    def of(cls, requests: Sequence[Request], probes: Sequence[Path] | None, progress: Callable[[str], None]) -> Trial:
        """Prepare one; ``probes`` are GeoTIFFs of real pixels. Raises ModelError."""
        return cls(requests=requests, progress=progress, chips=probe_chips(requests, probes or ()))

    def settle(self, source: Source, base: Base, path: Path, precision: Precision) -> Precision:
        """Run the chips through float32 graphs, which come and go under ``path``.

        Give the precision that is safe for them.

        Raises ModelError where no fp16 is.
        """
        if base.precision == "fp32":
            return precision
        work = path / "float32"
        work.mkdir()
        loss = self.requests[0].mask is not None
        graph = write_measuring_trunk(source.architecture, source.weights, loss=loss, vector=base.vector)
        if base.precision == "fp16":
            check_weights(graph)
        graph.write(work, trunk.FILE)
        wide, runner = replace(base, precision="fp32"), Runner(paths=(work,), progress=self.progress)
        entries = [write_entry(work, path / HYPER_FILE, wide, request) for request in self.requests]
        self._wide = [
            [runner.run(entry, chips, what=f"float32, {kind}") for kind, chips in each]
            for entry, each in zip(entries, self.chips, strict=True)
        ]
        shutil.rmtree(work)
        if base.precision == "fp16":
            precision = self._fp16()
        return precision

    def judge(self, entries: Sequence[Mapping[str, Any]], path: Path, precision: str) -> None:
        """Run the chips through the export's own graphs and add to the report. In float32 one chip will do.

        Raises ModelError where something is not finite.
        """
        runner = Runner(paths=(path,), progress=self.progress)
        if not self._wide:
            runner.run(entries[0], checkerboard(self.requests[0]), what=precision)
            return
        accuracy = self.metrics.setdefault("accuracy", {})
        for entry, each, wide in zip(entries, self.chips, self._wide, strict=True):
            for (kind, chips), answer in zip(each, wide, strict=True):
                found = difference(runner.run(entry, chips, what=f"{precision}, {kind}"), answer)
                accuracy.setdefault(entry["token"], {})[kind] = found
                self.progress(f"{entry['token']}: {precision} against float32, {kind}: {found}")

    def _fp16(self) -> Precision:
        seen = [answer.magnitudes for each in self._wide for answer in each if answer.magnitudes is not None]
        found = Magnitudes(
            tokens=max(each.tokens for each in seen),
            residual=max(each.residual for each in seen),
            matrices=max(each.matrices for each in seen),
        )
        chosen = fp16_precision(found)
        self.metrics["range"] = summary(
            found, chosen, sum(len(chips.pixels) for each in self.chips for _, chips in each)
        )
        self.progress(f"largest numbers within: {self.metrics['range']}")
        return chosen
