"""Measure exported folders against the published Clay: same weights, same chips, one JSON line for each comparison.

    PYTHONPATH=model:layers/clayline .venv-model/bin/python -m clay.proof.parity --size tiny --sensor all --precision
    fp32 fp16 --loss

Weights and chips are drawn afresh each time; the first line gives the seeds, which --seed repeats. Exit status 1 where
something misses its limit.
"""

from __future__ import annotations

import argparse
import json
import secrets
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import onnxruntime
import torch

from clay.accuracy import Answer, Runner
from clay.architecture import ARCHITECTURES
from clay.chips import Chips, random_chips
from clay.entry import CHIP_SIZE, Request
from clay.export import PRECISIONS, export
from clay.mask import Mask
from clay.proof.folded import compare_folded, largest_difference
from clay.proof.reference import Published
from clay.proof.scenes import SCENES, real_chips
from clay.sensor import find_sensor, known_sensors
from clay.weights import Source, checkpoint_source, seeded_source
from clayline.model.manifest import MANIFEST_FILE, ModelEntry, read_manifest
from clayline.model.vector import CLS, PARTS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt

    from clay.proof.folded import Line

EMBEDDING_LIMIT: Final = 1e-4
"""Largest difference of an fp32 folder's embeddings, whose values are of the order of 1."""
COSINE_LIMIT: Final = 0.9999
"""Smallest cosine of an fp16 folder's."""
INT8_LIMIT: Final = 0.98
"""The same for int8. Of seeded weights the smallest seen was 0.9966 with Clay's own sensors, and
0.9941 with a user's whose random chips reach hundreds of deviations from the mean."""
LOSS_LIMIT: Final = 1e-5
"""Largest difference of an fp32 folder's losses, over the loss where that is above 1."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """An entry, and chips for it."""

    request: Request
    origin: str
    """``random``, or the scene's name."""
    chips: Chips
    answers: dict[str, Answer]
    """The published model's, by the precision of torch's matrix products."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; give its exit status."""
    options = _parser().parse_args(arguments)
    seed = secrets.randbelow(2**31) if options.seed is None else options.seed
    print(json.dumps({"seed": seed, "torch": torch.__version__, "onnxruntime": onnxruntime.__version__}), flush=True)
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        source = seeded_source(options.size, seed, loss=True)
        published = Published(source.architecture, source.weights)
        if options.through_checkpoint:
            source = _through_checkpoint(published, source, work / "clay.ckpt")
        cases = [
            _answered(published, request, origin, chips, options) for request, origin, chips in _chips(options, seed)
        ]
        lines = [line for precision in options.precision for line in _compare(source, cases, precision, options)]
        if options.folded:
            lines += list(compare_folded(published, source, [case.request.selected for case in cases], work))
    for line in lines:
        print(json.dumps(line))
    return 0 if all(line["holds"] for line in lines) else 1


def _chips(options: argparse.Namespace, seed: int) -> Iterator[tuple[Request, str, Chips]]:
    generator = np.random.default_rng(seed)
    mask = Mask() if options.loss else None
    names = known_sensors() if options.sensor == ["all"] else options.sensor
    wanted = [(name, CHIP_SIZE, 1) for name in options.whole] + [
        (name, size, options.chips) for name in names for size in options.chip
    ]
    for name, chip_size, count in wanted:
        sensor = find_sensor(name)
        chips = random_chips(sensor, chip_size=chip_size, count=count, generator=generator)
        yield Request(sensor=sensor, chip_size=chip_size, mask=mask), "random", chips
    for name in SCENES if options.scene == ["all"] else options.scene:
        scene = SCENES[name]
        if not scene.folder.is_dir():
            print(json.dumps({"origin": name, "skipped": f"{scene.folder} is not here"}))
            continue
        for chip_size in options.chip:
            request = Request(
                sensor=find_sensor(scene.sensor),
                bands=tuple(scene.files),
                chip_size=chip_size,
                gsd=scene.gsd,
                mask=mask,
            )
            yield request, name, real_chips(scene, chip_size=chip_size)


def _answered(published: Published, request: Request, origin: str, chips: Chips, options: argparse.Namespace) -> Case:
    answers = {}
    for matmul in options.matmul:
        torch.set_float32_matmul_precision(matmul)
        losses = None if request.mask is None else published.losses(request.selected, chips, request.mask)
        answers[matmul] = Answer(
            embeddings=published.embeddings(request.selected, chips, options.vector).astype(np.float64), losses=losses
        )
    return Case(request=request, origin=origin, chips=chips, answers=answers)


def _compare(source: Source, cases: list[Case], precision: str, options: argparse.Namespace) -> Iterator[Line]:
    """Export one folder for all cases and compare each."""
    with tempfile.TemporaryDirectory() as temporary:
        out = Path(temporary) if options.keep is None else options.keep / "models"
        requests = {case.request.token("parity-v0"): case.request for case in cases}  # a scene's may be a sensor's own
        outcome = export(
            source, list(requests.values()), out, precision=precision, vector=options.vector, name="parity"
        )
        folder = outcome.folder
        manifest = read_manifest((folder / MANIFEST_FILE).read_bytes(), source=str(folder))
        runner = Runner(paths=(folder,), progress=lambda _: None)
        for case in cases:
            entry = manifest.entry(case.request.token(manifest.folder))
            # One chip a run where what it gives would depend on the others.
            together = 1 if entry.one_chip_a_run(on="cuda") else len(case.chips.pixels)
            ours = runner.run(entry.model_dump(), case.chips, what=case.origin, together=together)
            yield from (_difference(entry, case, matmul, ours) for matmul in case.answers)
            if options.keep is not None:
                _keep(options.keep, entry, case)


def _difference(entry: ModelEntry, case: Case, matmul: str, ours: Answer) -> Line:
    theirs, precision = case.answers[matmul], entry.options.precision
    difference, cosines = (
        largest_difference(ours.embeddings, theirs.embeddings),
        _cosines(ours.embeddings, theirs.embeddings),
    )
    cosine = float(np.min(cosines))  # NaN where one is
    line: Line = {
        "token": entry.token,
        "sensor": entry.sensor,
        "bands": len(entry.bands),
        "chip_size": entry.chip_size,
        "gsd": entry.gsd,
        "precision": precision,
        "dimensions": ours.embeddings.shape[1],
        "origin": case.origin,
        "chips": len(case.chips.pixels),
        "matmul": matmul,
        "max_abs": difference,
        "cosine": cosine,
        "cosines": cosines,
        "largest": float(np.abs(theirs.embeddings).max()),
    }
    # A NaN holds no limit, since it compares false with everything.
    holds = {"fp32": difference < EMBEDDING_LIMIT, "fp16": cosine >= COSINE_LIMIT, "int8": cosine >= INT8_LIMIT}[
        precision
    ]
    if ours.losses is not None and theirs.losses is not None:
        apart = float((np.abs(ours.losses - theirs.losses) / np.maximum(theirs.losses, 1)).max())
        line |= {"loss": theirs.losses.tolist(), "loss_difference": apart}
        holds &= precision != "fp32" or apart <= LOSS_LIMIT
    # Where torch itself computes with less, the difference says nothing about the folder: it is reported.
    return line | {"holds": holds or matmul != "highest"}


def _through_checkpoint(published: Published, source: Source, file: Path) -> Source:
    """Save the model as Lightning does, teacher and all, and read that."""
    published.save(file)
    return checkpoint_source(file, source.architecture.size, loss=True)


def _keep(where: Path, entry: ModelEntry, case: Case) -> None:
    answers, theirs = where / "answers", next(iter(case.answers.values()))
    answers.mkdir(exist_ok=True)
    losses = {} if theirs.losses is None else {"losses": theirs.losses}
    embeddings = theirs.embeddings.astype(np.float32)
    np.savez(answers / f"{entry.token}.npz", allow_pickle=False, **case.chips.feed, embeddings=embeddings, **losses)


def _cosines(one: npt.NDArray[np.float64], other: npt.NDArray[np.float64]) -> list[float]:
    found: list[float] = (
        (one * other).sum(axis=1) / (np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1))
    ).tolist()
    return found


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m clay.proof.parity", description="Compare exported folders with claymodel 1.5.0."
    )
    parser.add_argument("--size", choices=ARCHITECTURES, default="tiny")
    parser.add_argument("--sensor", nargs="*", default=[], help="names or YAML files, or all: random chips of each")
    parser.add_argument("--scene", nargs="*", default=[], choices=[*SCENES, "all"], help="real chips")
    parser.add_argument("--chip", nargs="+", type=int, default=[CHIP_SIZE], help="pixels a side")
    parser.add_argument(
        "--chips", type=int, default=2, help="how many random ones of each sensor: plausible and extreme in turn"
    )
    parser.add_argument(
        "--whole",
        nargs="*",
        default=[],
        help="like --sensor: one plausible chip of 256 px of each, whatever --chip says",
    )
    parser.add_argument("--precision", nargs="+", choices=PRECISIONS, default=["fp32"])
    parser.add_argument("--vector", choices=PARTS, default=CLS)
    parser.add_argument("--loss", action="store_true")
    parser.add_argument(
        "--matmul", nargs="+", choices=["highest", "high", "medium"], default=["highest"], help="torch's"
    )
    parser.add_argument(
        "--through-checkpoint", action="store_true", help="export what was saved as a checkpoint and read again"
    )
    parser.add_argument("--folded", action="store_true", help="compare what an export folds into constants, too")
    parser.add_argument("--seed", type=int, help="of weights and chips; default: another one each time")
    parser.add_argument(
        "--keep", type=Path, metavar="DIR", help="leave the folders in DIR/models, chips and answers in DIR/answers"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
