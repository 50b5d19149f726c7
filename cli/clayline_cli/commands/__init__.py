"""A module a command: what it is called, its options, what a call of it does.

Each has a function ``add``, which puts the command on the program's parser. Importing one loads nothing heavy, so that
help and a typo answer at once: what a call needs is imported as it runs. Commands do not know each other.
"""
