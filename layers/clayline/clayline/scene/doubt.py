"""What a user wants done with a scene whose numbers do not look like its sensor's."""

from enum import StrEnum


class OnImplausible(StrEnum):
    """What happens to a scene of implausible numbers (``plausible``)."""

    WARN = "warn"
    FAIL = "fail"
