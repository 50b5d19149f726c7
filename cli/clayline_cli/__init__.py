"""The command ``clayline``: one module a command in ``commands``, and the rooms that they work with beside it."""
