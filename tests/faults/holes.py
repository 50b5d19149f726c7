"""Known holes: faults that today's code does not bear, each alone, and what the harness sees of it.

The numbers are those of the review (docs/reliability.md, Known holes). A hole that is closed leaves this table: its
faults then belong to ``rough``.
"""

from dataclasses import dataclass
from typing import Final

from tests.faults.injection import Rates
from tests.faults.profile import Profile
from tests.faults.queues import Weather
from tests.faults.timeline import DAY, HOUR


@dataclass(frozen=True, kw_only=True, slots=True)
class Hole:
    """Faults, and the violations that they bring about today."""

    name: str
    what: str
    profile: Profile
    shows: frozenset[str]
    """Any of these."""


_KILLED: Final = Rates(killed=0.1, refused=0.05)

HOLES: Final = (
    Hole(
        name="H1",
        what="a response that can be read only after the first try of collect: its chips fail, and after a kill between"
        " two files receipt and file differ",
        profile=Profile(name="H1", rates=Rates(killed=0.1), fates={"late": 0.3}),
        shows=frozenset({"file-differs", "outputs-differ", "receipt-early"}),
    ),
    Hole(
        name="H1b",
        what="a first look for a response that finds nothing is final",
        profile=Profile(name="H1b", fates={"late": 0.3}),
        shows=frozenset({"answered-and-failed"}),
    ),
    Hole(
        name="H4",
        what="two invocations under one id, of which one fails: the chips fail, although they were answered",
        profile=Profile(name="H4", rates=Rates(repeated=0.5), fates={"failed": 0.3}, fickle=True),
        shows=frozenset({"answered-and-failed"}),
    ),
    Hole(
        name="H5",
        what="a notification is lost: the scene has no end, and nobody is told",
        profile=Profile(name="H5", fates={"mute": 0.1}),
        shows=frozenset({"no-end", "unanswered"}),
    ),
    Hole(
        name="H5b",
        what="plan is killed, and its next try finds another source or model: the old run stays claimed for ever",
        profile=Profile(name="H5b", rates=_KILLED, deployments=0.9, replacements=0.9),
        shows=frozenset({"abandoned"}),
    ),
    Hole(
        name="H8",
        what="dead letters that come back after two days: outcomes stand, their requests have expired, chips fail",
        profile=Profile(name="H8", outage=4 * HOUR, redrive_after=2.5 * DAY),
        shows=frozenset({"failed-by-expiry"}),
    ),
    Hole(
        name="phantom",
        what="a result of a batch that is in no plan, before the run is planned, counts as settled",
        profile=Profile(name="phantom", phantoms=0.9, rates=Rates(dawdled=0.3), weather=Weather(late=0.2)),
        shows=frozenset({"unforeseen"}),
    ),
)
