"""What can go wrong with AWS when a folder is published; a folder that is itself wrong is a ModelError."""

from clayline.errors import ClaylineError


class PublishError(ClaylineError):
    """The bucket, the registry or the command's own values do not allow what was asked."""


class SmokeTestError(ClaylineError):
    """The endpoint gave no answer, a failure, or an answer that is not what the model folder promises."""
