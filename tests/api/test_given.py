"""Whatever a question is given in Python that it cannot take is a DatasetError that names it and says what to give."""

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.api.alike import DIGEST, TOKEN, Alike
from tests.dataset.scenes import MadeUp
from tests.likeness.watches import watch_of

from clayline.api import Dataset, How, Where, open_scene_files
from clayline.api.rehearsing import rehearse
from clayline.dataset.folder import FolderRoot
from clayline.errors import DatasetError
from clayline.likeness.instruments import Instruments
from clayline.likeness.pairing import Limits
from clayline.likeness.taking_part import Filters
from clayline.likeness.vector_query import VectorQuestion

NAN = float("nan")
DATES = ["2024-05-19", "2024-05-20"]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Alike:
    found = Alike(root=FolderRoot(tmp_path_factory.mktemp("dataset")))
    for number in (1, 2):
        found.scene(number, place=1)
    return found


@pytest.mark.parametrize(
    ("make", "given"),
    [
        (kind, {name: value})
        for kind in (Filters, Limits)
        for name in ("valid_least", "cloud_most")
        for value in (NAN, 5, -0.1, "0.5", True, float("inf"), [0.5])
    ]
    + [(Filters, {"loss_most": value}) for value in (NAN, -1, "1", float("inf"))]
    + [(kind, {"valid_least": None}) for kind in (Filters, Limits)]
    + [(Limits, {"cloud_known": value}) for value in (None, 1, "yes")]
    + [
        (Where, {"filters": {}}),
        (Where, {"filters": Limits()}),
        (Where, {"instrument": 5}),
        (Where, {"instrument": ""}),
    ]
    + [(Where, {"across_instruments": "no"}), (Where, {"with_examples": None}), (How, {"model_folder": "models"})]
    + [(How, {"exact": 1}), (How, {"explain": "yes"}), (Instruments, {"named": 5}), (Instruments, {"across": 1})],
    ids=str,
)
def test_limits_that_are_none_are_refused_where_they_are_made(make: Callable[..., Any], given: dict[str, Any]) -> None:
    [(name, value)] = given.items()
    said = {"named": "instrument", "across": "across_instruments"}.get(name, name)
    with pytest.raises(DatasetError, match=rf"^{said} .*is none: give ") as caught:
        make(**given)
    assert repr(value)[:20] in str(caught.value)


def test_limits_at_their_ends_are_taken_and_so_are_numbers_of_numpys() -> None:
    some: Any = np.float32(0.5)
    assert Filters(valid_least=some, cloud_most=1, loss_most=np.float64(3)).valid_least == 0.5
    assert Limits(valid_least=0, cloud_most=None).cloud_most is None


@pytest.mark.parametrize(
    "given",
    [
        *({"count": value} for value in ("5", 2.5, None, 0, -1, True, 100_001)),
        {"model": 5}, {"model": ""}, {"where": {}}, {"where": None}, {"how": {}}, {"how": None}, {"like": None},
        {"like": 5}, {"like": b"utm21"}, {"like": {"a": 1}}, {"like": [None]}, {"like": [5]}, {"unlike": None},
        {"like": []}, {"unlike": [5]}, {"time": 5}, {"box": 5},
    ],
    ids=str,
)  # fmt: skip
def test_search_refuses_what_it_cannot_take(world: Alike, given: dict[str, Any]) -> None:
    asked: dict[str, Any] = {"like": [next(iter(world.chips))], **given}
    with pytest.raises(DatasetError, match=r"[Gg]ive "):
        Dataset(world.root).search(**asked)


@pytest.mark.parametrize(
    "given",
    [
        {"limits": {}}, {"limits": Filters()}, {"across_instruments": "no"}, {"explain": 1}, {"model": 5},
        {"dates": 5}, {"dates": date(2024, 5, 19)}, {"dates": {"a": 1}}, {"dates": [None, None]}, {"dates": [1, 2]},
        {"dates": []}, {"dates": "2024-05-19"}, {"statistics": {}}, {"statistics": "models"},
    ],
    ids=str,
)  # fmt: skip
def test_change_refuses_what_it_cannot_take(world: Alike, given: dict[str, Any]) -> None:
    asked: dict[str, Any] = {"dates": DATES, **given}
    with pytest.raises(DatasetError, match=r"[Gg]ive "):
        Dataset(world.root).change(**asked)


def test_one_example_is_a_list_of_it_and_dates_may_be_one_text(world: Alike) -> None:
    dataset = Dataset(world.root)
    name, chip = next(iter(world.chips.items()))
    alone: list[Any] = [name, str(chip["cell"]), (chip["lon"], chip["lat"])]
    for one in alone:
        assert dataset.search(one, count=3).table.equals(dataset.search([one], count=3).table)
    assert dataset.examples(name)[0][0].name == name
    assert dataset.change(dates=",".join(DATES)).dates == dataset.change(dates=DATES).dates


@pytest.mark.parametrize("given", [{"watch": {}}, {"at_most": NAN}, {"at_most": 5}, {"at_most": "0.1"}], ids=str)
def test_a_rehearsal_refuses_what_it_cannot_take(world: Alike, given: dict[str, Any]) -> None:
    asked: dict[str, Any] = {"watch": watch_of(MadeUp(number=0)), **given}
    with pytest.raises(DatasetError, match="is none: give "):
        rehearse(Dataset(world.root), **asked)


@pytest.mark.parametrize("given", [{"filters": {}}, {"instruments": None}, {"model": 5}], ids=str)
def test_examples_refuse_what_they_cannot_take(world: Alike, given: dict[str, Any]) -> None:
    with pytest.raises(DatasetError, match="give "):
        Dataset(world.root).examples([next(iter(world.chips))], **given)


def test_a_centre_and_a_question_to_a_vector_bucket_refuse_other_filters(world: Alike) -> None:
    other: Any = {}
    with pytest.raises(DatasetError, match=r"filters \{\} is none: give a "):
        Dataset(world.root).centre(TOKEN, DIGEST, filters=other)
    with pytest.raises(DatasetError, match=r"filters \{\} is none: give a "):
        VectorQuestion(filters=other)


def test_scene_files_are_one_or_more_paths(world: Alike, tmp_path: Path) -> None:
    [path, _] = [tmp_path / f"{number}.parquet" for number in (1, 2)]
    body = world.root.get(next(iter(world.root.list("starter"))).key, most=10**9)[0]
    path.write_bytes(body)
    for one in (path, str(path), [path], (str(path),)):
        assert open_scene_files(one).read(columns=["uci"]).num_rows == 600
    for wrong, said in (
        ([], "no scene file was named"),
        (None, "no scene file was named"),
        ([5], "5 is no scene file"),
    ):
        with pytest.raises(DatasetError, match=rf"{said}.*: give "):
            open_scene_files(wrong)  # type: ignore[arg-type] # what is tested
    with pytest.raises(DatasetError, match="'' is no scene file"):
        open_scene_files([""])
