"""The documents hold together: links lead somewhere, the index has every page once, each page is of one kind, and
correctness.md names tests that are there.
"""

import ast
import re
from collections import Counter
from pathlib import Path

import pytest
from tests.architecture.sources import ROOT, git, tracked

KINDS = {"How-to", "Reference", "Explanation"}
OF_NO_KIND = {
    "README.md", "docs/README.md", "CONTRIBUTING.md", "CHANGELOG.md", "model/starter/starter-v1.0/MODEL_CARD.md",
}  # fmt: skip
"""Whose names say what they are."""
NAMED_TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
LINK = re.compile(r"!?\[(?:[^\[\]]|\[[^\]]*\])*\]\(([^()\s]+)\)")
HEADING = re.compile(r"^#{1,6} +(.+?) *#*$", re.MULTILINE)
FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`[^`\n]+`")


PAGES = tracked("*.md")


def text(page: Path) -> str:
    """Read a page without its fenced blocks."""
    return FENCED.sub("", page.read_text(encoding="utf-8"))


def anchors(page: Path) -> set[str]:
    """Give the anchors that GitHub makes of a page's headings.

    Lower case, spaces as hyphens, letters, digits, ``_`` and ``-`` kept; a repeated one is numbered.
    """
    found: Counter[str] = Counter()
    names = set()
    for heading in HEADING.findall(text(page)):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").replace("*", "")
        name = re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")
        names.add(f"{name}-{found[name]}" if found[name] else name)
        found[name] += 1
    return names


def links(page: str) -> list[str]:
    """Give where a page's links lead that are not of the web."""
    found = LINK.findall(CODE.sub("", text(ROOT / page)))
    return [link for link in found if not re.match(r"[a-z]+:", link)]


def wrong(page: str) -> list[str]:
    """Give the links of a page that lead nowhere."""
    bad = []
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = (ROOT / page).parent / path if path else ROOT / page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            bad.append(link)
    return bad


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    assert wrong(page) == []


def test_links_and_anchors_are_found_at_all() -> None:
    """Else the test above would pass whatever stood there."""
    found = [link for page in PAGES for link in links(page)]
    assert len(found) > 50
    assert any("#" in link for link in found)


def test_pages_that_are_named_in_sources_are_there() -> None:
    """Comments, messages and help texts name pages as paths from the root."""
    listed = git("grep", "-ohIE", r"\bdocs/[a-z/-]+\.(md|svg|png)\b")
    assert len(set(listed)) > 5
    assert {name for name in listed if not (ROOT / name).is_file()} == set()


def sections() -> dict[str, list[str]]:
    """Give the index's links to pages, by the kind that its section names."""
    index = ROOT / "docs" / "README.md"
    found = {}
    for part in index.read_text(encoding="utf-8").split("\n## ")[1:]:
        kind = part.partition(":")[0]
        targets = [(index.parent / link.partition("#")[0]).resolve() for link in LINK.findall(part)]
        found[kind] = [target.relative_to(ROOT).as_posix() for target in targets]
    return found


def test_the_index_has_every_page_once() -> None:
    named = [page for listed in sections().values() for page in listed]
    assert sorted(named) == sorted(set(PAGES) - {"README.md", "docs/README.md"})


@pytest.mark.parametrize("page", [page for page in PAGES if page not in OF_NO_KIND])
def test_a_page_says_of_which_kind_it_is_and_the_index_says_the_same(page: str) -> None:
    first = (ROOT / page).read_text(encoding="utf-8").split("\n\n")[1]
    said = re.match(r"\*\*([\w-]+)\.?\*\*", first)
    assert said, f"the paragraph after the title of {page} does not begin with its kind"
    assert said[1] in KINDS
    assert page in sections()[said[1]]
    assert (said[1] == "How-to") == (page.startswith("docs/how-to/") or page == "docs/testing.md")


def correctness() -> str:
    return (ROOT / "docs" / "correctness.md").read_text(encoding="utf-8")


def test_each_line_of_correctness_names_tests_that_are_there() -> None:
    rows = [row for row in correctness().splitlines() if row.startswith("| ")]
    headers = {row for row in rows if row.endswith(" test |")}
    seen = correctness().partition("### Clay: what was seen")[2].partition("\n## ")[0].splitlines()
    claims = set(rows) - headers - set(seen)
    assert len(claims) > 80, "too few lines: this test looks in the wrong place"
    assert [row for row in claims if not NAMED_TEST.search(row)] == []
    named = set(NAMED_TEST.findall(correctness()))
    assert {name for name in named if name[1] not in functions(name[0])} == set()


def test_each_claim_of_the_page_about_threats_names_tests_that_are_there() -> None:
    page = (ROOT / "docs" / "threats.md").read_text(encoding="utf-8")
    rows = [row for row in page.splitlines() if row.startswith("| ")]
    claims = [row for row in rows if not row.endswith((" test |", " held by |"))]
    assert len(claims) > 35, "too few lines: this test looks in the wrong place"
    assert [row for row in claims if not NAMED_TEST.search(row)] == []
    named = set(NAMED_TEST.findall(page))
    assert {name for name in named if name[1] not in functions(name[0])} == set()


def functions(file: str) -> set[str]:
    if not (ROOT / file).is_file():
        return set()
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_every_reason_of_a_refusal_has_a_test_that_speaks_of_it() -> None:
    """The reasons are those of docs/scenes.md, which another test holds against the code."""
    section = (ROOT / "docs" / "scenes.md").read_text(encoding="utf-8").partition("## Why a scene")[2]
    rows = re.findall(r"^\| ((?:`[a-z-]+`(?:, )?)+) \|", section, re.MULTILINE)
    of_chips = section.partition("Of a chip,")[2].partition("\n\n")[0]
    reasons = {reason for text in (*rows, of_chips) for reason in re.findall(r"`([a-z]+(?:-[a-z]+)*)`", text)}
    table = correctness().partition("## What is refused")[2].partition("\n## ")[0]
    refusals = dict(re.findall(r"^\| `([a-z-]+)` \| .*`(tests/[\w/]+\.py)::\w+` \|$", table, re.MULTILINE))
    assert len(reasons) > 40
    assert set(refusals) == reasons
    quoted = {reason for reason, file in refusals.items() if f'"{reason}"' in (ROOT / file).read_text(encoding="utf-8")}
    assert set(refusals) - quoted == set()
