"""What a reading takes: files, requests, bytes, dollars; the same figures before it and after it."""

from dataclasses import dataclass
from typing import Any

from clayline.dataset.counted import Asked
from clayline.run.prices import Prices


@dataclass(frozen=True, kw_only=True, slots=True)
class Figures:
    """Of one reading."""

    index: Asked
    """Listing of the fragments, the manifest, fragments and parts."""
    footers: Asked
    """Of each file that may hold what is wanted."""
    places: Asked
    """Of the chips of large row groups, looked at before the rest of them is read."""
    chips: Asked
    """Parts of row groups."""
    scenes: int
    """That meet what was asked."""
    files: int
    """Of which chips are read."""
    row_groups: int
    measured: bool
    """Whether chips were read: else they are foretold, for which all but the chips was read."""

    @property
    def together(self) -> Asked:
        """Everything."""
        return self.index + self.footers + self.places + self.chips

    def values(self, prices: Prices) -> dict[str, Any]:
        """Give everything as JSON can say it."""
        kinds = {"index": self.index, "footers": self.footers, "places": self.places, "chips": self.chips}
        return {
            "measured": self.measured,
            "scenes": self.scenes,
            "files": self.files,
            "row_groups": self.row_groups,
            **{f"{kind}_requests": asked.requests for kind, asked in kinds.items()},
            **{f"{kind}_bytes": asked.size for kind, asked in kinds.items()},
            **asked_values(self.together, prices),
        }


def asked_values(asked: Asked, prices: Prices) -> dict[str, Any]:
    """Give requests, bytes, and what they cost as JSON can say it."""
    return {
        "requests": asked.requests,
        "bytes": asked.size,
        "request_cents": 100 * request_dollars(asked, prices),
        "transfer_cents_outside_the_region": 100 * transfer_dollars(asked, prices),
    }


def request_dollars(asked: Asked, prices: Prices) -> float:
    """Give what S3 takes for the requests."""
    each = prices.services
    return asked.lists * each.s3_write.each + asked.gets * each.s3_read.each


def transfer_dollars(asked: Asked, prices: Prices) -> float:
    """Give what AWS takes besides if the reader is outside of the bucket's region, on the internet."""
    return asked.size / 1e9 * prices.services.s3_gb_out.each


def told(found: Figures, prices: Prices) -> str:
    """Give the figures for people, a line each."""
    verb = "were read" if found.measured else "would be read"
    kinds = (("index", found.index), ("footers", found.footers), ("places", found.places), ("chips", found.chips))
    lines = [
        f"  scenes    {found.scenes:,}; {found.row_groups:,} row groups of {found.files:,} files {verb}",
        *(f"  {kind:<9} {told_asked(asked)}" for kind, asked in kinds),
        told_together(found.together, prices),
    ]
    return "\n".join(lines)


def told_together(asked: Asked, prices: Prices) -> str:
    """Give what everything took for people, a line each."""
    return (
        f"  together  {told_asked(asked)}\n"
        f"  S3        {100 * request_dollars(asked, prices):.4f} cents for the requests ({prices.region})\n"
        f"            and for the transfer, outside of the region, {100 * transfer_dollars(asked, prices):.4f} cents"
    )


def told_asked(asked: Asked) -> str:
    """Give requests and bytes for people."""
    return f"{asked.requests:,} requests, {_size(asked.size)}"


def _size(count: int) -> str:
    return f"{count:,} bytes" if count < 1e5 else f"{count / 1e6:,.1f} MB"  # noqa: PLR2004 - readable either way
