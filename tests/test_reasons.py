"""Every reason that the code gives stands in docs/scenes.md, and the other way round."""

import re

from tests.conftest import ROOT

_NAMED = "PLAN_MISSING|ASSET_MISSING|NODATA|UNREADABLE|MISSING|UNDECLARED|NOT_FINISHED"
_IN_CODE = re.compile(
    rf"""(?:reason=|reason = |(?:{_NAMED})(?:: Final)? = |return )["']([a-z]+(?:-[a-z]+)+|nodata)["']"""
)


def test_documented_reasons_are_the_codes() -> None:
    code = "".join(path.read_text() for path in (ROOT / "layers" / "clayline" / "clayline").rglob("*.py"))
    given = set(_IN_CODE.findall(code)) | set(re.findall(r'else "((?:all-|non-|cloud-|inference-)[a-z-]+)"', code))
    given |= set(re.findall(r'"((?:cloud-above|request|inference|non)-[a-z-]+)" if', code))
    section = (ROOT / "docs" / "scenes.md").read_text().partition("## Why a scene")[2]
    documented = {
        token
        for token in re.findall(r"`([a-z]+(?:-[a-z]+)*)`", section)
        if "-" in token or token in {"nodata", "rotated", "truncated"}
    }
    singles = {"rotated", "truncated"}
    assert given - documented == set()
    assert documented - given - singles == set()
