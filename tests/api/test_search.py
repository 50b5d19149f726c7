"""Search: the ranking against an oracle and against DuckDB, two stages against one, filters, and what is refused."""

from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
from tests.api.alike import CENTRES, DIGEST, TOKEN, Alike

from clayline.api import open_place, open_scene_files, searching, two_stages
from clayline.api.dataset import Dataset
from clayline.api.search_terms import Found, How, Where
from clayline.dataset.folder import FolderRoot
from clayline.errors import DatasetError
from clayline.likeness.centring import Centre
from clayline.likeness.examples import Computed
from clayline.likeness.taking_part import Filters
from clayline.model.statistics import FolderStatistics, VectorStatistics

EXACT = How(exact=True)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Alike:
    """Three scenes of 600 chips in a square's files with tiers, and beside them a second date of the first."""
    root = FolderRoot(tmp_path_factory.mktemp("dataset"))
    found = Alike(root=root)
    for number in (1, 2, 3):
        found.scene(number)
    found.compact(tmp_path_factory.mktemp("scratch"))
    found.scene(4, place=1)
    return found


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Alike:
    """Two scenes without an index."""
    found = Alike(root=FolderRoot(tmp_path_factory.mktemp("files")))
    found.scene(1, indexed=False)
    found.scene(2, indexed=False)
    return found


def dataset(world: Alike) -> Dataset:
    return Dataset(world.root)


def names(found: Any) -> list[str]:
    ucis: list[str] = found.table["uci"].to_pylist()
    return ucis


def centre(found: Found) -> Centre:
    assert found.probe
    return found.probe.centre


def some(world: Alike, at: int, *, valid: float = 1.0) -> str:
    """Give the at-th chip that is valid."""
    return [name for name in sorted(world.vectors) if world.chips[name]["valid"] == valid][at]


@pytest.mark.parametrize("exact", [True, False])
def test_the_ranking_is_the_oracles(world: Alike, exact: bool) -> None:  # noqa: FBT001
    like, unlike = [some(world, 5), some(world, 700)], [some(world, 90)]
    found = dataset(world).search(like, unlike, count=25, how=How(exact=exact))
    assert centre(found).by == "codebook"
    expected = world.oracle(like, unlike, centre=centre(found).values.astype(np.float64))[:25]
    assert names(found) == [name for name, _ in expected]
    assert found.table["score"].to_pylist() == pytest.approx([score for _, score in expected], abs=2e-7)
    assert (found.candidates is None) == exact
    assert found.looked_through == 2400
    assert found.left_out == {"example": 3, "valid": sum(each["valid"] < 0.9 for each in world.chips.values())}


def test_bits_leave_a_part_for_the_second_stage_and_find_what_all_find(
    world: Alike, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(two_stages, "LEAST_CANDIDATES", 200)
    for at in range(0, 1400, 200):
        one, two = (dataset(world).search([some(world, at)], how=how) for how in (EXACT, How()))
        assert (one.candidates, two.candidates) == (None, 200)
        assert names(one) == names(two)


def test_duckdb_ranks_alike(world: Alike) -> None:
    like = some(world, 11)
    found = dataset(world).search([like], count=40, how=EXACT)
    taken = centre(found).values
    connection = duckdb.connect()
    connection.execute("create table chips (uci varchar, valid float, away double[48])")
    rows = [
        (name, world.chips[name]["valid"], (vector.astype(np.float64) - taken).tolist())
        for name, vector in world.vectors.items()
    ]
    connection.executemany("insert into chips values (?, ?, ?)", rows)
    told = connection.execute(
        "select uci, array_cosine_similarity(away, (select away from chips where uci = $1)) as score from chips"
        " where valid >= 0.9 and uci <> $1 order by score desc, uci limit 40",
        [like],
    ).fetchall()
    assert names(found) == [uci for uci, _ in told]
    assert found.table["score"].to_pylist() == pytest.approx([score for _, score in told], abs=2e-7)


def test_a_cell_and_a_point_stand_for_their_newest_chip_that_takes_part(world: Alike) -> None:
    name = next(name for name in sorted(world.chips) if world.chips[name]["valid"] == 1)
    chip = world.chips[name]
    point = dataset(world).search([(chip["lon"], chip["lat"])])
    cell = dataset(world).search([chip["cell"]])
    newest = max(
        (each for each in world.chips if world.chips[each]["cell"] == chip["cell"] and world.chips[each]["valid"] == 1),
        key=lambda each: world.chips[each]["start"],
    )
    assert world.chips[newest]["scene"] == f"{4:012x}"
    assert [each.name for each in (*cell.like, *point.like)] == [newest, newest]
    assert names(point) == names(dataset(world).search([newest]))


def test_an_identifier_of_two_scenes_is_one_example_only_if_their_chips_are_the_same(tmp_path: Path) -> None:
    """As of two rows of one pass whose Items say only the day: one of them has the chip at its edge."""
    world = Alike(root=FolderRoot(tmp_path))
    world.scene(1)
    first = dict(world.vectors)
    name = some(world, 0)
    world.scene(2, place=1, day=1, change=lambda _: np.stack([first[each] for each in sorted(first)]))
    assert [each.name for each in dataset(world).search([name]).like] == [name]
    world.scene(3, place=1, day=1)
    message = r"chips of 3 scenes have this identifier and different vectors: 000000000001 \(100% valid\), 000000000002"
    with pytest.raises(DatasetError, match=message):
        dataset(world).search([name])
    chip = world.chips[name]
    assert dataset(world).search([(chip["lon"], chip["lat"])]).like[0].name == name


def test_filters_leave_out_and_say_how_many(world: Alike) -> None:
    like = some(world, 0)
    chips = [chip for name, chip in world.chips.items() if name != like]
    where = Where(filters=Filters(valid_least=0, cloud_most=0.5))
    found = dataset(world).search([like], count=2000, where=where)
    assert found.left_out == {
        "cloud": sum(chip["cloud"] > 0.5 for chip in world.chips.values()),
        "cloud-unknown": sum(np.isnan(chip["cloud"]) for chip in world.chips.values()),
        **({"example": 1} if world.chips[like]["cloud"] <= 0.5 else {}),
    }
    assert len(found.table) == sum(chip["cloud"] <= 0.5 for chip in chips)
    found = dataset(world).search([like], count=3000, where=Where(filters=Filters(loss_most=0.25)))
    assert set(names(found)) == {
        name for name, chip in world.chips.items() if chip["loss"] <= 0.25 and chip["valid"] == 1 and name != like
    }
    found = dataset(world).search([like], count=3000, time="2024-05-20/2024-05-21")
    assert {world.chips[name]["scene"] for name in names(found)} == {f"{2:012x}", f"{3:012x}"}
    assert found.looked_through == 1200
    box = (-53.4, -25.3, -53.0, -25.15)
    for how in (EXACT, How()):
        found = dataset(world).search([like], count=3000, box=box, how=how)
        assert names(found)
        assert all(box[0] - 0.011 <= world.chips[name]["lon"] <= box[2] + 0.011 for name in names(found))


def test_examples_are_in_the_answer_when_that_is_asked(world: Alike) -> None:
    like = some(world, 3)
    found = dataset(world).search([like], where=Where(with_examples=True))
    assert names(found)[0] == like
    assert found.table["score"][0].as_py() == pytest.approx(1, abs=1e-6)


def test_equal_ones_come_by_identifier(tmp_path: Path) -> None:
    world = Alike(root=FolderRoot(tmp_path))
    world.scene(1, rows=400, change=lambda vectors: np.repeat(vectors[:40], 10, axis=0))
    like = some(world, 40)
    found = dataset(world).search([like], count=200)
    assert names(found) == [name for name, _ in world.oracle([like], centre=_mean(world))[:200]]


def _mean(world: Alike) -> Any:
    """Give the centre that `rows` is: of the chips that take part."""
    taken = np.stack([world.vectors[name] for name in sorted(world.vectors) if world.chips[name]["valid"] == 1])
    return taken.astype(np.float64).mean(axis=0).astype(np.float32).astype(np.float64)


def test_the_models_statistics_come_first_where_they_are_of_these_weights(world: Alike, tmp_path: Path) -> None:
    spread = {"vectors": 9, "scenes": ("a",), "deviation": (1.0,) * 48, "least": (-9.0,) * 48, "most": (9.0,) * 48}
    middle = CENTRES.mean(axis=0)
    for digest, by in ((DIGEST, "card"), (f"sha256:{'1' * 64}", "codebook")):
        said = VectorStatistics(digest=digest, mean=tuple(middle.tolist()), **spread)
        text = FolderStatistics(entries={TOKEN: said}).model_dump_json(by_alias=True)
        (tmp_path / "statistics.json").write_text(text)
        like = some(world, 8)
        found = dataset(world).search([like], how=How(model_folder=tmp_path, exact=True))
        assert centre(found).by == by
        if by == "card":
            assert names(found) == [
                name for name, _ in world.oracle([like], centre=middle.astype(np.float32).astype(np.float64))[:10]
            ]


def test_scene_files_are_looked_through_without_an_index(files: Alike) -> None:
    root = Path(files.root.uri)
    like = some(files, 7)
    whole = open_place(root).search([like], count=30)
    assert centre(whole).by == "rows"
    assert names(whole) == [name for name, _ in files.oracle([like], centre=_mean(files))[:30]]
    paths = sorted(root.rglob("*.parquet"))
    assert names(open_scene_files(paths).search([like], count=30)) == names(whole)
    one = open_scene_files([paths[0].rename(root / "renamed.parquet")])
    assert len(one.search([like], count=700).table) < 600
    (root / "renamed.parquet").rename(paths[0])


def test_chips_of_another_instrument_are_left_out_unless_asked(tmp_path: Path) -> None:
    world = Alike(root=FolderRoot(tmp_path))
    world.scene(1)
    world.scene(2, instrument="s2a-msi-l2a")
    like, other = (
        next(name for name in sorted(world.chips) if world.chips[name]["scene"].endswith(end)) for end in ("1", "2")
    )
    found = dataset(world).search([like], count=2000)
    assert found.left_out["instrument"] == 600
    assert set(found.table["instrument"].to_pylist()) == {"landsat8-oli-c2l1"}
    across = Where(across_instruments=True)
    assert set(dataset(world).search([like], count=2000, where=across).table["instrument"].to_pylist()) == {
        "landsat8-oli-c2l1", "s2a-msi-l2a",
    }  # fmt: skip
    for examples, where in (([like, other], Where()), ([like], Where(instrument="s2a-msi-l2a"))):
        with pytest.raises(DatasetError, match=r"several instruments .*across_instruments"):
            dataset(world).search(examples, where=where)


def test_the_satellites_of_a_product_are_one_instrument_and_a_filter_may_name_one(tmp_path: Path) -> None:
    world = Alike(root=FolderRoot(tmp_path))
    flown = ("s2a-msi-l2a", "s2b-msi-l2a", "s2-msi-l2a", "s2a-msi-hls")
    for number, instrument in enumerate(flown, start=1):
        world.scene(number, instrument=instrument)
    first = {each: next(name for name in world.chips if world.chips[name]["instrument"] == each) for each in flown}

    def looked_at(like: list[str], **where: Any) -> set[str | None]:
        found = dataset(world).search(like, count=3000, where=Where(**where), how=How(explain=True))
        assert found.explanation
        passed_over = found.explanation.scenes.get("instrument", 0)
        seen = set(found.table["instrument"].to_pylist())
        assert found.left_out.get("instrument", 0) == 600 * passed_over == 600 * (len(flown) - len(seen))
        return seen

    family = set(flown[:3])
    assert looked_at([first["s2a-msi-l2a"]]) == family
    assert looked_at([first["s2-msi-l2a"], first["s2b-msi-l2a"]]) == family
    assert looked_at([first["s2b-msi-l2a"]], instrument="s2-msi-l2a") == family
    assert looked_at([first["s2b-msi-l2a"]], instrument="s2a-msi-l2a") == {"s2a-msi-l2a"}
    assert looked_at([first["s2a-msi-hls"]]) == {"s2a-msi-hls"}
    with pytest.raises(DatasetError, match=r"several instruments \(s2-msi-hls, s2-msi-l2a\)"):
        dataset(world).search([first["s2a-msi-l2a"], first["s2a-msi-hls"]])


@pytest.mark.parametrize("compacted", [False, True])
def test_a_cell_and_a_point_stand_for_a_chip_of_the_instruments_that_take_part(
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    compacted: bool,  # noqa: FBT001
) -> None:
    world = Alike(root=FolderRoot(tmp_path))
    flown = ("landsat8-oli-l1", "landsat9-oli-l1", "s2a-msi-l2a")
    for number, instrument in enumerate(flown, start=1):  # the newest is Sentinel's
        world.scene(number, place=1, instrument=instrument)
    if compacted:
        world.compact(tmp_path_factory.mktemp("scratch"))
    by_cell: dict[str, dict[str, str]] = {}
    for name, chip in world.chips.items():
        if chip["valid"] == 1:
            by_cell.setdefault(chip["cell"], {})[chip["instrument"]] = name
    cell, ground = next((cell, found) for cell, found in by_cell.items() if len(found) == len(flown))
    chip = world.chips[ground["s2a-msi-l2a"]]
    elsewhere = next(name for name in world.chips if world.chips[name]["instrument"] == "landsat8-oli-l1")
    for example in (cell, (chip["lon"], chip["lat"])):

        def stands(*others: str, example: Any = example, **where: Any) -> str:
            return dataset(world).search([example, *others], where=Where(**where)).like[0].name

        assert stands() == ground["s2a-msi-l2a"]
        assert stands(instrument="landsat8-oli-l1") == ground["landsat8-oli-l1"]
        assert stands(instrument="landsat-oli-l1") == ground["landsat9-oli-l1"]
        assert stands(elsewhere) == ground["landsat9-oli-l1"], "of the family of those that name theirs"
        assert stands(elsewhere, across_instruments=True) == ground["s2a-msi-l2a"]
        with pytest.raises(DatasetError, match=r"leave out its 3 chips: 3 of other instruments \(instrument, `--instr"):
            stands(instrument="naip-rgbn")


def test_a_chip_counts_once_in_whatever_way_it_is_named_and_is_like_or_unlike(world: Alike) -> None:
    one, other, not_it = some(world, 650), some(world, 700), some(world, 90)
    place = (world.chips[one]["lon"], world.chips[one]["lat"])
    cell = world.chips[one]["cell"]
    expected = dataset(world).search([one, other], [not_it], count=20)
    assert [each.name for each in expected.like] == [one, other]
    found = dataset(world).search([one, cell, place, other, one], [not_it, not_it], count=20)
    assert [each.name for each in (*found.like, *found.unlike)] == [one, other, not_it]
    assert found.left_out == expected.left_out
    assert found.table.equals(expected.table)
    for unlike in (one, cell, place):
        for ask in (dataset(world).search, dataset(world).examples):
            with pytest.raises(DatasetError, match=rf"example {one} is given as like it and as not .*Leave it out"):
                ask([other, one], [unlike])


def test_a_vector_of_ones_own_counts_once_and_two_of_one_name_are_refused(world: Alike) -> None:
    name, instrument = some(world, 650), "landsat8-oli-c2l1"

    def own(text: str, vector: Any) -> Computed:
        return Computed(text=text, token=TOKEN, digest=DIGEST, instrument=instrument, vector=vector)

    vector = world.vectors[name]
    again = vector * np.float32(1 + 1e-6)
    like, _ = dataset(world).examples([own("mine", vector), own("mine", again), name, own(name, again)])
    assert [each.name for each in like] == ["mine", name]
    other = own("mine", world.vectors[some(world, 700)])
    for given in (([own("mine", vector), other], []), ([own("mine", vector)], [other])):
        with pytest.raises(DatasetError, match="two examples are called mine and have different vectors"):
            dataset(world).search(*given)


def test_models_are_never_compared(tmp_path: Path) -> None:
    world = Alike(root=FolderRoot(tmp_path))
    world.scene(1)
    world.scene(2, token="starter-v1.0-other", place=1)
    like, other = (
        next(name for name in sorted(world.chips) if world.chips[name]["scene"].endswith(end)) for end in ("1", "2")
    )
    found = dataset(world).search([like], count=2000)
    assert {name.rpartition("_")[2] for name in names(found)} == {TOKEN}
    with pytest.raises(DatasetError, match="several models"):
        dataset(world).search([like, other])
    with pytest.raises(DatasetError, match="several models"):
        dataset(world).search([like], model="starter-v1.0-other")
    with pytest.raises(DatasetError, match="2 models lie there"):
        dataset(world).search([(world.chips[like]["lon"], world.chips[like]["lat"])])
    world.scene(3, digest=f"sha256:{'1' * 64}")
    third = next(name for name in sorted(world.chips) if world.chips[name]["scene"].endswith("3"))
    with pytest.raises(DatasetError, match=r"of 2 models \(starter-v1.0-rgb@sha256:0{12}\.\.\., .*@sha256:1"):
        dataset(world).search([like, third])
    copied = f"{TOKEN}@sha256:{'1' * 12}..."
    assert [each.name for each in dataset(world).search([world.chips[third]["cell"]], model=copied).like] == [third]
    assert {world.chips[name]["scene"] for name in names(dataset(world).search([third], count=700))} == {f"{3:012x}"}
    computed = Computed(
        text="mine", token=TOKEN, digest=f"sha256:{'7' * 64}", instrument="landsat8-oli-c2l1", vector=np.ones(48)
    )
    with pytest.raises(DatasetError, match="no scene of the model"):
        dataset(world).search([computed])


@pytest.mark.parametrize(
    ("example", "message"),
    [
        ("21JYM59377473-s64g30000_20240519T134000_landsat8-oli-c2l1_starter-v1.0-rgb", r"has a chip|no scene"),
        ("utm21-c64p30000-s9e9", "no scene"),
        ((10.0, 50.0), "has no scene there"),
        ((-54.6, -91.0), "no such place"),
        ("nonsense", "no identifier, cell"),
        ("scene.tif@1,2", "imagery"),
        ((1.0,), "longitude and latitude"),
    ],
)
def test_an_example_that_is_not_there_is_told(world: Alike, example: Any, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        dataset(world).search([example])


def test_what_cannot_be_asked_is_told(world: Alike) -> None:
    for like, count, message in (
        ([], 10, "at least one example"),
        ([some(world, 0)], 0, "count 0 is none: give a whole"),
    ):
        with pytest.raises(DatasetError, match=message):
            dataset(world).search(like, count=count)
    low = next(
        name for name, chip in sorted(world.chips.items()) if chip["valid"] < 0.9 and chip["scene"] == f"{2:012x}"
    )
    with pytest.raises(DatasetError, match=r"the filters leave out its 1 chip: 1 less valid .*`--min-valid`"):
        dataset(world).search([(world.chips[low]["lon"], world.chips[low]["lat"])])
    with pytest.raises(DatasetError, match=r"10\.0,50\.0: \S+ has no scene there\. Give"):
        dataset(world).search([(10.0, 50.0)])


@pytest.mark.parametrize(
    ("filters", "reason", "option"),
    [
        (Filters(valid_least=0, cloud_most=0), "cloud", "`--max-cloud`"),
        (Filters(valid_least=0, cloud_most=1), "cloud-unknown", "ask without cloud_most, `--max-cloud`"),
        (Filters(valid_least=0, loss_most=0), "loss", "`--max-loss`"),
    ],
)
def test_the_remedy_is_that_of_the_filter_that_left_the_example_out(
    world: Alike, filters: Filters, reason: str, option: str
) -> None:
    lone = [chip for name, chip in sorted(world.chips.items()) if chip["scene"] == f"{2:012x}"]
    chip = next(chip for chip in lone if np.isnan(chip["cloud"]) == (reason == "cloud-unknown"))
    with pytest.raises(DatasetError) as told:
        dataset(world).search([(chip["lon"], chip["lat"])], where=Where(filters=filters))
    assert option in str(told.value)
    assert "--min-valid" not in str(told.value)


def test_nothing_that_meets_what_is_asked_is_an_answer(world: Alike, files: Alike) -> None:
    found = dataset(world).search([some(world, 0)], time="2030-01-01/2030-01-02")
    assert (len(found.table), found.looked_through, found.left_out) == (0, 0, {})
    assert found.nothing
    assert "of 4 scenes of starter-v1.0-rgb@sha256:000000000000..." in found.nothing
    assert "no chip meets what is asked: 4 of another time (time, `--time`)" in found.nothing
    assert found.table.column_names == dataset(world).search([some(world, 0)]).table.column_names
    # without tiers and statistics the rows would centre, and there are none
    root, like = Path(files.root.uri), some(files, 3)
    found = open_place(root).search([like], where=Where(filters=Filters(valid_least=1, cloud_most=0)))
    assert found.probe is None
    assert sum(found.left_out.values()) == found.looked_through == 1200
    assert found.nothing
    assert found.nothing.startswith("of 1,200 chips of ")
    assert f"{found.left_out['cloud']:,} with more cloud (cloud_most, `--max-cloud`)" in found.nothing
    found = open_place(root).search([like], box=(-50, -25.2, -49.9, -25.1))
    assert found.nothing
    assert "2 outside of the place" in found.nothing


def test_an_explanation_has_every_file_that_was_read_and_why_the_others_were_not(
    world: Alike, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(two_stages, "LEAST_CANDIDATES", 200)
    opened = dataset(world)
    found = opened.search([some(world, 5)], how=How(explain=True))
    told = found.explanation
    assert told
    assert told.scenes == {"meant": 4}
    assert {each.stage for each in told.read} >= {"bits", "candidates", "exact"}
    assert (found.by_bits, found.candidates, found.looked_through) == (1800, 200, 2400)
    assert all(each.asked.size > 0 for each in told.read)
    spent, of_files = found.figures.together, [each.asked for each in told.read]
    assert spent.size * 0.5 < sum(each.size for each in of_files) < spent.size
    assert sum(each.requests for each in of_files) < spent.requests
    assert found.figures.row_groups > 0
    [lone] = [each.key for each in told.read if each.stage == "exact"]
    assert "/000000000004/" in lone
    chip = next(chip for chip in world.chips.values() if chip["scene"] == f"{2:012x}" and chip["valid"] == 1)
    box = (chip["lon"], chip["lat"], chip["lon"] + 0.001, chip["lat"] + 0.001)
    told = opened.search([(chip["lon"], chip["lat"])], box=box, time="2024-05-20", how=How(explain=True)).explanation
    assert told
    assert told.scenes == {"meant": 1, "place": 3}
    assert told.passed_over[lone] == "place"
    assert lone not in {each.key for each in told.read}
    assert opened.search([some(world, 5)]).explanation is None


def test_without_a_model_folder_the_bundled_starter_centres_its_own_vectors(
    world: Alike, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spread = {"vectors": 9, "scenes": ("a",), "deviation": (1.0,) * 48, "least": (-9.0,) * 48, "most": (9.0,) * 48}
    said = VectorStatistics(digest=DIGEST, mean=tuple(CENTRES.mean(axis=0).tolist()), **spread)
    (tmp_path / "statistics.json").write_text(FolderStatistics(entries={TOKEN: said}).model_dump_json(by_alias=True))
    assert centre(dataset(world).search([some(world, 8)])).by == "codebook"
    monkeypatch.setattr(searching, "starter_folder", lambda: tmp_path)
    assert centre(dataset(world).search([some(world, 8)])).by == "card"


def test_vectors_that_are_not_finite_are_counted_and_are_no_examples(tmp_path: Path) -> None:
    def broken(vectors: Any) -> Any:
        vectors[::7] = np.nan
        return vectors

    world = Alike(root=FolderRoot(tmp_path))
    world.scene(1, change=lambda vectors: vectors)
    good = some(world, 4)
    bad = Alike(root=FolderRoot(tmp_path))
    with pytest.raises(ValueError, match="not finite"):
        bad.scene(2, change=broken)
    computed = Computed(
        text="mine", token=TOKEN, digest=DIGEST, instrument="landsat8-oli-c2l1", vector=np.full(48, np.nan)
    )
    with pytest.raises(DatasetError, match="not finite"):
        dataset(world).search([good, computed])


def test_too_few_chips_to_centre_by_are_refused(tmp_path: Path) -> None:
    world = Alike(root=FolderRoot(tmp_path))
    world.scene(1, rows=100)
    with pytest.raises(DatasetError, match="too few to centre"):
        dataset(world).search([some(world, 0)])


def test_a_codebook_that_went_since_asks_to_open_the_dataset_again(tmp_path: Path) -> None:
    """Whoever asks for the centre: a search, and what watches and change ask with."""
    found = Alike(root=FolderRoot(tmp_path / "dataset"))
    found.scene(1)
    (tmp_path / "scratch").mkdir()
    found.compact(tmp_path / "scratch")
    opened = dataset(found)
    assert opened.scenes()
    for codebook in [path for path in (tmp_path / "dataset").rglob("*codebook*") if path.is_file()]:
        codebook.unlink()
    for ask in (lambda: opened.search([some(found, 5)]), lambda: opened.centre(TOKEN, DIGEST)):
        with pytest.raises(DatasetError, match=r"was changed since it was opened[.] Open it again"):
            ask()
