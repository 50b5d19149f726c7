"""The report's page in Chromium: bytes, first paint, and from a click to the ranking, for 2,000 chips of 1,024 numbers.

First paint against a page that is the scene's picture alone; the ranking against numpy with the same vectors, in this
process. Each in a tab of its own, by turns; medians of seven. The scene is made up, at the size of a Sentinel-2 tile in
chips. Prints a line of JSON a number.

With ``--picture PNG`` it takes a picture of the page beside a scene's FILE instead, after two clicks: docs/report.png
is of the bundled scene (`make demo`).
"""

import argparse
import base64
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from playwright.sync_api import Browser, sync_playwright

from clayline.chips.grid import ChipGrid
from clayline.likeness.centring import Centre
from clayline.likeness.probe import Probe
from clayline.likeness.taking_part import Traits
from clayline_cli.picture.ground import Ground
from clayline_cli.reporting.content import content
from clayline_cli.reporting.imagery import Imagery, draw, files_here
from clayline_cli.reporting.page import render
from clayline_cli.reporting.scene_chips import SceneChips
from clayline_cli.reporting.vectors import page_vectors
from clayline_local.repository import SAMPLE

ROUNDS, DOWN, ACROSS, CHIP, DIMENSIONS = 7, 40, 50, 256, 1024
TARGET_BYTES = 15e6
PAINT = """() => new Promise((told) => new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) if (entry.name === "first-contentful-paint") told(entry.startTime);
}).observe({ type: "paint", buffered: true }))"""
CLICKED = """() => { window.answered = new Promise((told) => {
  const begun = (event) => requestAnimationFrame(() => requestAnimationFrame((now) => told(now - event.timeStamp)));
  document.querySelector("#map").addEventListener("click", begun, { capture: true, once: true });
}) }"""


def say(name: str, value: float, target: str = "") -> None:
    """Print a number."""
    print(json.dumps({"number": f"report.{name}", "value": round(value, 3), **({"target": target} if target else {})}))


def embedded(folder: Path) -> Path:
    """Embed the bundled scene: where its file lies."""
    command = [sys.executable, "-m", "clayline_cli.program", "embed", str(SAMPLE), "--out", str(folder)]
    told = subprocess.run(
        [*command, "--no-picture", "--json", "--quiet"], check=True, capture_output=True, text=True
    ).stdout
    return Path(json.loads(told)["files"]["parquet"])


def made_up(pixels: Imagery) -> tuple[SceneChips, Imagery]:
    """Give a scene of 2,000 chips: vectors around forty places, as ground repeats."""
    random = np.random.default_rng(3)
    count = DOWN * ACROSS
    kinds = random.normal(size=(40, DIMENSIONS))
    vectors = (kinds[random.integers(0, 40, count)] + random.normal(size=(count, DIMENSIONS)) + 0.8).astype(np.float32)
    height, width = DOWN * CHIP, ACROSS * CHIP
    fractions = random.uniform(0.9, 1, count)
    chips = SceneChips(
        name="made-up.parquet", scene="made-up", day="2020-05-18", model="made-up-v1-model", digest="sha256:0",
        instrument="sentinel2-msi", untrained=False, loss_metric="l1",
        uci=tuple(f"31UFQ{n:08d}-s256g10000_20200518-20200518_sentinel2-msi_made-up-v1-model" for n in range(count)),
        index=np.arange(count), vectors=vectors,
        traits=Traits(valid=fractions, cloud=random.uniform(size=count), loss=random.normal(0.1, 0.01, count)),
        provenance={}, grid=ChipGrid(height=height, width=width, size=CHIP, start=(0, 0)),
        ground=Ground(crs="EPSG:32631", transform=(10, 0, 399960, 0, -10, 5000040), height=height, width=width),
    )  # fmt: skip
    return chips, pixels


def painted(browser: Browser, page: Path) -> float:
    """Give the milliseconds to the first paint of anything of the page."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    tab = context.new_page()
    tab.goto(page.as_uri())
    found = float(tab.evaluate(PAINT))
    context.close()
    return found


def ranked(browser: Browser, page: Path) -> list[float]:
    """Give the milliseconds from a click to the frame that shows the ranking: of the first click, and of the second."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    tab = context.new_page()
    tab.goto(page.as_uri())
    tab.wait_for_selector("html[data-ready=yes]")
    found = []
    for part in (0.4, 0.6):
        tab.evaluate(CLICKED)
        box: Any = tab.locator("#map").bounding_box()
        tab.mouse.click(box["x"] + box["width"] * part, box["y"] + box["height"] / 2)
        found.append(float(tab.evaluate("window.answered")))
        assert tab.locator("#similar > li").count() == 24
    context.close()
    return found


def by_numpy(chips: SceneChips, centre: Centre) -> float:
    """Give the milliseconds that numpy takes for the same, from the file's own float32."""
    start = time.perf_counter()
    probe = Probe.of_examples(chips.vectors[:1], token=chips.model, digest=chips.digest, centre=centre)
    np.argsort(-probe.scores(chips.vectors), kind="stable")
    return (time.perf_counter() - start) * 1e3


def measure(browser: Browser, scene: Path) -> None:
    """Print all numbers; the picture is that of ``scene``."""
    real = SceneChips.read(scene)
    chips, imagery = made_up(draw(real, files_here(real.provenance, None)))
    vectors = page_vectors(chips, [])
    with tempfile.TemporaryDirectory() as name:
        page, plain = Path(name) / "page.html", Path(name) / "plain.html"
        start = time.perf_counter()
        page.write_text(render(content(chips, imagery, vectors), imagery, vectors), encoding="utf-8")
        say("page_seconds", time.perf_counter() - start)
        body = base64.b64encode(imagery.body).decode()
        plain.write_text(f'<!doctype html><title>x</title><img src="data:image/webp;base64,{body}">', encoding="utf-8")
        size = page.stat().st_size
        say("megabytes", size / 1e6)
        more = size * 5000 / 2000  # an upper bound: picture and programs do not grow
        say("megabytes_of_5000_chips", more / 1e6, f"under {TARGET_BYTES / 1e6:.0f}")
        paints, plains, clicks, numpys = [], [], [], []
        centre = Centre.of_rows(chips.vectors.sum(axis=0, dtype=np.float64), len(chips), name="made up")
        for _ in range(ROUNDS):
            paints.append(painted(browser, page))
            plains.append(painted(browser, plain))
            clicks.append(ranked(browser, page))
            numpys.append(by_numpy(chips, centre))
    say("first_paint_ms", median(paints))
    say("first_paint_of_the_picture_alone_ms", median(plains))
    say("first_paint_ratio", median(paints) / median(plains))
    first, later = (median(each) for each in zip(*clicks, strict=True))
    say("first_click_to_ranking_ms", first)
    say("click_to_ranking_ms", later)
    say("numpy_ranking_ms", median(numpys))
    say("click_to_numpy_ratio", later / median(numpys))


def take(browser: Browser, page: Path, target: Path) -> None:
    """Take a picture of a report after a click on a shore and one, turned, on fields."""
    context = browser.new_context(viewport={"width": 1360, "height": 860})
    tab = context.new_page()
    tab.goto(page.as_uri())
    tab.wait_for_selector("html[data-ready=yes]")
    box: Any = tab.locator("canvas.chips").bounding_box()
    for across, down, turned in ((0.5, 0.41, False), (0.27, 0.3, True)):
        tab.keyboard.down("Shift") if turned else None
        tab.mouse.click(box["x"] + box["width"] * across, box["y"] + box["height"] * down)
        tab.keyboard.up("Shift") if turned else None
    tab.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + box["height"] * 0.41)
    tab.screenshot(path=target)
    context.close()


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path, nargs="?", help="a scene's file, its .html beside it; else one is embedded")
    parser.add_argument("--picture", type=Path, help="take a picture of its page, and measure nothing")
    found = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"))
        file = found.file or embedded(Path(name))
        if found.picture:
            take(browser, file.with_suffix(".html"), found.picture)
        else:
            measure(browser, file)
        browser.close()


if __name__ == "__main__":
    main()
