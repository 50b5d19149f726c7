"""Clay on the CPU: our graphs in ONNX Runtime against the published claymodel in torch, in one run.

`.venv/bin/python benchmarks/clay_cpu.py` draws seeded weights of `large`, writes the graphs, and starts a process for
each contender: torch under `.venv-model` (importing claymodel sets torch's precision of float32 products to `medium`;
`highest` is measured too), our chain in fp32 and int8, and the chain folded into one graph. They take turns, so that a
shared machine's drift meets all; a ratio is the median of the rounds'. A line of JSON a number; exit status 1 where a
target is missed or a contender is lost. All parts, or `--parts`:

    compare        fp32 at least torch as shipped, int8 at least 1.9 times that,
                   the chain at least 0.98 of the folded graph
    stages         the share of each graph of the chain: what folding could save;
                   and making all stems, as a starting server could
    micro-batches  fp32 by the number of chips in one run, and torch with as many as it is given here
    loss           what the loss costs

The parts of `large` take about 6, 3, 6 and 3 minutes on two cores without VNNI that do nothing else; `--size tiny`
takes seconds.
"""

import argparse
import os
import platform
import statistics
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.clay_contenders import ROOT, Contender, ContenderError, alternate, judge, rates, report
from benchmarks.clay_graphs import Workshop, similarity
from benchmarks.clay_operations import chip_operations
from benchmarks.clay_stages import measure_stages, stems_at_start

FEATURES = ("avx2", "f16c", "avx512f", "avx512_bf16", "avx512_vnni", "avx_vnni", "amx_int8", "amx_bf16")
PARTS = ("compare", "stages", "micro-batches", "loss")
CONTENDER_SECONDS = 3600.0
"""How long a contender may live: a machine with other work to do may be slow, not stuck."""
TARGET_FP32, TARGET_INT8, TARGET_FOLDED = 1.0, 1.9, 0.98
LARGEST_SHARE = 0.02
"""What flexibility may cost of the throughput. The folded graph does the stem's work too, so it cannot save more than
the time outside the trunk."""
SIZES = (1, 2, 4, 8)
TORCH_MICRO_BATCH = 4

type Measured = list[Mapping[str, float]]
type Results = dict[str, Measured]
type Work = Callable[[], Mapping[str, float]]


def processor() -> dict[str, Any]:
    """Name the processor and what of its features matters here; int8 depends on VNNI."""
    text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    fields = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    names = {name.strip(): value.strip() for name, value in fields.items()}
    flags = set(names.get("flags", "").split())
    return {
        "processor": names.get("model name", platform.processor()),
        "cores": os.process_cpu_count(),
        "features": {feature: feature in flags for feature in FEATURES},
    }


class Run:
    """What the parts share: graphs, chips, contenders."""

    def __init__(self, options: argparse.Namespace, folder: Path) -> None:
        self.options = options
        self.folder = folder
        self.workshop = Workshop.open(folder / "graphs", size=options.size, sensor=options.sensor, seed=options.seed)
        self.chips = self.workshop.chips(max(*SIZES, options.chips))
        self.missed = False
        self._contenders: list[Contender] = []

    def graphs(self, stages: list[str]) -> Contender:
        """Start ONNX Runtime with these graphs."""
        order = {"device": "cpu", "stages": stages, "threads": self.options.threads, "chips": self.chips}
        return self._keep(Contender("benchmarks.clay_onnx", order, folder=self.folder, seconds=CONTENDER_SECONDS))

    def torch(self) -> Contender | None:
        """Start torch, or say why not."""
        order = {"device": "cpu", "size": self.options.size, "seed": self.options.seed, "compiled": False}
        order |= {"threads": self.options.threads, "chips": self.chips, "sensor": self.workshop.sensor()}
        python = str(self.options.torch_python)
        try:
            return self._keep(
                Contender("benchmarks.clay_torch", order, folder=self.folder, python=python, seconds=CONTENDER_SECONDS)
            )
        except ContenderError as error:
            report({"name": "clay_cpu", "not_done": "everything against torch", "why": str(error)})
            self.missed = True
            return None

    def time(self, contender: Contender, *, chips: int, micro_batch: int, **order: str) -> Work:
        """Give what times it once. It runs once unmeasured now."""
        contender.ask("run", chips=micro_batch, micro_batch=micro_batch, **order)
        return lambda: contender.ask("run", chips=chips, micro_batch=micro_batch, **order)

    def measure(self, work: dict[str, Work], *, chips: Mapping[str, int], rounds: int, part: str) -> Results:
        """Take turns, print each one's numbers, give what was measured by round."""
        results = alternate(work, rounds=rounds, dropped=self._lost)
        for name, found in results.items():
            count = chips[name]
            report(
                {
                    "name": f"clay_cpu_{part}",
                    "contender": name,
                    "size": self.options.size,
                    "chips_per_second": round(statistics.median(rates(found, chips=count)), 4),
                    "seconds_per_chip": round(statistics.median(one["seconds"] for one in found) / count, 3),
                    "cpu_seconds_per_chip": round(statistics.median(one["cpu_seconds"] for one in found) / count, 3),
                    "peak_rss_mb": max(one["peak_rss_mb"] for one in found),
                    "rounds": len(found),
                }
            )
        return results

    def judge(self, name: str, found: Results, ours: str, theirs: str, target: float | None = None) -> None:
        """Print a ratio of two contenders, if there are both, and remember a target that was missed."""
        if {ours, theirs} <= found.keys():
            line = judge(f"clay_cpu_{name}", found[ours], found[theirs], target=target)
            self.missed |= not line.get("met", True)

    def end(self) -> None:
        """End the contenders that still run."""
        while self._contenders:
            self._contenders.pop().stop()

    def _lost(self, name: str, error: ContenderError) -> None:
        report({"name": "clay_cpu", "not_done": f"further rounds of {name}", "why": str(error)})
        self.missed = True

    def _keep(self, contender: Contender) -> Contender:
        self._contenders.append(contender)
        report({"name": "clay_cpu_contender", **contender.started})
        return contender


def compare(run: Run) -> None:
    """Measure all contenders with the same chips."""
    count, rounds = run.options.chips, run.options.rounds
    ours = {"fp32": run.graphs(run.workshop.chain("fp32")), "folded": run.graphs(run.workshop.folded("fp32"))}
    ours["int8"] = run.graphs(run.workshop.chain("int8"))
    published = run.torch()
    # int8 has one scale for all that runs at once, so it takes chips one by one; the others are given them together.
    micro_batch = {"fp32": count, "folded": count, "int8": 1}
    work = {name: run.time(each, chips=count, micro_batch=micro_batch[name]) for name, each in ours.items()}
    if published is not None:
        work["torch-as-shipped"] = run.time(published, chips=count, micro_batch=count)
        work["torch-highest"] = run.time(published, chips=count, micro_batch=count, matmul="highest")
    vectors = {name: run.folder / f"{name}.npy" for name in (*ours, "torch")}
    for name, contender in (ours | ({} if published is None else {"torch": published})).items():
        contender.ask("embed", chips=count, micro_batch=micro_batch.get(name, count), to=str(vectors[name]))
    for name in ("fp32", "int8"):
        reference = "fp32" if published is None else "torch"
        report(
            {
                "name": "clay_cpu_vectors",
                "of": name,
                "against": reference,
                **similarity(vectors[name], vectors[reference]),
            }
        )
    found = run.measure(work, chips=dict.fromkeys(work, count), rounds=rounds, part="compare")
    run.judge("fp32_vs_torch_as_shipped", found, "fp32", "torch-as-shipped", TARGET_FP32)
    run.judge("int8_vs_torch_as_shipped", found, "int8", "torch-as-shipped", TARGET_INT8)
    run.judge("fp32_vs_torch_highest", found, "fp32", "torch-highest")
    run.judge("int8_vs_fp32", found, "int8", "fp32")
    run.judge("chain_vs_folded", found, "fp32", "folded", TARGET_FOLDED)


def stages(run: Run) -> None:
    """Measure each graph's share of a chip's CPU time; time making stems once."""
    for precision, with_loss in (("fp32", False), ("fp32", True), ("int8", False)):
        contender = run.graphs(run.workshop.chain(precision, loss=with_loss))
        name = f"clay_cpu_stages_{precision}{'_loss' if with_loss else ''}"
        share = measure_stages(contender, rounds=run.options.stage_rounds, chips=1, by="cpu_seconds", name=name)
        if (precision, with_loss) == ("fp32", False):  # what was compared with the folded graph
            met = share < LARGEST_SHARE
            report(
                {
                    "name": "clay_cpu_flexibility_costs_less_than",
                    "share": round(share, 5),
                    "target": LARGEST_SHARE,
                    "met": met,
                }
            )
            run.missed |= not met
        run.end()
    (place := run.folder / "stems").mkdir()
    stems_at_start(run.workshop, place)


def micro_batches(run: Run) -> None:
    """Measure fp32 with several numbers of chips in one run."""
    ours = run.graphs(run.workshop.chain("fp32"))
    chips = {f"fp32-{size}": size for size in SIZES}
    work = {name: run.time(ours, chips=size, micro_batch=size) for name, size in chips.items()}
    if (published := run.torch()) is not None:
        name = f"torch-as-shipped-{TORCH_MICRO_BATCH}"
        chips[name] = TORCH_MICRO_BATCH
        work[name] = run.time(published, chips=TORCH_MICRO_BATCH, micro_batch=TORCH_MICRO_BATCH)
    found = run.measure(work, chips=chips, rounds=run.options.micro_batch_rounds, part="micro_batches")
    speeds = {
        chips[name]: statistics.median(rates(of, chips=chips[name]))
        for name, of in found.items()
        if name.startswith("fp32")
    }
    if speeds:
        report(
            {
                "name": "clay_cpu_best_micro_batch",
                "precision": "fp32",
                "micro_batch": max(speeds, key=lambda size: speeds[size]),
            }
        )


def loss(run: Run) -> None:
    """Measure the chain with its loss against the one without."""
    ours = {
        "without-loss": run.graphs(run.workshop.chain("fp32")),
        "with-loss": run.graphs(run.workshop.chain("fp32", loss=True)),
    }
    work = {name: run.time(each, chips=1, micro_batch=1) for name, each in ours.items()}
    found = run.measure(work, chips=dict.fromkeys(work, 1), rounds=run.options.loss_rounds, part="loss")
    bands = len(run.workshop.bands.mean)
    counts = [
        chip_operations(run.workshop.architecture, bands=bands, chip_size=256, loss=each) for each in (False, True)
    ]
    report({"name": "clay_cpu_loss_operations", "ratio_of_counts": round(counts[0] / counts[1], 3)})
    run.judge("with_loss_vs_without", found, "with-loss", "without-loss")


def main() -> None:
    """Measure, print, and fail where a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="large", choices=["tiny", "small", "base", "large"])
    parser.add_argument("--sensor", default="sentinel-2-l2a")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--parts", default=",".join(PARTS), help="comma-separated; all of them")
    parser.add_argument("--threads", type=int, default=os.process_cpu_count() or 1)
    parser.add_argument("--chips", type=int, default=1, help="in each turn of `compare`")
    parser.add_argument("--rounds", type=int, default=9, help="of `compare`")
    parser.add_argument("--stage-rounds", type=int, default=5)
    parser.add_argument("--micro-batch-rounds", type=int, default=2)
    parser.add_argument("--loss-rounds", type=int, default=4)
    parser.add_argument(
        "--torch-python", type=Path, default=ROOT / ".venv-model/bin/python", help="a Python that has torch"
    )
    options = parser.parse_args()
    parts = {"compare": compare, "stages": stages, "micro-batches": micro_batches, "loss": loss}
    chosen = options.parts.split(",")
    if unknown := sorted(set(chosen) - parts.keys()):
        parser.error(f"--parts: no {', '.join(unknown)}; there are {', '.join(PARTS)}")
    report({"name": "clay_cpu_processor", **processor(), "threads": options.threads})
    missed = False
    for name in chosen:
        with tempfile.TemporaryDirectory(prefix="clayline-bench-") as place:
            run = Run(options, Path(place))
            try:
                parts[name](run)
            finally:
                run.end()
            missed |= run.missed
    if missed:
        sys.exit("a target was missed")


if __name__ == "__main__":
    main()
