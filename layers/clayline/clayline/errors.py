"""Every error that Clayline raises.

Two families decide what happens to a message: input that can never work, and what a retry may cure.
"""

from collections.abc import Mapping
from datetime import timedelta

from clayline.place import Place, words

MAX_MESSAGE = 2_000
"""Characters of a message about input, which may quote megabytes of it: an event of EventBridge takes 256 KB."""
_SHOWN = dict.fromkeys(
    (*range(9), *range(11, 32), *range(127, 160), *range(0x202A, 0x202F), *range(0x2066, 0x206A)), "?"
)
"""Control characters but tab and newline, and those that turn the direction of writing."""
_TAIL = 600
"""Of them at the end, where the remedy stands."""
_DIGEST = len("sha256:") + 12
"""Characters of one that tell it from others."""


def shown(text: str) -> str:
    """Give a text that can be sent and shown: without halves of surrogate pairs and control characters, which
    terminals obey.
    """
    return text.encode(errors="replace").decode().translate(_SHOWN)


def in_a_line(error: object) -> str:
    """Give what a library says of an error as a line that can stand in a sentence: some end in a period or a break."""
    return " ".join(shown(str(error)).split()).rstrip(".")


def bounded(message: str) -> str:
    """Give a message that can be sent and shown, its middle cut out if it is too long."""
    text = shown(message)
    if len(text) <= MAX_MESSAGE:
        return text
    cut = " [...] "
    return f"{text[: MAX_MESSAGE - _TAIL - len(cut)]}{cut}{text[-_TAIL:]}"


def counted(count: int, noun: str, nouns: str = "") -> str:
    """Give a number with its noun: ``1 chip``, ``2,000 chips``; ``nouns`` where the plural has no mere s."""
    return f"{count:,} {noun if count == 1 else nouns or f'{noun}s'}"


def digest_shown(digest: str) -> str:
    """Give the beginning of a digest as people are told it, which says that it was cut: ``sha256:0123456789ab...``."""
    return digest if len(digest) <= _DIGEST else f"{digest[:_DIGEST]}..."


class ClaylineError(Exception):
    """Base of every error here. The message names the scene, what was wrong, and what to do."""


class InvalidIdentifierError(ClaylineError):
    """A text is no Universally Class Identifier, or no MGRS reference that one may hold."""


class SettingsError(ClaylineError):
    """A function's environment lacks a value or holds one that cannot be used."""


class DatasetError(ClaylineError):
    """A dataset's object is not what docs/dataset.md says, or what was asked of it cannot be answered."""


class SceneFilesError(ClaylineError):
    """Files of some scenes of a dataset cannot be used: the others can."""

    def __init__(self, scenes: Mapping[str, str]) -> None:
        """Take why, by the key of the scene's file."""
        super().__init__("; ".join(f"{key}: {why}" for key, why in scenes.items()))
        self.scenes = dict(scenes)


class SceneError(ClaylineError):
    """A scene that can never work as it is: it gets a receipt and a SceneFailed event, and its message is done with."""

    def __init__(self, message: str, *, reason: str) -> None:
        """Take the sentence for people, which may name an ``Option``, and ``reason``, the token of receipt and event.

        As a text, the error speaks the words of AWS; ``at`` gives those of a place.
        """
        super().__init__(bounded(words(message, Place.AWS)))
        self.message = message
        """As it was raised: for an error that says more."""
        self.reason = reason

    def at(self, place: Place) -> str:
        """Give the sentence in the words of the place where it is read."""
        return bounded(words(self.message, place))


class BatchError(ClaylineError):
    """A batch that can never work: its chips are recorded as failed with ``reason``, the rest of the scene goes on."""

    def __init__(self, message: str, *, reason: str) -> None:
        """Take the sentence for people and ``reason``, the token that the receipt carries for each chip."""
        super().__init__(bounded(message))
        self.reason = reason


class TransientError(ClaylineError):
    """Something a retry may cure: the message goes back to its queue."""

    def __init__(self, message: str, *, wait: timedelta | None = None) -> None:
        """Take the sentence, and after how long a retry may help, where that is known."""
        super().__init__(message)
        self.wait = wait


class LeaseHeldError(TransientError):
    """Another delivery of the same event is at work on this scene and its lease has not run out."""


class ReplacedError(TransientError):
    """A scene's file is not what it was when planning began: planned again, it is another content's run."""


class ModelError(ClaylineError):
    """A model folder or its manifest cannot be used."""


class SensorFileError(ClaylineError):
    """A sensor's file cannot be used."""


class WireError(ClaylineError):
    """A request or response object does not follow docs/wire.md."""


class TableError(ClaylineError):
    """A Parquet file cannot be read, or not within bounds."""


class OutputConflictError(ClaylineError):
    """An output object exists and belongs to another run: nothing is overwritten."""
