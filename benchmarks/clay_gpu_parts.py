"""The parts of clay_gpu.py, in the order in which they run."""

import statistics
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from benchmarks.clay_contenders import Contender, ContenderError, judge, rates, report
from benchmarks.clay_gpu_run import Run, missing, not_done
from benchmarks.clay_graphs import similarity
from benchmarks.clay_operations import block_products
from benchmarks.clay_stages import measure_stages

if TYPE_CHECKING:
    from pathlib import Path

TARGET_SHARE, TARGET_COMPILED, TARGET_SHIPPED, TARGET_SERVER, TARGET_COSINE = 0.55, 1.2, 2.0, 0.95, 0.9999
CLOSE_TO_BEST = 0.99
"""The best batch is the smallest that is this near the fastest: memory and waiting grow with it."""
SERVER_NEEDS = ("safetensors", "waitress")


def products(run: Run) -> None:
    """Measure the matmul rate in torch, without it in ONNX Runtime."""
    trying = run.options.device == "cpu"  # the program, not the processor
    side, tokens = (64, 64) if trying else (8192, run.best * 1025)
    shapes = {"square": (side, side, side)}
    shapes |= {
        "x".join(map(str, shape)): shape
        for shape in dict.fromkeys(block_products(run.workshop.architecture.encoder, tokens))
    }
    kinds: tuple[str, ...] = ("float16", "bfloat16")
    try:
        contender, library = run.torch(), "torch"
    except ContenderError as error:
        not_done("products in torch", error)
        contender, library, kinds = run.graphs([]), "onnxruntime", ("float16",)
    found: dict[str, list[float]] = {}
    for _ in range(3):
        for name, shape in shapes.items():
            for kind in kinds:
                answer = contender.ask("product", product=shape, dtype=kind, repeat=1 if trying else 20)
                found.setdefault(f"{name} {kind}", []).append(answer["tflops"])
    for key, values in found.items():
        name, kind = key.split()
        report(
            {
                "name": "clay_gpu_product",
                "shape": name,
                "dtype": kind,
                "library": library,
                "tflops": round(statistics.median(values), 2),
            }
        )
    run.matmul_tflops = statistics.median(found["square float16"])


def share(run: Run, speed: float) -> float | None:
    """Give what share of the measured matmul rate this many chips a second are, by the operations that our graphs
    need.
    """
    return None if run.matmul_tflops is None else speed * run.operations / 1e12 / run.matmul_tflops


def batches(run: Run) -> None:
    """Measure our chain by chips in one run; find the best."""
    before = run.memory_mb()
    ours = run.graphs(run.workshop.chain("fp16"))
    memory: dict[int, float | None] = {}
    work: dict[str, Callable[[], Mapping[str, float]]] = {}
    for size in run.batches:
        try:
            ours.ask("reopen")  # else a larger batch's memory would lie on a smaller one's
            ours.ask("run", chips=size, micro_batch=size, resident=True, repeat=2)
        except ContenderError as error:
            not_done(f"batches of {size}", error)
            break
        held = run.memory_mb()
        memory[size] = None if held is None or before is None else held - before
    repeat = {size: 1 if run.options.device == "cpu" else max(2, 256 // size) for size in memory}
    for size in memory:
        ours.ask("run", chips=size, micro_batch=size, resident=True)
        work[str(size)] = lambda size=size: ours.ask(
            "run", chips=size, micro_batch=size, resident=True, repeat=repeat[size]
        )  # type: ignore[misc]
    found = run.take_turns(work)
    speeds = {
        size: statistics.median(rates(found[str(size)], chips=size * repeat[size]))
        for size in memory
        if str(size) in found
    }
    for size, speed in speeds.items():
        portion = share(run, speed)
        line = {
            "name": "clay_gpu_batch",
            "chips": size,
            "chips_per_second": round(speed, 2),
            "gpu_memory_mb": memory[size],
        }
        report(line | {"share_of_matmul_rate": None if portion is None else round(portion, 4)})
    run.resident_speed = max(speeds.values())
    run.best = min(size for size, speed in speeds.items() if speed >= CLOSE_TO_BEST * max(speeds.values()))
    portion = share(run, speeds[run.best])
    if portion is not None:
        run.goal("share_of_matmul_rate", portion, TARGET_SHARE)
    report({"name": "clay_gpu_best_batch", "chips": run.best, "chips_per_second": round(speeds[run.best], 2)})


def stages(run: Run) -> None:
    """Measure the share of stem, trunk and tail."""
    cuda = run.options.device == "cuda"
    order = {"chips": run.best, "resident": True, "repeat": max(1, 256 // run.best) if cuda else 1}
    for with_loss in (False, True):
        contender = run.graphs(run.workshop.chain("fp16", loss=True) if with_loss else _paths(run, "fp16"))
        name = f"clay_gpu_stages_fp16{'_loss' if with_loss else ''}"
        measure_stages(contender, rounds=run.options.rounds, by="seconds", name=name, **order)
        run.end()


def contenders(run: Run) -> None:
    """Measure ours and torch's in turn."""
    size, more = run.best, max(1, 256 // run.best) if run.options.device == "cuda" else 1
    made: dict[str, Callable[[], Contender]] = {
        "fp16": lambda: run.graphs(_paths(run, "fp16")),
        "fp16-folded": lambda: run.graphs(run.workshop.folded("fp16")),
        "fp16-wide-residual": lambda: run.graphs(run.workshop.chain("fp16-wide")),
        "claymodel-as-shipped": lambda: run.published(compiled=False),
        "claymodel-compiled-bf16": lambda: run.published(compiled=True),
    }
    work: dict[str, Callable[[], Mapping[str, float]]] = {}
    chips: dict[str, int] = {}
    for name, start in made.items():
        try:
            contender = start()
            candidates = [size] if name.startswith("fp16") else run.options.torch_batches
            fitting = _fastest(contender, candidates, compiled="compiled" in name, name=name)
        except ContenderError as error:
            not_done(name, error)
            continue
        order = {"chips": fitting, "micro_batch": fitting, "resident": True, "repeat": more}
        chips[name] = fitting * more
        work[name] = lambda contender=contender, order=order: contender.ask("run", **order)  # type: ignore[misc]
    found = run.take_turns(work)
    # Each by chip: the contenders may run with batches of different size.
    by_chip = {name: [{"seconds": one["seconds"] / chips[name]} for one in results] for name, results in found.items()}
    for name, results in by_chip.items():
        speed = 1 / statistics.median(one["seconds"] for one in results)
        portion = share(run, speed)
        line = {
            "name": "clay_gpu_contender_speed",
            "contender": name,
            "batch": chips[name] // more,
            "chips_per_second": round(speed, 2),
        }
        line |= {"rounds": len(results)}
        report(line | {"share_of_matmul_rate": None if portion is None else round(portion, 4)})
    if "fp16" not in by_chip:
        return
    targets = {"claymodel-compiled-bf16": TARGET_COMPILED, "claymodel-as-shipped": TARGET_SHIPPED, "fp16-folded": 0.98}
    for name in by_chip.keys() - {"fp16"}:
        verdict = judge(f"clay_gpu_fp16_vs_{name}", by_chip["fp16"], by_chip[name], target=targets.get(name))
        if name in targets:
            run.goal(f"fp16_vs_{name}", verdict["ratio"], targets[name])


def _fastest(contender: Contender, candidates: list[int], *, compiled: bool, name: str) -> int:
    """Give the batch with which it is fastest of those that fit; compiled, the first that fits.

    Raises ContenderError.
    """
    speeds: dict[int, float] = {}
    failure: ContenderError | None = None
    for size in candidates:
        try:
            for _ in range(3):  # the first runs compile, choose algorithms and take memory
                answer = contender.ask("run", chips=size, micro_batch=size, resident=True)
            speeds[size] = size / answer["seconds"]
        except ContenderError as error:
            failure = error
            not_done(f"{name} with batches of {size}", error)
            continue
        if compiled:
            break
    if not speeds:
        raise failure or ContenderError("no batch size was given")
    return max(speeds, key=lambda size: speeds[size])


def _paths(run: Run, precision: str) -> list[str]:
    """Give the graphs of a chain, written before or now."""
    place = run.folder / "graphs" / precision
    return (
        [str(place / name) for name in ("stem.onnx", "trunk.onnx")] if place.exists() else run.workshop.chain(precision)
    )


def parity(run: Run) -> None:
    """Compare vectors of the same chips."""
    order = {"chips": min(16, max(run.batches)), "micro_batch": min(8, max(run.batches))}
    made: dict[str, Callable[[], Contender]] = {
        "fp32": lambda: run.graphs(_paths(run, "fp32")),
        "fp16": lambda: run.graphs(_paths(run, "fp16")),
        "fp16-wide": lambda: run.graphs(_paths(run, "fp16-wide")),
        "claymodel": lambda: run.published(compiled=False),
    }
    vectors: dict[str, Path] = {}
    for name, start in made.items():
        try:
            start().ask("embed", **order, to=str(run.folder / f"{name}.npy"))
            vectors[name] = run.folder / f"{name}.npy"
        except ContenderError as error:
            not_done(f"parity of {name}", error)
        run.end()
    for name, reference in (("fp32", "claymodel"), ("fp16", "fp32"), ("fp16-wide", "fp32"), ("fp16", "claymodel")):
        if {name, reference} <= vectors.keys():
            found = similarity(vectors[name], vectors[reference])
            report({"name": "clay_gpu_parity", "of": name, "against": reference, **found})
            if (name, reference) == ("fp16", "fp32"):
                run.goal("fp16_cosine", found["least_cosine"], TARGET_COSINE)


def server(run: Run) -> None:
    """Measure requests in flight against chips that stay on the GPU, which is the goal, and against sessions from and
    to host memory.
    """
    if lacking := missing(SERVER_NEEDS):
        not_done("server", f"missing packages: {', '.join(lacking)}")
        return
    from benchmarks import clay_server  # noqa: PLC0415 - it needs them
    from clayline.model.manifest import read_manifest  # noqa: PLC0415 - the same

    folder = run.workshop.model_folder(run.folder / "out", "fp16")
    manifest = read_manifest((folder / "manifest.json").read_bytes(), source=str(folder))
    cuda = run.options.device == "cuda"
    setting = clay_server.Setting(
        device=run.options.device,
        micro_batch=run.best,
        threads=run.options.threads,
        concurrency=2 if cuda else 1,
        python=str(run.options.python),
        deadline=run.deadline,
    )
    load = clay_server.Load(chips=run.options.request_chips, in_flight=4, each=3 if cuda else 1)
    line = clay_server.measure(
        folder, manifest.entries[0], manifest, setting=setting, load=load, rounds=run.options.rounds, target=None
    )
    if run.resident_speed is None:
        not_done("server against the best of `batches`", "`batches` was not measured in this run")
        return
    speed = line["http_chips_per_second"]
    ratio = speed / run.resident_speed
    report(
        {
            "name": "clay_gpu_server_vs_resident",
            "chips_per_second": speed,
            "best": round(run.resident_speed, 2),
            "ratio": round(ratio, 4),
        }
    )
    run.goal("server_vs_bare", ratio, TARGET_SERVER)


PARTS: dict[str, Callable[[Run], None]] = {
    "products": products,
    "batches": batches,
    "stages": stages,
    "contenders": contenders,
    "parity": parity,
    "server": server,
}
