"""STAC Items for tests, in the words of their publishers."""

from typing import Any

COG = "image/tiff; application=geotiff; profile=cloud-optimized"
BASE = "s3://scenes/s2/2024/item.json"
ALLOWED = frozenset({"scenes", "archive"})
NEW_NAMES = {
    "blue": "B02", "green": "B03", "red": "B04", "rededge1": "B05", "rededge2": "B06", "rededge3": "B07",
    "nir": "B08", "nir08": "B8A", "swir16": "B11", "swir22": "B12",
}  # fmt: skip
"""Sentinel-2's bands: Earth Search's and Clay's name, and ESA's."""


def asset(href: str, /, **changes: Any) -> dict[str, Any]:
    """Give a COG asset; None removes a field."""
    content = {"href": href, "type": COG, "roles": ["data"]} | changes
    return {name: value for name, value in content.items() if value is not None}


def item(
    assets: dict[str, Any],
    *,
    collection: str | None = "sentinel-2-l2a",
    identity: str = "S2A_32UQD_20240601_0_L2A",
    **properties: Any,
) -> dict[str, Any]:
    """Give an Item with these assets and properties."""
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": identity,
        "collection": collection,
        "geometry": None,
        "properties": {"datetime": "2024-06-01T10:30:31Z"} | properties,
        "links": [],
        "assets": assets,
    }
