"""Clay v1.5 as ONNX: a checkpoint, or seeded weights, becomes a model folder (docs/model.md)."""
