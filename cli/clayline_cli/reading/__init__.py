"""Reading a dataset: a place, or points."""
