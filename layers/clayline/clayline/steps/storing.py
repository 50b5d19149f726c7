"""Storing what an Item speaks of: the Parquet file whose bytes it states, and the model that it names."""

import hashlib
from pathlib import Path
from typing import Final

from clayline.errors import OutputConflictError
from clayline.outputs.extensions import GEOJSON, PARQUET
from clayline.outputs.model_item import check_same, model_item
from clayline.outputs.stac import WrittenFile
from clayline.ports import PinnedObjects
from clayline.run.plan import Plan

_PART: Final = 8 << 20
"""Bytes of a stored file that are looked at at once."""


def keep_parquet(objects: PinnedObjects, uri: str, path: Path, *, run: str) -> WrittenFile:
    """Store the file, and say what lies there then: of an earlier try's file, what that one wrote.

    Raises OutputConflictError, TransientError, and ObjectMissingError for a file that goes away meanwhile.
    """
    if not objects.put_new(uri, path, run=run, content_type=PARQUET):
        return _stored(objects, uri)
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return WrittenFile(size=path.stat().st_size, sha256=digest)


def keep_model(objects: PinnedObjects, plan: Plan) -> None:
    """Store the Item of the plan's model, unless it is there, from whichever scene.

    Raises OutputConflictError where something else lies there, and TransientError.
    """
    uri = plan.outputs.model(plan.model.entry.digest)
    try:  # written first, not looked for: who may not list a bucket is not told that an object is missing
        objects.put_new(uri, model_item(plan.model, plan.names, uri=uri), run=plan.run, content_type=GEOJSON)
    except OutputConflictError:  # another scene's, which came before
        check_same(objects.get(uri), plan.model, uri=uri)


def _stored(objects: PinnedObjects, uri: str) -> WrittenFile:
    head = objects.head(uri)
    digest = hashlib.sha256()
    for start in range(0, head.size, _PART):
        digest.update(objects.get_range(uri, start=start, stop=min(start + _PART, head.size), etag=head.etag))
    return WrittenFile(size=head.size, sha256=digest.hexdigest())
