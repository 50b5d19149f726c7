"""Where the user is: before a stack's parameters on AWS, or before the command line's options.

Messages speak its words.
"""

import re
from enum import Enum, StrEnum

_OPEN, _CLOSE = "\ufdd0", "\ufdd1"
"""Unicode's noncharacters: reserved for a program's own use, so that no text of a user looks like them by accident."""
_MARKER = re.compile(f"{_OPEN}([A-Z_]+){_CLOSE}")


class Place(StrEnum):
    """Where a scene's messages are read."""

    AWS = "aws"
    CLI = "cli"


class Option(Enum):
    """What a message may tell the user to set or to do, in the words of each place. An f-string takes it as it is."""

    ANY_GSD = "the stack's parameter AnyGsd", "--any-gsd"
    ANY_PIXEL_SHAPE = "the stack's parameter AnyPixelShape", "--any-pixel-shape"
    BOA = "the stack's parameter Boa", "--boa"
    CHIPS_PER_BATCH = "the stack's parameter ChipsPerBatch", "--batch-chips"
    DATETIME = "the object's metadata `datetime`", "--datetime"
    IMPLAUSIBLE_UNITS = "the stack's parameter ImplausibleUnits", "--implausible-units"
    MAX_CHIPS = "the stack's parameter MaxChips", "--max-chips"
    MAX_CLOUD_FRACTION = "the stack's parameter MaxCloudFraction", "--max-cloud-fraction"
    MIN_VALID_FRACTION = "the stack's parameter MinValidFraction", "--min-valid-fraction"
    MODEL = "the stack's parameter ModelFolder", "--model"
    REQUESTER_PAYS = "the stack's parameter RequesterPaysBuckets", "--request-payer"
    SENSOR = "the object's metadata `sensor`", "--sensor"
    TIFF_DATETIME = "the stack's parameter TiffDatetime", "--tiff-datetime"
    FIND_ASSETS = (
        "Upload the assets first, then land the Item again.",
        "Put the file beside the Item or name its folder with --assets DIR, and run again.",
    )
    ALLOW_BUCKET = (
        "Use hrefs relative to the Item or s3://, and list further buckets in the stack's parameter AllowedBuckets.",
        (
            "Put the file beside the Item or name its folder with --assets DIR; allow a bucket of S3 with"
            " --allow-bucket BUCKET."
        ),
    )
    MORE_SCRATCH = "Cut the scene into tiles, or raise the stack's parameter CollectScratchMb.", "Cut it into tiles."
    MORE_COLLECT_MEMORY = (
        "Cut the scene into tiles, or raise the stack's parameter CollectMemory.",
        "Cut it into tiles.",
    )
    UNTRAINED_SENSORS = "the stack's parameter UntrainedSensors", "--untrained-sensors"
    SENSORS = (
        "a YAML file of its sensor in the stack's parameter SensorFiles",
        "a YAML file of its sensor in --sensors DIR",
    )
    TRY_AGAIN = (
        "Land it again, or redrive it (clayline redrive), for a new try.",
        "Run again with --retry, or where a local cloud stays up redrive it (clayline redrive), for a new try.",
    )

    def __init__(self, aws: str, cli: str) -> None:
        """Take the words of both places: an option that one of them lacks cannot be written down."""
        self._words = {Place.AWS: aws, Place.CLI: cli}

    def at(self, place: Place) -> str:
        """Give the words of a place."""
        return self._words[place]

    def __format__(self, spec: str) -> str:
        """Give the marker that ``words`` replaces."""
        return format(f"{_OPEN}{self.name}{_CLOSE}", spec)


def words(text: str, place: Place) -> str:
    """Put the words of a place where options stand in a text.

    A text may quote what others wrote, such as an Item's id: noncharacters in it that are no option's become U+FFFD.
    """
    said = _MARKER.sub(lambda found: Option[found[1]].at(place) if found[1] in Option.__members__ else found[0], text)
    return said.replace(_OPEN, "\ufffd").replace(_CLOSE, "\ufffd")
