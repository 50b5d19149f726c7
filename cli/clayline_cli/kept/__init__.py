"""The folder of ``--out``: outputs, what was finished by earlier calls, whose turn it is."""
