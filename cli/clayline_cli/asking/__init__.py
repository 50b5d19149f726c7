"""What every question to a dataset has: where it lies, a box, a time, a model, where the answer goes."""
