"""``clayline vectors``: what a vector bucket lacks is sent to it."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from clayline.aws.vectors import S3Vectors
from clayline.dataset.ports import WritableRoot
from clayline.errors import DatasetError, TransientError, shown
from clayline.model.statistics import STATISTICS_FILE, FolderStatistics, read_statistics
from clayline.ports import ObjectMissingError
from clayline.steps.centres import Centres
from clayline.steps.sending import LEFT_BEHIND, Sending, Sent
from clayline.table.scene_header import read_scene_header
from clayline.table.vector_columns import read_chips
from clayline_cli.console import Console

_AMPLE: Final = timedelta(days=1)
"""Nobody stops the command but the user."""
_IN_A_ROW: Final = 5
"""Scenes that could not be sent one after the other, after which the others are not tried."""
_BESIDE: Final = (
    "another sender has begun with it and not ended. If that one still works, it ends what it began; if it was killed,"
    " run this again an hour after it began: until then the scene counts as missing"
)


def send(
    root: WritableRoot, vectors: S3Vectors, console: Console, *, model_folder: Path, look: bool, as_json: bool
) -> int:
    """Send each scene under a root that the vector bucket is not marked as holding; gives the exit status.

    Raises ClaylineError, Stopped.
    """
    sending = Sending(
        root=root,
        vectors=vectors,
        read_header=read_scene_header,
        read_chips=read_chips,
        centre=Centres(root=root, statistics=lambda: _statistics(model_folder)).of,
        clock=lambda: datetime.now(UTC),
    )
    done, wrong, beside, in_a_row, missing = 0, 0, 0, 0, list(sending.missing())
    console.notice(f"{root.uri}: {len(missing)} scenes are not in the vector bucket {vectors.bucket}")
    for number, file in enumerate(missing, start=1):
        state, message = "missing", ""
        if not look:
            try:
                outcome = sending.send(file, left=lambda: _AMPLE)
                state, done, in_a_row = outcome.sent.value, done + 1, 0
                if outcome.mark and outcome.mark.unread:
                    console.warn(shown(f"{file.parquet}: {LEFT_BEHIND}: {', '.join(outcome.mark.unread)}"))
                if outcome.sent is Sent.BESIDE:
                    message = f"{file.parquet} was sent, but {_BESIDE}"
                    beside += 1
                    console.warn(shown(message))
            except (DatasetError, ObjectMissingError, TransientError) as error:
                state, message = "failed", str(error)
                wrong, in_a_row = wrong + 1, in_a_row + 1
                console.warn(shown(message))
            console.step(f"{number} of {len(missing)}: {file.parquet}")
        if as_json:
            print(json.dumps({"scene": file.parquet, "state": state, "message": message or None}), flush=True)
        if in_a_row == _IN_A_ROW:
            console.warn(f"{_IN_A_ROW} scenes in a row could not be sent: the other {len(missing) - number} were left")
            break
    if not as_json:
        print(f"{len(missing)} scenes missing" if look else f"{done} scenes sent, {wrong} failed", flush=True)
    return 1 if wrong or beside else 0


def _statistics(folder: Path) -> FolderStatistics | None:
    path = folder / STATISTICS_FILE
    try:
        return read_statistics(path.read_bytes(), source=str(path))
    except FileNotFoundError:
        return None
