"""What goes wrong in a campaign, by name. Each kind of fault can be had alone."""

from dataclasses import dataclass, field, replace
from typing import Final

from tests.faults.endpoint import REASONS
from tests.faults.injection import Rates
from tests.faults.queues import Weather
from tests.faults.timeline import DAY

HEALS_AFTER: Final = 3
"""Of five receives: a message received more often is handled without faults."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Profile:
    """The faults of a campaign."""

    name: str
    scenes: int = 4
    """Of a campaign."""
    side: int = 9
    """Of the largest scene, chips."""
    empty: float = 0.02
    """Share of scenes without a value."""
    rates: Rates = field(default_factory=Rates)
    weather: Weather = field(default_factory=Weather)
    heals_after: int | None = HEALS_AFTER
    """Receives of a message after which its handling goes well; None: never, so that some end as dead letters."""
    fates: dict[str, float] = field(default_factory=dict)
    """Of invocations (endpoint.py)."""
    fickle: bool = False
    """Whether two invocations of one batch may fare differently."""
    heals: bool = False
    """Whether a batch's last attempt does not fail, so that no chip may."""
    latency: float = 1800.0
    """Of the slowest invocation, seconds."""
    in_flight: int = 40
    """Batches that may be on their way (``MaxBatchesInFlight``)."""
    outage: float = 0.0
    """How long the endpoint refuses every invocation at first, seconds."""
    strays: float = 0.0
    """Messages about nothing of ours on the result queue, for each landing."""
    relandings: float = 0.0
    """Share of scenes that land again, as they are: at the same place or at another."""
    published: float = 0.0
    """Share of scenes whose Item, or where it lies, is published over SNS; it does not land."""
    unpublished: float = 0.0
    """Share of the messages of the archive's topic that SNS loses; they are published again hours later."""
    cogs: float = 0.0
    """Share of scenes that are one COG without an Item."""
    lands_at_the_end: float = 0.0
    """Share of runs that, when every batch has a result, meet another landing of their scene, at another place."""
    replacements: float = 0.0
    """Share of scenes of which a file or the Item is replaced while they are on their way."""
    returns: float = 0.0
    """Share of scenes of which another Item lands, and then the first one again."""
    aborts: float = 0.0
    """Share of scenes whose run is aborted while it is on its way, by orders that come twice."""
    redrives: float = 0.0
    """Share of scenes of which, hours later, what failed is ordered to be computed again."""
    overwrites: float = 0.0
    """Share of reads of a band's pixels just before which its file is replaced."""
    deletions: float = 0.0
    """Share of scenes of which a file is deleted while they are on their way."""
    deployments: float = 0.0
    """Chance, for each scene, that plan gets another model while it is on its way."""
    swaps: float = 0.0
    """Chance, for each scene, that the endpoint gets other weights under the same names."""
    loses_ledger: bool = False
    """Whether the ledger is lost once all is over, while work bucket and outputs stand, and every scene lands again:
    half of them as they were, the others with a corrected Item."""
    redrive_after: float = 3600.0
    """When the operator brings dead letters back, seconds after all is quiet."""


STORM: Final = Rates(killed=0.02, refused=0.02, unanswered=0.01, repeated=0.01, crashed=0.005, dawdled=0.02)
CALM: Final = Profile(name="quiet")
HEALING: Final = Profile(
    name="healing",
    rates=STORM,
    weather=Weather(late=0.2, twice=0.15),
    fates={"failed": 0.02, "expired": 0.01, "silent": 0.005, "mute failure": 0.01, "mute": 0.03, "late": 0.02},
    fickle=True,
    heals=True,
    strays=0.5,
    relandings=0.3,
    deployments=0.1,
    returns=0.1,
    published=0.25,
    unpublished=0.1,
    cogs=0.2,
)
"""What heals: whatever happens, nothing may be lost, nothing may fail."""
ROUGH: Final = replace(
    HEALING,
    name="rough",
    heals_after=None,
    fates={**{fate: 0.004 for fate in REASONS if fate != "refused"}, "mute": 0.02, "late": 0.02},
    fickle=False,
    heals=False,
    replacements=0.15,
    aborts=0.15,
    redrives=0.5,
    overwrites=0.005,
    deletions=0.05,
    swaps=0.05,
)
"""What does not heal as well: chips may fail, with the reason that befits the fault, and nothing may be lost."""
OUTAGE: Final = replace(HEALING, name="outage", scenes=2, side=4, outage=2.5 * DAY)
"""The endpoint refuses for longer than requests are kept."""
NARROW: Final = replace(HEALING, name="narrow", in_flight=4)
"""Room for a part of a scene: most of it waits, while what is out may be lost."""
LEDGER_LOST: Final = Profile(name="ledger lost", side=4, loses_ledger=True, published=0.3, cogs=0.3)
"""A ledger that is younger than its buckets."""
COMPUTED_TWICE: Final = Profile(
    name="computed twice", scenes=12, side=3, rates=Rates(killed=0.15), fates={"computed twice": 0.7}
)
"""The endpoint computes requests once more, over answers that may be frozen."""
PROFILES: Final = {profile.name: profile for profile in (CALM, HEALING, ROUGH, OUTAGE, NARROW)}
