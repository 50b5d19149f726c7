"""Clayline's domain: chips, identifiers, batches and receipts of satellite scenes.

No AWS, raster or table library is imported here.
"""

__version__ = "0.1.0"
