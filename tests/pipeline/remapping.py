"""The fixture for scenes whose Item describes files elsewhere.

Sentinel-2 29RKH by Earth Search, Landsat 8 over Colombia by USGS.

Our files are the same bands, decimated. Only hrefs are remapped, from ``https://.../B02.tif`` to ``./B02.tif``, and
assets without a local file left out. Shapes and transforms that the Item declares stay as wrong as they are: Clayline
reads both from the files.
"""

import json
import shutil
from pathlib import Path


def remapped(source: Path, name: str, target: Path) -> Path:
    """Copy the bands of the Item ``source/name`` into ``target`` and write it there with its hrefs remapped.

    Gives the Item.
    """
    target.mkdir(parents=True, exist_ok=True)
    item = json.loads((source / name).read_bytes())
    for key, asset in list(item["assets"].items()):
        file = source / asset["href"].rpartition("/")[2]
        if file.suffix.lower() == ".tif" and file.is_file():
            shutil.copyfile(file, target / file.name)
            asset["href"] = f"./{file.name}"
        else:
            del item["assets"][key]
    path = target / name
    path.write_text(json.dumps(item))
    return path
