"""A dataset in Python: ``clayline.open_dataset`` (docs/dataset.md, In Python)."""

from clayline.api.dataset import Dataset
from clayline.api.opening import open_dataset, open_place, open_scene_files
from clayline.api.sampling import Missing, Sampled
from clayline.api.search_terms import Found, How, Where

__all__ = [
    "Dataset", "Found", "How", "Missing", "Sampled", "Where", "open_dataset", "open_place", "open_scene_files",
]  # fmt: skip
