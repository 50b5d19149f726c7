"""Filters."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from tests.dataset.scenes import MadeUp, rewritten
from tests.likeness.test_vector_query import COLUMNS, COUNT, MODEL
from tests.likeness.vector_bucket import meets
from tests.likeness.watches import watch_of

from clayline.dataset.folder import FolderRoot
from clayline.likeness.matching import Tally
from clayline.likeness.pairing import Limits
from clayline.likeness.taking_part import Filters, Traits
from clayline.likeness.vector_query import VectorQuestion
from clayline.likeness.vector_records import puts
from clayline.table.ranking import Judge
from clayline.table.scene_chips import open_scene

TRAITS = Traits(
    valid=np.array([1.0, 0.9, 0.89, np.nan, 1.0, 1.0]),
    cloud=np.array([0.0, 0.5, 0.9, 0.0, np.nan, 0.2]),
    loss=np.array([0.1, 0.2, 0.3, 0.4, 0.5, np.nan]),
)


def test_by_default_chips_that_are_mostly_outside_are_left_out() -> None:
    taken, left_out = Filters().judge(TRAITS)
    assert taken.tolist() == [True, True, False, False, True, True]
    assert left_out == {"valid": 2}


def test_what_is_unknown_does_not_pass_a_filter_that_asks_for_it() -> None:
    taken, left_out = Filters(valid_least=0, cloud_most=0.4, loss_most=0.45).judge(TRAITS)
    assert taken.tolist() == [True, False, False, False, False, False]
    assert left_out == {"valid": 1, "cloud-unknown": 1, "cloud": 2, "loss-unknown": 1}


AT, BEYOND = np.float32(0.9), np.nextafter(np.float32(0.9), np.float32(0))
"""What a file says of a chip of nine tenths, and the number before it."""


@pytest.mark.parametrize("wide", [np.float32, np.float64])
def test_at_the_limit_a_chip_takes_part_however_wide_its_numbers_are_read(wide: Any) -> None:
    low, over = np.array([AT, BEYOND], wide), np.array([AT, np.nextafter(AT, np.float32(1))], wide)
    known = np.zeros(2, wide)
    for filters, traits in (
        (Filters(), Traits(valid=low, cloud=known, loss=known)),
        (Filters(valid_least=0, cloud_most=0.9), Traits(valid=known, cloud=over, loss=known)),
        (Filters(valid_least=0, loss_most=0.9), Traits(valid=known, cloud=known, loss=over)),
    ):
        assert filters.judge(traits)[0].tolist() == [True, False]
    assert Limits().judge(low, known, np.zeros(2, np.bool_)).tolist() == ["", "mostly-outside"]
    assert Limits(valid_least=0, cloud_most=0.9).judge(known, over, np.zeros(2, np.bool_)).tolist() == ["", "cloud"]


def test_a_limit_beyond_what_a_file_can_say_leaves_nothing_out() -> None:
    traits = Traits(valid=np.ones(1), cloud=np.zeros(1), loss=np.array([3e38]))
    assert Filters(loss_most=1e300).judge(traits)[0].all()


def test_search_watch_and_change_take_the_same_chips(tmp_path: Path) -> None:
    """Of a file as it lies there: one chip at the limit, one before it, the others valid."""
    root, scene = FolderRoot(tmp_path), MadeUp(number=1, rows=16)
    scene.land(root)
    valid = np.ones(16, np.float32)
    valid[3], valid[4] = AT, BEYOND
    path = tmp_path / scene.file.parquet
    path.write_bytes(rewritten(path.read_bytes(), valid_fraction=valid))
    expected = [at != 4 for at in range(16)]
    table = pq.read_table(path)
    assert Judge(filters=Filters()).judge(table).tolist() == expected
    [chips] = list(open_scene(root, scene.file).chips())
    tally = Tally(watch=watch_of(MadeUp(number=2), threshold=-0.999), instrument=scene.row.instrument)
    tally.add(chips)
    assert (sorted(match.uci for match in tally.matches), tally.reasons) == (
        [uci for uci, taken in zip(scene.ucis, expected, strict=True) if taken],
        {"valid": 1},
    )
    said = np.asarray(table.column("valid_fraction").to_numpy())
    assert (Limits().judge(said, np.zeros(16), np.zeros(16, np.bool_)) == "").tolist() == expected


@pytest.mark.parametrize("limit", [0.9, 1 / 3, 0.123456789])
def test_a_vector_bucket_is_asked_for_what_its_records_say(limit: float) -> None:
    """They are rounded, and so is what they are compared with."""
    columns = replace(
        COLUMNS, valid=np.full(COUNT, limit, np.float32), cloud=np.full(COUNT, limit, np.float32),
        loss=np.full(COUNT, limit, np.float32),
    )  # fmt: skip
    filters = Filters(valid_least=limit, cloud_most=limit, loss_most=limit)
    traits = Traits(valid=columns.valid, cloud=columns.cloud, loss=columns.loss)
    assert filters.judge(traits)[0].all()
    asked = VectorQuestion(filters=filters).document()
    records = [each for put in puts(columns, MODEL, scene="s", instrument="i").requests for each in put.records]
    assert len(records) == COUNT
    assert all(meets(each.metadata, asked) for each in records)


def test_every_chip_is_taken_or_counted_once() -> None:
    taken, left_out = Filters(cloud_most=0.1, loss_most=0.15).judge(TRAITS)
    assert int(taken.sum()) + sum(left_out.values()) == len(taken)
