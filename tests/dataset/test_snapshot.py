"""What a reader sees of fragments and a manifest."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from clayline.dataset.compaction import absorb
from clayline.dataset.manifest import FRAGMENTS, Manifest, Revised
from clayline.dataset.scene_row import Box, SceneRow
from clayline.dataset.snapshot import Snapshot, not_taken_in
from clayline.errors import DatasetError

NOON = datetime(2024, 6, 1, 12, tzinfo=UTC)
ROW = SceneRow(
    token="starter-v1.0-s2-rgb",
    digest=f"sha256:{'0' * 64}",
    scene="0123456789ab",
    revision=1,
    run="f" * 32,
    status="SceneEmbedded",
    item_id="item",
    instrument="s2a-msi-l2a",
    start=NOON,
    end=NOON,
    created=NOON,
    box=Box(west=8, south=50, east=9, north=51),
    geometry=b"",
    gsd=10.0,
    square="32UQD",
    rows=1849,
    size=8_000_000,
    etag="e",
    dimensions=112,
    href="starter-v1.0-s2-rgb/0123456789ab/32UQD_20240601_20240601_v001.parquet",
)


def _revised(revision: int) -> Manifest:
    return Manifest(revised=(Revised(token=ROW.token, scene=ROW.scene, revision=revision),))


def test_a_loose_row_of_a_newer_revision_replaces_the_one_taken_in() -> None:
    newer = replace(ROW, revision=2)
    assert Snapshot(manifest=Manifest(), loose=(newer,)).visible([ROW]) == [newer]


def test_a_late_row_of_an_older_revision_is_not_seen_even_where_the_parts_were_not_looked_through() -> None:
    assert Snapshot(manifest=_revised(2), loose=(ROW,)).visible([]) == []
    newer = replace(ROW, revision=2)
    assert Snapshot(manifest=_revised(2), loose=(ROW,)).visible([newer]) == [newer]


def test_an_older_revision_that_comes_after_a_newer_one_was_taken_in_alone_is_not_seen() -> None:
    newer = replace(ROW, revision=2)
    taken_in = absorb([], [newer], {})
    assert dict(taken_in.revised) == {ROW.key: 2}
    assert Snapshot(manifest=_revised(taken_in.revised[ROW.key]), loose=(ROW,)).visible([newer]) == [newer]


def test_scenes_and_models_do_not_replace_each_other() -> None:
    rows = [ROW, replace(ROW, scene="ba9876543210"), replace(ROW, token="starter-v1.0-l2-rgb", revision=3)]
    assert Snapshot(manifest=Manifest(), loose=tuple(rows)).visible([]) == rows


def test_a_fragment_that_came_again_does_not_make_a_scene_of_the_files_one_beside_them() -> None:
    compacted = replace(ROW, compacted=True)
    assert Snapshot(manifest=Manifest(), loose=(ROW,)).visible([compacted]) == [compacted]


def test_fragments_that_the_manifest_has_are_not_counted_twice() -> None:
    other = replace(ROW, scene="ba9876543210").fragment
    listed = [FRAGMENTS + ROW.fragment, FRAGMENTS + other]
    assert not_taken_in(listed, Manifest(absorbed=(ROW.fragment,))) == [FRAGMENTS + other]


@pytest.mark.parametrize("content", [b"", b"{}[", b'{"format": "clayline-dataset/2"}', b'{"version": "x"}'])
def test_what_is_no_manifest_is_refused_with_the_remedy(content: bytes) -> None:
    with pytest.raises(DatasetError, match=r"s3://bucket/dataset/manifest\.json is no manifest.*clayline index"):
        Manifest.parse(content, root="s3://bucket")


@pytest.mark.parametrize(
    ("one", "other", "meet"),
    [
        (Box(west=170, south=0, east=-170, north=1), Box(west=-175, south=0, east=-174, north=1), True),
        (Box(west=170, south=0, east=-170, north=1), Box(west=0, south=0, east=1, north=1), False),
        (Box(west=0, south=0, east=1, north=1), Box(west=1, south=1, east=2, north=2), True),
        (Box(west=0, south=0, east=1, north=1), Box(west=0, south=1.1, east=2, north=2), False),
    ],
)
def test_boxes_meet_over_the_antimeridian_too(one: Box, other: Box, meet: bool) -> None:  # noqa: FBT001
    assert one.meets(other) is meet
    assert other.meets(one) is meet
