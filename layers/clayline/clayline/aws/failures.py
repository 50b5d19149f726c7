"""Which of AWS's errors a retry may cure: one table for all adapters."""

from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import BotoCoreError, ClientError

from clayline.errors import TransientError


def code_of(error: ClientError) -> str:
    """Give the service's error code."""
    return str(error.response.get("Error", {}).get("Code", ""))


@contextmanager
def retryable(doing: str) -> Iterator[None]:
    """Turn what AWS or the network refuses while ``doing`` into TransientError: the message goes back to its queue and,
    in the end, to the dead-letter queue, where a person sees a missing permission or a wrong name. Codes that mean
    something are caught inside.
    """
    try:
        yield
    except (ClientError, BotoCoreError) as error:
        msg = f"{doing}: {error}"
        raise TransientError(msg) from error
