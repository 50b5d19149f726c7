"""Clay on an NVIDIA GPU.

Our fp16 graphs against claymodel in torch, as shipped and compiled, and through the server, in one run.

    PYTHONPATH=/tmp/site python3 benchmarks/clay_gpu.py --claymodel .venv-model/claymodel

Everything is made here from seeds; nothing is fetched. What must be there:

* an NVIDIA GPU with driver 580 or later (onnxruntime-gpu 1.31 is built with CUDA 13), `nvidia-smi`, Python 3.12 or
  later;
* numpy, onnx, pyyaml, pydantic with pydantic-core, annotated-types and typing-inspection; for the server part
  safetensors and waitress;
* onnxruntime-gpu 1.31.1 with CUDA 13's libraries (pip's nvidia-*, or those that torch brings): without it, only torch
  is measured;
* torch with CUDA, einops, and claymodel 1.5.0's `src` (`make setup-model` puts it in .venv-model/claymodel): without
  them, only ours.

What is missing is said in a line `not_done`, and the rest is measured. On a lent machine without network, which holds
torch and onnxruntime (the CPU build), carry `.venv-model/claymodel` and wheels for its Python of onnxruntime-gpu,
annotated-types, pydantic, pydantic-core, typing-inspection and waitress (with `--no-deps` every one must be named).
onnxruntime-gpu is 256 MB, a call carries 64: `split -b 55M` it, bring a piece a call to /tmp while the machine stays
warm, `cat` the pieces there, and `python3 -m pip install --no-index --no-deps --target /tmp/site`.

The parts, in order; `--limit` seconds after the start what still runs is ended and the rest skipped. It has not run on
a GPU yet.

    products   the matmul rate: a large square product in fp16 and bf16, and the products of Clay's blocks
    batches    our fp16 chain by chips in one run: chips a second, share of the matmul rate, GPU memory
    stages     the share of stem, trunk and tail, without and with the loss
    contenders in turn: our chain, the folded graph, the chain with its residual in fp32,
               claymodel as shipped and compiled (bf16 autocast)
    parity     fp16 against fp32 and against claymodel, the same chips
    server     64-chip requests in flight, against the best of `batches` (the goal),
               and against sessions from host to host memory

Chips and vectors lie in GPU memory in `batches`, `stages` and `contenders`, for torch already normalised: no copies are
timed there. A contender that fails or is late is dropped, and the others' completed rounds count; no round is begun
that would end in the last minute. `--device cpu --size tiny --quick` runs the same code without a GPU, to try the
program itself; its numbers then mean nothing.
"""

import argparse
import http.client
import importlib.util
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.clay_contenders import ContenderError, report

NEEDED = ("numpy", "onnx", "yaml", "pydantic", "pydantic_core", "annotated_types", "typing_inspection", "onnxruntime")
PART_NAMES = ("products", "batches", "stages", "contenders", "parity", "server")
GOALS = {
    "share_of_matmul_rate",
    "fp16_vs_claymodel-compiled-bf16",
    "fp16_vs_claymodel-as-shipped",
    "server_vs_bare",
    "fp16_cosine",
}


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="large", choices=["tiny", "small", "base", "large"])
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--parts", default=",".join(PART_NAMES), help="comma-separated; all of them")
    parser.add_argument("--quick", action="store_true", help="fewer batch sizes and rounds")
    parser.add_argument("--rounds", type=int, help="of everything that takes turns; 7, with --quick 3")
    parser.add_argument("--limit", type=float, default=570, help="seconds after which no part is begun")
    parser.add_argument("--largest-batch", type=int, default=128)
    parser.add_argument(
        "--torch-batches",
        type=int,
        nargs="+",
        default=[64, 32, 16],
        help="tried for claymodel; compiled: the first that fits",
    )
    parser.add_argument("--request-chips", type=int, default=64)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--claymodel", type=Path, help="a directory with claymodel 1.5.0's `src`; the Python's own")
    parser.add_argument(
        "--python", type=Path, default=Path(sys.executable), help="with onnxruntime-gpu, for our graphs"
    )
    parser.add_argument("--torch-python", type=Path, help="with torch; the same")
    options = parser.parse_args()
    options.rounds = options.rounds or (3 if options.quick else 7)
    if unknown := sorted(set(options.parts.split(",")) - set(PART_NAMES)):
        parser.error(f"--parts: no {', '.join(unknown)}; there are {', '.join(PART_NAMES)}")
    return options


def main() -> None:
    """Measure what can be measured here, print it, and summarise against the goals."""
    options = arguments()
    if lacking := [name for name in NEEDED if importlib.util.find_spec(name) is None]:
        sys.exit(f"missing packages: {', '.join(lacking)}; see --help for what must be there")
    try:
        from benchmarks.clay_gpu_parts import PARTS  # noqa: PLC0415 - they need those packages
        from benchmarks.clay_gpu_run import Run, gpu_state, lend_cuda_libraries, not_done, state  # noqa: PLC0415 - the same
    except ModuleNotFoundError as error:
        sys.exit(f"missing package: {error.name}, which another needs; see --help for what must be there")

    if options.device == "cuda":
        try:
            report({"name": "clay_gpu_device", **gpu_state()})
        except (OSError, subprocess.SubprocessError) as error:
            sys.exit(f"no NVIDIA GPU here ({error}); --device cpu --size tiny tries the program without one")
        lent = lend_cuda_libraries(options.python, options.torch_python or options.python)
        report({"name": "clay_gpu_libraries", "lent_by_torch": lent})
    with tempfile.TemporaryDirectory(prefix="clayline-bench-") as place:
        run = Run(options, Path(place))
        try:
            for name in options.parts.split(","):
                if time.monotonic() > run.deadline:
                    not_done(name, f"{options.limit:g} s are over")
                    continue
                started = time.monotonic()
                try:
                    PARTS[name](run)
                except (
                    ContenderError,
                    subprocess.SubprocessError,
                    AssertionError,
                    OSError,
                    ImportError,
                    http.client.HTTPException,
                ) as error:
                    not_done(name, f"{type(error).__name__}: {error}")
                run.end()
                report(
                    {
                        "name": "clay_gpu_part",
                        "part": name,
                        "seconds": round(time.monotonic() - started, 1),
                        **state(options.device),
                    }
                )
        finally:
            run.end()
            measured = options.device == "cuda" and options.size == "large"
            lacking = sorted(GOALS - run.goals.keys())
            report({"name": "clay_gpu_summary", "counts": measured, "goals": run.goals, "not_measured": lacking})
    if measured and not (run.goals and all(goal["met"] for goal in run.goals.values())):
        sys.exit("a goal was missed, or nothing could be measured")


if __name__ == "__main__":
    main()
