"""Sending scenes that were there before the stack, or that it shall see again, to its scene queue."""
