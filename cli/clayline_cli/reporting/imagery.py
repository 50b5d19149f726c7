"""The scene's picture in the page: red, green and blue of its own files, where this machine has them."""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from PIL import Image

from clayline.errors import ClaylineError
from clayline_cli.picture.from_provenance import BANDS, cloudy_chips, mask_of, scene_image
from clayline_cli.picture.rendering import Look, picture_shape
from clayline_cli.reporting.scene_chips import SceneChips
from clayline_local.etags import is_changed

type Files = Mapping[str, tuple[Path, int]]
"""File and number in it, by name of a band or mask."""
_SIDE: Final = 1080
"""Pixels of the longer side, at most: examples are cut from it, so more than the picture beside the file has."""
_SAMPLES: Final = 2
_QUALITY: Final = 80
_METHOD: Final = 2
"""Of WebP's effort, 0 to 6: a tenth of a second."""


@dataclass(frozen=True, kw_only=True)
class Imagery:
    """The picture, or why there is none."""

    body: bytes = b""
    """WebP, transparent where nothing is valid."""
    width: int = 0
    height: int = 0
    missing: str | None = None
    """Why the page shows none: a sentence."""
    changed: str | None = None
    """Why the picture may show something else than was embedded: a sentence."""


def files_here(provenance: dict[str, Any], folder: Path | None) -> Files:
    """Find the scene's files on this machine: where the provenance says, then by name in ``folder``."""
    found = {}
    for asset in provenance["source"]["assets"]:
        uri = str(asset["uri"])
        places = [Path.from_uri(uri)] if uri.startswith("file:///") else []
        places += [folder / uri.rpartition("/")[2]] if folder else []
        place = next((path for path in places if path.is_file()), None)
        if place:
            found[str(asset["band"])] = (place, int(asset["file_band"]))
    return found


def changed_since(provenance: dict[str, Any], files: Files) -> str | None:
    """Say which of the files that are drawn are others than were embedded, by their ETags; None where none is known.

    Each is read once. What cannot be read is said where it is drawn.
    """
    noted = {str(asset["band"]): str(asset.get("etag") or "") for asset in provenance["source"]["assets"]}
    drawn = {files[name][0]: noted.get(name, "") for name in BANDS if name in files}
    try:
        changed = [path.name for path, etag in drawn.items() if is_changed(path, etag)]
    except OSError:
        return None
    if not changed:
        return None
    return (
        f"The picture may show something else than was embedded: {', '.join(changed)} changed since (another ETag)."
        " Embed the scene again, or have its old files where they were."
    )


def draw(chips: SceneChips, files: Files, *, changed: str | None = None) -> Imagery:
    """Draw it. What cannot be drawn is said in the page, which is worth something without."""
    if absent := [name for name in BANDS if name not in files]:
        return Imagery(missing=_why(chips.provenance, absent))
    shape = picture_shape(chips.grid.height, chips.grid.width, _SIDE)
    samples = min(_SAMPLES, -(-max(chips.grid.height, chips.grid.width) // max(shape)))
    cloudy = cloudy_chips(chips.index, chips.traits.cloud)
    look = Look(shape=shape, samples=samples)
    try:
        image = scene_image(
            chips.provenance, [files[name] for name in BANDS], files.get(mask_of(chips.provenance)), cloudy, look
        )
    except (OSError, ClaylineError) as error:
        return Imagery(missing=f"The scene's own files cannot be read: {error}")
    pixels = np.round(np.clip(image, 0, 1) * 255).astype(np.uint8)
    body = io.BytesIO()
    Image.fromarray(pixels, "RGBA").save(body, "WEBP", quality=_QUALITY, method=_METHOD)
    return Imagery(body=body.getvalue(), width=shape[1], height=shape[0], changed=changed)


def _why(provenance: dict[str, Any], absent: list[str]) -> str:
    uris = {asset["band"]: str(asset["uri"]) for asset in provenance["source"]["assets"]}
    if unknown := [name for name in absent if name not in uris]:
        return f"The model was given no {' and no '.join(unknown)}, so there is no picture in natural colours."
    return (
        f"The scene's own files are not on this machine (such as {uris[absent[0]]}). With them in a folder,"
        " `clayline report FILE --assets FOLDER` shows the picture."
    )
