"""A local cloud that stays up with its workers, and scenes that land in it."""
