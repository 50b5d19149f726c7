"""Searching: where else it looks like this."""
