"""Access: how buckets that are not the deployment's own are asked: who pays, and in which region they are."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Self

_REGION: Final = re.compile(r"[a-z]{2,4}(-[a-z]+)+-[0-9]+")


@dataclass(frozen=True, kw_only=True, slots=True)
class Access:
    """Which buckets have readers pay, and where buckets are. It grants nothing: what may be read, the role says."""

    requester_pays: frozenset[str] = frozenset()
    """Buckets whose owner has readers pay: asked without our consent, they refuse."""
    regions: Mapping[str, str] = field(default_factory=dict)
    """Region of each bucket that is in another than the deployment."""

    @classmethod
    def parse(cls, *, requester_pays: str, regions: str) -> Self:
        """Read ``bucket,bucket`` and ``bucket=region,bucket=region``. Raises ValueError."""
        pairs = [pair.partition("=") for pair in _listed(regions)]
        for bucket, _, region in pairs:
            if not bucket or not _REGION.fullmatch(region):
                msg = f"{bucket}={region} is no BUCKET=REGION, such as usgs-landsat=us-west-2"
                raise ValueError(msg)
        found = {bucket: region for bucket, _, region in pairs}
        if len(found) < len(set(pairs)):
            msg = "a bucket has two regions"
            raise ValueError(msg)
        return cls(requester_pays=frozenset(_listed(requester_pays)), regions=found)


def _listed(text: str) -> list[str]:
    return [name for part in text.split(",") if (name := part.strip())]


AS_OURS: Final = Access()
"""Every bucket is asked like one's own."""
