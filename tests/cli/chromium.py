"""Pages in a real Chromium: whatever ``chromium`` is on the PATH, driven by Playwright."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest
from playwright.sync_api import Browser, Locator, Page, sync_playwright

DESKTOP: Final[dict[str, Any]] = {"viewport": {"width": 1280, "height": 800}}
PHONE: Final[dict[str, Any]] = {
    "viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True, "device_scale_factor": 2,
}  # fmt: skip


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start one. Skips where none is installed."""
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        pytest.skip("needs a Chromium on the PATH: Debian's package chromium (`apt-get install chromium`)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program)
        yield browser
        browser.close()


@dataclass(frozen=True, kw_only=True)
class Seen:
    """A page that is open, and what went on in it."""

    page: Page
    told: list[str] = field(default_factory=list)
    """What the console said, and errors."""
    asked: list[str] = field(default_factory=list)
    """Requests for anything but the page itself and its own ``data:``."""

    def at(self, selector: str) -> Locator:
        """Give an element."""
        return self.page.locator(selector)

    def listed(self, name: str) -> list[str]:
        """Give the identifiers of a list of chips."""
        found: list[str] = self.page.eval_on_selector_all(f"#{name} > li", "found => found.map(li => li.dataset.uci)")
        return found

    def scores(self, name: str) -> list[float]:
        """Give the numbers under them."""
        return [float(text) for text in self.at(f"#{name} .told span:last-child").all_inner_texts()]


@contextmanager
def opened(browser: Browser, path: Path, **options: Any) -> Iterator[Seen]:
    """Open a file and wait until it listens. At the end nothing was asked of a network, and the console is empty."""
    context = browser.new_context(**{**DESKTOP, **options})
    page = context.new_page()
    seen = Seen(page=page)
    page.on("console", lambda message: seen.told.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: seen.told.append(str(error)))
    page.on("request", lambda request: seen.asked.append(request.url))
    page.goto(path.as_uri())
    page.wait_for_selector("html[data-ready=yes]")
    yield seen
    assert seen.told == []
    assert [url for url in seen.asked if url != path.as_uri() and not url.startswith("data:")] == []
    context.close()
