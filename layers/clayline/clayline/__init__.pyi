from clayline.api import open_dataset

__all__ = ["__version__", "open_dataset"]
__version__: str
