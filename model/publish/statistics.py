"""What a model's vectors are like, measured on files that it made, and stated in its folder.

`make statistics MODEL=FOLDER SCENES=FOLDER` reads every file of embeddings under SCENES, takes those whose provenance
names an entry of the model by token and digest, and writes `statistics.json` beside the manifest, which then lists its
digest. No entry's digest changes. Of several revisions of a scene the newest counts.
"""

import argparse
import io
import json
import re
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from clayline.model.manifest import MANIFEST_FILE, Manifest, digest_of, read_manifest
from clayline.model.statistics import STATISTICS_FILE, FolderStatistics, VectorStatistics

_REVISION = re.compile(r"_v[0-9]{3,}\.parquet\Z")
_ROWS = 1024


def newest(folder: Path) -> list[Path]:
    """Give the newest revision of each scene under a folder."""
    found: dict[str, Path] = {}
    for path in sorted(folder.rglob("*.parquet")):
        found[_REVISION.sub("", str(path))] = path
    return sorted(found.values())


def vectors(paths: Sequence[Path]) -> Iterator[NDArray[np.float32]]:
    """Give the vectors of files, part by part."""
    for path in paths:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=_ROWS, columns=["embeddings"]):
                lists: Any = batch.column(0)
                yield lists.flatten().to_numpy().reshape(batch.num_rows, -1)


def made_by(manifest: Manifest, folder: Path) -> dict[str, list[tuple[str, Path]]]:
    """Give, by token, the scenes under a folder that an entry of the model made, and their files."""
    digests = {entry.token: entry.digest for entry in manifest.entries}
    found = defaultdict(list)
    for path in newest(folder):
        header = (pq.read_metadata(path).metadata or {}).get(b"clayline")
        told = json.loads(header) if header else None
        if told and digests.get(told["model"]["token"]) == told["model"]["digest"]:
            scene = (told["source"]["id"] or told["source"]["source_url"]).rpartition("/")[2]
            found[told["model"]["token"]].append((scene, path))
    return found


def state(folder: Path, scenes: Path) -> FolderStatistics:
    """Measure and write. Raises ModelError, and ValueError where nothing under ``scenes`` is the model's."""
    path = folder / MANIFEST_FILE
    manifest = read_manifest(path.read_bytes(), source=str(path))
    entries = {}
    for token, files in sorted(made_by(manifest, scenes).items()):
        entries[token] = VectorStatistics.measure(
            vectors([file for _, file in files]),
            digest=manifest.entry(token).digest,
            scenes=sorted(scene for scene, _ in files),
        )
    if not entries:
        msg = f"no file under {scenes} was made by {manifest.folder} as it is in {folder}"
        raise ValueError(msg)
    found = FolderStatistics(schema="clayline-statistics/1", entries=entries)
    body = (found.model_dump_json(by_alias=True) + "\n").encode()
    (folder / STATISTICS_FILE).write_bytes(body)
    content = {**json.loads(path.read_text(encoding="utf-8")), "statistics": digest_of(io.BytesIO(body))}
    path.write_text(json.dumps(content, indent=1, ensure_ascii=True) + "\n", encoding="utf-8")
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, write, and say what was measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, metavar="FOLDER", help="the model folder")
    parser.add_argument("--scenes", type=Path, required=True, metavar="FOLDER", help="what it embedded")
    options = parser.parse_args(arguments)
    try:
        found = state(options.model, options.scenes)
    except ValueError as error:
        print(f"statistics: {error}", file=sys.stderr)
        return 1
    for token, one in found.entries.items():
        print(f"{token}: {one.vectors} vectors of {len(one.mean)} dimensions, {', '.join(one.scenes)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
