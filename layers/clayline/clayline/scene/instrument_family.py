"""Which instruments are of one kind: a product's satellites fly one sensor, and the model treats them as one.

An identifier's instrument names the satellite (``s2a-msi-l2a``), a family all satellites of the product
(``s2-msi-l2a``). Products, and so levels, are of different families. An instrument that the package does not know is a
family of its own. Where instruments are compared, families are.
"""

from collections.abc import Iterable, Mapping
from functools import cache

from clayline.scene.recognition import products


def family_of(instrument: str) -> str:
    """Give an instrument's family: ``s2-msi-l2a`` of ``s2a-msi-l2a``."""
    return _families().get(instrument, instrument)


def families_of(instruments: Iterable[str]) -> tuple[str, ...]:
    """Give the families of some instruments, each once, by name."""
    return tuple(sorted(set(map(family_of, instruments))))


def named_by(instruments: Iterable[str]) -> frozenset[str]:
    """Give the instruments that names mean: a satellite's that one alone, a family's every one of the family."""
    named = frozenset(instruments)
    return named | {token for token, family in _families().items() if family in named}


@cache
def _families() -> Mapping[str, str]:
    return {token: product.family for product in products() for token in product.instrument_tokens}
