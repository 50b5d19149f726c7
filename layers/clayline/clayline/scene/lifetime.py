"""Whether a scene was taken while its platform flew: if not, it is of another product, or dated wrongly."""

from collections.abc import Sequence

from clayline.errors import SceneError
from clayline.place import Option
from clayline.scene.acquisition import Acquisition
from clayline.scene.sensor import Product


def check_lifetime(
    scene: str, product: Product, platform: str, acquired: Acquisition, among: Sequence[Product]
) -> None:
    """Refuse a scene that its platform cannot have taken; ``among`` are the products that may be told instead.

    Raises SceneError (``ambiguous-sensor``).
    """
    first, last = acquired.start.date(), acquired.end.date()
    known = product.platform(platform)
    if known.flew(first, last):
        return
    flown = f"flies since {known.since}" if known.until is None else f"flew from {known.since} to {known.until}"
    others = [
        other.name
        for other in among
        if other.sensor == product.sensor and any(each.flew(first, last) for each in other.platforms)
    ]
    instead = (
        f" or name the product that it is of ({', '.join(others)}) as {Option.SENSOR} of a GeoTIFF," if others else ""
    )
    msg = (
        f"scene {scene}: it was taken on {first} ({acquired.source}), and {known.token}, of {product.name},"
        f" {flown}. Correct its time,{instead} or collection, platform, instruments or id of the Item."
    )
    raise SceneError(msg, reason="ambiguous-sensor")
