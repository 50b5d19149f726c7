"""Asking a vector bucket: the same chips, and the same likeness, as looking through the files."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from tests.likeness.vector_bucket import MemoryVectors, meets

from clayline.dataset.scene_row import Box
from clayline.errors import DatasetError
from clayline.likeness.centring import Centre
from clayline.likeness.probe import Probe
from clayline.likeness.taking_part import Filters, Traits
from clayline.likeness.vector_index import VectorModel
from clayline.likeness.vector_query import VectorQuestion, ask_vectors
from clayline.likeness.vector_records import ChipColumns, puts

COUNT, DIMENSIONS = 400, 12
TOKEN, DIGEST = "clay-v1.5-cls", "sha256:" + "0" * 64
RANDOM = np.random.default_rng(12)
CENTRE = Centre(values=RANDOM.standard_normal(DIMENSIONS, dtype=np.float32) * 3, by="card")
MODEL = VectorModel.by(CENTRE, token=TOKEN, digest=DIGEST)
LON, LAT = RANDOM.uniform(-180, 180, COUNT), RANDOM.uniform(-79, 83, COUNT)
TRAITS = Traits(
    valid=RANDOM.choice(np.array([0.5, 0.9, 1], np.float32), COUNT),
    cloud=RANDOM.choice(np.array([0, 0.2, 0.3, np.nan], np.float32), COUNT),
    loss=RANDOM.choice(np.array([0.1, 0.4, np.nan], np.float32), COUNT),
)
EPOCH = RANDOM.integers(1_600_000_000, 1_700_000_000, COUNT)
INSTRUMENTS = np.array(["s2a-msi-l2a", "s2b-msi-l2a", "landsat8-oli-l1"])[RANDOM.integers(0, 3, COUNT)]
COLUMNS = ChipColumns(
    uci=[
        f"{int((lon + 180) // 6) + 1:02d}UQD-r{row:05d}c00256s256g10000_20240601T103031_{name}_{TOKEN}"
        for row, (lon, name) in enumerate(zip(LON, INSTRUMENTS, strict=True))
    ],
    cell=[None] * COUNT,
    epoch=EPOCH,
    centres=np.stack([LON, LAT], axis=1),
    valid=TRAITS.valid,
    cloud=TRAITS.cloud,
    loss=TRAITS.loss,
    vectors=CENTRE.values + RANDOM.standard_normal((COUNT, DIMENSIONS), dtype=np.float32),
)
PROBE = Probe.of_examples(COLUMNS.vectors[:2], COLUMNS.vectors[2:3], token=TOKEN, digest=DIGEST, centre=CENTRE)


def bucket() -> MemoryVectors:
    found = MemoryVectors()
    for name in set(INSTRUMENTS):
        of_it = np.flatnonzero(name == INSTRUMENTS)
        part = ChipColumns(
            uci=[COLUMNS.uci[row] for row in of_it.tolist()],
            cell=[None] * len(of_it),
            **{
                each: getattr(COLUMNS, each)[of_it]
                for each in ("epoch", "centres", "valid", "cloud", "loss", "vectors")
            },
        )
        for put in puts(part, MODEL, scene="0" * 12, instrument=name).requests:
            found.put(put)
    return found


def exact(question: VectorQuestion) -> dict[str, float]:
    """Give what a look through the files gives, by the rules of likeness.md alone."""
    keep, _ = question.filters.judge(TRAITS)
    if question.box:
        west, south, east, north = (question.box.west, question.box.south, question.box.east, question.box.north)
        across = (west <= LON) & (east >= LON) if west <= east else (west <= LON) | (east >= LON)
        keep = keep & across & (south <= LAT) & (north >= LAT)
    if question.start:
        keep = keep & (question.start.timestamp() <= EPOCH)
    if question.end:
        keep = keep & (question.end.timestamp() >= EPOCH)
    if question.instruments:
        of_family = ("s2-msi-l2a" in question.instruments) & (INSTRUMENTS != "landsat8-oli-l1")
        keep = keep & (np.isin(INSTRUMENTS, list(question.instruments)) | of_family)
    if question.uci_begins:
        keep = keep & np.array([uci.startswith(question.uci_begins) for uci in COLUMNS.uci])
    scores = PROBE.scores(COLUMNS.vectors)
    return {COLUMNS.uci[row]: float(scores[row]) for row in np.flatnonzero(keep).tolist()}


QUESTIONS = [
    VectorQuestion(),
    VectorQuestion(filters=Filters(valid_least=0, cloud_most=0.2)),
    VectorQuestion(filters=Filters(cloud_most=0.3, loss_most=0.1)),
    VectorQuestion(box=Box(west=-20, south=-40, east=60, north=50)),
    VectorQuestion(box=Box(west=120, south=-79, east=-120, north=83)),
    VectorQuestion(start=datetime(2021, 1, 1, tzinfo=UTC), end=datetime(2022, 6, 1, tzinfo=UTC)),
    VectorQuestion(instruments=frozenset({"s2b-msi-l2a"}), filters=Filters(valid_least=1)),
    VectorQuestion(instruments=frozenset({"s2-msi-l2a"}), filters=Filters(valid_least=1)),
    VectorQuestion(uci_begins="3"),
]


@pytest.mark.parametrize("question", QUESTIONS)
def test_it_finds_what_a_look_through_the_files_finds(question: VectorQuestion) -> None:
    expected = exact(question)
    assert 20 < len(expected) < COUNT
    answer = ask_vectors(bucket(), MODEL, PROBE, question, most=15)
    first = sorted(expected.items(), key=lambda pair: -pair[1])[:15]
    assert [each.uci for each in answer.neighbours] == [uci for uci, _ in first]
    assert [each.score for each in answer.neighbours] == pytest.approx([score for _, score in first], abs=1e-5)


def test_a_day_is_found_by_a_moment_of_it_though_its_first_moment_alone_stands_in_the_index() -> None:
    question = VectorQuestion(start=datetime(2020, 5, 18, 12, tzinfo=UTC), end=datetime(2020, 5, 18, 13, tzinfo=UTC))
    day, noon = (int(datetime(2020, 5, 18, hour, tzinfo=UTC).timestamp()) for hour in (0, 12))
    begun = {day: True, day - 86_400: False, day + 1: False, noon - 1: False, noon: True, noon + 3_601: False}
    for epoch, is_met in begun.items():
        assert meets({"epoch": epoch, "valid": 1.0}, question.document()) is is_met


def test_raw_vectors_would_have_ranked_otherwise() -> None:
    raw = COLUMNS.vectors @ PROBE.direction / np.linalg.norm(COLUMNS.vectors, axis=1)
    assert np.argsort(-raw)[:15].tolist() != np.argsort(-PROBE.scores(COLUMNS.vectors))[:15].tolist()


def test_a_box_asks_few_indexes() -> None:
    answer = ask_vectors(bucket(), MODEL, PROBE, VectorQuestion(box=Box(west=9, south=0, east=10, north=60)), most=5)
    assert [index[-2:] for index in answer.asked] == ["30", "31", "32", "33", "34"]


@pytest.mark.parametrize(
    ("probe", "said"),
    [
        (replace(PROBE, digest="sha256:" + "1" * 64), "cannot look through vectors of"),
        (replace(PROBE, centre=Centre(values=CENTRE.values + 1, by="rows")), r"another centre \(rows\)"),
    ],
)
def test_a_probe_of_another_model_or_centre_is_refused(probe: Probe, said: str) -> None:
    with pytest.raises(DatasetError, match=said):
        ask_vectors(bucket(), MODEL, probe, VectorQuestion(), most=5)


def test_more_than_s3_vectors_gives_is_refused() -> None:
    with pytest.raises(DatasetError, match="1 to 100"):
        ask_vectors(bucket(), MODEL, PROBE, VectorQuestion(), most=101)


def test_where_nothing_was_sent_the_answer_says_what_to_do() -> None:
    with pytest.raises(DatasetError, match="clayline vectors"):
        ask_vectors(MemoryVectors(), MODEL, PROBE, VectorQuestion(), most=5)
