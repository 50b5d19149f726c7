"""Tiers of a dataset's compact files, made in the scratch folder."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from clayline.dataset.codebook import LEAST_ROWS, Codebook
from clayline.dataset.manifest import FILES, TIERS, CompactFile, StoredFile, TierName
from clayline.dataset.ports import Root
from clayline.errors import DatasetError, in_a_line
from clayline.table.spooling import copy_object
from clayline.table.tiers import NAMES, write_tier

_MOST_FILES: Final = 4
"""That a codebook is made from, unless they are small."""
_MOST_ROWS: Final = 65_536


@dataclass(frozen=True, kw_only=True, slots=True)
class DatasetTiers:
    """The TierTables port of ``clayline.steps.tiering``."""

    scratch: Path

    def codebook(self, root: Root, files: Sequence[CompactFile], *, token: str) -> Codebook:
        """Make a codebook from vectors of files of one model, evenly taken out of them.

        Raises DatasetError, ObjectMissingError, TransientError.
        """
        chosen = _chosen(files)
        step = -(-sum(file.file.rows for file in chosen) // _MOST_ROWS)
        found, digests = [], set()
        for file in chosen:
            with self._copied(root, file) as path, pq.ParquetFile(path) as source:
                header = (source.metadata.metadata or {}).get(b"clayline", b"{}")
                digests.add(str(json.loads(header).get("digest")))
                for group in range(source.num_row_groups):
                    column: Any = source.read_row_group(group, columns=["embeddings"]).column(0).combine_chunks()
                    vectors = column.flatten().to_numpy(zero_copy_only=False)
                    found.append(vectors.reshape(len(column), -1)[::step].copy())
        if len(digests) > 1:
            msg = (
                f"{root.uri}: files of {token} are of {len(digests)} models ({', '.join(sorted(digests))}): a token"
                " names one. Take the scenes of one of them away, and make the dataset again."
            )
            raise DatasetError(msg)
        return Codebook.of(np.concatenate(found), token=token, digest=digests.pop())

    def tiers(
        self, root: Root, file: CompactFile, codebook: Codebook, *, link: str, stamp: str
    ) -> Iterator[tuple[TierName, Path, StoredFile]]:
        """Give each tier of a file: where it lies until the next one is asked for, and what is to be stored.

        Raises DatasetError, ObjectMissingError, TransientError.
        """
        target = self.scratch / "tier.parquet"
        try:
            with self._copied(root, file) as source:
                for tier in NAMES:
                    rows = write_tier(source, target, codebook=codebook, tier=tier, link=link, stamp=stamp)
                    yield tier, target, _stored(target, f"{TIERS}{tier}/{file.partition.path}", rows)
        finally:
            target.unlink(missing_ok=True)

    @contextmanager
    def _copied(self, root: Root, file: CompactFile) -> Iterator[Path]:
        path = self.scratch / "source.parquet"
        try:
            copy_object(root, file.file.href, file.file.size, None, path)
            yield path
        except (pa.ArrowException, ValueError) as error:
            msg = (
                f"{root.uri}/{file.file.href} is no file that a compactor wrote: {in_a_line(error)}. Move"
                f" `{FILES}` and the manifest away, and make them again with `clayline index` and `clayline compact`."
            )
            raise DatasetError(msg) from error
        finally:
            path.unlink(missing_ok=True)


def _chosen(files: Sequence[CompactFile]) -> Sequence[CompactFile]:
    """Give every n-th file: a few, or as many as hold chips enough."""
    for every in range(-(-len(files) // _MOST_FILES), 1, -1):
        if sum(file.file.rows for file in files[::every]) >= LEAST_ROWS:
            return files[::every]
    return files


def _stored(path: Path, folder: str, rows: int) -> StoredFile:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return StoredFile(href=f"{folder}/{digest[:16]}.parquet", size=path.stat().st_size, sha256=digest, rows=rows)
