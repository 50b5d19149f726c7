"""A token is for ever: it names one digest, in every folder that was ever published to a bucket."""

from collections.abc import Mapping

from clayline.errors import ModelError
from clayline.model.manifest import Manifest


def refuse_second_digests(new: Manifest, published: Mapping[str, Manifest]) -> None:
    """Compare ``new`` with the manifests ``published``, by their URI.

    Embeddings already written carry a token in every identifier, so another model under it would make old and new ones
    indistinguishable. Raises ModelError, naming the token and both digests.
    """
    digests = {entry.token: entry.digest for entry in new.entries}
    for uri, manifest in published.items():
        for entry in manifest.entries:
            if digests.get(entry.token, entry.digest) != entry.digest:
                msg = (
                    f"token {entry.token} is taken: {uri} gives it to {entry.digest}, this folder to"
                    f" {digests[entry.token]}. Identifiers of embeddings already made carry that token. Export this"
                    " model under another name or version."
                )
                raise ModelError(msg)


def refuse_lost_tokens(new: Manifest, old: Manifest, *, uri: str) -> None:
    """Check that ``new`` may take the place of ``old`` at ``uri``: entries may be added, never taken away.

    Plans in flight name the old entries, and the endpoint serves what the folder's manifest has. Raises ModelError.
    """
    lost = sorted({entry.token for entry in old.entries} - {entry.token for entry in new.entries})
    if lost:
        msg = (
            f"{uri} has the entries {', '.join(lost)}, this folder has not. A published folder may only grow: export it"
            " with those entries as well, or under another name or version."
        )
        raise ModelError(msg)
