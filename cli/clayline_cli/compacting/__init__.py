"""What writes a dataset from here: its index, and its compact files."""
