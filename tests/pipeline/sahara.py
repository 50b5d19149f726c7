"""The fixture for 29RKH: Earth Search's own Item describes the full-size files on AWS; ours are the same bands decimated tenfold.

Only hrefs are remapped, from ``https://sentinel-cogs.../B02.tif`` to ``./B02.tif``, and assets without a local file left out. Shapes and
transforms that the Item declares stay as wrong as they are: Clayline reads both from the files.
"""

import json
import shutil
from pathlib import Path


def remapped(source: Path, target: Path) -> Path:
    """Copy the scene into ``target`` with its Item's hrefs remapped; gives the Item."""
    target.mkdir(parents=True, exist_ok=True)
    item = json.loads((source / "S2A_29RKH_20200219_0_L2A.json").read_bytes())
    for key, asset in list(item["assets"].items()):
        file = source / asset["href"].rpartition("/")[2]
        if file.suffix == ".tif" and file.is_file():
            shutil.copyfile(file, target / file.name)
            asset["href"] = f"./{file.name}"
        else:
            del item["assets"][key]
    path = target / "S2A_29RKH_20200219_0_L2A.json"
    path.write_text(json.dumps(item))
    return path
