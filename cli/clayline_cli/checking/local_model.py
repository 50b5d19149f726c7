"""Whether the model folder on this machine is whole, and the one that the stack is told."""

from pathlib import Path
from typing import Final

from clayline.errors import ClaylineError
from clayline.model.manifest import digest_of
from clayline_cli.checking.check import Check
from clayline_local.model_folder import ModelFolder

NAME: Final = "model folder"
_EXPORT: Final = "Export the folder again (make clay), or take it from where it came."


def local_model(path: Path, wanted: str | None) -> Check:
    """Compare every file with the manifest's digest, and the folder's name with ``wanted``, the stack's ModelFolder."""
    try:
        manifest = ModelFolder.read(path).manifest
    except ClaylineError as error:
        return Check.failed(NAME, str(error).rstrip("."), _EXPORT)
    for name, digest in manifest.files.items():
        try:
            with (path / name).open("rb") as stream:
                found = digest_of(stream)
        except OSError as error:
            return Check.failed(NAME, f"{path / name} cannot be read ({error.strerror})", _EXPORT)
        if found != digest:
            return Check.failed(NAME, f"{path / name} is not what the manifest says: it has {found}", _EXPORT)
    said = f"{manifest.folder} in {path}: {len(manifest.files)} files, digests as in its manifest"
    if wanted is not None and manifest.folder != wanted:
        return Check.warning(
            NAME,
            f"{said}; the stack is told ModelFolder={wanted}",
            f"Say ModelFolder={manifest.folder} in samconfig.toml, or give --model the folder {wanted}.",
        )
    if manifest.untrained:
        return Check.warning(NAME, f"{said}; its weights are random numbers", "Make it of a checkpoint: make clay.")
    return Check.ok(NAME, said)
