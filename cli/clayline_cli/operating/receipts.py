"""What receipts say of whole scenes. A receipt's lines of chips come last and may be megabytes: they are not read."""

import json
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

from botocore.exceptions import ClientError
from pydantic import BaseModel, ConfigDict, ValidationError

from clayline.aws.failures import code_of
from clayline.run.keys import parse_s3_uri
from clayline.run.measured import Measured
from clayline.run.receipt import Counts

_HEAD: Final = 1 << 16
"""Bytes in which all but the chips stands: warnings and the message are of bounded length."""
_CHIPS: Final = re.compile(rb'"chips":\s*\[')
"""Where the list begins: ``measured`` has a number of this name. In a string its quotation marks would be escaped."""
_AT_ONCE: Final = 16
_GONE: Final = frozenset({"NoSuchKey", "NoSuchBucket", "404", "InvalidRange"})


class ReceiptHead(BaseModel):
    """A receipt without its chips."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    run: str
    status: str
    reason: str | None
    message: str | None
    counts: Counts
    outputs: dict[str, str]
    measured: Measured | None = None
    predecessor: str | None = None
    taken_over: int = 0
    """Chips whose outcomes are those of the run before."""

    @property
    def reasons(self) -> frozenset[str]:
        """Why anything failed: the scene's reason and those of its failed chips."""
        return frozenset({*self.counts.failed, *filter(None, (self.reason,))})


@dataclass(frozen=True, kw_only=True, slots=True)
class Receipts:
    """Where receipts are read."""

    s3: Any
    """A client."""

    def head(self, uri: str) -> ReceiptHead | None:
        """Give what a receipt says of its scene; None if it is not there any more, or no receipt."""
        bucket, key = parse_s3_uri(uri)
        try:
            answer = self.s3.get_object(Bucket=bucket, Key=key, Range=f"bytes=0-{_HEAD - 1}")
        except ClientError as error:
            if code_of(error) in _GONE:
                return None
            raise
        text: bytes = answer["Body"].read()
        cut = _CHIPS.search(text)
        try:
            content = json.loads(text[: cut.start()].rstrip().removesuffix(b",") + b"}") if cut else json.loads(text)
            return ReceiptHead.model_validate(content)
        except (ValueError, ValidationError):
            return None

    def heads(self, uris: Sequence[str]) -> list[ReceiptHead | None]:
        """Give many, several at a time, in the order of ``uris``."""
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            return list(pool.map(self.head, uris))
