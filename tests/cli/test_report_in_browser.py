"""The report's page in a real Chromium: what is seen, pointed at, clicked and typed, against numpy."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from playwright.sync_api import Browser
from tests.cli.chromium import PHONE, Seen, chromium, opened
from tests.cli.report_scene import CHIP, GAP, HEIGHT, WIDTH, ReportScene, write_scene
from tests.cli.test_report import HOSTILE, page_of, unit, vectors_of

import clayline_cli.reporting.vectors

SHOWN = 24


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> ReportScene:
    made = write_scene(tmp_path_factory.mktemp("report"))
    page_of(made)
    return made


@pytest.fixture
def seen(browser: Browser, scene: ReportScene) -> Iterator[Seen]:
    with opened(browser, scene.path.with_suffix(".html")) as page:
        yield page


def place(seen: Seen, scene: ReportScene, window: int) -> tuple[float, float]:
    """Give where on the screen a window's middle is."""
    box = seen.at("canvas.chips").bounding_box()
    assert box is not None
    start = scene.grid.start or (0, 0)
    across = -(-(scene.grid.width - start[1]) // CHIP) * CHIP
    down = -(-(scene.grid.height - start[0]) // CHIP) * CHIP
    at = scene.grid.window(window)
    return (
        box["x"] + (at.col - start[1] + CHIP / 2) / across * box["width"],
        box["y"] + (at.row - start[0] + CHIP / 2) / down * box["height"],
    )


def ranking(
    stored: NDArray[Any], scene: ReportScene, like: list[int], unlike: list[int], *, padded: bool = False
) -> tuple[list[str], NDArray[np.float64]]:
    """Say by numpy what has to be ranked, and each one's likeness: chips by their rows."""
    wide = stored.astype(np.float64)
    wide /= np.linalg.norm(wide, axis=1, keepdims=True)
    direction = wide[like].mean(axis=0) - (wide[unlike].mean(axis=0) if unlike else 0)
    scores = np.round(wide @ (direction / np.linalg.norm(direction)), 9)
    taken = np.ones(len(wide), np.bool_) if padded else scene.whole.copy()
    taken[[*like, *unlike]] = False
    order = [row for row in np.argsort(-scores, kind="stable").tolist() if taken[row]][:SHOWN]
    return [scene.uci[row] for row in order], np.asarray(scores[order])


def stored_of(scene: ReportScene) -> NDArray[np.int8]:
    page = scene.path.with_suffix(".html").read_text(encoding="utf-8")
    return np.frombuffer(vectors_of(page), np.int8).reshape(len(scene.uci), -1)


def test_it_shows_the_scene_and_each_layer_and_says_what_it_is(seen: Seen, scene: ReportScene) -> None:
    assert seen.page.title() == "S2A_a_scene, 2020-05-18"
    facts = seen.at("#facts").inner_text()
    assert facts == f"2020-05-18 · sentinel2-msi · a-v1-model · {len(scene.uci)} chips"
    assert seen.page.evaluate("document.querySelector('#picture').naturalWidth") == 700
    assert seen.at("#layers button[data-layer=likeness]").is_disabled()
    painted = set()
    for layer in ("scene", "components", "loss", "cloud", "valid"):
        seen.at(f"#layers button[data-layer={layer}]").click()
        assert seen.at(f"#layers button[data-layer={layer}]").get_attribute("aria-pressed") == "true"
        assert seen.at("#plot canvas").count() == (layer not in {"scene", "components"})
        painted.add(seen.page.evaluate("document.querySelector('canvas.chips').toDataURL()"))
    assert len(painted) == 5
    assert seen.listed("outliers") == [scene.uci[int(scene.loss.argmax())]]
    assert "centre: rows" in seen.at("#about").inner_text()


def test_chips_mostly_outside_are_hatched_and_have_no_colour_of_ground(seen: Seen, scene: ReportScene) -> None:
    padded = int((~scene.whole).sum())
    assert padded
    colour = """at => {
      const copy = new OffscreenCanvas(99, 99).getContext('2d');
      copy.drawImage(document.querySelector('canvas.chips'), 0, 0);
      return [...copy.getImageData(at[1], at[0], 1, 1).data];
    }"""
    columns = -(-(scene.grid.width - (scene.grid.start or (0, 0))[1]) // CHIP)
    drawn = [seen.page.evaluate(colour, [n // columns, n % columns])[3] for n in scene.index.tolist()]
    assert drawn == [255 if whole else 0 for whole in scene.whole]
    for layer in ("components", "loss"):
        seen.at(f"#layers button[data-layer={layer}]").click()
        squares = seen.page.evaluate("document.querySelector('.hatching path').getAttribute('d').split('M').length - 1")
        assert squares == padded
        assert f"Hatched: {padded} chips less than 90 % valid" in seen.at("#legend-text").inner_text()
    for layer in ("scene", "cloud", "valid"):
        seen.at(f"#layers button[data-layer={layer}]").click()
        assert seen.at(".hatching").count() == 0
        assert "Hatched" not in seen.at("#legend-text").inner_text()
    seen.page.mouse.click(*place(seen, scene, 200))
    assert seen.at(".hatching").count() == 1
    assert "they are not compared" in seen.at("#legend-text").inner_text()


def test_pictures_of_a_file_that_changed_since_are_not_shown_without_a_word(browser: Browser, tmp_path: Path) -> None:
    scene = write_scene(tmp_path, windows=60)
    with (tmp_path / "scene.tif").open("ab") as file:
        file.write(b"later")
    page_of(scene)
    with opened(browser, scene.path.with_suffix(".html")) as seen:
        assert seen.at("#other-picture").is_visible()
        assert "scene.tif changed since" in seen.at("#other-picture").inner_text()


@pytest.mark.parametrize("size", [(1280, 800), (1280, 2400), (1920, 1200), (920, 700)])
def test_the_map_is_no_higher_than_the_scene_and_nothing_lies_over_another(
    browser: Browser, scene: ReportScene, size: tuple[int, int]
) -> None:
    viewport = {"width": size[0], "height": size[1]}
    with opened(browser, scene.path.with_suffix(".html"), viewport=viewport) as seen:
        assert seen.at("#other-picture").is_hidden()
        for layer in ("components", "loss"):
            seen.at(f"#layers button[data-layer={layer}]").click()
            boxes = [seen.at(name).bounding_box() for name in (".frame", ".legend", ".keys")]
            frame, legend, keys = (box for box in boxes if box)
            assert frame["height"] <= max(260, frame["width"] * HEIGHT / WIDTH) + 1
            assert frame["y"] + frame["height"] <= legend["y"]
            assert legend["y"] + legend["height"] <= keys["y"]
            text = seen.at("#legend-text").bounding_box()
            assert text
            assert text["y"] + text["height"] <= keys["y"]


@pytest.mark.parametrize(
    ("kind", "aspect"),
    [
        ({}, 1.0),
        ({"ground": ("EPSG:4326", (3e-4, 0, 20, 0, -3e-4, 69))}, 2.77),
        ({"ground": ("EPSG:3413", (30, 0, -1e5, 0, -30, -1e6))}, 1.0),
        ({"windows": 22}, 1.0),
        ({"windows": 1, "pixels": False}, 1.0),
    ],
    ids=["UTM", "degrees in the north", "polar", "a row", "one chip"],
)
def test_scenes_of_every_kind_of_ground_are_shown_as_on_the_ground(
    browser: Browser, tmp_path: Path, kind: dict[str, Any], aspect: float
) -> None:
    scene = write_scene(tmp_path, **kind)
    page_of(scene)
    with opened(browser, scene.path.with_suffix(".html")) as seen:
        box = seen.at("canvas.chips").bounding_box()
        assert box
        shape = seen.page.evaluate("(c => c.height / c.width)(document.querySelector('canvas.chips'))")
        assert box["height"] / box["width"] == pytest.approx(aspect * shape, rel=0.02)
        seen.at("#map").focus()
        seen.page.keyboard.press("Home")
        assert seen.at("#chip-uci").inner_text() in scene.uci


def test_what_to_do_is_said_for_mouse_and_finger_alike(browser: Browser, scene: ReportScene) -> None:
    for kind in ({}, PHONE):
        with opened(browser, scene.path.with_suffix(".html"), **kind) as seen:
            assert seen.at("#keys").inner_text().startswith("Click or tap a chip")
            assert "click or tap" in seen.at("#examples-empty").inner_text()
            assert seen.at(".by-keys").is_visible() is not bool(kind)


def test_pointing_at_a_chip_tells_its_identifier_and_values(seen: Seen, scene: ReportScene) -> None:
    window = 200
    seen.page.mouse.move(*place(seen, scene, window))
    row = scene.row(window)
    assert seen.at("#chip-uci").inner_text() == scene.uci[row]
    told = re.sub(r"\s+", " ", seen.at("#chip-values").inner_text())
    assert f"valid {scene.valid[row]:.0%}".replace("%", " %") in told
    assert f"loss {scene.loss[row]:.3g}" in told
    assert f"index {window}" in told
    seen.page.mouse.move(*place(seen, scene, GAP))  # there is none: the last one stays
    assert seen.at("#chip-uci").inner_text() == scene.uci[row]


def test_clicks_rank_as_numpy_does(seen: Seen, scene: ReportScene) -> None:
    stored, exact = stored_of(scene), unit(scene)
    like, unlike = [scene.row(200), scene.row(123)], [scene.row(310)]

    def check(likes: list[int], unlikes: list[int], *, padded: bool = False) -> None:
        expected, scores = ranking(stored, scene, likes, unlikes, padded=padded)
        assert seen.listed("similar") == expected
        np.testing.assert_allclose(seen.scores("similar"), scores, atol=0.0051)
        real = dict(zip(*ranking(exact, scene, likes, unlikes, padded=padded), strict=True))
        both = [(real[uci], score) for uci, score in zip(expected, scores, strict=True) if uci in real]
        assert len(both) >= SHOWN - 2
        assert max(abs(one - other) for one, other in both) < 0.01

    seen.page.mouse.click(*place(seen, scene, 200))
    check(like[:1], [])
    assert seen.at("path.mark.similar").count() == SHOWN
    assert seen.at("#layers button[data-layer=likeness]").get_attribute("aria-pressed") == "true"
    seen.page.mouse.click(*place(seen, scene, 123))
    check(like, [])
    seen.page.keyboard.down("Shift")
    seen.page.mouse.click(*place(seen, scene, 310))
    seen.page.keyboard.up("Shift")
    check(like, unlike)
    seen.at("#padded").check()
    check(like, unlike, padded=True)
    seen.at("#padded").uncheck()
    seen.page.mouse.click(*place(seen, scene, 123))  # taken back
    check(like[:1], unlike)
    seen.at("#examples .unlike button").click()
    check(like[:1], [])
    seen.at("#mode-unlike").click()
    seen.page.mouse.click(*place(seen, scene, 310))
    check(like[:1], unlike)
    seen.at("#clear").click()
    assert seen.listed("similar") == seen.listed("examples") == []
    assert seen.at("#similar-card").is_hidden()


def test_all_of_it_works_by_keyboard(seen: Seen, scene: ReportScene) -> None:
    stored = stored_of(scene)
    seen.at("#map").focus()
    seen.page.keyboard.press("Home")
    first = scene.uci.index(seen.at("#chip-uci").inner_text())
    seen.page.keyboard.press("ArrowRight")
    seen.page.keyboard.press("ArrowDown")
    columns = -(-(scene.grid.width - (scene.grid.start or (0, 0))[1]) // CHIP)
    second = scene.row(int(scene.index[first]) + 1 + columns)
    assert seen.at("#chip-uci").inner_text() == scene.uci[second]
    assert scene.uci[second] in seen.at("#spoken").inner_text()
    seen.page.keyboard.press("Enter")
    assert seen.listed("similar") == ranking(stored, scene, [second], [])[0]
    seen.page.keyboard.press("ArrowUp")
    seen.page.keyboard.press("Shift+Enter")
    other = scene.row(int(scene.index[second]) - columns)
    assert seen.listed("similar") == ranking(stored, scene, [second], [other])[0]
    for _ in range(30):
        seen.page.keyboard.press("Tab")  # out of the map, to what was found
        if seen.page.evaluate("document.activeElement.matches('#similar .go')"):
            break
    seen.page.keyboard.press("Enter")
    assert seen.at("#chip-uci").inner_text() == seen.listed("similar")[0]
    seen.at("#map").focus()
    seen.page.keyboard.press("Escape")
    assert seen.at("#similar-card").is_hidden()


def test_arrows_pass_over_a_gap_and_stop_at_the_edge(seen: Seen, scene: ReportScene) -> None:
    seen.page.mouse.move(*place(seen, scene, GAP - 1))
    seen.at("#map").focus()
    seen.page.keyboard.press("ArrowRight")
    assert seen.at("#chip-uci").inner_text() == scene.uci[scene.row(GAP + 1)]
    for _ in range(40):
        seen.page.keyboard.press("ArrowUp")
    assert scene.grid.window(int(scene.index[scene.uci.index(seen.at("#chip-uci").inner_text())])).row == -20


def test_a_range_over_the_histogram_leaves_those_chips_alone(seen: Seen) -> None:
    seen.at("#layers button[data-layer=cloud]").click()
    copy = "new OffscreenCanvas(99, 99).getContext('2d', { willReadFrequently: true })"
    faint = f"""() => {{
      const copy = {copy};
      copy.drawImage(document.querySelector('canvas.chips'), 0, 0);
      return copy.getImageData(0, 0, 99, 99).data.filter((value, at) => at % 4 == 3 && value == 20).length;
    }}"""
    assert seen.page.evaluate(faint) == 0
    box = seen.at("#plot .u-over").bounding_box()
    assert box is not None
    middle = box["y"] + box["height"] / 2
    seen.page.mouse.move(box["x"] + 5, middle)
    seen.page.mouse.down()
    seen.page.mouse.move(box["x"] + box["width"] / 2, middle, steps=4)
    seen.page.mouse.up()
    half = seen.page.evaluate(faint)
    assert 100 < half < 350
    seen.page.mouse.dblclick(box["x"] + box["width"] - 5, middle)
    assert seen.page.evaluate(faint) == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_follows_light_and_dark(browser: Browser, scene: ReportScene, scheme: str) -> None:
    with opened(browser, scene.path.with_suffix(".html"), color_scheme=scheme) as seen:
        style = "getComputedStyle(document.body)"
        ink, paper = (
            np.array(re.findall(r"\d+", seen.page.evaluate(f"{style}.{name}")), float).mean()
            for name in ("color", "backgroundColor")
        )
        assert (paper - ink > 150) if scheme == "light" else (ink - paper > 150)


def test_a_phone_shows_it_and_a_tap_ranks(browser: Browser, scene: ReportScene) -> None:
    with opened(browser, scene.path.with_suffix(".html"), **PHONE) as seen:
        assert seen.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        for row in (200, 123):
            seen.page.touchscreen.tap(*place(seen, scene, row))
        expected, _ = ranking(stored_of(scene), scene, [scene.row(200), scene.row(123)], [])
        assert seen.listed("similar") == expected
        assert seen.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        over = """() => [...document.querySelectorAll('#similar li')].filter(entry => {
          const [picture, judge] = ['canvas', '.judge'].map(name => entry.querySelector(name).getBoundingClientRect());
          return judge.top < picture.bottom || judge.height < 30;
        }).length"""
        assert seen.page.evaluate(over) == 0, "+ and - lie under the chips, for fingers"
        small = "[...document.querySelectorAll('.segments button')].filter(b => b.offsetHeight < 40).length"
        assert seen.page.evaluate(small) == 0


def test_bits_rank_as_their_signs_do(browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = write_scene(tmp_path, own_grid=True, pixels=False)
    monkeypatch.setattr(clayline_cli.reporting.vectors, "MOST_BYTES", 0)
    page_of(scene)
    signs = np.where(unit(scene) > 0, 1, -1)
    with opened(browser, scene.path.with_suffix(".html")) as seen:
        assert "are not on this machine" in seen.at("#no-picture").inner_text()
        map_, said = (seen.at(name).bounding_box() for name in (".frame", "#no-picture"))
        assert map_
        assert said
        assert map_["y"] + map_["height"] <= said["y"], "it hides chips"
        seen.page.mouse.click(*place(seen, scene, 200))
        expected, scores = ranking(signs, scene, [scene.row(200)], [])
        assert seen.listed("similar") == expected
        np.testing.assert_allclose(seen.scores("similar"), np.sin(np.pi / 2 * scores), atol=0.0051)
        assert "estimate" in seen.at("#about").inner_text()


def test_hostile_metadata_is_text(browser: Browser, tmp_path: Path) -> None:
    """And a scene of few chips, whose model nobody knows, is shown without likeness, with the reason."""
    scene = write_scene(tmp_path, name=HOSTILE, prefix=HOSTILE, metric=HOSTILE, windows=60)
    page_of(scene)
    with opened(browser, scene.path.with_suffix(".html")) as seen:
        assert seen.page.evaluate("window.hacked") is None
        assert seen.at("h1").text_content() == HOSTILE.rpartition("/")[2]  # of an URI, its end
        seen.page.mouse.click(*place(seen, scene, 30))
        assert seen.at("#chip-uci").text_content() == scene.uci[scene.row(30)]
        assert HOSTILE in str(seen.at("#outliers-note").text_content())
        assert "too few to centre" in seen.at("#likeness-refused").inner_text()
        assert seen.at("#mode-like").is_disabled()
        assert seen.listed("similar") == []
        assert seen.page.evaluate("window.hacked") is None
