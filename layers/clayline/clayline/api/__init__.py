"""A dataset in Python: ``clayline.open_dataset`` (docs/dataset.md, In Python)."""

from clayline.api.dataset import Dataset
from clayline.api.opening import open_dataset
from clayline.api.sampling import Missing, Sampled

__all__ = ["Dataset", "Missing", "Sampled", "open_dataset"]
