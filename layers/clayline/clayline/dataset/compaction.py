"""What a pass of the compactor does, decided without reading or writing anything (docs/dataset.md, Compacting)."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from clayline.dataset.manifest import CompactFile, Part
from clayline.dataset.scene_row import Partition, SceneKey, SceneRow

ALIKE: Final = 8
"""So many parts of similar size are put together, and a part is of similar size up to so many times another."""
MOST_PART_ROWS: Final = 32_768
OVERHEAD: Final = 600
"""Bytes of a chip beside its vector, in the spool."""
_SHARE: Final = 4
"""Chips outside the files are worth a rewrite when they are this part of those inside."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LeftOut:
    """What cannot be compacted, and why."""

    scenes: Mapping[str, str] = field(default_factory=dict)
    """By the key of the scene's file."""
    squares: Mapping[Partition, str] = field(default_factory=dict)

    def and_scenes(self, more: Mapping[str, str]) -> "LeftOut":
        """Leave some scenes out as well."""
        return replace(self, scenes={**self.scenes, **more})

    def and_square(self, partition: Partition, why: str) -> "LeftOut":
        """Leave a square and year out as well."""
        return replace(self, squares={**self.squares, partition: why})

    @property
    def told(self) -> dict[str, str]:
        """Give what is left out by name, and why."""
        return {**self.scenes, **{f"{each.token} {each.square} {each.year}": why for each, why in self.squares.items()}}


NOTHING: Final = LeftOut()


@dataclass(frozen=True, kw_only=True, slots=True)
class Held:
    """Rows of the index that lie in one part, or shall."""

    rows: tuple[SceneRow, ...]
    part: Part | None = None
    """Where they lie; None for those that are not written yet."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Absorbed:
    """The index with more rows in it."""

    held: tuple[Held, ...]
    replaced: tuple[SceneRow, ...]
    """What goes to the history."""
    revised: Mapping[SceneKey, int]


def absorb(held: Sequence[Held], loose: Iterable[SceneRow], revised: Mapping[SceneKey, int]) -> Absorbed:
    """Take loose rows in: the newest of each scene and model stays, what it replaces goes.

    A row that is there already (an event that came again after its fragment was deleted) adds nothing.
    """
    inside = {row.key: row for each in held for row in each.rows}
    fresh: dict[SceneKey, SceneRow] = {}
    gone: set[SceneKey] = set()
    replaced: list[SceneRow] = []
    highest = dict(revised)
    for row in sorted(loose, key=lambda row: (row.key, row.revision)):
        known = fresh.get(row.key) or inside.get(row.key)
        if known is None:
            fresh[row.key] = row
        elif row.revision > known.revision:
            replaced.append(known)
            if row.key not in fresh:
                gone.add(row.key)
            fresh[row.key] = row
            highest[row.key] = row.revision
        elif row.revision < known.revision:
            replaced.append(row)
            highest[row.key] = known.revision
    kept = [_without(each, gone) for each in held]
    new = Held(rows=tuple(fresh.values()))
    return Absorbed(held=tuple(each for each in (*kept, new) if each.rows), replaced=tuple(replaced), revised=highest)


def _without(held: Held, gone: set[SceneKey]) -> Held:
    left = tuple(row for row in held.rows if row.key not in gone)
    return held if len(left) == len(held.rows) else Held(rows=left)


def forget(
    held: Sequence[Held],
    older: Sequence[SceneRow],
    gone: Collection[tuple[SceneKey, int]],
    revised: Mapping[SceneKey, int],
) -> Absorbed:
    """Take rows out, by scene and revision; of a scene whose newest goes the highest of ``older`` comes back."""
    left = [row for row in older if (row.key, row.revision) not in gone]
    kept, back = [], dict[SceneKey, SceneRow]()
    for each in held:
        rows = tuple(row for row in each.rows if (row.key, row.revision) not in gone)
        kept.append(each if len(rows) == len(each.rows) else Held(rows=rows))
    there = {row.key: row.revision for each in kept for row in each.rows}
    for row in left:
        if row.key not in there and row.revision > (back[row.key].revision if row.key in back else 0):
            back[row.key] = row
    returned = Held(rows=tuple(replace(row, compacted=False) for row in back.values()))
    there |= {key: row.revision for key, row in back.items()}
    return Absorbed(
        held=tuple(each for each in (*kept, returned) if each.rows),
        replaced=tuple(row for row in left if back.get(row.key) is not row),
        revised={key: there[key] for key in revised if key in there},
    )


def alike(sizes: Sequence[int]) -> list[int] | None:
    """Give the positions of parts (by their numbers of rows) that are put together next; None where there are none."""
    levels: dict[int, list[int]] = defaultdict(list)
    for at, rows in enumerate(sizes):
        if rows < MOST_PART_ROWS:
            levels[_level(rows)].append(at)
    for level in sorted(levels):
        if len(levels[level]) >= ALIKE:
            return levels[level]
    return None


def _level(rows: int) -> int:
    level = 0
    while rows >= ALIKE:
        rows //= ALIKE
        level += 1
    return level


def put_together(held: Sequence[Held]) -> tuple[Held, ...]:
    """Put parts of similar size together, until none are left to be."""
    found = list(held)
    while chosen := alike([len(each.rows) for each in found]):
        rows = tuple(row for at in chosen for row in found[at].rows)
        found = [each for at, each in enumerate(found) if at not in chosen] + [Held(rows=rows)]
    return tuple(found)


@dataclass(frozen=True, kw_only=True, slots=True)
class Rewrite:
    """A square and year whose files are made again."""

    partition: Partition
    scenes: tuple[SceneRow, ...]
    """All that are in them afterwards."""
    fresh: tuple[SceneRow, ...]
    """Of these, those that are read from the scenes' own files."""
    files: tuple[CompactFile, ...]
    """The files before. Where ``fresh`` is every scene they are not read."""
    gain: int
    """Chips that come in, or go."""


def next_rewrite(
    rows: Iterable[SceneRow], files: Iterable[CompactFile], *, most_bytes: int, without: LeftOut = NOTHING
) -> Rewrite | None:
    """Choose the square and year with the most to gain, and which of its scenes come in; None where none is worth it.

    No more than ``most_bytes`` are spooled: what does not fit stays outside. Files of one model's several digests are
    never mixed: the one with the most chips is compacted, scenes of the others stay outside.
    """
    scenes: dict[Partition, list[SceneRow]] = defaultdict(list)
    before: dict[Partition, list[CompactFile]] = defaultdict(list)
    for row in rows:
        scenes[row.partition].append(row)
    for file in files:
        before[file.partition].append(file)
    found = [
        rewrite
        for partition in sorted({*scenes, *before} - without.squares.keys())
        if (rewrite := _rewrite(partition, scenes[partition], before[partition], most_bytes, without.scenes))
    ]
    return max(found, key=lambda rewrite: rewrite.gain, default=None)


def _rewrite(
    partition: Partition,
    rows: Sequence[SceneRow],
    files: Sequence[CompactFile],
    most_bytes: int,
    without: Collection[str],
) -> Rewrite | None:
    there = sum(file.file.rows for file in files)
    alike = _most_alike(rows)
    inside = [row for row in alike if row.compacted]
    counted = sum(row.rows for row in inside)
    if counted > there:  # files that lack chips are no source: everything is read from the scenes again
        inside, counted, there = [], 0, 0
    stale = there - counted
    known = {row.key for row in inside}
    outside_yet = (row for row in alike if row.key not in known and row.href not in without)
    fresh = sorted(outside_yet, key=lambda row: (row.start, row.key))
    outside = sum(row.rows for row in fresh)
    if not stale and (not outside or outside * _SHARE < there):
        return None
    room = most_bytes - sum(_spooled(row) for row in inside)
    taken: list[SceneRow] = []
    for row in fresh:
        if _spooled(row) <= room:
            taken.append(row)
            room -= _spooled(row)
    gain = stale + sum(row.rows for row in taken)
    if room < 0 or not gain:
        return None
    return Rewrite(
        partition=partition,
        scenes=(*inside, *taken),
        fresh=tuple(taken),
        files=tuple(files),
        gain=gain,
    )


def _most_alike(rows: Sequence[SceneRow]) -> list[SceneRow]:
    """Give the rows of the digest, and length of vectors, of which there are most chips."""
    chips: dict[tuple[str, int], int] = defaultdict(int)
    for row in rows:
        chips[row.digest, row.dimensions] += row.rows
    most = max(chips, key=lambda each: (chips[each], each), default=None)
    return [row for row in rows if (row.digest, row.dimensions) == most]


def _spooled(row: SceneRow) -> int:
    return row.rows * (4 * row.dimensions + OVERHEAD)


def mark(held: Sequence[Held], rewrite: Rewrite) -> tuple[Held, ...]:
    """Say of each row of a square and year whether its chips are in the files now."""
    inside = {row.key for row in rewrite.scenes}
    return tuple(_marked(each, rewrite.partition, inside) for each in held)


def _marked(held: Held, partition: Partition, inside: set[SceneKey]) -> Held:
    changed = [replace(row, compacted=row.key in inside) if row.partition == partition else row for row in held.rows]
    return held if changed == list(held.rows) else Held(rows=tuple(changed))
