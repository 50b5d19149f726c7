"""The model's contract: the manifest of its folder, and the request and response objects."""
