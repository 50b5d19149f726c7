"""Where a chip's time goes.

The share of each graph of a chain, and what making stems would cost a server that starts.
"""

from __future__ import annotations

import statistics
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.clay_contenders import report

from clay.entry import Base, Request, write_entry
from clay.hyper_network import FILE, embedding_of
from clay.mask import Mask
from clay.sensor import known_sensors

if TYPE_CHECKING:
    from benchmarks.clay_contenders import Contender
    from benchmarks.clay_graphs import Workshop


def measure_stages(contender: Contender, *, rounds: int, chips: int, by: str, name: str, **order: Any) -> float:  # noqa: ANN401 - JSON's
    """Print each graph's time a chip and its share of a run, medians of ``rounds``.

    Give the share of all but the trunk.

    ``by``: ``seconds``, or ``cpu_seconds``, which other processes disturb less. Raises ContenderError.
    """
    contender.ask("run", chips=chips, micro_batch=chips, **order)
    repeat = order.get("repeat", 1)
    found = [contender.ask("stages", chips=chips, micro_batch=chips, **order)["stages"] for _ in range(rounds)]
    shares = {stage: [one[stage][by] / sum(each[by] for each in one.values()) for one in found] for stage in found[0]}
    for stage, of_runs in shares.items():
        line = {
            "name": name,
            "stage": stage,
            "share": round(statistics.median(of_runs), 5),
            "share_by": by,
            "chips": chips,
        }
        line |= {
            f"{kind}_per_chip": float(f"{statistics.median(one[stage][kind] for one in found) / chips / repeat:.4g}")
            for kind in ("seconds", "cpu_seconds")
        }
        report(line | {"shares": [round(share, 5) for share in sorted(of_runs)]})
    outside: float = statistics.median(1 - share for share in shares["trunk"])
    report({"name": f"{name}_outside_trunk", "share": round(outside, 5)})
    return outside


def stems_at_start(workshop: Workshop, place: Path) -> None:
    """Print what it takes to make the stems and tails of all of Clay's sensors from the hyper-network, which a starting
    server could do.

    ``of_which_hyper_network`` is computing kernels from wavelengths; the rest is folding and writing graphs.
    """
    base = Base(folder="bench-untrained-v1.5", architecture=workshop.architecture, precision="fp32")
    hyper = workshop.folder / FILE
    computing, writing, cpu = 0.0, 0.0, 0.0
    for sensor in known_sensors().values():
        started = time.perf_counter()
        embedding_of(hyper, sensor.wavelengths)
        computing += time.perf_counter() - started
        cpu_before, started = time.process_time(), time.perf_counter()
        write_entry(place, hyper, base, Request(sensor=sensor, mask=Mask()))  # runs the hyper-network itself
        writing += time.perf_counter() - started
        cpu += time.process_time() - cpu_before
    line = {"name": "clay_stems_at_start", "size": workshop.architecture.size, "sensors": len(known_sensors())}
    line |= {"seconds": round(writing, 3), "of_which_hyper_network": round(computing, 3), "cpu_seconds": round(cpu, 3)}
    report(line | {"megabytes": round(sum(file.stat().st_size for file in place.iterdir()) / 1e6, 1)})
