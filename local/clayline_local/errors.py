"""What can go wrong on the local machine that could not go wrong on AWS, or the other way round."""

from clayline.errors import ClaylineError


class LocalCloudError(ClaylineError):
    """The template asks for something that the local cloud does not understand, or a local server did not come up."""


class NoSceneError(LocalCloudError):
    """What was given starts no scene: it is other JSON."""
