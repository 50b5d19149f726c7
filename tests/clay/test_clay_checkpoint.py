"""Checkpoints as torch writes them.

Whichever holds a Clay is read to the same folder, anything else is refused by name and never run.

torch is only in .venv-model, so one process there writes every file and exports it; the tests look at what came of it.
"""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from clay.entry import Request
from clay.export import export
from clay.mask import Mask
from clay.sensor import find_sensor
from clay.weights import seeded_source
from clayline.model.manifest import read_manifest

ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / ".venv-model" / "bin" / "python"

pytestmark = pytest.mark.skipif(
    not PYTHON.exists(), reason="no .venv-model (Python 3.11): checkpoints need torch, which is only there"
)

WRITER = """
import contextlib, io, json, os, sys
from pathlib import Path

import torch
from clay.__main__ import main
from clay.architecture import ARCHITECTURES
from clay.seeded import seeded_weights

out, ran = Path(sys.argv[1]), Path(sys.argv[1]) / "it-ran"
state = {name: torch.from_numpy(value) for name, value in seeded_weights(ARCHITECTURES["tiny"], 0).items()}
lightning = {f"model.{name}": value for name, value in state.items()}
lightning |= {"model.teacher.x": torch.zeros(3), "model.proj.weight": torch.zeros(3, dtype=torch.int64),
    "model.mrl.x": torch.ones(1)}
MARK, MATRIX = "encoder.cls_token", "encoder.transformer.layers.2.0.to_qkv.weight"
encoder = {name: value for name, value in state.items() if name.startswith("encoder")}


class Malicious:
    def __reduce__(self):
        return os.mkdir, (str(ran),)


def changed(**values):
    return {**state, **values}


def spoilt(number):
    value = state[MATRIX].clone()
    value[3, 5] = number
    return value


files = {
    "lightning": {"state_dict": lightning, "epoch": 3, "hyper_parameters": {"model_size": "tiny", "lr": 1e-5},
        "optimizer_states": []},
    "bare": state,
    "encoder": encoder,
    "half": {name: value.half() for name, value in encoder.items()},
    "bfloat": {name: value.bfloat16() for name, value in encoder.items()},
    "transposed": changed(**{MATRIX: state[MATRIX].T.contiguous().T}),
    "missing": {name: value for name, value in state.items() if "layers.2.0" not in name and "fclayer" not in name},
    "shape": changed(**{MATRIX: state[MATRIX].T.contiguous()}),
    "integers": changed(**{MATRIX: state[MATRIX].to(torch.int32)}),
    "text": changed(**{MATRIX: "gone"}),
    "nan": changed(**{MATRIX: spoilt(float("nan"))}),
    "infinite": changed(**{MATRIX: spoilt(float("inf"))}),
    "sparse": changed(**{MATRIX: state[MATRIX].to_sparse()}),
    "other": {"conv1.weight": torch.zeros(3, 3), "bn1.bias": torch.zeros(3)},
    "width": changed(**{MARK: torch.zeros(1, 1, 100)}),
    "list": [1, 2, 3],
    "malicious": {"state_dict": state, "callbacks": Malicious()},
}
for name, content in files.items():
    torch.save(content, out / f"{name}.ckpt")
torch.save({"state_dict": state, "callbacks": Malicious()}, out / "old.ckpt", _use_new_zipfile_serialization=False)
torch.save(state, out / "oldplain.ckpt", _use_new_zipfile_serialization=False)
whole = (out / "bare.ckpt").read_bytes()
(out / "truncated.ckpt").write_bytes(whole[: len(whole) // 2])
(out / "empty.ckpt").write_bytes(b"")
(out / "words.ckpt").write_bytes(b"this is no checkpoint")
spoilt_zip = bytearray(whole)
at = whole.index(b"data.pkl") + 60
spoilt_zip[at : at + 40] = bytes(40)
(out / "damaged.ckpt").write_bytes(spoilt_zip)

found = {}
cases = [[file.stem] for file in sorted(out.glob("*.ckpt"))]
for name, *more in [*cases, ["bare", "--size", "large"], ["absent"], ["encoder", "--loss"], ["bare", "--loss"]]:
    said = io.StringIO()
    arguments = ["export", "--checkpoint", str(out / f"{name}.ckpt"), "--name", name, "--out", str(out / "models")]
    arguments += ["--sensor", "naip", "--chip", "64"]
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        status = main([*arguments, *more])
    found[" ".join([name, *more])] = [status, said.getvalue()]
found["it ran"] = ran.exists()
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def tried(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """The folder of all files, and for each the exit status and what was said."""
    out = tmp_path_factory.mktemp("checkpoints")
    done = subprocess.run(
        [str(PYTHON), "-c", WRITER, str(out)],
        env={"PYTHONPATH": f"{ROOT / 'model'}:{ROOT / 'layers' / 'clayline'}"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return out, json.loads(done.stdout)


@pytest.mark.parametrize("name", ["lightning", "bare", "encoder", "transposed"])
def test_a_checkpoint_gives_the_graphs_of_its_weights(
    name: str, tried: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    out, said = tried
    assert said[name] == [0, ""]
    request = Request(sensor=find_sensor("naip"), chip_size=64)
    expected = export(seeded_source("tiny", 0, loss=False), [request], tmp_path).folder
    folder = out / "models" / f"{name}-v1.5"
    for file in ("trunk.onnx", "trunk.weights", "hyper.onnx"):
        assert (folder / file).read_bytes() == (expected / file).read_bytes()
    manifest = read_manifest((folder / "manifest.json").read_bytes(), source=name)
    assert not manifest.untrained
    assert manifest.checkpoint is not None
    digest = subprocess.run(
        ["sha256sum", out / f"{name}.ckpt"], capture_output=True, text=True, check=True
    ).stdout.split()[0]
    assert manifest.checkpoint.model_dump(exclude_none=True) == {
        "architecture": "clay-v1.5-tiny",
        "file": f"{name}.ckpt",
        "digest": f"sha256:{digest}",
    }
    assert manifest.producer is not None
    assert "torch" in manifest.producer
    assert digest in (folder / "card.md").read_text()


def test_a_loss_takes_the_decoders_tensors(tried: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    out, said = tried
    assert said["bare --loss"] == [0, ""]
    request = Request(sensor=find_sensor("naip"), chip_size=64, mask=Mask())
    expected = export(seeded_source("tiny", 0, loss=True), [request], tmp_path).folder
    assert (out / "models" / "bare-loss-v1.5" / "trunk.weights").read_bytes() == (
        expected / "trunk.weights"
    ).read_bytes()


@pytest.mark.parametrize("name", ["half", "bfloat"])
def test_narrow_tensors_are_widened(name: str, tried: tuple[Path, dict[str, Any]]) -> None:
    out, said = tried
    assert said[name] == [0, ""]
    sizes = {each: (out / "models" / f"{each}-v1.5" / "trunk.weights").stat().st_size for each in (name, "bare")}
    assert sizes[name] == sizes["bare"]


@pytest.mark.parametrize(
    ("name", "messages"),
    [
        (
            "missing",
            [
                "tensors: encoder.patch_embedding.fclayer.l1.weight is missing (expected (128, 128))",
                "8 of 85 tensors",
                "and 3 more",
            ],
        ),
        ("shape", ["1 of 85 tensors", "layers.2.0.to_qkv.weight has shape (192, 576) (expected (576, 192))"]),
        ("integers", ["layers.2.0.to_qkv.weight is torch.int32"]),
        ("text", ["layers.2.0.to_qkv.weight is no tensor but str"]),
        ("sparse", ["layers.2.0.to_qkv.weight is torch.float32, torch.sparse_coo"]),
        ("nan", ["layers.2.0.to_qkv.weight has 1 values that are not finite"]),
        ("infinite", ["layers.2.0.to_qkv.weight has 1 values that are not finite"]),
        ("encoder --loss", ["decoder.mask_patch is missing (expected (96,))"]),
        ("bare --size large", ["is of size tiny, not large"]),
        ("other", ["no tensor encoder.cls_token, so it is no Clay v1.5; it holds conv1.weight, bn1.bias (2 names)"]),
        ("width", ["encoder.cls_token has shape (1, 1, 100)", "tiny (1, 1, 192)"]),
        ("list", ["holds no state_dict"]),
        ("malicious", ["wants to run posix.mkdir", "weights_only=False", "torch.save"]),
        ("old", ["cannot be read as a checkpoint"]),
        ("oldplain", ["cannot be read as a checkpoint"]),
        ("truncated", ["cannot be read as a checkpoint"]),
        ("damaged", ["cannot be read as a checkpoint"]),
        ("empty", ["cannot be read as a checkpoint"]),
        ("words", ["cannot be read as a checkpoint"]),
        ("absent", ["absent.ckpt"]),
    ],
)
def test_what_is_no_whole_clay_is_refused_by_name(
    name: str, messages: list[str], tried: tuple[Path, dict[str, Any]]
) -> None:
    out, said = tried
    status, words = said[name]
    assert status == 1
    assert words.startswith("refused: ")
    assert [message for message in messages if message not in words] == [], words
    assert not (out / "models" / f"{name.partition(' ')[0]}-loss-v1.5").exists() or name.startswith("bare")
    assert name.startswith(("bare", "encoder")) or not (out / "models" / f"{name}-v1.5").exists()


def test_nothing_that_a_checkpoint_says_is_run(tried: tuple[Path, dict[str, Any]]) -> None:
    assert tried[1]["it ran"] is False
