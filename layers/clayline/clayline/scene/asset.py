"""What an Item says of an asset that bands and masks alike are judged by: whether it is a GeoTIFF, and numbers."""

import re
from collections.abc import Mapping
from typing import Any

_MEDIA = re.compile(r"(?i)image/(tiff|vnd\.stac\.geotiff)")
_EXTENSION = re.compile(r"(?i)\.tiff?\Z")


def is_geotiff(asset: object) -> bool:
    """Say whether an asset has an href and is a GeoTIFF: by its media type, or by extension where none is given."""
    if not isinstance(asset, dict) or not isinstance(asset.get("href"), str):
        return False
    media = asset.get("type")
    return bool(_MEDIA.match(media) if isinstance(media, str) else _EXTENSION.search(asset["href"]))


def roles_of(asset: Mapping[str, Any]) -> set[str]:
    """Give the roles that are texts."""
    roles = asset.get("roles")
    return {role for role in roles if isinstance(role, str)} if isinstance(roles, list) else set()


def positive(said: object) -> float | None:
    """Read a number above zero, as a number or a text; None for anything else."""
    if isinstance(said, bool) or not isinstance(said, int | float | str):
        return None
    try:
        number = float(said)
    except (ValueError, OverflowError):
        return None
    return number if 0 < number < float("inf") else None
