"""Lookalikes: JSON that is no STAC Item and that somebody will have meant as one."""

from collections.abc import Mapping
from typing import Any

from clayline.scene.item import is_item

_MEANT_TYPES = {"feature", "featurecollection", "collection", "catalog"}
"""In small letters: of GeoJSON what holds properties, of STAC everything."""
_LOOKED_AT = 10
"""Entries of a list."""
_MOST = 40
"""Characters of a type that are quoted."""


def lookalike(content: object) -> str | None:
    """Say what JSON that is no Item is instead, and what to do; None if nobody meant it as one (``_MTL.json``).

    Meant are GeoJSON's features and STAC's objects by their ``type``, however it is spelt, anything with a
    ``stac_version``, anything whose ``assets`` have hrefs, and lists of these.
    """
    if isinstance(content, list):
        meant = any(isinstance(entry, dict) and (is_item(entry) or _is_meant(entry)) for entry in content[:_LOOKED_AT])
        return f"a list of {len(content)}. Give each Item as a file of its own." if meant else None
    return _what_it_is(content) if isinstance(content, dict) and _is_meant(content) else None


def _is_meant(content: Mapping[str, Any]) -> bool:
    assets = content.get("assets")
    hrefs = isinstance(assets, dict) and any(isinstance(asset, dict) and "href" in asset for asset in assets.values())
    return _kind(content) in _MEANT_TYPES or "stac_version" in content or hrefs


def _kind(content: Mapping[str, Any]) -> str | None:
    declared = content.get("type")
    return declared.lower() if isinstance(declared, str) else None


def _what_it_is(content: Mapping[str, Any]) -> str:
    declared, kind = content.get("type"), _kind(content)
    if kind == "featurecollection":
        features = content.get("features")
        number = len(features) if isinstance(features, list) else "no"
        return f"a FeatureCollection of {number} features. Give each Item as a file of its own."
    if kind in {"collection", "catalog"}:
        return f"a STAC {kind.capitalize()}, which describes Items. Give the Items themselves."
    if declared != "Feature":
        return f'of type {str(declared)[:_MOST]!r}. An Item has "type": "Feature"; correct it.'
    if "stac_version" not in content:
        return 'a Feature without stac_version. If it is an Item, add "stac_version": "1.0.0".'
    return "a Feature whose assets are no object. Add its bands as assets."
