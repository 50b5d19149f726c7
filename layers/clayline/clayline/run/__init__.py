"""A run: its keys and objects, its plan, what the ledger holds of it, its receipt."""
