"""``clayline watch`` over a folder of scenes, against numpy."""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.api.alike import Alike
from tests.dataset.scenes import MadeUp, rewritten
from tests.likeness.watches import keep, watch_of

from clayline.api.dataset import Dataset
from clayline.dataset.folder import FolderRoot
from clayline.errors import DatasetError
from clayline.likeness.rehearsal import Rehearsal, SceneScores
from clayline.likeness.watchbook import find, read_newest
from clayline_cli.kept.folder import Kept
from clayline_cli.program import main

SCENES = [MadeUp(number=number, rows=64) for number in (0, 1, 2, 40, 41)]
LIKE, UNLIKE = SCENES[1].ucis[7], SCENES[2].ucis[3]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("scenes")
    for scene in SCENES:
        scene.land(FolderRoot(path))
    assert main(["index", str(path), "--quiet"]) == 0
    return path


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    capsys.readouterr()
    assert main(["watch", *arguments, "--json", "--quiet"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def oracle() -> dict[str, np.ndarray[Any, Any]]:
    """Scores by scene, by numpy alone: centred by all rows, the examples' direction, without the two examples."""
    vectors = {scene.row.item_id: scene.vectors().astype(np.float64) for scene in SCENES}
    centre = np.concatenate(list(vectors.values())).mean(axis=0)
    units = {name: (rows - centre) / np.linalg.norm(rows - centre, axis=1)[:, None] for name, rows in vectors.items()}
    direction = units[SCENES[1].row.item_id][7] - units[SCENES[2].row.item_id][3]
    direction /= np.linalg.norm(direction)
    scores = {name: rows @ direction for name, rows in units.items()}
    scores[SCENES[1].row.item_id] = np.delete(scores[SCENES[1].row.item_id], 7)
    scores[SCENES[2].row.item_id] = np.delete(scores[SCENES[2].row.item_id], 3)
    return scores


def test_a_watch_is_tried_over_what_is_there_as_numpy_does(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    added = told(capsys, "add", "pivots", str(folder), "--like", LIKE, "--unlike", UNLIKE)
    assert (added["version"], added["threshold"], added["centred_by"]) == (1, None, "rows")
    assert added["instruments"] == [SCENES[0].row.instrument]
    expected = oracle()
    every = np.concatenate(list(expected.values()))
    found = told(capsys, "test", "pivots", str(folder), "--threshold", "0.5")
    assert (found["scenes"], found["looked_at"], found["scored"]) == (5, 5, 318)
    assert found["left_out"] == {"example": 2}
    assert found["calls"] == {
        name: int((scores >= 0.5).sum()) for name, scores in expected.items() if (scores >= 0.5).any()
    }
    assert found["scores"]["p90"] == pytest.approx(np.quantile(every, 0.9), abs=1e-5)
    calling = set(found["calls"])
    for month, (called, looked_at) in found["months"].items():
        of_month = [scene.row.item_id for scene in SCENES if f"{scene.row.start:%Y-%m}" == month]
        assert (called, looked_at) == (len(calling & set(of_month)), len(of_month))
    best = sorted((scores.max() for scores in expected.values()), reverse=True)
    assert best[1] < found["proposed"] <= best[0]
    assert told(capsys, "test", "pivots", str(folder), "--threshold", str(found["proposed"]))["calls"] == {
        name: int((scores >= found["proposed"]).sum()) for name, scores in expected.items() if scores.max() == best[0]
    }
    half = told(capsys, "test", "pivots", str(folder), "--at-most", "0.6")["proposed"]
    assert best[3] < half <= best[2]


def test_a_chip_whose_vector_is_not_finite_is_left_out_of_a_trial_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = FolderRoot(tmp_path)
    for scene in SCENES[:2]:
        scene.land(root)
    path, vectors = tmp_path / SCENES[0].file.parquet, SCENES[0].vectors()
    vectors[5, 1] = np.nan
    path.write_bytes(rewritten(path.read_bytes(), embeddings=vectors))
    assert main(["index", str(tmp_path), "--quiet"]) == 0
    keep(root, watch_of(SCENES[1]))
    found = told(capsys, "test", "pivots", str(tmp_path), "--threshold", "-0.99")
    assert (found["scored"], found["left_out"]) == (126, {"example": 1, "not-finite": 1})
    assert found["calls"] == {SCENES[0].row.item_id: 63, SCENES[1].row.item_id: 63}


def test_a_watch_of_one_satellite_tells_and_tries_the_family(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    world = Alike(root=FolderRoot(tmp_path))
    world.scene(1, instrument="s2a-msi-l2a")
    world.scene(2, instrument="s2b-msi-l2a")
    world.scene(3, instrument="landsat8-oli-l1")
    like = next(name for name in world.chips if world.chips[name]["instrument"] == "s2a-msi-l2a")
    added = told(capsys, "add", "twins", str(tmp_path), "--like", like, "--min-valid", "0")
    assert (added["instruments"], added["instrument_families"]) == (["s2a-msi-l2a"], ["s2-msi-l2a"])
    found = told(capsys, "test", "twins", str(tmp_path))
    assert (found["scenes"], found["looked_at"], found["scored"]) == (3, 2, 1199)
    assert found["left_out"] == {"example": 1, "instrument": 600}
    assert main(["watch", "show", "twins", str(tmp_path)]) == 0
    family = "s2-msi-l2a (s2a-msi-l2a, s2b-msi-l2a, s2c-msi-l2a, s2d-msi-l2a)"
    assert f"  instruments {family}\n" in capsys.readouterr().out


@pytest.mark.parametrize("option", ["--like", "--unlike"])
def test_examples_of_two_instruments_are_no_probe_unless_it_is_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str
) -> None:
    world = Alike(root=FolderRoot(tmp_path))
    world.scene(1, instrument="landsat8-oli-l1")
    world.scene(2, instrument="s2a-msi-l2a")
    one, other = (
        next(name for name in world.chips if world.chips[name]["instrument"] == each)
        for each in ("landsat8-oli-l1", "s2a-msi-l2a")
    )
    mixed = ["mixed", str(tmp_path), "--like", one, option, other]
    assert main(["watch", "add", *mixed]) == 2
    assert "several instruments (landsat-oli-l1, s2-msi-l2a)" in capsys.readouterr().err
    assert find(world.root).watches == ()
    with pytest.raises(DatasetError, match="several instruments"):  # in Python too
        Dataset(world.root).examples([one], [other])
    added = told(capsys, "add", *mixed, "--across-instruments")
    assert (added["instruments"], added["instrument_families"]) == (None, None)


def test_a_threshold_makes_the_next_version_of_the_same_probe(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = FolderRoot(folder)
    told(capsys, "add", "dams", str(folder), "--like", LIKE, "--in", "-60,-30,60,70")
    draft = read_newest(root, "dams")
    told(capsys, "add", "dams", str(folder), "--threshold", "-0.25")
    kept = read_newest(root, "dams")
    assert (kept.version, kept.threshold, kept.box) == (2, -0.25, (-60.0, -30.0, 60.0, 70.0))
    assert (kept.probe, kept.like) == (draft.probe, draft.like)
    assert main(["watch", "list", str(folder)]) == 0
    assert "dams                     v002  -0.2500" in capsys.readouterr().out
    assert main(["watch", "show", "dams", str(folder)]) == 0
    assert "calls at    -0.2500" in capsys.readouterr().out
    told(capsys, "remove", "dams", str(folder))
    assert "dams" not in {watch.name for watch in find(root).watches}
    assert main(["watch", "show", "dams", str(folder)]) == 2
    assert "has no watch dams: was removed" in capsys.readouterr().err


def test_a_box_and_filters_are_taken_back_and_show_tells_every_version(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root, box = str(folder), "-60,-30,60,70"
    told(capsys, "add", "back", root, "--like", LIKE, "--in", box, "--threshold", "0.4")
    told(capsys, "remove", "back", root)
    told(capsys, "add", "back", root, "--like", LIKE, "--unlike", UNLIKE, "--in", box)
    told(capsys, "add", "back", root, "--threshold", "0.5", "--max-loss", "2", "--max-cloud", "1")
    kept = told(capsys, "add", "back", root, "--in", "none", "--max-loss", "none", "--max-cloud", "none")
    assert (kept["box"], kept["loss_most"], kept["cloud_most"], kept["threshold"]) == (None, None, None, 0.5)
    assert told(capsys, "add", "back", root, "--threshold", "none")["threshold"] is None
    (folder / "watches/back/v004.json").write_text("{}")
    shown = told(capsys, "show", "back", root)
    assert [(each["version"], each["state"]) for each in shown["versions"]] == [
        (6, "draft"), (5, "calls"), (4, "damaged"), (3, "draft"), (2, "removed"), (1, "calls"),
    ]  # fmt: skip
    assert shown["versions"][3]["box"] == [-60, -30, 60, 70]
    assert main(["watch", "show", "back", root]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines[6:]] == [
        ["like", LIKE], ["unlike", UNLIKE], *(["version", f"v00{number}"] for number in (6, 5, 4, 3, 2, 1)),
    ]  # fmt: skip
    assert lines[9].endswith("  0.5000, everywhere; valid >= 0.9")
    assert lines[-1].endswith("  0.4000, -60,-30,60,70; valid >= 0.9")


def test_a_damaged_watch_is_not_told_to_do_what_was_done(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    FolderRoot(tmp_path).put_new("watches/bad/v001.json", b"{}")
    assert main(["watch", "add", "bad", str(tmp_path), "--threshold", "0.4"]) == 2
    assert "of examples (`clayline watch add` with `--like`), or remove it" in capsys.readouterr().err


def test_a_folder_of_any_name_can_be_pasted_into_what_is_advised(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "it's a dir"
    for scene in SCENES:
        scene.land(FolderRoot(root))
    assert main(["index", str(root), "--quiet"]) == 0
    assert main(["watch", "add", "draft", str(root), "--like", LIKE]) == 0
    [command] = re.findall(r"`clayline (.*?)`", capsys.readouterr().err)
    assert shlex.split(command) == ["watch", "test", "draft", str(root)]


def test_a_linear_probe_is_kept(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    like, unlike = SCENES[1].ucis[:3], SCENES[2].ucis[:3]
    examples = [part for name, ucis in (("--like", like), ("--unlike", unlike)) for uci in ucis for part in (name, uci)]
    found = told(capsys, "add", "lines", str(folder), *examples, "--linear")
    assert (found["kind"], found["like"], found["unlike"]) == ("linear", like, unlike)
    assert len((folder / "watches/lines/v001.json").read_bytes()) < 4_000


def test_an_example_may_be_a_place_or_a_cell_and_does_not_take_the_root_for_another(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    world = Alike(root=FolderRoot(tmp_path))
    row = world.scene(1)
    first, other = [name for name in sorted(world.chips) if world.chips[name]["valid"] == 1][:2]
    place = f"{world.chips[first]['lon']:.6f},{world.chips[first]['lat']:.6f}"
    for name, example in (("by-place", place), ("by-cell", world.chips[first]["cell"])):
        added = told(capsys, "add", name, "--like", example, "--unlike", other, str(tmp_path))
        assert (added["like"], added["unlike"], added["instruments"]) == ([first], [other], [row.instrument])
    assert main(["watch", "add", "said", "--like", place, str(tmp_path)]) == 0
    assert f"  like        {first} for {place}\n" in capsys.readouterr().out
    same, by_name = (
        read_newest(world.root, "by-place").probe,
        told(capsys, "add", "named", str(tmp_path), "--like", first),
    )
    assert (same.token, same.digest, same.centred_by) == (row.token, row.digest, by_name["centred_by"])
    assert main(["watch", "add", "both", str(tmp_path), "--like", place, "--unlike", first]) == 2
    assert f"{first} is given as like it and as not" in capsys.readouterr().err
    assert [each.name for each in find(world.root).watches] == ["by-cell", "by-place", "named", "said"]


def test_a_trial_says_what_it_looked_at_and_what_calls_at_the_proposed_threshold(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told(capsys, "add", "said", str(folder), "--like", LIKE)
    assert main(["watch", "test", "said", str(folder)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith(": 5 of 5 scenes looked at")
    assert ", at which 1 of 5 scenes would have called" in lines[-1]
    assert main(["watch", "test", "said", str(folder), "--time", "1999-01-01/1999-12-31"]) == 0
    [said] = capsys.readouterr().out.splitlines()
    token = SCENES[0].row.token
    assert f": no scene of {token} meets the time 1999-01-01/1999-12-31, so nothing can be said of" in said
    told(capsys, "add", "said", str(folder), "--in", "10,50,11,51")
    assert main(["watch", "test", "said", str(folder), "--time", "1999-01-01/1999-12-31"]) == 0
    assert "meets its box 10,50,11,51 and the time 1999-01-01/1999-12-31, so" in capsys.readouterr().out


def test_a_threshold_of_few_scenes_is_told_with_a_warning(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told(capsys, "add", "few", str(folder), "--like", LIKE)
    capsys.readouterr()
    assert main(["watch", "test", "few", str(folder)]) == 0
    assert "WARNING: the proposed threshold stands on 5 scenes, and should on 20 or more" in capsys.readouterr().err
    found = told(capsys, "test", "few", str(folder))
    assert (found["few_scenes"], found["scenes_needed"], found["looked_at"]) == (True, 20, 5)


@pytest.mark.parametrize(
    ("count", "at_most", "is_few"), [(19, 0.05, True), (20, 0.05, False), (20, 0.5, False), (99, 0.01, True)]
)
def test_a_share_of_the_scenes_has_to_be_one_scene(count: int, at_most: float, is_few: bool) -> None:  # noqa: FBT001
    scene = SceneScores(scene="a", start=SCENES[0].row.start, scores=np.zeros(1, np.float32), best="a")
    assert Rehearsal(scenes=[scene] * count, left_out={}, at_most=at_most).few_scenes == is_few


def test_every_word_tells_its_exit_statuses(capsys: pytest.CaptureFixture[str]) -> None:
    for word in ("add", "list", "show", "remove", "test"):
        with pytest.raises(SystemExit):
            main(["watch", word, "--help"])
        said = capsys.readouterr().out
        listed = [line.split()[0] for line in said.split("exit status:\n")[1].splitlines() if line[:3] != "   "]
        assert listed == (["0", "1", "2", "130"] if word == "list" else ["0", "2", "130"])
        assert f"  clayline watch {word} " in said.split("examples:")[1]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["add", "Pivots", "--like", LIKE], "no name of a watch"),
        (["add", "pivots", "--unlike", LIKE], "--like is missing"),
        (["add", "pivots"], "give --like EXAMPLE, or what is to change"),
        (["add", "pivots", "--like", "nothing"], "example 'nothing' is no identifier, cell, LON,LAT or FILE@LON,LAT"),
        (["add", "pivots", "--like", LIKE, "--unlike", LIKE], "given as like it and as not"),
        (["add", "pivots", "--like", LIKE, "--in", "1,2,3"], "is no box"),
        (["add", "pivots", "--like", LIKE, "--threshold", "2"], "is not from -1.0 to 1.0"),
        (["add", "pivots", "--like", LIKE, "--threshold", "nan"], "is not from -1.0 to 1.0"),
        (["add", "pivots", "--max-loss", "nan"], "nan is not from 0.0 to"),
    ],
)
def test_a_mistake_is_told_at_once(
    folder: Path, arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["watch", *arguments[:2], str(folder), *arguments[2:]])
    assert stopped.value.code == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--like", LIKE.replace("c00001", "c00009")], "has no scene of 2024-06-02 there"),
        (["--like", "10,50"], "no scene"),
        (["--like", "{}/none.tif@10,50"], "none.tif"),
        (["--like", LIKE, "--unlike", UNLIKE.replace("starter-v1.0", "starter-v1.1")], "which are never compared"),
        (["--like", LIKE, "--linear"], "at least 2 examples"),
    ],
)
def test_examples_that_make_no_probe_are_refused_and_nothing_is_kept(
    folder: Path, arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [each.format(folder) for each in arguments]
    assert main(["watch", "add", "nothing", str(folder), *given]) == 2
    assert said in capsys.readouterr().err
    assert not (folder / "watches/nothing").exists()


def test_a_damaged_watch_does_not_hide_the_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    FolderRoot(tmp_path).put_new("watches/dams/v001.json", b"{}")
    assert main(["watch", "list", str(tmp_path)]) == 1
    found = capsys.readouterr()
    assert found.out == "no watches\n"
    assert "WARNING: the watch" in found.err


def test_a_box_that_no_scene_meets_is_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told(capsys, "add", "away", str(folder), "--like", LIKE, "--in", "-170,-60,-169,-59")
    assert main(["watch", "test", "away", str(folder)]) == 0
    met = "meets its box -170,-60,-169,-59, so nothing can be said"
    assert f"no scene of starter-v1.0-s2-rgb {met}" in capsys.readouterr().out


@pytest.fixture(scope="module")
def alike(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Alike]:
    place = tmp_path_factory.mktemp("alike")
    world = Alike(root=FolderRoot(place))
    world.scene(1)
    return str(place), world


def cloudy(chip: dict[str, Any]) -> bool:
    return bool(chip["valid"] == 1 and chip["cloud"] > 0.9)


def lossy(chip: dict[str, Any]) -> bool:
    return bool(chip["valid"] == 1 and chip["loss"] > 0.9)


def half(chip: dict[str, Any]) -> bool:
    return bool(chip["valid"] == 0.5)


OWN = [
    (cloudy, ["--max-cloud", "0.9"], "cloud", "the filters leave out 1 with more cloud (cloud_most, `--max-cloud`)."),
    (lossy, ["--max-loss", "0.9"], "loss", "the filters leave out 1 of a greater loss (loss_most, `--max-loss`)."),
    (
        half,
        ["--min-valid", "0.9"],
        "valid",
        "the filters leave out 1 less valid than asked (valid_least, `--min-valid`).",
    ),
    (cloudy, ["--in", "10,50,11,51"], "box", "its box leaves out its example {}: as meant, if it is to look elsewhere"),
]


@pytest.mark.parametrize(("is_one", "filters", "reason", "said"), OWN)
def test_whatever_leaves_out_its_own_example_is_told(
    alike: tuple[str, Alike],
    capsys: pytest.CaptureFixture[str],
    is_one: Any,
    filters: list[str],
    reason: str,
    said: str,
) -> None:
    """Of a new watch, and of a next version by whose filter it is left out; of others nothing is said."""
    place, world = alike
    example = next(name for name in sorted(world.chips) if is_one(world.chips[name]))
    words = said.format(example)
    warned = f"WARNING: no scene like its example {example} can match: {words}" if reason != "box" else words
    assert main(["watch", "add", f"at-once-{reason}", place, "--like", example, *filters]) == 0
    assert warned in capsys.readouterr().err
    loose = ["--like", example, "--min-valid", "0"]
    assert told(capsys, "add", f"later-{reason}", place, *loose)["examples_left_out"] == {}
    assert told(capsys, "add", f"later-{reason}", place, *filters)["examples_left_out"] == {reason: [example]}
    assert main(["watch", "add", f"later-{reason}", place, "--threshold", "0.4"]) == 0
    assert not capsys.readouterr().err


def test_of_several_examples_the_first_that_is_left_out_is_named(
    alike: tuple[str, Alike], capsys: pytest.CaptureFixture[str]
) -> None:
    place, world = alike
    names = [next(name for name in sorted(world.chips) if is_one(world.chips[name])) for is_one in (half, cloudy)]
    like = [part for name in names for part in ("--like", name)]
    assert main(["watch", "add", "two", place, *like, "--in", "10,50,11,51"]) == 0
    said = capsys.readouterr().err
    assert f"its box leaves out 2 of its 2 examples ({names[0]}, ...)" in said
    assert f"no scene like 1 of its 2 examples ({names[0]}) can match: the filters leave out 1 less valid" in said


def test_examples_that_are_not_there_any_more_are_told_as_unknown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keep(FolderRoot(tmp_path), watch_of(SCENES[0]))
    assert main(["watch", "add", "pivots", str(tmp_path), "--max-cloud", "0.1"]) == 0
    assert "whether its own examples are left out is not known of all: " in capsys.readouterr().err
    assert read_newest(FolderRoot(tmp_path), "pivots").cloud_most == 0.1


def test_a_threshold_at_which_everything_matches_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["watch", "add", "everything", str(folder), "--like", LIKE, "--threshold=-1"]) == 2
    assert "no score is less, so every chip of every scene would match. Give a greater one" in capsys.readouterr().err
    assert not (folder / "watches/everything").exists()


@pytest.mark.parametrize("doing", [["add", "late", "--like", LIKE], ["remove", "away"]])
def test_a_folder_in_use_keeps_its_watches(folder: Path, capsys: pytest.CaptureFixture[str], doing: list[str]) -> None:
    """A call read them when it began: a change would be seen by nobody, and give two versions the same number."""
    there = sorted(path.name for path in folder.glob("watches/*/*"))
    word, name, *more = doing
    with Kept(folder).lock():
        assert main(["watch", word, name, str(folder), *more]) == 2
        assert "in use by `clayline embed` or `clayline local-cloud`" in capsys.readouterr().err
        assert main(["watch", "list", str(folder)]) == 0
    assert sorted(path.name for path in folder.glob("watches/*/*")) == there
    told(capsys, "add", "later", str(folder), "--like", LIKE)
