"""The page's HTML: everything in one file, and a policy by which a browser asks no network for anything.

What comes out of the scene's file may be hostile. It goes into the page twice: as JSON in which no ``<`` stands, and
escaped in title and heading; the page's programs write it as text, never as HTML.
"""

import base64
import hashlib
import html
import json
import re
from pathlib import Path
from typing import Any, Final

from clayline.errors import shown
from clayline_cli.reporting.imagery import Imagery
from clayline_cli.reporting.vectors import PageVectors

WEB: Final = Path(__file__).parent / "web"
STYLES: Final = ("vendor/leaflet-1.9.4/leaflet.css", "vendor/uplot-1.6.32/uPlot.min.css", "report.css", "parts.css")
LIBRARIES: Final = ("vendor/leaflet-1.9.4/leaflet.js", "vendor/uplot-1.6.32/uPlot.iife.min.js")
PROGRAMS: Final = (
    "content.js", "likeness.js", "colours.js", "chipmap.js", "plot.js", "thumbs.js", "panel.js", "keys.js", "report.js",
)  # fmt: skip
"""In this order: each knows those before it."""
_PLACE: Final = re.compile(r"\{\{(\w+)\}\}")
_SOURCE_MAP: Final = re.compile(r"^//# sourceMappingURL=.*$", re.MULTILINE)
"""A developer's tools would ask for it."""
_IN_SCRIPTS: Final = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}


def render(content: dict[str, Any], imagery: Imagery, vectors: PageVectors | str) -> str:
    """Give the page."""
    style = "\n".join(_web(name) for name in STYLES)
    scripts = [_web(name) for name in LIBRARIES]
    programs = "\n".join(_web(name) for name in PROGRAMS)
    scripts.append(f'(() => {{\n"use strict";\n{programs}\n}})();')
    policy = (
        "default-src 'none'; img-src data:; base-uri 'none'; form-action 'none';"
        f" style-src {_hash(style)}; script-src {' '.join(_hash(script) for script in scripts)}"
    )
    scene = content["scene"]
    parts = {
        "policy": policy,
        "title": html.escape(shown(f"{scene['name']}, {scene['day']}")),
        "name": html.escape(shown(scene["name"])),
        "style": f"<style>{style}</style>",
        "picture": f"data:image/webp;base64,{base64.b64encode(imagery.body).decode()}" if imagery.body else "",
        "content": safe_json(content),
        "scripts": "\n".join(f"<script>{script}</script>" for script in scripts),
        "vectors": base64.b64encode(vectors.body).decode() if isinstance(vectors, PageVectors) else "",
    }
    return _PLACE.sub(lambda found: parts[found[1]], _web("page.html"))


def safe_json(content: object) -> str:
    """Give JSON that ends no ``<script>``: what HTML takes for markup stands in it as escapes of JSON's own."""
    text = json.dumps(content, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    return "".join(_IN_SCRIPTS.get(letter, letter) for letter in text)


def _web(name: str) -> str:
    return _SOURCE_MAP.sub("", (WEB / name).read_text(encoding="utf-8"))


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
