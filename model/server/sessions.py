"""ONNX Runtime's sessions: with which options a graph is loaded, and on which device it then runs."""

import ctypes
import logging
import os
import sys
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal

import onnxruntime

logger = logging.getLogger("clayline.server")
type Device = Literal["cpu", "cuda"]
"""By the names of IO binding and of the manifest's ``micro_batch``."""
CPU: Final = "cpu"
CUDA: Final = "cuda"
CUDA_PROVIDER: Final = "CUDAExecutionProvider"
CPU_PROVIDER: Final = "CPUExecutionProvider"
CUDA_OPTIONS: Final = MappingProxyType(
    {
        # The default doubles the arena at every growth: of a large trunk's memory up to half would lie idle, and a
        # batch fail for it.
        "arena_extend_strategy": "kSameAsRequested",
        # The default times every algorithm for every new number of chips, also that of a request's last, smaller
        # micro-batch.
        "cudnn_conv_algo_search": "HEURISTIC",
        # The default rounds fp32 factors to 10 bits of mantissa: an fp32 folder promises more than that.
        "use_tf32": "0",
    }
)
"""See https://onnxruntime.ai/docs/execution-providers/CUDA-ExecutionProvider.html; all values are strings there.

The fused LayerNorm of fp16 sums in fp32 without being asked, from ONNX Runtime 1.28 on at the latest (its pull requests
28682 and 29388).
"""


def session_options(*, threads: int) -> onnxruntime.SessionOptions:
    """Options that every session here has; benchmarks/endpoint.py takes the same for its bare session."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # a failed run raises; ONNX Runtime's own line to stderr is not JSON
    # Each session has threads of its own, which spin for a while after a run: a stem's would take the cores from the
    # trunk's.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    return options


def providers(available: list[str], *, cpu_only: bool = False) -> list[tuple[str, dict[str, Any]]]:
    """Execution providers to ask for, with options.

    CUDA where this build of ONNX Runtime has it and it is wanted, then the CPU.
    """
    cuda = [(CUDA_PROVIDER, dict(CUDA_OPTIONS))] if CUDA_PROVIDER in available and not cpu_only else []
    return [*cuda, (CPU_PROVIDER, {})]


def cuda_is_built_in() -> bool:
    """Tell a build of ONNX Runtime for GPUs."""
    return CUDA_PROVIDER in onnxruntime.get_available_providers()


def load_cuda_libraries() -> None:
    """Load CUDA's and cuDNN's libraries where pip put them, which no loader's path names.

    Do nothing in a build for the CPU.

    ONNX Runtime alone looks only in the site directory where it lies itself, and the wheels may lie in another:
    torch's, for example. What it prints of libraries that do not load is logged.
    """
    if not onnxruntime.cuda_version:
        return
    said = StringIO()
    with redirect_stdout(said):
        for name, part in (
            ("cuda", f"cu{onnxruntime.cuda_version.split('.')[0]}"),
            ("cudnn", "cudnn"),
        ):  # cuDNN needs CUDA's
            onnxruntime.preload_dlls(cuda=name == "cuda", cudnn=name == "cudnn", directory=_nvidia_libraries(part))
    if text := said.getvalue().strip():
        logger.warning("CUDA's libraries did not all load", extra={"cause": text})


def _nvidia_libraries(part: str) -> str | None:
    """Give the first directory of libraries that a wheel put under ``nvidia/{part}``.

    None: ONNX Runtime searches by itself.
    """
    # Not by nvidia.__path__: a wheel with an __init__.py there would hide the other site directories.
    found = (Path(site).resolve() / "nvidia" / part / "lib" for site in sys.path)
    return next((os.fspath(directory) for directory in found if directory.is_dir()), None)


def cuda_fault() -> str:
    """Say why the CUDA provider does not come up, by loading its library as ONNX Runtime does, which tells nobody but
    its own log.
    """
    folder = Path(onnxruntime.__file__).parent / "capi"
    try:
        ctypes.CDLL(
            os.fspath(folder / "libonnxruntime_providers_shared.so"), mode=ctypes.RTLD_GLOBAL
        )  # gives the other its symbols
        ctypes.CDLL(os.fspath(folder / "libonnxruntime_providers_cuda.so"))
    except OSError as error:
        return str(error)
    return "its libraries load: look for the GPU and its driver (nvidia-smi)"


def open_session(path: Path, *, threads: int, cpu_only: bool = False) -> onnxruntime.InferenceSession:
    """Load a graph with ``threads`` CPU threads, for CUDA where there is one unless ``cpu_only``.

    Raises what ONNX Runtime raises, whose errors share no base class.
    """
    asked = providers(onnxruntime.get_available_providers(), cpu_only=cpu_only)
    said = StringIO()
    with redirect_stdout(said):  # where a provider raises, ONNX Runtime prints that and falls back
        session = onnxruntime.InferenceSession(os.fspath(path), session_options(threads=threads), providers=asked)
    if len(asked) > 1 and device_of(session) == CPU:
        # ONNX Runtime falls back by itself when there is no GPU or its libraries do not load; at its price that should
        # be seen.
        cause = said.getvalue().strip() or cuda_fault()
        logger.warning("CUDA was asked for, the CPU was got: %s", cause, extra={"graph": path.name})
    return session


def device_of(session: onnxruntime.InferenceSession) -> Device:
    """Where it runs: on the first provider that ONNX Runtime could make."""
    return CUDA if CUDA_PROVIDER in session.get_providers() else CPU
