"""Which of AWS's errors a retry may cure: one table for all adapters."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from botocore.exceptions import BotoCoreError, ClientError

from clayline.errors import TransientError, in_a_line

_PAGE: Final = re.compile(r"<(?:!doctype|html|head|body)\b", re.IGNORECASE)


def code_of(error: ClientError) -> str:
    """Give the service's error code."""
    return str(error.response.get("Error", {}).get("Code", ""))


def told(error: ClientError | BotoCoreError) -> str:
    """Give what AWS or the network says in a line, without the page of HTML that a proxy may answer with."""
    said = in_a_line(error)
    page = _PAGE.search(said)
    return f"{said[: page.start()].rstrip(' :')} (with a page of HTML, as no service of AWS answers)" if page else said


@contextmanager
def retryable(doing: str) -> Iterator[None]:
    """Turn what AWS or the network refuses while ``doing`` into TransientError: the message goes back to its queue and,
    in the end, to the dead-letter queue, where a person sees a missing permission or a wrong name. Codes that mean
    something are caught inside.
    """
    try:
        yield
    except (ClientError, BotoCoreError) as error:
        msg = f"{doing}: {told(error)}"
        raise TransientError(msg) from error
