"""``clayline watch``: watches are added, listed, shown, removed, and tried over a dataset."""
