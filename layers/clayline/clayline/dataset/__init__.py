"""The dataset: scenes of one root as one table (docs/dataset.md)."""
