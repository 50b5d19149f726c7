"""What can be wrong with what a command was given: files, folders, objects."""

from clayline.errors import ClaylineError


class CommandError(ClaylineError):
    """A scene or a folder that was named cannot be used as it is; the message names it and says what to do."""
