"""The guards of published Items and of COGs without an Item: rows of the table in guards.py."""

from dataclasses import replace
from typing import Final

from tests.faults.mutation import Guard
from tests.faults.profile import Profile
from tests.faults.queues import Weather

_PUBLISHED: Final = Profile(name="published", side=4, published=1.0, weather=Weather(twice=0.8), relandings=0.5)

ENTRANCE_GUARDS: Final = (
    Guard(
        guard="equal published documents are equal bytes",
        where="clayline.scene.notification:read_message",
        old="json.dumps(content, sort_keys=True, separators",
        new="json.dumps(content, separators",
        profile=_PUBLISHED,
        shows=frozenset({"unanswered", "unknown-source"}),
    ),
    Guard(
        guard="a document that comes again finds what was kept under its digest",
        where="clayline.steps.keeping:Keeping.keep",
        old="run=document.digest[:32]",
        new="run=document.message",
        profile=_PUBLISHED,
        shows=frozenset({"unforeseen", "dead-letter"}),
    ),
    Guard(
        guard="a document is kept before it is planned",
        where="clayline.steps.keeping:Keeping.keep",
        old="self.objects.put_new(landing.uri, document.content, run=document.digest[:32], content_type=JSON)",
        new="pass",
        profile=_PUBLISHED,
        shows=frozenset({"refused-without-cause"}),
    ),
    Guard(
        guard="a message that SNS delivers twice is one landing, by SNS's own id",
        where="clayline.scene.notification:read_message",
        old='message = str(content.get("MessageId") or message)[:_MAX_SHOWN]',
        new="pass",
        profile=replace(_PUBLISHED, relandings=0.0, fates={"failed": 0.2}),
        shows=frozenset({"computed-twice"}),
    ),
    Guard(
        guard="a published Item is known by its digest, not by its object's ETag",
        where="clayline.steps.making:Making._compare",
        old="if landed.landing.entrance is not Entrance.DOCUMENT:",
        new="if True:",
        profile=Profile(name="published alone", scenes=2, side=3, published=1.0),
        shows=frozenset({"unanswered", "dead-letter"}),
    ),
    Guard(
        guard="what lands has a part in the run's identity: a replaced COG, or a changed Item, makes another run",
        where="clayline.run.keys:run_id",
        old='"source": source_etag,',
        new='"source": "",',
        profile=Profile(name="replaced COGs", side=4, cogs=0.5, published=0.5, replacements=1.0),
        shows=frozenset({"stale"}),
    ),
    Guard(
        guard="a COG at another place is another scene",
        where="clayline.run.keys:scene_hash",
        old='{"uri": uri}',
        new='{"uri": uri.rpartition("/")[2]}',
        profile=Profile(name="copied COGs", side=4, cogs=1.0, relandings=0.6),
        shows=frozenset({"another-scene"}),
    ),
)
