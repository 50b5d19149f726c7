"""Keeping: a published Item becomes an object of the work bucket, from which it is planned as if it had landed."""

from dataclasses import dataclass

from clayline.ports import Objects
from clayline.run.keys import JSON
from clayline.scene.intake import Landing
from clayline.scene.notification import Document


@dataclass(frozen=True, kw_only=True)
class Keeping:
    """Ports of keeping."""

    objects: Objects
    work_bucket: str

    def keep(self, document: Document) -> Landing:
        """Write the document under its digest, unless it is there, and give its landing. Raises TransientError.

        Two messages of one document, at once or a year apart, write the same object: whoever comes second finds it.
        """
        landing = document.landing(bucket=self.work_bucket)
        self.objects.put_new(landing.uri, document.content, run=document.digest[:32], content_type=JSON)
        return landing
