"""Where CUDA's libraries are looked for, and that it is said why CUDA was not got.

No GPU is at hand: files and functions stand for it.
"""

import ctypes
import logging
import sys
from pathlib import Path
from typing import Any

import onnxruntime
import pytest
from tests.server.model_folders import build_chained_folder

from server.sessions import (
    CPU_PROVIDER,
    CUDA_OPTIONS,
    CUDA_PROVIDER,
    cuda_fault,
    device_of,
    load_cuda_libraries,
    open_session,
)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What ONNX Runtime's function is asked for, in a build for CUDA 13."""
    noted: list[dict[str, Any]] = []
    monkeypatch.setattr(onnxruntime, "cuda_version", "13.0")
    monkeypatch.setattr(onnxruntime, "preload_dlls", lambda **asked: noted.append(asked))
    return noted


def test_libraries_are_found_in_any_site_directory(
    tmp_path: Path, calls: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One has CUDA 12 and a package that claims the whole name, the next CUDA 13, the third CUDA 13 again and cuDNN."""
    first, second, third = (tmp_path / name for name in ("first", "second", "third"))
    for folder in (
        first / "nvidia/cu12/lib",
        second / "nvidia/cu13/lib",
        third / "nvidia/cu13/lib",
        third / "nvidia/cudnn/lib",
    ):
        folder.mkdir(parents=True)
    (first / "nvidia/__init__.py").touch()
    monkeypatch.setattr(sys, "path", [str(tmp_path / "missing"), str(first), str(second), str(third)])
    load_cuda_libraries()
    assert calls == [
        {"cuda": True, "cudnn": False, "directory": str(second / "nvidia/cu13/lib")},
        {"cuda": False, "cudnn": True, "directory": str(third / "nvidia/cudnn/lib")},
    ]


def test_without_wheels_onnx_runtime_searches_by_itself(
    tmp_path: Path, calls: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    load_cuda_libraries()
    assert calls == [
        {"cuda": True, "cudnn": False, "directory": None},
        {"cuda": False, "cudnn": True, "directory": None},
    ]


def test_a_build_for_the_cpu_looks_for_nothing(calls: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnxruntime, "cuda_version", "")
    load_cuda_libraries()
    assert calls == []


def test_the_real_function_takes_what_it_is_given_and_what_it_prints_is_logged(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """ONNX Runtime tries the file, which is no library, then the loader's path, which has none."""
    monkeypatch.setattr(onnxruntime, "cuda_version", "13.0")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    libraries = tmp_path / "nvidia/cu13/lib"
    libraries.mkdir(parents=True)
    (libraries / "libcublasLt.so.13").write_text("no library")
    tried: list[str] = []
    load = ctypes.CDLL

    def noted(name: str, *arguments: Any, **options: Any) -> ctypes.CDLL:
        tried.append(name)
        return load(name, *arguments, **options)

    monkeypatch.setattr(ctypes, "CDLL", noted)
    load_cuda_libraries()
    assert str(libraries / "libcublasLt.so.13") in tried
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert f"Failed to load {libraries / 'libcublasLt.so.13'}: " in vars(record)["cause"]
    assert capsys.readouterr().out == ""


def test_the_cpu_in_place_of_cuda_is_warned_of_with_the_cause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    folder = build_chained_folder(tmp_path)
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CUDA_PROVIDER, CPU_PROVIDER])
    with pytest.warns(UserWarning, match=CUDA_PROVIDER):  # ONNX Runtime's: this build has none
        session = open_session(folder / "trunk.onnx", threads=1)
    assert device_of(session) == "cpu"
    (record,) = caplog.records
    assert record.message.startswith("CUDA was asked for, the CPU was got: ")
    assert record.message.endswith(
        "libonnxruntime_providers_cuda.so: cannot open shared object file: No such file or directory"
    )
    assert vars(record)["graph"] == "trunk.onnx"


def test_a_provider_that_raises_is_quoted(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """ONNX Runtime's constructor prints the error and tries again without the provider."""
    folder = build_chained_folder(tmp_path)
    make = onnxruntime.InferenceSession._create_inference_session

    def failing(session: Any, providers: Any, *arguments: Any) -> None:
        if CUDA_PROVIDER in str(providers):
            session._fallback_providers = [CPU_PROVIDER]
            raise RuntimeError("CUDA failure 100: no CUDA-capable device is detected")
        make(session, providers, *arguments)

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CUDA_PROVIDER, CPU_PROVIDER])
    monkeypatch.setattr(onnxruntime.InferenceSession, "_create_inference_session", failing)
    assert device_of(open_session(folder / "trunk.onnx", threads=1)) == "cpu"
    (record,) = caplog.records
    assert "CUDA failure 100: no CUDA-capable device is detected" in record.message
    assert capsys.readouterr().out == ""


def test_the_fault_is_the_loaders_own_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The libraries of a GPU build, of which first one does not load, then the other, then none."""
    shared, cuda = (tmp_path / f"capi/libonnxruntime_providers_{name}.so" for name in ("shared", "cuda"))
    real = Path(onnxruntime.__file__).parent / "capi/libonnxruntime_providers_shared.so"
    monkeypatch.setattr(onnxruntime, "__file__", str(tmp_path / "__init__.py"))
    shared.parent.mkdir()
    shared.write_text("no library")
    assert cuda_fault().startswith(f"{shared}: ")
    shared.write_bytes(real.read_bytes())
    cuda.write_text("no library")
    assert cuda_fault().startswith(f"{cuda}: ")
    cuda.write_bytes(real.read_bytes())
    assert "look for the GPU" in cuda_fault()


def test_options_that_onnx_runtime_ignores_are_not_given() -> None:
    assert CUDA_OPTIONS.keys() == {"arena_extend_strategy", "cudnn_conv_algo_search", "use_tf32"}
