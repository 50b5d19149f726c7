"""Which scenes answer what is asked of a dataset."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from clayline.dataset.asking import Span
from clayline.dataset.scene_row import SceneKey, SceneRow
from clayline.dataset.snapshot import Snapshot
from clayline.errors import DatasetError, digest_shown

_SHA256: Final = "sha256:"


@dataclass(frozen=True, kw_only=True, slots=True)
class Chosen:
    """Scenes of one model that were asked for."""

    token: str | None
    """None: there are no scenes."""
    newest: tuple[SceneRow, ...]
    older: tuple[SceneRow, ...] = ()
    """Revisions that newer ones replace, where they were asked for too: read from their scenes' own files."""

    @property
    def allowed(self) -> dict[str, int]:
        """The revision of each scene whose rows in the squares' files are meant."""
        return {row.scene: row.revision for row in self.newest if row.compacted}


def choose(
    snapshot: Snapshot,
    taken_in: Iterable[SceneRow],
    *,
    where: Callable[[SceneRow], bool] | None,
    span: Span,
    model: str | None,
    history: Iterable[SceneRow] | None = None,
    mixed: bool = False,
) -> Chosen:
    """Choose the scenes that lie where it is asked for (None: everywhere), in the span.

    ``history``, the rows that were replaced, is given where every revision is wanted: None leaves older ones out.
    ``mixed`` lets several models be chosen together, for a list of scenes.

    A model is its token, or ``TOKEN@DIGEST`` (the digest's beginning) where the dataset has several under one token.
    Raises DatasetError where several models meet what was asked, and none was named: they are never mixed.
    """
    taken_in = list(taken_in)

    def meant(row: SceneRow) -> bool:
        return (
            (model is None or is_model(model, row.token, row.digest))
            and span.meets(row.start, row.end)
            and (where is None or where(row))
        )

    visible = snapshot.visible(taken_in)
    newest = [row for row in visible if meant(row)]
    known = {(row.key, row.revision) for row in visible}
    older: dict[tuple[SceneKey, int], SceneRow] = {}
    if history is not None:
        for row in (*history, *taken_in, *snapshot.loose):
            if (row.key, row.revision) not in known and meant(row):
                older[row.key, row.revision] = row
    models = sorted({(row.token, row.digest) for row in (*newest, *older.values())})
    if len(models) > 1 and not mixed:
        listed = named(len({each for each, _ in models}) == 1, models)
        msg = (
            f"embeddings of {len(models)} models lie there, and models are never mixed: {listed}. Name one of them"
            " (model, `--model`)."
        )
        raise DatasetError(msg)
    return Chosen(
        token=models[0][0] if models else None,
        newest=tuple(sorted(newest, key=_order)),
        older=tuple(sorted(older.values(), key=_order)),
    )


def is_model(asked: str, token: str, digest: str) -> bool:
    """Say whether a model is the one that was asked for: TOKEN, or TOKEN@ and the beginning of its digest, be it
    with the dots of a message from which it was copied.
    """
    name, _, beginning = asked.removesuffix("...").partition("@")
    return token == name and digest.removeprefix(_SHA256).startswith(beginning.removeprefix(_SHA256))


def named(with_digests: bool, models: Iterable[tuple[str, str]]) -> str:  # noqa: FBT001 - said by name would be longer
    """List models as they may be asked for: tokens and digests, or tokens alone."""
    return ", ".join(
        dict.fromkeys(f"{token}@{digest_shown(digest)}" if with_digests else token for token, digest in models)
    )


def _order(row: SceneRow) -> tuple[str, datetime, str, int]:
    return row.square, row.start, row.scene, row.revision
