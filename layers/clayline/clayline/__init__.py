"""Clayline's domain: chips, identifiers, batches and receipts of satellite scenes.

No AWS, raster or table library is imported here: ``open_dataset`` loads what it needs when it is asked for. Its types
are in ``__init__.pyi``.
"""

from importlib import import_module

__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    if name == "open_dataset":
        return import_module("clayline.api").open_dataset
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)
