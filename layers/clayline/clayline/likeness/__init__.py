"""What is like what: vectors centred and compared, examples, filters (docs/likeness.md). Numpy, no file, no AWS."""
